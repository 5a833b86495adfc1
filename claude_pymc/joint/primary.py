r"""The posterior of the primary target given the cheaper ones, where rows are needed one by one.

    y_i = sum_k c_k y_ik + sum_m gamma_m psi_m(x_i) y_i,near + R . phi(x_i) + e_i

with the noise of `claude_pymc.joint.noise`. In theta = (log noise of each source, log nu, what
scales learn) the density is sampled; the coefficients (c, gamma, R), and cheaper values that a row
lacks, are integrated out (`claude_pymc.joint.laplace`).

Draws of the cheaper targets' parameters enter as they are: by the chain rule the posterior is

    p(cheap parameters | cheap values) p(theta, ... | primary values, cheap parameters)

times what the primary values say of the cheap parameters, which importance weights take up. They
say something only where a row lacks a cheaper value, or scales are tied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows, climb, gradient, plain, weigh, workspace
from claude_pymc.joint.mixture import Mixture
from claude_pymc.joint.tiles import solve_transposed
from claude_pymc.joint.priors import FLOOR, ShrinkagePrior
from claude_pymc.joint.scales import Scales, scales_of
from claude_pymc.joint.spec import VARYING, JointGaussian
from claude_pymc.tables.kept import KeptRows

REPEATS = 4  # draws behind each estimate where noise is not normal
EXPLORED = 250  # unknowns up to which walkers are affordable


@dataclass(frozen=True, eq=False)
class Cheap:
    """What the primary target takes from draws of the cheaper ones.

    Parameters
    ----------
    offset : array (draw or 1, entry)
        Part of the log prior sds of R that scales of the cheaper targets give.
    centre, spread : arrays (draw or 1, missing), (draw or 1, missing, missing)
        Mean, and lower root of the covariance, of cheaper values that rows lack.
    latent : array (row, cheaper target)
        Position of the missing value, -1 where it was measured.
    """

    offset: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    latent: np.ndarray

    @property
    def coupled(self) -> bool:
        """Say whether primary values speak of the cheaper targets' parameters."""
        return len(self.offset) > 1 or self.centre.shape[1] > 0


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
        self.rows = _rows(spec, kept, cheap, more)
        self.complete = _complete(self.rows)
        self.n_sources = max(len(spec.sources), 1)
        self.student = spec.noise == "student"
        self.n_links = sum(j == len(spec.design.targets) - 1 for j, *_ in spec.links)
        self.fixed = np.concatenate(
            [np.full(self.n_links, math.log(prior.linkage_sd)), np.zeros(len(spec.varying))]
        )
        n_scales = len(self.scales.mean)
        self.mean = np.concatenate(
            [
                np.full(self.n_sources, math.log(prior.noise)),
                np.full(int(self.student), math.log(prior.freedom)),
                self.scales.mean,
            ]
        )
        self.sd = np.concatenate(
            [
                np.full(self.n_sources, prior.noise_log_sd),
                np.full(int(self.student), prior.freedom_log_sd),
                self.scales.sd,
            ]
        )
        self.dims = len(self.mean)
        self.varying_at = self.dims - n_scales
        if spec.varying:
            names = [g.split(": ", 1)[1] for g in self.scales.groups]
            self.varying_at += names.index(VARYING)
        self.q = len(self.rows.mean)
        self.m = cheap.centre.shape[1]
        self.exploring = self.q + self.m <= EXPLORED
        self.wide = Mixture(np.ones(1), self.mean[None], np.diag(self.sd)[None])

    def starts(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Points from which modes are looked for."""
        starts = self.mean + self.sd * rng.standard_normal((number, self.dims))
        n = self.n_sources
        starts[:, :n] = rng.uniform(math.log(1e-3), 0.0, (number, n))
        return starts

    def log_tau(self, theta: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Log prior sds of all coefficients (..., entry); ``offset`` comes from cheaper targets."""
        hyper = theta[..., self.n_sources + self.student :]
        fixed = np.broadcast_to(self.fixed, (*theta.shape[:-1], len(self.fixed))).copy()
        fixed[..., self.n_links :] = theta[..., [self.varying_at] * len(self.spec.varying)]
        return np.concatenate([fixed, self.scales.log_sd(hyper) + offset], axis=-1)

    def noise(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sigma (..., source) and degrees of freedom (...), zero for normal noise."""
        sigma = FLOOR + np.exp(theta[..., : self.n_sources])
        nu = np.exp(theta[..., self.n_sources]) if self.student else np.zeros(theta.shape[:-1])
        return sigma, nu

    def log_prior(self, theta: np.ndarray) -> np.ndarray:
        """Log prior density of points (..., dim)."""
        z = (theta - self.mean) / self.sd
        norm = np.log(self.sd).sum() + 0.5 * self.dims * math.log(2 * math.pi)
        return np.asarray(-0.5 * np.square(z).sum(axis=-1) - norm)

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density given the complete rows, by Laplace, and its gradient at one point."""
        rows, offset = self.complete, self.cheap.offset.mean(axis=0)
        tau = np.exp(self.log_tau(theta, offset))
        sigma, nu = self.noise(theta)
        g_tau, g_noise = np.empty(self.q), np.empty(len(rows.y) + 1)
        value = _evaluate(rows, tau, sigma, float(nu), g_tau, g_noise)
        if not np.isfinite(value):
            return -np.inf, np.full(self.dims, np.nan)
        slope = -(theta - self.mean) / self.sd**2
        own = g_tau[self.n_links + len(self.spec.varying) :]
        n = self.n_sources
        by_source = np.bincount(rows.source, g_noise[:-1], n)
        slope[:n] += by_source * (1.0 - FLOOR / sigma)
        if self.student:
            slope[n] += g_noise[-1]
        slope[n + self.student :] += self.scales.pulled(theta[n + self.student :], own)
        if self.spec.varying:
            slope[self.varying_at] += g_tau[self.n_links : -len(own) or None].sum()
        return value + float(self.log_prior(theta)), slope

    def batch(self, theta: np.ndarray) -> np.ndarray:
        """Log density of points (point, dim), by Laplace."""
        return self._run(theta, np.random.default_rng(0), 0)[0]

    def draw_entries(
        self, theta: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Unbiased estimates of the density of points, and a draw of the rest given each.

        The rest is (coefficients, missing values, the draw of the cheaper targets it goes with).
        """
        exact = not self.student and not self.m
        return self._run(theta, rng, 1 if exact else REPEATS)

    def _run(
        self, theta: np.ndarray, rng: np.random.Generator, repeats: int
    ) -> tuple[np.ndarray, np.ndarray]:
        cheap = self.cheap
        most = max(len(cheap.offset), len(cheap.centre))
        which = rng.integers(most, size=len(theta))
        offset = cheap.offset[which % len(cheap.offset)]
        with np.errstate(over="ignore", under="ignore"):
            tau = np.exp(np.maximum(self.log_tau(theta, offset), -80.0))
            sigma, nu = self.noise(theta)
        z = np.zeros((len(theta), self.q + self.m))
        normal = rng.standard_normal((len(theta), repeats, self.q + self.m))
        values = np.empty(len(theta))
        _evaluate_all(
            self.rows,
            tau,
            sigma,
            nu,
            which % len(cheap.centre),
            cheap.centre,
            cheap.spread,
            z,
            normal,
            rng.uniform(size=len(theta)),
            values,
        )
        free = self.rows.mean + tau * z[:, : self.q]
        place = which % len(cheap.centre)
        missing = cheap.centre[place] + np.einsum(
            "gij,gj->gi", cheap.spread[place], z[:, self.q :]
        )
        entries = np.hstack([free, missing, which[:, None]])
        return values + self.log_prior(theta), entries


@njit(cache=True, error_model="numpy", nogil=True)
def _evaluate(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    g_tau: np.ndarray,
    g_noise: np.ndarray,
) -> float:
    """Laplace approximation and its slopes, for complete rows."""
    jacobian, root, found = workspace(len(tau), len(rows.y))
    z, empty, none = np.zeros(len(tau)), np.empty(0), np.empty((0, 0))
    if len(rows.gram):
        g_noise[:] = 0.0
        return plain(rows, tau, sigma[0], z, root, g_tau, g_noise[:1])
    by_row = sigma[rows.source]
    value = climb(rows, tau, by_row, nu, empty, none, z, jacobian, root, found)
    if value > -np.inf:
        gradient(rows, tau, by_row, nu, z, jacobian, root, found, g_tau, g_noise)
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def _evaluate_all(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: np.ndarray,
    which: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    z: np.ndarray,
    normal: np.ndarray,
    uniform: np.ndarray,
    values: np.ndarray,
) -> None:
    """Laplace approximations at many points, or estimates with draws where ``normal`` has any."""
    jacobian, root, found = workspace(z.shape[1], len(rows.y))
    nothing = np.empty(0)
    for i in range(len(tau)):
        if len(rows.gram):
            values[i] = plain(rows, tau[i], sigma[i, 0], z[i], root, nothing, nothing)
            if normal.shape[1]:
                solve_transposed(root, normal[i, 0])
                z[i] += normal[i, 0]
            continue
        by_row, g = sigma[i][rows.source], which[i]
        values[i] = climb(
            rows, tau[i], by_row, nu[i], centre[g], spread[g], z[i], jacobian, root, found
        )
        if values[i] > -np.inf and normal.shape[1]:
            values[i] = weigh(
                rows,
                tau[i],
                by_row,
                nu[i],
                centre[g],
                spread[g],
                z[i],
                root,
                normal[i],
                uniform[i],
            )


def _rows(spec: JointGaussian, kept: KeptRows, cheap: Cheap, more: float) -> Rows:
    """Flatten rows: columns of linkages, of what varies them, of corrections."""
    design = spec.design
    n, last = len(kept), len(design.targets) - 1
    links = [(k, mean) for j, k, mean in spec.links if j == last]
    varied = [design.terms.index(term) for term in spec.varying]
    terms = [b for j, b in spec.columns.entries if j == last]
    values = np.where(np.isnan(kept.y[:, :last]), 0.0, kept.y[:, :last])
    psi = kept.phi[:, varied]
    near = np.full(len(varied), spec.nearest)
    cheaper = np.concatenate([np.array([k for k, _ in links], dtype=int), near]).astype(int)
    factor = np.hstack([np.ones((n, len(links))), psi])
    base = np.hstack([factor * values[:, cheaper], kept.phi[:, terms]])
    latent = np.full(base.shape, -1)
    latent[:, : len(cheaper)] = cheap.latent[:, cheaper]
    incomplete = np.flatnonzero((latent >= 0).any(axis=1))
    slope = np.zeros(base.shape)
    slope[:, : len(cheaper)] = factor
    mean = np.zeros(base.shape[1])
    mean[: len(links)] = [value for _, value in links]
    place = {name: i for i, name in enumerate(spec.sources)}
    base, y = np.ascontiguousarray(base), np.ascontiguousarray(kept.y[:, last])
    alike = spec.noise == "normal" and not (spec.errors or spec.sources or len(incomplete))
    return Rows(
        base,
        y,
        np.ascontiguousarray(kept.sigma) if spec.errors else np.zeros(n),
        np.array([place.get(str(s), 0) for s in kept.source], dtype=np.int64),
        mean,
        incomplete.astype(np.int64),
        latent[incomplete].astype(np.int64),
        slope[incomplete],
        base.T @ base if alike else np.empty((0, 0)),
        base.T @ (y - base @ mean) if alike else np.empty(0),
        float(more),
    )


def _complete(rows: Rows) -> Rows:
    """Rows without those that lack cheaper values."""
    keep = np.setdiff1d(np.arange(len(rows.y)), rows.incomplete)
    return Rows(
        np.ascontiguousarray(rows.base[keep]),
        rows.y[keep],
        rows.error[keep],
        rows.source[keep],
        rows.mean,
        rows.incomplete[:0],
        rows.latent[:0],
        rows.slope[:0],
        rows.gram,
        rows.cross,
        rows.more,
    )
