r"""One target given the cheaper ones, row by row: its coefficients integrated out by Laplace.

Row i has the mean mu_i = a_i . (m + t z) with coefficients m + t z, z ~ N(0, I): linkages, what
varies them, corrections. With l_i the log density of its noise,

    log p(y | theta) = log int exp[ sum_i l_i(y_i - mu_i(z)) - |z|^2 / 2 ] dz / (2 pi)^(q/2)
                     ~ sum_i l_i(zhat) - |zhat|^2 / 2 - log|H| / 2,    H = I + B' W B,

B = A diag(t), W = -l'' at the mode zhat; exact for normal noise. For other noise, draws from
N(zhat, H^-1) and their weights give an unbiased estimate, so that whatever weighs by it is exact.

A cheaper value that was not measured is one more unknown, u = c + L w with w ~ N(0, I), whose
moments are those of the cheaper targets' posterior; mu is bilinear in (z, w) then.

Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), sec. 3.4, 5.5; Rue,
Martino, Chopin, J. R. Stat. Soc. B 71, 319 (2009).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from claude_pymc.joint.noise import densities, noise_slopes
from claude_pymc.joint.tiles import (
    factorise,
    fill_identity_plus,
    inverse_from,
    padded,
    solve_lower,
    solve_transposed,
)

MOST_STEPS, MOST_CUTS = 60, 12
ARRIVED = 1e-9  # squared length of a Newton step


class Rows(NamedTuple):
    """Rows of one target.

    Missing cheaper values enter through ``latent`` and ``slope``: entry e of row i is
    base[i, e] + slope[i, e] u[latent[i, e]].
    """

    base: np.ndarray  # (row, entry)
    y: np.ndarray  # (row)
    error: np.ndarray  # (row): known measurement error
    source: np.ndarray  # (row): position of the source of the row
    mean: np.ndarray  # (entry): prior mean of the coefficients
    incomplete: np.ndarray  # (some): rows that lack cheaper values
    latent: np.ndarray  # (some, entry): position of the missing value, or -1
    slope: np.ndarray  # (some, entry)
    alike: bool  # normal noise of one size, complete rows
    gram: np.ndarray  # (entry, entry): base' base where rows are alike and not fewer, else empty
    cross: np.ndarray  # (entry): base' (y - base mean) there
    more: float  # rows there, less those that stand for them


@njit(cache=True, error_model="numpy")
def means(
    rows: Rows,
    tau: np.ndarray,
    z: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    mu: np.ndarray,
    u: np.ndarray,
) -> None:
    """Means of the rows at z, and missing values u."""
    q = len(tau)
    b = np.empty(q)
    for e in range(q):
        b[e] = rows.mean[e] + tau[e] * z[e]
    mu[:] = np.dot(rows.base, b)
    for k in range(len(u)):
        u[k] = centre[k]
        for j in range(k + 1):
            u[k] += spread[k, j] * z[q + j]
    for i in range(len(rows.incomplete)):
        for e in range(q):
            if rows.latent[i, e] >= 0:
                mu[rows.incomplete[i]] += rows.slope[i, e] * u[rows.latent[i, e]] * b[e]


@njit(cache=True, error_model="numpy")
def slopes_of_means(
    rows: Rows,
    tau: np.ndarray,
    z: np.ndarray,
    spread: np.ndarray,
    u: np.ndarray,
    jacobian: np.ndarray,
) -> None:
    """Slopes of the means in z, transposed: (unknown, row)."""
    q, m = len(tau), len(u)
    for e in range(q):
        jacobian[e, : len(rows.y)] = tau[e] * rows.base[:, e]
    if m:
        jacobian[q : q + m] = 0.0
        for i in range(len(rows.incomplete)):
            row = rows.incomplete[i]
            for e in range(q):
                k = rows.latent[i, e]
                if k >= 0:
                    pull = rows.slope[i, e] * (rows.mean[e] + tau[e] * z[e])
                    jacobian[e, row] += tau[e] * rows.slope[i, e] * u[k]
                    for j in range(k + 1):
                        jacobian[q + j, row] += pull * spread[k, j]


@njit(cache=True, error_model="numpy")
def curvature(
    rows: Rows,
    tau: np.ndarray,
    spread: np.ndarray,
    jacobian: np.ndarray,
    weight: np.ndarray,
    slope: np.ndarray,
    weighted: np.ndarray,
    root: np.ndarray,
) -> bool:
    """Factor of I + J' W J, less the bend of the means where ``slope`` (row) is not empty."""
    n, q = len(weight), len(tau)
    for e in range(len(jacobian)):
        for i in range(n):
            weighted[e, i] = jacobian[e, i] * weight[i]
    fill_identity_plus(weighted, jacobian, root)
    if len(slope):
        for i in range(len(rows.incomplete)):
            row = rows.incomplete[i]
            for e in range(q):
                k = rows.latent[i, e]
                if k >= 0:
                    for j in range(k + 1):
                        pull = slope[row] * rows.slope[i, e] * tau[e] * spread[k, j]
                        root[q + j, e] -= pull
    return factorise(root)


@njit(cache=True, error_model="numpy")
def climb(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    centre: np.ndarray,
    spread: np.ndarray,
    z: np.ndarray,
    jacobian: np.ndarray,
    root: np.ndarray,
    found: np.ndarray,
) -> float:
    """Move z to the mode and return the Laplace approximation; root is the factor of H there.

    ``found`` (4, row) gets the slopes of the rows' log densities at the mode.
    """
    n, q, m = len(rows.y), len(tau), len(centre)
    size = q + m
    normal = nu == 0.0 and m == 0
    mu, u, further, other = np.empty(n), np.empty(m), np.empty(size), np.empty((4, n))
    step, weighted, weight = np.zeros(len(root)), np.zeros(jacobian.shape), np.empty(n)
    nothing = np.empty(0)
    means(rows, tau, z, centre, spread, mu, u)
    value = densities(rows.y - mu, sigma, rows.error, nu, found) - 0.5 * np.dot(z, z)
    exact = False  # whether the factor is that of the Hessian at z
    for turn in range(MOST_STEPS):
        slopes_of_means(rows, tau, z, spread, u, jacobian)
        exact = normal or turn > 1
        if exact:
            for i in range(n):
                weight[i] = -found[1, i]
            # Slopes of l in mu are those in r, with the other sign.
            bend = -found[0] if m else nothing
            exact = curvature(rows, tau, spread, jacobian, weight, bend, weighted, root)
        if not exact:
            if not curvature(rows, tau, spread, jacobian, found[3], nothing, weighted, root):
                return -np.inf
        for e in range(size):
            total = -z[e]
            for i in range(n):
                total -= jacobian[e, i] * found[0, i]
            step[e] = total
        solve_lower(root, step)
        moved = np.dot(step, step)
        solve_transposed(root, step)
        if moved < ARRIVED and exact:
            break
        cut, better = 1.0, False
        for _ in range(MOST_CUTS):
            for e in range(size):
                further[e] = z[e] + cut * step[e]
            means(rows, tau, further, centre, spread, mu, u)
            new = densities(rows.y - mu, sigma, rows.error, nu, other)
            new -= 0.5 * np.dot(further, further)
            if new >= value - 1e-12 * abs(value):
                better = True
                break
            cut *= 0.4
        if not better:
            means(rows, tau, z, centre, spread, mu, u)
            break
        z[:] = further
        value = new
        found[:] = other
        if normal:
            break
    half = 0.0
    for e in range(size):
        half += math.log(root[e, e])
    return value - half


@njit(cache=True, error_model="numpy")
def gradient(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    z: np.ndarray,
    jacobian: np.ndarray,
    root: np.ndarray,
    found: np.ndarray,
    g_tau: np.ndarray,
    g_noise: np.ndarray,
) -> None:
    """Slopes of the Laplace approximation in log t (entry), log sigma (row) and log nu (last).

    For complete rows. With r_i = l'''_i B_i H^-1 B_i' / 2 and h = H^-1 B' r:
    z_e^2 - 1 + (H^-1)_ee + 2 z_e h_e, and dl_i + dl''_i B_i H^-1 B_i' / 2 + (B h)_i dl'_i.
    """
    n, q = len(rows.y), len(tau)
    inverse = inverse_from(root)
    carried = np.dot(inverse[:q, :q].copy(), jacobian[:q].copy())
    s, pull = np.zeros(n), np.zeros(q)
    for e in range(q):
        for i in range(n):
            s[i] += jacobian[e, i] * carried[e, i]
    for e in range(q):  # l''' in mu is minus that in r
        for i in range(n):
            pull[e] -= 0.5 * carried[e, i] * found[2, i] * s[i]
    for e in range(q):
        g_tau[e] = z[e] ** 2 - 1.0 + inverse[e, e] + 2.0 * z[e] * pull[e]
    mu = np.empty(n)
    means(rows, tau, z, np.empty(0), np.empty((0, 0)), mu, np.empty(0))
    change = np.empty((2, 3, n))
    noise_slopes(rows.y - mu, sigma, rows.error, nu, change)
    g_noise[n] = 0.0
    for i in range(n):
        along = 0.0
        for e in range(q):
            along += jacobian[e, i] * pull[e]
        g_noise[i] = change[0, 0, i] + 0.5 * s[i] * change[0, 2, i] - along * change[0, 1, i]
        g_noise[n] += change[1, 0, i] + 0.5 * s[i] * change[1, 2, i] - along * change[1, 1, i]


@njit(cache=True, error_model="numpy")
def weigh(
    rows: Rows,
    tau: np.ndarray,
    sigma: np.ndarray,
    nu: float,
    centre: np.ndarray,
    spread: np.ndarray,
    z: np.ndarray,
    root: np.ndarray,
    normal: np.ndarray,
    uniform: float,
) -> float:
    """Unbiased estimate of log p(y | theta); z becomes a draw given theta.

    ``normal`` (draw, unknown) holds standard normal numbers, one ``uniform`` chooses among them.
    """
    size, n = len(z), len(rows.y)
    mu, u, nothing = np.empty(n), np.empty(len(centre)), np.empty((0, 0))
    points, weight, half = np.empty(normal.shape), np.empty(len(normal)), 0.0
    for e in range(size):
        half += math.log(root[e, e])
    for k in range(len(normal)):
        point = normal[k].copy()
        lift = 0.5 * np.dot(point, point)
        solve_transposed(root, point)
        for e in range(size):
            points[k, e] = z[e] + point[e]
        means(rows, tau, points[k], centre, spread, mu, u)
        weight[k] = densities(rows.y - mu, sigma, rows.error, nu, nothing) + lift
        weight[k] -= 0.5 * np.dot(points[k], points[k])
    top = weight.max()
    if not top > -np.inf:
        return -np.inf
    total, chosen = 0.0, 0
    for k in range(len(weight)):
        total += math.exp(weight[k] - top)
    mark, running = uniform * total, 0.0
    for k in range(len(weight)):
        running += math.exp(weight[k] - top)
        if running >= mark:
            chosen = k
            break
    z[:] = points[chosen]
    return top + math.log(total / len(weight)) - half


@njit(cache=True, error_model="numpy")
def workspace(unknowns: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jacobian (padded unknown, row), zero beyond the unknowns; H; slopes of the rows."""
    size = padded(unknowns)
    return np.zeros((size, n)), np.empty((size, size)), np.empty((4, n))
