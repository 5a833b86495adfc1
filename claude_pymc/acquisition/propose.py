"""What to measure and what to simulate next.

For each source the candidates are scored on posterior draws of the mean: the primary target by the
logarithm of the expected improvement (eq. 18), a cheaper one by its variance (eq. 19) or by its
covariance with the primary. Points of a batch are picked one after the other; after each pick the
draws are conditioned on that measurement, so that the next one does not repeat it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.functions import (
    condition_on,
    covariance_with_primary,
    expected_improvement,
    log_expected_improvement,
    standard_deviation,
    variance,
)
from claude_pymc.acquisition.objectives import Objective
from claude_pymc.errors import CandidateError, Notice
from claude_pymc.protocols import Predictive

Score = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]

WORDS = {
    "log_ei": "expected improvement",
    "ei": "expected improvement",
    "variance": "largest variance, to learn most",
    "std": "least certain, to learn most",
    "covariance": "tells most about the primary target",
}

# name -> score of (draws of the source, draws of the primary, utility of the primary, incumbent)
RULES: dict[str, Score] = {
    "log_ei": lambda own, primary, utility, best: log_expected_improvement(utility, best),
    "ei": lambda own, primary, utility, best: expected_improvement(utility, best),
    "variance": lambda own, primary, utility, best: variance(own),
    "std": lambda own, primary, utility, best: standard_deviation(own),
    "covariance": lambda own, primary, utility, best: covariance_with_primary(own, primary),
}


def propose(
    post: Predictive,
    candidates: Any,
    objective: Objective,
    wants: Mapping[str, int] | None = None,
    *,
    rules: Mapping[str, str] | None = None,
    observed: Any = None,
    pending: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Propose the next measurements among candidates.

    Parameters
    ----------
    post : Predictive
        For example a JointPosterior.
    candidates : Table or DataFrame
        With the descriptors. Columns of targets, if any, are known values: such a candidate is not
        proposed again for that target, and its other targets are predicted given them.
    objective : Maximize, Minimize or Reach
        Of the primary target.
    wants : mapping of target to number, default one of the primary target
    rules : mapping of target to "log_ei", "ei", "variance", "std" or "covariance"
        Default "log_ei" for the target of the objective and "variance" for the others.
    observed : Table or DataFrame, optional
        Rows measured before: their points are not proposed again, and the best measured value of
        the objective's target is the incumbent. Default: the candidates themselves.
    pending : mapping of target to DataFrame, optional
        Points that are being measured now: not proposed again, and conditioned on.
    seed : int
        Of the order in which ties are broken and of the noise draws.

    Returns
    -------
    DataFrame
        One row per proposal: target, rank, candidate, label (if any), descriptors (NaN where the
        target does not depend on one), mean, std, lower90 and upper90 of the target's mean there,
        rule, score. The incumbent and where it came from are in ``attrs``.

    Raises
    ------
    CandidateError
        If a descriptor is missing, a target or rule is unknown, or nothing is left to propose.

    Examples
    --------
    >>> propose(post, mesh(x=np.linspace(0, 1, 31)), Maximize("exp"), {"exp": 1, "sim": 3})
    ... # doctest: +SKIP
    """
    targets = list(post.targets)
    wants = {objective.target: 1} if wants is None else dict(wants)
    rules = _rules(targets, objective, wants, dict(rules or {}))
    pool = Candidates.read(candidates, post.descriptors, targets)
    past = pool
    if observed is not None:
        past = Candidates.read(observed, post.descriptors, targets, needed=False)
    known = _known_values(pool, past, targets)
    means, noise = _means_and_noise(post, pool.frame, known, seed)
    goal = targets.index(objective.target)
    incumbent, source = _incumbent(objective, past.values[:, goal], means[:, :, goal])
    used = {t: _used(post, t) for t in targets}
    taken = {t: _taken(pool, past, targets.index(t), used[t]) for t in targets}
    draws = means
    for target, frame in (pending or {}).items():
        _known_target(target, targets, "pending")
        waiting = Candidates.read(frame, post.descriptors, targets, needed=used[target])
        beside = _known_values(waiting, past, targets)
        at, spread = _means_and_noise(post, waiting.frame, beside, seed)
        here, there = (_numbers(source.keys_of(used[target])) for source in (pool, waiting))
        taken[target] |= np.isin(here, there)
        j = targets.index(target)
        both = np.concatenate([draws, at], axis=1)
        for i in range(draws.shape[1], both.shape[1]):
            both = condition_on(both, both[:, i, j], float(spread[i - draws.shape[1], j]))
        draws = both[:, : draws.shape[1]]
    order = np.random.default_rng(seed).permutation(len(pool.frame))
    found = []
    for target in sorted(wants, key=targets.index, reverse=True):
        j = targets.index(target)
        for rank in range(1, wants[target] + 1):
            free = order[~taken[target][order]]
            if not len(free):
                text = f"only {rank - 1} of {wants[target]} wanted {target!r}: no candidate is left"
                warnings.warn(text, Notice, stacklevel=2)
                break
            utility = objective.utility(draws[:, free, goal])
            score = RULES[rules[target]](
                draws[:, free, j], draws[:, free, goal], utility, incumbent
            )
            if np.isnan(score).any():
                raise CandidateError(
                    "scores that are numbers",
                    f"{int(np.isnan(score).sum())} that are not, for {target!r}",
                    "predictions so wide that their draws overflow",
                    "look at the checks of the posterior, or measure more first",
                )
            best = int(np.argmax(score))
            pick = int(free[best])
            found.append(
                {
                    "target": target,
                    "rank": rank,
                    "candidate": pick,
                    **({"label": pool.labels[pick]} if pool.labels else {}),
                    **pool.frame.iloc[pick].where(used[target]).to_dict(),
                    "mean": means[:, pick, j].mean(),
                    "std": means[:, pick, j].std(ddof=min(1, len(means) - 1)),
                    "lower90": np.quantile(means[:, pick, j], 0.05),
                    "upper90": np.quantile(means[:, pick, j], 0.95),
                    "rule": rules[target],
                    "score": float(score[best]),
                }
            )
            taken[target] |= _same(pool, pick, used[target])
            draws = condition_on(draws, draws[:, pick, j], float(noise[pick, j]))
    if not found:
        raise CandidateError(
            "candidates that are not measured yet",
            f"nothing left for {list(wants)}: all {len(pool.frame)} are measured or pending",
            "the pool is exhausted",
            "add candidates, or ask for another target",
        )
    proposals = pd.DataFrame(found)
    proposals.attrs = {
        "objective": objective.describe(),
        "incumbent": incumbent,
        "incumbent_from": source,
        "improvement_likely": _improvement_likely(objective, means[:, :, goal], incumbent),
    }
    return proposals


def _known_target(target: str, targets: list[str], where: str) -> None:
    if target not in targets:
        raise CandidateError(
            f"a target among {targets} in {where}",
            f"{target!r}",
            "a typing error",
            "use the names of the targets",
        )


def _rules(
    targets: list[str], objective: Objective, wants: Mapping[str, int], rules: dict[str, str]
) -> dict[str, str]:
    """One known rule for each wanted target."""
    _known_target(objective.target, targets, "the objective")
    for target, number in wants.items():
        _known_target(target, targets, "wants")
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise CandidateError(
                f"a whole number of proposals for {target!r}",
                f"{number!r}",
                "a broken or negative number",
                "for example {'exp': 1, 'sim': 3}",
            )
    for target, rule in rules.items():
        _known_target(target, targets, "rules")
        if rule not in RULES:
            raise CandidateError(
                f"a rule among {list(RULES)}", f"{rule!r}", "a typing error", "choose one of them"
            )
    if not any(wants.values()):
        raise CandidateError(
            "at least one proposal to be wanted",
            f"{dict(wants)}",
            "an empty list, or zeros only",
            "for example {'exp': 1, 'sim': 3}",
        )
    default = {t: "log_ei" if t == objective.target else "variance" for t in targets}
    return {**default, **rules}


def _means_and_noise(
    post: Predictive, frame: pd.DataFrame, known: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the mean, and variance of the noise (candidate, target); notices come once."""
    means = post.predict(frame, kind="mean", given=known).draws.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        noisy = post.predict(frame, kind="observation", given=known, seed=seed).draws.to_numpy()
    return means, np.square(noisy - means).mean(axis=0)


def _incumbent(objective: Objective, measured: np.ndarray, means: np.ndarray) -> tuple[float, str]:
    """Best utility so far, over measured values of the objective's target only, and its story."""
    values = measured[np.isfinite(measured)]
    source = f"best of {len(values)} measured values"
    if not len(values):
        values = means.mean(axis=0)
        source = "best posterior mean among the candidates, as nothing was measured"
    utility = objective.utility(values)
    best = int(np.argmax(utility))
    return float(utility[best]), f"{source}: {values[best]:.4g}"


def _improvement_likely(objective: Objective, means: np.ndarray, incumbent: float) -> bool:
    """Say whether any candidate improves on the incumbent in at least one draw of a hundred."""
    return bool(((objective.utility(means) > incumbent).mean(axis=0) >= 0.01).any())


def _numbers(keys: list[bytes]) -> np.ndarray:
    """Keys as fixed-width bytes, for comparison of whole arrays; there is at least one."""
    return np.frombuffer(b"".join(keys), dtype=f"V{len(keys[0])}")


def _known_values(pool: Candidates, past: Candidates, targets: list[str]) -> dict[str, np.ndarray]:
    """Values known at each candidate: its own, else the last measured at the same point.

    A row that lacks a descriptor did not depend on it: it is at the same point whatever the value.
    """
    values = pool.values.copy()
    for source in (past, pool):
        for mask, rows in source.masks():
            at: dict[bytes, np.ndarray] = {}
            keys = source.keys_of(mask)
            for i in rows:
                row = source.values[i]
                at[keys[i]] = np.where(np.isfinite(row), row, at.get(keys[i], np.nan))
            nothing = np.full(len(targets), np.nan)
            found = np.array([at.get(key, nothing) for key in pool.keys_of(mask)])
            values = np.where(np.isfinite(values), values, found)
    return dict(zip(targets, values.T, strict=True))


def _used(post: Predictive, target: str) -> np.ndarray:
    """Descriptors (mask) that a target depends on: all, if the model does not say, or none."""
    names = getattr(post, "uses", lambda _: ())(target)
    return np.isin(post.descriptors, names or post.descriptors)


def _taken(pool: Candidates, past: Candidates, j: int, used: np.ndarray) -> np.ndarray:
    """Candidates (mask) at whose points target j was measured, in the pool or before."""
    taken = np.zeros(len(pool.frame), dtype=bool)
    for source in (pool, past):
        for mask, rows in source.masks():
            keys = source.keys_of(mask & used)
            done = [keys[i] for i in rows if np.isfinite(source.values[i, j])]
            if done and (mask & used).any():
                taken |= np.isin(_numbers(pool.keys_of(mask & used)), _numbers(done))
    return taken


def _same(pool: Candidates, pick: int, used: np.ndarray) -> np.ndarray:
    """Candidates (mask) that agree with ``pick`` in the descriptors that count."""
    keys = _numbers(pool.keys_of(used))
    return keys == keys[pick]
