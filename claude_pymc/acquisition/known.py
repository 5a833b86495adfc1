"""What is known of candidates: values measured there, and which are taken.

Two rows are at the same point if they agree in the descriptors that both have: a row that lacks a
descriptor did not depend on it.
"""

from __future__ import annotations

import numpy as np

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.protocols import Predictive


def known_values(
    post: Predictive, pool: Candidates, past: Candidates, forget: frozenset[str] = frozenset()
) -> dict[str, np.ndarray]:
    """Values known at each candidate: its own, else the last measured at the same point.

    As :func:`told`.
    """
    targets = list(post.targets)
    values = pool.values.copy()
    for source in (past, pool):
        for mask, rows in source.masks():
            here, there = pool.keys_of(mask), source.keys_of(mask)[rows]
            order = np.argsort(there, kind="stable")
            for j in range(len(targets)):
                have = order[np.isfinite(source.values[rows[order], j])]
                if len(have):
                    # The last of those with equal keys, which stand in the order of rows.
                    place = np.searchsorted(there[have], here, side="right") - 1
                    last = have[np.maximum(place, 0)]
                    same = (place >= 0) & (there[last] == here) & np.isnan(values[:, j])
                    values[same, j] = source.values[rows[last[same]], j]
    return told(post, values, forget)


def told(
    post: Predictive, values: np.ndarray, forget: frozenset[str] = frozenset()
) -> dict[str, np.ndarray]:
    """Values (row, target) as a model takes them, by target, those in ``forget`` left out.

    So is the primary one where a cheaper one lacks, if the model does not infer backwards.
    """
    values = np.where([t in forget for t in post.targets], np.nan, values)
    if getattr(post, "forwards_only", False):
        values[np.isnan(values[:, :-1]).any(axis=1), -1] = np.nan
    return dict(zip(post.targets, values.T, strict=True))


def used(post: Predictive, target: str) -> np.ndarray:
    """Descriptors (mask) that a target depends on: all, if the model does not say, or none."""
    names = getattr(post, "uses", lambda _: ())(target)
    return np.isin(post.descriptors, names or post.descriptors)


def taken(pool: Candidates, past: Candidates, j: int, needed: np.ndarray) -> np.ndarray:
    """Candidates (mask) at whose points target j was measured, in the pool or before."""
    found = np.zeros(len(pool.frame), dtype=bool)
    for source in (pool, past):
        for mask, rows in source.masks():
            done = rows[np.isfinite(source.values[rows, j])]
            if len(done) and (mask & needed).any():
                there = source.keys_of(mask & needed)[done]
                found |= np.isin(pool.keys_of(mask & needed), there)
    return found


def same(pool: Candidates, pick: int, needed: np.ndarray) -> np.ndarray:
    """Candidates (mask) that agree with ``pick`` in the descriptors that count."""
    keys = pool.keys_of(needed)
    return np.asarray(keys == keys[pick])
