"""What a campaign is begun with, as it is kept in its ledger and read again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.objectives import (
    Objective,
    Within,
    objective_from_dict,
    objective_to_dict,
)
from claude_pymc.acquisition.picker import read_aim
from claude_pymc.acquisition.propose import allowed, costs_of, rules_of
from claude_pymc.acquisition.spaces import Box, Simplex
from claude_pymc.campaign.entries import descriptors_from, names_of
from claude_pymc.campaign.ledger import Ledger
from claude_pymc.campaign.next_batch import Plan
from claude_pymc.errors import CampaignError
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.categories import Category
from claude_pymc.tables.table import Table


@dataclass(frozen=True, eq=False)
class Given:
    """Arguments of `Campaign.open`."""

    spec: JointGaussian | None
    candidates: Any
    objective: Objective | None
    targets: tuple[str, ...] | str | None
    constraints: tuple[Any, ...]
    units: Mapping[str, str]
    settings: Mapping[str, Any]  # those that were given, of DEFAULTS


DEFAULTS: dict[str, Any] = {
    "wants": {},
    "rules": None,
    "costs": {},
    "incumbent": "observed",
    "replicate": False,
    "kind": "mean",
    "draws": 1000,
    "seed": 0,
}
# Columns of the ledger's tables and of proposals.
RESERVED = set(
    "id batch proposal target label value state replaces made changed rank rule candidate "
    "mean std lower90 upper90 score".split()
)


def meta_of(given: Given) -> tuple[dict[str, Any], pd.DataFrame | None, pd.DataFrame | None]:
    """Return what is kept: settings, candidates, and values that the candidates carry."""
    descriptors, targets = _names(given)
    if getattr(given.objective, "target", None) not in targets:
        raise CampaignError(
            f"an objective for one of {list(targets)}",
            f"{given.objective!r}",
            "a campaign has one aim: a name alone does not say whether more is better, and several "
            "are for cp.propose",
            f"for example objective=cp.Maximize({targets[-1]!r})",
        )
    settings = {**DEFAULTS, **given.settings}
    _check(settings, given, descriptors, targets)
    assert given.objective is not None
    space = given.candidates if isinstance(given.candidates, Box | Simplex) else None
    functions = [c for c in given.constraints if not isinstance(c, Within)]
    pool = known = None
    if space is None:
        pool, known = _pool(given, descriptors, targets, functions)
        functions = []  # candidates that break them are not kept
    units = given.spec.design.units if given.spec is not None else given.units
    meta = {
        "version": version("claude-pymc"),
        "descriptors": names_of(descriptors),
        "targets": list(targets),
        "units": dict(units),
        "spec": None if given.spec is None else given.spec.to_json(),
        "objective": objective_to_dict(given.objective),
        "space": None if space is None else space.to_dict(),
        "pool": None if pool is None else hash_of(pool, descriptors),
        "bounds": _bounds(given.candidates, pool, descriptors),
        "within": _within(given.constraints),
        "functions": len(functions),
        **settings,
    }
    return meta, pool, known


def plan_of(said: Mapping[str, Any], constraints: Sequence[Any]) -> Plan:
    """Rebuild the plan of a campaign; functions among the constraints are not kept."""
    within = [
        Within(target, -math.inf if low is None else low, math.inf if high is None else high)
        for target, low, high in said["within"]
    ]
    functions = [c for c in constraints if not isinstance(c, Within)] if said["functions"] else []
    return Plan(
        descriptors=descriptors_from(said["descriptors"]),
        targets=tuple(said["targets"]),
        objective=objective_from_dict(said["objective"]),
        spec=None if said["spec"] is None else JointGaussian.from_json(said["spec"]),
        wants=said["wants"],
        rules=said["rules"],
        costs=said["costs"] or None,
        constraints=[*within, *functions],
        incumbent=said["incumbent"],
        replicate=said["replicate"],
        kind=said["kind"],
        draws=said["draws"],
        bounds={name: tuple(ends) for name, ends in said["bounds"].items()},
    )


def numbers_of(numbers: Any) -> list[int]:
    """Numbers of entries of a ledger, from one or several."""
    found = np.atleast_1d(np.asarray(numbers, dtype=object)).ravel()
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) for n in found):
        raise CampaignError(
            "numbers of proposals or observations",
            f"{numbers!r}",
            "a label or a point in place of the number",
            "look at the column 'proposal' of what ask() returned, or at campaign.observations",
        )
    return [int(n) for n in found]


def wants_of(plan: Plan, wants: Any) -> dict[str, int]:
    """Numbers of proposals, if they make sense."""
    targets = list(plan.targets)
    aim = read_aim(plan.objective, (), targets, plan.incumbent, plan.replicate, plan.kind)
    rules_of(targets, aim, wants, plan.rules, False)
    return {str(target): int(number) for target, number in wants.items()}


def refuse_mismatch(ledger: Ledger, given: Given) -> None:
    """Refuse arguments that are not those with which the campaign began."""
    said = ledger.meta()
    differs = []
    if given.spec is not None and given.spec.to_json() != said["spec"]:
        differs.append("the specification")
    aim = given.objective
    if aim is not None and (
        not hasattr(aim, "target") or objective_to_dict(aim) != said["objective"]
    ):
        differs.append("the objective")
    if given.targets is not None and list(given.targets) != said["targets"]:
        differs.append("the targets")
    if any(isinstance(c, Within) for c in given.constraints):
        differs += ["the constraints"] * (_within(given.constraints) != said["within"])
    for name, value in given.settings.items():
        # As the ledger has it: mappings without their types, numbers of Python.
        plain = json.loads(json.dumps(value, default=lambda v: v.item()))
        differs += [f"the setting {name}={said[name]!r}"] * (plain != said[name])
    if isinstance(given.candidates, Box | Simplex):
        if given.candidates.to_dict() != said["space"]:
            differs.append("the candidates")
    elif given.candidates is not None:
        descriptors = descriptors_from(said["descriptors"])
        functions = [c for c in given.constraints if not isinstance(c, Within)]
        pool, _ = _pool(given, descriptors, tuple(said["targets"]), functions)
        if hash_of(pool, descriptors) != said["pool"]:
            differs.append("the candidates")
    if differs:
        raise CampaignError(
            f"{differs[0]} with which {ledger.path.name!r} began",
            "another one",
            "the file belongs to another campaign, or the model was changed on the way",
            "open it by its path alone, or begin a new one under another path",
        )


def _within(constraints: Sequence[Any]) -> list[list[Any]]:
    """Learned constraints as plain JSON values, None for an end that is open."""
    return [
        [w.target, *(float(end) if math.isfinite(end) else None for end in (w.low, w.high))]
        for w in constraints
        if isinstance(w, Within)
    ]


def _check(
    settings: Mapping[str, Any], given: Given, descriptors: Sequence[str], targets: Sequence[str]
) -> None:
    """Refuse settings with which no batch could ever be made."""
    reserved = [str(d) for d in descriptors if d in RESERVED]
    if reserved:
        raise CampaignError(
            "descriptors with names of their own",
            f"{reserved[0]!r}",
            "the ledger has a column of that name",
            "rename the column",
        )
    for name, least in (("seed", 0), ("draws", 4)):
        value = settings[name]
        fine = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not fine or value < least:
            raise CampaignError(
                f"{name} as a whole number, at least {least}",
                f"{value!r}",
                "a typing error",
                "leave it out",
            )
    assert given.objective is not None
    names = list(targets)
    aim = read_aim(
        given.objective,
        given.constraints,
        names,
        settings["incumbent"],
        settings["replicate"],
        settings["kind"],
    )
    wants = settings["wants"] or {given.objective.target: 1}
    rules_of(names, aim, wants, settings["rules"], False)
    costs_of(settings["costs"], None, None, names)


def hash_of(pool: pd.DataFrame, descriptors: Sequence[str]) -> str:
    """Return a fingerprint of candidates."""
    values = pd.util.hash_pandas_object(pool[list(map(str, descriptors))].round(12), index=False)
    return hashlib.sha256(values.to_numpy().tobytes()).hexdigest()


def _bounds(
    candidates: Any, pool: pd.DataFrame | None, descriptors: tuple[str, ...]
) -> dict[str, list[float]]:
    """Ranges of the candidates, of the descriptors that are numbers and vary."""
    if isinstance(candidates, Box):
        ends = {name: list(pair) for name, pair in candidates.ends.items()}
    elif isinstance(candidates, Simplex):
        ends = {name: [0.0, candidates.total] for name in candidates.descriptors}
    else:
        assert pool is not None
        numbers = [d for d in descriptors if not isinstance(d, Category)]
        ends = {str(d): [float(pool[d].min()), float(pool[d].max())] for d in numbers}
    return {name: [low, high] for name, (low, high) in ends.items() if low < high}


def _names(given: Given) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Descriptors and targets of a new campaign."""
    if given.candidates is None:
        raise CampaignError(
            "candidates, as there is no such campaign yet",
            "none",
            "a typing error in the path, or a new campaign",
            "check the path, or begin one: `claude-pymc campaign new`, or Campaign.open with spec, "
            "candidates and objective",
        )
    if given.spec is not None:
        design = given.spec.design
        if given.targets is not None and given.targets != design.targets:
            raise CampaignError(
                f"the targets of the specification, {list(design.targets)}",
                f"{list(given.targets)}",
                "targets that were given twice",
                "leave targets out",
            )
        if isinstance(given.candidates, Box | Simplex):
            lacking = [d for d in design.descriptors if d not in given.candidates.descriptors]
            if lacking:
                raise CampaignError(
                    f"candidates with the descriptors {list(map(str, design.descriptors))}",
                    f"{list(given.candidates.descriptors)}",
                    f"{lacking[0]!r} is missing",
                    "name the parts of the space as the descriptors of the specification",
                )
        return design.descriptors, design.targets
    if isinstance(given.targets, str) or not given.targets:
        raise CampaignError(
            "the names of the targets, cheapest first",
            f"{given.targets!r}",
            "there is neither a specification nor a list of targets",
            "for example targets=['sim', 'exp']",
        )
    found = given.candidates
    if isinstance(found, Table | Box | Simplex):
        return tuple(found.descriptors), given.targets
    names = [c for c in getattr(found, "columns", ()) if c not in (*given.targets, "label")]
    return tuple(names), given.targets


def _pool(
    given: Given, descriptors: tuple[str, ...], targets: tuple[str, ...], functions: Sequence[Any]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Candidates that keep the constraints, and the rows that carry values."""
    read = Candidates.read(given.candidates, descriptors, targets)
    read, _ = allowed(read, given.candidates, functions)
    pool = read.frame.assign(label=read.labels) if read.labels else read.frame
    have = np.isfinite(read.values).any(axis=1)
    known = pool.assign(**dict(zip(targets, read.values.T, strict=True)))[have]
    return pool, known if have.any() else None
