r"""Rows of a pair that lack the cheaper value, where terms are chosen by evidence.

Given the parameters g of the cheaper target and its rows, its values u at the incomplete rows are
Gaussian; `claude_pymc.joint.linked` integrates them out of the primary target's posterior. The
cheaper target's own coefficients are moved then by their regression on u (Matheron's rule).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from claude_pymc.joint.linked import LinkedPosterior
from claude_pymc.joint.pool import Pool, pooled
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stages import Mode
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats

MOST, TRIED = 200, 300  # draws of the cheaper target, and of a set


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
        self.sigma, self.carried = np.empty(draws), []
        for g in range(draws):
            terms, found = self._conditional(g)
            scaled = (self.phi[:, terms] * found.tau).T
            half = solve_triangular(found.root, scaled, lower=True, check_finite=False)
            centre[g] = found.mean @ scaled
            spread[g] = half.T @ half + found.sigma**2 * np.eye(m)
            self.sigma[g] = found.sigma
            back = solve_triangular(found.root, half, lower=True, trans=1, check_finite=False)
            self.carried.append((terms, found.tau[:, None] * back))
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
        found = pooled([mode], TRIED, rng, lambda name: None)
        _, place = found.resample(TRIED, rng)
        points = every.coordinates(
            found.points[0][place], found.entries[0][place][:, : every.linked]
        )
        more = every.batch(points) - before.batch(points)
        mean = points.mean(axis=0)
        apart = points - mean
        cov = apart.T @ apart / TRIED
        slope = np.linalg.solve(cov, apart.T @ (more - more.mean()) / TRIED)
        gained = more.mean() + 0.5 * slope @ cov @ slope
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
        for i, draw in enumerate(g):
            terms, carried = self.carried[draw]
            begin = self.pool.entries[self.which[draw]][self.at[draw]][: len(terms)]
            noise = self.sigma[draw] * rng.standard_normal(len(self.phi))
            apart = values[i] - self.phi[:, terms] @ begin - noise
            free[i, terms] = begin + carried @ np.linalg.solve(self.spread[draw], apart)
        return self.which[g], self.at[g], free

    def _conditional(self, g: int) -> tuple[list[int], Conditional]:
        """Terms of a draw's set, and the posterior of their coefficients."""
        mode = self.pool.modes[self.which[g]]
        density = mode.density
        assert isinstance(density, PrimaryPosterior)
        theta = self.pool.points[self.which[g]][self.at[g]]
        tau = np.exp(density.scales.log_sd(theta[density.n_sources :]))
        sigma, rows = float(density.noise(theta)[0][0]), density.rows
        gram = rows.gram if len(rows.gram) else rows.base.T @ rows.base
        root = np.linalg.cholesky(np.eye(len(tau)) + gram * np.outer(tau, tau) / sigma**2)
        mean = cho_solve((root, True), tau * (rows.base.T @ rows.y) / sigma**2, check_finite=False)
        return self._terms(mode), Conditional(mean, root, tau, sigma)

    def _terms(self, mode: Mode) -> list[int]:
        return [self.place[term] for term in mode.spec.design.corrections[-1]]
