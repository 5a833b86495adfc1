"""Acquisition functions on draws (sample, candidate), larger = better to measure next.

Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (18) and (19). The same
draws are used for all candidates (common random numbers), so that differences are smooth.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp


def expected_improvement(utility: np.ndarray, incumbent: float) -> np.ndarray:
    """Mean over draws of max(utility - incumbent, 0), per candidate (eq. 18).

    Examples
    --------
    >>> expected_improvement(np.array([[0.0, 1.0], [2.0, 1.0]]), incumbent=1.0)
    array([0.5, 0. ])
    """
    return np.maximum(utility - incumbent, 0.0).mean(axis=0)


def log_expected_improvement(utility: np.ndarray, incumbent: float) -> np.ndarray:
    """Logarithm of the expected improvement, per candidate.

    Where no draw improves, the draws say only "small": there the closed form for a Gaussian of the
    same mean and sd takes over, so that hopeless candidates are still ordered.

    Examples
    --------
    >>> log_expected_improvement(np.array([[0.0], [3.0]]), incumbent=1.0)
    array([0.])
    """
    gain = np.maximum(utility - incumbent, 0.0)
    tail = _log_gaussian_improvement(utility.mean(axis=0), utility.std(axis=0), incumbent)
    with np.errstate(divide="ignore"):
        log_gain = logsumexp(np.log(gain), axis=0) - np.log(len(gain))
    return np.where((gain > 0).any(axis=0), log_gain, tail)


def variance(draws: np.ndarray) -> np.ndarray:
    """Variance over draws, per candidate (eq. 19, around the posterior mean).

    Examples
    --------
    >>> variance(np.array([[0.0, 1.0], [2.0, 1.0]]))
    array([1., 0.])
    """
    return draws.var(axis=0)


def standard_deviation(draws: np.ndarray) -> np.ndarray:
    """Return the standard deviation over draws, per candidate."""
    return draws.std(axis=0)


def covariance_with_primary(draws: np.ndarray, primary: np.ndarray) -> np.ndarray:
    """Absolute covariance over draws of a target and the primary one at the same candidate.

    Examples
    --------
    >>> covariance_with_primary(np.array([[0.0], [2.0]]), np.array([[1.0], [-1.0]]))
    array([1.])
    """
    centred = primary - primary.mean(axis=0)
    return np.abs((centred * (draws - draws.mean(axis=0))).mean(axis=0))


def condition_on(draws: np.ndarray, measured: np.ndarray, noise_variance: float) -> np.ndarray:
    """Draws as they would be after a measurement whose result is not known yet.

    Gaussian conditioning of the draws (Matheron's rule) on ``measured`` (sample) plus noise, at the
    mean of its prediction: the means stay, the variance that the measurement explains goes.

    Parameters
    ----------
    draws : array (sample, ...)
    measured : array (sample)
        Draws of what is being measured.
    noise_variance : float
        Variance of the measurement around it.
    """
    centred = measured - measured.mean()
    total = centred.var() + noise_variance
    if not total > 0:
        return draws
    # Taking (1 - sqrt(1 - share)) of the regression on m away leaves the conditional covariance.
    share = centred.var() / total
    gain = np.tensordot(centred, draws - draws.mean(axis=0), axes=1) / (
        len(centred) * max(centred.var(), 1e-300)
    )
    shrink = 1.0 - np.sqrt(1.0 - share)
    return draws - shrink * np.multiply.outer(centred, gain)


def _log_gaussian_improvement(mean: np.ndarray, sd: np.ndarray, incumbent: float) -> np.ndarray:
    """Log of the closed-form expected improvement, log sd + log(phi(z) + z Phi(z)), stable in z."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, (mean - incumbent) / sd, -np.inf)
        log_phi = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        # For z < 0: phi + z Phi = phi (1 - |z| M), M = Phi(z) / phi(z) the Mills ratio.
        mills = np.sqrt(np.pi / 2) * erfcx(-np.minimum(z, 0.0) / np.sqrt(2))
        rest = np.where(z > -1e3, 1.0 + np.minimum(z, 0.0) * mills, (1.0 - 3.0 / z**2) / z**2)
        below = log_phi + np.log(rest)
        above = np.logaddexp(log_phi, np.log(np.maximum(z, 1e-300)) + log_ndtr(z))
        value = np.log(sd) + np.where(z < 0, below, above)
    return np.where(np.isfinite(z), value, -np.inf)
