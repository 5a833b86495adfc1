r"""Terms of descriptors that hold text, beside those of any basis.

With numbers x and categories c_1 .. c_k of the other descriptors,

    phi(x, c) = (phi_basis(x), [c_1 = first name], ..., [c_1 = last name], [c_2 = first name], ...),

one indicator for each category, so that a prior treats all alike. The terms of a descriptor are a
group of its name, with a prior scale of its own. They add: there are no products with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from claude_pymc.errors import DesignError, TableError
from claude_pymc.tables.categories import Category, Names, categories_of
from claude_pymc.tables.expansion import Basis, Kernel, Orders
from claude_pymc.tables.memory import refuse_many_terms

TAKEN = ("constant", "ratio", "all")  # names of groups that a descriptor may not have


@dataclass(frozen=True, kw_only=True)
class Indicated(Basis):
    """Terms of ``basis`` for the first descriptors, indicators for those that follow.

    Parameters
    ----------
    basis : Basis
        Of the descriptors that are numbers. Its exponents and interactions count these alone.
    categories : tuple of (str, tuple of str)
        Name and categories of the last descriptors.

    Examples
    --------
    >>> from claude_pymc.tables.basis import Polynomial
    >>> both = Indicated(basis=Polynomial(), categories=(("route", ("melt", "sol-gel")),))
    >>> both.terms(["x", "route"]), both.groups(["x", "route"])[1:]
    (('1', 'x', 'route=melt', 'route=sol-gel'), ('linear', 'route', 'route'))
    """

    basis: Basis
    categories: tuple[tuple[str, Names], ...]

    kind: ClassVar[str] = "indicated"

    @property
    def domain(self) -> tuple[float, float]:
        """Domain of the basis of the numbers."""
        return self.basis.domain

    @property
    def reach(self) -> float:
        """Reach of the basis of the numbers."""
        return self.basis.reach

    def steepness(self, n_descriptors: int) -> int:
        """Steepness of the basis of the numbers."""
        return self.basis.steepness(n_descriptors - len(self.categories))

    def count(self, n_descriptors: int) -> int:
        """Count the terms of the basis and the categories."""
        more = sum(len(names) for _, names in self.categories)
        return self.basis.count(n_descriptors - len(self.categories)) + more

    def orders(self, n_descriptors: int) -> Orders:
        """Orders of the basis; indicator m of a descriptor has order m + 1 in it."""
        refuse_many_terms(self.count(n_descriptors), n_descriptors, self.basis.kind)
        k = len(self.categories)
        found = [(*term, *(0,) * k) for term in self.basis.orders(n_descriptors - k)]
        for j, (_, names) in enumerate(self.categories):
            for m in range(len(names)):
                found.append((*(0,) * (n_descriptors - k + j), m + 1, *(0,) * (k - 1 - j)))
        return tuple(found)

    def terms(self, descriptors: Sequence[str]) -> Names:
        """Names of the basis, then "route=melt"."""
        indicators = [f"{name}={text}" for name, names in self.categories for text in names]
        return (*self.basis.terms(self._numbers(descriptors)), *indicators)

    def groups(self, descriptors: Sequence[str]) -> Names:
        """Name the groups of the basis, then those of the indicators by their descriptors."""
        found = self.basis.groups(self._numbers(descriptors))
        for name, _ in self.categories:
            if name in found or name in TAKEN:
                raise DesignError(
                    "descriptors of text whose names are not those of groups of terms",
                    f"{name!r}",
                    f"groups are named {list(dict.fromkeys((*found, *TAKEN)))}",
                    "rename the column",
                )
        return (*found, *(name for name, names in self.categories for _ in names))

    def kernel(self, descriptors: Sequence[str]) -> Kernel:
        """Lengths of the basis, on which indicators do not depend."""
        found = self.basis.kernel(self._numbers(descriptors))
        rows = np.zeros((sum(len(names) for _, names in self.categories), len(found.lengths)))
        half, frequency = (np.vstack([part, rows]) for part in (found.half, found.frequency))
        return found._replace(half=half, frequency=frequency)

    def expand(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return phi (row, basis); the last columns of ``u`` are positions of categories."""
        n = u.shape[1] - len(self.categories)
        rest = sum(len(names) for _, names in self.categories)
        at = len(self.basis.orders(n))
        phi = np.empty((at + rest, len(u))) if out is None else out
        if n:
            self.basis.expand(u[:, :n], phi[:at])
        else:
            phi[:at] = 1.0
        for j, (name, names) in enumerate(self.categories, n):
            for m in range(len(names)):
                np.equal(u[:, j], m, out=phi[at + m], casting="unsafe")
            _refuse_positions(phi[at : at + len(names)], u[:, j], name)
            at += len(names)
        return phi.T

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        named = [[name, list(names)] for name, names in self.categories]
        return {"kind": self.kind, "basis": self.basis.to_dict(), "categories": named}

    def _numbers(self, descriptors: Sequence[str]) -> Names:
        return tuple(descriptors)[: len(descriptors) - len(self.categories)]


def indicated(basis: Basis, descriptors: Names) -> Basis:
    """Add indicators of the descriptors that hold text, which come last, if there are any."""
    found = categories_of(descriptors)
    for name, names in found.items():
        if len(names) < 2:
            raise DesignError(
                f"a descriptor {name!r} of at least two categories",
                f"{list(names)}",
                "every row is of one kind, or the column is empty",
                f"leave {name!r} out of the descriptors, or declare further categories",
            )
    return Indicated(basis=basis, categories=tuple(found.items())) if found else basis


def named(descriptors: Names, basis: Basis) -> Names:
    """Names of descriptors, with the categories that the basis knows."""
    known = dict(basis.categories) if isinstance(basis, Indicated) else {}
    return tuple(Category(d, known[d]) if d in known else str(d) for d in descriptors)


def _refuse_positions(indicators: np.ndarray, u: np.ndarray, name: str) -> None:
    """Refuse positions (row) at which no indicator (category, row) is one."""
    lost = np.flatnonzero(~indicators.any(axis=0))
    if len(lost):
        raise TableError(
            f"positions 0 .. {len(indicators) - 1} of the categories of {name!r}",
            f"{u[lost[0]]:g} in row {lost[0]}",
            "an array with other codes than those of the design",
            "pass a DataFrame or a Table with the text itself",
        )
