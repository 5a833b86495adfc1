"""Scales of descriptors and targets, found once from rows or given ranges."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import numpy as np

from claude_pymc.errors import DesignError, TableError

TRANSFORMS = ("identity", "log")
# Sizes of numbers whose fourth powers (squares of variances), and sums of these, are numbers again.
LEAST, LARGEST = 1e-50, 1e50
FAR = math.log(LARGEST) - 1.0  # so that what comes back may be taken again

Numbers = tuple[float, ...]
Names = tuple[str, ...]


def descriptor_bounds(x: np.ndarray, descriptors: Names) -> tuple[tuple[float, float], ...]:
    """Range of each descriptor; a constant one is refused."""
    if not len(x):
        raise DesignError(
            "a table with rows",
            "an empty table",
            "the file has a header only",
            "add rows, or in Python use Design.from_bounds before any row exists",
        )
    for j, name in enumerate(descriptors):
        if not np.isfinite(x[:, j]).any():
            raise DesignError(
                f"a value of descriptor {name!r} in some row",
                f"none in {len(x)} rows",
                "an empty column",
                f"fill it, leave {name!r} out, or use Design.from_bounds",
            )
    low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    for j, name in enumerate(descriptors):
        if high[j] > low[j]:
            refuse_size(f"descriptor {name!r}", low[j], high[j])
        if not high[j] - low[j] > 1e-12 * max(abs(low[j]), abs(high[j])):
            raise DesignError(
                f"a descriptor {name!r} that varies",
                f"{low[j]:g} in all {np.isfinite(x[:, j]).sum()} rows",
                "every row was made under the same condition",
                f"leave {name!r} out of the descriptors, or use Design.from_bounds",
            )
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))


def refuse_size(what: str, low: float, high: float) -> None:
    """Refuse values from low to high whose squares, or those of their range, are no numbers."""
    low, high = float(low), float(high)
    size = max(abs(low), abs(high))
    if not (size <= LARGEST and (high - low >= LEAST or low == high)):
        raise TableError(
            f"values of {what} of a size up to {LARGEST:g}, that differ by more than {LEAST:g}",
            f"{low:g} .. {high:g}",
            "a unit that is far too small or too large, or a sign for 'not measured'",
            "convert the unit, and leave cells empty where nothing was measured",
        )


def refuse_far(values: np.ndarray, targets: Names) -> None:
    """Refuse targets (..., target) on the modelled scale whose squares are no numbers."""
    far = np.abs(values) > LARGEST
    if far.any():
        name = targets[int(np.argwhere(far)[0][-1])]
        raise TableError(
            f"values of {name!r} within {LARGEST:g} times the scale of the design",
            f"{np.abs(values[far]).max():.3g} times that scale",
            "another unit, or a sign for 'not measured'",
            "convert the unit, and leave cells empty where nothing was measured",
        )


def forward(y: np.ndarray, targets: Names, transforms: Names) -> np.ndarray:
    """Apply the transform of each target to (..., target)."""
    values = np.array(y, dtype=np.float64)
    for j, rule in enumerate(transforms):
        if rule == "identity":
            continue
        if rule != "log":
            raise DesignError(
                f"a transform among {list(TRANSFORMS)}",
                f"{rule!r} for {targets[j]!r}",
                "a typing error",
                "choose a known transform",
            )
        if (values[..., j] <= LEAST).any():
            raise TableError(
                f"positive values of {targets[j]!r}, which is modelled by its logarithm",
                f"{np.nanmin(values[..., j]):g}",
                "a difference or a shifted quantity has no logarithm, nor has a sign for 'nothing'",
                "correct the value, or use the transform 'identity'",
            )
        values[..., j] = np.log(values[..., j])
    return values


def inverse(values: np.ndarray, transforms: Names) -> np.ndarray:
    """Undo :func:`forward` in place; an overflow of the exponential stays finite."""
    for j, rule in enumerate(transforms):
        if rule == "log":
            values[..., j] = np.exp(np.clip(values[..., j], -FAR, FAR))
    return values


def target_scaling(
    y: np.ndarray,
    targets: Names,
    quantities: Names,
    transforms: Names,
    corrections: tuple[Names, ...],
    standardize: bool,
) -> tuple[Numbers, Numbers]:
    """Mean and sd of each quantity over all its values (location 0 and scale 1 if not wanted)."""
    values = forward(y, targets, transforms)
    pooled = {}
    for quantity in set(quantities):
        columns = [j for j, q in enumerate(quantities) if q == quantity]
        measured = values[:, columns][np.isfinite(values[:, columns])]
        if len(measured):
            members = ", ".join(repr(targets[j]) for j in columns)
            refuse_size(members, measured.min(), measured.max())
        if standardize and len(measured):
            shift = _shiftable(columns, corrections)
            centre = float(measured.mean()) if shift else 0.0
            spread = float(np.sqrt(np.mean((measured - centre) ** 2)))
            pooled[quantity] = (centre, spread if spread > 1e-12 * abs(centre) else 1.0)
        else:
            pooled[quantity] = (0.0, 1.0)
    return _per_quantity(quantities, pooled)


def target_scaling_from_ranges(
    ranges: Mapping[str, tuple[float, float]],
    targets: Names,
    quantities: Names,
    transforms: Names,
    corrections: tuple[Names, ...],
) -> tuple[Numbers, Numbers]:
    """Location and scale of each quantity from the range where 95 % of its values are expected."""
    pooled = dict.fromkeys(quantities, (0.0, 1.0))
    for quantity in pooled:
        columns = [j for j, q in enumerate(quantities) if q == quantity]
        given = [(j, ranges[targets[j]]) for j in columns if targets[j] in ranges]
        ends = [
            forward(np.array([[value]]), (targets[j],), (transforms[j],))[0, 0]
            for j, pair in given
            for value in pair
        ]
        if ends:
            if not (np.isfinite(ends).all() and min(ends) < max(ends)):
                raise DesignError(
                    f"a range (low, high) for {quantity!r}",
                    f"{[pair for _, pair in given]}",
                    "the two ends are equal, or one is missing or infinite",
                    "give two different, finite ends",
                )
            refuse_size(quantity, min(ends), max(ends))
            shift = _shiftable(columns, corrections)
            centre = (min(ends) + max(ends)) / 2 if shift else 0.0
            pooled[quantity] = (centre, max(abs(e - centre) for e in ends) / 2)
    return _per_quantity(quantities, pooled)


def _shiftable(columns: list[int], corrections: tuple[Names, ...]) -> bool:
    """Say whether a shift leaves the model alone: every correction set must hold the constant."""
    return all("1" in corrections[j] for j in columns)


def _per_quantity(
    quantities: Names, pooled: Mapping[str, tuple[float, float]]
) -> tuple[Numbers, Numbers]:
    """Spread location and scale of the quantities over the targets."""
    return tuple(pooled[q][0] for q in quantities), tuple(pooled[q][1] for q in quantities)


def checked_bounds(
    bounds: Mapping[str, tuple[float, float]], descriptors: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """Finite ranges in ascending order, of known descriptors."""
    for name, pair in bounds.items():
        fine = len(pair) == 2 and all(map(_finite, pair)) and pair[0] < pair[1]
        if not fine or name not in descriptors:
            raise DesignError(
                f"a range (low, high) with low < high of a descriptor among {list(descriptors)}",
                f"{pair!r} for {name!r}",
                "the two are equal or exchanged, or the name is mistyped",
                "give finite bounds in ascending order",
            )
        refuse_size(f"{name!r} in bounds", *pair)
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def _finite(value: float) -> bool:
    return bool(abs(value) <= sys.float_info.max)  # of an int of any length, too


def outside(
    x: np.ndarray, descriptors: Names, bounds: tuple[tuple[float, float], ...]
) -> str | None:
    """Say how many candidates (row, descriptor) lie outside the bounds, and which is farthest.

    A millionth of the range beyond a bound is round-off, and a missing descriptor lies nowhere.
    Descriptors that hold text come last and have no bounds.

    Examples
    --------
    >>> outside(np.array([[0.5], [1.0], [3.0]]), ("x",), ((0.0, 2.0),))
    "1 of 3 candidates outside the bounds of the design, farthest 'x' = 3 beyond 0 .. 2"
    """
    if not bounds or not len(x):
        return None
    low, high = np.array(bounds).T
    x = x[:, : len(bounds)]
    with np.errstate(over="ignore"):
        beyond = np.nan_to_num(np.maximum(low - x, x - high) / (high - low), nan=0.0)
    count = int((beyond > 1e-6).any(axis=1).sum())
    if not count:
        return None
    row, j = np.unravel_index(int(beyond.argmax()), beyond.shape)
    return (
        f"{count} of {len(x)} candidates outside the bounds of the design, farthest "
        f"{descriptors[j]!r} = {x[row, j]:g} beyond {low[j]:g} .. {high[j]:g}"
    )


def name_missing(lacks: np.ndarray, descriptors: Names, labels: tuple[str, ...]) -> None:
    """Refuse rows that lack a descriptor: ``lacks`` (row, descriptor) says which."""
    missing = np.argwhere(lacks)
    if len(missing):
        row, column = missing[0]
        name = f" ({labels[row]})" if labels else ""
        raise TableError(
            f"a value of descriptor {descriptors[column]!r} in every row whose targets use it",
            f"a missing one in row {row}{name}, {len(missing)} in all",
            "the conditional likelihood p(y | x) needs to know x",
            "fill the cell, leave the row out, choose other descriptors, or with linear terms use "
            "missing_descriptors=True and likelihood='joint'",
        )
