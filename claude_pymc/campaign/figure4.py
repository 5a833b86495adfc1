r"""Figure 4 of the paper: how soon a search finds the largest E of 961 compositions.

Five random points of S and of E, none chosen; then, each turn, one point of E and xi of S, until
the maximum of E, mesh point (17, 19), is measured.

paper  expected improvement (eq. 18) and variance (eq. 19). Points of one turn are conditioned on
       each other, so that two points of S are not neighbours.
ours   the point of E that is most often the maximum of a draw, and the points of S that lower the
       variance of E most where draws have their maxima.
ols    least squares of smallest norm on E alone (xi = 0); next its largest unmeasured point, ties
       by seed.

Both of the first two use one posterior: the basis of the paper, corrections (0, 0) and (1, 0), and
linkage, noise and scales learned, with the default prior. The scaling follows the rows measured so
far.

Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), sec. III, eq. (16)-(21), Fig. 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.objectives import Maximize
from claude_pymc.acquisition.spaces import mesh
from claude_pymc.campaign.figure4_pictures import MAXIMUM, curves, histogram, mean_curve
from claude_pymc.campaign.next_batch import Plan
from claude_pymc.campaign.simulate import Chooser, Oracle, by_plan, repeats, simulate_campaign
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.simulators import truth
from claude_pymc.tables.basis import Sine
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

SIDE, TERMS, FIRST = 31, 49, 5
XIS = (1, 2, 3)
DRAWS = 500  # M of the paper
MOST = 120  # points of E after which a repeat gives up
RULES: dict[str, Mapping[str, str] | str] = {
    "paper": "paper",
    "ours": {"exp": "maximum", "sim": "maximizers"},
}
CORRECTIONS = {"exp": [[0, 0], [1, 0]]}
BOUNDS = {"x1": (0.0, 1.0), "x2": (0.0, 1.0)}
COLUMNS = ["rule", "xi", "noise", "repeat", "found", "samples_to_maximum", "s_samples_at_success"]


@cache
def oracle_of(noise: float) -> Oracle:
    """Values of S and E on the mesh, cheapest first."""
    at = np.linspace(0.0, 1.0, SIDE)
    frame = mesh(x1=at, x2=at)
    return Oracle(frame, ("sim", "exp"), truth("sine_pair", frame), (noise, noise))


def specify(table: Table) -> JointGaussian:
    """Declare the model, scaled by the spread of both targets around their means."""
    y = table.y
    values = y[np.isfinite(y)]
    spread = float(np.sqrt(np.mean([np.nanvar(column, ddof=1) for column in y.T])))
    centre = float(values.mean())
    ends = (centre - spread, centre + spread)
    design = Design.from_bounds(
        BOUNDS, ["sim", "exp"], Sine(order=6), CORRECTIONS, ranges={"sim": ends}
    )
    return JointGaussian(design)


def least_squares(oracle: Oracle) -> Chooser:
    """Largest unmeasured point of the fit of smallest norm to the primary target alone."""
    design = Design.from_bounds(BOUNDS, ["exp"], Sine(order=6), standardize=False)
    phi = design.phi(oracle.frame.to_numpy())

    def choose(
        table: Table, measured: np.ndarray, rng: np.random.Generator
    ) -> Mapping[str, Sequence[int]]:
        have = np.isfinite(measured[:, -1])
        w = np.linalg.lstsq(phi[have], measured[have, -1], rcond=1e-10)[0]
        fit = np.where(have, -np.inf, phi @ w)
        return {"exp": [int(rng.choice(np.flatnonzero(fit >= fit.max() - 1e-9)))]}

    return choose


def one_repeat(job: Sequence[Any]) -> dict[str, Any]:
    """Run one repeat: rule, xi, noise, number."""
    rule, xi, noise, number = job
    oracle = oracle_of(noise)
    rng = np.random.default_rng([number, xi, list(RULES).index(rule) if rule in RULES else 9])
    # All rules begin a repeat with the same points.
    begin = np.random.default_rng([number, 4])
    first = np.zeros(oracle.values.shape, dtype=bool)
    for j in range(2):
        first[begin.choice(len(first), FIRST, replace=False), j] = j == 1 or rule != "ols"
    success = np.zeros(len(first), dtype=bool)
    success[oracle.values[:, 1].argmax()] = True
    if rule == "ols":
        choose = least_squares(oracle)
    else:
        plan = Plan(
            tuple(BOUNDS),
            oracle.targets,
            Maximize("exp"),
            wants={"exp": 1, "sim": xi},
            rules=RULES[rule],
            draws=DRAWS,
        )
        choose = by_plan(plan, oracle, specify)
    run = simulate_campaign(oracle, choose, first, success, lambda y: y, MOST, rng)
    return {"rule": rule, "xi": xi, "noise": noise, "repeat": number, **asdict(run)}


def jobs_of(numbers: Mapping[str, int], noises: Sequence[float]) -> list[list[Any]]:
    """Jobs of a run, with so many repeats of each rule."""
    return [
        [rule, xi, noise, number]
        for noise in noises
        for rule, many in numbers.items()
        for xi in ((0,) if rule == "ols" else XIS)
        for number in range(many)
    ]


def run(
    out: Path,
    numbers: Mapping[str, int],
    noises: Sequence[float] = (0.0,),
    *,
    workers: int = 2,
    each: Callable[[int, int], object] = lambda done, of: None,
) -> pd.DataFrame:
    """Run all repeats, and write ``figure4.csv`` and the pictures into a folder.

    Parameters
    ----------
    out : Path
        Folder; what an earlier run left there is not done again.
    numbers : mapping of rule to number of repeats
        Of "paper", "ours", "ols".
    noises : sequence of float
        Standard deviations of a measurement.
    workers : int
        Processes.
    each : callable
        Told how many repeats are done, of how many.

    Returns
    -------
    DataFrame
        rule, xi, noise, repeat, found, samples_to_maximum (the five first ones included; where the
        maximum was not found, those measured), s_samples_at_success, best (after each point of E).
    """
    out.mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(numbers, [float(noise) for noise in noises])
    frame = repeats(one_repeat, jobs, out / "figure4.jsonl", workers=workers, each=each)
    frame = frame.rename(columns={"samples": "samples_to_maximum", "cheap": "s_samples_at_success"})
    frame[COLUMNS].to_csv(out / "figure4.csv", index=False)
    for noise in noises:
        part = frame[frame["noise"] == noise]
        name = "" if noise == 0 else f"_noise{noise:g}"
        curves(part).savefig(out / f"figure4{name}.png")
        histogram(part).savefig(out / f"figure4_s_samples{name}.png")
    return frame


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarise the samples of E until the maximum, by noise, rule and xi.

    Columns repeats, mean and its standard error se, median, max, not_found, and arrives: the number
    of samples at which the mean of the best values is within 1 % of the maximum.
    """
    rows = []
    for (noise, rule, xi), part in frame.groupby(["noise", "rule", "xi"], sort=False):
        samples = part["samples_to_maximum"]
        mean, _, _ = mean_curve(part["best"], int(samples.max()))
        near = np.flatnonzero(mean >= 0.99 * MAXIMUM)
        rows.append(
            {
                "noise": noise,
                "rule": rule,
                "xi": xi,
                "repeats": len(part),
                "mean": samples.mean(),
                "se": samples.sem(),
                "median": samples.median(),
                "max": samples.max(),
                "not_found": int((~part["found"]).sum()),
                "arrives": near[0] + 1 if len(near) else np.nan,
            }
        )
    return pd.DataFrame(rows)
