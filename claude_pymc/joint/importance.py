r"""Adaptive importance sampling of a density of few dimensions.

The proposal is a mixture of Student-t distributions. It starts as Laplace approximations at the
modes that several ascents find, and is fitted to its own weighted draws by expectation-maximisation
(a component is added where weights are large) until that no longer pays. A fifth of all draws comes
from a distribution as wide as the prior: a neck of the density that no draw has entered would show
in no weight. Where weights remain uneven, an ensemble of walkers explores the density and the
mixture is fitted to where they went. Then the proposal draws once more: those draws alone are used,
so that adaptation cannot bias them.

Weights are Pareto-smoothed; k-hat above 0.7 says that the proposal misses a tail (Vehtari et al.,
JMLR 25, 72 (2024)). Adaptation: Hoogerheide, Opschoor, van Dijk, J. Econometrics 171, 101 (2012).
Walkers: Goodman, Weare, Comm. App. Math. Comp. Sci. 5, 65 (2010); ter Braak, Stat. Comput. 16, 239
(2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.special import logsumexp

from claude_pymc.joint.ascent import ascend
from claude_pymc.joint.convergence import K_HAT
from claude_pymc.joint.mixture import Defended, Distribution, Mixture, mixture_of, systematic

WIDE = 0.2  # share of the draws that comes from a distribution as wide as the prior
ROUNDS = (500, 500, 1000, 2000)  # draws of each round of adaptation
MOST_COMPONENTS, BEST_STARTS = 6, 12
# Adaptation hardly gets beyond the one share of effective draws, and should reach the other.
GOOD, POOR = 0.7, 0.1
WALKERS, STEPS, KEPT, COMPONENTS = 300, 150, 6, 8
LONG, STRIDE, PIECES = 0.9, 1.0, 3  # sds of a mode: long, and between pieces to either side
FAR = 15.0  # modes that are lower than the highest by this are left out


class Density(Protocol):
    """What is sampled."""

    dims: int
    exploring: bool
    exact: bool  # `batch` gives the density, not an approximation or one of several

    @property
    def wide(self) -> Distribution | None:
        """A distribution that covers the density, such as its prior; None if there is none."""
        ...

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at a point."""
        ...

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        ...

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log density of points, and a draw of what is integrated out given each."""
        ...


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted draws, and how far they can be trusted.

    Parameters
    ----------
    points : array (point, dim)
    entries : array (point, entry)
        Draws of what the density has integrated out, given each point.
    weights : array (point)
        Pareto-smoothed, of sum one.
    ratios : array (point)
        Logarithms of the raw weights: log density less that of the proposal.
    k_hat : float
        Shape of the tail of the raw weights.
    ess : float
        Effective number of draws, 1 / sum of squared weights.
    log_evidence, log_evidence_se : float
        Logarithm of the integral of the density, and its Monte Carlo standard error.
    evaluations : int
        Of the density, in all.
    """

    points: np.ndarray
    entries: np.ndarray
    weights: np.ndarray
    ratios: np.ndarray
    k_hat: float
    ess: float
    log_evidence: float
    log_evidence_se: float
    evaluations: int

    @property
    def share(self) -> float:
        """Effective draws per draw."""
        return self.ess / len(self.points)

    def ess_of(self, number: int) -> float:
        """Effective number of ``number`` points that are drawn with equal weights.

        Rounding the number of times a point is drawn adds a variance of at most 1/4 for each.
        """
        return 1.0 / (1.0 / self.ess + 0.25 / number)

    def clustered(self, cluster: np.ndarray) -> Weighted:
        """Return the same draws, with ``ess`` and ``log_evidence_se`` of clusters of points.

        Points of one cluster share what was drawn once for all of them, so that their weights vary
        together. With S_g the sum of the raw weights of cluster g, n_g its size, and m the mean
        weight, the error of m is that of a ratio, sum_g S_g / sum_g n_g.

        Parameters
        ----------
        cluster : integer array (point)
        """
        _, place, size = np.unique(cluster, return_inverse=True, return_counts=True)
        raw = np.exp(self.ratios - self.ratios.max())
        off = np.bincount(place, raw) / raw.mean() - size
        groups = len(size)
        se = math.sqrt(groups / (groups - 1) * np.square(off).sum()) / len(raw)
        ess = float(1.0 / np.square(np.bincount(place, self.weights)).sum())
        return replace(self, ess=ess, log_evidence_se=se)

    def resample(self, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw points, with their entries, with equal weights, in random order."""
        chosen = rng.permutation(systematic(self.weights, number, rng))
        return self.points[chosen], self.entries[chosen]


def importance_sample(
    density: Density,
    starts: np.ndarray,
    wanted: int,
    rng: np.random.Generator,
    stage: Callable[[str], None] = lambda name: None,
    *,
    entries: bool = True,
) -> Weighted:
    """Draw until about ``wanted`` effective draws are there, or say by k-hat that it failed.

    Parameters
    ----------
    density : Density
    starts : array (point, dim)
        Points from which modes are looked for; the best few are used.
    wanted : int
        Effective number of draws.
    rng : Generator
    stage : callable
        Told the name of each stage, for a progress display.
    entries : bool
        Draw what is integrated out, too.
    """
    counting = _Counting(density)
    mixture = _laplace(counting, starts, stage)
    best, kept = 0.0, mixture
    for number, size in enumerate(ROUNDS, 1):
        stage(f"round {number} of adaptation, {size} draws")
        tried = mixture
        found = _weigh(counting, mixture, size, rng)
        if found.share > best:
            best, kept = found.share, mixture
        saved = wanted / best - wanted / GOOD  # draws that a better proposal can save
        if saved < size and best > POOR and found.k_hat < K_HAT:
            break
        if len(mixture.shares) < MOST_COMPONENTS:
            mixture = mixture.extended(found.points, found.weights)
        mixture = mixture.fitted(found.points, found.weights)
        if kept is not tried:  # a fit to few effective draws may be worse than what there was
            mixture = kept.joined(mixture, 0.5)
    for further in range(3):
        if density.exploring and (further or best < POOR):
            walkers = (1 + (further == 2)) * WALKERS
            stage(f"{walkers} walkers explore what is left")
            kept = _explored(counting, found, kept, walkers, rng)
        elif further:
            kept = kept.extended(found.points, found.weights)
            kept = kept.fitted(found.points, found.weights)
        if further or best < POOR:
            best = _weigh(counting, kept, ROUNDS[0], rng).share
        size = int(np.clip(math.ceil(1.1 * wanted / best), 200, 20 * wanted + 200))
        stage(f"last {size} draws")
        found = _weigh(counting, kept, size, rng, entries=entries)
        if found.k_hat < K_HAT and found.ess > 0.5 * wanted:
            break
    return replace(found, evaluations=counting.count)


class _Counting:
    """A density that counts its evaluations."""

    def __init__(self, density: Density) -> None:
        self.density, self.wide, self.count = density, density.wide, 0

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        self.count += 1
        return self.density.evaluate(theta)

    def batch(self, theta: np.ndarray) -> np.ndarray:
        self.count += len(theta)
        values = self.density.batch(theta)
        return np.where(np.isfinite(values), values, -np.inf)

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        self.count += len(theta)
        values, entries = self.density.draw_entries(theta, rng)
        return np.where(np.isfinite(values), values, -np.inf), entries


def _weigh(
    density: _Counting,
    mixture: Mixture,
    size: int,
    rng: np.random.Generator,
    *,
    entries: bool = False,
) -> Weighted:
    """Draw from the proposal and weigh; if ``entries``, draw what is integrated out, too."""
    proposal: Distribution = mixture
    if density.wide is not None:
        proposal = Defended(mixture, density.wide, WIDE)
    points = proposal.draw(size, rng)
    if entries:
        values, drawn = density.draw_entries(points, rng)
    else:
        values, drawn = density.batch(points), np.empty((size, 0))
    ratio = values - proposal.log_density(points)
    weights, k_hat = smoothed(ratio)
    top = ratio.max()
    raw = np.exp(ratio - top)
    se = float(raw.std(ddof=1) / raw.mean() / math.sqrt(len(raw)))
    ess = float(1.0 / np.square(weights).sum())
    log_evidence = float(np.log(raw.mean()) + top)
    return Weighted(points, drawn, weights, ratio, k_hat, ess, log_evidence, se, 0)


def smoothed(ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Pareto-smoothed weights of log ratios, and k-hat."""
    from arviz_stats.base import array_stats

    if np.ptp(ratio) < 1e-10:  # nothing to smooth
        return np.full(len(ratio), 1.0 / len(ratio)), -math.inf
    try:
        log_weights, k_hat = array_stats.psislw(-ratio)  # it takes log-likelihoods, as for LOO
    except ValueError:  # a tail of equal values
        log_weights, k_hat = ratio, math.inf
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(k_hat)


def _laplace(density: _Counting, starts: np.ndarray, stage: Callable[[str], None]) -> Mixture:
    """Student-t distributions at the modes that the best starts lead to."""
    order = np.argsort(-density.batch(starts))[:BEST_STARTS]
    found: list[tuple[float, np.ndarray, np.ndarray]] = []

    def known(theta: np.ndarray) -> bool:
        return any(np.square(scale @ (theta - mode)).sum() < len(theta) for mode, scale in near)

    near: list[tuple[np.ndarray, np.ndarray]] = []
    for number, start in enumerate(starts[order], 1):
        stage(f"ascent {number} of {len(order)}")
        reached = ascend(density.evaluate, start, known)
        highest = max((value for value, *_ in found), default=-np.inf)
        if reached is None or reached[1] < highest - FAR or known(reached[0]):
            continue
        mode, value = reached
        root = _curvature(density, mode)
        near.append((mode, np.linalg.inv(root)))
        found.append((value, mode, root))
    ridges = [_ridge(density, one, i) for one in found for i in _long(one[2])]
    found += [one for ridge in ridges for one in ridge]
    heights = np.array([value + np.log(np.diag(root)).sum() for value, _, root in found])
    shares = np.exp(heights - logsumexp(heights)) + 0.05
    means, roots = (np.array([one[i] for one in found]) for i in (1, 2))
    return Mixture(shares / shares.sum(), means, roots)


def _long(root: np.ndarray) -> np.ndarray:
    """Coordinates along which a mode is so long that its widths may change on the way."""
    return np.flatnonzero(np.sqrt(np.square(root).sum(axis=1)) > LONG)


def _ridge(
    density: _Counting, mode: tuple[float, np.ndarray, np.ndarray], i: int
) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Laplace approximations where coordinate i is held beside its mode: pieces of a funnel.

    A linkage is known as well as the noise is small, so that the posterior of both narrows where
    the logarithm of the noise falls: one ellipsoid fits its wide end or its narrow one.
    """
    value, centre, root = mode
    if len(centre) == 1:
        return []  # nothing narrows
    others = np.arange(len(centre)) != i
    covariance = root @ root.T
    sd = math.sqrt(covariance[i, i])
    slope = covariance[others, i] / covariance[i, i]
    inverse = covariance[np.ix_(others, others)] - np.outer(slope, slope) * covariance[i, i]
    pieces = []
    for sign in (-1.0, 1.0):
        at, point = centre.copy(), centre.copy()
        for _ in range(PIECES):
            at[i] += sign * STRIDE * sd
            at[others] = point[others] + slope * (at[i] - point[i])

            def held(x: np.ndarray, at: np.ndarray = at) -> tuple[float, np.ndarray]:
                full = at.copy()
                full[others] = x
                height, gradient = density.evaluate(full)
                return height, gradient[others]

            reached = ascend(held, at[others], lambda x: False, inverse)
            if reached is None or reached[1] < value - FAR:
                break
            point = at.copy()
            point[others] = reached[0]
            hessian = _hessian(density, point)
            if not np.isfinite(hessian).all():  # at a wall
                break
            within = _inverse(hessian[np.ix_(others, others)])
            slope = within @ -hessian[others, i]
            whole = np.empty_like(covariance)
            wide = (0.7 * STRIDE * sd) ** 2
            whole[i, i] = wide
            whole[others, i] = whole[i, others] = slope * wide
            whole[np.ix_(others, others)] = within + np.outer(slope, slope) * wide
            try:
                pieces.append((reached[1], point, np.linalg.cholesky(whole)))
            except np.linalg.LinAlgError:  # too narrow for its round-off
                break
            inverse = within
    return pieces


def _curvature(density: _Counting, mode: np.ndarray) -> np.ndarray:
    """Lower root of the inverse Hessian at a mode; directions without curvature get sd 3."""
    hessian = _hessian(density, mode)
    if not np.isfinite(hessian).all():
        return np.eye(len(mode))
    return np.linalg.cholesky(_inverse(hessian))


def _hessian(density: _Counting, point: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Minus the second derivatives, by differences of gradients."""
    n = len(point)
    hessian = np.empty((n, n))
    for i in range(n):
        shift = np.zeros(n)
        shift[i] = step
        ahead, behind = density.evaluate(point + shift)[1], density.evaluate(point - shift)[1]
        hessian[i] = (behind - ahead) / (2 * step)
    return (hessian + hessian.T) / 2


def _inverse(hessian: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(hessian)
    return np.asarray((vectors / np.maximum(values, 0.1)) @ vectors.T)


def _explored(
    density: _Counting, found: Weighted, mixture: Mixture, walkers: int, rng: np.random.Generator
) -> Mixture:
    """Mixture fitted to where an ensemble of walkers went, by stretches and by differences."""
    half = walkers // 2
    # Two halves of walkers, each moved along directions that the other one gives.
    x = np.stack([found.resample(half, rng)[0], mixture.draw(half, rng)])
    x = rng.permutation(x.reshape(walkers, -1)).reshape(2, half, -1)
    values = np.stack([density.batch(one) for one in x])
    n, kept = x.shape[2], []
    for step in range(STEPS):
        for one, other in ((0, 1), (1, 0)):
            first = rng.integers(half, size=half)
            if rng.uniform() < 0.5:
                stretch = (1.0 + rng.uniform(size=half)) ** 2 / 2.0
                proposed = x[other, first] + stretch[:, None] * (x[one] - x[other, first])
                jacobian = (n - 1) * np.log(stretch)
            else:
                second = (first + rng.integers(1, half, size=half)) % half
                length = 2.38 / math.sqrt(2 * n) * rng.uniform(0.3, 1.0, half)
                length[rng.uniform(size=half) < 0.2] = 1.0  # jumps between modes
                proposed = x[one] + length[:, None] * (x[other, first] - x[other, second])
                jacobian = np.zeros(half)
            new = density.batch(proposed)
            with np.errstate(invalid="ignore"):
                moved = np.log(rng.uniform(size=half)) < new - values[one] + jacobian
            x[one, moved], values[one, moved] = proposed[moved], new[moved]
        if step >= STEPS // 2 and (step - STEPS // 2) % (STEPS // 2 // KEPT) == 0:
            kept.append(x.reshape(walkers, -1).copy())
    points = np.concatenate(kept)
    return mixture_of(points[np.isfinite(points).all(axis=1)], COMPONENTS, rng)
