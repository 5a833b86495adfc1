"""How long and how carefully samplers run, and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from claude_pymc.errors import SamplingError


@dataclass(frozen=True)
class Settings:
    """Settings of one run.

    Parameters
    ----------
    draws, tune, chains : int
        Kept and warm-up draws per chain, and number of chains.
    seed : int
    accept : float
        Target acceptance rate of the warm-up.
    progress : bool
        Show a progress bar.
    """

    draws: int
    tune: int
    chains: int
    seed: int
    accept: float
    progress: bool = False


def refuse_seed(seed: Any) -> None:
    """Refuse a seed that is no whole number of at least zero; None is one of the machine's own."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and (not whole or seed < 0):
        raise SamplingError(
            "a seed that is a whole number, at least 0, or none",
            f"{seed!r}",
            "a typing error, or a time stamp with a fraction",
            "for example seed=0",
        )
