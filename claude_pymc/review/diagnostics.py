"""One table of checks, on which it depends whether a posterior may be believed."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.errors import CandidateError, Notice, SamplingError, TableError
from claude_pymc.joint.asked import descriptors_of, known_of, lacks
from claude_pymc.joint.chained import chained
from claude_pymc.joint.convergence import Check, convergence
from claude_pymc.joint.left_out import left_out
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.review.against_prior import conflict_check, sensitivity_check
from claude_pymc.review.against_rows import (
    LeaveOneOut,
    StandsOut,
    leave_one_out,
    leave_one_out_checks,
    pattern_checks,
    standing_out,
)
from claude_pymc.review.identified import linkage_checks, noise_checks
from claude_pymc.review.own_models import own_checks
from claude_pymc.review.used import (
    KNOWN,
    PRIOR,
    extrapolation_check,
    rests,
    rests_check,
)
from claude_pymc.tables.patterns import columns_of
from claude_pymc.tables.table import Table

KINDS = ("draws", "model", "prior", "linkage", "use")
MOST_PLACES = 200


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
        The ten values with a high Pareto k, or furthest out in the tails of their prediction.
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
        judged = sum(check.passed is not None for check in self.checks)
        if not self.sampled:
            return "DO NOT TRUST THESE NUMBERS YET: the posterior failed a check."
        if self.failed:
            return (
                f"The draws passed their checks; the model failed {len(self.failed)} of {judged} "
                "checks: read them before relying on the numbers."
            )
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


def diagnose(
    idata: Any,
    table: Table | None = None,
    *,
    candidates: Any = None,
    spec: JointGaussian | None = None,
) -> Diagnostics:
    """Check draws, and with the rows also the model, its prior, its linkage, and its use.

    Nothing is fitted: everything is computed from draws and rows. Of draws: R-hat, effective sizes,
    divergences and E-BFMI, or the importance weights of exact draws. With ``table``:

    - model: predictive p-values by missingness pattern, Pareto k, leave-one-out coverage and PIT by
      target (`claude_pymc.review.against_rows`);
    - prior: conflict with the rows, sensitivity by power-scaling
      (`claude_pymc.review.against_prior`);
    - linkage: shared rows, contraction, agreement of its sources, noise away from zero
      (`claude_pymc.review.identified`);
    - use: what predictions rest on, extrapolation (`claude_pymc.review.used`).

    Parameters
    ----------
    idata : DataTree or JointPosterior
        As :func:`claude_pymc.sample` or :func:`claude_pymc.fit` returns it. Draws of another model
        are checked as far as their groups allow (`claude_pymc.review.own_models`).
    table : Table, optional
        The rows of the fit.
    candidates : DataFrame, Table or array (candidate, descriptor), optional
        Where predictions are wanted; by default the rows whose primary target was not measured,
        or all rows.
    spec : JointGaussian, optional
        By default that of the attributes of ``idata``.

    Returns
    -------
    Diagnostics
        ``.ok``, ``.sampled``, ``.failed``, ``.checks``, ``.to_frame()``; ``print`` it to read it.

    Raises
    ------
    SamplingError
        If there is no posterior group, or the draws are constant.
    TableError
        If the rows are not of the design.

    Examples
    --------
    >>> print(diagnose(idata))                       # doctest: +SKIP
    >>> diagnose(post, table, candidates=mesh).ok    # doctest: +SKIP
    """
    tree = getattr(idata, "idata", idata)
    checks = list(convergence(tree))
    notes = []
    accept = tree.attrs.get("target_accept")
    if accept is not None:
        notes.append(f"sampled with target_accept = {accept}")
    if spec is None and "spec" not in tree.attrs:
        if table is not None or candidates is not None:
            raise SamplingError(
                "draws with a specification, where rows or candidates are given",
                f"attributes {list(tree.attrs)}",
                "draws of a model of your own, or a tree that lost its attributes",
                "pass spec=, or give the draws alone: their groups are checked",
            )
        return Diagnostics((*checks, *own_checks(tree)), tuple(notes))
    post = idata if isinstance(idata, JointPosterior) else JointPosterior(tree, spec)
    if table is not None and not isinstance(table, Table):
        raise TableError(
            "a table of the rows of the fit",
            type(table).__name__,
            "a data frame does not say which columns are descriptors and which targets",
            "make one: Table.from_frame(frame, descriptors, targets)",
        )
    checks += [conflict_check(post), *noise_checks(post), *linkage_checks(post, table)]
    if table is None:
        notes.append("give the rows to check the model, too: diagnose(post, table)")
        return Diagnostics(_in_order(checks), tuple(notes))
    rows = _measured(post, table)
    table = table.rows(rows)
    chain = chained(post, table)
    loo = leave_one_out(chain, left_out(post, table))
    checks += [*pattern_checks(chain), *leave_one_out_checks(loo)]
    post = post.thinned(len(chain.score))
    means, slopes, places, x, what = _predicted(post, table, candidates)
    log_likelihood = chain.log_from(0).sum(axis=1)
    found = rests(post, table, chain, means, slopes)
    checks += [
        sensitivity_check(post, log_likelihood, means, places),
        rests_check(found, post.targets, places),
        extrapolation_check(post, table, x, what),
    ]
    columns = [KNOWN, *(f"rows of {t}" for t in post.targets)]
    frame = pd.DataFrame(found.weights, columns=columns, index=pd.Index(places, name="at"))
    frame[PRIOR] = found.prior
    labels = list(table.labels) or [str(i) for i in rows]
    far = tuple(standing_out(loo, labels))
    return Diagnostics(_in_order(checks), tuple(notes), loo, frame, far)


def _in_order(checks: list[Check]) -> tuple[Check, ...]:
    """Sort checks by what they are about, each kind in the order in which it was made."""
    return tuple(itertools.chain(*([c for c in checks if c.about == kind] for kind in KINDS)))


def _measured(post: JointPosterior, table: Table) -> np.ndarray:
    """Positions of rows with a value of a target of the design.

    Raises
    ------
    TableError
        If there is none, or the table is of another design.
    """
    _, y = columns_of(table, post.spec.design)
    rows = np.isfinite(y).any(axis=1)
    if not rows.any():
        raise TableError(
            f"rows with a value of one of {list(post.targets)}",
            f"none in {len(table)} rows",
            "a table of candidates, or the columns of another study",
            "pass the rows of the fit",
        )
    return np.flatnonzero(rows)


def _predicted(
    post: JointPosterior, table: Table, candidates: Any
) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray, str]:
    """Predict the primary target, on the modelled scale, where it is wanted.

    Returns
    -------
    means : array (draw, place)
    slopes : array (place)
        Sum of the sizes of the slopes in the cheaper values that are known at the place.
    places : list of str
    x : array (candidate, descriptor)
        Of all candidates.
    what : str
        What they are.
    """
    frame, what = candidates, "candidates"
    if frame is None:
        missing = np.isnan(columns_of(table, post.spec.design)[1][:, -1])
        frame = table.rows(missing) if missing.any() else table
        what = f"rows without {post.targets[-1]}" if missing.any() else "rows"
    x, labels = descriptors_of(frame, post.descriptors)
    given = {}
    if isinstance(frame, Table):
        cheaper = [t for t in post.targets[:-1] if t in frame.targets]
        given = {t: frame.y[:, frame.targets.index(t)] for t in cheaper}
    known = known_of(given, len(x), post.spec.design)
    able = ~lacks(post.spec, x, known).any(axis=1)
    if post.spec.likelihood == "conditional":
        able &= post.spec.design.usable(x)[:, -1]
    at = np.flatnonzero(able)
    if not len(at):
        raise CandidateError(
            f"a place where {post.targets[-1]!r} can be predicted",
            f"none among {len(x)} {what}",
            "an empty table, or empty cells of descriptors",
            "fill them, or pass candidates",
        )
    at = at[np.linspace(0, len(at) - 1, min(len(at), MOST_PLACES)).round().astype(int)]
    design, known = post.spec.design, known[at]

    def means_of(values: np.ndarray) -> np.ndarray:
        """Draws of the mean given cheaper values (place, target), on the modelled scale."""
        natural = design.from_model(values.copy())
        told = {t: natural[:, j] for j, t in enumerate(post.targets[:-1])}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # extrapolation is one of the checks
            draws = post.predict(x[at], "mean", told).draws
        return np.asarray(design.to_model(draws.to_numpy())[:, :, -1])

    means = means_of(known)
    slopes = np.zeros(len(at))
    for j in range(known.shape[1] - 1):
        if np.isfinite(known[:, j]).any():
            step = means_of(known + np.eye(known.shape[1])[j]).mean(axis=0) - means.mean(axis=0)
            slopes += np.abs(step)
    return means, slopes, [str(labels[i]) for i in at], x, what
