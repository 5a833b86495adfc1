"""How long and how carefully the no-U-turn samplers run: one record for every backend."""

from __future__ import annotations

from dataclasses import dataclass


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
