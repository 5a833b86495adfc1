"""Correction sets: which terms of the basis a target may depend on, given the cheaper ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from claude_pymc.errors import DesignError
from claude_pymc.tables.categories import categories_of
from claude_pymc.tables.expansion import Basis
from claude_pymc.tables.smooth import Additive

Terms = Sequence[str] | Sequence[Sequence[int]]
Corrections = Mapping[str, Terms] | str | None
AUTO = "auto"


def chosen_targets(
    basis: Basis, targets: tuple[str, ...], corrections: Corrections
) -> tuple[dict[str, Terms], tuple[str, ...]]:
    """Return corrections with the whole basis in the place of "auto", and the targets that had it.

    "auto" for all leaves the first of several targets the whole basis, unless that is smooth: its
    terms are no corrections.

    Raises
    ------
    DesignError
        For another string than "auto", or what is not a mapping.
    """
    if corrections == AUTO:
        inner = getattr(basis, "basis", basis)  # beside indicators of categories
        first = 0 if isinstance(inner, Additive) or len(targets) == 1 else 1
        return {target: ["all"] for target in targets}, targets[first:]
    if not isinstance(corrections, Mapping | None):
        raise DesignError(
            "corrections as a mapping of target to terms, or 'auto'",
            f"{corrections!r}",
            "a typing error, or terms without the name of a target",
            f"for example corrections={{{targets[-1]!r}: ['1']}}",
        )
    given = dict(corrections or {})
    chosen = tuple(t for t in targets if isinstance(given.get(t), str) and given[t] == AUTO)
    return {**given, **{target: ["all"] for target in chosen}}, chosen


def correction_sets(
    basis: Basis,
    descriptors: tuple[str, ...],
    targets: tuple[str, ...],
    corrections: Mapping[str, Terms] | None,
) -> tuple[tuple[str, ...], ...]:
    """Terms of each correction set by name, in the order of the basis."""
    terms, orders = basis.terms(descriptors), basis.orders(len(descriptors))
    groups, place, known = (
        basis.groups(descriptors),
        dict(zip(orders, terms, strict=True)),
        set(terms),
    )
    plain = ("constant", "linear", *categories_of(descriptors))
    simple = tuple(t for t, g in zip(terms, groups, strict=True) if g in plain)
    given = dict(corrections or {})
    per_target(targets, dict.fromkeys(given, ""), "", "corrections")
    sets = []
    for j, target in enumerate(targets):
        if target not in given:
            sets.append(terms if j == 0 else simple or terms[:1])
            continue
        if isinstance(given[target], str) or not all(map(_is_term, given[target])):
            raise DesignError(
                f"corrections of {target!r} as a list of terms, such as {list(terms[:1])}",
                f"{given[target]!r}",
                "one pair of brackets too few or too many",
                "give a list of names, or a list of lists of exponents",
            )
        chosen = [t if isinstance(t, str) else tuple(t) for t in given[target]]
        named = [place[t] if t in place else t for t in chosen]
        named = [t for name in named for t in _of_group(name, terms, groups)]
        unknown = [t for t in named if t not in known]
        repeated = [t for t, number in Counter(named).items() if number > 1]
        if unknown or repeated:
            raise DesignError(
                f"corrections of {target!r} among the terms {list(terms)}, each once",
                f"{(unknown or repeated)[0]!r}" + ("" if unknown else " twice"),
                "a typing error, or a term that the basis does not have",
                "name terms as listed, or give exponents, or groups among "
                f"{list(dict.fromkeys(groups))}, or 'all'; enlarge the basis for further terms",
            )
        found = set(named)
        sets.append(tuple(t for t in terms if t in found))
    return tuple(sets)


def _is_term(term: Any) -> bool:
    """Say whether this is a name, or exponents."""
    if isinstance(term, str):
        return True
    listed = isinstance(term, Sequence | np.ndarray)
    return listed and all(isinstance(n, int | float | str | np.number) for n in term)


def _of_group(name: Any, terms: Sequence[str], groups: Sequence[str]) -> list[Any]:
    """Terms of a group, such as "linear" or "gp x", or the name itself; "all": every term."""
    if name == "all" and name not in terms:
        return list(terms)
    if name not in groups or name in terms:
        return [name]
    return [term for term, group in zip(terms, groups, strict=True) if group == name]


def active_terms(terms: Sequence[str], sets: Sequence[Sequence[str]]) -> np.ndarray:
    """Boolean (target, basis): True where the term is in the correction set of the target."""
    return np.array([[term in chosen for term in terms] for chosen in map(frozenset, sets)])


def lacking(basis: Basis, active: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Boolean (row, descriptor): missing although a present target, or a cheaper one, uses it.

    ``active`` (target, basis) says which terms are in the correction sets.
    """
    needed = needed_descriptors(basis, active, x.shape[1])
    return np.isnan(x) & (np.isfinite(y).astype(int) @ needed > 0)


def needed_descriptors(basis: Basis, active: np.ndarray, n_descriptors: int) -> np.ndarray:
    """Boolean (target, descriptor): True where a target, or a cheaper one, uses it."""
    used = np.array(basis.orders(n_descriptors)) > 0
    return np.logical_or.accumulate(active) @ used


def per_target(
    targets: tuple[str, ...], given: Mapping[str, str] | None, default: str, name: str
) -> tuple[str, ...]:
    """One string per target, from a mapping that may leave some out."""
    given = dict(given or {})
    unknown = [t for t in given if t not in targets]
    if unknown:
        raise DesignError(
            f"targets {list(targets)} in {name}",
            f"{unknown[0]!r}",
            "a typing error in the name of a target",
            "use the names of the table",
        )
    return tuple(given.get(t, default) for t in targets)
