r"""Pointwise likelihoods where the linkage varies, or noise is not one Gaussian.

With u the measured cheaper values of a row and y its primary one, draw by draw,

    log p(u, y | x) = sum_j log p(u_j | u_1 .. u_j-1, x) + log p(y | u, x),

the first part Gaussian, the second one of `claude_pymc.joint.stepwise`, which integrates over
cheaper values that were not measured. A value given the others of its row has the density
p(all) / p(all but this one).
"""

from __future__ import annotations

import numpy as np

from claude_pymc.joint.asked import RowNoise
from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.stepwise import Drawn, log_density_draws, predict_draws


def log_density_of_rows(post: Drawn, x: np.ndarray, y: np.ndarray, noise: RowNoise) -> np.ndarray:
    """Log density (draw, row) of the measured values y (row, target), on the modelled scale."""
    used = np.arange(len(post.draws_of("root")))
    total = np.zeros((len(used), len(x)))
    for j in range(y.shape[1] - 1):
        measured = np.flatnonzero(np.isfinite(y[:, j]))
        known = y[measured, : j + 1].copy()
        known[:, j] = np.nan
        for at, have, mean, root in post.conditional(x[measured], known, used):
            i = int((~have)[:j].sum())
            sd = np.sqrt(np.square(root[:, i]).sum(axis=-1))[:, None]
            z = (y[measured[at], j] - mean[:, :, i]) / sd
            total[:, measured[at]] += -0.5 * (z**2 + LOG_2PI) - np.log(sd)
    measured = np.flatnonzero(np.isfinite(y[:, -1]))
    if len(measured):
        own = RowNoise(noise.source[measured], noise.error[measured])
        known = y[measured].copy()
        known[:, -1] = np.nan
        total[:, measured] += log_density_draws(post, x[measured], known, y[measured, -1], own)
    return total


def pointwise(
    post: Drawn, x: np.ndarray, y: np.ndarray, noise: RowNoise, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Densities of values given the others of their row, replicates, and densities of rows.

    Returns
    -------
    log_value : array (draw, row, target)
        NaN where there is no value.
    replicate : array (draw, row, target)
        Of the primary target given the cheaper values; NaN for the others.
    log_row : array (draw, row)
    """
    log_row = log_density_of_rows(post, x, y, noise)
    log_value = np.full((*log_row.shape, y.shape[1]), np.nan)
    for j in range(y.shape[1]):
        measured = np.flatnonzero(np.isfinite(y[:, j]))
        rest = y[measured].copy()
        rest[:, j] = np.nan
        own = RowNoise(noise.source[measured], noise.error[measured])
        without = log_density_of_rows(post, x[measured], rest, own)
        log_value[:, measured, j] = log_row[:, measured] - without
    known = y.copy()
    known[:, -1] = np.nan
    replicate = np.full_like(log_value, np.nan)
    drawn = predict_draws(post, x, known, np.arange(len(log_row)), (rng, noise))
    replicate[:, :, -1] = drawn[:, :, -1]
    return log_value, replicate, log_row
