r"""The maximum of the posterior, or of the likelihood, from several starts.

Given linkage C, noise sigma and prior scales t, the log posterior is quadratic in the corrections
R, whose maximum is a least-squares problem. What is left,

    F(C, log sigma, t) = max_R [log p(y | C, sigma, R) + log p(C, sigma, R, t)],

has d (d + 1) / 2 dimensions and a few scales, and by the envelope theorem its gradient is the
partial one at that R. L-BFGS climbs it. Least squares uses rows with the Gram matrix of each
pattern, and R in units of its columns: in Lambda itself all digits are lost where sigma goes to 0.
"""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from claude_pymc.errors import Notice, SamplingError
from claude_pymc.joint.density import entry_sd, log_prior, sigma_of
from claude_pymc.joint.inputs import data_of, sizes_of
from claude_pymc.joint.ops import pattern_numpy
from claude_pymc.joint.point_estimate import PointEstimate, labelled
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.spec import JointGaussian, refuse_chosen
from claude_pymc.tables.gram import ROUND_OFF
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured

STARTS = 20
FLAT = 1e-3  # a gradient below this is zero
LOWEST, HIGHEST = FLOOR, 1e3  # bounds of sigma, in units of the root mean square of the variable
NEAR = 10.0  # times the lower bound: a noise that has vanished
COORDINATES = {
    "flat": "free entries of Lambda, flat prior: the maximum of the likelihood",
    "shrinkage": "C, log(sigma - 1e-5), R / t, log t, z of lengths",
    "lkj": "C, log sigma, R / (sigma t)",
}


def find_map(
    spec: JointGaussian, stats: PatternStats, *, starts: int = STARTS, seed: int = 0
) -> PointEstimate:
    """Find the maximum of the posterior; under `FlatPrior` that of the likelihood.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
    starts : int
        Random starting points of C, sigma and scales. The likelihood of missing data has several
        maxima: a single start is not enough.
    seed : int

    Returns
    -------
    PointEstimate

    Raises
    ------
    SamplingError
        If there is no row, or no start led to a finite value.

    Examples
    --------
    >>> from claude_pymc.tables.design import Design
    >>> from claude_pymc.tables.table import Table
    >>> rows = Table(["x"], ["y"], [[0.0], [0.5], [1.0]], [[0.0], [1.0], [1.0]])
    >>> design = Design.from_table(rows, standardize=False)
    >>> point = find_map(JointGaussian(design), PatternStats.from_table(rows, design))
    >>> point.converged
    True
    """
    refuse_chosen(spec, "a maximum")
    data = data_of(spec, stats)
    if not stats.n_rows or starts < 1:
        raise SamplingError(
            "rows, and at least one start",
            f"{stats.n_rows} rows and {starts} starts",
            "an empty table, or a broken number",
            "add rows; the maximum of a prior alone is not a result",
        )
    notice_unmeasured(stats)
    problem = _Problem(spec, data["rows"], data["gram"], stats.roots)
    rng = np.random.default_rng(seed)
    found = []
    for start in problem.starts(rng, starts):
        result = minimize(
            problem.negative,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=problem.bounds,
            options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-7, "maxcor": 20},
        )
        if np.isfinite(result.fun):
            found.append(result)
    if not found:
        raise SamplingError(
            "a start with a finite log posterior",
            f"none of {starts}",
            "targets of very different sizes on an unscaled design",
            "make the design with standardize=True",
        )
    found.sort(key=lambda result: result.fun)
    flat = [r for r in found if np.abs(problem.evaluate(r.x)[2]).max(initial=0.0) < FLAT]
    return problem.estimate(found[0].x, _different([-result.fun for result in flat]))


class _Problem:
    """F and its gradient for one set of statistics."""

    def __init__(
        self, spec: JointGaussian, rows: np.ndarray, gram: np.ndarray, roots: np.ndarray
    ) -> None:
        self.spec, self.rows, self.gram, self.roots = spec, rows, gram, roots
        self.links = [link[:2] for link in spec.columns.links]
        self.entries = np.array(spec.columns.entries, dtype=int).reshape(-1, 2)
        self.d, self.p = len(spec.columns.variables), len(spec.columns.terms)
        self.scales = scales_of(spec)
        self.rms = sizes_of(spec, rows, gram)
        free = [(None, None)]
        noise = [(np.log(LOWEST * r), np.log(HIGHEST * r)) for r in self.rms]
        self.determined = True
        self.bounds = free * len(self.links) + noise
        if self.scales is not None:
            self.bounds += [(-12.0, 8.0)] * len(self.scales.groups)
            self.bounds += [(-3.0, 3.0)] * len(self.scales.lengths)

    def starts(self, rng: np.random.Generator, number: int) -> list[np.ndarray]:
        """Random points: noises between 1e-5 and 1 of the size of the values."""
        centre = np.array([mean for *_, mean in self.spec.columns.links])
        found = []
        for _ in range(number):
            link = centre + rng.standard_normal(len(centre))
            noise = np.log(self.rms) + rng.uniform(np.log(1e-5), 0.0, self.d)
            hyper = np.zeros(0)
            if self.scales is not None:
                hyper = rng.normal(self.scales.mean, 0.5)
            found.append(np.concatenate([link, noise, hyper]))
        return found

    def unpack(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C, log sigma and what scales learn, of a point."""
        n = len(self.links)
        linkage = np.zeros((self.d, self.d))
        for value, place in zip(point[:n], self.links, strict=True):
            linkage[place] = value
        return linkage, point[n : n + self.d], point[n + self.d :]

    def corrections(
        self, linkage: np.ndarray, sigma: np.ndarray, sd: np.ndarray | None
    ) -> np.ndarray:
        """Free entries of R at their maximum, by least squares on whitened rows."""
        unit = np.eye(self.d) - linkage
        inverse = np.linalg.solve(unit, np.eye(self.d))
        root = inverse * sigma
        matrix, values = [], []
        for counts, factor in zip(self.rows, self.roots, strict=True):
            have = np.flatnonzero(counts > 0)
            if not len(have):
                continue
            lower = np.linalg.qr(root[have].T, mode="r").T
            carry = np.linalg.solve(lower, inverse[have])
            y = np.linalg.solve(lower, factor[:, self.p + have].T)
            block = carry[:, None, self.entries[:, 0]] * factor[None, :, self.entries[:, 1]]
            matrix.append(block.reshape(-1, len(self.entries)))
            values.append(y.reshape(-1))
        if sd is not None:
            matrix.append(np.diag(1.0 / sd))
            values.append(np.zeros(len(sd)))
        a, b = np.concatenate(matrix), np.concatenate(values)
        size = np.sqrt(np.square(a).sum(axis=0))
        size[size == 0.0] = 1.0
        found, _, rank, _ = np.linalg.lstsq(a / size, b, rcond=ROUND_OFF)
        self.determined = rank == len(size)
        return found / size

    def evaluate(self, point: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Log posterior, log likelihood, gradient and R (variable, term) at a point."""
        linkage, log_sigma, hyper = self.unpack(point)
        sigma = sigma_of(self.spec, log_sigma)
        sd = entry_sd(self.spec, sigma, hyper)
        free = self.corrections(linkage, sigma, sd)
        r = np.zeros((self.d, self.p))
        r[self.entries[:, 0], self.entries[:, 1]] = free
        with np.errstate(all="ignore"):
            value, g_c, g_s, _ = pattern_numpy(linkage, sigma, r, self.rows, self.gram)
        prior, p_c, g_log, g_t = log_prior(self.spec, linkage, log_sigma, hyper)
        g_log = g_log + g_s * np.exp(log_sigma)
        if sd is not None:
            z2 = np.square(free / sd)
            prior -= 0.5 * float(z2.sum()) + 0.5 * len(z2) * np.log(2 * np.pi)
            if self.scales is not None:
                g_t = g_t + self.scales.pulled(hyper, z2)
            else:
                g_log = g_log + np.bincount(self.entries[:, 0], z2, self.d)
        g_links = [(g_c + p_c)[place] for place in self.links]
        return value + prior, value, np.concatenate([g_links, g_log, g_t]), r

    def negative(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return what L-BFGS minimises."""
        value, _, gradient, _ = self.evaluate(point)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return np.inf, np.zeros_like(point)
        return -value, -gradient

    def estimate(self, point: np.ndarray, optima: tuple[float, ...]) -> PointEstimate:
        """Everything that is reported about a point."""
        value, likelihood, gradient, r = self.evaluate(point)
        linkage, log_sigma, hyper = self.unpack(point)
        sigma = sigma_of(self.spec, log_sigma)
        n = len(self.links)
        above = log_sigma - np.log(LOWEST * self.rms)
        growing = (above < 1e-3) & (gradient[n : n + self.d] < -FLAT) & (not self.spec.prior.proper)
        endless = [name for name, g in zip(self.spec.columns.variables, growing, strict=True) if g]
        for j in np.flatnonzero((above < np.log(NEAR)) & ~growing):
            warnings.warn(
                f"the noise of {self.spec.columns.variables[j]!r} vanishes: {sigma[j]:.1g} on the "
                f"modelled scale, where the search ends at {LOWEST * self.rms[j]:.1g}; the regular "
                "maximum, if there is any, is a lower entry of `optima`",
                Notice,
                stacklevel=3,
            )
        if endless:
            warnings.warn(
                f"the likelihood has no maximum: it grows as the noise of {endless[0]!r} goes to "
                "zero (fewer rows that have it and its cheaper targets than terms, or exact "
                "values)",
                Notice,
                stacklevel=3,
            )
        if not self.determined:
            warnings.warn(
                "the maximum is not unique: the rows do not determine all corrections, and the "
                "smallest ones are given",
                Notice,
                stacklevel=3,
            )
        converged = bool(np.abs(gradient).max(initial=0.0) < FLAT)
        names: tuple[str, ...] = ()
        found = hyper
        if self.scales is not None:
            names = self.scales.groups + self.scales.lengths
            found = np.concatenate(self.scales.split(hyper))
        scale = xr.DataArray(found, {"group": list(names)}, ("group",), name="scale")
        return PointEstimate(
            self.spec,
            **labelled(self.spec, linkage, sigma, r),
            scale=scale,
            log_likelihood=float(likelihood),
            log_posterior=float(value),
            coordinates=COORDINATES[self.spec.prior.kind],
            converged=converged,
            optima=optima,
        )


def _different(values: list[float], tolerance: float = 1e-3) -> tuple[float, ...]:
    """Values that differ, highest first."""
    kept: list[float] = []
    for value in sorted(values, reverse=True):
        if not kept or kept[-1] - value > tolerance:
            kept.append(float(value))
    return tuple(kept)
