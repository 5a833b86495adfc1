"""Distributions to draw from: mixtures of Student-t that are fitted, skew ones at a mode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp
from scipy.stats import t as student_t

DF = 4.0
DF_SPLIT = 8.0
LEAST_SHARE = 0.01
MORE = 0.2  # share of a component that is added


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of multivariate Student-t distributions with four degrees of freedom.

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
        """Draw points (point, dim), components in proportion."""
        which = systematic(self.shares, number, rng)
        z = rng.standard_normal((number, self.means.shape[1]))
        z /= np.sqrt(rng.chisquare(DF, number) / DF)[:, None]
        return self.means[which] + np.einsum("nij,nj->ni", self.roots[which], z)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        return logsumexp(self._parts(self._distances(points)), axis=0)

    def joined(self, other: Mixture, share: float) -> Mixture:
        """Add the components of another mixture, which gets ``share`` of the draws."""
        return Mixture(
            np.append((1 - share) * self.shares, share * other.shares),
            np.vstack([self.means, other.means]),
            np.concatenate([self.roots, other.roots]),
        )

    def fitted(self, points: np.ndarray, weights: np.ndarray, rounds: int = 10) -> Mixture:
        """Fit to weighted points by expectation-maximisation; empty components are dropped."""
        n, mixture = points.shape[1], self
        effective = 1.0 / np.square(weights).sum()
        mean = weights @ points
        centred = points - mean
        overall = (centred * weights[:, None]).T @ centred
        overall += 1e-6 * np.diag(np.square(mixture.roots).sum(axis=2).max(axis=0))
        for _ in range(rounds):
            distances = mixture._distances(points)
            parts = mixture._parts(distances)
            belongs = weights * np.exp(parts - logsumexp(parts, axis=0))
            shares = belongs.sum(axis=1)
            keep = shares > LEAST_SHARE
            belongs, distances, shares = belongs[keep], distances[keep], shares[keep]
            pull = belongs * (DF + n) / (DF + distances)
            means = (pull @ points) / pull.sum(axis=1)[:, None]
            # A component that few points speak for leans on the covariance of all.
            known = shares * effective / (shares * effective + n)
            roots = np.empty((len(shares), n, n))
            for k, share in enumerate(shares):
                centred = points - means[k]
                own = (centred * pull[k][:, None]).T @ centred / share
                roots[k] = np.linalg.cholesky(known[k] * own + 0.3 * (1 - known[k]) * overall)
            mixture = Mixture(shares / shares.sum(), means, roots)
        return mixture

    def extended(self, points: np.ndarray, weights: np.ndarray) -> Mixture:
        """Add a component where weights are largest."""
        top = np.argsort(-weights)[: max(len(points) // 10, 4 * points.shape[1])]
        share = weights[top] / weights[top].sum()
        mean = share @ points[top]
        centred = points[top] - mean
        least = 1e-3 * np.diag(np.square(self.roots).sum(axis=2).max(axis=0))
        root = np.linalg.cholesky((centred * share[:, None]).T @ centred + least)
        return self.joined(Mixture(np.ones(1), mean[None], root[None]), MORE)

    def _distances(self, points: np.ndarray) -> np.ndarray:
        """Squared distance of points to each component (component, point), in its scale."""
        inverse = np.linalg.inv(self.roots)
        z = (points - self.means[:, None]) @ np.swapaxes(inverse, 1, 2)
        return np.square(z).sum(axis=2)

    def _parts(self, distances: np.ndarray) -> np.ndarray:
        """Log density of each component times its share, (component, point)."""
        n = self.means.shape[1]
        logdet = np.log(np.diagonal(self.roots, axis1=1, axis2=2)).sum(axis=1)
        norm = math.lgamma((DF + n) / 2) - math.lgamma(DF / 2) - 0.5 * n * math.log(DF * math.pi)
        tail = -0.5 * (DF + n) * np.log1p(distances / DF)
        return tail + (norm + np.log(self.shares) - logdet)[:, None]


@dataclass(frozen=True, eq=False)
class Split:
    """Student-t variables along the axes of an ellipsoid, each wider to one side.

    A multivariate Student-t distribution of heavy tails has little mass near its centre in many
    dimensions; independent ones have more, and can be as skew as a density is.

    Parameters
    ----------
    centre : array (dim)
    axes : array (dim, dim)
        Columns are half-axes.
    scale : array (2, dim)
        In units of the half-axes: against and along each.

    Source: Rue, Martino, Chopin, J. R. Stat. Soc. B 71, 319 (2009), sec. 6.5.
    """

    centre: np.ndarray
    axes: np.ndarray
    scale: np.ndarray

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points (point, dim)."""
        size = (number, len(self.centre))
        along = rng.uniform(size=size) * self.scale.sum(axis=0) < self.scale[1]
        z = np.abs(rng.standard_t(DF_SPLIT, size))
        return self.centre + np.where(along, self.scale[1] * z, -self.scale[0] * z) @ self.axes.T

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        z = np.linalg.solve(self.axes, (points - self.centre).T).T
        z = z / np.where(z > 0.0, self.scale[1], self.scale[0])
        found = student_t.logpdf(z, DF_SPLIT) + np.log(2.0 / self.scale.sum(axis=0))
        return np.asarray(found.sum(axis=1) - np.linalg.slogdet(self.axes)[1])


class Distribution(Protocol):
    """What a proposal is made of."""

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points (point, dim)."""
        ...

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        ...


@dataclass(frozen=True, eq=False)
class Defended:
    """A narrow distribution, and a fixed share of the draws from a wide one.

    Importance weights are at most 1 / share of what draws from the wide one alone would have: where
    those are bounded, so are these (Owen, Zhou, J. Am. Stat. Assoc. 95, 135 (2000)).
    """

    narrow: Distribution
    wide: Distribution
    share: float

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points (point, dim), those of the wider distribution last."""
        many = round(self.share * number)
        return np.concatenate([self.narrow.draw(number - many, rng), self.wide.draw(many, rng)])

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        return np.logaddexp(
            math.log1p(-self.share) + self.narrow.log_density(points),
            math.log(self.share) + self.wide.log_density(points),
        )


def mixture_of(points: np.ndarray, components: int, rng: np.random.Generator) -> Mixture:
    """Fit a mixture to points of equal weight, started from clusters."""
    root = np.linalg.cholesky(np.cov(points.T).reshape(points.shape[1], -1))
    means, labels = kmeans2(
        np.linalg.solve(root, points.T).T, components, minit="++", seed=rng, missing="warn"
    )
    counts = np.bincount(labels, minlength=len(means)).astype(float) + 1.0
    start = Mixture(
        counts / counts.sum(), means @ root.T, np.repeat(0.6 * root[None], len(means), axis=0)
    )
    return start.fitted(points, np.full(len(points), 1.0 / len(points)), rounds=20)


def systematic(shares: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw indices in proportion to shares of sum one, with the least scatter of their counts."""
    places = (np.arange(number) + rng.uniform()) / number
    return np.searchsorted(np.cumsum(shares)[:-1], places)
