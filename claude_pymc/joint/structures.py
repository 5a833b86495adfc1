"""Structures of smooth bases: which groups of terms are chosen together."""

from __future__ import annotations

from claude_pymc.tables.categories import categories_of
from claude_pymc.tables.design import Design
from claude_pymc.tables.landmarks import WORD, Landmarks
from claude_pymc.tables.smooth import Additive

Names = tuple[str, ...]


def smooth_of(design: Design) -> Additive | Landmarks | None:
    """Return the smooth basis of a design, or None if it has another one."""
    inner = getattr(design.basis, "basis", None)
    for basis in (design.basis, inner):
        if isinstance(basis, Additive | Landmarks):
            return basis
    return None


def structures(design: Design, units: dict[str, Names], j: int) -> tuple[list[Names], Names]:
    """Structures of target j as names of units, and interactions that may join the kernels.

    Corrections that may have a kernel over all descriptors have one: learned scales let it and the
    linear terms shrink, so that nothing is gained by odds on simpler structures.
    """
    basis = smooth_of(design)
    assert basis is not None
    inner = getattr(basis, "basis", basis)
    word = inner.word if isinstance(inner, Additive) else WORD
    texts = categories_of(design.descriptors)
    smooth = [name for name in units if name.split(" ")[0] == word and word != WORD]
    alone = tuple(name for name in smooth if len(name.split(" ")) == 2)
    pairs = tuple(name for name in smooth if name not in alone)
    full = [name for name in units if name.startswith(f"{WORD} ")] if basis is not inner else []
    constant = tuple(name for name in ("constant",) if name in units)
    linear = tuple(name for name in units if name in ("linear", *texts))
    products = tuple(name for name in units if name == "products")
    plain = constant + linear
    kernels = [(*plain, name) for name in full]
    if not full:
        found = [constant, plain, plain + products, plain + alone, plain + products + alone]
    elif j == 0:
        both = [(*plain, *alone, name) for name in full]
        found = [plain + products, plain + alone, *kernels, *both]
    else:
        found = kernels
    return list(dict.fromkeys(found)), pairs if alone else ()
