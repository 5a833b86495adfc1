"""Entries of a ledger become the rows of a table, and what a person says becomes entries."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.campaign.ledger import DONE, Snapshot
from claude_pymc.errors import CampaignError, ClaudeError
from claude_pymc.tables.categories import Category, categories_of
from claude_pymc.tables.reading import MISSING
from claude_pymc.tables.table import Table

FAILED_WORDS = {"failed", "fail", "nan"}
NOT_YET = MISSING - {"nan"}


@dataclass(frozen=True)
class Result:
    """One value that is told, or a failure (None), of a proposal or from elsewhere."""

    target: str
    x: dict[str, Any]
    value: float | None
    proposal: int | None
    label: str | None = None


def points_of(entries: pd.DataFrame, descriptors: Sequence[str]) -> pd.DataFrame:
    """Descriptors of entries, one column each."""
    points = [json.loads(x) for x in entries["x"]]
    return pd.DataFrame(points, columns=list(descriptors), index=entries.index)


def table_of(
    current: pd.DataFrame, descriptors: Sequence[str], targets: Sequence[str], units: dict[str, str]
) -> Table:
    """Rows of observations: values of several targets at one point share a row.

    A second value of one target at a point begins a row of its own.
    """
    points = points_of(current, descriptors)
    texts = categories_of(descriptors)
    if not len(current):
        empty = np.empty((0, len(descriptors)))
        return Table(
            tuple(descriptors), tuple(targets), empty, np.empty((0, len(targets))), (), units
        )
    keys = Candidates.read(points, descriptors, (), needed=False).keys_of(
        np.ones(len(descriptors), dtype=bool)
    )
    rows: list[dict[str, Any]] = []
    at: dict[tuple[bytes, int], dict[str, Any]] = {}
    seen: dict[tuple[bytes, str], int] = {}
    for i, (target, value, label) in enumerate(
        zip(current["target"], current["value"], current["label"], strict=True)
    ):
        key = keys[i].tobytes()
        turn = seen.get((key, target), 0)
        seen[key, target] = turn + 1
        if (key, turn) not in at:
            at[key, turn] = {**points.iloc[i].to_dict(), **dict.fromkeys(targets, np.nan)}
            at[key, turn]["label"] = label or ""
            rows.append(at[key, turn])
        at[key, turn][target] = value
    frame = pd.DataFrame(rows)
    labels = "label" if (frame["label"] != "").any() else None
    return Table.from_frame(frame, descriptors, targets, labels, units, categories=texts)


def results_of(
    frame: Any, state: Snapshot, descriptors: Sequence[str], targets: Sequence[str]
) -> list[Result]:
    """Read what is told; a frame of either form.

    Long: columns ``proposal`` and ``value`` (those of `Campaign.ask`, filled in). None, or an empty
    cell, is a result that is not there yet; NaN, or the word "failed", one that never will be.
    Wide: descriptors and targets, as in a Table; NaN is a value that was not measured, but a row
    without any value says that what was proposed there failed.
    """
    frame = frame.to_frame() if isinstance(frame, Table) else frame
    if not isinstance(frame, pd.DataFrame):
        raise CampaignError(
            "results as a DataFrame or a Table",
            type(frame).__name__,
            "a bare number does not say where it was measured",
            "fill in the column 'value' of what ask() returned, and tell that",
        )
    if "proposal" in frame.columns and "value" in frame.columns:
        return _long(frame, state, descriptors)
    lacking = [name for name in descriptors if name not in frame.columns]
    having = [name for name in targets if name in frame.columns]
    if lacking or not having:
        raise CampaignError(
            f"columns 'proposal' and 'value', or descriptors {list(map(str, descriptors))} and "
            f"some of the targets {list(targets)}",
            f"columns {[str(c) for c in frame.columns]}",
            f"{lacking[0]!r} is missing" if lacking else "no column of a known target",
            "fill in the column 'value' of what ask() returned, or name the columns",
        )
    for name in (c for c in map(str, frame.columns) if c not in (*descriptors, *targets)):
        near = difflib.get_close_matches(name, [t for t in targets if t not in having], 1, 0.75)
        if near:
            raise CampaignError(
                f"columns of the targets {list(targets)}",
                f"{name!r}",
                "a typing error, with which its values would be lost",
                f"did you mean {near[0]!r}?",
            )
    return _wide(frame, state, descriptors, having)


def number_of(cell: Any, where: str) -> float | None:
    """Read a value; NaN where it failed, None where it is not there yet."""
    word = cell.strip().lower() if isinstance(cell, str) else None
    if cell is None or cell is pd.NA or word in NOT_YET:
        return None
    if word in FAILED_WORDS:
        return math.nan
    try:
        value = float(cell.replace(",", ".") if isinstance(cell, str) else cell)
    except (TypeError, ValueError, OverflowError):
        value = math.inf
    if math.isinf(value) or isinstance(cell, bool | np.bool_):
        raise CampaignError(
            f"a number {where}, or 'failed', or nothing",
            f"{cell!r}",
            "a unit or a comment in the cell, or an overflow",
            "write the number alone",
        )
    return value


def _long(frame: pd.DataFrame, state: Snapshot, descriptors: Sequence[str]) -> list[Result]:
    known = state.proposals.set_index("id")
    found, seen = [], set()
    for at, (number, cell) in enumerate(zip(frame["proposal"], frame["value"], strict=True)):
        value = number_of(cell, f"for proposal {number}")
        if value is None:
            continue
        try:
            number = int(float(number)) if float(number).is_integer() else -1
        except (TypeError, ValueError, OverflowError):
            number = -1
        if number not in known.index or number in seen:
            raise CampaignError(
                f"numbers of proposals, each once, up to {len(known)}",
                f"{number!r}" + (" twice" if number in seen else ""),
                "a number of another campaign, or a row that was copied",
                "look at the proposals: status shows those that are open",
            )
        seen.add(number)
        row = known.loc[number]
        _refuse_other_point(frame.iloc[at], row, number, descriptors)
        failed = math.isnan(value)
        found.append(
            Result(
                row["target"],
                json.loads(row["x"]),
                None if failed else value,
                number,
                row["label"],
            )
        )
    return found


def _refuse_other_point(
    told: pd.Series, row: pd.Series, number: int, descriptors: Sequence[str]
) -> None:
    """Refuse a row whose target or descriptors, where they are there, are not the proposal's."""
    asked = {"target": row["target"], **json.loads(row["x"])}
    for name in ("target", *descriptors):
        if name not in told.index or asked[name] is None or pd.isna(told[name]):
            continue
        if isinstance(asked[name], str):
            same = str(told[name]).strip() == asked[name]
        else:
            same = math.isclose(number_of(told[name], name) or 0.0, asked[name], rel_tol=1e-4)
            same = same or abs(asked[name]) < 1e-12
        if not same:
            raise CampaignError(
                f"{name} = {asked[name]!r} beside proposal {number}, as it was asked",
                f"{told[name]!r}",
                "rows that were sorted without all of their columns",
                "tell the values beside the proposals that they belong to",
            )


def _wide(
    frame: pd.DataFrame, state: Snapshot, descriptors: Sequence[str], targets: Sequence[str]
) -> list[Result]:
    every = np.ones(len(descriptors), dtype=bool)
    try:
        read = Candidates.read(frame, descriptors, (), needed=False)
    except ClaudeError as error:
        raise CampaignError(error.expected, error.got, error.cause, error.todo) from error
    if np.isinf(read.x).any():
        row, column = np.argwhere(np.isinf(read.x))[0]
        raise CampaignError(
            "finite descriptors",
            f"an infinite {descriptors[column]!r} in row {row}",
            "a division by zero or an overflow upstream",
            "correct the row",
        )
    here = read.keys_of(every)
    asked = _numbered(state.proposals, descriptors)
    found = []
    taken: set[int] = set()
    for i in range(len(frame)):
        key = here[i].tobytes()
        x = plain_point(read.frame.iloc[i].to_dict())
        label = read.labels[i] if read.labels else None
        cells = {t: number_of(frame[t].iloc[i], f"of {t!r} in row {i}") for t in targets}
        values = {t: v for t, v in cells.items() if v is not None and not math.isnan(v)}
        open_here = {t: [n for n in asked.get((key, t), []) if n not in taken] for t in targets}
        if not values:
            failed = [(t, n) for t, numbers in open_here.items() for n in numbers[:1] if t in cells]
            if not failed:
                raise CampaignError(
                    f"a value in row {i}, or a proposal there that failed",
                    f"no value of {list(targets)}, and nothing that waits at {x}",
                    "an empty line",
                    "leave the row out",
                )
            found += [Result(t, x, None, n, label) for t, n in failed]
            taken |= {n for _, n in failed}
            continue
        for target, value in values.items():
            number = next(iter(open_here.get(target, [])), None)
            if number is not None:
                taken.add(number)
            found.append(Result(target, x, value, number, label))
    return found


def plain_point(x: dict[str, Any]) -> dict[str, Any]:
    """Descriptors as plain JSON values."""
    return {
        str(k): v if isinstance(v, str) else (None if pd.isna(v) else float(v))
        for k, v in x.items()
    }


def _numbered(
    proposals: pd.DataFrame, descriptors: Sequence[str]
) -> dict[tuple[bytes, str], list[int]]:
    """Numbers of the proposals without a value, by point and target, those that wait first."""
    some = proposals[proposals["state"] != DONE]
    if not len(some):
        return {}
    order = some["state"].map({"running": 0, "open": 1, "withdrawn": 2, "failed": 3})
    some = some.iloc[np.argsort(order.to_numpy(), kind="stable")]
    keys = keys_at(some, descriptors)
    found: dict[tuple[bytes, str], list[int]] = {}
    done = proposals[proposals["state"] == DONE]
    answered = set(zip(keys_at(done, descriptors), done["target"], strict=True))
    columns = (some["target"], some["id"], some["state"])
    for key, target, number, state in zip(keys, *columns, strict=True):
        if state in ("withdrawn", "failed") and (key, target) in answered:
            continue
        found.setdefault((key, target), []).append(int(number))
    return found


def keys_at(entries: pd.DataFrame, descriptors: Sequence[str]) -> list[bytes]:
    """Keys of the points of entries: equal where descriptors agree to nine digits."""
    if not len(entries):
        return []
    points = points_of(entries, descriptors)
    every = np.ones(len(descriptors), dtype=bool)
    read = Candidates.read(points, descriptors, (), needed=False)
    return [key.tobytes() for key in read.keys_of(every)]


def names_of(descriptors: Sequence[str]) -> list[dict[str, Any]]:
    """Descriptors as plain JSON values, with their categories."""
    texts = categories_of(descriptors)
    return [{"name": str(d), "categories": list(texts.get(d, ()))} for d in descriptors]


def descriptors_from(said: list[dict[str, Any]]) -> tuple[str, ...]:
    """Rebuild descriptors from :func:`names_of`."""
    return tuple(
        Category(d["name"], tuple(d["categories"])) if d["categories"] else d["name"] for d in said
    )
