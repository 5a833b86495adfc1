r"""Does the model fit its rows: predictive p-values by pattern, leave-one-out by target.

Given theta the normal scores z of the measured values (`claude_pymc.joint.chained`) are standard
normal and independent, so that for the n values of one target in the rows of one pattern

    p_mean = E_theta P(N(0, 1) > sum z / sqrt n),      p_spread = E_theta P(chi2_n > sum z^2)

are posterior predictive p-values (Gelman, Meng, Stern, Statistica Sinica 6, 733 (1996)) whose
replicates are integrated out. They use each value twice and are therefore cautious: what is wrong
with a pattern moves the fit. Where other patterns have m values of the same target, the difference
of the two means, N(0, 1/n + 1/m), and the ratio of the two mean squares, F(n, m), see it too.

Leaving out value j of a row and the dearer ones has the importance weights
1 / p(y_j .. y_d | cheaper ones, theta), smoothed by Pareto's distribution (Vehtari et al., JMLR 25,
72 (2024)); the weighted mean of Phi(z_j) is the leave-one-out PIT. Where it can be, theta is
linkage, noise and scales alone (`claude_pymc.joint.left_out`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from scipy.stats import binomtest, chi2
from scipy.stats import f as f_ratio

from claude_pymc.joint.chained import Chained
from claude_pymc.joint.convergence import Check
from claude_pymc.joint.left_out import LeftOut
from claude_pymc.review.uniformity import uniformity_p_value
from claude_pymc.tables.patterns import by_pattern

LEVEL = 0.01  # p-values below it, after correction for their number, are a failure
PROB = 0.9  # of the intervals whose coverage is looked at
NULL_DRAWS = 20_000  # behind a p-value of uniformity
FAR = LEVEL  # corrected tail probability of a value that is far from its prediction
FEW = 5  # values, from which on coverage and PIT are judged
PValues = dict[tuple[str, str], float]  # by target, and what of it
WORDS = {"mean": "is off on average", "spread": "scatters more or less than expected"}


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Leave-one-out figures of each measured value; arrays (row, target), NaN if not measured.

    Parameters
    ----------
    targets : tuple of str
    pit : array
        P(Y_j <= y_j) given the cheaper values of the row, the value itself and the dearer ones of
        its row left out of the fit: uniform if the model is right.
    pareto_k : array
        Of the importance weights: above ``limit`` a figure may be far off.
    limit : float
    labels : tuple of str
        Of the rows.
    """

    targets: tuple[str, ...]
    pit: np.ndarray
    pareto_k: np.ndarray
    limit: float
    labels: tuple[str, ...] = ()


class StandsOut(NamedTuple):
    """A measured value that stands out."""

    row: str
    target: str
    tail: float  # 2 min(PIT, 1 - PIT)
    pareto_k: float


def leave_one_out(
    chain: Chained, left: LeftOut | None = None, labels: tuple[str, ...] = ()
) -> LeaveOneOut:
    """Leave out the values one by one, by importance weights.

    With ``left`` the coefficients are integrated out: only linkage, noise and scales are weighted.
    """
    pit = np.full(chain.score.shape[1:], np.nan)
    k = np.full_like(pit, np.nan)
    score = chain.score if left is None else left.score
    for j in range(pit.shape[1]):
        at = np.flatnonzero(chain.measured[:, j])
        if not len(at):
            continue
        density = chain.log_from(j)[:, at] if left is None else left.log_density[:, at, j]
        log_weights, k[at, j] = smoothed(density)
        pit[at, j] = (np.exp(log_weights) * ndtr(score[:, at, j]).T).sum(axis=1)
    pit = np.clip(pit, 0.0, 1.0)
    return LeaveOneOut(chain.targets, pit, k, largest_k(len(score)), labels)


def smoothed(log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log weights (value, draw) of sum one that leave out values, and their Pareto k (value).

    The weights are 1 / density; ``log_density`` (draw, value).
    """
    from arviz_stats.base import array_stats

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of weights all alike
        log_weights, k = array_stats.psislw(log_density.T)  # which takes log-likelihoods
    return log_weights, k


def largest_k(draws: int) -> float:
    """Largest Pareto k that so many draws can bear."""
    return min(1.0 - 1.0 / np.log10(max(draws, 20)), 0.7)


def pattern_checks(chain: Chained) -> list[Check]:
    """One check for each pattern of measured targets, over its targets."""
    parts: list[tuple[str, PValues]] = []
    for pattern, rows in by_pattern(chain.measured).items():
        names = [t for t, has in zip(chain.targets, pattern, strict=True) if has]
        found: PValues = {}
        for name in names:
            j = chain.targets.index(name)
            others = np.setdiff1d(np.flatnonzero(chain.measured[:, j]), rows)
            for kind, p in _p_values(chain.score[:, rows, j], chain.score[:, others, j]).items():
                found[name, kind] = p
        parts.append((f"{len(rows)} rows with {' and '.join(names)}", found))
    tests = sum(len(found) for _, found in parts)
    several = chain.measured.any(axis=0)
    patterns = np.array(list(by_pattern(chain.measured)))[:, several].sum(axis=0)
    tests -= 2 * int((patterns == 2).sum())  # beside each other: the same two tests twice
    return [p_check(found, rows, tests) for rows, found in parts]


def _p_values(z: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Two-sided p-values of scores (draw, value) of a pattern, beside those of other patterns."""
    n, m = z.shape[1], others.shape[1]
    square = np.square(z).mean(axis=1)
    upper = {
        "mean": ndtr(-z.mean(axis=1) * np.sqrt(n)),
        "spread": chi2.sf(n * square, n),
    }
    if m:
        apart = (z.mean(axis=1) - others.mean(axis=1)) / np.sqrt(1.0 / n + 1.0 / m)
        upper["mean beside other rows"] = ndtr(-apart)
        upper["spread beside other rows"] = f_ratio.sf(
            square / np.square(others).mean(axis=1), n, m
        )
    means = {kind: float(p.mean()) for kind, p in upper.items()}
    return {kind: 2.0 * min(p, 1.0 - p) for kind, p in means.items()}


def p_check(found: PValues, rows: str, tests: int) -> Check:
    """Judge the smallest of the p-values of some rows."""
    (name, kind), p = min(found.items(), key=lambda item: item[1])
    adjusted = min(1.0, p * tests)
    return Check(
        f"predictive p-value, {rows}",
        f"{adjusted:.2g} ({kind} of {name})",
        f"at least {LEVEL}, corrected for {tests} tests",
        bool(adjusted >= LEVEL),
        f"{name} {WORDS[kind.split()[0]]} in these rows: look for a unit, a site or a method that "
        "differs from the other rows, or for a missing descriptor or term",
        "model",
    )


def leave_one_out_checks(loo: LeaveOneOut) -> list[Check]:
    """Rows with a high Pareto k; coverage and PIT of each target."""
    judged = np.isfinite(loo.pit)
    tail = np.minimum(1.0, 2.0 * np.minimum(loo.pit, 1.0 - loo.pit)[judged] * judged.sum())
    moving = loo.pareto_k > loo.limit
    high, far = int(moving.sum()), int((tail[moving[judged]] < FAR).sum())
    largest = f", largest {np.nanmax(loo.pareto_k):.2f}" if high else ""
    checks = [
        _furthest(loo, tail),
        Check(
            "values with a high Pareto k",
            f"{high} of {np.isfinite(loo.pareto_k).sum()} above {loo.limit:.2f}{largest}; "
            f"{far} of them far from their prediction",
            "none of them far",
            far == 0,
            "single values decide the posterior: look at those that stand out, check "
            "them, or try Student-t noise; leave-one-out is not reliable for them",
            "model",
        ),
    ]
    for j, name in enumerate(loo.targets):
        pit = loo.pit[:, j][np.isfinite(loo.pit[:, j])]
        if len(pit) < FEW:
            text = f"{len(pit)} values of {name}, too few to judge"
            checks.append(Check(f"leave-one-out, {name}", text, "", None, "", "model"))
            continue
        checks += [_coverage(name, pit), _uniform(name, pit)]
    return checks


def _furthest(loo: LeaveOneOut, tail: np.ndarray) -> Check:
    """Check that no single value is too far out; ``tail`` is corrected for their number."""
    name = "furthest value, left out"
    if not len(tail):
        return Check(name, "no values", "", None, "", "model")
    row, j = np.argwhere(np.isfinite(loo.pit))[int(np.argmin(tail))]
    label = loo.labels[row] if loo.labels else str(row)
    return Check(
        name,
        f"{loo.targets[j]} of row {label}, p-value {tail.min():.2g}",
        f"at least {LEVEL}, corrected for {len(tail)} values",
        bool(tail.min() >= LEVEL),
        "look at this value: a slip, another unit or phase, or noise with heavy tails "
        '(noise = "student")',
        "model",
    )


def _coverage(name: str, pit: np.ndarray) -> Check:
    """Share of values within their leave-one-out interval."""
    inside = int((np.abs(pit - 0.5) <= PROB / 2).sum())
    test = binomtest(inside, len(pit), PROB)
    ends = test.proportion_ci(method="wilson")
    return Check(
        f"leave-one-out coverage, {name}",
        f"{inside} of {len(pit)} in their {100 * PROB:.0f} % interval = "
        f"{100 * inside / len(pit):.0f} % (95 % interval {100 * ends.low:.0f} to "
        f"{100 * ends.high:.0f} %)",
        f"p-value at least {LEVEL}; it is {test.pvalue:.2g}",
        bool(test.pvalue >= LEVEL),
        "intervals are too narrow or too wide: look at the pattern p-values, then for missing "
        "terms (too narrow) or noise that a few rows inflate (too wide)",
        "model",
    )


def _uniform(name: str, pit: np.ndarray) -> Check:
    """Uniformity of the leave-one-out PIT."""
    p = uniformity_p_value(pit, NULL_DRAWS)
    side, width = float(pit.mean() - 0.5), float(np.abs(pit - 0.5).mean() - 0.25)
    if abs(side) > 2.0 * abs(width):
        what = f"predictions are too {'low' if side > 0 else 'high'} more often than not"
        todo = "look for a missing correction, or a unit"
    elif width < 0:
        what = "most values are nearer to their prediction than its interval says"
        todo = 'a few far values may inflate the noise: look at them, or try noise = "student"'
    else:
        what = "values are further from their prediction than its interval says"
        todo = "look for missing terms or descriptors"
    return Check(
        f"leave-one-out PIT, {name}",
        f"p-value of uniformity {p:.2g}, {len(pit)} values",
        f"at least {LEVEL}",
        bool(p >= LEVEL),
        f"{what}: {todo}",
        "model",
    )


def standing_out(loo: LeaveOneOut, most: int = 10) -> list[StandsOut]:
    """Name the values furthest out in the tails of their own prediction, worst first."""
    found: list[StandsOut] = []
    for i, j in itertools.product(*map(range, loo.pit.shape)):
        if np.isfinite(loo.pit[i, j]):
            tail = 2.0 * min(loo.pit[i, j], 1.0 - loo.pit[i, j])
            label = loo.labels[i] if loo.labels else str(i)
            found.append(StandsOut(label, loo.targets[j], tail, float(loo.pareto_k[i, j])))
    return sorted(found, key=lambda row: row.tail)[:most]
