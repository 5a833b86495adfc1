"""Predictions averaged over specifications: draws of each in proportion to its probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.prediction import Prediction
from claude_pymc.notation import SAMPLE
from claude_pymc.protocols import Kind


@dataclass(frozen=True, eq=False)
class AveragedPosterior:
    """Posteriors of several specifications of the same targets, as one.

    Parameters
    ----------
    posteriors : mapping of name to JointPosterior
    probabilities : tuple of float
        Of the specifications, in the same order, of sum one.
    """

    posteriors: Mapping[str, JointPosterior]
    probabilities: tuple[float, ...]

    @property
    def _first(self) -> JointPosterior:
        return next(iter(self.posteriors.values()))

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the columns a candidate must have."""
        return self._first.descriptors

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets, cheapest first, the primary one last."""
        return self._first.targets

    @property
    def units(self) -> Mapping[str, str]:
        """Units by column name."""
        return self._first.units

    @property
    def forwards_only(self) -> bool:
        """Whether one of the specifications infers no cheaper value from a primary one."""
        return any(post.forwards_only for post in self.posteriors.values())

    def uses(self, target: str) -> tuple[str, ...]:
        """Descriptors on which a target depends in any of the specifications."""
        used = {name for post in self.posteriors.values() for name in post.uses(target)}
        return tuple(name for name in self.descriptors if name in used)

    def predict(
        self, frame: Any, kind: Kind = "mean", given: Any = None, seed: int | None = None
    ) -> Prediction:
        """Predict the targets at candidates, as :meth:`JointPosterior.predict` does.

        The draws of the specifications stand one after the other, their numbers in proportion to
        the probabilities.
        """
        streams = np.random.default_rng(seed).integers(2**31, size=len(self.posteriors))
        predicted = [
            post.predict(frame, kind, given, int(stream))
            for post, stream in zip(self.posteriors.values(), streams, strict=True)
        ]
        found = [one.draws for one in predicted]
        numbers = allotted(self.probabilities, min(draws.sizes[SAMPLE] for draws in found))
        heavy = tuple(t for t in self.targets if any(t in one.heavy for one in predicted))
        parts = []
        for draws, number in zip(found, numbers, strict=True):
            at = ((np.arange(number) + 0.5) * draws.sizes[SAMPLE] / max(number, 1)).astype(int)
            parts.append(draws.isel({SAMPLE: at}))
        return Prediction(xr.concat(parts, dim=SAMPLE), kind, self.units, heavy)

    def log_predictive_density(self, frame: Any, target: str, given: Any = None) -> np.ndarray:
        """Log density of measured values of one target, averaged over the specifications.

        Parameters
        ----------
        frame, target, given
            As in :meth:`JointPosterior.log_predictive_density`.

        Returns
        -------
        array (candidate)
        """
        found = [
            post.log_predictive_density(frame, target, given) for post in self.posteriors.values()
        ]
        shares = np.array(self.probabilities)[:, None]
        density: np.ndarray = logsumexp(np.array(found), axis=0, b=shares)
        return density


def allotted(shares: tuple[float, ...], number: int) -> np.ndarray:
    """Return ``number`` in parts proportional to ``shares``, by largest remainders."""
    exact = np.array(shares) * number / sum(shares)
    parts = np.floor(exact).astype(int)
    order = np.argsort(parts - exact, kind="stable")
    parts[order[: number - parts.sum()]] += 1
    return parts
