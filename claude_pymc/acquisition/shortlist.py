"""Large pools: the candidates that may matter, found chunk by chunk.

A pool of millions is looked at once with some of the draws. Kept are those of largest expected
improvement, upper confidence bound and variance of each target, where any draw has its maximum, and
some at random (the places over which a variance is reduced). The batch is picked among them with
all draws.
"""

from __future__ import annotations

import numpy as np

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.functions import (
    log_expected_improvement,
    upper_confidence_bound,
)
from claude_pymc.acquisition.known import known_values, taken, used
from claude_pymc.acquisition.picker import Aim
from claude_pymc.joint.progress import shown
from claude_pymc.protocols import Predictive

LARGE = 20_000  # candidates, from which a pool is shortlisted
CHUNK, DRAWS, KEPT = 8192, 500, 1000


def shortlist(
    post: Predictive,
    pool: Candidates,
    past: Candidates,
    aim: Aim,
    rules: dict[str, str],
    seed: int,
) -> np.ndarray:
    """Positions of the candidates that may matter, in order."""
    targets = list(post.targets)
    thin = getattr(post, "thinned", lambda number: post)(DRAWS)
    rng = np.random.default_rng(seed)
    scores: dict[str, list[np.ndarray]] = {}
    tops: list[np.ndarray] = []
    n = len(pool.frame)
    free = np.zeros((n, len(targets)), dtype=bool)
    for j, target in enumerate(targets):
        free[:, j] = ~taken(pool, past, j, used(post, target))
    known = known_values(pool, past, targets)
    best = _best(past, aim, targets)
    with shown("propose", progress=False) as stage:
        for start in range(0, n, CHUNK):
            stage(f"candidates {start} of {n}")
            rows = slice(start, start + CHUNK)
            given = {t: v[rows] for t, v in known.items()}
            found = thin.predict(pool.frame.iloc[rows], kind="mean", given=given)
            draws = found.draws.to_numpy()
            for objective in aim.objectives:
                j = targets.index(objective.target)
                utility = objective.utility(draws[:, :, j])
                name = objective.target
                reached = best[name]
                floor = float(utility.mean(axis=0).max()) if reached is None else reached
                chunk = (
                    log_expected_improvement(utility, floor),
                    upper_confidence_bound(utility),
                )
                for kind, values in zip(("improvement", "bound"), chunk, strict=True):
                    scores.setdefault(f"{name} {kind}", []).append(
                        np.where(free[rows, j], values, -np.inf)
                    )
                place = utility.argmax(axis=1)
                tops.append(np.stack([utility.max(axis=1), start + place]))
            for j, target in enumerate(targets):
                spread = draws[:, :, j].var(axis=0)
                scores.setdefault(f"{target} variance", []).append(
                    np.where(free[rows, j], spread, -np.inf)
                )
    kept = [rng.choice(n, min(KEPT, n), replace=False)]
    for parts in scores.values():
        values = np.concatenate(parts)
        kept.append(np.argpartition(-values, min(KEPT, n - 1))[:KEPT])
    stacked = np.stack(tops).reshape(-1, len(aim.objectives), 2, tops[0].shape[1])
    for k in range(len(aim.objectives)):
        highest = stacked[:, k, 0].argmax(axis=0)
        kept.append(stacked[highest, k, 1, np.arange(stacked.shape[-1])].astype(int))
    found = np.unique(np.concatenate(kept))
    return np.asarray(found[free[found].any(axis=1)])


def _best(past: Candidates, aim: Aim, targets: list[str]) -> dict[str, float | None]:
    """Best measured utility of each objective."""
    found: dict[str, float | None] = {}
    for objective in aim.objectives:
        values = past.values[:, targets.index(objective.target)]
        values = values[np.isfinite(values)]
        found[objective.target] = float(objective.utility(values).max()) if len(values) else None
    return found
