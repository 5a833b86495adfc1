"""The frozen bridge between a table and a model: scaling, basis, correction sets.

Descriptors are mapped affinely from their bounds to the domain of the basis (those that hold text
come last and have no bounds, `claude_pymc.tables.indicators`), and targets to

    y = (g(target) - location) / scale,    g the identity or the logarithm,

one location and scale per *quantity*: targets of one quantity (a simulated and a measured volume)
share them, so that a linkage of 1 means "as simulated". Both are fixed when the design is made and
never move when rows arrive.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from claude_pymc.errors import ClaudeError, DesignError
from claude_pymc.tables.bases import basis_from_dict
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.categories import Category, categories_of, numbers_first
from claude_pymc.tables.corrections import (
    Corrections,
    active_terms,
    chosen_targets,
    correction_sets,
    lacking,
    needed_descriptors,
    per_target,
)
from claude_pymc.tables.design_checks import (
    refuse_beyond,
    refuse_identical_columns,
    refuse_names,
    refuse_overflow,
    refuse_quantities,
)
from claude_pymc.tables.expansion import Basis
from claude_pymc.tables.indicators import indicated, named
from claude_pymc.tables.scaling import (
    checked_bounds,
    descriptor_bounds,
    forward,
    inverse,
    name_missing,
    refuse_far,
    target_scaling,
    target_scaling_from_ranges,
)
from claude_pymc.tables.table import Table


@dataclass(frozen=True)
class Design:
    """Descriptors, targets, basis and correction sets with their frozen scaling.

    Make one with :meth:`from_table` or :meth:`from_bounds`.

    Parameters
    ----------
    descriptors, targets : tuple of str
    basis : Basis
    corrections : tuple of tuple of str
        Terms of the correction set K_j of each target, in the order of the targets.
    bounds : tuple of (float, float)
        Range of each descriptor that is a number, mapped to the domain of the basis; empty: used
        as they are.
    quantities : tuple of str
        Quantity of each target.
    location, scale : tuple of float
        Standardisation of each target; equal within a quantity.
    transforms : tuple of str
        "identity" or "log" for each target.
    units : tuple of (str, str)
        Column and unit.
    missing_descriptors : bool
        Rows may lack any descriptor: statistics keep which ones, for the likelihood "joint".
    chosen : tuple of str
        Targets whose terms are chosen by evidence, from what their correction sets hold.
    """

    descriptors: tuple[str, ...]
    targets: tuple[str, ...]
    basis: Basis
    corrections: tuple[tuple[str, ...], ...]
    bounds: tuple[tuple[float, float], ...]
    quantities: tuple[str, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]
    transforms: tuple[str, ...]
    units: tuple[tuple[str, str], ...] = ()
    missing_descriptors: bool = False
    chosen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check names, and that the targets of a quantity share a transform."""
        object.__setattr__(self, "descriptors", named(self.descriptors, self.basis))
        refuse_names(self.descriptors, self.targets, self.terms)
        refuse_quantities(self.targets, self.quantities, self.transforms, dict(self.units))
        if self.missing_descriptors and not self.linear:
            raise DesignError(
                f"the terms {['1', *self.descriptors]}, each descriptor entering linearly",
                f"{list(self.terms)}",
                "where descriptors are missing they are part of the Gaussian, as numbers, without "
                "powers",
                "use Polynomial(degree=1) without descriptors of text, or fill the missing ones",
            )

    @classmethod
    def from_table(
        cls,
        table: Table,
        basis: Basis | None = None,
        corrections: Corrections = None,
        *,
        standardize: bool = True,
        transforms: Mapping[str, str] | None = None,
        quantities: Mapping[str, str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        missing_descriptors: bool = False,
    ) -> Design:
        """Take names, units and scaling from the rows of a table.

        Parameters
        ----------
        table : Table
        basis : Basis, default ``Polynomial(degree=1)``
        corrections : mapping of target to terms, by name, by exponents, or by group
            Groups are those that share a prior scale, such as "linear" or "gp x1"; "all" is every
            term. A term outside the set of a target is a structural zero: given the cheaper
            targets, the target does not depend on it. Default: the whole basis for the first
            target, constant and linear terms for the others. "auto", for all targets or for one of
            them: terms are chosen among the whole basis by evidence, and predictions averaged
            over the sets.
        standardize : bool
            False leaves descriptors and targets as they are, as in the paper.
        transforms : mapping of target to "identity" or "log"
        quantities : mapping of target to the name of its quantity
            Default: all targets measure one quantity.
        bounds : mapping of descriptor to (low, high), optional
            Ranges to use instead of those of the rows, where candidates lie outside.
        missing_descriptors : bool
            Accept rows that lack any descriptor (for the likelihood "joint"). Otherwise a row may
            lack only what its targets do not use: a simulation whose corrections leave out all
            terms of the temperature needs no temperature.

        Raises
        ------
        DesignError
            For a constant descriptor, NaN in a descriptor, unknown or repeated correction terms,
            or a basis with two identical columns.

        Examples
        --------
        >>> import numpy as np
        >>> rows = Table(["x"], ["sim", "exp"], np.linspace(0, 1, 5)[:, None], np.ones((5, 2)))
        >>> design = Design.from_table(rows, Polynomial(degree=2), {"exp": ["1"]})
        >>> design.terms, design.corrections[1]
        (('1', 'x', 'x^2'), ('1',))
        """
        descriptors, x = numbers_first(table.descriptors, table.x)
        basis = indicated(Polynomial(degree=1) if basis is None else basis, descriptors)
        corrections, chosen = chosen_targets(basis, table.targets, corrections)
        sets = correction_sets(basis, descriptors, table.targets, corrections)
        if not missing_descriptors:
            active = active_terms(basis.terms(descriptors), sets)
            name_missing(lacking(basis, active, x, table.y), descriptors, table.labels)
        numbers = tuple(name for name in descriptors if not isinstance(name, Category))
        found = dict(zip(numbers, descriptor_bounds(x[:, : len(numbers)], numbers), strict=True))
        ranges = {**found, **checked_bounds(bounds or {}, numbers)}
        names = per_target(table.targets, quantities, "quantity", "quantities")
        rules = per_target(table.targets, transforms, "identity", "transforms")
        location, scale = target_scaling(table.y, table.targets, names, rules, sets, standardize)
        design = cls(
            descriptors,
            table.targets,
            basis,
            sets,
            tuple(ranges.values()) if standardize else (),
            names,
            location,
            scale,
            rules,
            tuple(sorted(table.units.items())),
            missing_descriptors,
            chosen,
        )
        refuse_identical_columns(design.phi, x, design.terms, basis, design.categories)
        return design

    @classmethod
    def from_bounds(
        cls,
        bounds: Mapping[str, tuple[float, float] | Sequence[str]],
        targets: Sequence[str],
        basis: Basis | None = None,
        corrections: Corrections = None,
        *,
        standardize: bool = True,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        transforms: Mapping[str, str] | None = None,
        quantities: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        missing_descriptors: bool = False,
    ) -> Design:
        """Make a design before any row exists.

        ``bounds`` are the ranges of the descriptors; a list of its categories is that of one which
        holds text. ``ranges`` are values (low, high) between
        which a target is expected with about 95 %; without them targets are used as they are.
        Other arguments as in :meth:`from_table`.

        Examples
        --------
        >>> design = Design.from_bounds({"x": (0.0, 2.0)}, ["sim", "exp"], Polynomial(degree=1))
        >>> design.phi([[0.0], [2.0]]).tolist()
        [[1.0, -1.0], [1.0, 1.0]]
        """
        texts = [Category(k, map(str, v)) for k, v in bounds.items() if isinstance([*v, 0][0], str)]
        numbers: dict[str, Any] = {k: v for k, v in bounds.items() if k not in texts}
        kept = checked_bounds(numbers, tuple(bounds))
        descriptors = (*kept, *texts)
        basis = indicated(Polynomial(degree=1) if basis is None else basis, descriptors)
        targets = () if isinstance(targets, str) else tuple(targets)
        corrections, chosen = chosen_targets(basis, targets, corrections)
        sets = correction_sets(basis, descriptors, targets, corrections)
        names = per_target(targets, quantities, "quantity", "quantities")
        rules = per_target(targets, transforms, "identity", "transforms")
        per_target(targets, dict.fromkeys(ranges or {}, ""), "", "ranges")
        location, scale = target_scaling_from_ranges(ranges or {}, targets, names, rules, sets)
        return cls(
            descriptors,
            targets,
            basis,
            sets,
            tuple(kept.values()) if standardize else (),
            names,
            location,
            scale,
            rules,
            tuple(sorted((units or {}).items())),
            missing_descriptors,
            chosen,
        )

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Names of the basis terms."""
        return self.basis.terms(self.descriptors)

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Categories of the descriptors that hold text, in the order of their terms."""
        return categories_of(self.descriptors)

    @property
    def active(self) -> np.ndarray:
        """Boolean (target, basis): True where the term is in the correction set of the target."""
        return active_terms(self.terms, self.corrections)

    @property
    def linear(self) -> bool:
        """Say whether the terms are the constant and every descriptor, in this order."""
        return self.terms == ("1", *self.descriptors)

    def refuse_missing(self, x: np.ndarray, y: np.ndarray, labels: tuple[str, ...]) -> None:
        """Refuse rows (row, descriptor), (row, target) that lack a descriptor they need."""
        if not self.missing_descriptors and np.isnan(x).any():
            name_missing(lacking(self.basis, self.active, x, y), self.descriptors, labels)

    def refuse_beyond(self, x: np.ndarray, labels: tuple[str, ...] = ()) -> None:
        """Refuse rows (row, descriptor) where the functions of the basis no longer hold."""
        if math.isfinite(self.basis.reach):
            n = len(self.descriptors) - len(self.categories)
            bounds = self.bounds or (self.basis.domain,) * n
            refuse_beyond(x[:, :n], self.descriptors, bounds, self.basis, labels)

    def usable(self, x: np.ndarray) -> np.ndarray:
        """Boolean (row, target): True where no descriptor that the target uses is missing."""
        needed = needed_descriptors(self.basis, self.active, len(self.descriptors))
        return np.isnan(x).astype(int) @ needed.T.astype(int) == 0

    @property
    def digest(self) -> str:
        """SHA-256 over all fields: statistics of equal digests can be added."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def phi(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Expand raw descriptors (row, descriptor) to phi (row, basis).

        Of a descriptor that holds text: positions among its categories. Terms of a missing
        descriptor (NaN) are zero. The result is the transpose of ``out`` (basis, row), if that is
        given.
        """
        u = np.asarray(x, dtype=np.float64)
        if u.ndim != 2 or u.shape[1] != len(self.descriptors):
            raise DesignError(
                f"descriptors of shape (row, {len(self.descriptors)})",
                f"shape {u.shape}",
                f"one column is needed for each of {list(self.descriptors)}",
                "reshape the array",
            )
        self.refuse_beyond(u)
        if self.bounds:
            low, high = np.array(self.bounds).T
            start, end = self.basis.domain
            n = len(low)
            with np.errstate(over="ignore"):
                scaled = start + (u[:, :n] - low) * ((end - start) / (high - low))
            u = scaled if n == u.shape[1] else np.hstack([scaled, u[:, n:]])
        refuse_overflow(u, self.descriptors, self.basis)
        missing = np.isnan(u)
        if not missing.any():
            return self.basis.expand(u, out)
        used = np.array(self.basis.orders(len(self.descriptors))) > 0
        phi = self.basis.expand(np.where(missing, 0.0, u), out)
        phi[missing.astype(int) @ used.T > 0] = 0.0
        return phi

    def to_model(self, y: Any) -> np.ndarray:
        """Map targets (..., target) from their units to the modelled scale."""
        values = forward(np.array(y, dtype=np.float64), self.targets, self.transforms)
        with np.errstate(over="ignore"):
            values = (values - np.array(self.location)) / np.array(self.scale)
        refuse_far(values, self.targets)
        return values

    def from_model(self, y: np.ndarray) -> np.ndarray:
        """Map targets (..., target) from the modelled scale back to their units."""
        values = y * np.array(self.scale)
        values += np.array(self.location)  # in place: draws of large pools take their time here
        return inverse(values, self.transforms)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if not self.missing_descriptors:
            del plain["missing_descriptors"]  # as in files of version 0.1, so that digests last
        if not self.chosen:
            del plain["chosen"]
        return json.loads(json.dumps({**plain, "basis": self.basis.to_dict()}))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Design:
        """Rebuild a design from :meth:`to_dict`."""
        try:
            fields = {name: _tuples(value) for name, value in data.items() if name != "basis"}
            return cls(basis=basis_from_dict(data["basis"]), **fields)
        except ClaudeError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DesignError(
                "the fields that Design.to_dict writes",
                f"{type(error).__name__}: {error}",
                "another file, one that was edited, or one of a newer version",
                "write it again by Design.to_dict",
            ) from error


def _tuples(value: Any) -> Any:
    """Turn nested lists into nested tuples."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
