"""A batch while it is picked: draws at the candidates, conditioned on what is being measured.

Points are picked one after the other. What is pending or picked counts as measured with a result
not known yet: the best of each draw includes its own value there (so that expected improvement is
that of the whole batch), and for what is measured to learn, the draws are conditioned as a Gaussian
(`claude_pymc.acquisition.information.condition_on`).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition import pareto
from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.information import condition_on
from claude_pymc.acquisition.known import known_values, same, taken, told, used
from claude_pymc.acquisition.objectives import Objective, Within
from claude_pymc.acquisition.rules import RULES, View
from claude_pymc.errors import CandidateError, Notice
from claude_pymc.joint.prediction import bounded_around, variance_around
from claude_pymc.protocols import Predictive


@dataclass(frozen=True, eq=False)
class Aim:
    """What is wanted, and what must hold.

    Parameters
    ----------
    objectives : tuple of Objective
        One, or two or three at once.
    within : tuple of Within
        Constraints that are learned.
    incumbent : "observed", "posterior" or "draws"
        The best so far: of measured values, of posterior means at measured points, or of each draw
        at measured points.
    replicate : bool
        Measured points may be measured again.
    kind : "mean" or "observation"
        What improves: the mean of the target, or the value that would be measured.
    """

    objectives: tuple[Objective, ...]
    within: tuple[Within, ...] = ()
    incumbent: str = "observed"
    replicate: bool = False
    kind: str = "mean"


class Picker:
    """Draws at candidates, and what is picked among them.

    Parameters
    ----------
    post : Predictive
    pool, past : Candidates
        To choose among; and rows measured before.
    aim : Aim
    seed : int
        Of the order in which ties are broken, of Thompson draws and of the noise draws.
    """

    def __init__(
        self, post: Predictive, pool: Candidates, past: Candidates, aim: Aim, seed: int
    ) -> None:
        self.post, self.past, self.aim, self.seed = post, past, aim, seed
        self.targets = list(post.targets)
        self.rng = np.random.default_rng(seed)
        self.used = {t: used(post, t) for t in self.targets}
        self.conditions: list[tuple[np.ndarray, float]] = []
        self.reached: list[np.ndarray] = []  # (sample, objective) of points of the batch
        self.pool = pool
        self.plain, self.means, self.noise = self._predict(pool)
        self.draws = self._to_learn(self.plain, self.means)
        self.taken = {t: self._taken(pool, t) for t in self.targets}
        self.start, self.front, self.story = self._incumbent()
        self.best = self.start

    @property
    def goal(self) -> int:
        """Position of the target of the first objective."""
        return self.targets.index(self.aim.objectives[0].target)

    def extend(self, pool: Candidates) -> None:
        """Add candidates, with draws conditioned like the others'."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # said of the first points
            plain, means, noise = self._predict(pool)
        draws = self._to_learn(plain, means)
        for measured, spread in self.conditions:
            draws = condition_on(draws, measured, spread)
        self.means = np.concatenate([self.means, means], axis=1)
        self.plain = np.concatenate([self.plain, plain], axis=1)
        self.draws = np.concatenate([self.draws, draws], axis=1)
        self.noise = np.concatenate([self.noise, noise])
        self.taken = {
            t: np.concatenate([mask, self._taken(pool, t)]) for t, mask in self.taken.items()
        }
        self.pool = Candidates(
            pd.concat([self.pool.frame, pool.frame], ignore_index=True),
            self.pool.labels,
            np.concatenate([self.pool.values, pool.values]),
            np.concatenate([self.pool.x, pool.x]),
        )

    def copied(self) -> Picker:
        """Return a picker that picks without changing this one."""
        other = copy.copy(self)
        other.taken = {t: mask.copy() for t, mask in self.taken.items()}
        other.conditions, other.reached = list(self.conditions), list(self.reached)
        other.rng = copy.deepcopy(self.rng)
        return other

    def wait_for(self, target: str, waiting: Candidates) -> None:
        """Count points of one target as being measured."""
        plain, means, noise = self._predict(waiting)
        draws = self._to_learn(plain, means)
        for measured, spread in self.conditions:
            draws = condition_on(draws, measured, spread)
        j, needed = self.targets.index(target), self.used[target]
        self.taken[target] |= np.isin(self.pool.keys_of(needed), waiting.keys_of(needed))
        for i in range(len(waiting.frame)):
            measured, spread = draws[:, i, j], float(noise[i, j])
            draws = condition_on(draws, measured, spread)
            self._count(j, plain[:, i], measured, spread)

    def score(self, target: str, rule: str) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the candidates that are free, in random order, and their scores."""
        order = np.random.default_rng(self.seed).permutation(len(self.pool.frame))
        free = order[~self.taken[target][order]]
        if not len(free):
            return free, np.empty(0)
        score = self._hypervolume(free) if rule == "ehvi" else RULES[rule](self._view(target, free))
        if np.isnan(score).any():
            raise CandidateError(
                "scores that are numbers",
                f"{int(np.isnan(score).sum())} that are not, for {target!r}",
                "predictions so wide that their draws overflow",
                "look at the checks of the posterior, or measure more first",
            )
        return free, score

    def pick(self, target: str, rule: str) -> tuple[int, float] | None:
        """Pick the best candidate for a target; its position and score, None if none is left."""
        free, score = self.score(target, rule)
        if not len(free):
            return None
        at = int(np.argmax(score))
        self.commit(target, int(free[at]))
        return int(free[at]), float(score[at])

    def commit(self, target: str, at: int) -> None:
        """Count a candidate as picked."""
        j = self.targets.index(target)
        self.taken[target] |= same(self.pool, at, self.used[target])
        self._count(j, self.plain[:, at], self.draws[:, at, j], float(self.noise[at, j]))

    def likely(self) -> bool:
        """Say whether any free candidate improves in at least one draw of a hundred."""
        if len(self.aim.objectives) > 1:
            return True
        free = ~self.taken[self.targets[self.goal]]
        plain = self.plain[:, free]
        better = self.aim.objectives[0].utility(plain[:, :, self.goal]) > self.start[:, None]
        holds = self.feasible(plain)
        better = better if holds is None else better & holds
        return bool((better.mean(axis=0) >= 0.01).any())

    def _count(self, j: int, plain: np.ndarray, measured: np.ndarray, spread: float) -> None:
        """Take up a measurement of target j: raw draws there (sample, target), and conditioned."""
        self.draws = condition_on(self.draws, measured, spread)
        self.conditions.append((measured, spread))
        wanted = [self.targets.index(o.target) for o in self.aim.objectives]
        if j not in wanted:
            return
        reached = np.column_stack(
            [o.utility(plain[:, k]) for o, k in zip(self.aim.objectives, wanted, strict=True)]
        )
        holds = self.feasible(plain[:, None])
        reached = reached if holds is None else np.where(holds, reached, -np.inf)
        self.reached.append(reached)
        self.best = np.maximum(self.best, reached[:, 0])

    def _predict(self, pool: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws of what improves and of the mean (sample, candidate, target); noise variance.

        Notices come once.
        """
        again = {o.target for o in self.aim.objectives} if self.aim.replicate else set()
        known = known_values(self.post, pool, self.past, frozenset(again))
        quick = getattr(self.post, "mean_and_noise", None)
        if quick is not None and self.aim.kind == "mean":
            found, noise = quick(pool.frame, known, self._noise_seed())
            means = found.draws.to_numpy()
            return means, means, noise
        means = self.post.predict(pool.frame, kind="mean", given=known).draws.to_numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            noisy = self.post.predict(
                pool.frame, kind="observation", given=known, seed=self._noise_seed()
            )
        if self.aim.kind == "observation":
            values = bounded_around(noisy, means)
            # A posterior of a single draw has one mean and many observations.
            return values, np.broadcast_to(means, values.shape), np.zeros(values.shape[1:])
        return means, means, variance_around(noisy, means)

    def _noise_seed(self) -> int:
        """Return a seed for the noise of more candidates: not that of those before."""
        return self.seed + (self.means.shape[1] if hasattr(self, "means") else 0)

    def _to_learn(self, plain: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Draws of what can be learned: where noise belongs to candidates, their own values."""
        return plain if self.aim.kind == "observation" else means

    def _taken(self, pool: Candidates, target: str) -> np.ndarray:
        again = self.aim.replicate and target in {o.target for o in self.aim.objectives}
        if again:
            return np.zeros(len(pool.frame), dtype=bool)
        return taken(pool, self.past, self.targets.index(target), self.used[target])

    def feasible(self, plain: np.ndarray) -> np.ndarray | None:
        """Where draws (sample, point, target) keep the learned constraints."""
        if not self.aim.within:
            return None
        holds = [w.holds(plain[:, :, self.targets.index(w.target)]) for w in self.aim.within]
        return np.asarray(np.all(holds, axis=0))

    def _view(self, target: str, free: np.ndarray) -> View:
        return View(
            self.plain,
            self.draws,
            self.noise,
            free,
            self.targets.index(target),
            self.goal,
            self.aim.objectives[0],
            self.best,
            self.feasible(self.plain),
            self.rng,
        )

    def _hypervolume(self, free: np.ndarray) -> np.ndarray:
        """Score by hypervolume; draws that break a constraint add nothing."""
        plain = self.plain[:, free]
        utility = np.stack(
            [o.utility(plain[:, :, self.targets.index(o.target)]) for o in self.aim.objectives],
            axis=2,
        )
        feasible = self.feasible(plain)
        front, low = self.front, self._reference()
        if feasible is not None:
            utility = np.where(feasible[:, :, None], utility, low)
        if self.reached:
            more = np.stack(self.reached, axis=1)
            same_front = np.broadcast_to(front, (len(more), *front.shape))
            front = np.concatenate([same_front, np.maximum(more, low)], axis=1)
        return pareto.expected_hypervolume_improvement(utility, front, low)

    def _reference(self) -> np.ndarray:
        if len(self.front):
            return pareto.reference_below(self.front)
        means = [
            o.utility(self.plain[:, :, self.targets.index(o.target)].mean(axis=0))
            for o in self.aim.objectives
        ]
        return np.array([m.min() for m in means])

    def _incumbent(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Best utility of each draw, front of measured utilities, and how they came about.

        Over measured values of the objectives' targets only, of rows that break no constraint.
        """
        objectives, past = self.aim.objectives, self.past
        at = [self.targets.index(o.target) for o in objectives]
        rows = np.isfinite(past.values[:, at]).all(axis=1)
        for w in self.aim.within:
            values = past.values[:, self.targets.index(w.target)]
            rows &= np.isnan(values) | w.holds(values)
        reached = np.column_stack(
            [o.utility(past.values[rows, k]) for o, k in zip(objectives, at, strict=True)]
        )
        front = pareto.front_of(reached) if len(objectives) > 1 else reached
        samples, objective = len(self.plain), objectives[0]
        here = "among the candidates, as nothing was measured"
        if rows.any() and self.aim.incumbent == "observed":
            best = int(reached[:, 0].argmax())
            value = past.values[rows, at[0]][best]
            story = f"best of {int(rows.sum())} measured values: {value:.4g}"
            return np.full(samples, reached[best, 0]), front, story
        values = self.plain[:, :, at[0]]
        may = np.ones(values.shape[1], dtype=bool)
        if self.aim.within and not rows.any():
            if np.isfinite(past.values[:, at[0]]).any():
                here = "among the candidates, as nothing feasible was measured"
            share = np.asarray(self.feasible(self.plain)).mean(axis=0)
            may = share >= min(0.5, share.max())
        if rows.any():
            here = "at the measured points"
            values = self._at_measured(past.part(np.flatnonzero(rows)))[:, :, at[0]]
            may = np.ones(values.shape[1], dtype=bool)
        if rows.any() and self.aim.incumbent == "draws":
            return objective.utility(values).max(axis=1), front, f"best of each draw {here}"
        # The mean of the utility: that of the mean would be too good where utility is not linear.
        expected = objective.utility(values).mean(axis=0)
        best = int(np.where(may, expected, -np.inf).argmax())
        story = f"best posterior mean {here}: {values[:, best].mean():.4g}"
        return np.full(samples, expected[best]), front, story

    def _at_measured(self, rows: Candidates) -> np.ndarray:
        """Draws of the mean at measured rows, from the descriptors and cheaper values alone."""
        hidden = frozenset(o.target for o in self.aim.objectives)
        known = told(self.post, rows.values, hidden)
        found = self.post.predict(rows.frame, kind="mean", given=known).draws
        return np.asarray(found.to_numpy())


def read_aim(
    objective: Objective | Sequence[Objective],
    constraints: Sequence[Any],
    targets: list[str],
    incumbent: str,
    replicate: bool,
    kind: str,
) -> Aim:
    """Check what is wanted."""
    objectives = tuple(objective) if isinstance(objective, list | tuple) else (objective,)
    for one in objectives:
        if not (hasattr(one, "utility") and hasattr(one, "target")):
            raise CandidateError(
                "an objective",
                f"{one!r}",
                "the name of a target alone does not say whether more is better",
                "for example cp.Maximize('exp'), cp.Minimize('exp') or cp.Reach('exp', 1.5)",
            )
        known_target(one.target, targets, "the objective")
    names = [one.target for one in objectives]
    if not 1 <= len(names) <= 3 or len(set(names)) < len(names):
        raise CandidateError(
            "one objective, or two or three for different targets",
            f"objectives for {names}",
            "a repeated target, or an empty list",
            "give each target one objective",
        )
    if incumbent not in ("observed", "posterior", "draws"):
        raise CandidateError(
            "an incumbent 'observed', 'posterior' or 'draws'",
            f"{incumbent!r}",
            "a typing error",
            "choose one of them",
        )
    if kind not in ("mean", "observation"):
        raise CandidateError(
            "kind 'mean' or 'observation'", f"{kind!r}", "a typing error", "choose one of them"
        )
    within = tuple(c for c in constraints if isinstance(c, Within))
    for constraint in within:
        known_target(constraint.target, targets, "the constraints")
    if replicate and incumbent == "observed":
        incumbent = "posterior"  # the best of noisy values would be measured again and again
    return Aim(objectives, within, incumbent, replicate, kind)


def known_target(target: str, targets: list[str], where: str) -> None:
    """Refuse a target that the model does not have."""
    if target not in targets:
        raise CandidateError(
            f"a target among {targets} in {where}",
            f"{target!r}",
            "a typing error",
            "use the names of the targets",
        )
