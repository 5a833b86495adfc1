"""Scores of millions of candidates, chunk by chunk.

Draws of a chunk are one matrix product, of the coefficients' draws and the basis; they are reduced
to scores while they are in the cache and never stand in memory for all candidates together.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CHUNK = 2048


def improvement_and_variance(
    coefficients: np.ndarray, basis: np.ndarray, incumbent: float, chunk: int = CHUNK
) -> tuple[np.ndarray, np.ndarray]:
    """Score linear draws f = w . phi(x): expected improvement (eq. 18), variance (eq. 19).

    Parameters
    ----------
    coefficients : array (sample, term)
        Draws of w, in the units of the target (the objective is to maximise).
    basis : array (candidate, term)
        phi at the candidates; may be single precision, or mapped from a file.
    incumbent : float
    chunk : int
        Candidates at a time; 2048 with 500 draws fit into the cache.

    Returns
    -------
    array (candidate), array (candidate)

    Examples
    --------
    >>> phi = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> improvement_and_variance(np.array([[0.0, 1.0], [2.0, 1.0]]), phi, 1.5)
    (array([0.25, 0.75]), array([1., 1.]))
    """
    coefficients = np.ascontiguousarray(coefficients, dtype=basis.dtype)
    gain, spread = np.empty(len(basis)), np.empty(len(basis))
    draws = np.empty((min(chunk, len(basis)), len(coefficients)), dtype=basis.dtype)
    for start in range(0, len(basis), chunk):
        part = basis[start : start + chunk]
        here = draws[: len(part)]
        np.matmul(part, coefficients.T, out=here)
        reduce_draws(here, incumbent, gain[start : start + chunk], spread[start : start + chunk])
    return gain, spread


@njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def reduce_draws(draws: np.ndarray, incumbent: float, gain: np.ndarray, spread: np.ndarray) -> None:
    """Mean improvement and variance of draws (candidate, sample)."""
    n = draws.shape[1]
    for c in range(len(draws)):
        first = draws[c, 0]
        improved, total, squares = 0.0, 0.0, 0.0
        for s in range(n):
            off = draws[c, s] - first  # about one draw, so that squares keep their digits
            total += off
            squares += off * off
            improved += max(draws[c, s] - incumbent, 0.0)
        gain[c] = improved / n
        spread[c] = max(squares / n - (total / n) ** 2, 0.0)
