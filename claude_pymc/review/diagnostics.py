"""One table of checks, on which it depends whether a posterior may be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from claude_pymc.joint.convergence import Check, convergence


@dataclass(frozen=True)
class Diagnostics:
    """Checks of a posterior; printing it says failures first.

    Parameters
    ----------
    checks : tuple of Check
    notes : tuple of str
        Facts that neither pass nor fail.
    """

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if every check passed."""
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        """Return the verdict, then failed checks, then the others."""
        verdict = (
            "The posterior passed its checks."
            if self.ok
            else "DO NOT TRUST THESE NUMBERS YET: the posterior failed a check."
        )
        ordered = sorted(self.checks, key=lambda check: check.passed)
        return "\n".join([verdict, *map(str, ordered), *(f"note    {n}" for n in self.notes)])

    def to_frame(self) -> pd.DataFrame:
        """One row per check: name, value, threshold, passed, advice."""
        return pd.DataFrame([vars(check) for check in self.checks])


def diagnose(idata: Any) -> Diagnostics:
    """Check R-hat, effective sample sizes and divergences, or the weights of exact draws.

    Parameters
    ----------
    idata : DataTree or JointPosterior
        As :func:`claude_pymc.sample` or :func:`claude_pymc.fit` returns it.

    Returns
    -------
    Diagnostics
        ``.ok``, ``.checks``, ``.to_frame()``; ``print`` it to read it.

    Raises
    ------
    SamplingError
        If there is no posterior group, or the draws are constant.

    Examples
    --------
    >>> print(diagnose(idata))   # doctest: +SKIP
    """
    idata = getattr(idata, "idata", idata)
    notes = []
    shared = idata.attrs.get("shared_rows")
    if shared is not None:
        text = f"{shared} of {idata.attrs['n_rows']} rows have the primary and a cheaper target"
        if shared == 0:
            text += ": the linkage is known only through the terms outside the correction set"
        notes.append(text)
    accept = idata.attrs.get("target_accept")
    if accept is not None:
        notes.append(f"sampled with target_accept = {accept}")
    return Diagnostics(convergence(idata), tuple(notes))
