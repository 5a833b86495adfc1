r"""Prior densities of the columns (C, sigma, R) in closed form, with gradients, without PyMC.

They are the priors of `claude_pymc.joint.model`, written in the coordinates of the columns:

`ShrinkagePrior`: (C, log(sigma - floor)), log t, z of lengths; R_jb ~ N(0, s^2), the prior sds s
those of `claude_pymc.joint.scales`.

`LKJPrior`: (C, log sigma); R_jb | sigma_j ~ N(0, (sigma_j t)^2). Row k of the Cholesky factor L of
Lambda, in the order (y_d, ..., y_1), is (.., -c_jk / sigma_j, .., 1 / sigma_k) over the variables j
that depend on k; with the suffix sums r_f^2 of its squares, s_k = r_1, the partial correlations are
1 - rho_f^2 = r_(f+1)^2 / r_f^2, and with m of them

    p(row) = p(s_k) s_k^-m prod_f Beta(rho_f) (1 - rho_f^2)^-((m_f - 2)/2),    m_f = m - f + 1.

`FlatPrior`: zero, in the free entries of Lambda.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.spec import JointGaussian

LOG_2PI = math.log(2 * math.pi)


def entry_sd(spec: JointGaussian, sigma: np.ndarray, hyper: np.ndarray) -> np.ndarray | None:
    """Prior sd of the free entries of R given sigma and what scales learn; None if flat."""
    prior, scales = spec.prior, scales_of(spec)
    if isinstance(prior, LKJPrior):
        return prior.t * sigma[[j for j, _ in spec.columns.entries]]
    return None if scales is None else np.exp(scales.log_sd(hyper))


def log_prior(
    spec: JointGaussian, linkage: np.ndarray, log_sigma: np.ndarray, hyper: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Log density of C, log sigma and ``hyper`` (R left out), and its gradients.

    ``log_sigma`` is log(sigma - floor) under `ShrinkagePrior`.

    Returns
    -------
    value, gradient in C (variable, variable), in log sigma (variable), in ``hyper``
    """
    prior, columns, scales = spec.prior, spec.columns, scales_of(spec)
    g_linkage, g_scale = np.zeros_like(linkage), np.zeros_like(hyper)
    if isinstance(prior, ShrinkagePrior) and scales is not None:
        value, g_sigma = _normal(log_sigma, math.log(prior.noise), prior.noise_log_sd)
        more, g_scale = _normal(hyper, scales.mean, scales.sd)
        value += more
        for j, k, mean in columns.links:
            more, g_linkage[j, k] = _normal(linkage[j, k], mean, prior.linkage_sd)
            value += more
        return value, g_linkage, g_sigma, g_scale
    if isinstance(prior, LKJPrior):
        return (*_lkj(spec, prior, linkage, np.exp(log_sigma)), g_scale)
    return 0.0, g_linkage, np.zeros_like(log_sigma), g_scale


def sigma_of(spec: JointGaussian, log_sigma: np.ndarray) -> np.ndarray:
    """Noise from the coordinate that `log_prior` takes."""
    return np.exp(log_sigma) + (FLOOR if isinstance(spec.prior, ShrinkagePrior) else 0.0)


def _normal(
    x: np.ndarray, mean: float | np.ndarray, sd: float | np.ndarray
) -> tuple[float, np.ndarray]:
    """Sum of normal log densities, and the gradient."""
    z = (np.asarray(x) - mean) / sd
    return float(-np.sum(0.5 * z**2 + np.log(sd) + 0.5 * LOG_2PI)), -z / sd


def _lkj(
    spec: JointGaussian, prior: LKJPrior, linkage: np.ndarray, sigma: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log density of (C, log sigma) under the LKJ prior, and its gradients."""
    linked, shape = lkj_arrays(spec, prior)
    g_linkage, g_sigma = np.zeros_like(linkage), np.zeros_like(sigma)
    noise = -math.log(prior.noise), prior.noise_log_sd
    value = lkj_loops(linkage, sigma, linked, shape, *noise, g_linkage, g_sigma)
    return value, g_linkage, g_sigma


def draw_lkj(
    spec: JointGaussian, prior: LKJPrior, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw C (draw, variable, variable) and sigma (draw, variable) from the LKJ prior.

    The Cholesky factor L of Lambda = S K S is built stick by stick.
    """
    linked, shape = lkj_arrays(spec, prior)
    d = len(linked)
    factor = np.zeros((number, d, d))  # [:, k, j]: row of variable k, column of variable j >= k
    for k in range(d):
        left = np.exp(rng.normal(-math.log(prior.noise), prior.noise_log_sd, number))
        for j in range(d - 1, k, -1):
            if linked[j, k]:
                rho = 2.0 * rng.beta(shape[j], shape[j], number) - 1.0
                factor[:, k, j] = left * rho
                left *= np.sqrt(1.0 - rho**2)
        factor[:, k, k] = left
    sigma = 1.0 / np.diagonal(factor, axis1=1, axis2=2)
    return -np.tril(np.swapaxes(factor, 1, 2), -1) * sigma[:, :, None], sigma


def lkj_arrays(spec: JointGaussian, prior: LKJPrior) -> tuple[np.ndarray, np.ndarray]:
    """Which variables are linked (j, k), and the shape a of the Beta of each column j."""
    columns = spec.columns
    d, p = len(columns.variables), len(columns.terms)
    linked = np.zeros((d, d), dtype=np.bool_)
    for j, k, _ in columns.links:
        linked[j, k] = True
    return linked, np.array([0.0] + [prior.beta_shape(d - j, p, d) for j in range(1, d)])


@njit(cache=True, error_model="numpy")
def lkj_batch(
    linkage: np.ndarray,
    sigma: np.ndarray,
    linked: np.ndarray,
    shape: np.ndarray,
    noise_mean: float,
    noise_sd: float,
) -> np.ndarray:
    """Log densities of C (draw, variable, variable) and log sigma (draw, variable)."""
    values = np.empty(len(sigma))
    g_linkage, g_sigma = np.empty(linked.shape), np.empty(len(linked))
    for i in range(len(sigma)):
        values[i] = lkj_loops(
            linkage[i], sigma[i], linked, shape, noise_mean, noise_sd, g_linkage, g_sigma
        )
    return values


@njit(cache=True, error_model="numpy")
def lkj_loops(
    linkage: np.ndarray,
    sigma: np.ndarray,
    linked: np.ndarray,
    shape: np.ndarray,
    noise_mean: float,
    noise_sd: float,
    g_linkage: np.ndarray,
    g_sigma: np.ndarray,
) -> float:
    """Log density of (C, log sigma), row by row of the Cholesky factor; gradients are added."""
    d = len(sigma)
    value = 0.0
    square, log_r2, weight = np.zeros(d), np.zeros(d), np.zeros(d)
    for k in range(d):
        # Row k over the variables that depend on it, last one first, then its diagonal element:
        # squares and suffix sums r_1^2 .. r_(m+1)^2.
        m = 0
        for j in range(d - 1, k, -1):
            if linked[j, k]:
                square[m] = (linkage[j, k] / sigma[j]) ** 2
                m += 1
        square[m] = sigma[k] ** -2
        suffix = 0.0
        for f in range(m, -1, -1):
            suffix += square[f]
            log_r2[f] = np.log(suffix)
            weight[f] = 0.0
        z = (0.5 * log_r2[0] - noise_mean) / noise_sd
        value -= 0.5 * z * z + np.log(noise_sd) + 0.5 * LOG_2PI + 0.5 * (m + 1) * log_r2[0]
        weight[0] = -0.5 * z / noise_sd - 0.5 * (m + 1)
        f = 0
        for j in range(d - 1, k, -1):
            if not linked[j, k]:
                continue
            a = shape[j]
            power = (a - 1.0) - (m - f - 2) / 2.0
            norm = 2.0 * math.lgamma(a) - math.lgamma(2.0 * a) + (2.0 * a - 1.0) * math.log(2.0)
            value += power * (log_r2[f + 1] - log_r2[f]) - norm - np.log(sigma[j])
            weight[f + 1] += power
            weight[f] -= power
            f += 1
        # d L_jj = d log sigma_j / sigma_j and d L_kj = d c_jk / sigma_j.
        value -= np.log(sigma[k])
        f, slope = 0, weight[0] * np.exp(-log_r2[0])
        for j in range(d - 1, k, -1):
            if not linked[j, k]:
                continue
            g_linkage[j, k] += 2.0 * slope * linkage[j, k] / sigma[j] ** 2
            g_sigma[j] -= 2.0 * slope * square[f] + 1.0
            f += 1
            slope += weight[f] * np.exp(-log_r2[f])
        g_sigma[k] -= 2.0 * slope * square[m] + 1.0
    return value
