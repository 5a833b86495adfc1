"""Cholesky factor, inverse and solves of small symmetric matrices inside numba's loops.

LAPACK needs a call that costs more than the work on fifty entries, and cannot say "not positive
definite" there but by an exception. Here everything is made of dot products of rows, two by four at
a time, which the compiler vectorises.

A matrix is padded to whole tiles of four by an identity, whose factor and inverse are itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TILE = 4
BLOCK = 64
FAST = {"contract", "reassoc"}


@njit(cache=True, error_model="numpy")
def padded(q: int) -> int:
    """Size of the matrix that holds q entries in whole tiles."""
    return (q + TILE - 1) // TILE * TILE


@njit(cache=True, error_model="numpy")
def pad(a: np.ndarray, q: int) -> None:
    """Make the matrix an identity beyond q."""
    for i in range(q, len(a)):
        a[i, :] = 0.0
        a[:, i] = 0.0
        a[i, i] = 1.0


@njit(cache=True, error_model="numpy", fastmath=FAST)
def dots(
    a: np.ndarray, i: int, b: np.ndarray, j: int, first: int, last: int
) -> tuple[float, float, float, float, float, float, float, float]:
    """Products of rows i, i + 1 of a with rows j .. j + 3 of b, over columns first .. last - 1."""
    s00, s01, s02, s03, s10, s11, s12, s13 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    x0, x1, y0, y1, y2, y3 = a[i], a[i + 1], b[j], b[j + 1], b[j + 2], b[j + 3]
    for k in range(first, last):
        u, v, p, q, r, s = x0[k], x1[k], y0[k], y1[k], y2[k], y3[k]
        s00 += u * p
        s01 += u * q
        s02 += u * r
        s03 += u * s
        s10 += v * p
        s11 += v * q
        s12 += v * r
        s13 += v * s
    return s00, s01, s02, s03, s10, s11, s12, s13


@njit(cache=True, error_model="numpy")
def fill_identity_plus(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Fill the lower triangle of ``out`` with that of I + a b', whole tiles of it.

    Rows of a and b beyond the entries are zero, as many as fill whole tiles.
    """
    n, columns = len(out), a.shape[1]
    for j in range(0, n, TILE):
        for i in range(j, n, 2):
            s = dots(a, i, b, j, 0, columns)
            for c in range(TILE):
                out[i, j + c] = s[c]
                out[i + 1, j + c] = s[TILE + c]
    for i in range(n):
        out[i, i] += 1.0


@njit(cache=True, error_model="numpy")
def factorise(a: np.ndarray) -> bool:
    """Turn the lower triangle of ``a`` into L, a = L L'; False if it is not positive definite.

    The size is a multiple of four. The upper triangle is left as scratch.
    """
    n = len(a)
    for j in range(0, n, TILE):
        for i in range(j, n, 2):
            s00, s01, s02, s03, s10, s11, s12, s13 = dots(a, i, a, j, 0, j)
            a[i, j] -= s00
            a[i, j + 1] -= s01
            a[i, j + 2] -= s02
            a[i, j + 3] -= s03
            a[i + 1, j] -= s10
            a[i + 1, j + 1] -= s11
            a[i + 1, j + 2] -= s12
            a[i + 1, j + 3] -= s13
        for c in range(j, j + TILE):
            pivot = a[c, c]
            for k in range(j, c):
                pivot -= a[c, k] ** 2
            if not (pivot > 0.0 and pivot < np.inf):
                return False
            a[c, c] = np.sqrt(pivot)
            for i in range(c + 1, j + TILE):
                total = a[i, c]
                for k in range(j, c):
                    total -= a[i, k] * a[c, k]
                a[i, c] = total / a[c, c]
        t10, t20, t21 = a[j + 1, j], a[j + 2, j], a[j + 2, j + 1]
        t30, t31, t32 = a[j + 3, j], a[j + 3, j + 1], a[j + 3, j + 2]
        r0, r1 = 1.0 / a[j, j], 1.0 / a[j + 1, j + 1]
        r2, r3 = 1.0 / a[j + 2, j + 2], 1.0 / a[j + 3, j + 3]
        for i in range(j + TILE, n):
            x0 = a[i, j] * r0
            x1 = (a[i, j + 1] - x0 * t10) * r1
            x2 = (a[i, j + 2] - x0 * t20 - x1 * t21) * r2
            a[i, j], a[i, j + 1], a[i, j + 2] = x0, x1, x2
            a[i, j + 3] = (a[i, j + 3] - x0 * t30 - x1 * t31 - x2 * t32) * r3
    return True


@njit(cache=True, error_model="numpy", fastmath=FAST)
def solve_lower(lower: np.ndarray, x: np.ndarray) -> None:
    """Overwrite x by L^-1 x; it may be shorter than L, whose padding does nothing."""
    for i in range(len(x)):
        row, total = lower[i], 0.0
        for k in range(i):
            total += row[k] * x[k]
        x[i] = (x[i] - total) / row[i]


@njit(cache=True, error_model="numpy")
def solve_transposed(lower: np.ndarray, x: np.ndarray) -> None:
    """Overwrite x by L'^-1 x; it may be shorter than L, whose padding does nothing."""
    for i in range(len(x) - 1, -1, -1):
        row = lower[i]
        x[i] /= row[i]
        for k in range(i):
            x[k] -= x[i] * row[k]


@njit(cache=True, error_model="numpy")
def columns_of_inverse(lower: np.ndarray) -> np.ndarray:
    """Transpose of L^-1: row j is its column j."""
    n = len(lower)
    x = np.zeros((n, n))
    for i in range(0, n, TILE):
        for j in range(0, i, 2):
            s = dots(x, j, lower, i, j // TILE * TILE, i)
            for c in range(2):
                for r in range(TILE):
                    total = -s[TILE * c + r]
                    for k in range(i, i + r):
                        total -= lower[i + r, k] * x[j + c, k]
                    x[j + c, i + r] = total / lower[i + r, i + r]
        for j in range(i, i + TILE):
            x[j, j] = 1.0 / lower[j, j]
            for r in range(j + 1, i + TILE):
                total = 0.0
                for k in range(j, r):
                    total -= lower[r, k] * x[j, k]
                x[j, r] = total / lower[r, r]
    return x


@njit(cache=True, error_model="numpy")
def inverse_from(lower: np.ndarray) -> np.ndarray:
    """(L L')^-1, symmetric; where it does not fit the cache, matrix products do most."""
    n = len(lower)
    found = np.empty((n, n))
    if n <= BLOCK:
        x = columns_of_inverse(lower)
        for i in range(0, n, TILE):
            for j in range(0, i + TILE, 2):
                s = dots(x, j, x, i, i, n)
                for c in range(2):
                    for r in range(TILE):
                        found[j + c, i + r] = s[TILE * c + r]
                        found[i + r, j + c] = s[TILE * c + r]
        return found
    x = np.zeros((n, n))
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        own = columns_of_inverse(lower[start:stop, start:stop].copy()).T.copy()
        x[start:stop, start:stop] = own
        if start:
            carried = np.dot(lower[start:stop, :start].copy(), x[:start, :start].copy())
            x[start:stop, :start] = -np.dot(own, carried)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        block = np.dot(x[start:, :stop].T.copy(), x[start:, start:stop].copy())
        found[:stop, start:stop] = block
        found[start:stop, :stop] = block.T
    return found
