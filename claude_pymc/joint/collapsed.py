r"""The posterior of linkage, noise and scales, the corrections integrated out exactly.

    p(C, sigma, t | y) ~ p(C, sigma, t) int p(y | C, sigma, R) p(R | sigma, t) dR

in the unconstrained coordinates theta = (free entries of C, log noise, log scales), where the log
noise is log(sigma - floor) under `ShrinkagePrior` and log sigma under the others. The integral is
Gaussian (`claude_pymc.joint.collapsed_kernel`); R given theta is drawn from N(bhat, H^-1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from claude_pymc.joint.collapsed_kernel import collapsed
from claude_pymc.joint.density import (
    LOG_2PI,
    draw_lkj,
    entry_groups,
    lkj_arrays,
    lkj_batch,
    lkj_loops,
)
from claude_pymc.joint.inputs import sizes_of
from claude_pymc.joint.mixture import Distribution, Mixture
from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.tiles import padded, solve_transposed

SHRINKAGE, LKJ, FLAT = range(3)
CHEAP = 150  # entries of R up to which 50000 evaluations take seconds


class Problem(NamedTuple):
    """Specification and statistics as the loops take them."""

    kind: int
    floor: float
    links: np.ndarray  # (link, 2): variable, earlier variable
    link_mean: np.ndarray
    link_sd: float
    noise_mean: float
    noise_sd: float
    scale_mean: float
    scale_sd: float
    constant_sd: float
    t: float
    linked: np.ndarray
    shape: np.ndarray
    power: np.ndarray  # flat prior: the density is prod sigma_j^-power_j in log sigma
    start: np.ndarray
    term: np.ndarray
    owner: np.ndarray  # (entry): variable
    scale: np.ndarray  # (entry): learned scale, -1 if none
    rows: np.ndarray
    gram: np.ndarray


class Draws(NamedTuple):
    """Columns of the model, one row per point theta."""

    linkage: np.ndarray
    sigma: np.ndarray
    corrections: np.ndarray
    scale: np.ndarray


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
        self.n_scales = len(spec.groups) if spec.prior.kind == "shrinkage" else 0
        self.q = len(spec.columns.entries)
        self.dims = self.n_links + self.d + self.n_scales
        self.exploring = self.q <= CHEAP
        self.wide = self._prior()

    def theta(self, linkage: np.ndarray, sigma: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Points (..., dim) of given columns, the inverse of what :meth:`draw` returns."""
        links = [linkage[..., j, k] for j, k, _ in self.spec.columns.links]
        noise = np.log(np.maximum(sigma - self.problem.floor, 1e-300))
        free = np.stack(links, axis=-1) if links else np.zeros((*sigma.shape[:-1], 0))
        return np.concatenate([free, noise, np.log(scale)], axis=-1)

    def starts(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Points from which modes are looked for: noises between 1e-4 and 1 of the values."""
        centre = np.array([mean for *_, mean in self.spec.columns.links])
        sizes = np.log(sizes_of(self.spec, self.problem.rows, self.problem.gram))
        link = centre + 0.7 * rng.standard_normal((number, self.n_links))
        noise = sizes + rng.uniform(math.log(1e-4), 0.0, (number, self.d))
        scale = rng.normal(self.problem.scale_mean, self.problem.scale_sd, (number, self.n_scales))
        return np.hstack([link, noise, scale])

    def _prior(self) -> Distribution | None:
        """Distribution that covers the prior of theta; None for a flat one."""
        problem, n = self.problem, self.n_links
        if problem.kind == FLAT:
            return None
        if problem.kind == LKJ:
            return _LKJ(self)
        sizes = (n, self.d, self.n_scales)
        mean = np.repeat([0.0, problem.noise_mean, problem.scale_mean], sizes)
        mean[:n] = problem.link_mean
        spread = np.repeat([problem.link_sd, problem.noise_sd, problem.scale_sd], sizes)
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
        return Draws(linkage, sigma, corrections, np.exp(theta[:, self.n_links + self.d :]))

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
        _evaluate(np.ascontiguousarray(theta), self.problem, values, gradient, free)
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
        scale_mean=math.log(shrinkage.scale),
        scale_sd=float(shrinkage.scale_log_sd),
        constant_sd=float(shrinkage.constant_sd),
        t=float(lkj.t),
        linked=linked,
        shape=shape,
        power=2.0 * (np.array(columns.sizes(), dtype=np.float64) + 1.0),
        start=np.searchsorted(entries[:, 0], np.arange(d + 1)).astype(np.int64),
        term=np.ascontiguousarray(entries[:, 1]),
        owner=np.ascontiguousarray(entries[:, 0]),
        scale=entry_groups(spec).astype(np.int64),
        rows=np.ascontiguousarray(rows, dtype=np.float64),
        gram=np.ascontiguousarray(gram, dtype=np.float64),
    )


@njit(cache=True, error_model="numpy")
def _unpack(
    theta: np.ndarray, problem: Problem, linkage: np.ndarray, sigma: np.ndarray, sd: np.ndarray
) -> None:
    """C, sigma and the prior sds of the entries at theta."""
    n, d = len(problem.links), len(sigma)
    for i in range(n):
        linkage[problem.links[i, 0], problem.links[i, 1]] = theta[i]
    for j in range(d):
        sigma[j] = problem.floor + np.exp(theta[n + j])
    for e in range(len(sd)):
        if problem.kind == SHRINKAGE:
            g = problem.scale[e]
            sd[e] = problem.constant_sd if g < 0 else np.exp(theta[n + d + g])
            if sd[e] == np.inf:  # too large a number, not a flat prior
                sd[e] = np.nan
        elif problem.kind == LKJ:
            sd[e] = problem.t * sigma[problem.owner[e]]
        else:
            sd[e] = np.inf


@njit(cache=True, error_model="numpy")
def _normal(x: float, mean: float, sd: float) -> float:
    """Log density of a normal distribution."""
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * LOG_2PI


@njit(cache=True, error_model="numpy")
def log_posterior(
    theta: np.ndarray,
    problem: Problem,
    mean: np.ndarray,
    root: np.ndarray,
    gradient: np.ndarray,
    want: bool,
) -> float:
    """Log density at theta; fill bhat, L and, if wanted, the gradient."""
    d, q, n = problem.rows.shape[1], len(problem.term), len(problem.links)
    linkage, sigma, sd = np.zeros((d, d)), np.empty(d), np.empty(q)
    g_linkage, g_sigma, g_sd = np.zeros((d, d)), np.zeros(d), np.empty(q)
    _unpack(theta, problem, linkage, sigma, sd)
    value = collapsed(
        linkage,
        sigma,
        sd,
        problem.start,
        problem.term,
        problem.rows,
        problem.gram,
        mean,
        root,
        g_linkage,
        g_sigma,
        g_sd,
        want,
    )
    if not value > -np.inf:
        gradient[:] = np.nan
        return -np.inf
    if want:
        for i in range(n):
            gradient[i] = g_linkage[problem.links[i, 0], problem.links[i, 1]]
        for j in range(d):
            gradient[n + j] = g_sigma[j]
        gradient[n + d :] = 0.0
        for e in range(q):
            if problem.kind == LKJ:
                gradient[n + problem.owner[e]] += problem.t * g_sd[e]
            elif problem.kind == SHRINKAGE and problem.scale[e] >= 0:
                gradient[n + d + problem.scale[e]] += sd[e] * g_sd[e]
        for j in range(d):
            gradient[n + j] *= sigma[j] - problem.floor
    if problem.kind == SHRINKAGE:
        for i in range(n):
            value += _normal(theta[i], problem.link_mean[i], problem.link_sd)
            gradient[i] -= (theta[i] - problem.link_mean[i]) / problem.link_sd**2
        for j in range(n, n + d):
            value += _normal(theta[j], problem.noise_mean, problem.noise_sd)
            gradient[j] -= (theta[j] - problem.noise_mean) / problem.noise_sd**2
        for g in range(n + d, len(theta)):
            value += _normal(theta[g], problem.scale_mean, problem.scale_sd)
            gradient[g] -= (theta[g] - problem.scale_mean) / problem.scale_sd**2
    elif problem.kind == LKJ:
        g_linkage[:], g_sigma[:] = 0.0, 0.0
        value += lkj_loops(
            linkage,
            sigma,
            problem.linked,
            problem.shape,
            problem.noise_mean,
            problem.noise_sd,
            g_linkage,
            g_sigma,
        )
        for i in range(n):
            gradient[i] += g_linkage[problem.links[i, 0], problem.links[i, 1]]
        for j in range(d):
            gradient[n + j] += g_sigma[j]
    else:
        for j in range(d):
            value -= problem.power[j] * theta[n + j]
            gradient[n + j] -= problem.power[j]
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def _evaluate(
    points: np.ndarray,
    problem: Problem,
    values: np.ndarray,
    gradient: np.ndarray,
    free: np.ndarray,
) -> None:
    """Log density of points; the gradient of the last one and draws of b, unless empty.

    One entry for everything, because each would be compiled with all it calls. Without the lock of
    the interpreter, so that a progress display goes on. ``free`` holds
    standard normal numbers, and afterwards draws of b.
    """
    q = len(problem.term)
    size = padded(q)
    mean, root, slope = np.empty(q), np.empty((size, size)), np.empty(points.shape[1])
    want = len(gradient) > 0
    for i in range(len(points)):
        values[i] = log_posterior(points[i], problem, mean, root, slope, want)
        if want:
            gradient[:] = slope
        if len(free) > 0:
            solve_transposed(root, free[i])
            for e in range(q):
                free[i, e] += mean[e]
