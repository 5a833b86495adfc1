"""Rows that are elsewhere, or too many for a table, become statistics part by part.

Statistics add, so a part is condensed where it is, and only counts and Gram matrices move. They are
added in pairs, (s1 + s2) + (s3 + s4), so that round-off grows with the logarithm of the number of
parts. What statistics are is not known here, only that a table has some and that they add.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from claude_pymc.errors import Notice, StatisticsError, TableError
from claude_pymc.tables.design import Design
from claude_pymc.tables.parquet import ParquetFiles, Paths, lacking
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 65536  # rows of a source that are numbers at a time
Names = tuple[str, ...]


class Additive(Protocol):
    """What can be added."""

    def __add__(self, other: Self, /) -> Self:
        """Return the sum."""


class Statistics(Additive, Protocol):
    """What a part of the rows becomes."""

    @property
    def design(self) -> Design:
        """What they were condensed under."""

    @property
    def n_rows(self) -> int:
        """Number of rows that count."""

    @property
    def n_dropped(self) -> int:
        """Number of rows that were left out."""

    @classmethod
    def _condense(cls, table: Table, design: Design) -> Self: ...


class FromSources:
    """Constructors of statistics from many parts."""

    @classmethod
    def from_dask[S: Statistics](cls: type[S], collection: Any, design: Design) -> S:
        """Condense the partitions of a Dask DataFrame, each by the worker that holds it.

        C = sum_i C_i over partitions i, added in pairs: workers pass on counts (pattern) and Gram
        matrices (pattern, z, z), and no row. The client that is active does it, or Dask's default
        on this machine; workers of a cluster need claude_pymc. A run that fails changes nothing.

        Parameters
        ----------
        collection : dask.dataframe.DataFrame
            Columns named as descriptors and targets of the design, in its units; others are not
            read. A target that it lacks is missing in every row.
        design : Design
            Made before: from a sample of the rows, or from bounds.

        Raises
        ------
        TableError
            For a column that is missing or there twice, text, an infinite value or a missing
            descriptor, with its partition, column and row (counted from 0 in the partition).
        StatisticsError
            If Dask is not installed, or a worker died more often than Dask allows.

        Examples
        --------
        >>> import claude_pymc as cp, dask.dataframe as dd, pandas as pd
        >>> frame = pd.DataFrame({"x": [0.0, 1.0], "sim": [1.0, 2.0], "exp": [None, 3.0]})
        >>> design = cp.Design.from_bounds({"x": (0, 1)}, ["sim", "exp"])
        >>> cp.PatternStats.from_dask(dd.from_pandas(frame, npartitions=2), design)
        PatternStats: 2 rows in 2 patterns, 2 of sim, 1 of exp
        """
        try:
            import dask
            from dask.dataframe import DataFrame
        except ImportError as error:
            raise lacking("dask", "dask", error) from error
        if not isinstance(collection, DataFrame):
            kind = type(collection)
            raise TableError(
                "a Dask DataFrame",
                f"a {kind.__module__.split('.')[0]} {kind.__name__}",
                "rows that are in memory, or another kind of collection",
                "use Table.from_frame and PatternStats.from_table for rows in memory; "
                "dask.dataframe.read_parquet or from_map make a Dask DataFrame",
            )
        targets = _targets(collection.columns, design, "the Dask DataFrame")
        task = dask.delayed(_partition)

        def total(rows: Any) -> S:
            parts = enumerate(rows.to_delayed())
            sums = merged(task(cls, part, f"partition {i}", design, targets) for i, part in parts)
            return sums.compute()

        try:
            try:
                stats = total(collection[[*design.descriptors, *targets]])
            except KeyError:  # a partition lacks a column; without the selection an error names it
                stats = total(collection)
        except KeyError as error:
            raise TableError(
                f"the columns {[*design.descriptors, *targets]} in every partition",
                f"KeyError: {error}",
                "a file or a partition that lacks a column which the first one has",
                "correct its name; PatternStats.from_parquet names the file",
            ) from error
        except _deaths() as error:
            raise StatisticsError(
                "workers that live until their partitions are condensed",
                f"a worker that died, at the task {getattr(error, 'task', 'of a process pool')!r}",
                "a partition too large for the memory of a worker, or a machine that went away",
                "make partitions smaller (collection.repartition) or give workers more memory; "
                "their logs say more. Then run again: nothing was changed",
            ) from error
        _notice_absent(design, targets, "the Dask DataFrame", collection.columns)
        notice_dropped(stats, stacklevel=3, empty=True)
        return stats

    @classmethod
    def from_parquet[S: Statistics](
        cls: type[S], paths: Paths, design: Design, *, progress: bool = False
    ) -> S:
        """Condense Parquet files in chunks of rows: memory does not grow with their number.

        Parameters
        ----------
        paths : str, Path or iterable of them
            Files, folders (every ``*.parquet`` below, but for names that begin with ``.`` or ``_``)
            or patterns such as ``"runs/*/rows.parquet"``. A file named twice is read once.
        design : Design
            Its columns are read from every file, in its units; others are not, nor are values in
            the names of folders. A target that no file has is missing in every row.
        progress : bool
            Show a progress bar.

        Raises
        ------
        TableError
            If there is no file, or one that is not Parquet; for a column that is there twice or
            that some files lack, text, an infinite value or a missing descriptor, with its
            file, column and row (counted from 0 in the file).
        StatisticsError
            If pyarrow is not installed.

        Examples
        --------
        >>> import claude_pymc as cp, pandas as pd, tempfile
        >>> design = cp.Design.from_bounds({"x": (0, 1)}, ["sim", "exp"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = pd.DataFrame({"x": [0, 1], "sim": [1, 2], "exp": [None, 3.0]})
        ...     frame.to_parquet(f"{folder}/a.parquet")
        ...     cp.PatternStats.from_parquet(folder, design)
        PatternStats: 2 rows in 2 patterns, 2 of sim, 1 of exp
        """
        files = ParquetFiles(paths)
        found = {name: _targets(columns, design, name) for name, columns in files.columns.items()}
        targets = tuple(t for t in design.targets if any(t in have for have in found.values()))
        _refuse_gaps(targets, found)
        x, y = (np.zeros((0, len(names))) for names in (design.descriptors, targets))

        def parts() -> Iterator[S]:
            yield cls._condense(Table(design.descriptors, targets, x, y), design)
            for name, start, frame in files.frames(
                (*design.descriptors, *targets), CHUNK, progress
            ):
                yield _chunk(cls, frame, start, name, design, targets)

        stats = merged(parts())
        _notice_absent(design, targets, *next(iter(files.columns.items())))
        notice_dropped(stats, stacklevel=3, empty=True)
        return stats

    @classmethod
    def merge[S: Statistics](cls: type[S], parts: Iterable[S]) -> S:
        """Add the statistics of many parts in pairs, (s1 + s2) + (s3 + s4).

        Beyond round-off, which grows with the logarithm of their number, their order does not
        matter. No row is in them, but the Gram matrix z z^T of one row can be solved for it: a
        pattern of few rows gives them away. See ``counts`` before statistics leave a laboratory.

        Raises
        ------
        StatisticsError
            If there is no part, if one is something else, or if designs differ.

        Examples
        --------
        >>> import claude_pymc as cp
        >>> design = cp.Design.from_bounds({"x": (0, 1)}, ["exp"])
        >>> rows = cp.Table(["x"], ["exp"], [[0.0], [1.0]], [[1.0], [2.0]])
        >>> cp.PatternStats.merge(cp.PatternStats.from_table(rows, design) for _ in "abc").n_rows
        6
        """
        return merged(_checked(cls, part) for part in parts)


def notice_dropped(stats: Statistics, stacklevel: int, *, empty: bool = False) -> None:
    """Say how many rows were left out; if ``empty``, also that there was none."""
    total = stats.n_rows + stats.n_dropped
    if stats.n_dropped:
        what = "value" if stats.design.missing_descriptors else "target"
        text = f"{stats.n_dropped} of {total} rows have no {what} and were left out"
        warnings.warn(text, Notice, stacklevel)
    elif empty and not total:
        text = "there was no row: a posterior given these statistics is the prior"
        warnings.warn(text, Notice, stacklevel)


def _notice_absent(design: Design, targets: Names, source: str, columns: Iterable[Any]) -> None:
    """Say which targets have no column: a typing error in a header looks like that."""
    for target in design.targets:
        if target not in targets:
            text = f"target {target!r} is missing in every row: no column of that name, in {source}"
            warnings.warn(f"{text} there are {[str(name) for name in columns]}", Notice, 3)


def merged[S: Additive](parts: Iterable[S]) -> S:
    """Add parts in pairs; at any time as many sums are held as their number has binary digits.

    Examples
    --------
    >>> merged(iter("abcde"))
    'abcde'
    """
    sums: list[S] = []
    for count, part in enumerate(parts, 1):
        while count % 2 == 0:  # the last of the sums has as many parts as this one
            part, count = sums.pop() + part, count // 2
        sums.append(part)
    if not sums:
        raise StatisticsError(
            "statistics of at least one part",
            "none",
            "an empty list, or an iterator that was used up before",
            "pass the parts; PatternStats.empty(design) are the statistics of no row",
        )
    while len(sums) > 1:
        last = sums.pop()
        sums.append(sums.pop() + last)
    return sums[0]


def _checked[S](cls: type[S], part: S) -> S:
    if isinstance(part, cls):
        return part
    raise StatisticsError(
        f"a list of {cls.__name__}",
        f"one with a {type(part).__name__}",
        "paths or tables instead of statistics",
        f"read files with {cls.__name__}.load, condense tables with {cls.__name__}.from_table",
    )


def _partition[S: Statistics](
    cls: type[S], frame: pd.DataFrame, source: str, design: Design, targets: Names
) -> S:
    """Condense a partition: what a worker does."""
    return merged(
        _chunk(cls, frame.iloc[start : start + CHUNK], start, source, design, targets)
        for start in range(0, max(len(frame), 1), CHUNK)
    )


def _chunk[S: Statistics](
    cls: type[S], frame: pd.DataFrame, start: int, source: str, design: Design, targets: Names
) -> S:
    """Condense rows ``start``, ``start + 1``, ... of a source; errors count them so."""
    stop, n = start + len(frame), len(design.descriptors)
    rows = frame.set_axis(range(start, stop), axis=0)
    values = numeric_columns(rows, (*design.descriptors, *targets), source, "row")
    try:
        table = Table(design.descriptors, targets, values[:, :n], values[:, n:])
        return cls._condense(table, design)
    except TableError as error:
        got = re.sub(r"\brow (\d+)", lambda m: f"row {start + int(m[1])}", error.got, count=1)
        got = f"{got}, among rows {start} to {stop - 1} of {source}"
        raise TableError(error.expected, got, error.cause, error.todo) from error


def _targets(columns: Iterable[Any], design: Design, source: str) -> Names:
    """Targets of the design among columns, which must have each descriptor, and no name twice."""
    import pandas as pd

    header = pd.DataFrame(columns=[str(name) for name in columns])
    targets = tuple(name for name in design.targets if name in header.columns)
    numeric_columns(header, (*design.descriptors, *targets), source)
    if not targets:
        raise TableError(
            f"one of the targets {list(design.targets)}",
            f"the columns {list(header.columns)} of {source}",
            "the rows have other columns than the design",
            "correct the names, or leave these rows out",
        )
    return targets


def _refuse_gaps(targets: Names, found: dict[str, Names]) -> None:
    """Refuse files that lack a target which others have."""
    for name, have in found.items():
        for target in targets:
            if target not in have:
                raise TableError(
                    f"a column {target!r} in every file, as in others",
                    f"none in {name}",
                    "a typing error in its name, or rows in which it was not measured",
                    "correct the name; or condense such files in a call of their own, and add the "
                    "statistics",
                )


def _deaths() -> tuple[type[Exception], ...]:
    """Errors by which Dask says that a worker died too often."""
    distributed = sys.modules.get("distributed")
    return (BrokenProcessPool, distributed.KilledWorker) if distributed else (BrokenProcessPool,)
