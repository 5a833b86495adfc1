"""Results are written into a ledger, all of them or none."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from claude_pymc.campaign.entries import Result, keys_at, number_of
from claude_pymc.campaign.ledger import CURRENT, DONE, FAILED, REPLACED, Writer, now
from claude_pymc.errors import CampaignError


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
    values: dict[tuple[bytes, str], list[tuple[float, bool]]] = {}
    for key, target, value, number in zip(
        keys, current["target"], current["value"], current["proposal"], strict=True
    ):
        values.setdefault((key, target), []).append((value, not pd.isna(number)))
    proposed = current[current["proposal"].notna()]
    of_proposal = dict(zip(proposed["proposal"].astype(int), proposed["value"], strict=True))
    states = dict(zip(writer.proposals["id"], writer.proposals["state"], strict=True))
    told = {"accepted": 0, "repeated": 0, "failed": 0, "external": 0}
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
            _refuse_other(result, of_proposal[n], f"proposal {n}")
            told["repeated"] += 1
            continue
        if n is not None and states[n] == FAILED and result.value is None:
            told["repeated"] += 1
            continue
        before = [] if n is not None or replicate else values.get(at, [])
        if any(_equal(result.value, value) for value, _ in before):
            told["repeated"] += 1
            continue
        if any(proposed for _, proposed in before):
            _refuse_other(result, before[-1][0], f"{result.target!r} at {result.x}")
        failed = result.value is None
        writer.add(
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
        values.setdefault(at, []).append((result.value or 0.0, n is not None))
        told["accepted"] += 1
        told["external"] += n is None
    writer.note("told", **told)
    return Told(**told)


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
            "look at campaign.observations; a failed one is told again, with its value",
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
                "look at campaign.proposals",
            )
        writer.move(number, state)
    writer.note(state, proposals=numbers)


def _equal(one: float | None, other: float) -> bool:
    return one is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=0.0)


def _refuse_other(result: Result, before: float, what: str) -> None:
    """Refuse a second, other value."""
    if not _equal(result.value, before):
        raise CampaignError(
            f"the value that was told before for {what}, {before!r}",
            "a failure" if result.value is None else f"{result.value!r}",
            "a mistyped value, or a second measurement",
            "use correct(observation, value), or tell(..., replicate=True) with its descriptors",
        )
