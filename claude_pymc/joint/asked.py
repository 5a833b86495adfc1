"""What is asked of a posterior: candidates, and values known there, become arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from claude_pymc.errors import CandidateError
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.corrections import lacking
from claude_pymc.tables.design import Design
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table


def descriptors_of(frame: Any, names: tuple[str, ...]) -> tuple[np.ndarray, list[Any]]:
    """Descriptors of candidates, NaN where there is none, and their labels."""
    labels: list[Any] = []
    if isinstance(frame, Table):
        labels = list(frame.labels)
        frame = frame.to_frame()
    if isinstance(frame, pd.DataFrame):
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise CandidateError(
                f"candidates with the descriptors {list(names)}",
                f"columns {[str(c) for c in frame.columns]}, without {absent[0]!r}",
                "a typing error, or a table made for another study",
                "add the column",
            )
        x = numeric_columns(frame, names, "the candidates")
        labels = labels or list(frame.index)
    else:
        try:
            x = np.asarray(frame, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise CandidateError(
                f"a DataFrame with the columns {list(names)}, or an array of numbers",
                f"{type(frame).__name__} ({error})",
                "a dictionary, or text in an array",
                "pass pd.DataFrame(...) of it",
            ) from error
        if x.ndim != 2 or x.shape[1] != len(names):
            raise CandidateError(
                f"an array (candidate, {len(names)})",
                f"shape {np.shape(frame)}",
                f"one column is needed for each of {list(names)}",
                "reshape the array, or pass a DataFrame",
            )
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        raise CandidateError(
            f"a finite value of {names[column]!r} for every candidate",
            f"{x[row, column]} in row {row}",
            "a division by zero upstream",
            "correct it, or leave the candidate out",
        )
    return x, labels or list(range(len(x)))


def known_of(given: Any, n: int, design: Design) -> np.ndarray:
    """Given targets (candidate, target) on the modelled scale, NaN where not known."""
    values = np.full((n, len(design.targets)), np.nan)
    if given is None:
        return values
    if isinstance(given, Table):
        given = dict(zip(given.targets, given.y.T, strict=True))
    for name, column in given.items():
        if name not in design.targets:
            raise CandidateError(
                f"given values of the targets {list(design.targets)}",
                f"{name!r}",
                "a typing error, or a descriptor among the given values",
                "use the names of the targets",
            )
        column = np.asarray(column, dtype=np.float64)
        if column.shape != (n,) or np.isinf(column).any():
            raise CandidateError(
                f"{n} values of {name!r}, one per candidate, finite or NaN",
                f"shape {column.shape}, {int(np.isinf(column).sum())} infinite",
                "a table of other rows, or a division by zero upstream",
                "give one value per candidate, NaN where it is not known",
            )
        values[:, design.targets.index(name)] = column
    return design.to_model(values)


def column_of(frame: Any, target: str) -> np.ndarray:
    """Measured values of a target in a Table or DataFrame."""
    if isinstance(frame, Table):
        frame = frame.to_frame()
    return numeric_columns(frame, (target,), "the frame")[:, 0]


class RowNoise(NamedTuple):
    """What candidates say of the noise of their primary values."""

    source: np.ndarray  # (candidate): position among the sources of the specification
    error: np.ndarray  # (candidate): known error in the unit of the target, zero if there is none


def noise_of(frame: Any, spec: JointGaussian, n: int) -> RowNoise:
    """Source and known error of each candidate; the first source, and no error, if it has none.

    A Table has them; they count where the specification uses them.
    """
    source, error = np.zeros(n, dtype=int), np.zeros(n)
    if not isinstance(frame, Table):
        return RowNoise(source, error)
    if spec.sources and frame.sources:
        place = {"": 0, **{name: i for i, name in enumerate(spec.sources)}}
        strange = [i for i, name in enumerate(frame.sources) if name not in place]
        if strange:
            row = strange[0]
            raise CandidateError(
                f"candidates from the sources {list(spec.sources)}",
                f"{frame.sources[row]!r} in row {row}"
                + (f" ({frame.labels[row]})" if frame.labels else ""),
                "a typing error, or a laboratory that no row of the fit is from",
                f"correct it, or leave it empty: then it counts as {spec.sources[0]!r}",
            )
        source = np.array([place[name] for name in frame.sources], dtype=int)
    if spec.errors and frame.sigma is not None and frame.targets[-1] == spec.design.targets[-1]:
        error = np.where(np.isnan(frame.sigma), 0.0, frame.sigma)
    return RowNoise(source, error)


def lacks(spec: JointGaussian, x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Boolean (candidate, descriptor): missing, though no target can be predicted without it.

    A known target needs its descriptors too; under likelihood "joint" they are integrated out.
    """
    if spec.likelihood == "joint":
        return np.zeros(x.shape, dtype=bool)
    wanted = known.copy()
    wanted[:, 0] = 0.0  # a dearer target needs all that the cheapest does
    return lacking(spec.design.basis, spec.design.active, x, wanted)


def refuse_lacking(lacks: np.ndarray, names: tuple[str, ...], places: list[str]) -> None:
    """Refuse candidates that lack a descriptor; ``places`` say where each of them stands."""
    for row, column in np.argwhere(lacks)[:1]:
        raise CandidateError(
            f"a value of {names[column]!r} for every candidate whose targets use it",
            f"none in {places[row]}",
            "an empty cell",
            "fill it, or leave the candidate out",
        )


def usable(spec: JointGaussian, x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Boolean (candidate, target): True where the target can be predicted."""
    if spec.likelihood == "joint":
        return np.ones(known.shape, dtype=bool)
    refuse_lacking(
        lacks(spec, x, known), spec.design.descriptors, [f"row {i}" for i in range(len(x))]
    )
    return spec.design.usable(x)
