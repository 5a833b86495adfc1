r"""What predictions rest on: weights of the sources, the share of the prior, extrapolation.

*Weights.* To first order the posterior mean of a prediction mu moves with a measured value by
(infinitesimal sensitivity; m and s are mean and sd of a value given the cheaper ones of its row)

    d E mu / d y_ij = w_ij Cov(mu, m_ij) - sum_k>j w_ik Cov(mu, m_ik) d m_ik / d y_ij,   w = s^-2,

and with a cheaper value that is known at the place itself as the conditional mean does. The weight
of a source is the sum of the sizes of these slopes, on the scaled targets, over the sum of all.

*Share of the prior.* If the rows of source j counted a_j times, noise and scales held, the variance
V of the mean would fall by -d log V / d a_j = sum_i w_ij Cov(mu, m_ij)^2 / V at a_j = 1. In a
linear model with a flat prior these shares of the sources sum to one; what is left is the share of
the prior. Monte Carlo adds w_ij Var(m_ij) / S to each term with S draws, which is taken off.

*Extrapolation.* A candidate is beyond the rows if a descriptor is outside of their range, or if its
leverage x' (X'X)^-1 x is larger than that of every row (hidden extrapolation: Montgomery, Peck,
Vining, Introduction to Linear Regression Analysis, sec. 3.8); a category that no row has counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from claude_pymc.joint.chained import Chained, chained
from claude_pymc.joint.convergence import Check
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.tables.categories import Category
from claude_pymc.tables.table import Table

KNOWN, PRIOR = "values known there", "prior"
HALF, FEW = 0.5, 0.1  # share of the prior that is too much; share of places where it may be
TOLERANCE = 1e-9
FAR = 20.0  # quartile distances from the median


class Rests(NamedTuple):
    """What predictions rest on.

    Parameters
    ----------
    weights : array (place, 1 + target)
        Of the cheaper values known at the place, and of the rows of each target; of sum one.
    prior : array (place)
        Share of the prior in what decides the variance.
    """

    weights: np.ndarray
    prior: np.ndarray


def rests(
    post: JointPosterior,
    table: Table,
    chain: Chained,
    means: np.ndarray,
    known: np.ndarray,
    times: np.ndarray | None = None,
) -> Rests:
    """Weights of the sources, and the share of the prior.

    Parameters
    ----------
    post, table, chain
        As in :func:`claude_pymc.joint.chained.chained`.
    means : array (draw, place)
        Of the primary target, on the modelled scale.
    known : array (place)
        Sum of the sizes of the slopes in the cheaper values that are known there.
    times : array (target), optional
        How many values of each target one of the table stands for.
    """
    mu, size, d = means - means.mean(axis=0), len(means), len(chain.targets)
    variance = np.maximum(np.square(mu).mean(axis=0), 1e-300)
    times = np.ones(d) if times is None else times
    share = np.zeros(mu.shape[1])
    pull = np.zeros((mu.shape[1], *chain.measured.shape))  # w_ij Cov(mu, m_ij)
    doubt = np.zeros_like(pull)
    for j in range(d):
        at = np.flatnonzero(chain.measured[:, j])
        weight = 1.0 / np.square(chain.sd[:, at, j]).mean(axis=0)
        m = chain.centre[:, at, j] - chain.centre[:, at, j].mean(axis=0)
        covariance, spread = mu.T @ m / size, np.square(m).mean(axis=0)
        share += times[j] * (np.square(covariance) * weight).sum(axis=1) / variance
        share -= times[j] * (spread * weight).sum() / size
        pull[:, at, j] = covariance * weight
        doubt[:, at, j] = variance[:, None] * spread * weight**2 / size
    slopes = pull.copy()
    for j in range(d - 1):
        moved = chained(post, table, np.eye(d)[j])
        for k in range(j + 1, d):
            both = np.flatnonzero(chain.measured[:, j] & chain.measured[:, k])
            change = (moved.centre - chain.centre)[:, both, k].mean(axis=0)
            slopes[:, both, j] -= pull[:, both, k] * change
            doubt[:, both, j] += doubt[:, both, k] * change**2
    size_of = times * np.sqrt(np.maximum(np.square(slopes) - doubt, 0.0)).sum(axis=1)
    weights = np.column_stack([known, size_of])
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return Rests(weights, np.clip(1.0 - share, 0.0, 1.0))


def rests_check(found: Rests, targets: tuple[str, ...], places: list[str]) -> Check:
    """Check that few predictions rest on the prior."""
    worst = int(np.argmax(found.prior))
    many = float((found.prior > HALF).mean())
    weights = np.median(found.weights, axis=0)
    names = [KNOWN, *(f"rows of {t}" for t in targets)]
    told = [f"{n} {100 * w:.0f} %" for n, w in zip(names, weights, strict=True) if w > 0]
    return Check(
        "what predictions rest on",
        f"{', '.join(told)} (median weights of {len(places)} predictions); share of the prior "
        f"{100 * float(np.median(found.prior)):.0f} %, most at {places[worst]}: "
        f"{100 * found.prior[worst]:.0f} %",
        f"more than half on the prior in at most {100 * FEW:.0f} % of them; it is "
        f"{100 * many:.0f} %",
        many <= FEW,
        "these predictions say what was believed before: measure nearer to them, or do not use "
        "them",
        "use",
    )


def odd_values(table: Table) -> list[str]:
    """Say what looks like a mistake in a table: copies of rows, labels, zeros for empty cells."""
    found = []
    values = np.nan_to_num(np.hstack([table.x, table.y]), nan=np.inf)
    copies = len(values) - len(np.unique(values, axis=0))
    if copies:
        found.append(f"{copies} of {len(values)} rows are copies of others, value by value")
    repeated = len(table.labels) - len(set(table.labels))
    if repeated:
        found.append(f"{repeated} labels are those of other rows")
    for name, column in zip(table.descriptors, table.x.T, strict=True):
        have = column[np.isfinite(column)]
        low, middle, high = np.quantile(have, [0.25, 0.5, 0.75]) if len(have) else (0.0, 0.0, 0.0)
        far = have[np.abs(have - middle) > FAR * (high - low)]
        if len(far) and high > low and not isinstance(name, Category):
            found.append(f"{len(far)} values of {name} are far from all others, such as {far[0]:g}")
    for name in (name for name in table.descriptors if isinstance(name, Category)):
        alike: dict[str, list[str]] = {}
        for text in name.categories:
            alike.setdefault("".join(text.lower().split()), []).append(text)
        found += [
            f"categories {texts} of {name} differ by capitals or spaces alone"
            for texts in alike.values()
            if len(texts) > 1
        ]
    for name, column in zip(table.targets, table.y.T, strict=True):
        zeros, measured = int((column == 0.0).sum()), int(np.isfinite(column).sum())
        if zeros >= 3 and zeros > 0.1 * measured:
            found.append(
                f"{zeros} of {measured} values of {name} are exactly zero: a cell is left empty "
                "where nothing was measured"
            )
    return found


def beyond(rows: np.ndarray, at: np.ndarray, text: list[bool]) -> np.ndarray:
    """Boolean (candidate): extrapolation from ``rows`` (row, descriptor) to ``at``.

    ``text`` says which descriptors hold categories.
    """
    found = np.zeros(len(at), dtype=bool)
    numbers = [i for i, is_text in enumerate(text) if not is_text]
    for i, is_text in enumerate(text):
        have = rows[:, i][np.isfinite(rows[:, i])]
        if is_text:
            found |= ~np.isin(at[:, i], have) & np.isfinite(at[:, i])
        elif len(have):
            slack = TOLERANCE * max(float(np.ptp(have)), abs(float(have[0])))
            found |= (at[:, i] < have.min() - slack) | (at[:, i] > have.max() + slack)
    complete = rows[:, numbers][np.isfinite(rows[:, numbers]).all(axis=1)]
    if len(numbers) > 1 and len(complete) > len(numbers) + 1:
        centre, spread = complete.mean(axis=0), complete.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (complete - centre) / spread
        inverse = np.linalg.pinv(scaled.T @ scaled, rcond=1e-10, hermitian=True)
        top = np.einsum("ni,ij,nj->n", scaled, inverse, scaled).max()
        wanted = (at[:, numbers] - centre) / spread
        leverage = np.einsum("ni,ij,nj->n", wanted, inverse, wanted)
        found |= leverage > top * (1.0 + TOLERANCE)
    return found


def extrapolation_check(post: JointPosterior, table: Table, x: np.ndarray, what: str) -> Check:
    """Check that few candidates (candidate, descriptor) are beyond the measured rows."""
    names = post.descriptors
    order = [table.descriptors.index(name) for name in names]
    measured = np.isfinite(table.y).any(axis=1)
    text = [isinstance(name, Category) for name in names]
    far = beyond(table.x[measured][:, order], x, text)
    share = float(far.mean()) if len(far) else 0.0
    return Check(
        f"extrapolation, {what}",
        f"{int(far.sum())} of {len(far)} beyond the measured rows",
        f"at most {100 * FEW:.0f} %",
        share <= FEW,
        "predictions there rest on the basis and on the prior alone: measure or simulate near "
        "them first, or leave them out",
        "use",
    )
