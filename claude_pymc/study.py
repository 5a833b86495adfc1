"""A study: which columns, which model, which aim, in one TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from claude_pymc.acquisition.candidates import mesh
from claude_pymc.acquisition.objectives import Maximize, Minimize, Objective, Reach
from claude_pymc.acquisition.propose import RULES
from claude_pymc.datasets import shipped
from claude_pymc.errors import StudyError
from claude_pymc.joint.priors import Prior, prior_from_dict
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.bases import BASES, basis_from_dict
from claude_pymc.tables.categories import categories_of
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

KEYS: dict[str, tuple[str, ...]] = {
    "": (
        "title",
        "description",
        "data",
        "units",
        "transforms",
        "quantities",
        "basis",
        "corrections",
        "bounds",
        "candidates",
        "prior",
        "likelihood",
        "objective",
        "wants",
        "rules",
    ),
    "data": ("file", "descriptors", "categories", "targets", "labels", "source"),
    "basis": ("kind", "degree", "order", "exponents"),
    "objective": ("maximize", "minimize", "reach", "value"),
}


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
    units, transforms, quantities : dict of str to str
    basis : dict
        ``kind`` and its parameters.
    corrections : dict of target to list of terms
    bounds : dict of descriptor to (low, high)
        Ranges of the descriptors, where the rows do not span the candidates.
    candidates : dict of descriptor to (low, high, number), or to categories
        Mesh of candidates; empty: the rows of the table.
    prior : Prior
    likelihood : "conditional" or "joint"
        "joint" takes rows that lack descriptors.
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
    units: dict[str, str] = field(default_factory=dict)
    transforms: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, Any] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    candidates: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    wants: dict[str, int] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    likelihood: str = "conditional"

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
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise StudyError(
                f"a study file at {path.name!r}",
                "no such file",
                "a typing error in the name, or another working folder",
                "check the path; the folder models/ has studies to start from",
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StudyError(
                "a study file in TOML",
                f"{path.name!r}: {error}",
                "a missing quote or bracket",
                "correct the line; strings need quotes, lists need brackets",
            ) from error

    @classmethod
    def named(cls, name: str) -> Study:
        """Load a shipped study by name."""
        return cls.from_toml(shipped("models", name, ".toml"))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Study:
        """Build a study from the content of a TOML file."""
        _known_keys(content, KEYS[""], "the study")
        for section in ("data", "basis", "objective"):
            if not isinstance(content.get(section, {}), dict):
                raise _wrong_type(section, "a section", content[section])
            _known_keys(content.get(section, {}), KEYS[section], f"[{section}]")
        data = content.get("data", {})
        for key in ("descriptors", "targets"):
            names = data.get(key)
            if not isinstance(names, list) or not all(isinstance(n, str) for n in names or [0]):
                raise _wrong_type(f"{key} in [data]", "a list of column names", names)
        sections = ("units", "transforms", "quantities", "corrections", "bounds", "candidates")
        for section in (*sections, "prior", "wants", "rules"):
            if not isinstance(content.get(section, {}), dict):
                raise _wrong_type(section, "a section", content[section])
        columns = [*data["descriptors"], *data["targets"]]
        for section in ("units", "transforms", "quantities", "corrections", "wants", "rules"):
            allowed = columns if section == "units" else data["targets"]
            _known_keys(content.get(section, {}), allowed, f"[{section}]")
        for section in ("bounds", "candidates"):
            _known_keys(content.get(section, {}), data["descriptors"], f"[{section}]")
        categories = _categories(data)
        _check_values(content, categories)
        return cls(
            title=str(content.get("title", "Untitled study")),
            description=str(content.get("description", "")).strip(),
            descriptors=tuple(data["descriptors"]),
            targets=tuple(data["targets"]),
            labels=data.get("labels"),
            file=data.get("file"),
            categories=categories,
            basis={"kind": "polynomial", **content.get("basis", {})},
            prior=prior_from_dict({"kind": "shrinkage", **content.get("prior", {})}),
            objective=_objective(content.get("objective", {}), data["targets"]),
            units=dict(content.get("units", {})),
            transforms=dict(content.get("transforms", {})),
            quantities=dict(content.get("quantities", {})),
            corrections=dict(content.get("corrections", {})),
            bounds={k: tuple(v) for k, v in content.get("bounds", {}).items()},
            candidates={k: tuple(v) for k, v in content.get("candidates", {}).items()},
            wants=dict(content.get("wants", {})) or {data["targets"][-1]: 1},
            rules=dict(content.get("rules", {})),
            likelihood=content.get("likelihood", "conditional"),
        )

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
        return Table.from_csv(
            path, self.descriptors, self.targets, self.labels, self.units, self.categories
        )

    def pool(self, table: Table) -> Any:
        """Candidates of the study: its mesh, or the rows of the table."""
        if not self.candidates:
            return table
        axes = {d: self.candidates.get(d) for d in self.descriptors}
        texts = categories_of(table.descriptors)
        axes = {d: axis or texts.get(d) for d, axis in axes.items()}
        lacking = [d for d, axis in axes.items() if axis is None]
        if lacking:
            raise StudyError(
                f"a range of every descriptor {list(self.descriptors)} in [candidates]",
                f"none for {lacking[0]!r}",
                "a mesh needs all descriptors",
                f"add {lacking[0]} = [low, high, number]",
            )
        found = {d: a for d, a in axes.items() if a}
        return mesh(**{d: a if d in texts else np.linspace(*a) for d, a in found.items()})

    def spec(self, table: Table) -> JointGaussian:
        """Declare the model, with the scaling taken from the rows."""
        kind = self.basis.get("kind")
        options = {key: value for key, value in self.basis.items() if key != "kind"}
        if kind in BASES:
            known = [f.name for f in fields(BASES[kind])]
            _known_keys(options, known, f"[basis] of kind {kind}")
        design = Design.from_table(
            table,
            basis_from_dict({"kind": kind, **options}),
            self.corrections,
            transforms=self.transforms,
            quantities=self.quantities,
            bounds=self.bounds,
            missing_descriptors=self.likelihood == "joint",
        )
        return JointGaussian(design, self.prior, self.likelihood)


def _categories(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Read which descriptors hold text, from a list of them or a section with their categories."""
    given = data.get("categories", {})
    if not isinstance(given, list | dict) or not _is_texts(list(given)):
        raise _wrong_type("categories in [data]", "a list of descriptors that hold text", given)
    _known_keys(given, data["descriptors"], "categories in [data]")
    if isinstance(given, list):
        return {name: () for name in given}
    for name, texts in given.items():
        if not _is_texts(texts):
            raise _wrong_type(f"{name} in [data.categories]", "a list of categories", texts)
    return {name: tuple(texts) for name, texts in given.items()}


def _objective(content: Mapping[str, Any], targets: list[str]) -> Objective:
    """Read the objective; by default the primary target is maximised."""
    verbs = [verb for verb in ("maximize", "minimize", "reach") if verb in content]
    if len(verbs) > 1 or ("value" in content) != (verbs == ["reach"]):
        raise StudyError(
            "one of maximize, minimize, or reach with a value in [objective]",
            f"{dict(content)}",
            "two aims at once, or a value without reach",
            'for example reach = "gap" and value = 1.5',
        )
    target = content[verbs[0]] if verbs else targets[-1]
    if target not in targets:
        raise StudyError(
            f"a target among {targets} in [objective]",
            f"{target!r}",
            "a typing error",
            "use the names of the targets",
        )
    if verbs == ["reach"]:
        if not _is_number(content["value"]):
            raise _wrong_type("value in [objective]", "a number", content["value"])
        return Reach(target, float(content["value"]))
    return Minimize(target) if verbs == ["minimize"] else Maximize(target)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


# section -> what each of its values must be, and a test of it
VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "units": ("a text", lambda v: isinstance(v, str)),
    "transforms": ("a text", lambda v: isinstance(v, str)),
    "quantities": ("a text", lambda v: isinstance(v, str)),
    "corrections": (
        "a list of terms",
        lambda v: isinstance(v, list) and all(isinstance(t, str | list) for t in v),
    ),
    "bounds": (
        "a list of 2 numbers",
        lambda v: isinstance(v, list) and len(v) == 2 and all(map(_is_number, v)),
    ),
    "candidates": (
        "a list of 3 numbers (low, high, how many)",
        lambda v: (
            isinstance(v, list)
            and len(v) == 3
            and all(map(_is_number, v))
            and _is_count(v[2], least=1)
        ),
    ),
    "wants": ("a whole number", lambda v: _is_count(v, least=0)),
    "rules": (f"one of {list(RULES)}", lambda v: isinstance(v, str) and v in RULES),
}


def _check_values(content: Mapping[str, Any], categories: Mapping[str, Any]) -> None:
    """Refuse values of a wrong type, before anything is computed from them."""
    for section, (expected, fits) in VALUES.items():
        for key, value in content.get(section, {}).items():
            texts = section == "candidates" and key in categories
            if not (_is_texts(value) if texts else fits(value)):
                wanted = "a list of categories" if texts else expected
                raise _wrong_type(f"{key} in [{section}]", wanted, value)
    if not isinstance(content.get("likelihood", ""), str):
        raise _wrong_type("likelihood", "a text", content["likelihood"])
    for section, key in (
        ("data", "file"),
        ("data", "labels"),
        ("basis", "kind"),
        ("prior", "kind"),
    ):
        value = content.get(section, {}).get(key, "")
        if not isinstance(value, str):
            raise _wrong_type(f"{key} in [{section}]", "a text", value)


def _known_keys(content: Any, known: Any, where: str) -> None:
    """Refuse an unknown key and name the nearest known one."""
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.0)
            raise StudyError(
                f"keys of {where} among {list(known)}",
                f"{key!r}",
                "a typing error",
                f"did you mean {near[0]!r}?" if near else "leave it out",
            )


def _wrong_type(name: str, expected: str, got: object) -> StudyError:
    return StudyError(
        f"{expected} for {name}",
        f"{got!r}",
        "the key is missing or has another type",
        "compare with a shipped study in models/",
    )
