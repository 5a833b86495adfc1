"""What a study file may say, and what is wrong with one that says something else."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from claude_pymc.acquisition.objectives import Maximize, Minimize, Objective, Reach
from claude_pymc.acquisition.propose import RULES
from claude_pymc.errors import StudyError
from claude_pymc.joint.priors import prior_from_dict
from claude_pymc.tables.corrections import AUTO
from claude_pymc.tables.formula_columns import FormulaColumn

KEYS: dict[str, tuple[str, ...]] = {
    "": (
        "title",
        "description",
        "data",
        "descriptors",
        "units",
        "transforms",
        "quantities",
        "basis",
        "corrections",
        "bounds",
        "candidates",
        "prior",
        "likelihood",
        "noise",
        "objective",
        "wants",
        "rules",
    ),
    "descriptors": ("formula", "properties", "statistics"),
    "data": ("file", "descriptors", "categories", "targets", "labels", "source"),
    "basis": (
        "kind",
        "degree",
        "order",
        "exponents",
        "boundary",
        "lengths",
        "interactions",
        "products",
    ),
    "objective": ("maximize", "minimize", "reach", "value"),
}


def fields_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Study, from the content of a TOML file."""
    _refuse_long(content)
    known_keys(content, KEYS[""], "the study")
    for section in ("data", "descriptors", "basis", "objective"):
        if not isinstance(content.get(section, {}), dict):
            raise _wrong_type(section, "a section", content[section])
        known_keys(content.get(section, {}), KEYS[section], f"[{section}]")
    data = dict(content.get("data", {}))
    formula = _formula(content)
    if formula is not None:
        data = {"descriptors": [], "labels": formula.column, **data}
    for key in ("descriptors", "targets"):
        names = data.get(key)
        some = names or (formula is not None and key == "descriptors")
        if not _is_texts(names) or not some:
            raise _wrong_type(f"{key} in [data]", "a list of column names", names)
    auto = content.get("corrections") == AUTO
    content = {**content, "corrections": {}} if auto else content
    sections = ("units", "transforms", "quantities", "corrections", "bounds", "candidates")
    for section in (*sections, "prior", "wants", "rules"):
        if not isinstance(content.get(section, {}), dict):
            raise _wrong_type(section, "a section", content[section])
    described = [*data["descriptors"], *(formula.names if formula else ())]
    columns = [*described, *data["targets"]]
    for section in ("units", "transforms", "quantities", "corrections", "wants", "rules"):
        allowed = columns if section == "units" else data["targets"]
        known_keys(content.get(section, {}), allowed, f"[{section}]")
    for section in ("bounds", "candidates"):
        known_keys(content.get(section, {}), described, f"[{section}]")
    categories = _categories(data)
    _check_values(content, categories)
    return dict(
        title=str(content.get("title", "Untitled study")),
        description=str(content.get("description", "")).strip(),
        descriptors=tuple(data["descriptors"]),
        targets=tuple(data["targets"]),
        labels=data.get("labels"),
        file=data.get("file"),
        categories=categories,
        formula=formula,
        basis={"kind": "polynomial", **content.get("basis", {})},
        prior=prior_from_dict({"kind": "shrinkage", **content.get("prior", {})}),
        objective=_objective(content.get("objective", {}), data["targets"]),
        units=dict(content.get("units", {})),
        transforms=dict(content.get("transforms", {})),
        quantities=dict(content.get("quantities", {})),
        corrections=AUTO if auto else dict(content.get("corrections", {})),
        bounds={k: tuple(v) for k, v in content.get("bounds", {}).items()},
        candidates={k: tuple(v) for k, v in content.get("candidates", {}).items()},
        wants=dict(content.get("wants", {})) or {data["targets"][-1]: 1},
        rules=dict(content.get("rules", {})),
        likelihood=content.get("likelihood", "conditional"),
        noise=content.get("noise", "normal"),
    )


def _formula(content: Mapping[str, Any]) -> FormulaColumn | None:
    """Read which column holds formulas, and what describes them."""
    section = content.get("descriptors", {})
    if not section:
        return None
    if not isinstance(section.get("formula"), str):
        raise _wrong_type("formula in [descriptors]", "a column name", section.get("formula"))
    for key in ("properties", "statistics"):
        if not _is_texts(section.get(key, [])):
            raise _wrong_type(f"{key} in [descriptors]", "a list of names", section[key])
    chosen = (
        tuple(section[key]) if key in section else None for key in ("properties", "statistics")
    )
    return FormulaColumn(section["formula"], *chosen)


def _categories(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Read which descriptors hold text, from a list of them or a section with their categories."""
    given = data.get("categories", {})
    if not isinstance(given, list | dict) or not _is_texts(list(given)):
        raise _wrong_type("categories in [data]", "a list of descriptors that hold text", given)
    known_keys(given, data["descriptors"], "categories in [data]")
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


def _refuse_long(value: Any) -> None:
    """Refuse whole numbers, in lists and sections too, that no calculation takes."""
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise StudyError(
            "numbers of a size up to 1e308",
            "a whole number of more than 308 digits",
            "a typing error, such as a key that repeated itself",
            "correct the number",
        )
    inner = value.values() if isinstance(value, Mapping) else value
    for part in inner if isinstance(value, list | Mapping) else ():
        _refuse_long(part)


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # of an int of any length, too


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
        f"a list of terms, or {AUTO!r}",
        lambda v: v == AUTO or (isinstance(v, list) and all(isinstance(t, str | list) for t in v)),
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
    for key in ("likelihood", "noise"):
        if not isinstance(content.get(key, ""), str):
            raise _wrong_type(key, "a text", content[key])
    for section, key in (
        ("data", "file"),
        ("data", "labels"),
        ("basis", "kind"),
        ("prior", "kind"),
    ):
        value = content.get(section, {}).get(key, "")
        if not isinstance(value, str):
            raise _wrong_type(f"{key} in [{section}]", "a text", value)


def known_keys(content: Any, known: Any, where: str) -> None:
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
