r"""Adaptive importance sampling of a density of few dimensions.

The proposal is a mixture of Student-t distributions. It starts as Laplace approximations at the
modes that several ascents find, is fitted to its own weighted draws by expectation-maximisation
(components are added where weights are large), until the weights are even enough, and then draws
once more: those draws alone are used, so that adaptation does not bias them.

Weights are Pareto-smoothed; k-hat above 0.7 says that the proposal misses a tail (Vehtari et al.,
JMLR 25, 72 (2024)). Adaptation: Hoogerheide, Opschoor, van Dijk, J. Econometrics 171, 101 (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

DF = 4.0
ROUNDS = (500, 500, 1000, 2000)  # draws of each round of adaptation
MOST_COMPONENTS, BEST_STARTS = 6, 4
K_HAT = 0.7
# Adaptation hardly gets beyond the one share of effective draws, and must reach the other.
GOOD, POOR = 0.7, 0.2


class Density(Protocol):
    """What is sampled."""

    dims: int

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient at a point."""
        ...

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        ...


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of multivariate Student-t distributions.

    Parameters
    ----------
    shares : array (component)
    means, roots : arrays (component, dim), (component, dim, dim)
        Locations, and lower Cholesky factors of the scale matrices.
    """

    shares: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points, components in proportion."""
        places = (np.arange(number) + rng.uniform()) / number
        which = np.searchsorted(np.cumsum(self.shares)[:-1], places)
        z = rng.standard_normal((number, self.means.shape[1]))
        z /= np.sqrt(rng.chisquare(DF, number) / DF)[:, None]
        return self.means[which] + np.einsum("nij,nj->ni", self.roots[which], z)

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Squared distance of points to each component (component, point), in its scale."""
        inverse = np.linalg.inv(self.roots)
        z = np.einsum("kij,knj->kni", inverse, points - self.means[:, None])
        return np.square(z).sum(axis=2)

    def parts(self, distances: np.ndarray) -> np.ndarray:
        """Log density of each component times its share, (component, point)."""
        n = self.means.shape[1]
        logdet = np.log(np.diagonal(self.roots, axis1=1, axis2=2)).sum(axis=1)
        norm = math.lgamma((DF + n) / 2) - math.lgamma(DF / 2) - 0.5 * n * math.log(DF * math.pi)
        tail = -0.5 * (DF + n) * np.log1p(distances / DF)
        return tail + (norm + np.log(self.shares) - logdet)[:, None]

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        return logsumexp(self.parts(self.distances(points)), axis=0)


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted draws, and how far they can be trusted.

    Parameters
    ----------
    points : array (point, dim)
    weights : array (point)
        Pareto-smoothed, of sum one.
    k_hat : float
        Shape of the tail of the raw weights.
    ess : float
        Effective number of draws, 1 / sum of squared weights.
    log_evidence, log_evidence_se : float
        Logarithm of the integral of the density, and its Monte Carlo standard error.
    evaluations : int
        Of the density, in all.
    modes : int
    """

    points: np.ndarray
    weights: np.ndarray
    k_hat: float
    ess: float
    log_evidence: float
    log_evidence_se: float
    evaluations: int
    modes: int

    def resample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points with equal weights, in random order; systematic resampling."""
        places = (np.arange(number) + rng.uniform()) / number
        which = np.searchsorted(np.cumsum(self.weights)[:-1], places)
        return self.points[rng.permutation(which)]


def importance_sample(
    density: Density, starts: np.ndarray, wanted: int, rng: np.random.Generator
) -> Weighted:
    """Draw until about ``wanted`` effective draws are there.

    Parameters
    ----------
    density : Density
    starts : array (point, dim)
        Points from which modes are looked for; the best few are used.
    wanted : int
        Effective number of draws.
    rng : Generator
    """
    mixture, used = _laplace(density, starts)
    modes, best, kept = len(mixture.shares), 0.0, mixture
    for size in ROUNDS:
        found = _weigh(density, mixture, size, rng)
        used += size
        if found.ess / size > best:
            best, kept = found.ess / size, mixture
        saved = wanted / best - wanted / GOOD  # draws that a better proposal can save
        if saved < size and best > POOR and found.k_hat < K_HAT:
            break
        mixture = _refit(mixture, found.points, found.weights)
    for _ in range(3):
        size = int(np.clip(math.ceil(wanted / max(best, 0.05)), 200, 20 * wanted + 200))
        found = _weigh(density, kept, size, rng)
        used += size
        if found.k_hat < K_HAT:
            break
        kept = _refit(kept, found.points, found.weights)
    return replace(found, evaluations=used, modes=modes)


def _weigh(density: Density, mixture: Mixture, size: int, rng: np.random.Generator) -> Weighted:
    """Draw from the proposal and weigh."""
    points = mixture.draw(size, rng)
    values = density.batch(points)
    ratio = np.where(np.isfinite(values), values, -np.inf) - mixture.log_density(points)
    weights, k_hat = smoothed(ratio)
    top = ratio.max()
    raw = np.exp(ratio - top)
    se = float(raw.std(ddof=1) / raw.mean() / math.sqrt(size))
    ess = float(1.0 / np.square(weights).sum())
    return Weighted(points, weights, k_hat, ess, float(np.log(raw.mean()) + top), se, size, 0)


def smoothed(ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Pareto-smoothed weights of log ratios, and k-hat."""
    from arviz_stats.base import array_stats

    log_weights, k_hat = array_stats.psislw(-ratio)  # it takes log-likelihoods, as for LOO
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(k_hat)


def _laplace(density: Density, starts: np.ndarray) -> tuple[Mixture, int]:
    """Student-t distributions at the modes that the best starts lead to."""
    values = density.batch(starts)
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf))[:BEST_STARTS]
    used = len(starts)
    found: list[tuple[float, np.ndarray, np.ndarray]] = []

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density.evaluate(theta)
        if not np.isfinite(value):
            return np.inf, np.zeros_like(theta)
        return -value, -gradient

    for start in starts[order]:
        result = minimize(negative, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-3})
        used += result.nfev
        if not np.isfinite(result.fun):
            continue
        if any(-result.fun < best - 15.0 for best, *_ in found):
            continue
        near = [np.square(np.linalg.solve(root, result.x - x)).sum() for _, x, root in found]
        if near and min(near) < 1.0:
            continue
        root, more = _curvature(density, result.x)
        used += more
        found.append((-result.fun, result.x, root))
    heights = np.array([v + np.log(np.diag(r)).sum() for v, _, r in found])
    shares = np.exp(heights - logsumexp(heights))
    shares = (shares + 0.05) / (shares + 0.05).sum()
    return Mixture(
        shares, np.array([x for _, x, _ in found]), np.array([r for *_, r in found])
    ), used


def _curvature(density: Density, mode: np.ndarray, step: float = 1e-3) -> tuple[np.ndarray, int]:
    """Lower root of the inverse Hessian at a mode; directions without curvature get sd 3."""
    n = len(mode)
    hessian = np.empty((n, n))
    for i in range(n):
        shift = np.zeros(n)
        shift[i] = step
        ahead, behind = density.evaluate(mode + shift)[1], density.evaluate(mode - shift)[1]
        hessian[i] = (behind - ahead) / (2 * step)
    if not np.isfinite(hessian).all():
        return np.eye(n), 2 * n
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    covariance = (vectors / np.maximum(values, 0.1)) @ vectors.T
    return np.linalg.cholesky(covariance), 2 * n


def _refit(mixture: Mixture, points: np.ndarray, weights: np.ndarray) -> Mixture:
    """One more component where weights are large, then expectation-maximisation."""
    n = points.shape[1]
    if len(mixture.shares) < MOST_COMPONENTS and len(points) > 20 * n:
        top = np.argsort(-weights)[: max(len(points) // 10, 4 * n)]
        share = weights[top] / weights[top].sum()
        mean = share @ points[top]
        centred = points[top] - mean
        covariance = (centred * share[:, None]).T @ centred
        root = _root(covariance, mixture)
        mixture = Mixture(
            np.append(0.8 * mixture.shares, 0.2),
            np.vstack([mixture.means, mean]),
            np.concatenate([mixture.roots, root[None]]),
        )
    for _ in range(10):
        distances = mixture.distances(points)
        parts = mixture.parts(distances)
        belongs = weights * np.exp(parts - logsumexp(parts, axis=0))
        shares = belongs.sum(axis=1)
        keep = shares > 0.01
        if not keep.all():
            mixture = Mixture(
                mixture.shares[keep] / mixture.shares[keep].sum(),
                mixture.means[keep],
                mixture.roots[keep],
            )
            continue
        pull = belongs * (DF + n) / (DF + distances)
        means = (pull @ points) / pull.sum(axis=1)[:, None]
        roots = []
        for k in range(len(shares)):
            centred = points - means[k]
            covariance = (centred * pull[k][:, None]).T @ centred / shares[k]
            roots.append(_root(covariance, mixture))
        mixture = Mixture(shares / shares.sum(), means, np.array(roots))
    return mixture


def _root(covariance: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Lower root, kept from collapsing onto few points."""
    scale = np.square(mixture.roots).sum(axis=2).max(axis=0)
    return np.linalg.cholesky(covariance + 1e-3 * np.diag(scale))
