r"""Simulation-based calibration: does the sampler draw from the posterior it claims to draw from.

Parameters theta* are drawn from the prior, rows from the model given theta*, and L draws from the
posterior given the rows. For any quantity f the rank of f(theta*) among f(theta_1) .. f(theta_L)
is uniform on 0 .. L if prior, model and sampler belong together (Talts et al., arXiv 1804.06788);
`claude_pymc.review.uniformity` has the test. The log-likelihood is one of the quantities, which
makes the check sensitive to errors that marginals hide (Modrak et al., Bayesian Analysis 20, 461
(2025)).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from claude_pymc.errors import Notice, SamplingError
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.ops import pattern_numpy
from claude_pymc.joint.sampling import Sampler
from claude_pymc.joint.simulate import draw_prior, named_truth, simulate_rows
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.review.plots import plot_calibration
from claude_pymc.review.uniformity import holm, uniformity_p_value
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

SIMULATION, QUANTITY = "simulation", "quantity"
RANKS = 99
FEW = 20  # simulations, below which hardly anything can be rejected


class Drawing(Protocol):
    """Anything that draws a posterior from statistics: :class:`Sampler`, or one of your own."""

    def draw(self, stats: PatternStats, *, seed: int, **settings: Any) -> xr.DataTree:
        """Return a tree with a group ``posterior`` of dims (chain, draw, ...)."""
        ...


@dataclass(frozen=True, eq=False)
class Calibration:
    """Normalised ranks of the truth, one row per simulated data set.

    Parameters
    ----------
    ranks : DataArray (simulation, quantity)
        (rank + u) / (L + 1) with u uniform in [0, 1): uniform in [0, 1) if calibrated.
    divergent : int
        Simulations with a diverging draw.
    """

    ranks: xr.DataArray
    divergent: int = 0

    def __repr__(self) -> str:
        """Return one line: how many data sets and quantities, and the least p-value."""
        p = self.uniformity()["p_value"]
        return (
            f"Calibration: {self.ranks.sizes[SIMULATION]} simulated data sets, "
            f"{len(self.quantities)} quantities, least p-value {p.iloc[0]:.2g} ({p.index[0]}), "
            "before correction for their number"
        )

    def uniformity(self) -> pd.DataFrame:
        """p-value of each quantity, and the same after Holm's correction for their number."""
        values = self.ranks.transpose(QUANTITY, SIMULATION).to_numpy()
        p = np.array([uniformity_p_value(v) for v in values])
        frame = pd.DataFrame({"p_value": p, "p_holm": holm(p)}, index=self.quantities)
        return frame.rename_axis(QUANTITY).sort_values("p_value")

    @property
    def quantities(self) -> list[str]:
        """Names of the quantities."""
        return [str(name) for name in self.ranks[QUANTITY].to_numpy()]

    def rejected(self, level: float = 0.01, tests: int | None = None) -> list[str]:
        """Quantities that are not uniform at ``level`` after correction for the number of tests.

        ``tests`` is the number of tests, if this calibration is one of several.
        """
        p = self.uniformity()
        if tests is None:
            return list(p.index[p["p_holm"] < level])
        return list(p.index[p["p_value"] * tests < level])

    def plot(self, level: float = 0.95) -> Figure:
        """Draw the deviations from uniformity with the band that holds calibrated quantities."""
        return plot_calibration(self.ranks, dict(self.uniformity()["p_value"]), level)

    def save(self, path: str | Path) -> None:
        """Write the ranks to one netCDF file."""
        named = self.ranks.rename("ranks").assign_attrs(divergent=self.divergent)
        named.to_netcdf(path, engine="h5netcdf")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what :meth:`save` wrote."""
        ranks = xr.load_dataarray(path, engine="h5netcdf")
        return cls(ranks, int(ranks.attrs["divergent"]))


def calibrate(
    spec: JointGaussian,
    layout: Table,
    *,
    sampler: Drawing | None = None,
    simulations: int = 100,
    draws: int = 400,
    tune: int = 400,
    chains: int = 2,
    seed: int = 0,
    progress: bool = False,
) -> Calibration:
    """Check a specification and its sampler on data sets simulated from the prior.

    Parameters
    ----------
    spec : JointGaussian
        With a proper prior.
    layout : Table
        Descriptors of the rows, and which targets they have: its targets are read as present or
        missing only.
    sampler : object with ``draw(stats, seed=..., draws=..., tune=..., chains=...)``, optional
        By default ``Sampler(spec)``, compiled once.
    simulations : int
        Number of data sets. 30 find a noise that is half of the truth, 300 an interval that is
        30 % too narrow; below 20 a Notice says that hardly anything can be rejected.
    draws, tune, chains : int
        Of each posterior; 99 draws, evenly spaced, take part in the ranks.
    seed : int
    progress : bool
        Show a progress bar.

    Returns
    -------
    Calibration

    Raises
    ------
    SpecError
        If the prior is improper.
    SamplingError
        If there are too few draws or simulations.

    Examples
    --------
    >>> table = cp.Study.named("toy_pair").table()
    >>> spec = cp.Study.named("toy_pair").spec(table)
    >>> result = calibrate(spec, table, simulations=100, seed=0)
    >>> result.rejected()
    []
    """
    if draws * chains < RANKS or simulations < 1:
        raise SamplingError(
            f"at least {RANKS} draws and one simulation",
            f"{draws} draws in {chains} chains, {simulations} simulations",
            "too small a number",
            "leave the defaults",
        )
    if simulations < FEW:
        text = f"{simulations} simulated data sets can hardly reject anything, whatever is wrong: "
        warnings.warn(f"{text}take at least {FEW}, better 100", Notice, stacklevel=2)
    streams = np.random.SeedSequence(seed).spawn(simulations)
    draw_prior(spec, np.random.default_rng(0))  # refuses an improper prior before compiling
    drawing = Sampler(spec) if sampler is None else sampler
    rows, divergent = [], 0
    for stream in _track(streams, progress):
        rng = np.random.default_rng(stream)
        truth = draw_prior(spec, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            table = simulate_rows(spec, truth, layout, rng)
            stats = PatternStats.from_table(table, spec.design, rows=spec.needs == "rows")
            data = data_of(spec, stats)
            tree = drawing.draw(
                stats, seed=int(rng.integers(2**31)), draws=draws, tune=tune, chains=chains
            )
        rows.append(_ranks(spec, truth, data, tree, rng))
        if "sample_stats" in tree.children and "diverging" in tree["sample_stats"].dataset:
            divergent += bool(tree["sample_stats"]["diverging"].any())
    names = list(rows[0])
    ranks = xr.DataArray(
        [[row[name] for name in names] for row in rows],
        {QUANTITY: names},
        (SIMULATION, QUANTITY),
    )
    return Calibration(ranks, divergent)


def _track(items: list[Any], progress: bool) -> Iterator[Any]:
    if not progress:
        yield from items
        return
    from rich.progress import track

    yield from track(items, description="simulated data sets")


def _ranks(
    spec: JointGaussian,
    truth: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    tree: xr.DataTree,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Normalised rank of every free quantity, and of the log-likelihood."""
    posterior = tree["posterior"].dataset
    known = named_truth(spec, truth)
    thinned = {}
    for name in known:
        values = posterior[name].transpose(CHAIN, DRAW, ...).to_numpy()
        values = values.reshape(-1, *values.shape[2:])
        thinned[name] = values[np.linspace(0, len(values) - 1, RANKS).round().astype(int)]
    found = {}
    chosen = spec.design.chosen
    for name, value in known.items():
        draws = thinned[name]
        free = spec.design.active if name == "corrections" else np.full(value.shape, True)
        maybe = free if chosen and name in ("corrections", "varying") else np.zeros_like(free)
        for place in np.ndindex(value.shape):
            column = draws[(slice(None), *place)]
            upper = name == "joint_covariance" and place[0] < place[1]
            zero = value[place] == 0.0 and not column.any()
            if upper or (zero and not maybe[place]):  # a structural zero
                continue
            label = f"{name}[{', '.join(map(str, place))}]"
            found[label] = _rank(column, float(value[place]), rng)
    likelihood = [
        pattern_numpy(*_columns(spec, {k: v[i] for k, v in thinned.items()}), **data)[0]
        for i in range(RANKS)
    ]
    at_truth = float(pattern_numpy(*_columns(spec, known), **data)[0])
    found["log_likelihood"] = _rank(np.array(likelihood), at_truth, rng)
    return found


def _rank(draws: np.ndarray, value: float, rng: np.random.Generator) -> float:
    """(rank + u) / (L + 1), ties broken at random."""
    below, equal = int((draws < value).sum()), int((draws == value).sum())
    rank = below + rng.integers(equal + 1)
    return float((rank + rng.uniform()) / (len(draws) + 1))


def _columns(
    spec: JointGaussian, values: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """C, sigma and R of all variables; under "joint" from mean and covariance."""
    if spec.likelihood == "conditional":
        return values["linkage"], values["sigma"], values["corrections"]
    root = np.linalg.cholesky(values["joint_covariance"])
    sigma = np.diag(root)
    unit = np.linalg.inv(root / sigma)
    return np.eye(len(sigma)) - unit, sigma, (unit @ values["joint_mean"])[:, None]
