"""Rules: how candidates of one target are scored, by name.

Each takes a `View` of the draws at the candidates that are free and returns one score for each,
larger = better to measure next. Improvement counts on the draws as they are, beyond the best of
each draw (with earlier points of the batch, and those that are pending, counted as reached: exact
for what is expected of them); information counts on draws conditioned on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claude_pymc.acquisition import functions, information

MAXIMA = 16  # drawn maxima of the entropy search


@dataclass(frozen=True, eq=False)
class View:
    """Draws, as a rule sees them.

    Parameters
    ----------
    own : array (sample, free)
        Of the mean of what would be measured; conditioned.
    noise : array (free)
        Variance of a measurement around its mean.
    plain : array (sample, free)
        Utility of the primary target; not conditioned.
    best : array (sample)
        Best utility so far.
    feasible : array (sample, free) or None
        Where a draw keeps the constraints.
    primary, utility : array (sample, place)
        Primary target, and its utility, at all places that count; conditioned.
    primary_here, utility_here : array (sample, free)
        The same at the candidates that are free.
    rng : Generator
    """

    own: np.ndarray
    noise: np.ndarray
    plain: np.ndarray
    best: np.ndarray
    feasible: np.ndarray | None
    primary: np.ndarray
    utility: np.ndarray
    primary_here: np.ndarray
    utility_here: np.ndarray
    rng: np.random.Generator


Rule = Callable[[View], np.ndarray]


def _entropy(view: View) -> np.ndarray:
    maxima = view.utility.max(axis=1)
    if len(maxima) > MAXIMA:
        maxima = np.quantile(maxima, (np.arange(MAXIMA) + 0.5) / MAXIMA)
    return information.max_value_entropy(view.own, view.utility_here, maxima, view.noise)


def _thompson(view: View) -> np.ndarray:
    plain = view.plain
    if view.feasible is not None:
        # A draw that keeps the constraints nowhere goes where others keep them most.
        low = view.feasible.mean(axis=0) - 2.0 + plain.min()
        plain = np.where(view.feasible, plain, low)
    return functions.thompson(plain, view.rng)


RULES: dict[str, Rule] = {
    "log_ei": lambda v: functions.log_expected_improvement(v.plain, v.best, v.feasible),
    "ei": lambda v: functions.expected_improvement(v.plain, v.best, v.feasible),
    "pi": lambda v: functions.probability_of_improvement(v.plain, v.best, v.feasible),
    "ucb": lambda v: functions.upper_confidence_bound(v.utility_here),
    "thompson": _thompson,
    "maximum": lambda v: functions.probability_of_maximum(v.plain),
    "entropy": _entropy,
    "maximizers": lambda v: information.variance_at_maximizers(
        v.own, v.primary, v.utility, v.noise
    ),
    "reduction": lambda v: information.variance_reduction(v.own, v.primary, v.noise),
    "variance": lambda v: information.variance(v.own),
    "std": lambda v: information.standard_deviation(v.own),
    "covariance": lambda v: information.covariance_with_primary(v.own, v.primary_here),
}

WORDS = {
    "log_ei": "expected improvement",
    "ei": "expected improvement",
    "pi": "probability of improvement",
    "ucb": "upper confidence bound",
    "thompson": "best place of one draw",
    "maximum": "most probably the best place",
    "entropy": "tells most about the best value",
    "maximizers": "tells most about the places that may be best",
    "reduction": "tells most about the primary target everywhere",
    "variance": "largest variance, to learn most",
    "std": "least certain, to learn most",
    "covariance": "tells most about the primary target there",
    "ehvi": "adds most to the front of the objectives",
    "design": "covers the range, for a start",
}

PAPER = ("log_ei", "variance")  # primary, cheaper: eq. (18), (19)
OURS = ("log_ei", "maximizers")
