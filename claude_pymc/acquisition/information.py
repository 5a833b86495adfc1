r"""What a measurement teaches: acquisition functions on draws of several points at once.

Draws (sample, candidate) of what would be measured, ``own``, and of what one wants to know,
``primary``, at the same samples. Their joint moments are taken for those of a Gaussian: with
``noise`` the variance of a measurement around its mean, a value measured at c changes the mean of
f(x) by k(x, c) / sqrt(k(c, c) + noise) times a standard normal number, and its variance by the
square of that.

Sources: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (19); Cohn, Ghahramani,
Jordan, J. Artif. Intell. Res. 4, 129 (1996); Wang, Jegelka, ICML 70, 3627 (2017); Takeno et al.,
ICML 119, 9334 (2020); Frazier, Powell, Dayanik, INFORMS J. Comput. 21, 599 (2009).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import log_ndtr, logsumexp

GRID = np.linspace(-9.0, 9.0, 121)  # of a standard normal number
CLOSE = 0.1  # sd of a measurement given what it measures, from which on a grid sees it


def variance(draws: np.ndarray) -> np.ndarray:
    """Variance over draws, per candidate (eq. 19, around the posterior mean).

    Examples
    --------
    >>> variance(np.array([[0.0, 1.0], [2.0, 1.0]]))
    array([1., 0.])
    """
    return np.asarray(draws.var(axis=0))


def standard_deviation(draws: np.ndarray) -> np.ndarray:
    """Return the standard deviation over draws, per candidate."""
    return np.asarray(draws.std(axis=0))


def variance_at_maximizers(
    own: np.ndarray,
    primary: np.ndarray,
    utility: np.ndarray,
    noise: np.ndarray | float = 0.0,
) -> np.ndarray:
    """By how much one measurement lowers the variance of the primary target where it may be best.

    :func:`variance_reduction` with places weighted by the share of draws that have their maximum
    there: what is unknown elsewhere does not matter to a search.

    Parameters
    ----------
    own : array (sample, candidate)
        Draws of the mean of what would be measured.
    primary, utility : array (sample, place)
        Draws of the primary target and of its utility.
    noise : array (candidate) or float

    Examples
    --------
    >>> lines = np.array([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]])
    >>> variance_at_maximizers(lines, lines, lines)
    array([1., 0., 1.])
    """
    at, number = np.unique(utility.argmax(axis=1), return_counts=True)
    return variance_reduction(own, primary[:, at], noise, number / number.sum())


def covariance_with_primary(draws: np.ndarray, primary: np.ndarray) -> np.ndarray:
    """Absolute covariance over draws of a target and the primary one at the same candidate.

    Examples
    --------
    >>> covariance_with_primary(np.array([[0.0], [2.0]]), np.array([[1.0], [-1.0]]))
    array([1.])
    """
    centred = primary - primary.mean(axis=0)
    return np.abs((centred * (draws - draws.mean(axis=0))).mean(axis=0))


def variance_reduction(
    own: np.ndarray,
    primary: np.ndarray,
    noise: np.ndarray | float = 0.0,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    r"""By how much one measurement lowers the variance of the primary target, over all candidates.

    .. math:: \sum_x w_x \frac{k(x, c)^2}{k(c, c) + s_c^2}

    Parameters
    ----------
    own : array (sample, candidate)
        Draws of the mean of what would be measured.
    primary : array (sample, place)
        Draws of what one wants to know, at the places that count.
    noise : array (candidate) or float
        Variance of a measurement around its mean.
    weight : array (place), optional
        Of the places; default equal, of sum one.

    Examples
    --------
    >>> lines = np.array([[-1.0, 1.0], [1.0, -1.0]])
    >>> variance_reduction(lines, lines, noise=1.0)
    array([0.5, 0.5])
    """
    centred, wanted = own - own.mean(axis=0), primary - primary.mean(axis=0)
    weight = np.full(wanted.shape[1], 1.0 / wanted.shape[1]) if weight is None else weight
    shared = centred.T @ wanted / len(own)
    total = np.square(centred).mean(axis=0) + noise
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, np.square(shared) @ weight / total, 0.0)


def max_value_entropy(
    own: np.ndarray,
    utility: np.ndarray,
    maxima: np.ndarray,
    noise: np.ndarray | float = 0.0,
) -> np.ndarray:
    r"""Information, in nats, that a measurement at a candidate gives on the maximum of the utility.

    With y the measurement and f the utility at the candidate, jointly normal of correlation rho,
    and gamma = (f* - mean f) / sd f for each drawn maximum f*, the entropy of y less that of y
    where f <= f*, averaged over f*; for y = f it is

    .. math:: \gamma \phi(\gamma) / (2 \Phi(\gamma)) - \log \Phi(\gamma)

    Parameters
    ----------
    own, utility : array (sample, candidate)
        Draws of the mean of what would be measured, and of the utility there.
    maxima : array (some)
        Draws of the maximum of the utility over all candidates.
    noise : array (candidate) or float
        Variance of a measurement around its mean.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((4000, 1))
    >>> found = max_value_entropy(draws, draws, maxima=np.array([0.0]))
    >>> bool(abs(found[0] - np.log(2)) < 0.02)
    True
    """
    centred = own - own.mean(axis=0), utility - utility.mean(axis=0)
    sd = [np.sqrt(np.square(one).mean(axis=0)) for one in centred]
    total = np.sqrt(np.square(sd[0]) + noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.nan_to_num((centred[0] * centred[1]).mean(axis=0) / (total * sd[1]))
        gamma = (maxima[:, None] - utility.mean(axis=0)) / sd[1]
    found = entropy_lost(gamma, np.clip(rho, -1.0, 1.0)).mean(axis=0)
    return np.where(sd[1] > 0, found, 0.0)


def entropy_lost(gamma: np.ndarray, rho: np.ndarray) -> np.ndarray:
    r"""Entropy of z less that of z given w <= gamma; (z, w) standard normal of correlation rho.

    The density of z is phi(z) Phi((gamma - rho z) / sqrt(1 - rho^2)) / Phi(gamma): quadrature on a
    grid, and the closed form where z is w. Between |rho| = 0.995 and 1 the error is below 1 %.

    Examples
    --------
    >>> entropy_lost(np.array([0.0, 0.0]), np.array([1.0, 0.0])).round(4) + 0.0
    array([0.6931, 0.    ])
    """
    gamma, rho = np.broadcast_arrays(gamma, rho)
    exact = np.sqrt(np.clip(1.0 - np.square(rho), 0.0, 1.0))
    log_cdf = log_ndtr(gamma)
    with np.errstate(invalid="ignore", over="ignore"):
        hazard = np.exp(-0.5 * np.square(gamma) - 0.5 * np.log(2 * np.pi) - log_cdf)
        closed = np.where(np.isfinite(gamma), 0.5 * gamma * hazard, 0.0) - log_cdf
    rest = np.maximum(exact, CLOSE)[..., None]
    r = np.sign(rho)[..., None] * np.sqrt(1.0 - np.square(rest))
    step = GRID[1] - GRID[0]
    log_p = log_ndtr((gamma[..., None] - r * GRID) / rest) - 0.5 * np.square(GRID)
    log_p -= logsumexp(log_p, axis=-1, keepdims=True) + np.log(step)
    p = np.exp(log_p)
    entropy = -step * (p * np.where(p > 0, log_p, 0.0)).sum(axis=-1)
    quadrature = 0.5 * np.log(2 * np.pi * np.e) - entropy
    near = np.minimum(exact / CLOSE, 1.0)  # a kink that the grid does not see: interpolated
    return np.asarray(np.maximum(near * quadrature + (1.0 - near) * closed, 0.0))


def condition_on(draws: np.ndarray, measured: np.ndarray, noise_variance: float) -> np.ndarray:
    """Draws as they would be after a measurement whose result is not known yet.

    Exact conditioning of a Gaussian that has the moments of the draws: the means stay, since the
    result is expected at its prediction, and the variance that the measurement explains goes. Each
    draw moves by the same linear map (a square-root filter), so that nothing random is added.

    Parameters
    ----------
    draws : array (sample, ...)
    measured : array (sample)
        Draws of what is being measured.
    noise_variance : float
        Variance of the measurement around it.

    Examples
    --------
    >>> one = np.array([[-1.0, -2.0], [1.0, 2.0]])
    >>> condition_on(one, one[:, 0], noise_variance=3.0).var(axis=0).round(3)
    array([0.75, 3.  ])
    """
    centred = measured - measured.mean()
    total = centred.var() + noise_variance
    if not total > 0 or not centred.any():
        return draws
    # Taking (1 - sqrt(1 - share)) of the regression on m away leaves the conditional covariance.
    share = centred.var() / total
    gain = np.tensordot(centred, draws - draws.mean(axis=0), axes=1) / (centred @ centred)
    shrink = 1.0 - np.sqrt(1.0 - share)
    return np.asarray(draws - shrink * np.multiply.outer(centred, gain))


def knowledge_gradient(
    own: np.ndarray,
    primary: np.ndarray,
    utility: np.ndarray,
    noise: np.ndarray,
    normals: np.ndarray,
    expected: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda mean, sd: mean,
) -> tuple[float, float]:
    r"""Find what a batch of measurements is expected to raise the best utility by.

    .. math:: E[u(\arg\max_x E[u(x) | y_B])] - \max_x E[u(x)]

    over results y_B of the batch B. Mean and variance of the primary target given y_B are linear
    regressions on one half of the draws; the other half says what the best place by that rule is
    worth, and the other way round: what a fit to few draws imagines earns nothing.

    Parameters
    ----------
    own : array (sample, point)
        Draws of the means of what the batch measures.
    primary, utility : array (sample, candidate)
        Draws of the primary target and of its utility.
    noise : array (point)
        Variances of the measurements around their means.
    normals : array (sample, point)
        Standard normal numbers, for the noise.
    expected : callable
        Expected utility of a normal value of mean and sd.

    Returns
    -------
    float, float
        Value, in the units of the utility, and its Monte Carlo standard error.

    Examples
    --------
    >>> f = np.random.default_rng(0).standard_normal((4000, 1)) * [1.0, 0.0]
    >>> value, se = knowledge_gradient(f[:, :1], f, f, np.zeros(1), np.zeros((4000, 1)))
    >>> bool(abs(value - 0.3989) < 3 * se)
    True
    """
    results = own + np.sqrt(noise) * normals
    gained = np.empty(len(own))
    halves = np.arange(0, len(own), 2), np.arange(1, len(own), 2)
    for fitted, tried in (halves, halves[::-1]):
        centre, mean = own[fitted].mean(axis=0), primary[fitted].mean(axis=0)
        centred, wanted = own[fitted] - centre, primary[fitted] - mean
        within = centred.T @ centred / len(fitted) + np.diag(noise)
        across = centred.T @ wanted / len(fitted)
        gain = np.linalg.pinv(within, rcond=1e-10, hermitian=True) @ across
        variance = np.square(wanted).mean(axis=0) - (across * gain).sum(axis=0)
        left = np.sqrt(np.maximum(variance, 0.0))
        best = expected(mean + (results[tried] - centre) @ gain, left).argmax(axis=1)
        before = utility[fitted].mean(axis=0).argmax()
        gained[tried] = utility[tried, best] - utility[tried, before]
    return float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(gained)))
