"""Rows of the primary target as the compiled loops take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claude_pymc.joint.laplace import Rows
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.kept import KeptRows


@dataclass(frozen=True, eq=False)
class Cheap:
    """What the primary target takes from draws of the cheaper ones.

    Parameters
    ----------
    offset : array (draw or 1, entry)
        Part of the log prior sds of R that scales of the cheaper targets give.
    centre, spread : arrays (draw or 1, missing), (draw or 1, missing, missing)
        Mean, and lower root of the covariance, of cheaper values that rows lack.
    latent : array (row, cheaper target)
        Position of the missing value, -1 where it was measured.
    """

    offset: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    latent: np.ndarray

    @classmethod
    def nothing(cls, entries: int, rows: int, targets: int) -> Cheap:
        """Return what rows that have all cheaper targets take, if scales are not tied."""
        empty = np.zeros((1, 0)), np.zeros((1, 0, 0))
        return cls(np.zeros((1, entries)), *empty, np.full((rows, targets), -1))

    @property
    def coupled(self) -> bool:
        """Say whether primary values speak of the cheaper targets' parameters."""
        return len(self.offset) > 1 or self.centre.shape[1] > 0

    def choose(
        self, number: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose a draw of the cheaper targets for each of ``number`` points.

        Returns
        -------
        integer arrays (point)
            The draw; its place in ``offset``; its place in ``centre`` and ``spread``.
        """
        which = rng.integers(max(len(self.offset), len(self.centre)), size=number)
        return which, which % len(self.offset), which % len(self.centre)

    def missing(self, place: np.ndarray, white: np.ndarray) -> np.ndarray:
        """Cheaper values that rows lack (point, missing), from standard normal ones."""
        return self.centre[place] + np.einsum("gij,gj->gi", self.spread[place], white)


def rows_of(spec: JointGaussian, kept: KeptRows, cheap: Cheap, more: float) -> Rows:
    """Flatten rows: columns of linkages, of what varies them, of corrections."""
    design = spec.design
    n, last = len(kept), len(design.targets) - 1
    links = [(k, mean) for j, k, mean in spec.links if j == last]
    varied = [design.terms.index(term) for term in spec.varying]
    terms = [b for j, b in spec.columns.entries if j == last]
    values = np.where(np.isnan(kept.y[:, :last]), 0.0, kept.y[:, :last])
    psi = kept.phi[:, varied]
    near = np.full(len(varied), spec.nearest)
    cheaper = np.concatenate([np.array([k for k, _ in links], dtype=int), near]).astype(int)
    factor = np.hstack([np.ones((n, len(links))), psi])
    base = np.hstack([factor * values[:, cheaper], kept.phi[:, terms]])
    latent = np.full(base.shape, -1)
    latent[:, : len(cheaper)] = cheap.latent[:, cheaper]
    incomplete = np.flatnonzero((latent >= 0).any(axis=1))
    slope = np.zeros(base.shape)
    slope[:, : len(cheaper)] = factor
    mean = np.zeros(base.shape[1])
    mean[: len(links)] = [value for _, value in links]
    place = {name: i for i, name in enumerate(spec.sources)}
    base, y = np.ascontiguousarray(base), np.array(kept.y[:, last])  # kept ones are read-only
    alike = spec.noise == "normal" and not (spec.errors or spec.sources or len(incomplete))
    return Rows(
        base,
        y,
        np.array(kept.sigma) if spec.errors else np.zeros(n),
        np.array([place.get(str(s), 0) for s in kept.source], dtype=np.int64),
        mean,
        incomplete.astype(np.int64),
        latent[incomplete].astype(np.int64),
        slope[incomplete],
        alike,
        base.T @ base if alike and len(y) >= len(mean) else np.empty((0, 0)),
        base.T @ (y - base @ mean) if alike else np.empty(0),
        float(more),
    )


def complete_rows(rows: Rows) -> Rows:
    """Rows without those that lack cheaper values."""
    keep = np.setdiff1d(np.arange(len(rows.y)), rows.incomplete)
    return Rows(
        np.ascontiguousarray(rows.base[keep]),
        rows.y[keep],
        rows.error[keep],
        rows.source[keep],
        rows.mean,
        rows.incomplete[:0],
        rows.latent[:0],
        rows.slope[:0],
        rows.alike,
        rows.gram,
        rows.cross,
        rows.more,
    )
