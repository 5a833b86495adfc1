"""One experiment, or thirty simulations? Where a budget is worth most.

A package of each source, of about the cost of the dearest measurement, is picked on trial, by the
rule of its target; its worth is what it is expected to raise the value of the place that would be
chosen afterwards (`claude_pymc.acquisition.information.knowledge_gradient`). The package that is
worth most per cost is taken, until the budget is spent.

Source: Frazier, Powell, Dayanik, INFORMS J. Comput. 21, 599 (2009); Poloczek, Wang, Frazier,
NeurIPS 30 (2017), for sources of different cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from claude_pymc.acquisition.information import knowledge_gradient
from claude_pymc.acquisition.picker import Picker


def allot(
    picker: Picker, rules: Mapping[str, str], costs: Mapping[str, float], budget: float, seed: int
) -> tuple[dict[str, int], pd.DataFrame]:
    """Say how many of each source a budget should buy, and what was compared.

    Parameters
    ----------
    picker : Picker
        It is left as it was.
    rules : mapping of target to rule
    costs : mapping of target to cost of one measurement
    budget : float
    seed : int
        Of the noise of results.

    Returns
    -------
    dict, DataFrame
        Numbers by target; and one row for each package that was weighed: step, target, number,
        cost, value (in the units of the objective), se, value_per_cost, taken.
    """
    trial, left = picker.copied(), budget
    wants, rows, step = dict.fromkeys(costs, 0), [], 0
    while left >= min(costs.values()):
        step += 1
        weighed = []
        for target, cost in costs.items():
            number = int(min(max(costs.values()), left) / cost + 1e-9)
            if not number:
                continue
            points, other = _package(trial, target, rules[target], number)
            if points:
                value, se = _worth(trial, target, points, seed)
                spent = cost * len(points)
                weighed.append((value / spent, target, points, spent, value, se, other))
        if not weighed:
            break
        best = max(weighed, key=lambda one: one[0])
        for per, target, points, spent, value, se, _ in weighed:
            rows.append((step, target, len(points), spent, value, se, per, target == best[1]))
        trial, left = best[-1], left - best[3]
        wants[best[1]] += len(best[2])
    names = ("step", "target", "number", "cost", "value", "se", "value_per_cost", "taken")
    return wants, pd.DataFrame(rows, columns=names)


def _package(picker: Picker, target: str, rule: str, number: int) -> tuple[list[int], Picker]:
    """Points of one source, picked on trial."""
    trial = picker.copied()
    points = []
    for _ in range(number):
        found = trial.pick(target, rule)
        if found is None:
            break
        points.append(found[0])
    return points, trial


def _worth(picker: Picker, target: str, points: list[int], seed: int) -> tuple[float, float]:
    """Value of measuring a target at points, and its error."""
    j, objective = picker.targets.index(target), picker.aim.objectives[0]
    primary, holds = picker.draws[:, :, picker.goal], picker.feasible(picker.plain)
    utility = objective.utility(primary)
    expected = objective.expected
    if holds is not None:  # what breaks a constraint is worth the least, and is not chosen
        lowest = float(utility.min())
        utility = np.where(holds, utility, lowest)
        kept = holds.mean(axis=0) >= 0.5

        def expected(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
            return np.where(kept, objective.expected(mean, sd), lowest)

    normals = np.random.default_rng(seed).standard_normal((len(utility), len(points)))
    own = picker.draws[:, points, j]
    return knowledge_gradient(own, primary, utility, picker.noise[points, j], normals, expected)
