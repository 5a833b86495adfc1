"""Large pools: the candidates that may matter, found chunk by chunk.

A pool of millions is looked at once with some of the draws. Kept are those of largest expected
improvement, upper confidence bound and variance of each target, where any draw has its maximum, and
some at random (the places over which a variance is reduced). The batch is picked among them.
"""

from __future__ import annotations

import numpy as np

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.known import known_values, taken, used
from claude_pymc.acquisition.picker import Aim
from claude_pymc.acquisition.scoring import FEWEST, reduce_samples
from claude_pymc.joint.progress import shown
from claude_pymc.protocols import Predictive

LARGE = 20_000  # candidates, from which a pool is shortlisted
CHUNK, KEPT = 8192, 1000
HUGE = 1e150


def shortlist(
    post: Predictive, pool: Candidates, past: Candidates, aim: Aim, seed: int, progress: bool
) -> np.ndarray:
    """Positions of the candidates that may matter, in order.

    Parameters
    ----------
    post : Predictive
    pool, past : Candidates
    aim : Aim
    seed : int
        Of those that are kept at random.
    progress : bool
        Show how far it is.
    """
    targets, n = list(post.targets), len(pool.frame)
    thin = getattr(post, "thinned", lambda number: post)(FEWEST)
    free = np.stack([~taken(pool, past, j, used(post, t)) for j, t in enumerate(targets)], axis=1)
    known = known_values(post, pool, past)
    best = _best(past, aim, targets)
    goals = [(o, targets.index(o.target)) for o in aim.objectives]
    scores = {(kind, j): np.full(n, -np.inf) for _, j in goals for kind in ("gain", "bound")}
    scores |= {("variance", j): np.full(n, -np.inf) for j in range(len(targets))}
    tops: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with shown("propose", progress=progress) as stage:
        for start in range(0, n, CHUNK):
            stage(f"candidates {start} of {n}")
            rows = slice(start, min(start + CHUNK, n))
            given = {t: v[rows] for t, v in known.items()}
            found = thin.predict(pool.frame.iloc[rows], kind="mean", given=given)
            draws = found.draws.to_numpy()
            samples = len(draws)
            for objective, j in goals:
                utility = np.ascontiguousarray(objective.utility(draws[:, :, j]))
                holds = [w.holds(draws[:, :, targets.index(w.target)]) for w in aim.within]
                feasible = np.all([np.ones(utility.shape, dtype=bool), *holds], axis=0)
                masked = np.where(feasible, utility, -HUGE) if holds else utility
                # Nothing measured: improvement on the best mean of the first candidates.
                floor = best.setdefault(objective.target, float(utility.mean(axis=0).max()))
                fresh = np.full(samples, -np.inf), np.zeros(samples, dtype=np.int64)
                top, place = tops.setdefault(j, fresh)
                gain, _, _ = reduce_samples(masked, floor, start, top, place)
                bound = utility.mean(axis=0) + 2.0 * utility.std(axis=0)
                scores["gain", j][rows] = gain
                probable = feasible.mean(axis=0) >= 0.5
                scores["bound", j][rows] = np.where(probable, bound, -HUGE)
            for j in range(len(targets)):
                scores["variance", j][rows] = draws[:, :, j].var(axis=0)
    kept = [np.random.default_rng(seed).choice(n, min(KEPT, n), replace=False)]
    for (_, j), values in scores.items():
        values = np.where(free[:, j], values, -np.inf)
        kept.append(np.argpartition(-values, min(KEPT, n - 1))[:KEPT])
    kept += [place for _, place in tops.values()]
    positions = np.unique(np.concatenate(kept))
    return np.asarray(positions[free[positions].any(axis=1)])


def _best(past: Candidates, aim: Aim, targets: list[str]) -> dict[str, float]:
    """Best measured utility of each objective, over rows that break no constraint."""
    rows = np.ones(len(past.frame), dtype=bool)
    for w in aim.within:
        values = past.values[:, targets.index(w.target)]
        rows &= np.isnan(values) | w.holds(values)
    found = {}
    for objective in aim.objectives:
        values = past.values[rows, targets.index(objective.target)]
        values = values[np.isfinite(values)]
        if len(values):
            found[objective.target] = float(objective.utility(values).max())
    return found
