"""What the expansion phi(x) of descriptors is to whoever uses one: names, groups and values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

Orders = tuple[tuple[int, ...], ...]


class Kernel(NamedTuple):
    """How prior variances of the terms depend on lengths (see `claude_pymc.joint.scales`)."""

    lengths: tuple[str, ...]
    half: np.ndarray  # (basis, length): number of factors of the term that have this length
    frequency: np.ndarray  # (basis, length): sum of their squared frequencies
    shortest: float
    longest: float


@dataclass(frozen=True, kw_only=True)
class Basis(ABC):
    """What every basis has: terms of descriptors on a domain, in groups."""

    kind: ClassVar[str] = ""

    @property
    def domain(self) -> tuple[float, float]:
        """What the bounds of a descriptor are mapped to."""
        return (-1.0, 1.0)

    @property
    def reach(self) -> float:
        """How far from the middle of its bounds, in half widths, a descriptor may lie."""
        return math.inf

    def steepness(self, n_descriptors: int) -> int:
        """Highest power of a descriptor by which terms grow beyond the bounds."""
        return 2  # a product of two descriptors

    @abstractmethod
    def count(self, n_descriptors: int) -> int:
        """Count the terms, without making them."""

    @abstractmethod
    def orders(self, n_descriptors: int) -> Orders:
        """Return the orders of each term, (basis, descriptor).

        Raises
        ------
        DesignError
            If there are more terms than memory can hold statistics of, or exponents that do not
            fit the descriptors.
        """

    @abstractmethod
    def terms(self, descriptors: Sequence[str]) -> tuple[str, ...]:
        """Name the terms."""

    @abstractmethod
    def groups(self, descriptors: Sequence[str]) -> tuple[str, ...]:
        """Name the group of each term; terms of a group share one learned prior scale."""

    @abstractmethod
    def kernel(self, descriptors: Sequence[str]) -> Kernel:
        """Lengths on which prior scales depend, and how."""

    @abstractmethod
    def expand(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return phi (row, basis) for descriptors ``u`` (row, descriptor) inside the domain.

        It is the transpose of ``out`` (basis, row), if that is given.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
