"""Rules: how candidates of one target are scored, by name.

Each takes a `View` of the draws at the candidates that are free and returns one score for each,
larger = better to measure next. Improvement counts on the draws as they are, beyond the best of
each draw (with earlier points of the batch, and those that are pending, counted as reached: exact
for what is expected of them); information counts on draws conditioned on them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from claude_pymc.acquisition import functions, information
from claude_pymc.acquisition.objectives import Objective

MAXIMA = 16  # drawn maxima of the entropy search


class View:
    """Draws, as a rule sees them; each is taken out only if the rule asks for it.

    Parameters
    ----------
    plain, draws : arrays (sample, candidate, target)
        As they are; and conditioned.
    noise : array (candidate, target)
        Variance of a measurement around its mean.
    free : array (free)
        Candidates that may be chosen.
    own, goal : int
        Positions of the target that would be measured, and of the primary one.
    objective : Objective
        Of the primary target.
    best : array (sample)
        Best utility so far.
    holds : array (sample, candidate) or None
        Where a draw keeps the constraints.
    rng : Generator
    """

    def __init__(
        self,
        plain: np.ndarray,
        draws: np.ndarray,
        noise: np.ndarray,
        free: np.ndarray,
        own: int,
        goal: int,
        objective: Objective,
        best: np.ndarray,
        holds: np.ndarray | None,
        rng: np.random.Generator,
    ) -> None:
        self._plain, self._draws, self._noise, self.free = plain, draws, noise, free
        self._own, self._goal, self.objective = own, goal, objective
        self.best, self._holds, self.rng = best, holds, rng

    @property
    def own(self) -> np.ndarray:
        """Mean of what would be measured (sample, free); conditioned."""
        return np.asarray(self._draws[:, self.free, self._own])

    @property
    def noise(self) -> np.ndarray:
        """Variance of a measurement around it (free)."""
        return np.asarray(self._noise[self.free, self._own])

    @property
    def plain(self) -> np.ndarray:
        """Utility of the primary target (sample, free); not conditioned.

        Where a draw breaks a constraint it has the lowest utility of all.
        """
        utility = self.objective.utility(self._plain[:, self.free, self._goal])
        feasible = self.feasible
        return utility if feasible is None else np.where(feasible, utility, utility.min())

    @property
    def feasible(self) -> np.ndarray | None:
        """Where a draw keeps the constraints (sample, free), if there are any."""
        return None if self._holds is None else self._holds[:, self.free]

    @cached_property
    def primary(self) -> np.ndarray:
        """Primary target at all places that count (sample, place); conditioned."""
        return np.asarray(self._draws[:, :, self._goal])

    @cached_property
    def utility(self) -> np.ndarray:
        """Its utility there, the lowest of all where a draw breaks a constraint."""
        utility = self.objective.utility(self.primary)
        return utility if self._holds is None else np.where(self._holds, utility, utility.min())

    @property
    def primary_here(self) -> np.ndarray:
        """Primary target at the free candidates (sample, free); conditioned."""
        return np.asarray(self.primary[:, self.free])

    @property
    def utility_here(self) -> np.ndarray:
        """Its utility there, constraints aside."""
        return self.objective.utility(self.primary_here)

    @property
    def share(self) -> np.ndarray:
        """Share of draws that keep the constraints (free)."""
        feasible = self.feasible
        return np.ones(len(self.free)) if feasible is None else feasible.mean(axis=0)


Rule = Callable[[View], np.ndarray]


def _entropy(view: View) -> np.ndarray:
    maxima = view.utility.max(axis=1)
    if len(maxima) > MAXIMA:
        maxima = np.quantile(maxima, (np.arange(MAXIMA) + 0.5) / MAXIMA)
    found = information.max_value_entropy(view.own, view.utility_here, maxima, view.noise)
    return found * view.share


def _bound(view: View) -> np.ndarray:
    """Upper confidence bound of candidates that probably keep the constraints; then the others."""
    bound, share = functions.upper_confidence_bound(view.utility_here), view.share
    return np.where(share >= 0.5, bound, bound.min() - 1.0 + share)


def _thompson(view: View) -> np.ndarray:
    found = functions.thompson(view.plain, view.rng)
    # A draw that keeps the constraints nowhere goes where others keep them most.
    return found + np.where(found > found.min(), 0.0, 1e-9 * view.share)


RULES: dict[str, Rule] = {
    "log_ei": lambda v: functions.log_expected_improvement(v.plain, v.best, v.feasible),
    "ei": lambda v: functions.expected_improvement(v.plain, v.best, v.feasible),
    "pi": lambda v: functions.probability_of_improvement(v.plain, v.best, v.feasible),
    "ucb": _bound,
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
