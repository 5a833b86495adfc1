"""Scores of millions of candidates, chunk by chunk.

Draws of a chunk are one matrix product, of the coefficients' draws and the basis; they are reduced
to scores while they are in the cache and never stand in memory for all candidates together.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from claude_pymc.protocols import Predictive

CHUNK = 2048
LIMIT = 8_000_000  # numbers of the draws at the candidates of a batch
FEWEST = 500  # draws, as the paper has


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


def thinned(post: Predictive, candidates: int) -> Predictive:
    """Return a model with as many draws as memory and time allow at so many candidates."""
    number = max(FEWEST, LIMIT // (candidates * len(post.targets)))
    thin = getattr(post, "thinned", None)
    return post if thin is None else thin(number)


@njit(cache=True)
def reduce_samples(
    utility: np.ndarray, incumbent: float, start: int, top: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean improvement, mean and variance of draws (sample, candidate), in one pass.

    ``top`` and ``place`` (sample) keep the largest value of each draw so far, and where it is,
    counted from ``start``.
    """
    n, m = utility.shape
    gain, total, squares = np.zeros(m), np.zeros(m), np.zeros(m)
    for s in range(n):
        for c in range(m):
            value = utility[s, c]
            off = value - utility[0, c]
            total[c] += off
            squares[c] += off * off
            gain[c] += max(value - incumbent, 0.0)
            if value > top[s]:
                top[s], place[s] = value, start + c
    mean = total / n
    return gain / n, utility[0] + mean, np.maximum(squares / n - mean * mean, 0.0)


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
