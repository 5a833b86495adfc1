r"""Student-t noise by expectation propagation: log p(y | theta), its slopes, marginals of the rows.

Rows y_i = f_i + e_i with f = J' z, z ~ N(0, I), and e_i a scale mixture of normals,

    e_i | lambda_i ~ N(0, s_i^2 / lambda_i + error_i^2),    lambda_i ~ Gamma(nu/2, nu/2).

Each likelihood is replaced by a site exp(b_i f_i - t_i f_i^2 / 2) that leaves the mean and variance
of f_i right when everything else is N(m_i, v_i), the cavity. Then

    log Z = sum_i [log Z_i + G(m_i, v_i) - G(mu_i, w_i)] - log|I + J T J'| / 2 + b . mu / 2,
    G(m, v) = (m^2 / v + log v) / 2,    Z_i = int p(lambda) N(y_i; m_i, v_i + s_i^2 / lambda + ...)

with Z_i by the trapezoidal rule in log lambda. Where rows may be far or near, f has several modes,
of which Laplace's approximation sees one; on 46 elements log Z is within 0.1 where that is 2 to 8
too low. At the fixed point slopes in the scales are those at fixed sites. Where rows disagree by
many sigmas about one value there may be no fixed point; then log Z is given as minus infinity.

Source: Jylanki, Vanhatalo, Vehtari, J. Mach. Learn. Res. 12, 3227 (2011); Rasmussen, Williams,
Gaussian Processes for Machine Learning (2006), sec. 3.6, 5.5.2.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows
from claude_pymc.joint.noise import LOG_2PI
from claude_pymc.joint.tiles import (
    FAST,
    factorise,
    fill_identity_plus,
    inverse_from,
    solve_lower,
    solve_transposed,
)

SWEEPS, STILL = 40, 1e-3  # sweeps over the rows; change of means, in sds, and of log variances
KEPT = ((6, 0.3), (15, 0.5), (SWEEPS, 0.8))  # of the old sites in each sweep, until which one
STEP, NODES = 0.6, 200  # step in log lambda, and nodes
LEFT = 16.0  # of the fall of a density to the left, in nats
LEAST = 1e-3  # share of the precision of a row that its cavity has at least
SLOPE, TINY = 1e-4, 1e-200  # step in log nu; variance of a row that nothing moves


@njit(cache=True, error_model="numpy")
def nodes(nu: float, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Lambdas equidistant in their logarithm, and weights of their prior.

    ``far`` is the largest residual, in sigmas.
    """
    half, fall = 0.5 * nu, 2.0 * LEFT / (nu + 1.0)
    low = -math.log((nu + far * far) / (nu + 1.0)) - fall - min(1.0, math.sqrt(2.0 * fall))
    low = min(low, -math.sqrt(2.0 * fall))
    high = math.log1p(LEFT / half + math.sqrt(2.0 * LEFT / half))
    step = min(STEP, 2.0 * STEP * math.sqrt(2.0 / nu))
    number = min(int((high - low) / step) + 2, NODES)
    step = (high - low) / (number - 1)
    rate, weight = np.empty(number), np.empty(number)
    constant = half * math.log(half) - math.lgamma(half) + math.log(step)
    for k in range(number):
        x = low + step * k
        rate[k] = math.exp(x)
        weight[k] = math.exp(constant + half * (x - rate[k]))
    return rate, weight


@njit(cache=True, error_model="numpy", fastmath=FAST)
def tilted(
    r: float, v: float, own: float, rate: np.ndarray, weight: np.ndarray, share: np.ndarray
) -> tuple[float, float, float, float]:
    """Log Z of a row; its slopes in the cavity's mean, first and second; its slope in log sigma.

    ``r`` is y less the cavity's mean, ``v`` the cavity's variance with that of a known error,
    ``own`` sigma squared. ``share`` gets the posterior weight of each node. Nodes to the left,
    where noise is as wide as any residual, keep the sum from vanishing.
    """
    total, first, second, slope, half = 0.0, 0.0, 0.0, 0.0, -0.5 * r * r
    for k in range(len(rate)):
        h = rate[k] / (v * rate[k] + own)
        part = weight[k] * math.exp(half * h) * math.sqrt(h)
        share[k] = part
        total += part
        part *= h
        first += part
        part *= h
        second += part
        slope += (r * r * part - part / h) * own / rate[k]
    mean = first / total
    bend = r * r * (second / total - mean * mean) - mean
    return math.log(total) - 0.5 * LOG_2PI, r * mean, bend, slope / total


@njit(cache=True, error_model="numpy")
def propagate(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    sweeps: int,
    jacobian: np.ndarray,
    root: np.ndarray,
    z: np.ndarray,
    sites: np.ndarray,
    cavity: np.ndarray,
) -> float:
    """Log Z of complete rows, minus infinity where so many sweeps do not find it.

    ``jacobian`` (unknown, row) becomes J, ``root`` the factor of I + J T J', ``z`` its mean,
    ``sites`` (2, row) t and b, started from what they are; ``cavity`` (2, row) means, less y, and
    variances.
    """
    n, size = len(rows.y), len(tau)
    y = rows.y - np.dot(rows.base, rows.mean)
    for e in range(size):
        for i in range(n):
            jacobian[e, i] = tau[e] * rows.base[i, e]
    far = 0.0
    for i in range(n):
        far = max(far, abs(y[i]) / math.hypot(sigma[i], rows.error[i]))
    rate, weight = nodes(nu, far)
    share, weighted, column = np.empty(len(rate)), np.zeros(jacobian.shape), np.empty(size)
    keep, value = 0.0, -np.inf
    mu, w, old, steps = np.empty(n), np.empty(n), np.zeros((2, n)), np.empty((2, n))
    for i in range(n):
        keep = KEPT[0][1] if sites[0, i] != 0.0 else keep
    for sweep in range(sweeps + 1):
        for _ in range(12):  # towards the new sites, as far as what they give is a covariance
            for e in range(size):
                for i in range(n):
                    weighted[e, i] = jacobian[e, i] * sites[0, i]
            fill_identity_plus(weighted, jacobian, root)
            if factorise(root):
                break
            for i in range(n):
                sites[0, i] = 0.5 * (sites[0, i] + old[0, i])
                sites[1, i] = 0.5 * (sites[1, i] + old[1, i])
        else:
            return -np.inf
        for e in range(size):
            total = 0.0
            for i in range(n):
                total += jacobian[e, i] * sites[1, i]
            z[e] = total
        solve_lower(root, z)
        gain = 0.5 * np.dot(z, z)
        for e in range(size):
            gain -= math.log(root[e, e])
        solve_transposed(root, z)
        change = 0.0
        for i in range(n):
            mean = 0.0
            for e in range(size):
                column[e] = jacobian[e, i]
                mean += column[e] * z[e]
            solve_lower(root, column)
            spread = max(np.dot(column, column), TINY)
            if sweep:
                moved = abs(mean - mu[i]) / math.sqrt(spread)
                change = max(change, moved, abs(math.log(spread / w[i])))
            mu[i], w[i] = mean, spread
        value, sound = gain, sweep == 0 or change < STILL
        last = sweep == sweeps or (sweep > 0 and sound)
        for i in range(n):
            precision = 1.0 / w[i] - sites[0, i]
            if precision < LEAST / w[i]:
                precision, sound = LEAST / w[i], False
            v = 1.0 / precision
            m = v * (mu[i] / w[i] - sites[1, i])
            log_z, pull, bend, _ = tilted(
                y[i] - m, v + rows.error[i] ** 2, sigma[i] ** 2, rate, weight, share
            )
            cavity[0, i], cavity[1, i] = m - y[i], v
            value += log_z + 0.5 * (m * m / v + math.log(v) - mu[i] ** 2 / w[i] - math.log(w[i]))
            steps[0, i] = -bend / (1.0 + bend * v)
            steps[1, i] = (pull - bend * m) / (1.0 + bend * v)
        if last:
            break
        old[:] = sites
        for i in range(n):
            for c in range(2):
                sites[c, i] = keep * sites[c, i] + (1.0 - keep) * steps[c, i]
        for until, share_of_old in KEPT:
            keep = share_of_old
            if sweep < until:
                break
    return value if sound else -np.inf


@njit(cache=True, error_model="numpy")
def slopes(
    rows: Rows, sigma: np.ndarray, nu: float, cavity: np.ndarray, g_sigma: np.ndarray
) -> float:
    """Slopes of log Z at fixed cavities: in log sigma (row), filled in; in log nu, returned."""
    n, far = len(rows.y), 0.0
    for i in range(n):
        far = max(far, abs(cavity[0, i]) / math.hypot(sigma[i], rows.error[i]))
    rate, weight = nodes(nu, far)
    share, half = np.empty(len(rate)), 0.5 * nu
    digamma = math.lgamma(half * (1.0 + SLOPE)) - math.lgamma(half * (1.0 - SLOPE))
    digamma /= 2.0 * SLOPE * half
    slope = n * (math.log(half) + 1.0 - digamma)
    for i in range(n):
        v = cavity[1, i] + rows.error[i] ** 2
        found = tilted(-cavity[0, i], v, sigma[i] ** 2, rate, weight, share)
        g_sigma[i] = found[3]
        total, apart = 0.0, 0.0
        for k in range(len(rate)):
            total += share[k]
            apart += share[k] * (math.log(rate[k]) - rate[k])
        slope += apart / total
    return half * slope


@njit(cache=True, error_model="numpy")
def slopes_of_scales(
    rows: Rows,
    tau: np.ndarray,
    jacobian: np.ndarray,
    root: np.ndarray,
    z: np.ndarray,
    sites: np.ndarray,
    g_tau: np.ndarray,
) -> None:
    """Slopes of log Z in log tau (coefficient) at fixed sites.

    z^2 - 1 + (H^-1)_ee where unknowns are the coefficients; else, unknowns standing for the values
    of the rows, (B' a)^2 - (B' W B)_ee with a = b - T mu, W = T - T J' H^-1 J T.
    """
    q, n, size = len(tau), len(rows.y), len(z)
    inverse = inverse_from(root)
    if size == q:
        for e in range(q):
            g_tau[e] = z[e] ** 2 - 1.0 + inverse[e, e]
        return
    jac = jacobian[:size].copy()
    carried = jac * sites[0]
    w = -np.dot(carried.T, np.dot(inverse[:size, :size].copy(), carried))
    for i in range(n):
        w[i, i] += sites[0, i]
    along, across = np.dot(rows.base.T, pulled(jac, z, sites)), np.dot(w, rows.base)
    for e in range(q):
        square = 0.0
        for i in range(n):
            square += rows.base[i, e] * across[i, e]
        g_tau[e] = tau[e] ** 2 * (along[e] ** 2 - square)


@njit(cache=True, error_model="numpy")
def pulled(jacobian: np.ndarray, z: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """How the rows pull at their values, b - T mu, for J (unknown, row)."""
    return sites[1] - sites[0] * np.dot(jacobian.T, z)
