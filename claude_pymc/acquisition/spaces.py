"""Where candidates come from: a mesh, a box, a simplex of fractions; and a first design.

A box and a simplex are continuous: a proposal draws points all over them, then, around the best
ones, in smaller and smaller neighbourhoods. Points are those of a scrambled Sobol sequence, by
seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from claude_pymc.errors import CandidateError
from claude_pymc.tables.memory import available

Pair = tuple[float, float]
FEW = 10_000  # candidates that fit anywhere
COPIES = 3  # of a mesh that exist while it is made


def mesh(**axes: ArrayLike) -> pd.DataFrame:
    """All combinations of the given values, one column per descriptor.

    Examples
    --------
    >>> mesh(x1=[0.0, 1.0], x2=[5.0, 6.0]).to_numpy().tolist()
    [[0.0, 5.0], [0.0, 6.0], [1.0, 5.0], [1.0, 6.0]]
    >>> mesh(x=[0.5], route=["melt", "sol-gel"]).to_numpy().tolist()
    [[0.5, 'melt'], [0.5, 'sol-gel']]
    """
    if not axes or any(np.size(values) == 0 for values in axes.values()):
        raise CandidateError(
            "at least one descriptor with at least one value",
            f"{ {name: np.size(values) for name, values in axes.items()} }",
            "an empty range",
            "for example cp.mesh(x=np.linspace(0, 1, 31))",
        )
    refuse_many({name: np.size(values) for name, values in axes.items()})
    arrays = [np.asarray(values) for values in axes.values()]
    arrays = [v if v.dtype.kind in "OU" else v.astype(np.float64) for v in arrays]
    grids = np.meshgrid(*arrays, indexing="ij")
    return pd.DataFrame({name: g.ravel() for name, g in zip(axes, grids, strict=True)})


def refuse_many(sizes: Mapping[str, int]) -> None:
    """Refuse a mesh of axes of these sizes that does not fit into memory."""
    rows = math.prod(sizes.values())
    needed, free = COPIES * 8 * rows * len(sizes), available()
    if rows > FEW and needed > free:
        raise CandidateError(
            f"a mesh that fits into the memory that is available, {free / 1e9:.1f} GB",
            f"{float(min(rows, 10**300)):.3g} candidates, of {dict(sizes)} values",
            "all combinations are made: their number is the product of those of the descriptors",
            "give fewer values of each descriptor, or in Python use cp.Box",
        )


@dataclass(frozen=True, init=False)
class Box:
    """All points between a lower and an upper end of each descriptor.

    Examples
    --------
    >>> Box(x1=(0, 1), t=(300, 600)).sample(2, seed=0).round(2).to_numpy().tolist()
    [[0.41, 589.24], [0.72, 332.26]]
    """

    ends: dict[str, Pair]

    def __init__(self, ends: Mapping[str, Pair] | None = None, **named: Pair) -> None:
        """Take ends as keywords, or as a mapping where a name is no word."""
        found = {**(ends or {}), **named}
        for name, pair in found.items():
            _check_ends(name, pair)
        if not found:
            raise CandidateError(
                "at least one descriptor", "none", "an empty box", "for example cp.Box(x=(0, 1))"
            )
        pairs = {str(name): (float(low), float(high)) for name, (low, high) in found.items()}
        object.__setattr__(self, "ends", pairs)

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.ends)

    def sample(self, number: int, seed: int | np.random.Generator) -> pd.DataFrame:
        """Points of a Sobol sequence (point, descriptor)."""
        return self._frame(_sobol(len(self.ends), number, seed))

    def around(
        self, frame: pd.DataFrame, radius: float, number: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Draw ``number`` points near each row, within ``radius`` of the width of the box."""
        low, width = self._low_and_width
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = np.nan_to_num((frame[list(self.ends)].to_numpy(float) - low) / width)
        near = unit[:, None] + radius * rng.uniform(-1, 1, (len(frame), number, len(low)))
        return self._frame(np.clip(near, 0.0, 1.0).reshape(-1, len(low)))

    def to_dict(self) -> dict[str, Any]:
        """Return the box as plain JSON values."""
        return {"kind": "box", "ends": {name: list(pair) for name, pair in self.ends.items()}}

    @property
    def _low_and_width(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.array(list(self.ends.values())).T
        return low, high - low

    def _frame(self, unit: np.ndarray) -> pd.DataFrame:
        low, width = self._low_and_width
        return pd.DataFrame(low + width * unit, columns=list(self.ends))


@dataclass(frozen=True)
class Simplex:
    """Fractions of a mixture: not negative, of sum ``total``.

    Parameters
    ----------
    parts : sequence of str
        Fractions, of which ``table`` may hold all, or all but the last: the rest is its share.
    total : float
    rest : bool
        The last part is no descriptor: what the others leave.

    Examples
    --------
    >>> mixture = Simplex(("Sr", "La", "Na"), rest=True)
    >>> mixture.descriptors
    ('Sr', 'La')
    >>> bool((mixture.sample(64, seed=0).sum(axis=1) <= 1).all())
    True
    """

    parts: Sequence[str]
    total: float = 1.0
    rest: bool = False

    def __post_init__(self) -> None:
        """Refuse a mixture of nothing."""
        fine = len(set(self.parts)) == len(self.parts) >= 2 and 0 < self.total < math.inf
        if not fine or isinstance(self.parts, str):
            raise CandidateError(
                "at least two different parts, of a positive total",
                f"{self.parts!r} of total {self.total!r}",
                "a repeated name, or a single part",
                "for example cp.Simplex(['Fe', 'Co', 'Ni'])",
            )
        object.__setattr__(self, "parts", tuple(self.parts))

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.parts)[: len(self.parts) - self.rest]

    def sample(self, number: int, seed: int | np.random.Generator) -> pd.DataFrame:
        """Points (point, descriptor), uniform on the simplex: gaps of sorted Sobol points."""
        cuts = np.sort(_sobol(len(self.parts) - 1, number, seed), axis=1)
        return self._frame(np.diff(cuts, axis=1, prepend=0.0, append=1.0))

    def around(
        self, frame: pd.DataFrame, radius: float, number: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Draw ``number`` points near each row, within ``radius`` of the width of the simplex."""
        x = frame[list(self.descriptors)].to_numpy(float) / self.total
        x = np.column_stack([x, 1.0 - x.sum(axis=1)]) if self.rest else x
        step = rng.uniform(-1, 1, (len(x), number, x.shape[1]))
        near = np.maximum(x[:, None] + radius * (step - step.mean(axis=2, keepdims=True)), 0.0)
        near /= near.sum(axis=2, keepdims=True)
        return self._frame(near.reshape(-1, x.shape[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the simplex as plain JSON values."""
        return {
            "kind": "simplex",
            "parts": list(self.parts),
            "total": self.total,
            "rest": self.rest,
        }

    def _frame(self, fractions: np.ndarray) -> pd.DataFrame:
        names = list(self.descriptors)
        return pd.DataFrame(self.total * fractions[:, : len(names)], columns=names)


Space = Box | Simplex


def space_from_dict(data: Mapping[str, Any]) -> Space:
    """Rebuild a space from its ``to_dict``.

    Examples
    --------
    >>> space_from_dict(Box(x=(0, 1)).to_dict())
    Box(ends={'x': (0.0, 1.0)})
    """
    if data["kind"] == "box":
        return Box({name: tuple(pair) for name, pair in data["ends"].items()})
    return Simplex(data["parts"], data["total"], data["rest"])


def spread(x: np.ndarray, number: int, seed: int, taken: np.ndarray | None = None) -> np.ndarray:
    """Positions of candidates (candidate, descriptor) that cover the pool: a first design.

    Sobol points in the box of the pool, each with its nearest candidate that is left.

    Parameters
    ----------
    x : array (candidate, descriptor)
    number : int
    seed : int
    taken : boolean array (candidate), optional
        Candidates that may not be chosen.

    Examples
    --------
    >>> spread(np.linspace(0, 1, 11)[:, None], 3, seed=0).tolist()
    [4, 8, 6]
    """
    free = np.ones(len(x), dtype=bool) if taken is None else ~taken
    low, width = x.min(axis=0), np.ptp(x, axis=0)
    unit = (x - low) / np.where(width > 0, width, 1.0)
    chosen = []
    for point in _sobol(x.shape[1], number, seed):
        if not free.any():
            break
        off = np.where(free, np.square(unit - point).sum(axis=1), np.inf)
        chosen.append(int(off.argmin()))
        free[chosen[-1]] = False
    return np.array(chosen, dtype=int)


def _sobol(dims: int, number: int, seed: int | np.random.Generator) -> np.ndarray:
    """First points (point, dim) of a scrambled Sobol sequence, drawn to a power of two."""
    from scipy.stats.qmc import Sobol

    if number < 1:
        return np.empty((0, dims))
    rng = np.random.default_rng(seed)
    return np.asarray(Sobol(dims, rng=rng).random_base2(math.ceil(math.log2(number)))[:number])


def _check_ends(name: str, pair: Any) -> None:
    try:
        low, high = (float(end) for end in pair)
        fine = math.isfinite(low) and math.isfinite(high) and low <= high
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise CandidateError(
            f"two finite ends low <= high of {name!r}",
            f"{pair!r}",
            "the ends are the wrong way round, or there is one",
            "for example cp.Box(x=(0, 1))",
        )
