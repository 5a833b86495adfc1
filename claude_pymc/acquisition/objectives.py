"""What is wanted of the primary target, and what it must keep within.

Maximise or minimise is said here and nowhere else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from claude_pymc.errors import CandidateError
from claude_pymc.tables.scaling import LARGEST

MOST: Any = sys.float_info.max  # to which an int of any length can be compared


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

    def expected(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Return the expected utility of a normal value."""
        return mean

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

    def expected(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Return the expected utility of a normal value."""
        return -mean

    def describe(self) -> str:
        """Say it in words."""
        return f"minimize {self.target}"


@dataclass(frozen=True)
class Reach:
    """A value of ``target`` as near to ``wanted`` as possible.

    Examples
    --------
    >>> Reach("gap", 1.5).utility(np.array([1.0, 1.75]))
    array([-0.5 , -0.25])
    """

    target: str
    value: float

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        if not _finite(self.value) or abs(float(self.value)) > LARGEST:
            raise CandidateError(
                f"a finite number to reach for {self.target!r}, of a size up to {LARGEST:g}",
                f"{self.value!r}",
                "an empty cell, a text, or a number for 'as much as possible'",
                "for example cp.Reach('gap', 1.5)",
            )

    def utility(self, values: np.ndarray) -> np.ndarray:
        """Value to a person, larger = better."""
        return -np.abs(np.asarray(values, dtype=np.float64) - self.value)

    def expected(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Return the expected utility of a normal value: less the mean of a folded normal one."""
        off, sd = mean - self.value, np.maximum(sd, 1e-300)
        with np.errstate(over="ignore"):
            z = off / sd
            fold = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * np.square(z))
        return -(fold + off * erf(z / np.sqrt(2)))

    def describe(self) -> str:
        """Say it in words."""
        return f"reach {self.target} = {self.value:g}"


Objective = Maximize | Minimize | Reach
KINDS = {"maximize": Maximize, "minimize": Minimize, "reach": Reach}


@dataclass(frozen=True)
class Within:
    """A constraint that is learned: ``low <= target <= high``, on draws of the target.

    Examples
    --------
    >>> Within("gap", low=1.0).holds(np.array([0.5, 1.5])).tolist()
    [False, True]
    """

    target: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Refuse an interval that holds nothing, or everything."""
        numbers = all(isinstance(v, int | float | np.number) for v in (self.low, self.high))
        if not numbers or not self.low < self.high or not (_finite(self.low) or _finite(self.high)):
            raise CandidateError(
                f"low < high for {self.target!r}, at least one of them finite",
                f"{self.low!r} and {self.high!r}",
                "the ends are the wrong way round, or none is given",
                "for example cp.Within('gap', 1.0, 2.0)",
            )

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Say where values lie within."""
        return np.asarray((values >= self.low) & (values <= self.high))

    def describe(self) -> str:
        """Say it in words."""
        return f"{self.low:g} <= {self.target} <= {self.high:g}"


def objective_to_dict(objective: Objective) -> dict[str, Any]:
    """Return the objective as plain JSON values."""
    kind = type(objective).__name__.lower()
    more = {"value": objective.value} if isinstance(objective, Reach) else {}
    return {"kind": kind, "target": objective.target, **more}


def objective_from_dict(data: Mapping[str, Any]) -> Objective:
    """Rebuild an objective from :func:`objective_to_dict`.

    Examples
    --------
    >>> objective_from_dict({"kind": "reach", "target": "gap", "value": 1.5})
    Reach(target='gap', value=1.5)
    """
    if data["kind"] == "reach":
        return Reach(data["target"], data["value"])
    found: Objective = KINDS[data["kind"]](data["target"])
    return found


def _finite(value: Any) -> bool:
    if not isinstance(value, int | float | np.number):
        return False
    number = value if isinstance(value, int) else float(value)  # a whole one may be too large
    return bool(abs(number) <= MOST)
