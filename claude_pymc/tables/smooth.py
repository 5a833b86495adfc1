r"""Bases of smooth functions: Legendre polynomials, splines, and the features of a kernel.

All have the form of `claude_pymc.tables.basis`: products of univariate functions of the
descriptors, mapped to [-1, 1].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from claude_pymc.errors import DesignError
from claude_pymc.tables.basis import Factored, Polynomial, check_whole
from claude_pymc.tables.expansion import Kernel, Orders

# Lengths that features carry, measured against exact processes in one and two dimensions
# (tests/test_smooth.py): order * length >= SHORT * boundary, and the boundary is LONG lengths away.
# Errors at the worst of 80 places, for orders 9 to 24 and boundaries 1.3 to 4, in up to 1000 sets
# of 12 and of 40 rows of noise 0.05, in units of the prior sd: at the shortest length below 0.018;
# at the longest the sd below 0.017, the mean above 0.02 in 0.2 % of the sets with one descriptor
# (at most 0.031), in 3 % for a product (at most 0.035). LONG = 1.7 would leave none above 0.014.
SHORT, LONG = 2.8, 1.5


@dataclass(frozen=True, kw_only=True)
class Legendre(Polynomial):
    """Products of Legendre polynomials of total degree up to ``degree``.

    They span the polynomials, but are orthogonal over the bounds: a prior on their coefficients is
    one on the function, and high degrees stay well conditioned.

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one, one degree per descriptor; takes the place of ``degree``.
    degree : int
        Total degree, the constant included.

    Examples
    --------
    >>> Legendre(degree=2).terms(["a"])
    ('1', 'a', 'P2(a)')
    """

    kind: ClassVar[str] = "legendre"

    def _name(self, descriptor: str, order: int) -> str:
        return descriptor if order == 1 else f"P{order}({descriptor})"

    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        factors = np.empty((highest + 1, len(u)))
        factors[0] = 1.0
        if highest:
            factors[1] = u
        for n in range(1, highest):
            # (n + 1) P_(n+1) = (2 n + 1) u P_n - n P_(n-1)
            factors[n + 1] = ((2 * n + 1) * u * factors[n] - n * factors[n - 1]) / (n + 1)
        return factors


@dataclass(frozen=True, kw_only=True)
class Additive(Factored):
    """Constant, linear terms and ``order`` functions of each descriptor; products where asked for.

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one: 0 stands for the constant, 1 for the descriptor itself, 2, 3, ... for the
        functions.
    order : int
        Number of functions of each descriptor.
    interactions : list of pairs of int
        Pairs of descriptors, counted from 0, that get products of their functions: those of
        numbers a and b with a^2 + b^2 <= order^2 + 1.
    products : bool
        Add the product of each pair of descriptors, in one group: the least that lets the effect
        of a descriptor depend on the others, where interactions of many pairs are too many terms.
    """

    order: int = 8
    interactions: tuple[tuple[int, int], ...] = ()
    products: bool = False

    word: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check the orders, and freeze the pairs."""
        super().__post_init__()
        check_whole("order", self.order, 1)
        self._refuse_high("an order of the basis, where exponents are given,", self.order)
        if not isinstance(self.products, bool):
            raise DesignError(
                "True or False for products", f"{self.products!r}", "a typing error", "choose one"
            )
        try:
            pairs = tuple(tuple(sorted(pair)) for pair in self.interactions)
        except TypeError:  # one pair of brackets too few, or names among numbers
            pairs = ((),)
        whole = all(isinstance(j, int) and j >= 0 for pair in pairs for j in pair)
        apart = all(len(set(pair)) == len(pair) == 2 for pair in pairs)
        if not whole or not apart or len(set(pairs)) < len(pairs):
            raise DesignError(
                "interactions as different pairs of descriptors, counted from 0",
                f"{self.interactions!r}",
                "a name instead of a position, a pair listed twice, or brackets that lack",
                "write for example interactions=[(0, 1)]",
            )
        object.__setattr__(self, "interactions", pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            **super().to_dict(),
            "order": self.order,
            "interactions": [list(pair) for pair in self.interactions],
            "products": self.products,
        }

    def _default_count(self, n_descriptors: int) -> int:
        most = self.order**2 + 1
        pairs = most  # of many functions: at least as many as there are, far too many anyway
        if self.order < 10000:
            pairs = sum(min(self.order, math.isqrt(most - a * a)) for a in range(1, self.order + 1))
        products = math.comb(n_descriptors, 2) if self.products else 0
        return 1 + n_descriptors * (self.order + 1) + products + pairs * len(self.interactions)

    def _default_orders(self, n_descriptors: int) -> Orders:
        beyond = [pair for pair in self.interactions if pair[1] >= n_descriptors]
        if beyond:
            raise DesignError(
                f"interactions of descriptors 0 .. {n_descriptors - 1}",
                f"{beyond[0]}",
                "positions count from 0",
                "correct the pair",
            )
        zero = (0,) * n_descriptors
        found = [zero]
        for n in range(1, self.order + 2):
            found += [(*zero[:j], n, *zero[j + 1 :]) for j in range(n_descriptors)]
        if self.products:
            pairs = itertools.combinations(range(n_descriptors), 2)
            found += [tuple(int(j in pair) for j in range(n_descriptors)) for pair in pairs]
        for i, j in self.interactions:
            for a, b in itertools.product(range(1, self.order + 1), repeat=2):
                if a * a + b * b <= self.order**2 + 1:
                    term = list(zero)
                    term[i], term[j] = a + 1, b + 1
                    found.append(tuple(term))
        return tuple(found)

    def _name(self, descriptor: str, order: int) -> str:
        return descriptor if order == 1 else f"{self.word}{order - 1}({descriptor})"

    def _group(self, orders: tuple[int, ...], descriptors: Sequence[str]) -> str:
        used = [name for name, n in zip(descriptors, orders, strict=True) if n]
        if not used:
            return "constant"
        if max(orders) == 1:
            return "linear" if len(used) == 1 else "products"
        return " ".join([self.word, *used])


@dataclass(frozen=True, kw_only=True)
class HSGP(Additive):
    r"""Features of Gaussian processes with a squared-exponential kernel, additive by descriptor.

    On [-L, L], L = ``boundary``, with :math:`\omega_m = m \pi / 2L`,

    .. math:: k(u, u') \approx \sum_m S(\omega_m) \phi_m(u) \phi_m(u'), \quad
              \phi_m(u) = L^{-1/2} \sin \omega_m (u + L), \quad
              S(\omega) = a^2 \sqrt{2 \pi} \ell \exp(-\ell^2 \omega^2 / 2)

    so that the prior variance of coefficient m is :math:`S(\omega_m)`, and amplitude a and length
    :math:`\ell` are learned with the other scales, at a cost that does not grow with the rows.
    Lengths are uniform, in their logarithm, over the range that ``order`` and ``boundary`` can
    carry (``shortest`` .. ``longest``, where the bounds of a descriptor are 2 apart); longer ones
    look like the linear terms, which have scales of their own. An interaction is the product of
    two kernels, with one amplitude and the lengths of its descriptors.

    Within that range, given rows, the sd of the process differs from that of the exact one by less
    than 2 % of its prior sd anywhere inside the bounds; so does the mean in 95 of 100 data sets,
    and in the others by up to 4 % at the longest length. Beyond the bounds the difference grows,
    for the longest lengths to 15 % at a third of the way to the boundary. Rows farther out are
    refused: at the boundary all features vanish, and the prior sd with them.

    Source: Solin, Särkkä, Stat. Comput. 30, 419 (2020); Riutort-Mayol et al., Stat. Comput. 33, 17
    (2023).

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one: 0 the constant, 1 the descriptor itself, m + 1 feature m.
    order : int
        Number of features of each descriptor.
    interactions, products
        As in :class:`Additive`.
    boundary : float
        Half width L of the domain of the features; the bounds of a descriptor are at -1 and 1.
    lengths : "shared" or "each"
        One length for all descriptors of a target, or one for each.

    Examples
    --------
    >>> HSGP(order=9).terms(["a"])[:4]
    ('1', 'a', 'gp1(a)', 'gp2(a)')
    """

    order: int = 16
    boundary: float = 2.5
    lengths: str = "shared"

    kind: ClassVar[str] = "hsgp"
    word: ClassVar[str] = "gp"

    def __post_init__(self) -> None:
        """Check boundary and lengths."""
        super().__post_init__()
        number = isinstance(self.boundary, int | float) and not isinstance(self.boundary, bool)
        if not number or not 1.2 <= self.boundary < math.inf:
            raise DesignError(
                "a boundary of at least 1.2, in half widths of the bounds",
                f"{self.boundary!r}",
                "features vanish at the boundary, so that it must lie outside the bounds",
                "use boundary=2.5",
            )
        if self.lengths not in ("shared", "each"):
            raise DesignError(
                "lengths 'shared' or 'each'", f"{self.lengths!r}", "a typing error", "choose one"
            )
        if not self.shortest < self.longest:
            raise DesignError(
                "an order that carries some lengths within this boundary, more than "
                f"{SHORT * LONG * self.boundary / (self.boundary - 1.0):.1f}",
                f"{self.order}",
                "few features in a wide domain know no length at all",
                "raise the order",
            )

    @property
    def shortest(self) -> float:
        """Least length that ``order`` features can carry; bounds are 2 apart."""
        return SHORT * self.boundary / self.order

    @property
    def longest(self) -> float:
        """Largest length that does not feel the boundary; bounds are 2 apart."""
        return (self.boundary - 1.0) / LONG

    @property
    def reach(self) -> float:
        """A third of the way from the bounds to the boundary, at which all features vanish."""
        return 1.0 + (self.boundary - 1.0) / 3.0

    def kernel(self, descriptors: Sequence[str]) -> Kernel:
        """Lengths, and frequencies of the terms."""
        orders = np.array(self.orders(len(descriptors)))
        factors = (orders >= 2).astype(float)
        frequency = np.square((orders - 1) * math.pi / (2 * self.boundary)) * factors
        names = tuple(f"length {name}" for name in descriptors)
        if self.lengths == "shared":
            names, factors = ("length",), factors.sum(axis=1, keepdims=True)
            frequency = frequency.sum(axis=1, keepdims=True)
        return Kernel(names, factors, frequency, self.shortest, self.longest)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**super().to_dict(), "boundary": self.boundary, "lengths": self.lengths}

    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        factors = np.empty((highest + 1, len(u)))
        factors[0] = 1.0
        if highest:
            factors[1] = u
        n = np.arange(1, highest)[:, None]
        angle = n * (math.pi / (2 * self.boundary)) * (u + self.boundary)
        factors[2:] = np.sin(angle) / math.sqrt(self.boundary)
        return factors


@dataclass(frozen=True, kw_only=True)
class Spline(Additive):
    """Cubic B-splines on equidistant knots, beside constant and linear terms.

    Beyond the bounds splines are constant, and rows farther out than a tenth of the range are
    refused.

    Parameters
    ----------
    exponents : list of list of int, optional
        Terms one by one: 0 the constant, 1 the descriptor itself, m + 1 spline m.
    order : int
        Number of splines over the bounds of each descriptor, at least four.
    interactions, products
        As in :class:`Additive`.

    Examples
    --------
    >>> Spline(order=4).terms(["a"])
    ('1', 'a', 'spline1(a)', 'spline2(a)', 'spline3(a)', 'spline4(a)')
    """

    kind: ClassVar[str] = "spline"
    word: ClassVar[str] = "spline"

    def __post_init__(self) -> None:
        """Check the order."""
        super().__post_init__()
        check_whole("order", self.order, 4)

    @property
    def reach(self) -> float:
        """A tenth of the range beyond the bounds."""
        return 1.2

    def _univariate(self, u: np.ndarray, highest: int) -> np.ndarray:
        from scipy.interpolate import BSpline

        factors = np.zeros((highest + 1, len(u)))
        factors[0] = 1.0
        if highest:
            factors[1] = u
        if highest > 1:
            inner = np.linspace(-1.0, 1.0, self.order - 2)
            step = inner[1] - inner[0]
            knots = np.concatenate([inner[0] - step * np.arange(3, 0, -1), inner])
            knots = np.concatenate([knots, inner[-1] + step * np.arange(1, 4)])
            inside = np.clip(u, -1.0, 1.0)  # constant beyond the bounds, where the line goes on
            found = BSpline.design_matrix(inside, knots, 3).toarray().T
            factors[2:] = found[: highest - 1]
        return factors
