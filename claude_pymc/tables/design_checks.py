"""What makes no design: names, quantities and terms that clash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from claude_pymc.errors import DesignError, TableError
from claude_pymc.tables.expansion import Basis
from claude_pymc.tables.indicators import Indicated
from claude_pymc.tables.landmarks import Landmarks
from claude_pymc.tables.scaling import LARGEST, TRANSFORMS
from claude_pymc.tables.smooth import Additive

Names = tuple[str, ...]
CHUNK = 8192
# Columns of the tables that predictions and proposals write.
RESERVED = set("label target rank candidate mean std lower90 upper90 rule score".split())


def refuse_names(descriptors: Names, targets: Names, terms: Names) -> None:
    """Refuse names that are there twice, taken, or those of terms."""
    names = descriptors + targets
    if len(set(names)) < len(names) or not descriptors or not targets:
        raise DesignError(
            "at least one descriptor and one target, each named once",
            f"descriptors {list(descriptors)}, targets {list(targets)}",
            "a name was listed twice, a list is empty, or a text stands where a list should",
            "list each name once, targets from the cheapest to the primary one",
        )
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise DesignError(
            "names that proposals do not use for columns of their own",
            f"{reserved[0]!r}",
            f"these are taken: {sorted(RESERVED)}",
            "rename the column",
        )
    seen: set[str] = set()
    for term in terms:
        if term in seen:
            raise DesignError(
                "basis terms of different names",
                f"two terms {term!r}",
                "a descriptor has the name of a term, such as 'x^2'",
                "rename the descriptor",
            )
        seen.add(term)


def refuse_quantities(
    targets: Names, quantities: Names, transforms: Names, units: dict[str, str]
) -> None:
    """Refuse unknown transforms, and targets of a quantity whose units or transforms differ."""
    for target, rule in zip(targets, transforms, strict=True):
        if rule not in TRANSFORMS:
            raise DesignError(
                f"a transform among {list(TRANSFORMS)}",
                f"{rule!r} for {target!r}",
                "a typing error",
                "choose a known transform",
            )
    for quantity in dict.fromkeys(quantities):
        members = [t for t, q in zip(targets, quantities, strict=True) if q == quantity]
        found = {units[t] for t in members if t in units}
        if len(found) > 1:
            raise DesignError(
                f"one unit for the targets {members} of one quantity",
                f"{sorted(found)}",
                "targets of different quantities share location and scale by default",
                "convert one of them, or name their quantities: "
                f"quantities={ {t: t for t in members} }",
            )
        pairs = zip(quantities, transforms, strict=True)
        rules = sorted({rule for q, rule in pairs if q == quantity})
        if len(rules) > 1:
            raise DesignError(
                f"one transform for all targets of {quantity!r}",
                f"{rules}",
                "targets of one quantity share location and scale, a logarithm does not fit",
                "transform all of them, or name different quantities",
            )


def refuse_beyond(
    x: np.ndarray,
    descriptors: Names,
    bounds: tuple[tuple[float, float], ...],
    basis: Basis,
    labels: Names,
) -> None:
    """Refuse rows x (row, descriptor) that lie farther out than the basis reaches.

    A descriptor that enters linearly alone may have any value.
    """
    if not bounds:  # text alone
        return
    low, high = np.array(bounds).T
    half = (high - low) / 2
    with np.errstate(over="ignore"):
        far = np.nan_to_num(np.abs(x - (low + high) / 2) / half)
    if not (far > (1 + 1e-9) * basis.reach).any():
        return
    far[:, np.array(basis.orders(len(descriptors)))[:, : len(half)].max(axis=0) < 2] = 0.0
    outside = far > (1 + 1e-9) * basis.reach
    if not outside.any():
        return
    row, j = np.unravel_index(int(far.argmax()), far.shape)
    name, value, margin = descriptors[j], x[row, j], (basis.reach - 1) * half[j]
    label = f" ({labels[row]})" if labels else ""
    wide = f"({min(low[j], value):g}, {max(high[j], value):g})"
    raise TableError(
        f"{name!r} between {low[j] - margin:g} and {high[j] + margin:g}, where the functions of "
        f"the basis hold (bounds {low[j]:g} .. {high[j]:g})",
        f"{value:g} in row {row}{label}, {(far[row, j] - 1) * half[j]:g} beyond the bounds or "
        f"{far[row, j] - 1:.2g} half widths; {outside.any(axis=1).sum()} of {len(x)} rows lie "
        "too far out",
        "the design was made from rows or bounds that do not cover these, and its functions end "
        "there: they say nothing of what lies beyond",
        f"make the design with wider bounds, bounds={{{name!r}: {wide}}} in Design.from_table or "
        "Design.from_bounds ([bounds] in a study), and fit again; or leave these rows out",
    )


def refuse_overflow(u: np.ndarray, descriptors: Names, basis: Basis) -> None:
    """Refuse rows u (row, descriptor), in the domain of the basis, whose terms are too large."""
    power = max(basis.steepness(len(descriptors)), 1)
    most = LARGEST ** (1.0 / power)
    # Without a copy, and without what is missing.
    if not u.size or max(np.fmax.reduce(u, axis=None), -np.fmin.reduce(u, axis=None)) <= most:
        return
    far = np.nan_to_num(np.abs(u))
    if not (far > most).any():  # all are missing
        return
    row, j = np.unravel_index(int(far.argmax()), far.shape)
    raise TableError(
        f"values of {descriptors[j]!r} within {most:.3g} half widths of its bounds",
        f"one {far[row, j]:.3g} half widths away, in row {row}",
        f"a power of {power} of it, or its square, is no number any more",
        "correct the value, give wider bounds, or lower the degree",
    )


def refuse_identical_columns(
    phi: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    terms: Names,
    basis: Basis,
    categories: dict[str, Names],
) -> None:
    """Refuse a basis in which two terms take the same values in all rows x (row, descriptor).

    The last terms are those of ``categories``, of which any number may have no row.
    """
    if len(x) < 2:
        return
    prints = [hashlib.sha256() for _ in terms]
    orders = np.array(basis.orders(x.shape[1]))
    first = len(terms) - sum(map(len, categories.values()))
    some = np.arange(len(terms)) < first
    for start in range(0, len(x), CHUNK):
        chunk = x[start : start + CHUNK]
        # Terms of a missing descriptor are zero; infinity where it is missing tells them apart.
        values = np.round(phi(chunk), 12) + np.where(np.isnan(chunk) @ (orders > 0).T, np.inf, 0.0)
        some |= (values == 1.0).any(axis=0)
        for sha, column in zip(prints, values.T, strict=True):
            sha.update(column.tobytes())
    # Functions of a kernel or splines may agree where a descriptor takes few values: their prior
    # holds them. A copied column shows in the linear terms.
    numbers = basis.basis if isinstance(basis, Indicated) else basis
    judged = (orders <= 1).all(axis=1) | (not isinstance(numbers, Additive | Landmarks))
    judged[first:] = True
    seen: dict[bytes, str] = {}
    for b in np.flatnonzero(some):
        found = prints[b].digest()
        if judged[b] and found in seen:
            raise DesignError(
                "basis terms that differ in at least one row",
                f"{seen[found]!r} and {terms[b]!r} are equal in all {len(x)} rows",
                "too few distinct values of a descriptor for this basis, or a copied column",
                "leave one of the two terms out, or use Design.from_bounds if rows will come",
            )
        seen[found] = terms[b]
