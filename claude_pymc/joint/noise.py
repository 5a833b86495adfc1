r"""Noise of single rows: normal or Student-t, with known measurement errors.

A value y of mean mu has the residual r = y - mu and

    r | lambda ~ N(0, v),  v = sigma^2 / lambda + e^2,  lambda = 1 or lambda ~ Gamma(nu/2, nu/2):

normal, or Student-t with nu degrees of freedom about which a measurement error of known size e is
spread. With h = 1 / v and its moments given r, log p(r) has the slopes

    l' = -r <h>,   l'' = -<h> + r^2 Var h,   l''' = 3 r Var h - r^3 K3 h       (K3: third central).

Where e = 0 these are closed (h is Gamma distributed given r), else sums over a grid of log lambda.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LOG_2PI = math.log(2 * math.pi)
NORMAL = 1e6  # degrees of freedom from which on a Student-t counts as normal
NODES = 48
STEP = 1e-4  # of log sigma and log nu, for slopes by differences


@njit(cache=True, error_model="numpy")
def grid(nu: float, rate: np.ndarray, log_weight: np.ndarray) -> None:
    """Nodes lambda and log weights of Gamma(nu/2, nu/2), equidistant in log lambda.

    The density of log lambda falls to 1e-16 of its maximum at both ends; the trapezoidal rule
    converges exponentially there (Trefethen, Weideman, SIAM Rev. 56, 385 (2014)).
    """
    half = 0.5 * nu
    low, high = -37.0 / half - 1.0, math.log1p(37.0 / half + math.sqrt(74.0 / half))
    top = -np.inf
    for k in range(len(rate)):
        x = low + (high - low) * k / (len(rate) - 1)
        rate[k] = math.exp(x)
        log_weight[k] = half * (x - rate[k])
        top = max(top, log_weight[k])
    total = 0.0
    for k in range(len(rate)):
        total += math.exp(log_weight[k] - top)
    for k in range(len(rate)):
        log_weight[k] -= top + math.log(total)


@njit(cache=True, error_model="numpy")
def row_density(
    r: float, sigma: float, error: float, nu: float, rate: np.ndarray, log_weight: np.ndarray
) -> tuple[float, float, float, float]:
    """Log density of a residual; mean, variance and third central moment of h given it.

    ``nu`` is zero, or very large, for normal noise; ``rate`` and ``log_weight`` are those of
    `grid`, read where a Student-t has a known error beside it.
    """
    if nu == 0.0 or nu >= NORMAL:
        h = 1.0 / (sigma**2 + error**2)
        return 0.5 * (math.log(h) - LOG_2PI - h * r * r), h, 0.0, 0.0
    if error == 0.0:
        spread = nu * sigma**2 + r * r
        value = math.lgamma(0.5 * (nu + 1)) - math.lgamma(0.5 * nu) - math.log(sigma)
        value -= 0.5 * math.log(nu * math.pi)
        value -= 0.5 * (nu + 1) * math.log1p(r * r / (nu * sigma**2))
        mean = (nu + 1) / spread
        return value, mean, 2 * mean / spread, 8 * mean / spread**2
    top = -np.inf
    for k in range(len(rate)):
        h = 1.0 / (sigma**2 / rate[k] + error**2)
        top = max(top, log_weight[k] + 0.5 * (math.log(h) - h * r * r))
    total, first = 0.0, 0.0
    for k in range(len(rate)):
        h = 1.0 / (sigma**2 / rate[k] + error**2)
        share = math.exp(log_weight[k] + 0.5 * (math.log(h) - h * r * r) - top)
        total += share
        first += share * h
    mean, second, third = first / total, 0.0, 0.0
    for k in range(len(rate)):
        h = 1.0 / (sigma**2 / rate[k] + error**2)
        share = math.exp(log_weight[k] + 0.5 * (math.log(h) - h * r * r) - top) / total
        second += share * (h - mean) ** 2
        third += share * (h - mean) ** 3
    return top + math.log(total) - 0.5 * LOG_2PI, mean, second, third


@njit(cache=True, error_model="numpy")
def densities(
    r: np.ndarray, sigma: np.ndarray, error: np.ndarray, nu: float, found: np.ndarray
) -> float:
    """Sum of log densities of residuals; their slopes l', l'', l''' and <h> in ``found`` (4, row).

    ``found`` may be empty: then only the sum is wanted.
    """
    rate, log_weight = np.empty(NODES), np.empty(NODES)
    if nu > 0.0:
        grid(nu, rate, log_weight)
    total = 0.0
    for i in range(len(r)):
        value, mean, second, third = row_density(r[i], sigma[i], error[i], nu, rate, log_weight)
        total += value
        if len(found):
            found[0, i] = -r[i] * mean
            found[1, i] = -mean + r[i] ** 2 * second
            found[2, i] = 3 * r[i] * second - r[i] ** 3 * third
            found[3, i] = mean
    return total


@njit(cache=True, error_model="numpy")
def noise_slopes(
    r: np.ndarray, sigma: np.ndarray, error: np.ndarray, nu: float, found: np.ndarray
) -> None:
    """Slopes in log sigma and log nu of l, l', l'' of each row, (2, 3, row), by differences."""
    rate, log_weight = np.empty(NODES), np.empty(NODES)
    found[:] = 0.0
    for which in range(2 if nu > 0.0 else 1):
        for sign in (-1.0, 1.0):
            factor = math.exp(sign * STEP)
            other = nu * factor if which == 1 else nu
            if other > 0.0:
                grid(other, rate, log_weight)
            for i in range(len(r)):
                s = sigma[i] * factor if which == 0 else sigma[i]
                value, mean, second, _ = row_density(r[i], s, error[i], other, rate, log_weight)
                found[which, 0, i] += sign * value / (2 * STEP)
                found[which, 1, i] -= sign * r[i] * mean / (2 * STEP)
                found[which, 2, i] += sign * (r[i] ** 2 * second - mean) / (2 * STEP)
