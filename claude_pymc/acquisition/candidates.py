"""Candidates: the points among which the next measurements are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from claude_pymc.errors import CandidateError
from claude_pymc.tables.categories import Category
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table


def mesh(**axes: ArrayLike) -> pd.DataFrame:
    """All combinations of the given values, one column per descriptor.

    Examples
    --------
    >>> mesh(x1=[0.0, 1.0], x2=[5.0, 6.0]).to_numpy().tolist()
    [[0.0, 5.0], [0.0, 6.0], [1.0, 5.0], [1.0, 6.0]]
    >>> mesh(x=[0.5], route=["melt", "sol-gel"]).to_numpy().tolist()
    [[0.5, 'melt'], [0.5, 'sol-gel']]
    """
    if not axes or any(np.size(values) == 0 for values in axes.values()):
        raise CandidateError(
            "at least one descriptor with at least one value",
            f"{ {name: np.size(values) for name, values in axes.items()} }",
            "an empty range",
            "for example cp.mesh(x=np.linspace(0, 1, 31))",
        )
    arrays = [np.asarray(values) for values in axes.values()]
    arrays = [v if v.dtype.kind in "OU" else v.astype(np.float64) for v in arrays]
    grids = np.meshgrid(*arrays, indexing="ij")
    return pd.DataFrame({name: g.ravel() for name, g in zip(axes, grids, strict=True)})


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
                "for example cp.mesh(x=np.linspace(0, 1, 31))",
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

    @cached_property
    def keys(self) -> list[bytes]:
        """One key per candidate; equal where the descriptors are equal to nine digits."""
        return self.keys_of(np.ones(self.frame.shape[1], dtype=bool))

    def keys_of(self, chosen: np.ndarray) -> list[bytes]:
        """Keys over the descriptors where ``chosen`` (descriptor) is True."""
        x = self.x[:, chosen]
        with np.errstate(divide="ignore"):
            digits = np.where(x == 0, 0, np.floor(np.log10(np.abs(x))))
        step = 10.0 ** (digits - 9)
        return [row.tobytes() for row in np.round(x / step) * step + 0.0]

    def masks(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return which descriptors are present, each with the rows (index) where just these are."""
        present = ~np.isnan(self.x)
        return [
            (mask, np.flatnonzero((present == mask).all(axis=1)))
            for mask in np.unique(present, axis=0)
        ]
