"""Results are written into a ledger, all of them or none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from claude_pymc.campaign.entries import Result, keys_at, number_of
from claude_pymc.campaign.ledger import CURRENT, DONE, FAILED, REPLACED, Writer, now
from claude_pymc.errors import CampaignError

FAR = 6.0  # sds of the values so far, and of the prediction, from which a value is doubted


@dataclass(frozen=True)
class Doubt:
    """A value that was accepted, with what was predicted there."""

    target: str
    x: dict[str, Any]
    value: float
    mean: float
    std: float
    spread: float


@dataclass(frozen=True)
class Told:
    """What became of values that were told.

    Parameters
    ----------
    accepted, repeated, failed, external : int
        New values; values that were known, and equal; results that will never be; and those of the
        accepted ones that were never proposed.
    """

    accepted: int
    repeated: int
    failed: int
    external: int
    points: tuple[Doubt, ...] = ()

    def __str__(self) -> str:
        """Return one line."""
        words = [f"{self.accepted} accepted"]
        words += [f"{self.external} of them never proposed"] if self.external else []
        words += [f"{self.repeated} known before"] if self.repeated else []
        words += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(words)


def take_up(
    writer: Writer, results: list[Result], descriptors: Sequence[str], replicate: bool
) -> Told:
    """Write results into the ledger, or refuse them all."""
    current = writer.current
    keys = keys_at(current, descriptors)
    values: dict[tuple[bytes, str], list[tuple[float, int | None]]] = {}
    for key, row in zip(keys, current.itertuples(), strict=True):
        known = None if pd.isna(row.proposal) else int(row.id)
        values.setdefault((key, row.target), []).append((row.value, known))
    proposed = current[current["proposal"].notna()]
    columns = (proposed["value"], proposed["id"])
    of_proposal = dict(
        zip(proposed["proposal"].astype(int), zip(*columns, strict=True), strict=True)
    )
    states = dict(zip(writer.proposals["id"], writer.proposals["state"], strict=True))
    told = {"accepted": 0, "repeated": 0, "failed": 0, "external": 0}
    points: list[Doubt] = []
    asked = writer.proposals.astype({"mean": float, "std": float}).set_index("id")
    predicted = {int(n): (row["mean"], row["std"]) for n, row in asked.iterrows()}
    spreads = current.groupby("target")["value"].std().to_dict()
    frame = pd.DataFrame({"x": [json.dumps(r.x) for r in results]})
    old = writer.observations[writer.observations["state"] == REPLACED]
    replaced = list(zip(keys_at(old, descriptors), old["target"], old["value"], strict=True))
    for result, key in zip(results, keys_at(frame, descriptors), strict=True):
        n, at = result.proposal, (key, result.target)
        gone = [v for k, t, v in replaced if (k, t) == at]
        if not replicate and any(_equal(result.value, v) for v in gone):
            told["repeated"] += 1
            continue
        if n is not None and states[n] == DONE:
            value, observation = of_proposal[n]
            _refuse_other(result, value, observation, f"proposal {n}")
            told["repeated"] += 1
            continue
        if n is not None and states[n] == FAILED and result.value is None:
            told["repeated"] += 1
            continue
        before = [] if n is not None or replicate else values.get(at, [])
        if any(_equal(result.value, value) for value, _ in before):
            told["repeated"] += 1
            continue
        if before and before[-1][1] is not None:
            value, observation = before[-1]
            _refuse_other(result, value, observation, f"{result.target!r} at {result.x}")
        failed = result.value is None
        made = writer.add(
            "observations",
            proposal=n,
            target=result.target,
            x=json.dumps(result.x),
            label=result.label,
            value=result.value,
            state=FAILED if failed else CURRENT,
            made=now(),
        )
        if n is not None:
            states[n] = FAILED if failed else DONE
            writer.move(n, states[n])
        if failed:
            told["failed"] += 1
            continue
        values.setdefault(at, []).append((result.value or 0.0, None if n is None else made))
        told["accepted"] += 1
        told["external"] += n is None
        mean, std = predicted.get(n or 0, (math.nan, math.nan))
        spread = spreads.get(result.target, math.nan)
        points.append(Doubt(result.target, result.x, float(result.value or 0.0), mean, std, spread))
    writer.note("told", **told)
    return Told(**told, points=tuple(points))


def doubts(said: Mapping[str, Any], points: Sequence[Doubt]) -> list[str]:
    """Say which values or points look mistyped: far from what was predicted, or out of range."""
    found = []
    for p in points:
        for name, (low, high) in said["bounds"].items():
            x = p.x.get(name)
            if x is not None and not low - 1e-9 <= x <= high + 1e-9:
                found.append(f"{p.target} at {name} = {x:g}: candidates have {low:g} to {high:g}")
        off = FAR * math.hypot(p.std, p.spread)
        if p.spread > 0 and abs(p.value - p.mean) > off:
            found.append(
                f"{p.target} = {p.value:g} where {p.mean:.4g} was predicted: if it was mistyped, "
                "correct it"
            )
    return found


def replace_value(writer: Writer, observation: int, value: Any, reason: str) -> int:
    """Write another value in place of a mistyped one, and return its number."""
    number = number_of(value, f"for observation {observation}")
    if isinstance(value, str) and number is None:
        raise CampaignError(
            "a number, or 'failed'", f"{value!r}", "an empty text", "write the number"
        )
    failed = number is None or math.isnan(number)
    rows = writer.current.set_index("id")
    if observation not in rows.index:
        raise CampaignError(
            "the number of an observation that counts",
            f"{observation!r}",
            "it was replaced before, it failed, or it belongs to another campaign",
            "look at campaign.observations, or at observations.csv of an export; a failed one is "
            "told again, with its value",
        )
    old = rows.loc[observation]
    proposal = None if pd.isna(old["proposal"]) else int(old["proposal"])
    writer.retire(observation)
    made = writer.add(
        "observations",
        proposal=proposal,
        target=old["target"],
        x=old["x"],
        label=old["label"],
        value=None if failed else number,
        state=FAILED if failed else CURRENT,
        replaces=observation,
        made=now(),
    )
    if proposal is not None and failed:
        writer.move(proposal, FAILED)
    writer.note(
        "corrected",
        observation=observation,
        old=float(old["value"]),
        by=made,
        new=None if failed else number,
        reason=reason,
    )
    return made


def move_all(writer: Writer, numbers: list[int], state: str, before: list[str]) -> None:
    """Change the state of proposals, all of them or none."""
    states = dict(zip(writer.proposals["id"], writer.proposals["state"], strict=True))
    for number in numbers:
        now_state = states.get(number, "unknown")
        if now_state == state:
            continue
        if now_state not in before:
            raise CampaignError(
                f"proposals that are {' or '.join(before)}, to be {state}",
                f"proposal {number}, which is {now_state}",
                "a number of another batch, or its result was told",
                "look at campaign.proposals, or at `claude-pymc campaign status`",
            )
        writer.move(number, state)
    writer.note(state, proposals=numbers)


def _equal(one: float | None, other: float) -> bool:
    return one is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=0.0)


def _refuse_other(result: Result, before: float, observation: int | None, what: str) -> None:
    """Refuse a second, other value."""
    if not _equal(result.value, before):
        raise CampaignError(
            f"the value that was told before for {what}, {before!r}",
            "a failure" if result.value is None else f"{result.value!r}",
            "a mistyped value, or a second measurement",
            f"correct observation {observation} (correct({observation}, value), or `claude-pymc "
            f"campaign correct LEDGER {observation} VALUE`); or tell it with replicate=True",
        )
