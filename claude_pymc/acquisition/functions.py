"""Acquisition functions on draws (sample, candidate), larger = better to measure next.

A utility is what the objective makes of draws of the primary target; an incumbent is the best
utility so far, one number, or one for each draw where the best so far is uncertain too. The same
draws are used for all candidates (common random numbers), so that differences are smooth.

Sources: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (18); Jones, Schonlau, Welch,
J. Global Optim. 13, 455 (1998); Ament et al., NeurIPS 36 (2023), for the logarithm. What is
measured to learn rather than to improve is in `claude_pymc.acquisition.information`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp

Best = float | np.ndarray


def expected_improvement(
    utility: np.ndarray, incumbent: Best, feasible: np.ndarray | None = None
) -> np.ndarray:
    """Mean over draws of max(utility - incumbent, 0), per candidate (eq. 18).

    ``feasible`` (sample, candidate) says where a draw keeps the constraints; elsewhere it improves
    nothing (Gelbart, Snoek, Adams, UAI 30, 250 (2014), without independence).

    With an incumbent (sample), the best of each draw, this is noisy expected improvement (Letham
    et al., Bayesian Anal. 14, 495 (2019)); where that best is over a batch's earlier points, it is
    what one more point adds to the expected improvement of the batch.

    Examples
    --------
    >>> expected_improvement(np.array([[0.0, 1.0], [2.0, 1.0]]), incumbent=1.0)
    array([0.5, 0. ])
    >>> expected_improvement(np.array([[0.0, 1.0], [2.0, 1.0]]), incumbent=np.array([0.0, 2.0]))
    array([0. , 0.5])
    """
    return _gain(utility, incumbent, feasible).mean(axis=0)


def log_expected_improvement(
    utility: np.ndarray, incumbent: Best, feasible: np.ndarray | None = None
) -> np.ndarray:
    """Logarithm of the expected improvement, per candidate.

    Where no draw improves, the draws say only "small": there the closed form for a Gaussian of the
    mean and sd of utility - incumbent takes over (times the share of feasible draws, half a draw
    added), so that hopeless candidates are still ordered; all of them below those with a draw that
    improves, because that form is not small where utilities are not Gaussian.

    Examples
    --------
    >>> log_expected_improvement(np.array([[0.0], [3.0]]), incumbent=1.0)
    array([0.])
    """
    gain = _gain(utility, incumbent, feasible)
    off = utility - _each(incumbent)
    tail = log_gaussian_improvement(off.mean(axis=0), off.std(axis=0), 0.0)
    if feasible is not None:
        tail = tail + np.log((feasible.sum(axis=0) + 0.5) / (len(feasible) + 1.0))
    with np.errstate(divide="ignore"):
        log_gain = logsumexp(np.log(gain), axis=0) - np.log(len(gain))
    improves = (gain > 0).any(axis=0)
    if improves.any() and not improves.all():
        above = tail[~improves].max() - log_gain[improves].min()
        tail = tail - max(0.0, above + 1e-6)
    return np.where(improves, log_gain, tail)


def gaussian_improvement(mean: np.ndarray, sd: np.ndarray, incumbent: float) -> np.ndarray:
    """Return the closed form of the expected improvement of a Gaussian.

    It is sd (phi(z) + z Phi(z)) with z = (mean - incumbent) / sd.

    Examples
    --------
    >>> gaussian_improvement(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.5).round(3)
    array([0.198, 0.5  ])
    """
    return np.exp(log_gaussian_improvement(mean, sd, incumbent))


def log_gaussian_improvement(mean: np.ndarray, sd: np.ndarray, incumbent: float) -> np.ndarray:
    """Log of the closed-form expected improvement, stable for any z.

    Examples
    --------
    >>> log_gaussian_improvement(np.array([-30.0]), np.array([1.0]), 0.0).round(2)
    array([-457.72])
    """
    mean, sd = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(sd, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = (mean - incumbent) / sd
        log_phi = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        # For z < 0: phi + z Phi = phi (1 - |z| M), M = Phi(z) / phi(z) the Mills ratio.
        mills = np.sqrt(np.pi / 2) * erfcx(-np.minimum(z, 0.0) / np.sqrt(2))
        rest = np.where(z > -1e3, 1.0 + np.minimum(z, 0.0) * mills, (1.0 - 3.0 / z**2) / z**2)
        below = log_phi + np.log(rest)
        above = np.logaddexp(log_phi, np.log(np.maximum(z, 1e-300)) + log_ndtr(z))
        value = np.log(sd) + np.where(z < 0, below, above)
        certain = np.log(np.maximum(mean - incumbent, 0.0))
    found: np.ndarray = np.where(sd > 0, value, certain)
    return found


def probability_of_improvement(
    utility: np.ndarray, incumbent: Best, feasible: np.ndarray | None = None
) -> np.ndarray:
    """Share of draws above the incumbent, and feasible, per candidate.

    Examples
    --------
    >>> probability_of_improvement(np.array([[0.0, 1.0], [2.0, 1.0]]), incumbent=1.0)
    array([0.5, 0. ])
    """
    above = utility > _each(incumbent)
    return np.asarray((above if feasible is None else above & feasible).mean(axis=0))


def upper_confidence_bound(utility: np.ndarray, sds: float = 2.0) -> np.ndarray:
    """Mean plus ``sds`` standard deviations over draws, per candidate.

    Source: Srinivas et al., IEEE Trans. Inf. Theory 58, 3250 (2012).

    Examples
    --------
    >>> upper_confidence_bound(np.array([[0.0, 1.0], [2.0, 1.0]]), sds=1.0)
    array([2., 1.])
    """
    return np.asarray(utility.mean(axis=0) + sds * utility.std(axis=0))


def thompson(utility: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One draw, at random: where it is largest is a draw of the place of the maximum.

    For a cheaper target it is used with the utility of the primary one: simulations go where
    draws of the experiment have their maxima (posterior-maximiser sampling).

    Examples
    --------
    >>> thompson(np.array([[0.0, 1.0]]), np.random.default_rng(0))
    array([0., 1.])
    """
    return np.asarray(utility[rng.integers(len(utility))])


def probability_of_maximum(utility: np.ndarray) -> np.ndarray:
    """Share of draws whose maximum over the candidates is at each of them; ties are shared.

    Examples
    --------
    >>> probability_of_maximum(np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])).round(2)
    array([0.5, 0.5])
    """
    top = utility == utility.max(axis=1, keepdims=True)
    return np.asarray((top / top.sum(axis=1, keepdims=True)).mean(axis=0))


def probability_of_interval(draws: np.ndarray, low: float, high: float) -> np.ndarray:
    """Share of draws with low <= value <= high, per candidate.

    Examples
    --------
    >>> probability_of_interval(np.array([[0.0, 1.0], [2.0, 1.5]]), 1.0, 1.5)
    array([0., 1.])
    """
    return np.asarray(((draws >= low) & (draws <= high)).mean(axis=0))


def _gain(utility: np.ndarray, incumbent: Best, feasible: np.ndarray | None) -> np.ndarray:
    """Improvement (sample, candidate)."""
    gain = np.maximum(utility - _each(incumbent), 0.0)
    return gain if feasible is None else gain * feasible


def _each(incumbent: Best) -> Best:
    """Incumbent in a shape that goes with (sample, candidate)."""
    return incumbent[:, None] if isinstance(incumbent, np.ndarray) else incumbent
