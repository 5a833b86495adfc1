"""Sufficient statistics: one count and one Gram matrix per pattern of missingness.

For a pattern Gamma of present targets and z = (phi(x), y_Gamma) (Harashima et al. 2025, eq. 9),

    n_Gamma = number of rows,        C_Gamma = sum over those rows of z z^T.

They add, they can be taken away again, they do not know in which order rows came, and their size
does not grow with the number of rows.
"""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from claude_pymc.errors import ClaudeError, Notice, StatisticsError
from claude_pymc.tables.design import Design
from claude_pymc.tables.gram import condense, less, root_of, triangle
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.patterns import Pattern, by_pattern, columns_of
from claude_pymc.tables.sources import FromSources, notice_dropped
from claude_pymc.tables.table import Table

Condensed = tuple[int, np.ndarray, np.ndarray]  # rows, Gram matrix, root
FORMAT = 2  # of files; those of format 1, without this number, have no triangular roots
LOST = 1e-6  # relative error of sums that is too large
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class PatternStats(FromSources):
    """Counts and Gram matrices by pattern, under one frozen design.

    Parameters
    ----------
    design : Design
    patterns : tuple of tuple of bool
        Which targets are present, sorted, without the pattern of no target. If the design has
        ``missing_descriptors``: which descriptors and targets are present, without the empty one.
    counts : array (pattern)
    grams : array (pattern, z, z), z = (basis..., targets...)
        Rows and columns of missing targets are zero.
    n_dropped : int
        Rows without any target (with ``missing_descriptors``: without any value): they say
        nothing and were left out.
    roots : array (pattern, z, z), optional
        Upper triangular R of each pattern with R^T R its Gram matrix, of the rows themselves:
        they keep the digits that a Gram matrix of an ill-conditioned basis loses. Default: found
        from ``grams``.
    kept : KeptRows, optional
        Rows of the primary target, for specifications that need them one by one.

    Examples
    --------
    >>> rows = Table(["x"], ["sim", "exp"], [[0.0], [1.0]], [[1.0, float("nan")], [2.0, 3.0]])
    >>> stats = PatternStats.from_table(rows, Design.from_table(rows))
    >>> stats.n_rows, (stats + stats).n_rows, stats.shared_rows
    (2, 4, 1)
    """

    design: Design
    patterns: tuple[Pattern, ...]
    counts: np.ndarray
    grams: np.ndarray
    n_dropped: int = 0
    roots: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    kept: KeptRows | None = None

    def __post_init__(self) -> None:
        """Complete the roots and freeze the arrays."""
        if not len(self.roots):
            roots = np.array([root_of(gram) for gram in self.grams]).reshape(self.grams.shape)
            object.__setattr__(self, "roots", roots)
        for values in (self.counts, self.grams, self.roots):
            values.flags.writeable = False

    def __repr__(self) -> str:
        """Return one line: rows, patterns, and how often each target was measured."""
        counts = ", ".join(f"{self.measured(t)} of {t}" for t in self.design.targets)
        return f"PatternStats: {self.n_rows} rows in {len(self.patterns)} patterns, {counts}"

    @classmethod
    def empty(cls, design: Design, *, rows: bool = False) -> PatternStats:
        """Return the statistics of no row: a posterior given them is the prior."""
        size = len(design.terms) + len(design.targets)
        kept = KeptRows.empty(design) if rows else None
        counts, grams = np.zeros(0, dtype=np.int64), np.zeros((0, size, size))
        return cls(design, (), counts, grams, kept=kept)

    @classmethod
    def from_table(cls, table: Table, design: Design, *, rows: bool = False) -> PatternStats:
        """Condense the rows of a table.

        Parameters
        ----------
        table : Table
        design : Design
        rows : bool
            Keep the rows of the primary target, too: for specifications with ``needs = "rows"``.

        Raises
        ------
        TableError
            If the table lacks a descriptor or all targets of the design, or a descriptor is NaN.
        """
        stats = cls._condense(table, design)
        if rows:
            stats = replace(stats, kept=KeptRows.of(table, design, *columns_of(table, design)))
        notice_dropped(stats, stacklevel=3)
        return stats

    @classmethod
    def _condense(cls, table: Table, design: Design) -> PatternStats:
        """Condense without a notice, as one part of many."""
        x, y = columns_of(table, design)
        z = np.hstack([x, y]) if design.missing_descriptors else y
        found_rows = by_pattern(np.isfinite(z))
        n_dropped = len(table) - sum(len(rows) for rows in found_rows.values())
        found = {
            pattern: (len(rows), *condense(design, x, y, rows))
            for pattern, rows in found_rows.items()
        }
        return cls._from_dict(design, found, n_dropped)

    @classmethod
    def _from_dict(
        cls, design: Design, found: dict[Pattern, Condensed], n_dropped: int
    ) -> PatternStats:
        """Sort patterns and stack their arrays."""
        if not found:
            return replace(cls.empty(design), n_dropped=n_dropped)
        patterns = tuple(sorted(found, reverse=True))
        counts = np.array([found[p][0] for p in patterns], dtype=np.int64)
        grams, roots = (np.stack([found[p][i] for p in patterns]) for i in (1, 2))
        return cls(design, patterns, counts, grams, n_dropped, roots)

    def _as_dict(self) -> dict[Pattern, Condensed]:
        columns = (self.counts.tolist(), self.grams, self.roots)
        return dict(zip(self.patterns, zip(*columns, strict=True), strict=True))

    def __add__(self, other: PatternStats) -> PatternStats:
        """Statistics of the rows of both."""
        self._same_design(other)
        found = self._as_dict()
        for pattern, (count, gram, root) in other._as_dict().items():
            if pattern in found:
                n, old, above = found[pattern]
                count, gram, root = n + count, old + gram, triangle(np.vstack([above, root]))
            found[pattern] = (count, gram, root)
        stats = self._from_dict(self.design, found, self.n_dropped + other.n_dropped)
        return replace(stats, kept=self._kept_with(other, KeptRows.__add__))

    def _kept_with(self, other: PatternStats, join: Any) -> KeptRows | None:
        """Rows of the primary target, of both or of neither."""
        if self.kept is not None and other.kept is not None:
            joined: KeptRows = join(self.kept, other.kept)
            return joined
        if self.kept is None and other.kept is None:
            return None
        raise StatisticsError(
            "two statistics with rows of the primary target, or two without",
            "one with, one without",
            "one of the tables was condensed with rows=True",
            "condense both alike",
        )

    def __sub__(self, other: PatternStats) -> PatternStats:
        """Statistics without the rows of ``other``.

        Raises
        ------
        StatisticsError
            If more is taken away than there is: a negative count, or a Gram matrix that is no
            longer positive semidefinite.
        """
        self._same_design(other)
        found = self._as_dict()
        for pattern, (count, gram, root) in other._as_dict().items():
            n, old, above = found.get(pattern, (0, np.zeros_like(gram), np.zeros_like(root)))
            ours = pattern[-len(self.design.targets) :]
            present = [t for t, p in zip(self.design.targets, ours, strict=True) if p]
            if count > n:
                raise self._too_much(f"{count} rows from {n} with targets {present}")
            rest = old - gram
            tolerance = 1e-9 * max(float(np.trace(old)), 1e-300)
            if n == count:
                if np.abs(rest).max() > tolerance:
                    raise self._too_much(f"other rows than those with targets {present}")
                del found[pattern]
                continue
            left = less(above, root, rest)
            if left is None:
                raise self._too_much(f"rows that are not among those with targets {present}")
            self._refuse_lost_digits(old, rest)
            found[pattern] = (n - count, rest, left)
        stats = self._from_dict(self.design, found, max(self.n_dropped - other.n_dropped, 0))
        return replace(stats, kept=self._kept_with(other, KeptRows.__sub__))

    def _refuse_lost_digits(self, old: np.ndarray, rest: np.ndarray) -> None:
        """Refuse if a sum was so much larger that it has rounded off the rows that remain."""
        kept = np.diag(rest).copy()
        if self.design.bounds:  # where a term may vanish in all rows, digits of one are enough
            kept[: len(self.design.terms)] += 1.0
        lost = np.finfo(float).eps * np.diag(old) > LOST * kept
        if lost.any():
            names = [*self.design.terms, *self.design.targets]
            raise StatisticsError(
                "sums of which something remains when rows are taken away",
                f"{names[int(lost.argmax())]!r}, whose squares were so large that those of the "
                "other rows have been rounded off",
                "a row in other units, or a typing error, was added before",
                "rebuild the statistics from the rows",
            )

    @staticmethod
    def _too_much(got: str) -> StatisticsError:
        return StatisticsError(
            "statistics of rows that were added before",
            f"an attempt to take away {got}",
            "the rows were taken away twice, or changed since they were added",
            "subtract exactly what was added, or rebuild the statistics from the rows",
        )

    def _same_design(self, other: PatternStats) -> None:
        refuse_other(other)
        if self.design == other.design:
            return
        fields = [
            name
            for name in (*self.design.__dataclass_fields__, "categories")
            if getattr(self.design, name) != getattr(other.design, name)
        ]
        raise StatisticsError(
            "statistics of one design",
            f"designs that differ in {', '.join(fields)}",
            "each table was given a design of its own, so that the scales differ",
            "make one design and use it in PatternStats.from_table for all tables",
        )

    @property
    def n_rows(self) -> int:
        """Number of rows that count: with at least one value of a pattern."""
        return int(self.counts.sum())

    @property
    def shared_rows(self) -> int:
        """Number of rows in which the primary target and a cheaper one were both measured."""
        present = self.present
        return int(self.counts[present[:, -1] & present[:, :-1].any(axis=1)].sum())

    @property
    def present(self) -> np.ndarray:
        """Boolean (pattern, target)."""
        return self._present_all[:, -len(self.design.targets) :]

    @property
    def described(self) -> np.ndarray:
        """Boolean (pattern, descriptor): True where the pattern has the descriptor."""
        n, d = len(self.design.descriptors), len(self.design.targets)
        everywhere = np.ones((len(self.patterns), n), dtype=bool)
        return self._present_all[:, :-d] if self.design.missing_descriptors else everywhere

    @property
    def _present_all(self) -> np.ndarray:
        width = len(self.design.targets)
        width += len(self.design.descriptors) if self.design.missing_descriptors else 0
        return np.array(self.patterns, dtype=bool).reshape(-1, width)

    @property
    def rows(self) -> np.ndarray:
        """Float (pattern, target): rows of the pattern where the target is present, else 0."""
        return self.present * self.counts[:, None].astype(np.float64)

    def measured(self, target: str) -> int:
        """Count the rows in which ``target`` was measured."""
        return int(self.counts[self.present[:, self.design.targets.index(target)]].sum())

    def sums(self) -> dict[str, list[float]]:
        """Count and diagonal of the Gram matrix by pattern: what rows are told apart by."""
        return {
            "".join("01"[v] for v in pattern): [float(n), *np.diag(gram).tolist()]
            for pattern, n, gram in zip(self.patterns, self.counts, self.grams, strict=True)
        }

    @property
    def digest(self) -> str:
        """SHA-256 of design, counts and Gram matrices: what a fit has seen."""
        sha = hashlib.sha256(self.design.digest.encode())
        for values in (self._present_all, self.counts, self.grams + 0.0):
            sha.update(np.ascontiguousarray(values).tobytes())
        if self.kept is not None:
            for key in sorted(self.kept.keys()):
                sha.update(repr(key).encode())
        return sha.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write design and statistics to one ``.npz`` file.

        Rows are not in it (unless they were kept), but sums over the rows of each pattern: the
        sum over a single row gives that row away. See ``counts`` before the file leaves a
        laboratory.
        """
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                format=np.array(FORMAT),
                design=np.array(json.dumps(self.design.to_dict())),
                present=self._present_all,
                counts=self.counts,
                grams=self.grams,
                roots=self.roots,
                n_dropped=np.array(self.n_dropped),
                **self._kept_arrays(),
            )

    def _kept_arrays(self) -> dict[str, Any]:
        if self.kept is None:
            return {}
        return {f"kept_{name}": values for name, values in self.kept.arrays().items()}

    @classmethod
    def load(cls, path: str | Path) -> PatternStats:
        """Read what :meth:`save` wrote."""
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                written = int(file["format"]) if "format" in file else 1
                if written > FORMAT:
                    raise StatisticsError(
                        f"statistics of format {FORMAT} or older",
                        f"format {written} in {Path(path).name!r}",
                        "it was written by a newer version of claude_pymc",
                        "update claude_pymc",
                    )
                design = Design.from_dict(json.loads(str(file["design"])))
                patterns = tuple(tuple(bool(v) for v in row) for row in file["present"])
                # Files of version 0.1 have no roots.
                roots = file["roots"] if "roots" in file else np.zeros((0, 0, 0))
                n_dropped = int(file["n_dropped"])
                arrays = {k[5:]: file[k] for k in file.files if k.startswith("kept_")}
                kept = KeptRows.from_arrays(arrays) if arrays else None
                return cls(design, patterns, file["counts"], file["grams"], n_dropped, roots, kept)
        except ClaudeError:
            raise
        except FileNotFoundError as error:
            raise StatisticsError(
                "a file written by PatternStats.save",
                f"no file {str(path)!r}",
                "a typing error, or another working folder",
                "check the path",
            ) from error
        except UNREADABLE as error:
            raise StatisticsError(
                "a file written by PatternStats.save",
                f"{Path(path).name!r}, which is not one ({type(error).__name__})",
                "another kind of file, or a truncated copy",
                "save the statistics again",
            ) from error


def refuse_other(stats: object) -> None:
    """Refuse what is not statistics, such as the rows themselves."""
    if not isinstance(stats, PatternStats):
        raise StatisticsError(
            "PatternStats",
            f"a {type(stats).__name__}",
            "rows that were not condensed, or arguments in another order",
            "condense rows by PatternStats.from_table(table, design)",
        )


def notice_unmeasured(stats: PatternStats) -> None:
    """Say which targets have no value, where a model is about to be fitted to rows.

    Statistics of no row at all are a wish for the prior, of which there is nothing to say.
    """
    for target in stats.design.targets:
        if stats.n_rows and not stats.measured(target):
            warnings.warn(
                f"target {target!r} has no value yet: only the prior and the other targets "
                "speak about it",
                Notice,
                stacklevel=3,
            )
