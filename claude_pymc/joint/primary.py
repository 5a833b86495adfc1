r"""The posterior of the primary target given the cheaper ones, where rows are needed one by one.

    y_i = sum_k c_k y_ik + sum_m gamma_m psi_m(x_i) y_i,near + R . phi(x_i) + e_i

with the noise of `claude_pymc.joint.noise`. In theta = (log noise of each source, log nu, what
scales learn) the density is sampled; the coefficients (c, gamma, R), and cheaper values that a row
lacks, are integrated out (`claude_pymc.joint.laplace`, `claude_pymc.joint.mixed`).

Draws of the cheaper targets' parameters enter as they are: by the chain rule the posterior is

    p(cheap parameters | cheap values) p(theta, ... | primary values, cheap parameters)

times what the primary values say of the cheap parameters, which importance weights take up. They
say something only where a row lacks a cheaper value, or scales are tied.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from claude_pymc.joint.conjugate import dual, plain
from claude_pymc.joint.laplace import (
    Rows,
    climb,
    gradient,
    weigh,
    workspace,
)
from claude_pymc.joint.mixed import approximate, estimate
from claude_pymc.joint.mixture import Mixture
from claude_pymc.joint.noise import LOG_2PI
from claude_pymc.joint.priors import FLOOR, ShrinkagePrior
from claude_pymc.joint.row_arrays import Cheap, complete_rows, rows_of
from claude_pymc.joint.scales import Scales, scales_of
from claude_pymc.joint.spec import VARYING, JointGaussian
from claude_pymc.joint.tiles import solve_transposed
from claude_pymc.tables.kept import KeptRows

# Draws behind each estimate where noise is not normal and rows lack cheaper values.
REPEATS = 4
SCALES = ("low", "high", "offset", "weight", "half", "frequency")
LEAST = -80.0  # log prior sd
# Unknowns up to which walkers are affordable: each step climbs to a mode where noise is not normal.
EXPLORED, EXPLORED_STUDENT = 250, 60


class Layout(NamedTuple):
    """What theta means: log noises, log nu, log scales, z of lengths; and their normal priors."""

    mean: np.ndarray  # (dim)
    sd: np.ndarray
    n_sources: int
    first: int  # position of the first log scale
    n_links: int
    linkage_sd: float
    varying_at: int  # position of the log scale of what varies the linkage
    low: np.ndarray  # as in `Scales`
    high: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    half: np.ndarray
    frequency: np.ndarray


def own_scales(spec: JointGaussian) -> tuple[Scales, np.ndarray, np.ndarray]:
    """Scales of the primary target's entries that it learns itself, and which those are.

    Returns
    -------
    Scales, boolean (group), boolean (length)
    """
    scales = scales_of(spec)
    assert scales is not None
    last = len(spec.design.targets) - 1
    entries = np.array([j == last for j, _ in spec.columns.entries], dtype=bool)
    groups = np.array([j == last for j, _ in spec.groups], dtype=bool)
    lengths = np.array([j == last for j, _ in spec.lengths], dtype=bool)
    return scales.part(entries, groups, lengths), groups, lengths


class PrimaryPosterior:
    """Log density of theta given rows and draws of the cheaper targets.

    Parameters
    ----------
    spec : JointGaussian
        With a `ShrinkagePrior`.
    kept : KeptRows
        Or, for a specification that needs statistics alone, the root of their Gram matrix.
    cheap : Cheap
    more : float
        Rows, less those of ``kept`` that stand for them.
    """

    def __init__(
        self, spec: JointGaussian, kept: KeptRows, cheap: Cheap, more: float = 0.0
    ) -> None:
        prior = spec.prior
        assert isinstance(prior, ShrinkagePrior)
        self.spec, self.cheap = spec, cheap
        self.scales, _, _ = own_scales(spec)
        self.rows = rows_of(spec, kept, cheap, more)
        self.complete = complete_rows(self.rows)
        self.n_sources = max(len(spec.sources), 1)
        self.student = spec.noise == "student"
        self.n_links = sum(j == len(spec.design.targets) - 1 for j, *_ in spec.links)
        names = [group.split(": ", 1)[1] for group in self.scales.groups]
        noises, students = [1.0] * self.n_sources, [1.0] * self.student
        first = self.n_sources + self.student
        self.layout = Layout(
            np.concatenate(
                [
                    np.multiply(noises, math.log(prior.noise)),
                    np.multiply(students, math.log(prior.freedom)),
                    self.scales.mean,
                ]
            ),
            np.concatenate(
                [
                    np.multiply(noises, prior.noise_log_sd),
                    np.multiply(students, prior.freedom_log_sd),
                    self.scales.sd,
                ]
            ),
            self.n_sources,
            first,
            self.n_links,
            prior.linkage_sd,
            first + names.index(VARYING) if spec.varying else -1,
            *(getattr(self.scales, name) for name in SCALES),
        )
        self.dims = len(self.layout.mean)
        self.middle = cheap.offset.mean(axis=0)
        self.q = len(self.rows.mean)
        self.m = cheap.centre.shape[1]
        most = EXPLORED_STUDENT if self.student else EXPLORED
        self.mixed = self.student and not self.m
        self.exact = not self.student and not self.m
        # What propagation found last, to start from: sites, cavities; sites of the highest density.
        self.sites, self.cavity = np.zeros((2, 2, len(self.complete.y)))
        self.highest, self.best_sites = -np.inf, np.zeros_like(self.sites)
        self.exploring = self.q + self.m <= most
        self.wide = Mixture(np.ones(1), self.layout.mean[None], np.diag(self.layout.sd)[None])

    def starts(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Points from which modes are looked for."""
        starts = rng.normal(self.layout.mean, self.layout.sd, (number, self.dims))
        n = self.n_sources
        starts[:, :n] = rng.uniform(math.log(1e-3), 0.0, (number, n))
        return starts

    def noise(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sigma (..., source) and degrees of freedom (...), zero for normal noise."""
        sigma = FLOOR + np.exp(theta[..., : self.n_sources])
        nu = np.exp(theta[..., self.n_sources]) if self.student else np.zeros(theta.shape[:-1])
        return sigma, nu

    @property
    def order(self) -> np.ndarray:
        """Rows, those that may be far first."""
        return np.argsort(self.best_sites[0], kind="stable")

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density given the complete rows, approximated, and its gradient at one point."""
        slope = np.empty(self.dims)
        value = _evaluate(
            theta, self.layout, self.complete, self.middle, self.sites, self.cavity, slope
        )
        if value > self.highest:
            self.highest, self.best_sites = float(value), self.sites.copy()
        return float(value), slope

    def warmed(self, other: PrimaryPosterior) -> PrimaryPosterior:
        """Start from what propagation found for the same rows and terms."""
        self.highest, self.best_sites = other.highest, other.best_sites
        self.sites = other.best_sites.copy()
        return self

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim), approximated."""
        return self._run(theta, np.random.default_rng(0), 0)[0]

    def coefficients(self, theta: np.ndarray) -> np.ndarray:
        """Mode of the coefficients (linkages, what varies them, corrections) at one point."""
        entries = self._run(theta[None], np.random.default_rng(0), 0)[1]
        return np.asarray(entries[0, : self.q])

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Unbiased estimates of the density of points, and a draw of the rest given each.

        The rest is (coefficients, missing values, the draw of the cheaper targets it goes with).
        """
        if self.mixed and not self.best_sites.any():
            self.evaluate(np.median(theta, axis=0))
        return self._run(theta, rng, 1 if self.exact or self.mixed else REPEATS)

    def _run(
        self, theta: np.ndarray, rng: np.random.Generator, repeats: int
    ) -> tuple[np.ndarray, np.ndarray]:
        cheap, size = self.cheap, self.q + self.m
        which, at, place = cheap.choose(len(theta), rng)
        z, tau = np.zeros((len(theta), size)), np.empty((len(theta), self.q))
        dual = self.rows.alike and not len(self.rows.gram)
        n = len(self.rows.y)
        width = size + (dual or self.mixed) * n  # these want numbers by row, too
        uniform = rng.uniform(size=(len(theta), n if self.mixed else 1))
        normal = rng.standard_normal((len(theta), repeats, width))
        values = np.empty(len(theta))
        _evaluate_all(
            np.ascontiguousarray(theta),
            self.layout,
            self.rows,
            cheap.offset,
            at,
            cheap.centre,
            cheap.spread,
            place,
            z,
            tau,
            normal,
            uniform,
            self.best_sites,
            self.order,
            values,
        )
        free = self.rows.mean + tau * z[:, : self.q]
        missing = cheap.missing(place, z[:, self.q :])
        entries = np.hstack([free, missing, which[:, None]])
        return values, entries


@njit(cache=True, error_model="numpy")
def unpack(
    theta: np.ndarray,
    layout: Layout,
    offset: np.ndarray,
    tau: np.ndarray,
    sigma: np.ndarray,
) -> tuple[float, float]:
    """Prior sds of the coefficients and noise by source; log prior density and nu."""
    n, groups = len(sigma), layout.weight.shape[1]
    first, fixed = layout.first, len(tau) - len(layout.offset)
    value, nu = 0.0, 0.0
    for i in range(len(theta)):
        z = (theta[i] - layout.mean[i]) / layout.sd[i]
        value -= 0.5 * (z * z + LOG_2PI) + math.log(layout.sd[i])
    for i in range(n):
        sigma[i] = FLOOR + math.exp(theta[i])
    if first > n:
        nu = math.exp(theta[n])
    for e in range(fixed):
        tau[e] = layout.linkage_sd if e < layout.n_links else math.exp(theta[layout.varying_at])
    length = np.empty(len(layout.low))
    for i in range(len(length)):
        length[i] = _log_length(theta[first + groups + i], layout.low[i], layout.high[i])
    for e in range(len(layout.offset)):
        log_sd = layout.offset[e] + offset[e]
        for g in range(groups):
            log_sd += layout.weight[e, g] * theta[first + g]
        for i in range(len(length)):
            log_sd += 0.5 * layout.half[e, i] * length[i]
            log_sd -= 0.25 * layout.frequency[e, i] * math.exp(2.0 * length[i])
        tau[fixed + e] = math.exp(max(log_sd, LEAST))
    return value, nu


@njit(cache=True, error_model="numpy")
def _log_length(z: float, low: float, high: float) -> float:
    """Logarithm of a length, uniform between both ends for z ~ N(0, 1)."""
    return low + (high - low) * 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


@njit(cache=True, error_model="numpy", nogil=True)
def _evaluate(
    theta: np.ndarray,
    layout: Layout,
    rows: Rows,
    offset: np.ndarray,
    sites: np.ndarray,
    cavity: np.ndarray,
    slope: np.ndarray,
) -> float:
    """Approximation and its gradient, for complete rows."""
    q, n, first = len(rows.mean), len(rows.y), layout.first
    tau, sigma = np.empty(q), np.empty(layout.n_sources)
    prior, nu = unpack(theta, layout, offset, tau, sigma)
    z, empty, none = np.zeros(q), np.empty(0), np.empty((0, 0))
    g_tau, g_noise, g_sigma = np.empty(q), np.zeros(n + 1), np.zeros(len(sigma))
    if rows.alike and len(rows.gram):
        value = plain(rows, tau, sigma[0], z, workspace(q, 0)[1], g_tau, g_sigma)
    elif rows.alike:
        value = dual(rows, tau, sigma[0], z, empty, g_tau, g_sigma)
    elif nu > 0.0:
        by_row = sigma[rows.source]
        value = approximate(rows, tau, by_row, nu, sites, cavity, z, g_tau, g_noise)
    else:
        jacobian, root, found = workspace(q, n)
        by_row = sigma[rows.source]
        value = climb(rows, tau, by_row, nu, empty, none, z, jacobian, root, found)
        if value > -np.inf:
            gradient(rows, tau, by_row, nu, z, jacobian, root, found, g_tau, g_noise)
    if not rows.alike:
        for i in range(n):
            g_sigma[rows.source[i]] += g_noise[i]
    if not value > -np.inf:
        slope[:] = np.nan
        return -np.inf
    for i in range(len(theta)):
        slope[i] = -(theta[i] - layout.mean[i]) / layout.sd[i] ** 2
    for i in range(len(sigma)):
        slope[i] += g_sigma[i] * (1.0 - FLOOR / sigma[i])
    if first > len(sigma):
        slope[len(sigma)] += g_noise[n]
    fixed, groups = q - len(layout.offset), layout.weight.shape[1]
    for e in range(layout.n_links, fixed):
        slope[layout.varying_at] += g_tau[e]
    for i in range(len(layout.low)):
        at = first + groups + i
        square = math.exp(2.0 * _log_length(theta[at], layout.low[i], layout.high[i]))
        pull = 0.0
        for e in range(len(layout.offset)):
            steep = layout.half[e, i] - layout.frequency[e, i] * square
            pull += 0.5 * steep * g_tau[fixed + e]
        density = math.exp(-0.5 * (theta[at] ** 2 + LOG_2PI))
        slope[at] += (layout.high[i] - layout.low[i]) * density * pull
    for g in range(groups):
        for e in range(len(layout.offset)):
            slope[first + g] += layout.weight[e, g] * g_tau[fixed + e]
    return value + prior


@njit(cache=True, error_model="numpy", nogil=True)
def _evaluate_all(
    theta: np.ndarray,
    layout: Layout,
    rows: Rows,
    offset: np.ndarray,
    at: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    place: np.ndarray,
    z: np.ndarray,
    tau: np.ndarray,
    normal: np.ndarray,
    uniform: np.ndarray,
    sites: np.ndarray,
    order: np.ndarray,
    values: np.ndarray,
) -> None:
    """Approximations at many points, or estimates with draws where ``normal`` has any."""
    jacobian, root, found = workspace(z.shape[1], 0 if rows.alike else len(rows.y))
    nothing, sigma = np.empty(0), np.empty(layout.n_sources)
    for i in range(len(theta)):
        prior, nu = unpack(theta[i], layout, offset[at[i]], tau[i], sigma)
        if rows.alike and len(rows.gram):
            values[i] = prior + plain(rows, tau[i], sigma[0], z[i], root, nothing, nothing)
            if normal.shape[1]:
                solve_transposed(root, normal[i, 0])
                z[i] += normal[i, 0]
            continue
        if rows.alike:
            numbers = normal[i, 0] if normal.shape[1] else nothing
            values[i] = prior + dual(rows, tau[i], sigma[0], z[i], numbers, nothing, nothing)
            continue
        by_row, m, s = sigma[rows.source], centre[place[i]], spread[place[i]]
        if nu > 0.0 and len(m) == 0:
            if normal.shape[1]:
                value = estimate(
                    rows, tau[i], by_row, nu, sites, order, uniform[i], normal[i, 0], z[i]
                )
            else:
                own = np.zeros((2, 2, len(rows.y)))
                value = approximate(
                    rows, tau[i], by_row, nu, own[0], own[1], z[i], nothing, nothing
                )
            values[i] = prior + value
            continue
        values[i] = climb(rows, tau[i], by_row, nu, m, s, z[i], jacobian, root, found)
        if values[i] > -np.inf and normal.shape[1]:
            values[i] = weigh(rows, tau[i], by_row, nu, m, s, z[i], root, normal[i], uniform[i, 0])
        values[i] += prior
