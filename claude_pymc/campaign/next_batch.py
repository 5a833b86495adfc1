"""One turn of a loop: rows become a posterior, and a posterior the next batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.known import taken
from claude_pymc.acquisition.objectives import Objective
from claude_pymc.acquisition.propose import allowed, propose
from claude_pymc.acquisition.spaces import Box, Simplex, spread
from claude_pymc.errors import CandidateError, PosteriorWarning
from claude_pymc.joint.automatic import fit
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.sampling import Sampler
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

FEW = 5  # rows that the automatic default needs
START = 1024  # points of a space from which a first design is taken


@dataclass(frozen=True)
class Plan:
    """What a loop does each turn.

    Parameters
    ----------
    descriptors, targets : tuple of str
        Targets cheapest first, the primary one last.
    objective : Objective
    spec : JointGaussian or None
        None: the automatic default of :func:`claude_pymc.fit`.
    wants : mapping of target to number
    rules, costs, constraints, incumbent, replicate, kind
        As in :func:`claude_pymc.propose`.
    draws : int
        Of each posterior.
    bounds : mapping of descriptor to (low, high)
        Ranges of the candidates, for the automatic default.
    """

    descriptors: tuple[str, ...]
    targets: tuple[str, ...]
    objective: Objective
    spec: JointGaussian | None = None
    wants: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, str] | str | None = None
    costs: Mapping[str, float] | None = None
    constraints: Sequence[Any] = ()
    incumbent: str = "observed"
    replicate: bool = False
    kind: str = "mean"
    draws: int = 1000
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Points:
    """Points by target that are being measured, and those that are not to be proposed."""

    pending: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    avoid: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def posterior_of(plan: Plan, table: Table, seed: int) -> tuple[JointPosterior, tuple[str, ...]]:
    """Fit the rows; the posterior, and what its checks complain of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorWarning)  # it is returned
        if plan.spec is None:
            ends = _covering(plan.bounds, table)
            post = fit(table, bounds=ends, draws=plan.draws // 4, chains=4, seed=seed)
        else:
            stats = PatternStats.from_table(table, plan.spec.design, rows=plan.spec.needs == "rows")
            sampler = Sampler(plan.spec)
            tree = sampler.draw(stats, draws=plan.draws // 4, chains=4, seed=seed)
            post = JointPosterior(tree, plan.spec)
    return post, tuple(str(check) for check in convergence(post.idata) if not check.passed)


def _covering(bounds: Mapping[str, tuple[float, float]], table: Table) -> dict[str, Any]:
    """Ranges that hold the candidates and the rows."""
    found = {}
    for name, (low, high) in bounds.items():
        column = table.x[:, list(table.descriptors).index(name)]
        found[name] = (float(min(low, np.nanmin(column))), float(max(high, np.nanmax(column))))
    return found


def ready(plan: Plan, table: Table) -> bool:
    """Say whether there are rows to learn from."""
    if plan.spec is not None:
        return len(table) > 0
    return len(table) >= FEW and table.counts[plan.targets[-1]] > 1


def propose_by(
    plan: Plan,
    post: JointPosterior,
    candidates: Any,
    table: Table,
    points: Points,
    seed: int,
    wants: Mapping[str, int] | None = None,
    budget: float | None = None,
) -> pd.DataFrame:
    """Propose as the plan says."""
    return propose(
        post,
        candidates,
        plan.objective,
        None if budget is not None else (wants or plan.wants or None),
        rules=plan.rules,
        observed=table if len(table) else None,
        pending=points.pending,
        avoid=points.avoid,
        constraints=plan.constraints,
        incumbent=plan.incumbent,
        replicate=plan.replicate,
        kind=plan.kind,
        costs=plan.costs if budget is not None else None,
        budget=budget,
        seed=seed,
    )


def first_design(
    plan: Plan,
    candidates: Any,
    table: Table,
    points: Points,
    seed: int,
    wants: Mapping[str, int],
) -> pd.DataFrame:
    """Points that cover the candidates, where there is nothing to learn from yet.

    Columns are those of :func:`claude_pymc.propose`, with nothing predicted.
    """
    space = isinstance(candidates, Box | Simplex)
    source = candidates.sample(START, seed) if space else candidates
    read = Candidates.read(source, plan.descriptors, plan.targets)
    pool, position = allowed(read, source, plan.constraints)
    past = pool
    if len(table):
        past = Candidates.read(table, plan.descriptors, plan.targets, needed=False)
    every = np.ones(len(plan.descriptors), dtype=bool)
    found = []
    for target in sorted((t for t in wants if wants[t]), key=plan.targets.index, reverse=True):
        done = taken(pool, past, plan.targets.index(target), every)
        for away in (points.pending, points.avoid):
            if target in away:
                there = Candidates.read(away[target], plan.descriptors, (), needed=False)
                done |= np.isin(pool.keys_of(every), there.keys_of(every))
        for rank, at in enumerate(spread(pool.x, wants[target], seed, done), 1):
            found.append(
                {
                    "target": target,
                    "rank": rank,
                    "candidate": int(position[at]),
                    **({"label": pool.labels[at]} if pool.labels else {}),
                    **pool.frame.iloc[at].to_dict(),
                    **dict.fromkeys(("mean", "std", "lower90", "upper90"), np.nan),
                    "rule": "design",
                    "score": np.nan,
                }
            )
    if not found:
        raise CandidateError(
            "candidates that are not measured yet",
            f"nothing left for {list(wants)}: all {len(pool.frame)} are measured or pending",
            "the pool is exhausted",
            "add candidates, or ask for another target",
        )
    frame = pd.DataFrame(found)
    return frame.drop(columns="candidate") if space else frame
