"""Rows of the primary target that are kept as they are, beside sums over all rows.

A linkage that varies with x and noise that differs between rows need them one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from claude_pymc.errors import StatisticsError
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table


@dataclass(frozen=True, eq=False)
class KeptRows:
    """Rows in which the primary target was measured, on the modelled scale.

    Parameters
    ----------
    phi : array (row, basis)
    y : array (row, target)
        NaN where a cheaper target was not measured.
    sigma : array (row)
        Known measurement errors of the primary target, NaN where none is given.
    source : array of str (row)
        Where the row is from, empty where that is not said.
    """

    phi: np.ndarray
    y: np.ndarray
    sigma: np.ndarray
    source: np.ndarray

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for values in self.arrays().values():
            values.flags.writeable = False

    @classmethod
    def of(cls, table: Table, design: Design, x: np.ndarray, y: np.ndarray) -> KeptRows:
        """Take the rows of a table that have the primary target of the design."""
        have = np.flatnonzero(np.isfinite(y[:, -1]))
        sigma = np.full(len(table), np.nan) if table.sigma is None else table.sigma
        if table.sigma is not None and design.transforms[-1] == "log":
            with np.errstate(invalid="ignore"):
                sigma = sigma / y[:, -1]  # of the logarithm, to first order
        source = np.array(table.sources or ("",) * len(table), dtype=str)
        return cls(
            design.phi(x[have]),
            design.to_model(y[have]),
            sigma[have] / design.scale[-1],
            source[have],
        )

    @classmethod
    def empty(cls, design: Design) -> KeptRows:
        """No row."""
        phi, y = np.zeros((0, len(design.terms))), np.zeros((0, len(design.targets)))
        return cls(phi, y, np.zeros(0), np.zeros(0, dtype=str))

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, found: Mapping[str, Any]) -> KeptRows:
        """Rebuild from :meth:`arrays`."""
        return cls(**{field.name: found[field.name] for field in fields(cls)})

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def __add__(self, other: KeptRows) -> KeptRows:
        """Rows of both."""
        theirs = other.arrays()
        return KeptRows(
            **{name: np.concatenate([a, theirs[name]]) for name, a in self.arrays().items()}
        )

    def __sub__(self, other: KeptRows) -> KeptRows:
        """Rows without those of ``other``, each of which must be among them."""
        keys = [self.keys(), other.keys()]
        left = list(range(len(self)))
        for key in keys[1]:
            found = next((i for i in left if keys[0][i] == key), None)
            if found is None:
                raise StatisticsError(
                    "rows that were added before",
                    "an attempt to take away a row of the primary target that is not among them",
                    "the rows were taken away twice, or changed since they were added",
                    "subtract exactly what was added, or rebuild the statistics from the rows",
                )
            left.remove(found)
        return KeptRows(**{name: a[left] for name, a in self.arrays().items()})

    def keys(self) -> list[tuple[bytes, str]]:
        """Return what tells rows apart."""
        numbers = np.hstack([self.phi, self.y, self.sigma[:, None]]) + 0.0
        numbers = np.where(np.isnan(numbers), np.nan, numbers)
        return [(row.tobytes(), str(s)) for row, s in zip(numbers, self.source, strict=True)]
