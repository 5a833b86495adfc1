"""Predictions: draws over candidates, and their summaries for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
import xarray as xr

from claude_pymc.errors import CandidateError
from claude_pymc.notation import CANDIDATE, SAMPLE, TARGET
from claude_pymc.protocols import Kind


@dataclass(frozen=True, eq=False)
class Prediction:
    """Draws of the targets at candidates, in the units of the targets.

    Parameters
    ----------
    draws : DataArray (sample, candidate, target)
    kind : "mean" or "observation"
    units : mapping of str to str
    """

    draws: xr.DataArray
    kind: Kind
    units: Mapping[str, str] = field(default_factory=dict)

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
        """One row per candidate: mean, std and interval of each target."""
        mean, std, ends = self.mean(), self.std(), self.interval(prob)
        columns = {}
        for target in map(str, mean[TARGET].to_numpy()):
            columns[f"{target}_mean"] = mean.sel(target=target).to_numpy()
            columns[f"{target}_std"] = std.sel(target=target).to_numpy()
            for bound in ("lower", "upper"):
                name = f"{target}_{bound}{round(100 * prob)}"
                columns[name] = ends.sel(target=target, bound=bound).to_numpy()
        return pd.DataFrame(columns, index=pd.Index(mean[CANDIDATE].to_numpy(), name=CANDIDATE))
