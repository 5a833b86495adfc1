"""One target given the cheaper ones, with normal noise of one size: closed forms.

Notation as in `claude_pymc.joint.laplace`: coefficients m + t z with z ~ N(0, I), and
B = A diag(t) / sigma.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from claude_pymc.joint.laplace import Rows, means
from claude_pymc.joint.noise import LOG_2PI
from claude_pymc.joint.tiles import (
    factorise,
    inverse_from,
    padded,
    solve_lower,
    solve_transposed,
)


@njit(cache=True, error_model="numpy")
def plain(
    rows: Rows,
    tau: np.ndarray,
    sigma: float,
    z: np.ndarray,
    root: np.ndarray,
    slope: np.ndarray,
    noise: np.ndarray,
) -> float:
    """Log density of rows with normal noise of one size; z becomes the mode, root the factor of H.

    ``slope`` (entry) and ``noise`` (1) get the slopes in log t and log sigma, unless empty.
    """
    q, size, n = len(tau), len(root), len(rows.y)
    for i in range(size):
        for j in range(i + 1):
            same = 1.0 if i == j else 0.0
            root[i, j] = same
            if i < q:
                root[i, j] = same + (tau[i] / sigma) * rows.gram[i, j] * (tau[j] / sigma)
    if not factorise(root):
        return -np.inf
    for e in range(q):
        z[e] = (tau[e] / sigma) * (rows.cross[e] / sigma)
    solve_lower(root, z)
    solve_transposed(root, z)
    mu, nothing = np.empty(n), np.empty(0)
    means(rows, tau, z, nothing, np.empty((0, 0)), mu, nothing)
    square, half = 0.0, 0.0
    for i in range(n):
        square += ((rows.y[i] - mu[i]) / sigma) ** 2
    for e in range(q):
        half += math.log(root[e, e])
    value = -0.5 * (square + np.dot(z, z)) - half
    value -= (n + rows.more) * (math.log(sigma) + 0.5 * LOG_2PI)
    if len(slope):
        inverse, trace = inverse_from(root), 0.0
        for e in range(q):
            slope[e] = z[e] ** 2 - 1.0 + inverse[e, e]
            trace += inverse[e, e]
        noise[0] = square - (n + rows.more) + q - trace
    return value


@njit(cache=True, error_model="numpy")
def dual(
    rows: Rows,
    tau: np.ndarray,
    sigma: float,
    z: np.ndarray,
    normal: np.ndarray,
    slope: np.ndarray,
    noise: np.ndarray,
) -> float:
    """Do the same as `plain` in matrices over rows: for fewer rows than coefficients.

    |I + B'B| = |I + B B'| and z = B' (I + B B')^-1 r. With standard normal numbers (entry + row)
    z becomes a draw instead: one from the prior, and the noise, moved to meet the rows.
    """
    q, n = len(tau), len(rows.y)
    scaled, size = rows.base * (tau / sigma), padded(n)
    root = np.zeros((size, size))
    root[:n, :n] = np.dot(scaled, scaled.T)
    for i in range(size):
        root[i, i] += 1.0
    if not factorise(root):
        return -np.inf
    white = np.empty(n)
    for i in range(n):
        white[i] = rows.y[i] / sigma
    white -= np.dot(rows.base, rows.mean / sigma)
    short, half = white.copy(), 0.0
    solve_lower(root, short)
    for i in range(n):
        half += math.log(root[i, i])
    value = -0.5 * np.dot(short, short) - half
    value -= (n + rows.more) * (math.log(sigma) + 0.5 * LOG_2PI)
    if len(normal):
        z[:] = normal[:q]
        white -= np.dot(scaled, normal[:q]) + normal[q:]
        short[:] = white
        solve_lower(root, short)
        solve_transposed(root, short)
        z += np.dot(scaled.T, short)
        return value
    solve_transposed(root, short)
    z[:] = np.dot(scaled.T, short)
    if len(slope):
        inverse, total = inverse_from(root)[:n, :n].copy(), 0.0
        carried = np.dot(inverse, scaled)
        for e in range(q):
            slope[e] = z[e] ** 2
        for i in range(n):
            for e in range(q):
                slope[e] -= scaled[i, e] * carried[i, e]
            total += short[i] ** 2 - inverse[i, i]
        # d log p / d log sigma = sigma^2 (|a|^2 - tr K^-1), with K the covariance of the rows.
        noise[0] = total - rows.more
    return value
