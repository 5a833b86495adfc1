"""Closed loops on real tables: how many experiments until the wanted one is measured?

The answer is in the table and hidden from the model. Every simulation is known from the start, as
it is where simulations are cheap; five random experiments come first, then one each turn.

elements  the largest measured bulk modulus among 58 (GPa; modelled by its logarithm)
gaps      a measured gap of 1.50 eV, the nearest to 1.5 eV there is: three of 216 compounds
near      a gap within 0.1 eV of 1.5 eV: twelve of them

ours        expected improvement on this package's posterior: the study of `models/` for the
            elements, for the gaps the same kind of study; simulations assimilated
exp only    expected improvement of a Gaussian process (scikit-learn, squared-exponential with one
            length for each descriptor, and noise) on the experiments alone
random      the expected number, without a model

Run as a script: number of starts, 15 unless another is given. Writes out/pools.csv; what an earlier
run left in out/pools.jsonl is not done again.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accuracy_cases import CASES
from accuracy_peers import process
from threadpoolctl import threadpool_limits

from claude_pymc.acquisition.functions import log_expected_improvement
from claude_pymc.acquisition.objectives import Maximize, Objective, Reach
from claude_pymc.campaign.next_batch import Plan
from claude_pymc.campaign.simulate import Chooser, Oracle, by_plan, repeats, simulate_campaign
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

FIRST, DRAWS, SAMPLES = 5, 1000, 2000
OUT = Path(__file__).resolve().parents[2] / "out"
METHODS = ("ours", "exp only", "random")
POOLS: dict[str, tuple[str, Objective, float]] = {  # table, aim, how near the best counts
    "elements": ("elB", Maximize("exp"), 0.0),
    "gaps": ("binary", Reach("exp", 1.5), 0.0),
    "near": ("binary", Reach("exp", 1.5), 0.1),
}


@cache
def oracle_of(pool: str) -> Oracle:
    """Values of a table; of the gaps, descriptors that tell rows apart."""
    case = CASES[POOLS[pool][0]]
    frame = pd.DataFrame(case.x, columns=list(case.names))
    return Oracle(frame, ("sim", "exp"), np.column_stack([case.sim, case.exp]), (0.0, 0.0))


def specify(table: Table) -> JointGaussian:
    """A polynomial of degree 2, and what the experiment adds: a constant and linear terms."""
    linear = {"exp": ["1", "linear"]}
    design = Design.from_table(table, Polynomial(degree=2), linear)
    return JointGaussian(design, ShrinkagePrior())


def ours(oracle: Oracle, objective: Objective) -> Chooser:
    """Expected improvement of the value that would be measured, given its simulation."""
    plan = Plan(
        tuple(oracle.frame.columns),
        oracle.targets,
        objective,
        wants={"exp": 1},
        kind="observation",
        draws=DRAWS,
    )
    simulated = oracle.values[:, 0]
    measurable = np.isfinite(oracle.values[:, 1])

    def choose(
        table: Table, measured: np.ndarray, rng: np.random.Generator
    ) -> Mapping[str, Sequence[int]]:
        both = np.column_stack([simulated, measured[:, 1]])
        rows = oracle.table(both)
        known = Oracle(
            oracle.frame[measurable].reset_index(drop=True), oracle.targets, both, (0.0, 0.0)
        )
        found = by_plan(plan, known, specify)(rows, both[measurable], rng)
        back = np.flatnonzero(measurable)
        return {target: [int(back[i]) for i in at] for target, at in found.items()}

    return choose


def exp_only(oracle: Oracle, objective: Objective) -> Chooser:
    """Expected improvement of a process on the experiments alone."""
    x = oracle.frame.to_numpy(float)
    measurable = np.isfinite(oracle.values[:, 1])

    def choose(
        table: Table, measured: np.ndarray, rng: np.random.Generator
    ) -> Mapping[str, Sequence[int]]:
        have = np.isfinite(measured[:, 1])
        free = np.flatnonzero(measurable & ~have)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = process(int(have.sum()), x.shape[1]).fit(x[have], measured[have, 1])
        mean, sd = model.predict(x[free], return_std=True)
        draws = mean + sd * rng.standard_normal((SAMPLES, len(free)))
        best = float(objective.utility(measured[have, 1]).max())
        score = log_expected_improvement(objective.utility(draws), best)
        return {"exp": [int(free[score.argmax()])]}

    return choose


def at_random(oracle: Oracle, objective: Objective) -> Chooser:
    """Any that was not measured."""
    measurable = np.isfinite(oracle.values[:, 1])

    def choose(
        table: Table, measured: np.ndarray, rng: np.random.Generator
    ) -> Mapping[str, Sequence[int]]:
        return {"exp": [int(rng.choice(np.flatnonzero(measurable & np.isnan(measured[:, 1]))))]}

    return choose


CHOOSERS: dict[str, Callable[[Oracle, Objective], Chooser]] = dict(
    zip(METHODS, (ours, exp_only, at_random), strict=True)
)


def one_start(job: Sequence[Any]) -> dict[str, Any]:
    """Run one search: pool, method, start; all methods begin with the same experiments."""
    pool, method, start = job
    oracle, (_, objective, slack) = oracle_of(pool), POOLS[pool]
    truth = oracle.values[:, 1]
    utility = np.where(np.isfinite(truth), objective.utility(truth), -np.inf)
    success = utility >= utility.max() - slack - 1e-9
    begin = np.random.default_rng([start, 40])
    first = np.zeros(oracle.values.shape, dtype=bool)
    may = np.flatnonzero(np.isfinite(truth) & ~success)
    first[begin.choice(may, FIRST, replace=False), 1] = True
    rng = np.random.default_rng([start, METHODS.index(method)])
    choose, begun = CHOOSERS[method](oracle, objective), time.perf_counter()
    run = simulate_campaign(
        oracle, choose, first, success, objective.utility, int(np.isfinite(truth).sum()), rng
    )
    seconds = time.perf_counter() - begun
    return {"pool": pool, "method": method, "start": start, "experiments": run.samples,
            "found": run.found, "seconds": seconds}  # fmt: skip


def main(starts: int) -> None:
    """Print one table, and write every search."""
    OUT.mkdir(exist_ok=True)
    jobs = [(p, m, s) for p in POOLS for m in METHODS for s in range(starts)]
    frame = repeats(one_start, jobs, OUT / "pools.jsonl")
    frame.to_csv(OUT / "pools.csv", index=False)
    found = frame.groupby(["pool", "method"], sort=False)["experiments"]
    table = found.describe(percentiles=[0.25, 0.5, 0.75])[["count", "25%", "50%", "75%", "max"]]
    table["seconds"] = frame.groupby(["pool", "method"], sort=False)["seconds"].mean()
    print("Experiments until success, the five first ones included")
    print(table.round(1).to_string())


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
