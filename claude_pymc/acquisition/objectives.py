"""What is wanted of the primary target; maximise or minimise is said here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Maximize:
    """As large a value of ``target`` as possible.

    Examples
    --------
    >>> Maximize("exp").utility(np.array([1.0, 2.0]))
    array([1., 2.])
    """

    target: str

    def utility(self, values: np.ndarray) -> np.ndarray:
        """Value to a person, larger = better."""
        return np.asarray(values, dtype=np.float64)

    def describe(self) -> str:
        """Say it in words."""
        return f"maximize {self.target}"


@dataclass(frozen=True)
class Minimize:
    """As small a value of ``target`` as possible.

    Examples
    --------
    >>> Minimize("exp").utility(np.array([1.0, 2.0]))
    array([-1., -2.])
    """

    target: str

    def utility(self, values: np.ndarray) -> np.ndarray:
        """Value to a person, larger = better."""
        return -np.asarray(values, dtype=np.float64)

    def describe(self) -> str:
        """Say it in words."""
        return f"minimize {self.target}"


@dataclass(frozen=True)
class Reach:
    """A value of ``target`` as near to ``value`` as possible.

    Examples
    --------
    >>> Reach("gap", 1.5).utility(np.array([1.0, 1.75]))
    array([-0.5 , -0.25])
    """

    target: str
    value: float

    def utility(self, values: np.ndarray) -> np.ndarray:
        """Value to a person, larger = better."""
        return -np.abs(np.asarray(values, dtype=np.float64) - self.value)

    def describe(self) -> str:
        """Say it in words."""
        return f"reach {self.target} = {self.value:g}"


Objective = Maximize | Minimize | Reach
