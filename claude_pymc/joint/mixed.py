r"""Student-t noise as a mixture of normal ones: unbiased estimates of p(y | theta), and draws.

With f = J' z, z ~ N(0, I), and V(lambda) = diag(s_i^2 / lambda_i + error_i^2),

    p(y | theta) = int N(y; 0, J' J + V(lambda)) prod_i p(lambda_i) d lambda

is estimated row by row. It starts from N(f; 0, J' J) times the sites that expectation propagation
has found at a theta not far away (`claude_pymc.joint.propagation`). A row in turn gives up its
site: with f_i ~ N(m_i, v_i) without it, int p(lambda_i) N(y_i; m_i, v_i + s_i^2 / lambda_i + ...),
over the same integral of the site, is one factor of the estimate, and lambda_i is drawn from its
posterior, among the nodes of the trapezoidal rule. Whatever the sites are, the product is unbiased
for the sum over nodes; near those of the mode it varies little, where a row may be near or far at
odds with others it can miss a mode for many draws. Rows that may be far are met first, while
the others are still sites. z is integrated out exactly.

Source: fully adapted sequential Monte Carlo, Pitt, Shephard, J. Am. Stat. Assoc. 94, 590 (1999).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows, workspace
from claude_pymc.joint.propagation import (
    SWEEPS,
    TINY,
    nodes,
    propagate,
    pulled,
    slopes,
    slopes_of_scales,
    tilted,
)
from claude_pymc.joint.tiles import (
    FAST,
    factorise,
    fill_identity_plus,
    pad,
    padded,
    solve_lower,
    solve_transposed,
)

JITTER = 1e-10  # of the prior variance of a row
NORMAL_SHARE = 0.3  # of the precision of normal noise, in sites to start from
APART = 1e6  # variance of a row before its site over that after, at most
SOUND = 0.2  # share of the precision of a row that its site leaves at least
ROUND = 1e-12  # share of the precision of a row that is left without its site, at least


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
    if not value > -np.inf:  # once more, from rows whose noise is normal
        y = near.y - np.dot(near.base, near.mean)
        for i in range(n):
            sites[0, i] = NORMAL_SHARE / (sigma[i] ** 2 + rows.error[i] ** 2)
            sites[1, i] = sites[0, i] * y[i]
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
    sites: np.ndarray,
    order: np.ndarray,
    uniform: np.ndarray,
    normal: np.ndarray,
    z: np.ndarray,
) -> float:
    """Unbiased estimate of log p(y | theta) for complete rows; z becomes a draw given theta.

    ``sites`` (2, row) are those of a theta not far away; ``order`` says which row is met first:
    those of negative precision. ``uniform`` (row) has uniform numbers, ``normal`` (coefficient +
    row) normal ones.
    """
    n, q = len(rows.y), len(tau)
    few = n < q
    size = n if few else q
    jacobian, root, _ = workspace(size, n)
    scaled = rows.base * tau
    y = rows.y - np.dot(rows.base, rows.mean)
    cov, sites = np.zeros((padded(n), padded(n))), sites.copy()
    for i in range(n):  # as much as noise of this size may say, and double precision tell apart
        largest = 1.0 / (sigma[i] ** 2 + rows.error[i] ** 2)
        largest = min(largest, APART / max(np.square(scaled[i]).sum(), TINY))
        if sites[0, i] > largest:
            sites[1, i] *= largest / sites[0, i]
            sites[0, i] = largest
    steady = np.maximum(sites[0], 0.0)
    if few:
        given = np.dot(scaled, scaled.T)
        value = _known_of_few(given, steady, order, root, cov)
    else:
        given = jacobian
        given[:q] = scaled.T
        value = _known_of_many(given, steady, order, root, cov)
    if not value > -np.inf:
        return -np.inf
    own = np.zeros((2, n))
    value += _unsettled(sites, order, cov, own)
    spread = np.empty(n)
    value += _met(y, rows.error, sigma, nu, own, order, uniform, cov, spread)
    found = np.empty(size)
    if few:  # Matheron's rule
        y -= np.dot(scaled, normal[:q]) + np.sqrt(spread) * normal[q:]
        if not _solved(y, spread, given, few, root, found):
            return -np.inf
        solve_transposed(root, found)
        z[:] = normal[:q] + np.dot(scaled.T, found)
    else:
        if not _solved(y, spread, given, few, root, found):
            return -np.inf
        found += normal[:q]
        solve_transposed(root, found)
        z[:] = found
    return value


@njit(cache=True, error_model="numpy")
def _known_of_few(
    given: np.ndarray, sites: np.ndarray, order: np.ndarray, root: np.ndarray, cov: np.ndarray
) -> float:
    """Covariance of f = N(0, K) given sites of these precisions, rows in order; -log|I + K T| / 2.

    K - V'V with V = L^-1 S K, L L' = I + S K S, S = T^(1/2).
    """
    n = len(sites)
    half, carried = np.sqrt(sites), np.zeros((len(cov), len(cov)))
    for i in range(n):
        for j in range(i + 1):
            root[i, j] = half[i] * given[i, j] * half[j]
        root[i, i] += 1.0
    pad(root, n)
    if not factorise(root):
        return -np.inf
    value = 0.0
    for i in range(n):
        value -= math.log(root[i, i])
        row = carried[i, :n]
        row[:] = half * given[order[i]]
        solve_lower(root, row)
    fill_identity_plus(carried, carried, cov)
    for i in range(n):
        for j in range(i + 1):
            cov[i, j] = given[order[i], order[j]] - cov[i, j] + (1.0 if i == j else 0.0)
    return value


@njit(cache=True, error_model="numpy")
def _known_of_many(
    given: np.ndarray, sites: np.ndarray, order: np.ndarray, root: np.ndarray, cov: np.ndarray
) -> float:
    """Do the same for f = J' z: V'V with V = L^-1 J, L L' = I + J T J'."""
    n, size = len(sites), len(root)
    carried = np.zeros((len(cov), size))
    fill_identity_plus(given * sites, given, root)
    if not factorise(root):
        return -np.inf
    value = 0.0
    for e in range(size):
        value -= math.log(root[e, e])
    for i in range(n):
        carried[i] = given[:, order[i]]
        solve_lower(root, carried[i])
    fill_identity_plus(carried, carried, cov)
    for i in range(n):
        cov[i, i] -= 1.0
    return value


@njit(cache=True, error_model="numpy")
def _unsettled(sites: np.ndarray, order: np.ndarray, cov: np.ndarray, own: np.ndarray) -> float:
    """Put sites of negative precision into ``cov``, as far as it remains a covariance.

    ``own`` (2, row) gets the sites that are there; a row without any has zeros.
    """
    value, n = 0.0, len(order)
    for i in range(n):
        row = order[i]
        t, shrunk = sites[0, row], 1.0 + sites[0, row] * cov[i, i]
        if t < 0.0 and shrunk > SOUND:
            value -= 0.5 * math.log(shrunk)
            column = np.empty(n)
            for j in range(n):
                column[j] = cov[max(i, j), min(i, j)]
            for j in range(n):
                part = t / shrunk * column[j]
                for k in range(j + 1):
                    cov[j, k] -= part * column[k]
        if t >= 0.0 or shrunk > SOUND:
            own[0, row], own[1, row] = t, sites[1, row]
    return value


@njit(cache=True, error_model="numpy", fastmath=FAST)
def _met(
    y: np.ndarray,
    error: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    sites: np.ndarray,
    order: np.ndarray,
    uniform: np.ndarray,
    cov: np.ndarray,
    spread: np.ndarray,
) -> float:
    """Put the noise of each row, drawn given those before, in the place of its site.

    Returns what that adds to the log density of the sites; ``spread`` (row) gets the variances.
    Row and column i of ``cov`` belong to row order[i]; of the lower triangle what lies beyond the
    row that is met is kept up to date.
    """
    n, far = len(y), 0.0
    for i in range(n):
        far = max(far, abs(y[i]) / math.hypot(sigma[i], error[i]))
    rate, weight = nodes(nu, far)
    share, mu = np.empty(len(rate)), np.zeros(n)
    for i in range(n):
        for j in range(i):
            mu[i] += cov[i, j] * sites[1, order[j]]
        for j in range(i, n):
            mu[i] += cov[j, i] * sites[1, order[j]]
    value = 0.0
    for i in range(n):
        value += 0.5 * mu[i] * sites[1, order[i]]
    for i in range(n):
        row = order[i]
        t, b, w = sites[0, row], sites[1, row], max(cov[i, i], 0.0)
        # N(f; m, v) without the site, and -log int exp(b f - t f^2 / 2) N(f; m, v) df, no 1 / v.
        left = max(1.0 - t * w, ROUND)
        v, m = w / left, (mu[i] - w * b) / left
        log_z, _, _, _ = tilted(
            y[row] - m, v + error[row] ** 2, sigma[row] ** 2, rate, weight, share
        )
        value += log_z + 0.5 * math.log1p(t * v)
        value -= 0.5 * (2.0 * b * m + v * b * b - t * m * m) / (1.0 + t * v)
        mark, k = uniform[row] * share.sum(), 0
        while k < len(share) - 1 and mark > share[k]:
            mark -= share[k]
            k += 1
        spread[row] = sigma[row] ** 2 / rate[k] + error[row] ** 2
        more = 1.0 / spread[row] - t
        less = more / (1.0 + more * w)
        gain = (y[row] / spread[row] - b - more * mu[i]) / (1.0 + more * w)
        for j in range(i + 1, n):
            mu[j] += gain * cov[j, i]
            part = less * cov[j, i]
            for k in range(i + 1, j + 1):
                cov[j, k] -= part * cov[k, i]
    return value


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
def _solved(
    y: np.ndarray,
    spread: np.ndarray,
    given: np.ndarray,
    few: bool,
    root: np.ndarray,
    white: np.ndarray,
) -> bool:
    """Factor of K + V and its solution for y; ``given`` is K where rows are few. Say if it exists.

    Else it is J, and the factor that of H = I + J V^-1 J', with the solution for J V^-1 y.
    """
    n, size = len(y), len(white)
    if few:
        root[:n, :n] = given
        pad(root, n)
        for i in range(n):
            root[i, i] += spread[i]
            white[i] = y[i]
    else:
        weighted = given / spread
        for e in range(size):
            white[e] = np.dot(weighted[e], y)
        fill_identity_plus(weighted, given, root)
    sound = factorise(root)
    if sound:
        solve_lower(root, white)
    return sound
