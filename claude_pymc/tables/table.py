"""Rows of descriptors and targets, read once and never changed.

A missing target is NaN. Descriptors and targets keep the units in which they were measured;
scaling belongs to :class:`~claude_pymc.tables.design.Design`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from claude_pymc.errors import TableError
from claude_pymc.tables.categories import Category, Declared, categories_of, stacked
from claude_pymc.tables.reading import numeric_columns, read_cells, with_categories

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of descriptors ``x`` and targets ``y``.

    Parameters
    ----------
    descriptors, targets : sequence of str
        Column names; targets in order of cost, cheapest first, the primary one last. The name of
        a descriptor that holds text is a `Category`.
    x : array (row, descriptor)
        Of text: positions among the categories of its name.
    y : array (row, target)
        NaN where a target was not measured.
    labels : sequence of str, optional
        One name per row, for people.
    units : mapping of str to str, optional
        Units by column name.
    sigma : array (row), optional
        Known measurement error (one standard deviation) of the primary target, in its unit; NaN
        where it is not known.
    sources : sequence of str, optional
        Where each row is from, such as a laboratory.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [0.1, 0.2], "sim": [1.0, 2.0], "exp": [None, 2.5]})
    >>> Table.from_frame(frame, descriptors=["x"], targets=["sim", "exp"]).counts
    {'sim': 2, 'exp': 1}
    """

    descriptors: tuple[str, ...]
    targets: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    sigma: np.ndarray | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Freeze arrays and check shapes, names and infinities."""
        object.__setattr__(self, "descriptors", tuple(self.descriptors))
        object.__setattr__(self, "targets", tuple(self.targets))
        names = self.descriptors + self.targets
        if len(set(names)) < len(names) or not self.descriptors or not self.targets:
            raise TableError(
                "at least one descriptor and one target, each named once",
                f"descriptors {list(self.descriptors)}, targets {list(self.targets)}",
                "a column was listed twice or a list is empty",
                "list each column once, targets from the cheapest to the primary one",
            )
        for name, columns in (("x", self.descriptors), ("y", self.targets)):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 2 or values.shape[1] != len(columns):
                raise TableError(
                    f"{name} of shape (row, {len(columns)})",
                    f"shape {values.shape}",
                    f"{name} needs one column for each of {list(columns)}",
                    "reshape the array, or use Table.from_frame",
                )
            if np.isinf(values).any():
                row, column = np.argwhere(np.isinf(values))[0]
                raise TableError(
                    "finite numbers",
                    f"an infinite value in row {row}, column {columns[column]!r}",
                    "a division by zero or an overflow upstream",
                    "correct the value, or leave the cell empty if it was not measured",
                )
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if len(self.x) != len(self.y) or (self.labels and len(self.labels) != len(self.x)):
            raise TableError(
                "as many rows of x as of y and of labels",
                f"{len(self.x)}, {len(self.y)} and {len(self.labels)}",
                "arrays of different tables",
                "pass arrays of one length",
            )
        self._freeze_errors()
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        object.__setattr__(self, "units", dict(self.units))

    def _freeze_errors(self) -> None:
        """Check measurement errors and sources."""
        object.__setattr__(self, "sources", tuple(str(source) for source in self.sources))
        sigma = np.zeros(len(self)) if self.sigma is None else np.array(self.sigma, dtype=float)
        if sigma.shape != (len(self),) or len(self.sources or self.x) != len(self):
            raise TableError(
                f"one sigma and one source for each of {len(self)} rows",
                f"sigma of shape {sigma.shape}, {len(self.sources)} sources",
                "columns of different tables",
                "pass arrays of one length",
            )
        if self.sigma is None:
            return
        wrong = ~(sigma > 0) & ~np.isnan(sigma) | np.isinf(sigma)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise TableError(
                "a positive measurement error, or none",
                f"a sigma of {sigma[row]:g} in row {row}"
                + (f" ({self.labels[row]})" if self.labels else ""),
                "zero for 'not known', or a sign",
                "leave the cell empty where the error is not known",
            )
        sigma.flags.writeable = False
        object.__setattr__(self, "sigma", sigma)

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        descriptors: Sequence[str],
        targets: Sequence[str],
        labels: str | None = None,
        units: Mapping[str, str] | None = None,
        categories: Declared | None = None,
        *,
        sigma: str | None = None,
        sources: str | None = None,
    ) -> Table:
        """Read a CSV file.

        Empty cells, NaN and NA are missing. A byte-order mark, the separators comma, semicolon
        and tab, and a decimal comma (where the separator is not a comma) are understood.

        Parameters
        ----------
        path : str or Path
        descriptors, targets, labels, units
            As in :meth:`from_frame`.
        categories : list of descriptors, or mapping of descriptor to categories, optional
            Descriptors that hold text, such as ``["route"]``; there only an empty cell is missing.
            Their categories are those of the rows, or those given: such as no row has yet, too.

        Raises
        ------
        TableError
            For a missing column, text in a numeric column, an unknown category, or an infinite
            value.
        """
        cells = read_cells(Path(path))
        names: Any = {"sigma": sigma, "sources": sources, "source": Path(path).name}
        return cls.from_frame(
            cells, descriptors, targets, labels, units, categories=categories, **names
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        descriptors: Sequence[str],
        targets: Sequence[str],
        labels: str | None = None,
        units: Mapping[str, str] | None = None,
        *,
        categories: Declared | None = None,
        sigma: str | None = None,
        sources: str | None = None,
        source: str = "the frame",
    ) -> Table:
        """Take columns of a DataFrame; text cells and ``categories`` are as in :meth:`from_csv`.

        Raises
        ------
        TableError
            For a missing column, text in a numeric column, an unknown category, or an infinite
            value.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"route": ["melt", "sol-gel", "melt"], "exp": [1.0, 2.0, 1.5]})
        >>> rows = Table.from_frame(frame, ["route"], ["exp"], categories=["route"])
        >>> rows.x[:, 0].tolist(), rows.descriptors[0].categories
        ([0.0, 1.0, 0.0], ('melt', 'sol-gel'))
        """
        descriptors, targets = tuple(descriptors), tuple(targets)
        descriptors = with_categories(frame, descriptors, categories, source)
        values = numeric_columns(frame, (*descriptors, *targets), source)
        for name, text in ((labels, "labels"), (sigma, "sigma"), (sources, "sources")):
            if name is not None and name not in frame.columns:
                raise TableError(
                    f"a column {name!r} for the {text}",
                    f"columns {[str(c) for c in frame.columns]}",
                    "a typing error in the name",
                    f"name an existing column, or leave {text} out",
                )
        return cls(
            descriptors,
            targets,
            values[:, : len(descriptors)],
            values[:, len(descriptors) :],
            () if labels is None else tuple(frame[labels].astype(str)),
            units or {},
            None if sigma is None else numeric_columns(frame, (sigma,), source)[:, 0],
            () if sources is None else tuple(frame[sources].astype(str)),
        )

    def __repr__(self) -> str:
        """Return one line: how many rows, and how many have each target."""
        counts = ", ".join(f"{n} of {name}" for name, n in self.counts.items())
        return f"Table: {len(self)} rows, {counts}, by {', '.join(self.descriptors)}"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    def __add__(self, other: Table) -> Table:
        """Rows of both; a target that one of them lacks is missing in its rows."""
        if set(self.descriptors) != set(other.descriptors):
            raise TableError(
                f"descriptors {sorted(self.descriptors)}",
                f"descriptors {sorted(other.descriptors)}",
                "the two tables describe their rows differently",
                "choose the same descriptors for both",
            )
        clash = [k for k in self.units if other.units.get(k, self.units[k]) != self.units[k]]
        if clash:
            raise TableError(
                f"one unit for {clash[0]!r}",
                f"{self.units[clash[0]]!r} and {other.units[clash[0]]!r}",
                "the tables were measured in different units",
                "convert one of them first",
            )
        targets = _merged_order(self.targets, other.targets)
        y = np.full((len(self) + len(other), len(targets)), np.nan)
        for table, rows in ((self, slice(len(self))), (other, slice(len(self), None))):
            y[rows, [targets.index(t) for t in table.targets]] = table.y
        descriptors, x = stacked(self.descriptors, self.x, other.descriptors, other.x)
        labels = _both(self.labels, len(self), other.labels, len(other))
        return Table(
            descriptors,
            targets,
            x,
            y,
            labels,
            {**self.units, **other.units},
            self._sigma_with(other, targets),
            _both(self.sources, len(self), other.sources, len(other)),
        )

    def _sigma_with(self, other: Table, targets: tuple[str, ...]) -> np.ndarray | None:
        """Measurement errors of the rows of both."""
        given = [table for table in (self, other) if table.sigma is not None]
        if not given:
            return None
        strange = [table.targets[-1] for table in given if table.targets[-1] != targets[-1]]
        if strange:
            raise TableError(
                f"measurement errors of {targets[-1]!r}, the primary target of both",
                f"those of {strange[0]!r}",
                "the tables have other primary targets",
                "list the same target last in both",
            )
        parts = [
            np.full(len(table), np.nan) if table.sigma is None else table.sigma
            for table in (self, other)
        ]
        return np.concatenate(parts)

    def rows(self, index: Any) -> Table:
        """Return the rows that a boolean mask or an index array selects."""
        index = np.arange(len(self))[index]
        labels = tuple(self.labels[i] for i in index) if self.labels else ()
        sources = tuple(self.sources[i] for i in index) if self.sources else ()
        sigma = None if self.sigma is None else self.sigma[index]
        chosen = {"x": self.x[index], "y": self.y[index], "sigma": sigma, "sources": sources}
        return replace(self, labels=labels, **chosen)

    def without(self, target: str, index: Any) -> Table:
        """Return the same rows, with ``target`` hidden (missing) in the rows of ``index``."""
        y = self.y.copy()
        y[index, self.targets.index(target)] = np.nan
        return replace(self, y=y)

    @property
    def counts(self) -> dict[str, int]:
        """Number of measured values per target."""
        present = np.isfinite(self.y).sum(axis=0)
        return {name: int(n) for name, n in zip(self.targets, present, strict=True)}

    @property
    def digest(self) -> str:
        """SHA-256 of names and values, the fingerprint under which a fit remembers its rows."""
        found = categories_of(self.descriptors)
        names = (self.descriptors, self.targets, *([found] if found else []))
        sha = hashlib.sha256(repr(names).encode())
        for values in (self.x, self.y, *(() if self.sigma is None else (self.sigma,))):
            sha.update(np.where(np.isnan(values), np.nan, values + 0.0).tobytes())
        sha.update(repr(self.sources).encode() if self.sources else b"")
        return sha.hexdigest()

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a ``label`` column where the rows have labels."""
        import pandas as pd

        data: dict[str, Any] = dict(
            zip(self.descriptors + self.targets, np.hstack([self.x, self.y]).T, strict=True)
        )
        for name in self.descriptors:
            if isinstance(name, Category):
                data[name] = name.texts(data[name])
        return pd.DataFrame({"label": list(self.labels), **data} if self.labels else data)


def _both(first: tuple[str, ...], n: int, second: tuple[str, ...], m: int) -> tuple[str, ...]:
    """Words of the rows of two tables, empty where one of them has none."""
    return (first or ("",) * n) + (second or ("",) * m) if first or second else ()


def _merged_order(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Order of targets that agrees with both; one only in the second precedes its successor."""
    common_first = [t for t in first if t in second]
    common_second = [t for t in second if t in first]
    if common_first != common_second:
        raise TableError(
            f"targets in the order {list(first)}",
            f"{list(second)}",
            "the order of targets is their order of cost, and the tables disagree",
            "list the targets of both from the cheapest to the primary one",
        )
    merged = list(first)
    for position, target in reversed(list(enumerate(second))):
        if target not in merged:
            after = [t for t in second[position + 1 :] if t in merged]
            merged.insert(merged.index(after[0]) if after else len(merged), target)
    return tuple(merged)
