r"""Rows of a pair that lack the cheaper value, where terms are chosen by evidence.

Given the parameters g of the cheaper target and its rows, its values u at the incomplete rows are
Gaussian; `claude_pymc.joint.linked` integrates them out of the primary target's posterior. The
cheaper target's own coefficients are moved then by their regression on u (Matheron's rule).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from claude_pymc.joint.linked import LinkedPosterior
from claude_pymc.joint.pool import Pool, pooled
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stages import Mode
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats

MOST, TRIED = 200, 800  # draws of the cheaper target, and of a set


class Conditional(NamedTuple):
    """Normal posterior of the coefficients of one draw, z of unit prior."""

    mean: np.ndarray
    root: np.ndarray  # lower Cholesky factor of its precision
    tau: np.ndarray
    sigma: float


class Incomplete:
    """Rows without the cheaper value, given draws of the cheaper target.

    Parameters
    ----------
    spec : JointGaussian
        Of a pair, with normal noise.
    stats : PatternStats
        With the rows of the primary target.
    pool : Pool
        Draws of the cheaper target.
    rng : Generator
    number : int
        Draws of the cheaper target to use, at most 500.
    """

    def __init__(
        self,
        spec: JointGaussian,
        stats: PatternStats,
        pool: Pool,
        rng: np.random.Generator,
        number: int,
    ) -> None:
        assert stats.kept is not None
        self.kept, self.pool = stats.kept, pool
        self.place = {term: b for b, term in enumerate(spec.design.terms)}
        lacks = np.isnan(self.kept.y[:, :1])
        self.phi = self.kept.phi[lacks[:, 0]]
        self.which, self.at = pool.resample(min(number, MOST), rng)
        draws, m = len(self.which), len(self.phi)
        centre, spread = np.empty((draws, m)), np.empty((draws, m, m))
        for g, phi, found in self._each(np.arange(draws)):
            half = np.linalg.solve(found.root, (phi * found.tau).T)
            centre[g] = phi @ (found.tau * found.mean)
            spread[g] = half.T @ half + found.sigma**2 * np.eye(m)
        self.spread = spread
        latent = np.where(lacks, np.cumsum(lacks).reshape(lacks.shape) - 1, -1)
        self.cheap = Cheap(np.zeros((1, 0)), centre, np.linalg.cholesky(spread), latent)

    def moved(self, mode: Mode, rng: np.random.Generator) -> Mode:
        """Mode with the linkages among the coordinates, given all rows, from one without.

        Over draws given the complete rows, what the other rows add to the log density is almost
        linear in the coordinates: a + b . x. That moves a Gaussian of covariance S by S b.
        """
        own = len(mode.spec.design.corrections[-1])
        cheap = replace(self.cheap, offset=np.zeros((1, own)))
        every = LinkedPosterior(mode.spec, self.kept, cheap)
        have = np.isfinite(self.kept.y).all(axis=1)
        complete = KeptRows(**{name: a[have] for name, a in self.kept.arrays().items()})
        before = LinkedPosterior(mode.spec, complete, Cheap.nothing(own, len(complete), 1))
        found = pooled([mode], TRIED // 2, rng, lambda name: None)
        points = every.coordinates(found.points[0], found.entries[0][:, : every.linked])
        weights = found.weights
        more = every.batch(points) - before.batch(points)
        mean = weights @ points
        apart = points - mean
        cov = (apart * weights[:, None]).T @ apart
        share = (weights * (more - weights @ more)) @ apart
        slope = np.linalg.solve(cov, share)
        gained = weights @ more + 0.5 * slope @ cov @ slope
        root = np.linalg.cholesky(cov)
        value = mode.log_evidence + float(gained)
        theta = mean + cov @ slope
        return replace(mode, density=every, theta=theta, root=root, log_evidence=value)

    def cheaper(
        self, values: np.ndarray, g: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws of the cheaper target given the values that rows lack.

        Parameters
        ----------
        values : array (draw, row)
        g : array of int (draw)
            Draw of the cheaper target that goes with them.
        rng : Generator

        Returns
        -------
        which, place : arrays of int
            The draw of the cheaper target's pool.
        free : array (draw, basis)
            Its coefficients, given all rows.
        """
        free = np.zeros((len(g), len(self.place)))
        for i, phi, found in self._each(g):
            terms = self._terms(self.pool.modes[self.which[g[i]]])
            begin = self.pool.entries[self.which[g[i]]][self.at[g[i]]][: len(terms)]
            own = phi @ begin + found.sigma * rng.standard_normal(len(phi))
            pull = np.linalg.solve(self.spread[g[i]], values[i] - own)
            moved = np.linalg.solve(found.root, found.tau * (phi.T @ pull))
            free[i, terms] = begin + found.tau * np.linalg.solve(found.root.T, moved)
        return self.which[g], self.at[g], free

    def _each(self, draws: np.ndarray) -> Iterator[tuple[int, np.ndarray, Conditional]]:
        """Yield position, terms of the rows, and posterior of the coefficients of each draw."""
        for i, g in enumerate(draws):
            mode = self.pool.modes[self.which[g]]
            density = mode.density
            assert isinstance(density, PrimaryPosterior)
            theta = self.pool.points[self.which[g]][self.at[g]]
            tau = np.exp(density.scales.log_sd(theta[density.n_sources :]))
            sigma = float(density.noise(theta)[0][0])
            base = density.rows.base * (tau / sigma)
            root = np.linalg.cholesky(np.eye(len(tau)) + base.T @ base)
            mean = np.linalg.solve(root, base.T @ (density.rows.y / sigma))
            mean = np.linalg.solve(root.T, mean)
            yield i, self.phi[:, self._terms(mode)], Conditional(mean, root, tau, sigma)

    def _terms(self, mode: Mode) -> list[int]:
        return [self.place[term] for term in mode.spec.design.corrections[-1]]
