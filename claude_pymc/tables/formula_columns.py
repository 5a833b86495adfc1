"""A column of formulas in a table becomes columns of descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from claude_pymc.tables.formulas import formula_descriptors
from claude_pymc.tables.reading import column_places

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-9  # least difference of a correlation from one


@dataclass(frozen=True)
class FormulaColumn:
    """Which column of a table holds formulas, and what describes them.

    Parameters
    ----------
    column : str
    properties, statistics : tuple of str or None
        As in :func:`claude_pymc.formula_descriptors`.

    Examples
    --------
    >>> FormulaColumn("formula", ("Number",), ("mean", "mode")).names
    ('mean_Number', 'mode_Number')
    """

    column: str
    properties: tuple[str, ...] | None = None
    statistics: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all descriptors."""
        return tuple(formula_descriptors([], self.properties, self.statistics).columns)

    def describe(self, frame: pd.DataFrame, source: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Add the columns of descriptors, and name those that tell the rows apart.

        A frame without formulas may have the descriptors themselves.
        """
        import pandas as pd

        there = tuple(name for name in self.names if name in frame.columns)
        if there and self.column not in frame.columns:
            return frame, there
        at = column_places(frame, (self.column,), source)[0]
        found = formula_descriptors(
            frame.iloc[:, at], self.properties, self.statistics, source=source, row="line"
        )
        full = pd.concat([frame.drop(columns=list(there)), found], axis=1)
        full.attrs = frame.attrs
        return full, telling(found)


def telling(frame: pd.DataFrame) -> tuple[str, ...]:
    """Name the columns that vary and are no linear function of one that precedes them.

    Examples
    --------
    >>> import pandas as pd
    >>> telling(pd.DataFrame({"a": [1, 2, 4], "b": 3, "c": [-2, -4, -8], "d": [1, 3, 4]}))
    ('a', 'd')
    """
    x = frame.to_numpy(dtype=np.float64)
    x = x - x.mean(axis=0) if len(x) else x
    length = np.linalg.norm(x, axis=0)
    varies = length > 1e-12 * np.abs(frame.to_numpy(dtype=np.float64)).sum(axis=0)
    x = x / np.where(varies, length, 1.0)
    correlation = np.abs(x.T @ x)
    kept: list[int] = []
    for j in np.flatnonzero(varies):
        if not (correlation[j, kept] > 1.0 - SAME).any():
            kept.append(int(j))
    return tuple(str(frame.columns[j]) for j in kept)
