"""What to measure and what to simulate next.

For each source the candidates are scored on posterior draws of the mean: the primary target by the
logarithm of the expected improvement (eq. 18), a cheaper one by what it tells about the places
where draws of the primary target have their maxima. The paper's rules, with the variance of the
cheaper target (eq. 19), are ``rules="paper"``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.budget import allot
from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.objectives import Objective, Within
from claude_pymc.acquisition.picker import Aim, Picker, known_target, read_aim
from claude_pymc.acquisition.rules import OURS, PAPER, RULES, WORDS
from claude_pymc.acquisition.scoring import thinned
from claude_pymc.acquisition.shortlist import LARGE, shortlist
from claude_pymc.acquisition.spaces import Box, Simplex
from claude_pymc.errors import CandidateError, Notice
from claude_pymc.protocols import Predictive

__all__ = ["RULES", "WORDS", "allowed", "costs_of", "propose", "rules_of"]

MOST_POINTS = 4096  # of a space, beyond which it is not searched anew for each point of a batch
SPREAD, NEAR, STARTS, ZOOMS = 1024, 16, 6, 7  # points of a space: at first, then around the best


def propose(
    post: Predictive,
    candidates: Any,
    objective: Objective | Sequence[Objective],
    wants: Mapping[str, int] | None = None,
    *,
    rules: Mapping[str, str] | str | None = None,
    observed: Any = None,
    pending: Mapping[str, Any] | None = None,
    avoid: Mapping[str, Any] | None = None,
    constraints: Sequence[Any] = (),
    incumbent: str = "observed",
    replicate: bool = False,
    kind: str = "mean",
    costs: Mapping[str, float] | None = None,
    budget: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Propose the next measurements among candidates.

    Parameters
    ----------
    post : Predictive
        For example a JointPosterior.
    candidates : Table, DataFrame, Box or Simplex
        With the descriptors. Columns of targets, if any, are known values: such a candidate is not
        proposed again for that target, and its other targets are predicted given them. A box or a
        simplex is searched from many starts.
    objective : Maximize, Minimize or Reach, or two or three of them
        Of the primary target. Several objectives are weighed by the volume that they dominate, and
        measured at the same candidates.
    wants : mapping of target to number, default one of each target of the objectives
    rules : mapping of target to rule, or "paper"
        Default "log_ei" for the target of the objective ("ehvi" for several) and "maximizers" for
        the others. "paper": "log_ei" and "variance".
    observed : Table or DataFrame, optional
        Rows measured before: their points are not proposed again, and the best measured value of
        the objective's target is the incumbent. Default: the candidates themselves.
    pending : mapping of target to DataFrame, optional
        Points that are being measured now: not proposed again, and conditioned on.
    avoid : mapping of target to DataFrame, optional
        Points that are not to be proposed, such as those where a measurement failed.
    constraints : sequence, optional
        Each a :class:`Within` of a target, which is learned; a function of the DataFrame of
        candidates that says which may be used; or the name of a column of them that does.
    incumbent : "observed", "posterior" or "draws"
        The best so far: measured value, posterior mean at a measured point, or best of each draw
        at the measured points (noisy expected improvement).
    replicate : bool
        Points may be measured again where that pays; the incumbent is "posterior" then.
    kind : "mean" or "observation"
        What improves: the mean of the target, as in the paper; or the value that would be measured,
        where what the model calls noise belongs to each candidate (each its own compound).
        Student-t noise, which has no variance for sure, is cut at four standard deviations of a
        normal one with the same quartiles.
    costs : mapping of target to positive number, optional
        Of one measurement.
    budget : float, optional
        To be spent, in place of ``wants``: each share goes where it is worth most per cost. The
        comparison is in ``attrs["value"]``.
    seed : int
        Of the order in which ties are broken and of the noise draws.
    progress : bool
        Show how far a large pool is.

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
    >>> post = cp.fit(cp.simulate("toy_pair", seed=0), seed=0)
    >>> mesh = cp.mesh(x=np.linspace(0.1, 0.9, 31))
    >>> asked = propose(post, mesh, cp.Maximize("exp"), {"exp": 1, "sim": 3})
    >>> asked.loc[0, "target"], round(float(asked.loc[0, "x"]), 2)
    ('exp', 0.9)
    """
    targets = list(post.targets)
    space = candidates if isinstance(candidates, Box | Simplex) else None
    if space and set(space.descriptors) - set(post.descriptors):
        raise CandidateError(
            f"a space of the descriptors {list(post.descriptors)}",
            f"{list(space.descriptors)}",
            "the model knows nothing of a descriptor",
            "leave it out",
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise CandidateError(
            "a seed that is a whole number, at least 0", f"{seed!r}", "a typing error", "seed=0"
        )
    constraints = constraints if isinstance(constraints, list | tuple) else (constraints,)
    aim = read_aim(objective, constraints, targets, incumbent, replicate, kind)
    paid = costs_of(costs, budget, wants, targets)
    if paid is not None and len(aim.objectives) > 1:
        raise CandidateError(
            "one objective, for a budget",
            f"{len(aim.objectives)}",
            "the value of a measurement is weighed in the unit of one target",
            "give wants, or one objective",
        )
    if wants is None:
        wants = {one.target: 1 for one in aim.objectives} if paid is None else {}
    rules = rules_of(targets, aim, wants, rules, paid is not None)
    source = space.sample(SPREAD, seed) if space else candidates
    pool = Candidates.read(source, post.descriptors, targets)
    past = pool
    if observed is not None:
        past = Candidates.read(observed, post.descriptors, targets, needed=False)
    pool, position = allowed(pool, source, constraints)
    if len(pool.frame) > LARGE:
        some = shortlist(post, pool, past, aim, seed, progress)
        pool, position = pool.part(some), position[some]
    post = thinned(post, MOST_POINTS if space else len(pool.frame))
    picker = Picker(post, pool, past, aim, seed)
    for target, frame in (pending or {}).items():
        known_target(target, targets, "pending")
        needed = picker.used[target]
        picker.wait_for(target, Candidates.read(frame, post.descriptors, targets, needed=needed))
    for target, frame in (avoid or {}).items():
        known_target(target, targets, "avoid")
        needed = picker.used[target]
        away = Candidates.read(frame, post.descriptors, targets, needed=needed)
        picker.taken[target] |= np.isin(picker.pool.keys_of(needed), away.keys_of(needed))
    likely, value = picker.likely(), None
    if paid is not None:
        assert budget is not None
        wants, value = allot(picker, rules, paid, budget, seed)
    found, short = [], []
    together = [one.target for one in aim.objectives] if len(aim.objectives) > 1 else []
    for target in sorted(wants, key=targets.index, reverse=True):
        if target in together[1:]:
            continue
        for rank in range(1, wants[target] + 1):
            if space is not None and len(picker.pool.frame) < MOST_POINTS:
                _zoom(picker, space, target, rules[target], constraints, rank)
            picked = picker.pick(target, rules[target])
            if picked is None:
                short.append(f"only {rank - 1} of {wants[target]} wanted {target!r}")
                break
            at, score = picked
            beside = [t for t in together[1:] if target in together and not picker.taken[t][at]]
            for also in beside:
                picker.commit(also, at)
            for each in (target, *beside):
                row = _row(picker, each, rank, at, rules[target], score)
                inside = at < len(position)
                row["candidate"] = int(position[at]) if inside and space is None else -1
                found.append(row)
    if not found:
        raise CandidateError(
            "candidates that are not measured yet",
            f"nothing left for {list(wants)}: all {len(position)} are measured or pending",
            "the pool is exhausted",
            "add candidates, or ask for another target",
        )
    for text in short:
        warnings.warn(f"{text}: no candidate is left", Notice, stacklevel=2)
    proposals = pd.DataFrame(found)
    if space is not None:
        proposals = proposals.drop(columns="candidate")
    proposals.attrs = {
        "objective": ", ".join(one.describe() for one in aim.objectives),
        "incumbent": float(picker.start.mean()),
        "incumbent_from": picker.story,
        "improvement_likely": likely,
    }
    if value is not None:
        proposals.attrs["value"] = value
    return proposals


def _row(
    picker: Picker, target: str, rank: int, at: int, rule: str, score: float
) -> dict[str, Any]:
    """One proposal, as people read it."""
    means = picker.means[:, at, picker.targets.index(target)]
    pool = picker.pool
    return {
        "target": target,
        "rank": rank,
        "candidate": at,
        **({"label": pool.labels[at]} if pool.labels else {}),
        **pool.frame.iloc[at].where(picker.used[target]).to_dict(),
        "mean": means.mean(),
        "std": means.std(ddof=min(1, len(means) - 1)),
        "lower90": np.quantile(means, 0.05),
        "upper90": np.quantile(means, 0.95),
        "rule": rule,
        "score": score,
    }


def _zoom(
    picker: Picker,
    space: Box | Simplex,
    target: str,
    rule: str,
    constraints: Sequence[Any],
    rank: int,
) -> None:
    """Add points of a space in smaller and smaller neighbourhoods of the best ones."""
    rng = np.random.default_rng([picker.seed, rank, picker.targets.index(target)])
    for zoom in range(ZOOMS):
        free, score = picker.score(target, rule)
        best = free[np.argsort(-score)[:STARTS]]
        near = space.around(picker.pool.frame.iloc[best], 0.2 * 0.5**zoom, NEAR, rng)
        more = Candidates.read(near, picker.post.descriptors, picker.targets)
        more, _ = allowed(more, near, constraints, empty=True)
        if len(more.frame):
            picker.extend(more)


def allowed(
    pool: Candidates, source: Any, constraints: Sequence[Any], empty: bool = False
) -> tuple[Candidates, np.ndarray]:
    """Candidates that keep the constraints that are known, and their positions."""
    frame = source.to_frame() if hasattr(source, "to_frame") else source
    may = np.ones(len(pool.frame), dtype=bool)
    for one in constraints:
        if isinstance(one, Within):
            continue
        if not callable(one) and (not isinstance(one, str) or one not in frame.columns):
            raise CandidateError(
                "constraints that are cp.Within, a function, or a column of the candidates",
                f"{one!r}",
                "a typing error in the name of the column",
                "for example lambda frame: frame['x1'] + frame['x2'] <= 1",
            )
        found = np.asarray(one(pool.frame) if callable(one) else frame[one])
        fits = found.shape == may.shape and found.dtype.kind in "bif"
        if not (fits and np.isfinite(found).all()):
            raise CandidateError(
                "one True or False for each candidate",
                f"{found.dtype} of shape {found.shape} from {one!r}",
                "a function that returns one number, or a column of text",
                "for example lambda frame: frame['x1'] + frame['x2'] <= 1",
            )
        may &= found.astype(bool)
    position = np.flatnonzero(may)
    if not len(position) and not empty:
        raise CandidateError(
            "candidates that keep the constraints",
            f"nothing left: none of {len(may)} does",
            "constraints that exclude each other, or a condition the wrong way round",
            "look at the constraints one by one",
        )
    return (pool if may.all() else pool.part(position)), position


def costs_of(
    costs: Mapping[str, float] | None,
    budget: float | None,
    wants: Mapping[str, int] | None,
    targets: list[str],
) -> dict[str, float] | None:
    """Costs, where a budget is to be spent."""
    if costs is None and budget is None:
        return None
    if costs is not None and not isinstance(costs, Mapping):
        raise CandidateError(
            "costs as a mapping of target to number",
            f"{costs!r}",
            "numbers without their targets",
            "for example costs={'exp': 30, 'sim': 1}",
        )
    costs = dict(costs or {})
    for target, cost in costs.items():
        known_target(target, targets, "costs")
        number = isinstance(cost, int | float | np.number) and not isinstance(cost, bool)
        if not number or not 0 < cost < np.inf:
            raise CandidateError(
                f"a positive cost of {target!r}",
                f"{cost!r}",
                "a text, or a source that costs nothing",
                "for example costs={'exp': 30, 'sim': 1}",
            )
    if budget is None:
        return None
    number = isinstance(budget, int | float | np.number) and not isinstance(budget, bool)
    if wants is not None or not costs or not number or not budget >= min(costs.values()):
        raise CandidateError(
            "a budget with costs and without wants, that pays for one measurement",
            f"budget={budget!r}, costs={costs}, wants={wants}",
            "wants say how many, a budget lets costs decide",
            "for example costs={'exp': 30, 'sim': 1}, budget=60",
        )
    return {str(target): float(cost) for target, cost in costs.items()}


def rules_of(
    targets: list[str],
    aim: Aim,
    wants: Mapping[str, int],
    rules: Mapping[str, str] | str | None,
    paid: bool,
) -> dict[str, str]:
    """One known rule for each wanted target."""
    if isinstance(wants, str) or not isinstance(wants, Mapping):
        raise CandidateError(
            "wants as a mapping of target to number",
            f"{wants!r}",
            "a number or a name alone",
            "for example {'exp': 1, 'sim': 3}",
        )
    for target, number in wants.items():
        known_target(target, targets, "wants")
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise CandidateError(
                f"a whole number of proposals for {target!r}",
                f"{number!r}",
                "a broken or negative number",
                "for example {'exp': 1, 'sim': 3}",
            )
    goals = [one.target for one in aim.objectives]
    if isinstance(rules, str) and rules != "paper":
        raise CandidateError(
            "rules by target, or 'paper'",
            f"{rules!r}",
            "a rule without its target",
            f"for example {{{goals[0]!r}: {rules!r}}}",
        )
    first, other = PAPER if rules == "paper" else OURS
    first = "ehvi" if len(goals) > 1 else first
    own = {} if isinstance(rules, str) or rules is None else dict(rules)
    for target, rule in own.items():
        known_target(target, targets, "rules")
        if rule not in RULES and not (rule == "ehvi" and len(goals) > 1):
            raise CandidateError(
                f"a rule among {list(RULES)}", f"{rule!r}", "a typing error", "choose one of them"
            )
    if not paid and not any(wants.values()):
        raise CandidateError(
            "at least one proposal to be wanted",
            f"{dict(wants)}",
            "an empty list, or zeros only",
            "for example {'exp': 1, 'sim': 3}",
        )
    if len(goals) > 1 and len({wants.get(goal, 0) for goal in goals}) > 1:
        raise CandidateError(
            "equal numbers for the targets of several objectives",
            f"{ {goal: wants.get(goal, 0) for goal in goals} }",
            "they are measured at the same candidates",
            f"for example { {goal: 1 for goal in goals} }",
        )
    return {**{t: first if t in goals else other for t in targets}, **own}
