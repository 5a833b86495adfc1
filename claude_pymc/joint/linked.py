r"""The posterior of the primary target where rows lack cheaper values, with normal noise.

With the linkages (c, gamma) among the coordinates, everything else is Gaussian: corrections R and
the missing cheaper values u, which the mean couples as c(x) u. So

    theta = (log noise by source, what scales learn, c, z),    gamma = t z, t the scale of gamma,

and the integral over (R, u) is exact, where `claude_pymc.joint.laplace` would approximate it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows
from claude_pymc.joint.noise import LOG_2PI
from claude_pymc.joint.primary import EXPLORED, Layout, PrimaryPosterior, unpack
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.tiles import (
    factorise,
    fill_identity_plus,
    padded,
    solve_lower,
    solve_transposed,
)
from claude_pymc.tables.kept import KeptRows

STEP = 1e-4  # of differences of the density


class LinkedPosterior:
    """Log density of theta given rows and draws of the cheaper targets.

    Parameters
    ----------
    spec : JointGaussian
        With normal noise.
    kept : KeptRows
    cheap : Cheap
    """

    def __init__(self, spec: JointGaussian, kept: KeptRows, cheap: Cheap) -> None:
        inner = PrimaryPosterior(spec, kept, cheap)
        assert isinstance(spec.prior, ShrinkagePrior)
        self.inner, self.cheap, self.rows, self.layout = inner, cheap, inner.rows, inner.layout
        self.linked = inner.n_links + len(spec.varying)
        self.dims = inner.dims + self.linked
        self.q, self.m = inner.q, inner.m
        self.exploring, self.exact = self.q + self.m <= EXPLORED, False
        self.middle = (cheap.offset.mean(axis=0), cheap.centre[0], cheap.spread[0])
        self.wide = self

    def starts(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Points from which modes are looked for: linkages near their prior means."""
        theta = self.inner.starts(number, rng)
        mean = self.rows.mean[: self.linked]
        return np.hstack([theta, mean + 0.3 * rng.standard_normal((number, self.linked))])

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points from the prior."""
        theta = rng.normal(self.layout.mean, self.layout.sd, (number, self.inner.dims))
        mean, sd = self._linkages(theta)
        return np.hstack([theta, rng.normal(mean, sd)])

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log prior density of points (point, dim)."""
        theta, link = points[:, : self.inner.dims], points[:, self.inner.dims :]
        mean, sd = self._linkages(theta)
        z = (theta - self.layout.mean) / self.layout.sd
        own = -0.5 * (np.square(z) + LOG_2PI) - np.log(self.layout.sd)
        other = -0.5 * (np.square((link - mean) / sd) + LOG_2PI) - np.log(sd)
        return np.asarray(own.sum(axis=1) + other.sum(axis=1))

    def _linkages(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prior mean and sd of the linkages (point, linkage)."""
        sd = np.ones((len(theta), self.linked))
        sd[:, : self.layout.n_links] = self.layout.linkage_sd
        return np.broadcast_to(self.rows.mean[: self.linked], sd.shape), sd

    def coordinates(self, theta: np.ndarray, link: np.ndarray) -> np.ndarray:
        """Points (point, dim) from those of the inner density and linkages (c, gamma)."""
        found = np.hstack([theta, link])
        if self.layout.varying_at >= 0:
            found[:, self.inner.dims + self.layout.n_links :] /= np.exp(
                theta[:, [self.layout.varying_at]]
            )
        return found

    def linkages(self, points: np.ndarray) -> np.ndarray:
        """Linkages (c, gamma) of points (point, dim)."""
        found = points[:, self.inner.dims :].copy()
        if self.layout.varying_at >= 0:
            found[:, self.layout.n_links :] *= np.exp(points[:, [self.layout.varying_at]])
        return found

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density given the first draw of the cheaper targets; gradient by differences."""
        slope = np.empty(self.dims)
        offset, centre, spread = self.middle
        value = _slopes(theta, self.layout, self.rows, offset, centre, spread, slope)
        return float(value), slope

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim)."""
        return self._run(theta, np.random.default_rng(0), draw=False)[0]

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log density of points, and a draw of the rest, as `PrimaryPosterior.draw_entries`."""
        return self._run(theta, rng, draw=True)

    def _run(
        self, theta: np.ndarray, rng: np.random.Generator, *, draw: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        cheap, rest = self.cheap, self.q + self.m - self.linked
        which, at, place = cheap.choose(len(theta), rng)
        values, z = np.empty(len(theta)), np.empty((len(theta), rest))
        tau = np.empty((len(theta), self.q))
        normal = rng.standard_normal((len(theta) if draw else 0, rest))
        _values(
            np.ascontiguousarray(theta),
            self.layout,
            self.rows,
            cheap.offset,
            at,
            cheap.centre,
            cheap.spread,
            place,
            tau,
            z,
            normal,
            values,
        )
        own = self.q - self.linked
        missing = cheap.missing(place, z[:, own:])
        free = [self.linkages(theta), tau[:, self.linked :] * z[:, :own]]
        return values, np.hstack([*free, missing, which[:, None]])


@njit(cache=True, error_model="numpy")
def _value(
    theta: np.ndarray,
    layout: Layout,
    rows: Rows,
    offset: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    tau: np.ndarray,
    z: np.ndarray,
    normal: np.ndarray,
) -> float:
    """Log density at a point; z becomes the mean of the rest, or a draw if ``normal`` is given."""
    n, q, m, dims = len(rows.y), len(tau), len(centre), len(layout.mean)
    linked, sigma = q - len(layout.offset), np.empty(layout.n_sources)
    value = unpack(theta[:dims], layout, offset, tau, sigma)[0]
    residual, link = rows.y.copy(), theta[dims:].copy()
    for e in range(linked):
        if e < layout.n_links:
            value -= math.log(tau[e])
            link[e] = (link[e] - rows.mean[e]) / tau[e]
        value -= 0.5 * (link[e] ** 2 + LOG_2PI)
        link[e] = rows.mean[e] + tau[e] * link[e]
        for i in range(n):
            residual[i] -= rows.base[i, e] * link[e]
    rest = q - linked + m
    size = padded(rest)
    jacobian, weighted = np.zeros((size, n)), np.zeros((size, n))
    for e in range(linked, q):
        for i in range(n):
            jacobian[e - linked, i] = tau[e] * rows.base[i, e]
    for i in range(len(rows.incomplete)):
        row = rows.incomplete[i]
        for e in range(linked):
            k = rows.latent[i, e]
            if k >= 0:
                pull = rows.slope[i, e] * link[e]
                residual[row] -= pull * centre[k]
                for j in range(k + 1):
                    jacobian[q - linked + j, row] += pull * spread[k, j]
    for i in range(n):
        h = 1.0 / (sigma[rows.source[i]] ** 2 + rows.error[i] ** 2)
        value += 0.5 * (math.log(h) - LOG_2PI)
        for e in range(rest):
            weighted[e, i] = jacobian[e, i] * h
    root = np.empty((size, size))
    fill_identity_plus(weighted, jacobian, root)
    if not factorise(root):
        return -np.inf
    z[:] = np.dot(weighted[:rest], residual)
    solve_lower(root, z)
    solve_transposed(root, z)
    fitted = np.dot(jacobian[:rest].T, z)
    for i in range(n):
        h = 1.0 / (sigma[rows.source[i]] ** 2 + rows.error[i] ** 2)
        value -= 0.5 * h * (residual[i] - fitted[i]) ** 2
    for e in range(rest):
        value -= 0.5 * z[e] ** 2 + math.log(root[e, e])
    if len(normal):
        around = normal.copy()
        solve_transposed(root, around)
        z += around
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def _slopes(
    theta: np.ndarray,
    layout: Layout,
    rows: Rows,
    offset: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    slope: np.ndarray,
) -> float:
    """Log density at a point and its gradient by central differences."""
    tau, nothing = np.empty(len(rows.mean)), np.empty(0)
    z = np.empty(len(tau) - len(theta) + len(layout.mean) + len(centre))
    near = theta.copy()
    for i in range(len(theta)):
        near[i] = theta[i] + STEP
        above = _value(near, layout, rows, offset, centre, spread, tau, z, nothing)
        near[i] = theta[i] - STEP
        below = _value(near, layout, rows, offset, centre, spread, tau, z, nothing)
        near[i] = theta[i]
        slope[i] = (above - below) / (2 * STEP)
    return _value(theta, layout, rows, offset, centre, spread, tau, z, nothing)


@njit(cache=True, error_model="numpy", nogil=True)
def _values(
    theta: np.ndarray,
    layout: Layout,
    rows: Rows,
    offset: np.ndarray,
    at: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    place: np.ndarray,
    tau: np.ndarray,
    z: np.ndarray,
    normal: np.ndarray,
    values: np.ndarray,
) -> None:
    """Log density of points, and means or draws of the rest."""
    nothing = np.empty(0)
    for i in range(len(theta)):
        numbers = normal[i] if len(normal) else nothing
        values[i] = _value(
            theta[i],
            layout,
            rows,
            offset[at[i]],
            centre[place[i]],
            spread[place[i]],
            tau[i],
            z[i],
            numbers,
        )
