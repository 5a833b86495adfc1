"""Checks together: what they say of draws, model, prior, linkage and use."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from claude_pymc.joint.convergence import Check
from claude_pymc.review.against_rows import LeaveOneOut, StandsOut

KINDS = ("draws", "model", "prior", "linkage", "use")


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Checks of a posterior; printing it says failures first.

    Parameters
    ----------
    checks : tuple of Check
        Of the draws first, then of the model, its prior, its linkage, and its use.
    notes : tuple of str
        Facts that neither pass nor fail.
    loo : LeaveOneOut or None
        Figures of each measured value, where the rows were given.
    shares : DataFrame or None
        What each prediction rests on: weights of cheaper values that are known there and of the
        rows of each target, of sum one; and the share of the prior in its variance.
    standing_out : tuple of StandsOut
        The ten values that are furthest out in the tails of their own prediction.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    loo: LeaveOneOut | None = None
    shares: pd.DataFrame | None = None
    standing_out: tuple[StandsOut, ...] = ()

    @property
    def ok(self) -> bool:
        """True if no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def sampled(self) -> bool:
        """True if no check of the draws failed: they are draws of the posterior of the model."""
        return all(check.about != "draws" for check in self.failed)

    @property
    def verdict(self) -> str:
        """One sentence: whether the draws may be believed, and whether the model may."""
        if not self.sampled:
            return "DO NOT TRUST THESE NUMBERS YET: the posterior failed a check."
        others = [c for c in self.checks if c.about != "draws" and c.passed is not None]
        if self.failed:
            return (
                f"The draws passed their checks; of the {len(others)} others "
                f"{len(self.failed)} failed: read them before relying on the numbers."
            )
        if not any(check.about == "model" for check in others):
            return "The draws passed their checks; whether the model fits its rows was not checked."
        return "The posterior passed its checks."

    def __str__(self) -> str:
        """Return the verdict, then failed checks, then the others."""
        order = {False: 0, True: 1, None: 2}
        ordered = sorted(self.checks, key=lambda check: order[check.passed])
        return "\n".join([self.verdict, *map(str, ordered), *(f"note    {n}" for n in self.notes)])

    def summary(self) -> str:
        """Return the verdict, what failed and the notes in full; how many passed, by kind."""
        told = [str(check) for check in self.checks if check.passed is None]
        counts = []
        for kind in KINDS:
            judged = [
                check for check in self.checks if check.about == kind and check.passed is not None
            ]
            if judged:
                counts.append(f"{kind} {sum(bool(c.passed) for c in judged)} of {len(judged)}")
        passed = f"passed  {', '.join(counts)}"
        notes = [f"note    {note}" for note in self.notes]
        return "\n".join([self.verdict, *map(str, self.failed), passed, *told, *notes])

    def to_frame(self) -> pd.DataFrame:
        """One row per check: about, name, value, threshold, passed (None: information), advice."""
        columns = ("about", "name", "value", "threshold", "passed", "advice")
        rows = [[getattr(check, name) for name in columns] for check in self.checks]
        return pd.DataFrame(rows, columns=list(columns))
