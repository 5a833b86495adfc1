"""Every basis by its name in files."""

from __future__ import annotations

import dataclasses
from typing import Any

from claude_pymc.errors import DesignError
from claude_pymc.tables.basis import Polynomial, Sine
from claude_pymc.tables.expansion import Basis
from claude_pymc.tables.indicators import Indicated
from claude_pymc.tables.landmarks import Landmarks
from claude_pymc.tables.smooth import HSGP, Legendre, Spline

BASES: dict[str, type[Basis]] = {
    basis.kind: basis for basis in (Polynomial, Legendre, Sine, Spline, HSGP)
}


def basis_from_dict(data: dict[str, Any]) -> Basis:
    """Rebuild a basis from :meth:`Basis.to_dict`."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind == Indicated.kind:
        named = tuple((str(name), tuple(names)) for name, names in fields["categories"])
        return Indicated(basis=basis_from_dict(fields["basis"]), categories=named)
    if kind == Landmarks.kind:
        found = Landmarks(
            basis=basis_from_dict(fields["basis"]),
            landmarks=tuple(tuple(place) for place in fields["landmarks"]),
            kernels=tuple((str(n), tuple(ls), str(kind)) for n, ls, kind in fields["kernels"]),
        )
        found.refuse_others(fields["proof"])
        return found
    if kind not in BASES:
        raise DesignError(
            f"a basis of kind {sorted(BASES)}",
            f"{kind!r}",
            "a typing error, or a file written by a newer version",
            "choose one of the known kinds",
        )
    known = {field.name for field in dataclasses.fields(BASES[kind])}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise DesignError(
            f"fields {sorted(known)} of a {kind} basis",
            f"{unknown[0]!r}",
            "a typing error, or a field of another basis",
            "correct the name",
        )
    return BASES[kind](**fields)
