"""Predictions: draws over candidates, and their summaries for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from claude_pymc.errors import CandidateError
from claude_pymc.notation import CANDIDATE, SAMPLE, TARGET
from claude_pymc.protocols import Kind

FARTHEST = 4.0  # standard deviations from the mean, of observations that need not have one


@dataclass(frozen=True, eq=False)
class Prediction:
    """Draws of the targets at candidates, in the units of the targets.

    Parameters
    ----------
    draws : DataArray (sample, candidate, target)
    kind : "mean" or "observation"
    units : mapping of str to str
    heavy : tuple of str
        Targets whose observations have Student-t noise: of their draws the median is told, and no
        standard deviation, since neither that nor the mean need exist.
    """

    draws: xr.DataArray
    kind: Kind
    units: Mapping[str, str] = field(default_factory=dict)
    heavy: tuple[str, ...] = ()

    def mean(self) -> xr.DataArray:
        """Mean over draws (candidate, target)."""
        return self.draws.mean(SAMPLE, skipna=False)

    def median(self) -> xr.DataArray:
        """Median over draws (candidate, target).

        Observations of a target that is modelled by its logarithm have no mean where noise is
        Student-t; they have a median and intervals.
        """
        return self.draws.median(SAMPLE, skipna=False)

    def std(self) -> xr.DataArray:
        """Return the standard deviation over draws (candidate, target); zero if there is one."""
        return self.draws.std(SAMPLE, ddof=min(1, self.draws.sizes[SAMPLE] - 1), skipna=False)

    def interval(self, prob: float = 0.9) -> xr.DataArray:
        """Equal-tailed interval (candidate, target, bound), bound = lower, upper."""
        if not 0 < prob < 1:
            raise CandidateError(
                "a probability between 0 and 1", f"{prob!r}", "a percentage", "write 0.9, not 90"
            )
        ends = self.draws.quantile([(1 - prob) / 2, (1 + prob) / 2], dim=SAMPLE, skipna=False)
        ends = ends.rename(quantile="bound").assign_coords(bound=["lower", "upper"])
        return ends.transpose(CANDIDATE, TARGET, "bound")

    def to_frame(self, prob: float = 0.9) -> pd.DataFrame:
        """One row per candidate: mean (or median, see ``heavy``), std and interval by target."""
        mean, std, ends = self.mean(), self.std(), self.interval(prob)
        median = self.median() if self.heavy else mean
        columns = {}
        for target in map(str, mean[TARGET].to_numpy()):
            heavy = target in self.heavy
            word, centre = ("median", median) if heavy else ("mean", mean)
            columns[f"{target}_{word}"] = centre.sel(target=target).to_numpy()
            spread = std.sel(target=target).to_numpy()
            columns[f"{target}_std"] = np.full(len(spread), np.nan) if heavy else spread
            for bound in ("lower", "upper"):
                name = f"{target}_{bound}{round(100 * prob)}"
                columns[name] = ends.sel(target=target, bound=bound).to_numpy()
        return pd.DataFrame(columns, index=pd.Index(mean[CANDIDATE].to_numpy(), name=CANDIDATE))


def centre_name(columns: Iterable[str], target: str) -> str:
    """Name of the column with the centre of a target, of those that :meth:`to_frame` makes."""
    return f"{target}_median" if f"{target}_median" in columns else f"{target}_mean"


def quartile_std(draws: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the standard deviation of a normal distribution with the same quartiles."""
    low, high = np.quantile(draws, [0.25, 0.75], axis=axis)
    return np.asarray((high - low) / 1.349)


def variance_around(noisy: Any, means: np.ndarray) -> np.ndarray:
    """Variance of observations around their mean (candidate, target), an average over draws.

    Of a target whose noise is Student-t it need not exist: there it is that of a normal
    distribution with the same quartiles.

    Parameters
    ----------
    noisy : Prediction
        Of kind "observation".
    means : array (sample, candidate, target)
        Draws of kind "mean", from the same parameters; or (1, candidate, target).
    """
    off = noisy.draws.to_numpy() - means
    variance = np.square(off).mean(axis=0)
    for j in _heavy(noisy):
        variance[:, j] = np.square(quartile_std(off[..., j]))
    return np.asarray(variance)


def bounded_around(noisy: Any, means: np.ndarray) -> np.ndarray:
    """Observations (sample, candidate, target) that have a mean and a variance.

    Those of a target whose noise is Student-t need not have them: their distance from the mean is
    cut at `FARTHEST` standard deviations of a normal distribution with the same quartiles.
    Parameters as of :func:`variance_around`.
    """
    values = np.array(noisy.draws.to_numpy())
    for j in _heavy(noisy):
        off = values[..., j] - means[..., j]
        limit = FARTHEST * quartile_std(off)
        values[..., j] = means[..., j] + np.clip(off, -limit, limit)
    return values


def _heavy(noisy: Any) -> list[int]:
    """Positions of targets whose noise is Student-t."""
    names = getattr(noisy, "heavy", ())
    return [list(noisy.draws[TARGET].to_numpy()).index(name) for name in names]
