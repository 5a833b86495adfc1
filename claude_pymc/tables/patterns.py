"""Columns of a table in the order of a design, and which rows have the same values missing."""

from __future__ import annotations

import numpy as np

from claude_pymc.errors import TableError
from claude_pymc.tables.categories import refuse_other_categories
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

Pattern = tuple[bool, ...]


def columns_of(table: Table, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors and targets in the order of the design, NaN where there is none."""
    lacking = [name for name in design.descriptors if name not in table.descriptors]
    known = [name for name in design.targets if name in table.targets]
    if lacking or not known:
        raise TableError(
            f"descriptors {list(design.descriptors)} and one of the targets {list(design.targets)}",
            f"a table with {list(table.descriptors)} and {list(table.targets)}",
            "the table was read with other columns than the design",
            "read the table with the columns of the design",
        )
    refuse_other_categories(table.descriptors, design.descriptors)
    units = dict(design.units)
    clash = [k for k, unit in table.units.items() if units.get(k, unit) != unit]
    if clash:
        raise TableError(
            f"{clash[0]!r} in the unit of the design, {units[clash[0]]!r}",
            f"{table.units[clash[0]]!r}",
            "the table was measured in other units than the one the design was made from",
            "convert the column, then condense the table",
        )
    x, y = table.x, table.y
    if table.descriptors != design.descriptors:
        x = x[:, [table.descriptors.index(name) for name in design.descriptors]]
    if table.targets != design.targets:
        y = np.full((len(table), len(design.targets)), np.nan)
        for name in known:
            y[:, design.targets.index(name)] = table.y[:, table.targets.index(name)]
    design.refuse_missing(x, y, table.labels)
    design.refuse_beyond(x, table.labels)
    return x, y


def by_pattern(finite: np.ndarray) -> dict[Pattern, np.ndarray]:
    """Rows of each pattern that is not empty."""
    codes = np.zeros(len(finite), dtype=np.intp)
    for j, column in enumerate(finite.T):
        codes = 2 * codes + column
        if j % 15 == 14:  # so that they never grow beyond the number of rows, or 2^15
            codes = np.unique(codes, return_inverse=True)[1]
    found = {}
    for code in np.unique(codes) if finite.shape[1] > 15 else np.flatnonzero(np.bincount(codes)):
        rows = np.flatnonzero(codes == code)
        if finite[rows[0]].any():
            found[tuple(bool(v) for v in finite[rows[0]])] = rows
    return found
