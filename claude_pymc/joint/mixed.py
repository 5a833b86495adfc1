r"""Student-t noise as a mixture of normal ones: unbiased estimates of p(y | theta), and draws.

With f = J' z, z ~ N(0, I), and V(lambda) = diag(s_i^2 / lambda_i + error_i^2),

    p(y | theta) = int N(y; 0, J' J + V(lambda)) prod_i p(lambda_i) d lambda

is estimated by draws of each lambda_i from its posterior under the cavity that expectation
propagation finds (`claude_pymc.joint.propagation`): a density linear in log lambda between nodes,
so that its tails are those of the prior and a row may be far or near. z is integrated out exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows, workspace
from claude_pymc.joint.noise import LOG_2PI
from claude_pymc.joint.propagation import (
    FINE,
    SWEEPS,
    nodes,
    propagate,
    pulled,
    slopes,
    slopes_of_scales,
    tilted,
)
from claude_pymc.joint.tiles import (
    factorise,
    fill_identity_plus,
    pad,
    solve_lower,
    solve_transposed,
)

JITTER = 1e-10  # of the prior variance of a row


@njit(cache=True, error_model="numpy")
def approximate(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    sites: np.ndarray,
    cavity: np.ndarray,
    z: np.ndarray,
    g_tau: np.ndarray,
    g_noise: np.ndarray,
) -> float:
    """Log p(y | theta) of complete rows by expectation propagation; z becomes the mean.

    ``sites`` (2, row) are started from, and found with the ``cavity`` (2, row); zero if there are
    none. Where ``g_tau`` (coefficient) has any, it and ``g_noise`` (row + 1) get the slopes in
    log tau, and in log sigma by row and log nu.
    """
    n, q = len(rows.y), len(tau)
    few = n < q
    near, ones = shortened(rows, tau) if few else (rows, tau)
    size = len(ones)
    jacobian, root, _ = workspace(size, n)
    found = np.empty(size)
    value = propagate(near, ones, sigma, nu, SWEEPS, jacobian, root, found, sites, cavity)
    if not value > -np.inf:
        sites[:] = 0.0
        return -np.inf
    if few:
        z[:] = tau * np.dot(rows.base.T, pulled(jacobian[:size].copy(), found, sites))
    else:
        z[:] = found
    if len(g_tau):
        g_noise[n] = slopes(rows, sigma, nu, cavity, g_noise[:n])
        slopes_of_scales(rows, tau, jacobian, root, found, sites, g_tau)
    return value


@njit(cache=True, error_model="numpy")
def estimate(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    cavity: np.ndarray,
    uniform: np.ndarray,
    normal: np.ndarray,
    z: np.ndarray,
) -> float:
    """Unbiased estimate of log p(y | theta) for complete rows; z becomes a draw given theta.

    ``cavity`` (2, row) is that of a theta not far away. ``uniform`` (draw, row + 1) has uniform
    numbers, of which the first of all chooses the draw that is returned; ``normal`` (coefficient +
    row) normal ones.
    """
    n, q, draws = len(rows.y), len(tau), len(uniform)
    few = n < q
    size = n if few else q
    jacobian, root, _ = workspace(size, n)
    scaled, found = rows.base * tau, np.empty(size)
    if few:
        given = np.dot(scaled, scaled.T)
    else:
        given = jacobian
        given[:q] = scaled.T
    y = rows.y - np.dot(rows.base, rows.mean)
    spreads, values = np.empty((draws, n)), np.empty(draws)
    draw_rates(rows, sigma, nu, cavity, uniform[:, 1:], spreads, values)
    for d in range(draws):
        values[d] += _integrated(y, spreads[d], given, few, root, found)
    top = values.max()
    if not top > -np.inf:
        return -np.inf
    mark, chosen, running = uniform[0, 0] * np.exp(values - top).sum(), draws - 1, 0.0
    for d in range(draws):
        running += math.exp(values[d] - top)
        if running >= mark:
            chosen = d
            break
    spread = spreads[chosen]
    if few:  # Matheron's rule
        y -= np.dot(scaled, normal[:q]) + np.sqrt(spread) * normal[q:]
        _integrated(y, spread, given, few, root, found)
        solve_transposed(root, found)
        z[:] = normal[:q] + np.dot(scaled.T, found)
    else:
        _integrated(y, spread, given, few, root, found)
        found += normal[:q]
        solve_transposed(root, found)
        z[:] = found
    return top + math.log(np.exp(values - top).mean())


@njit(cache=True, error_model="numpy")
def shortened(rows: Rows, tau: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Rows whose unknowns are as many as they, and ones: f = B z = L v, L L' = B B', v ~ N(0, I).

    For complete rows, fewer than coefficients: only f meets the rows.
    """
    n = len(rows.y)
    scaled = rows.base * tau
    root = np.dot(scaled, scaled.T)
    lift = 0.0
    for i in range(n):
        lift = max(lift, root[i, i])
    for i in range(n):
        root[i, i] += JITTER * lift
    short = Rows(
        np.linalg.cholesky(root),
        rows.y - np.dot(rows.base, rows.mean),
        rows.error,
        rows.source,
        np.zeros(n),
        rows.incomplete,
        rows.latent,
        rows.slope,
        rows.alike,
        rows.gram,
        rows.cross,
        rows.more,
    )
    return short, np.ones(n)


@njit(cache=True, error_model="numpy")
def draw_rates(
    rows: Rows,
    sigma: np.ndarray,
    nu: float,
    cavity: np.ndarray,
    uniform: np.ndarray,
    spread: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Noise variances (draw, row) from uniform numbers, and log prior less log proposal (draw)."""
    n, far = len(rows.y), 0.0
    for i in range(n):
        far = max(far, abs(cavity[0, i]) / math.hypot(sigma[i], rows.error[i]))
    rate, mass, step = nodes(nu, far, FINE)
    first, half = math.log(rate[0]), 0.5 * nu
    constant = half * math.log(half) - math.lgamma(half)
    share, sums = np.empty(len(rate)), np.empty(len(rate))
    weight[:] = n * constant
    for i in range(n):
        v = cavity[1, i] + rows.error[i] ** 2
        tilted(-cavity[0, i], v, sigma[i] ** 2, rate, mass, share)
        sums[0] = 0.0
        for k in range(1, len(share)):
            sums[k] = sums[k - 1] + 0.5 * step * (share[k - 1] + share[k])
        for d in range(len(weight)):
            mark = uniform[d, i] * sums[-1]
            k = min(np.searchsorted(sums, mark, side="right"), len(sums) - 1)
            # In this interval the density is low + rise t, t from 0 to 1.
            low, rise, rest = share[k - 1], share[k] - share[k - 1], (mark - sums[k - 1]) / step
            root = math.sqrt(max(low**2 + 2.0 * rise * rest, 0.0))
            t = min(2.0 * rest / (low + root), 1.0) if low + root > 0.0 else 0.5
            x = first + step * (k - 1 + t)
            drawn = math.exp(x)
            weight[d] += half * (x - drawn) - math.log((low + rise * t) / sums[-1])
            spread[d, i] = sigma[i] ** 2 / drawn + rows.error[i] ** 2


@njit(cache=True, error_model="numpy")
def _integrated(
    y: np.ndarray,
    spread: np.ndarray,
    given: np.ndarray,
    few: bool,
    root: np.ndarray,
    white: np.ndarray,
) -> float:
    """Log N(y; 0, K + V); where rows are few ``given`` is K, else J with K = J' J.

    ``root`` becomes the factor of K + V, ``white`` its solution for y; else of H = I + J V^-1 J'
    for J V^-1 y.
    """
    n, size = len(y), len(white)
    value = -0.5 * n * LOG_2PI
    if few:
        root[:n, :n] = given
        pad(root, n)
        for i in range(n):
            root[i, i] += spread[i]
            white[i] = y[i]
    else:
        weighted = np.zeros(given.shape)
        for i in range(n):
            value -= 0.5 * (math.log(spread[i]) + y[i] ** 2 / spread[i])
        for e in range(size):
            total = 0.0
            for i in range(n):
                weighted[e, i] = given[e, i] / spread[i]
                total += weighted[e, i] * y[i]
            white[e] = total
        fill_identity_plus(weighted, given, root)
    if not factorise(root):
        return -np.inf
    solve_lower(root, white)
    for e in range(size):
        value -= math.log(root[e, e])
    return value + (-0.5 if few else 0.5) * np.dot(white, white)
