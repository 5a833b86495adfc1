r"""A test of uniformity by the empirical distribution function, with simultaneous bands.

The deviation is measured point by point by its binomial tail (Saeilynoja, Buerkner, Vehtari,
Statistics and Computing 32, 32 (2022)),

    gamma = min_z 2 min(P(B <= N F(z)), P(B >= N F(z))),        B ~ Binomial(N, z),

and the distribution of gamma under uniformity is simulated, once for each N.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import binom

from claude_pymc.errors import ClaudeError

NULL_DRAWS, NULL_SEED = 200_000, 20251122


def uniformity_p_value(values: np.ndarray, null_draws: int = NULL_DRAWS) -> float:
    """p-value of uniformity on [0, 1], by the simulated distribution of gamma.

    ``null_draws`` samples stand for it: the least p-value that can be told is their inverse.

    Examples
    --------
    >>> uniformity_p_value(np.linspace(0.01, 0.99, 50)) > 0.5
    True
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ClaudeError(
            "one-dimensional values between 0 and 1",
            f"shape {values.shape}",
            "ranks that were not divided by their number",
            "pass one column of Calibration.ranks",
        )
    n = len(values)
    bins = _bins(n)
    counts = np.histogram(values, bins=bins, range=(0.0, 1.0))[0]
    gamma = _gamma(counts[None], n)[0]
    null = _null(n, null_draws)
    return float((1 + np.searchsorted(null, gamma * (1 + 1e-9), side="right")) / (1 + len(null)))


def band(
    n: int, level: float = 0.95, null_draws: int = NULL_DRAWS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid z, and lower and upper bound of F(z) within which all of F lies with ``level``."""
    bins = _bins(n)
    z = np.arange(1, bins) / bins
    gamma = float(np.quantile(_null(n, null_draws), 1 - level))
    return z, binom.ppf(gamma / 2, n, z) / n, binom.ppf(1 - gamma / 2, n, z) / n


def holm(p: np.ndarray) -> np.ndarray:
    """p-values after Holm's correction for their number."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _bins(n: int) -> int:
    """Return the number of equal bins whose edges are compared."""
    return int(np.clip(n, 10, 40))


def _gamma(counts: np.ndarray, n: int) -> np.ndarray:
    """Return gamma for counts (sample, bin)."""
    bins = counts.shape[1]
    z = np.arange(1, bins) / bins
    at = np.arange(n + 1)[:, None]
    tail = 2.0 * np.minimum(binom.cdf(at, n, z), binom.sf(at - 1, n, z))
    below = np.cumsum(counts, axis=1)[:, :-1]
    return tail[below, np.arange(bins - 1)].min(axis=1)


@cache
def _null(n: int, draws: int = NULL_DRAWS) -> np.ndarray:
    """Sorted gamma of uniform samples of size n."""
    rng = np.random.default_rng(NULL_SEED)
    bins = _bins(n)
    chunks = [
        _gamma(rng.multinomial(n, np.full(bins, 1.0 / bins), draws // 10), n) for _ in range(10)
    ]
    return np.sort(np.concatenate(chunks))
