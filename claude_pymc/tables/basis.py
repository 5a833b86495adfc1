"""Basis expansions phi(x): products of univariate functions of the descriptors.

A term is a tuple of orders, one per descriptor: phi_(n, m)(x) = f_n(x1) f_m(x2). `Polynomial` has
f_n(x) = x^n; `Sine` has f_0 = 1, f_n(x) = sin(2 pi n x) (Harashima et al. 2025, eq. 17).
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from claude_pymc.errors import DesignError
from claude_pymc.tables.expansion import Basis, Kernel, Orders
from claude_pymc.tables.memory import refuse_many_terms

MANY = 2048  # rows for which loading numba pays
REMEMBERED = 64  # bases
HIGHEST = 10_000  # order of a term that is given: all below it are made, too
LARGEST = 10**9  # degree or order of any basis: beyond, not even the terms can be counted


@dataclass(frozen=True, kw_only=True)
class Factored(Basis):
    """Terms that are products of functions of one descriptor each, by default or one by one."""

    exponents: Orders | None = None

    def __post_init__(self) -> None:
        """Freeze explicit exponents and refuse repeated terms."""
        if self.exponents is None:
            return
        orders = _as_orders(self.exponents)
        object.__setattr__(self, "exponents", orders)
        repeated = [list(o) for o, n in Counter(orders).items() if n > 1]
        if repeated or not orders:
            raise DesignError(
                "different terms",
                f"{repeated[0]} twice" if repeated else "no term at all",
                "an exponent list was copied",
                "list each term once",
            )
        self._refuse_high("exponents", max((n for term in orders for n in term), default=0))

    def _refuse_high(self, name: str, order: int) -> None:
        """Refuse orders of which one function alone takes the memory of all below it."""
        if self.exponents is not None and order > HIGHEST:
            raise DesignError(
                f"{name} up to {HIGHEST}",
                f"{order}",
                "a typing error, or values of a descriptor among the exponents",
                "give lower ones",
            )

    def count(self, n_descriptors: int) -> int:
        """Count the terms, without making them."""
        return self._default_count(n_descriptors) if self.exponents is None else len(self.exponents)

    def orders(self, n_descriptors: int) -> Orders:
        """Return the orders of each term, by default or as given."""
        refuse_many_terms(self.count(n_descriptors), n_descriptors, self.kind)
        if self.exponents is None:
            return _orders(self, n_descriptors)
        wrong = [list(o) for o in self.exponents if len(o) != n_descriptors]
        if wrong:
            raise DesignError(
                f"terms with {n_descriptors} exponents, one per descriptor",
                f"{wrong[0]}",
                "the basis was written for another number of descriptors",
                "give each term one exponent for each descriptor",
            )
        return self.exponents

    def terms(self, descriptors: Sequence[str]) -> tuple[str, ...]:
        """Name the terms: "1", "x1", "x1^2", "x1 x2" (as scikit-learn does)."""
        return _terms(self, tuple(descriptors))

    def groups(self, descriptors: Sequence[str]) -> tuple[str, ...]:
        """Name the group of each term by its orders."""
        return _groups(self, tuple(descriptors))

    def kernel(self, descriptors: Sequence[str]) -> Kernel:
        """No lengths, unless the basis has a kernel."""
        nothing = np.zeros((len(self.orders(len(descriptors))), 0))
        return Kernel((), nothing, nothing, 1.0, 1.0)

    def expand(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return phi (row, basis), the transpose of ``out`` if that is given."""
        orders = self.orders(u.shape[1])
        # One row of memory per term: each is a product of few others, computed at memory speed.
        phi = np.empty((len(orders), len(u))) if out is None else out
        factors = [
            self._univariate(np.ascontiguousarray(u[:, j]), max(o[j] for o in orders))
            for j in range(u.shape[1])
        ]
        for step in _plan(orders):
            part, rows = factors[step.descriptor], slice(step.first, step.last)
            part = part[step.order : step.order + step.last - step.first]
            if step.source is None:
                np.copyto(phi[rows], part)
            else:
                np.multiply(phi[step.source], part, out=phi[rows])
        return phi.T

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        exponents = None if self.exponents is None else [list(o) for o in self.exponents]
        return {"kind": self.kind, "exponents": exponents}

    @abstractmethod
    def _default_count(self, n_descriptors: int) -> int:
        """Count the terms where no exponents are given."""

    @abstractmethod
    def _default_orders(self, n_descriptors: int) -> Orders:
        """Orders of the terms where no exponents are given."""

    @abstractmethod
    def _name(self, descriptor: str, order: int) -> str:
        """Name the function of one descriptor."""

    @abstractmethod
    def _group(self, orders: tuple[int, ...], descriptors: Sequence[str]) -> str:
        """Name the group of a term."""

    @abstractmethod
    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        """Factors (order, row) of one descriptor, from order 0 to the highest."""


@dataclass(frozen=True, kw_only=True)
class Polynomial(Factored):
    """Monomials x1^n x2^m ... of total degree up to ``degree``, or of the given ``exponents``.

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one, one exponent per descriptor; takes the place of ``degree``.
    degree : int
        Total degree, the constant included.

    Examples
    --------
    >>> Polynomial(degree=2).terms(["a", "b"])
    ('1', 'a', 'b', 'a^2', 'a b', 'b^2')
    >>> Polynomial(exponents=[[0], [2]]).terms(["x"])
    ('1', 'x^2')
    """

    degree: int = 1

    kind: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        """Check the degree."""
        super().__post_init__()
        check_whole("degree", self.degree, 0)

    def steepness(self, n_descriptors: int) -> int:
        """Total degree."""
        return self.degree if self.exponents is None else max(map(sum, self.exponents))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**super().to_dict(), "degree": self.degree}

    def _default_count(self, n_descriptors: int) -> int:
        return math.comb(n_descriptors + self.degree, n_descriptors)

    def _default_orders(self, n_descriptors: int) -> Orders:
        found = []
        for degree in range(self.degree + 1):
            for chosen in itertools.combinations_with_replacement(range(n_descriptors), degree):
                found.append(tuple(chosen.count(j) for j in range(n_descriptors)))
        return tuple(found)

    def _name(self, descriptor: str, order: int) -> str:
        return descriptor if order == 1 else f"{descriptor}^{order}"

    def _group(self, orders: tuple[int, ...], descriptors: Sequence[str]) -> str:
        if sum(o > 0 for o in orders) > 1:
            return "interaction"
        names = ("constant", "linear", "quadratic", "cubic")
        return names[sum(orders)] if sum(orders) < len(names) else f"degree {sum(orders)}"

    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        factors = np.empty((highest + 1, len(u)))
        factors[0] = 1.0
        for n in range(1, highest + 1):
            np.multiply(factors[n - 1], u, out=factors[n])
        return factors


@dataclass(frozen=True, kw_only=True)
class Sine(Factored):
    """Tensor product of 1, sin(2 pi x), ..., sin(2 pi order x) over the descriptors in [0, 1].

    Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (16), (17).

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one, as (n, m, ...); takes the place of ``order``.
    order : int
        Highest order in each descriptor.

    Examples
    --------
    >>> Sine(order=1).terms(["x1", "x2"])
    ('1', 'sin1(x2)', 'sin1(x1)', 'sin1(x1) sin1(x2)')
    """

    order: int = 1

    kind: ClassVar[str] = "sine"

    @property
    def domain(self) -> tuple[float, float]:
        """The unit interval: one period."""
        return (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the order."""
        super().__post_init__()
        check_whole("order", self.order, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**super().to_dict(), "order": self.order}

    def _default_count(self, n_descriptors: int) -> int:
        return (self.order + 1) ** n_descriptors

    def _default_orders(self, n_descriptors: int) -> Orders:
        return tuple(itertools.product(range(self.order + 1), repeat=n_descriptors))

    def _name(self, descriptor: str, order: int) -> str:
        return f"sin{order}({descriptor})"

    def _group(self, orders: tuple[int, ...], descriptors: Sequence[str]) -> str:
        return ("constant", "main", "interaction")[min(sum(o > 0 for o in orders), 2)]

    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        factors = np.empty((highest + 1, len(u)))
        factors[0] = 1.0
        if highest:
            cosine = np.empty(len(u))
            _sine_and_cosine(u, factors[1], cosine)
        if highest > 1:
            # sin (n + 1) a = 2 cos a sin n a - sin (n - 1) a
            double = np.multiply(2, cosine, out=cosine)
            np.multiply(double, factors[1], out=factors[2])
            for n in range(3, highest + 1):
                np.multiply(double, factors[n - 1], out=factors[n])
                factors[n] -= factors[n - 2]
        return factors


def _sine_and_cosine(turns: np.ndarray, sine: np.ndarray, cosine: np.ndarray) -> None:
    """Fill sin(2 pi u) and cos(2 pi u)."""
    if len(turns) >= MANY:
        from claude_pymc.tables.turns import sine_and_cosine

        sine_and_cosine(turns, sine, cosine)
        return
    np.sin(2 * np.pi * turns, out=sine)
    np.cos(2 * np.pi * turns, out=cosine)


# A basis of thousands of terms is asked for their names by every specification that has it.
@lru_cache(REMEMBERED)
def _orders(basis: Factored, n_descriptors: int) -> Orders:
    """Orders of the terms of a basis without explicit exponents."""
    return basis._default_orders(n_descriptors)


@lru_cache(REMEMBERED)
def _terms(basis: Factored, descriptors: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the terms."""
    return tuple(
        " ".join(basis._name(d, n) for d, n in zip(descriptors, orders, strict=True) if n) or "1"
        for orders in basis.orders(len(descriptors))
    )


@lru_cache(REMEMBERED)
def _groups(basis: Factored, descriptors: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the groups of the terms."""
    orders = basis.orders(len(descriptors))
    return tuple(basis._group(term, descriptors) for term in orders)


class _Step(NamedTuple):
    """Rows first .. last - 1 of phi: row ``source`` times factors from ``order`` on."""

    first: int
    last: int
    source: int | None
    descriptor: int
    order: int


@cache
def _plan(orders: Orders) -> tuple[_Step, ...]:
    """Say how to build all terms, each from one that is there where it differs by one factor."""
    place, steps = {}, list[_Step]()
    for b, term in enumerate(orders):
        place[term] = b
        involved = [j for j, n in enumerate(term) if n] or [0]
        last = involved[-1]
        source = place.get((*term[:last], 0, *term[last + 1 :])) if len(involved) > 1 else None
        if source is not None:
            involved = [last]
        for j in involved:
            steps.append(_Step(b, b + 1, source, j, term[j]))
            source = b
        if len(steps) > 1 and len(involved) == 1:
            before, step = steps[-2:]
            follows = before.last == b and before.order + b - before.first == step.order
            if follows and before.source == step.source and before.descriptor == step.descriptor:
                steps[-2:] = [before._replace(last=step.last)]
    return tuple(steps)


def _as_orders(exponents: Any) -> Orders:
    """Turn nested lists of whole numbers into tuples."""
    try:
        orders = tuple(tuple(int(n) for n in term) for term in exponents)
        whole = all(
            n == m and n >= 0
            for term, raw in zip(orders, exponents, strict=True)
            for n, m in zip(term, raw, strict=True)
        )
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise DesignError(
            "exponents as lists of whole numbers, such as [[0, 0], [1, 0]]",
            f"{exponents!r}",
            "one pair of brackets too few, or a negative or broken exponent",
            "write one list per term",
        )
    return orders


def check_whole(name: str, value: Any, lowest: int) -> None:
    """Refuse anything but a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= LARGEST:
        raise DesignError(
            f"{name} as a whole number of at least {lowest}"
            + (f" and at most {LARGEST}" if isinstance(value, int) and value > lowest else ""),
            f"{value!r}",
            "a broken, negative or far too large number",
            f"give {name} as an int",
        )
