"""Candidates: the points among which the next measurements are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.errors import CandidateError
from claude_pymc.tables.categories import Category
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates as arrays.

    Parameters
    ----------
    frame : DataFrame (candidate, descriptor)
        As people read it: text where a descriptor holds text.
    labels : list of str
        Empty where candidates have no names.
    values : array (candidate, target)
        Measured values, NaN where there is none.
    x : array (candidate, descriptor)
        The frame in numbers, with positions in place of text.
    """

    frame: pd.DataFrame
    labels: list[str]
    values: np.ndarray
    x: np.ndarray

    @classmethod
    def read(
        cls,
        source: Any,
        descriptors: Sequence[str],
        targets: Sequence[str],
        *,
        needed: np.ndarray | bool = True,
    ) -> Candidates:
        """Take candidates from a Table or a DataFrame; target columns are measured values.

        ``needed`` says which descriptors (mask) every row must have. False: rows measured before
        may lack those on which their values did not depend.
        """
        frame = source.to_frame() if isinstance(source, Table) else source
        if not isinstance(frame, pd.DataFrame):
            raise CandidateError(
                "candidates as a Table or a DataFrame",
                type(source).__name__,
                "a bare array does not say which column is which",
                "for example cp.mesh(x=np.linspace(0, 1, 31)), or cp.Box(x=(0, 1))",
            )
        lacking = [name for name in descriptors if name not in frame.columns]
        if lacking or not len(frame):
            raise CandidateError(
                f"candidates with the descriptors {list(descriptors)}",
                f"{len(frame)} rows with columns {[str(c) for c in frame.columns]}",
                f"{lacking[0]!r} is missing" if lacking else "an empty table",
                "add the column" if lacking else "add candidates",
            )
        x = numeric_columns(frame, tuple(descriptors), "the candidates")
        lacks = np.isnan(x) & needed
        if lacks.any():
            row, column = np.argwhere(lacks)[0]
            raise CandidateError(
                f"a value of {descriptors[column]!r} for every candidate",
                f"an empty cell in row {row}",
                "an unfinished table",
                "fill it, or leave the candidate out",
            )
        values = np.full((len(frame), len(targets)), np.nan)
        for j, target in enumerate(targets):
            if target in frame.columns:
                values[:, j] = numeric_columns(frame, (target,), "the candidates")[:, 0]
        labels = list(frame["label"].astype(str)) if "label" in frame.columns else []
        shown = pd.DataFrame(x, columns=list(descriptors))
        for j, name in enumerate(descriptors):
            if isinstance(name, Category):
                shown[name] = name.texts(x[:, j])
        return cls(shown, labels, values, x)

    def keys_of(self, chosen: np.ndarray) -> np.ndarray:
        """One key per candidate, as fixed bytes; equal where descriptors agree to nine digits.

        ``chosen`` (descriptor) says which descriptors count; a missing value is one of its own.
        """
        x = self.x[:, chosen]
        with np.errstate(divide="ignore"):
            digits = np.where((x == 0) | np.isnan(x), 0, np.floor(np.log10(np.abs(x))))
        step = 10.0 ** (digits - 9)
        rounded = np.ascontiguousarray(np.round(x / step) * step + 0.0)
        if not rounded.shape[1]:
            return np.zeros(len(x), dtype="V1")
        return rounded.view(f"V{8 * rounded.shape[1]}")[:, 0]

    def part(self, rows: np.ndarray) -> Candidates:
        """Return some of the candidates, by position."""
        labels = [self.labels[i] for i in rows] if self.labels else []
        return Candidates(
            self.frame.iloc[rows].reset_index(drop=True), labels, self.values[rows], self.x[rows]
        )

    def masks(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return which descriptors are present, each with the rows (index) where just these are."""
        present = ~np.isnan(self.x)
        return [
            (mask, np.flatnonzero((present == mask).all(axis=1)))
            for mask in np.unique(present, axis=0)
        ]
