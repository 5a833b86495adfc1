"""A study: which columns, which model, which aim, in one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from claude_pymc.acquisition.objectives import Objective
from claude_pymc.acquisition.spaces import mesh, refuse_many
from claude_pymc.datasets import shipped
from claude_pymc.errors import StudyError
from claude_pymc.joint.priors import Prior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.study_file import fields_of, known_keys
from claude_pymc.tables.bases import BASES, basis_from_dict
from claude_pymc.tables.categories import categories_of
from claude_pymc.tables.design import Design
from claude_pymc.tables.formula_columns import FormulaColumn
from claude_pymc.tables.reading import read_cells
from claude_pymc.tables.table import Table


@dataclass(frozen=True)
class Study:
    """Columns, model and aim of a study.

    Parameters
    ----------
    title, description : str
    descriptors, targets : tuple of str
    labels : str or None
        Column with the names of rows.
    file : str or None
        Shipped data set of the study.
    categories : dict of descriptor to tuple of str
        Descriptors that hold text; an empty tuple: the categories are those of the rows.
    formula : FormulaColumn or None
        Column of formulas, whose descriptors are added to those named.
    units, transforms, quantities : dict of str to str
    basis : dict
        ``kind`` and its parameters.
    corrections : dict of target to list of terms or "auto", or "auto"
    bounds : dict of descriptor to (low, high)
        Ranges of the descriptors, where the rows do not span the candidates.
    candidates : dict of descriptor to (low, high, number), or to categories
        Mesh of candidates; empty: the rows of the table.
    prior : Prior
    likelihood : "conditional" or "joint"
        "joint" takes rows that lack descriptors.
    noise : "normal" or "student"
        Of the primary target.
    objective : Objective
    wants : dict of target to number
    rules : dict of target to rule

    Examples
    --------
    >>> Study.named("toy_pair").targets
    ('sim', 'exp')
    """

    title: str
    descriptors: tuple[str, ...]
    targets: tuple[str, ...]
    basis: dict[str, Any]
    prior: Prior
    objective: Objective
    description: str = ""
    labels: str | None = None
    file: str | None = None
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    formula: FormulaColumn | None = None
    units: dict[str, str] = field(default_factory=dict)
    transforms: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, Any] | str = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    candidates: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    wants: dict[str, int] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    likelihood: str = "conditional"
    noise: str = "normal"

    @classmethod
    def from_toml(cls, path: str | Path) -> Study:
        """Read a study file.

        Raises
        ------
        StudyError
            If the file is missing, is not TOML, lacks a key, or has an unknown one.
        """
        path = Path(path)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StudyError(
                f"a study file at {path.name!r}",
                "no such file",
                "a typing error in the name, or another working folder",
                "check the path; the folder models/ has studies to start from",
            ) from error
        except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, or endless brackets
            raise StudyError(
                "a study file in TOML",
                f"{path.name!r}: {error}",
                "a missing quote or bracket",
                "correct the line; strings need quotes, lists need brackets",
            ) from error
        return cls.from_dict(content)

    @classmethod
    def named(cls, name: str) -> Study:
        """Load a shipped study by name."""
        return cls.from_toml(shipped("models", name, ".toml"))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Study:
        """Build a study from the content of a TOML file."""
        return cls(**fields_of(content))

    def table(self, path: str | Path | None = None) -> Table:
        """Read the rows of the study, from a file of the user's or from the shipped data."""
        if path is None:
            if self.file is None:
                raise StudyError(
                    "a data file",
                    "none: the study names no shipped data",
                    "the study was written for data of your own",
                    "give the path of a CSV file",
                )
            path = shipped("data", Path(self.file).stem, ".csv")
        source = Path(path).name
        cells, found = self.described(read_cells(Path(path)), source)
        return Table.from_frame(
            cells,
            (*self.descriptors, *found),
            self.targets,
            self.labels,
            self.units,
            categories=self.categories,
            source=source,
        )

    def described(self, frame: Any, source: str = "the frame") -> tuple[Any, tuple[str, ...]]:
        """Add the descriptors of formulas to a DataFrame, and name those that tell rows apart."""
        return (frame, ()) if self.formula is None else self.formula.describe(frame, source)

    def pool(self, table: Table) -> Any:
        """Candidates of the study: its mesh, or the rows of the table."""
        if not self.candidates:
            return table
        names = (*self.descriptors, *(self.formula.names if self.formula else ()))
        axes = {d: self.candidates.get(d) for d in names}
        texts = categories_of(table.descriptors)
        axes = {d: axis or texts.get(d) for d, axis in axes.items()}
        lacking = [d for d, axis in axes.items() if axis is None]
        if lacking:
            raise StudyError(
                f"a range of every descriptor {list(names)} in [candidates]",
                f"none for {lacking[0]!r}",
                "a mesh needs all descriptors, and formulas make none",
                f"add {lacking[0]} = [low, high, number]",
            )
        found = {d: a for d, a in axes.items() if a}
        refuse_many({d: len(a) if d in texts else a[2] for d, a in found.items()})
        return mesh(**{d: a if d in texts else _axis(d, *a) for d, a in found.items()})

    def spec(self, table: Table) -> JointGaussian:
        """Declare the model, with the scaling taken from the rows."""
        kind = self.basis.get("kind")
        options = {key: value for key, value in self.basis.items() if key != "kind"}
        if kind in BASES:
            known = [f.name for f in fields(BASES[kind])]
            known_keys(options, known, f"[basis] of kind {kind}")
        design = Design.from_table(
            table,
            basis_from_dict({"kind": kind, **options}),
            self.corrections,
            transforms=self.transforms,
            quantities=self.quantities,
            bounds=self.bounds,
            missing_descriptors=self.likelihood == "joint",
        )
        return JointGaussian(design, self.prior, self.likelihood, noise=self.noise)


def _axis(name: str, low: float, high: float, number: int) -> np.ndarray:
    """Values of a descriptor from low to high."""
    if not np.isfinite(float(high) - float(low)):
        raise StudyError(
            f"two ends of {name!r} in [candidates] whose difference is a number",
            f"{low:g} and {high:g}",
            "ends as wide as numbers go, for 'any value'",
            "give the range in which candidates are made",
        )
    return np.linspace(float(low), float(high), number)
