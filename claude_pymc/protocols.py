"""What decisions may rely on: draws over candidates, and nothing else of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Kind = Literal["mean", "observation"]


class Draws(Protocol):
    """Draws of every target over candidates, in the units of the targets."""

    @property
    def draws(self) -> Any:
        """DataArray (sample, candidate, target)."""
        ...


class Predictive(Protocol):
    """A fitted model, seen from a decision: it predicts, and it names what it predicts from.

    It may also have ``uses(target)``, the descriptors on which one target depends;
    ``mean_and_noise(frame, given, seed)``, means and the variance of observations around them,
    where that is quicker than to draw both; ``thinned(number)``, the same with fewer draws; and
    ``forwards_only``, true where no cheaper value can be inferred from one of the primary target.
    """

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the columns a candidate must have."""
        ...

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets, cheapest first, the primary one last."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Units by column name."""
        ...

    def predict(
        self, frame: Any, kind: Kind = "mean", given: Any = None, seed: int | None = None
    ) -> Draws:
        """Draw the targets at the rows of ``frame``.

        Draw s of both kinds comes from the same parameters, so that their difference is noise; a
        model of a single draw gives one mean and many observations.
        """
        ...
