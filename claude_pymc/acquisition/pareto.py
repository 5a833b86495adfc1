r"""Two or three objectives at once: what a measurement adds to the volume that is dominated.

With a front P of measured utilities and a reference point r below all that matters, the dominated
volume is that of the union of the boxes [r, p], p in P; a point u adds what [r, u] holds beyond it.

Source: Emmerich, Deutz, Klinkenberg, IEEE CEC, 2147 (2011).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from claude_pymc.errors import CandidateError


def front_of(points: np.ndarray) -> np.ndarray:
    """Points (point, objective) that no other one beats in all objectives, without repeats.

    Examples
    --------
    >>> front_of(np.array([[0.0, 2.0], [1.0, 1.0], [0.5, 0.5]])).tolist()
    [[0.0, 2.0], [1.0, 1.0]]
    """
    points = np.unique(points, axis=0)
    beaten = (points[None] >= points[:, None]).all(axis=2) & (points[None] > points[:, None]).any(
        axis=2
    )
    return np.asarray(points[~beaten.any(axis=1)])


def hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """Volume of what points (point, objective) dominate, above a reference point (objective).

    Examples
    --------
    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros(2))
    3.0
    """
    total = 0.0
    for i in range(len(points)):
        total += float(_gain(points[i], _sorted(points[:i]), np.asarray(reference, dtype=float)))
    return total


def expected_hypervolume_improvement(
    utility: np.ndarray, front: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Mean over draws of the volume that a candidate adds to the front.

    Parameters
    ----------
    utility : array (sample, candidate, objective)
        Two or three objectives, larger = better.
    front : array (point, objective) or (sample, point, objective)
        What has been reached: measured, or, for each draw, of a batch's earlier points too.
    reference : array (objective)

    Raises
    ------
    CandidateError
        If there are fewer than two or more than three objectives.

    Examples
    --------
    >>> one = np.array([[[2.0, 2.0], [0.5, 0.5]]])
    >>> expected_hypervolume_improvement(one, np.array([[1.0, 1.0]]), np.zeros(2))
    array([3., 0.])
    """
    if utility.shape[2] not in (2, 3):
        raise CandidateError(
            "two or three objectives",
            f"{utility.shape[2]}",
            "one objective has an expected improvement; more than three are slow to weigh",
            "give one objective, or two or three",
        )
    reference = np.asarray(reference, dtype=float)
    found = np.zeros(utility.shape[1])
    each = front.ndim == 3
    shared = _sorted(front_of(front)) if not each else front
    for s, values in enumerate(np.ascontiguousarray(utility, dtype=float)):
        _add_gains(values, _sorted(front_of(front[s])) if each else shared, reference, found)
    return found / len(utility)


def reference_below(points: np.ndarray) -> np.ndarray:
    """Return a point a tenth of the range below the worst of the front, in each objective.

    Examples
    --------
    >>> reference_below(np.array([[0.0, 2.0], [1.0, 1.0], [0.5, -9.0]]))
    array([-0.1,  0.9])
    """
    front = front_of(points)
    span = np.ptp(front, axis=0)
    span = np.where(span > 0, span, np.maximum(np.abs(front).max(axis=0), 1e-12))
    return np.asarray(front.min(axis=0) - 0.1 * span)


def _sorted(points: np.ndarray) -> np.ndarray:
    """Points by their last objective, then their first, both downwards."""
    points = np.asarray(points, dtype=float)
    return np.ascontiguousarray(points[np.lexsort((-points[:, 0], -points[:, -1]))])


@njit(cache=True)
def _gain(u: np.ndarray, points: np.ndarray, low: np.ndarray) -> float:
    """Volume of [low, u] beyond the boxes of points, which are sorted by the last objective."""
    k, n = len(u), len(points)
    volume = 1.0
    for o in range(k):
        if not u[o] > low[o]:
            return 0.0
        volume *= u[o] - low[o]
    if k == 2:
        right, top = low[0], 0.0
        # From the highest down, each point adds a strip to the right of those before it.
        for i in range(n):
            x, y = min(points[i, 0], u[0]), min(points[i, 1], u[1])
            if x > right and y > low[1]:
                top += (x - right) * (y - low[1])
                right = x
        return volume - top
    inside = 0.0
    xs, ys = np.empty(n), np.empty(n)  # boxes that reach this level, x downwards
    m = 0
    for i in range(n):
        x, y, z = min(points[i, 0], u[0]), min(points[i, 1], u[1]), min(points[i, 2], u[2])
        below = low[2] if i == n - 1 else max(min(points[i + 1, 2], u[2]), low[2])
        at = m
        while at > 0 and xs[at - 1] < x:
            xs[at], ys[at] = xs[at - 1], ys[at - 1]
            at -= 1
        xs[at], ys[at] = x, y
        m += 1
        if z > below:
            area, reached = 0.0, low[1]
            for j in range(m):
                if ys[j] > reached and xs[j] > low[0]:
                    area += (xs[j] - low[0]) * (ys[j] - reached)
                    reached = ys[j]
            inside += area * (z - below)
    return volume - inside


@njit(cache=True)
def _add_gains(values: np.ndarray, points: np.ndarray, low: np.ndarray, found: np.ndarray) -> None:
    for c in range(len(values)):
        found[c] += _gain(values[c], points, low)
