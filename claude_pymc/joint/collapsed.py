r"""The posterior of linkage, noise and scales, the corrections integrated out exactly.

    p(C, sigma, t | y) ~ p(C, sigma, t) int p(y | C, sigma, R) p(R | sigma, t) dR

in the unconstrained coordinates theta = (free entries of C, log noise, what scales learn), where
the log noise is log(sigma - floor) under `ShrinkagePrior`, log sigma under the others. The integral
is Gaussian (`claude_pymc.joint.collapsed_kernel`); R given theta is drawn from N(bhat, H^-1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from claude_pymc.joint.collapsed_density import FLAT, LKJ, SHRINKAGE, Problem, evaluate
from claude_pymc.joint.density import draw_lkj, lkj_arrays, lkj_batch
from claude_pymc.joint.inputs import sizes_of
from claude_pymc.joint.mixture import Distribution, Mixture
from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.scales import no_scales, scales_of
from claude_pymc.joint.spec import JointGaussian

CHEAP = 150  # entries of R up to which 50000 evaluations take seconds


class Draws(NamedTuple):
    """Columns of the model, one row per point theta."""

    linkage: np.ndarray
    sigma: np.ndarray
    corrections: np.ndarray
    scale: np.ndarray
    length: np.ndarray


class CollapsedPosterior:
    """Log density of theta given statistics, and the corrections given theta.

    Parameters
    ----------
    spec : JointGaussian
    rows, gram : arrays
        As `claude_pymc.joint.inputs.data_of` returns them.
    """

    def __init__(self, spec: JointGaussian, rows: np.ndarray, gram: np.ndarray) -> None:
        self.spec = spec
        self.problem = _problem(spec, rows, gram)
        self.n_links, self.d = len(spec.columns.links), len(spec.columns.variables)
        self.scales = scales_of(spec)
        self.n_hyper = len(self.problem.hyper_mean)
        self.q = len(spec.columns.entries)
        self.dims = self.n_links + self.d + self.n_hyper
        self.exploring = self.q <= CHEAP
        self.exact = True
        self.wide = self._prior()

    def theta(self, linkage: np.ndarray, sigma: np.ndarray, hyper: np.ndarray) -> np.ndarray:
        """Points (..., dim) of given columns and what scales learn."""
        links = [linkage[..., j, k] for j, k, _ in self.spec.columns.links]
        noise = np.log(np.maximum(sigma - self.problem.floor, 1e-300))
        free = np.stack(links, axis=-1) if links else np.zeros((*sigma.shape[:-1], 0))
        return np.concatenate([free, noise, hyper], axis=-1)

    def starts(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Points from which modes are looked for: noises between 1e-4 and 1 of the values."""
        centre = np.array([mean for *_, mean in self.spec.columns.links])
        sizes = np.log(sizes_of(self.spec, self.problem.rows, self.problem.gram))
        link = centre + 0.7 * rng.standard_normal((number, self.n_links))
        noise = sizes + rng.uniform(math.log(1e-4), 0.0, (number, self.d))
        problem = self.problem
        hyper = rng.normal(problem.hyper_mean, problem.hyper_sd, (number, self.n_hyper))
        return np.hstack([link, noise, hyper])

    def _prior(self) -> Distribution | None:
        """Distribution that covers the prior of theta; None for a flat one."""
        problem, n = self.problem, self.n_links
        if problem.kind == FLAT:
            return None
        if problem.kind == LKJ:
            return _LKJ(self)
        mean = np.concatenate(
            [problem.link_mean, np.full(self.d, problem.noise_mean), problem.hyper_mean]
        )
        spread = np.repeat([problem.link_sd, problem.noise_sd], (n, self.d))
        spread = np.concatenate([spread, problem.hyper_sd])
        return Mixture(np.ones(1), mean[None], np.diag(spread)[None])

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and its gradient at one point."""
        gradient = np.empty(self.dims)
        return float(self._run(theta[None], gradient)[0]), gradient

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        return self._run(theta, np.empty(0))

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log density of points (point, dim), and free entries of R drawn given each."""
        free = rng.standard_normal((len(theta), self.q))
        return self._run(theta, np.empty(0), free), free

    def draw(self, theta: np.ndarray, rng: np.random.Generator) -> Draws:
        """Draw the corrections given each point (point, dim)."""
        return self.columns(theta, self.draw_entries(theta, rng)[1])

    def columns(self, theta: np.ndarray, free: np.ndarray) -> Draws:
        """Columns of the model from points (point, dim) and free entries of R (point, entry)."""
        linkage, sigma = self.links(theta)
        corrections = np.zeros((*sigma.shape, len(self.spec.columns.terms)))
        corrections[:, self.problem.owner, self.problem.term] = free
        hyper = theta[:, self.n_links + self.d :]
        scale, length = (hyper, hyper) if self.scales is None else self.scales.split(hyper)
        return Draws(linkage, sigma, corrections, scale, length)

    def links(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C and sigma of points (point, dim)."""
        linkage = np.zeros((len(theta), self.d, self.d))
        for i, (j, k, _) in enumerate(self.spec.columns.links):
            linkage[:, j, k] = theta[:, i]
        noise = theta[:, self.n_links : self.n_links + self.d]
        return linkage, self.problem.floor + np.exp(noise)

    def _run(
        self, theta: np.ndarray, gradient: np.ndarray, free: np.ndarray | None = None
    ) -> np.ndarray:
        values = np.empty(len(theta))
        free = np.empty((0, self.q)) if free is None else free
        evaluate(np.ascontiguousarray(theta), self.problem, values, gradient, free)
        return values


class _LKJ:
    """The LKJ prior of theta. Linkages have heavy tails, in step with the noise."""

    def __init__(self, of: CollapsedPosterior) -> None:
        self.of = of

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points (point, dim)."""
        prior = self.of.spec.prior
        assert isinstance(prior, LKJPrior)
        linkage, sigma = draw_lkj(self.of.spec, prior, number, rng)
        return self.of.theta(linkage, sigma, np.empty((number, 0)))

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        problem = self.of.problem
        noise = problem.noise_mean, problem.noise_sd
        return lkj_batch(*self.of.links(points), problem.linked, problem.shape, *noise)


def _problem(spec: JointGaussian, rows: np.ndarray, gram: np.ndarray) -> Problem:
    """Flatten a specification."""
    prior, columns = spec.prior, spec.columns
    d = len(columns.variables)
    entries = np.array(columns.entries, dtype=np.int64).reshape(-1, 2)
    linked, shape = np.zeros((d, d), dtype=np.bool_), np.zeros(d)
    shrinkage = prior if isinstance(prior, ShrinkagePrior) else ShrinkagePrior()
    scales = scales_of(spec) or no_scales(len(entries))
    lkj = prior if isinstance(prior, LKJPrior) else LKJPrior()
    if isinstance(prior, LKJPrior):
        linked, shape = lkj_arrays(spec, prior)
    return Problem(
        kind={"shrinkage": SHRINKAGE, "lkj": LKJ, "flat": FLAT}[prior.kind],
        floor=FLOOR if prior.kind == "shrinkage" else 0.0,
        links=np.array([link[:2] for link in columns.links], dtype=np.int64).reshape(-1, 2),
        link_mean=np.array([link[2] for link in columns.links], dtype=np.float64),
        link_sd=float(shrinkage.linkage_sd),
        noise_mean=-math.log(lkj.noise) if prior.kind == "lkj" else math.log(shrinkage.noise),
        noise_sd=float(lkj.noise_log_sd if prior.kind == "lkj" else shrinkage.noise_log_sd),
        hyper_mean=scales.mean,
        hyper_sd=scales.sd,
        low=scales.low,
        high=scales.high,
        offset=scales.offset,
        weight=scales.weight,
        half=scales.half,
        frequency=scales.frequency,
        t=float(lkj.t),
        linked=linked,
        shape=shape,
        power=2.0 * (np.array(columns.sizes(), dtype=np.float64) + 1.0),
        start=np.searchsorted(entries[:, 0], np.arange(d + 1)).astype(np.int64),
        term=np.ascontiguousarray(entries[:, 1]),
        owner=np.ascontiguousarray(entries[:, 0]),
        rows=np.ascontiguousarray(rows, dtype=np.float64),
        gram=np.ascontiguousarray(gram, dtype=np.float64),
    )
