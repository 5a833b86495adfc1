"""One table of checks, on which it depends whether a posterior may be believed."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from claude_pymc.errors import CandidateError, Notice, SamplingError, TableError
from claude_pymc.joint.asked import descriptors_of, known_of, lacks
from claude_pymc.joint.chained import Chained, chained
from claude_pymc.joint.convergence import Check, convergence
from claude_pymc.joint.left_out import left_out
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.rows import same_rows
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.review.against_prior import conflict_check, sensitivity_check
from claude_pymc.review.against_rows import (
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
    odd_values,
    rests,
    rests_check,
)
from claude_pymc.review.verdict import KINDS, Diagnostics
from claude_pymc.tables.patterns import columns_of
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

MOST_PLACES = 200
MOST_ROWS, SEED = 4000, 20251129  # rows that the model is checked on, and how they are drawn
NOISE_FREE = "its values have none to speak of: spread and leave-one-out are not judged"
FEWEST = 100  # draws, below which no weights can be smoothed


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
        ``print`` it to read it; ``.ok``, ``.sampled``, ``.failed``, ``.checks``, ``.to_frame()``;
        with ``table`` also ``.loo``, ``.shares`` and ``.standing_out``, the values to look at.

    Raises
    ------
    SamplingError
        If there is no posterior group, or the draws are constant.
    TableError
        If the rows are not of the design.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> found = diagnose(post, table)
    >>> [check.name for check in found.checks if check.passed is False]
    ['contraction of the linkage of exp on sim', 'what predictions rest on']
    """
    tree = getattr(idata, "idata", idata)
    if not isinstance(tree, xr.DataTree):
        raise SamplingError(
            "draws, as a DataTree or a JointPosterior",
            type(idata).__name__,
            "a path, or arguments in another order",
            "load a file by JointPosterior.load(path)",
        )
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
        sizes = tree["posterior"].sizes
        if sizes[CHAIN] * sizes[DRAW] < FEWEST:
            notes.append(f"fewer than {FEWEST} draws: the model is not checked")
            return Diagnostics(tuple(checks), tuple(notes))
        return Diagnostics((*checks, *own_checks(tree)), tuple(notes))
    post = idata if isinstance(idata, JointPosterior) else JointPosterior(tree, spec)
    if table is not None and not isinstance(table, Table):
        raise TableError(
            "a table of the rows of the fit",
            type(table).__name__,
            "a data frame does not say which columns are descriptors and which targets",
            "make one: Table.from_frame(frame, descriptors, targets)",
        )
    if tree.attrs.get("method") != "prior":
        checks += [conflict_check(post), *noise_checks(post), *linkage_checks(post, table)]
    if table is None:
        notes.append("give the rows to check the model, too: diagnose(post, table)")
        return Diagnostics(_in_order(checks), tuple(notes))
    if tree.attrs.get("method") == "prior":
        raise SamplingError(
            "draws from a posterior, where rows are given",
            "draws from the prior",
            "the result of sample_prior",
            "fit the rows; draws from the prior are looked at by plot_slices",
        )
    rows = _measured(post, table)
    notes += odd_values(table)
    table = table.rows(rows)
    checks.append(_rows_of_the_fit(post, table))
    total = table
    if len(table) > MOST_ROWS:
        notes.append(f"the model is checked on {MOST_ROWS} of {len(table)} rows, drawn at random")
        drawn = np.sort(np.random.default_rng(SEED).permutation(len(table))[:MOST_ROWS])
        rows, table = rows[drawn], table.rows(drawn)
    if len(post.draws_of("sigma")) < FEWEST:
        notes.append(f"fewer than {FEWEST} draws: the model is not checked")
        return Diagnostics(_in_order(checks), tuple(notes))
    chain = chained(post, table)
    seen, exact = _with_noise(chain)
    checks += [Check(f"noise of {t}", NOISE_FREE, "", None, "", "model") for t in exact]
    labels = table.labels or tuple(str(i) for i in rows)
    loo = leave_one_out(seen, left_out(post, table), labels)
    checks += [*pattern_checks(seen), *leave_one_out_checks(loo)]
    post = chain.post
    means, slopes, places, x, what = _predicted(post, total, candidates)
    log_likelihood = chain.log_from(0).sum(axis=1)
    times = _counts(post, total) / np.maximum(_counts(post, table), 1)
    found = rests(post, table, chain, means, slopes, times)
    checks += [
        sensitivity_check(post, log_likelihood, means, places),
        rests_check(found, post.targets, places),
        extrapolation_check(post, total, x, what),
    ]
    columns = [KNOWN, *(f"rows of {t}" for t in post.targets)]
    frame = pd.DataFrame(found.weights, columns=columns, index=pd.Index(places, name="at"))
    frame[PRIOR] = found.prior
    far = tuple(standing_out(loo))
    return Diagnostics(_in_order(checks), tuple(notes), loo, frame, far)


def _counts(post: JointPosterior, table: Table) -> np.ndarray:
    """Count the values of each target (target)."""
    return np.asarray(np.isfinite(columns_of(table, post.spec.design)[1]).sum(axis=0))


def _with_noise(chain: Chained) -> tuple[Chained, list[str]]:
    """Leave out targets whose noise is at its floor, where scores are round-off; and name them."""
    sigma = chain.post.draws_of("sigma")
    exact = np.quantile(sigma, 0.95, axis=0) < 10.0 * FLOOR
    score = np.where(exact, np.nan, chain.score)
    return replace(chain, score=score), [
        t for t, is_exact in zip(chain.targets, exact, strict=True) if is_exact
    ]


def _rows_of_the_fit(post: JointPosterior, table: Table) -> Check:
    """Check that the draws are from these rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        same = same_rows(post.idata, PatternStats.from_table(table, post.spec.design))
    return Check(
        "rows are those of the fit",
        "they are" if same else f"the {len(table)} rows are others",
        "the same values",
        same,
        "what follows is about other rows than the draws: give those of the fit, or fit again",
    )


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


def _reached(post: JointPosterior, x: np.ndarray) -> bool:
    """Say whether the functions of the basis hold at a place (descriptor)."""
    try:
        post.spec.design.refuse_beyond(x[None])
    except TableError:
        return False
    return True


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
        rows, values = columns_of(table, post.spec.design)
        missing = np.isnan(values[:, -1])
        if post.spec.likelihood == "conditional":  # a simulation may lack what is needed
            able = post.spec.design.usable(rows)[:, -1]
            table, missing = table.rows(able), missing[able]
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
    at = np.array([i for i in at if _reached(post, x[i])], dtype=int)
    if not len(at):
        raise CandidateError(
            f"{what} within the reach of the basis",
            f"none of {len(x)}",
            "places far outside of the bounds of the design",
            "make the design with wider bounds, and fit again",
        )
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
