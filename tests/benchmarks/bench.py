"""`make bench`: this package beside its peers on the same data, in one run; to out/bench.csv.

Each line is a median over repeats with the least and the largest of them, one BLAS thread, caches
warm. A ratio above one says how many times the package is better, whichever of the two numbers
should be large.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accuracy_cases
import fresh
import numpy as np
import pandas as pd
import peers
import problems
import tables
from rich.console import Console
from rich.table import Table as RichTable

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.exact import STARTS
from claude_pymc.joint.importance import importance_sample
from claude_pymc.joint.inputs import arrays_of

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "out" / "bench.csv"
DRAWS, CHAINS = 1000, 4


def seconds(work: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Times of a call, the first one left out."""
    work()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def row(
    name: str,
    values: list[float],
    unit: str,
    peer: str = "",
    peer_values: list[float] | None = None,
    remark: str = "",
) -> dict:
    """One line; rates are better when large, times and errors when small."""
    ours, theirs = np.array(values), np.array(peer_values or [np.nan])
    value, peer_value = np.median(ours), np.median(theirs)
    return {
        "name": name,
        "value": value,
        "low": ours.min(),
        "high": ours.max(),
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "peer_low": theirs.min(),
        "peer_high": theirs.max(),
        "ratio": value / peer_value if unit.endswith("/s") else peer_value / value,
        "remark": remark,
    }


def drawing(problem: problems.Problem, wanted: int, seed: int = 0) -> float:
    """Draw ``wanted`` effective draws of everything without naming them; return how many."""
    rng = np.random.default_rng(seed)
    density = CollapsedPosterior(problem.spec, **arrays_of(problem.spec, problem.stats))
    found = importance_sample(density, density.starts(STARTS, rng), wanted, rng)
    density.columns(*found.resample(wanted, rng))
    assert found.k_hat < 0.7
    return found.ess


def ess_per_second() -> list[dict]:
    """Worst parameter of sixty rows with one target each: sampling against sampling."""
    problem = problems.apart()
    name = "worst ESS/s, 60 rows, 10 terms"
    stats = problem.stats
    sampler = cp.Sampler(problem.spec, method="exact")

    def ours(seed: int) -> tuple[float, float]:
        start = time.perf_counter()
        tree = sampler.draw(stats, draws=DRAWS, chains=CHAINS, seed=seed)
        took = time.perf_counter() - start
        posterior = tree["posterior"].dataset
        draws = {n: posterior[n].transpose("chain", "draw", ...).to_numpy() for n in peers.NAMES}
        # Weights, and rounding of how often a point is drawn: both are in importance_ess.
        return min(fresh.least_ess(draws), float(tree.attrs["importance_ess"])), took

    ours(99)
    runs = [ours(seed) for seed in range(5)]
    values = [ess / took for ess, took in runs]
    found = []
    for peer, impute in (("imputing PyMC, nutpie", True), ("marginal PyMC, nutpie", False)):
        compiled = peers.nutpie_compiled(peers.model_of(problem, impute=impute))
        rates, diverged = [], 0
        for seed in range(3):
            start = time.perf_counter()
            draws, divergent = peers.nutpie_draws(compiled, DRAWS, CHAINS, seed)
            took = time.perf_counter() - start
            rates.append(fresh.least_ess(draws) / took)
            diverged += divergent
        remark = f"{diverged} of {3 * DRAWS * CHAINS} draws diverged"
        found.append(row(name, values, "ESS/s", peer, rates, remark))
    return found


def fresh_processes() -> list[dict]:
    """The same with imports, compilation from warm caches and sampling counted."""

    def rates(what: str) -> list[float]:
        found = []
        for _ in range(4):  # the first fills the caches
            start = time.perf_counter()
            run = subprocess.run(
                [sys.executable, "-W", "ignore", str(HERE / "fresh.py"), what],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )
            found.append(float(run.stdout.split()[-1]) / (time.perf_counter() - start))
        return found[1:]

    ours = rates("ours")
    name = "the same in a fresh process"
    return [
        row(name, ours, "ESS/s", peer, rates(peer)) for peer in ("imputing", "marginal", "numpyro")
    ]


def exact_draws() -> list[dict]:
    """500 effective draws of everything, naming excluded."""
    sine, wide = problems.sine_pair(), problems.wide()
    return [
        row("500 effective draws, sine pair", seconds(lambda: drawing(sine, 500), 9), "s"),
        row("500 effective draws, 500 entries", seconds(lambda: drawing(wide, 500), 3), "s"),
    ]


def refit() -> list[dict]:
    """One more row in a running study: statistics, draws and names."""
    problem = problems.sine_pair()
    sampler, stats = cp.Sampler(problem.spec), problem.stats
    new = problem.table.rows([0])

    def again() -> Any:
        more = stats + cp.PatternStats.from_table(new, problem.spec.design)
        return sampler.draw(more, draws=125, chains=4, seed=0)

    return [row("refit after one more row, 500 draws", seconds(again, 9), "s")]


def ingest() -> list[dict]:
    """A million rows in 49 terms, the expansion included, beside the product alone."""
    problem = problems.million()
    phi = problem.spec.design.phi(problem.table.x)
    product = seconds(lambda: phi.T @ phi)
    return [
        row(
            "ingest of 10^6 rows, 49 terms",
            seconds(lambda: problem.stats),
            "s",
            "phi.T @ phi",
            product,
        )
    ]


def collinear() -> list[dict]:
    """A basis of condition 10^7 on a million rows: error against a QR decomposition of the rows."""
    problem = problems.collinear()
    phi, y = problem.spec.design.phi(problem.table.x), problem.table.y[:, 0]
    length = np.linalg.norm(phi, axis=0)

    def by_rows() -> np.ndarray:
        q, r = np.linalg.qr(phi / length)
        return np.linalg.solve(r, q.T @ y) / length

    expected, stats = by_rows(), problem.stats
    found = cp.find_map(problem.spec, stats, starts=3).coefficients.to_numpy()[0]
    gram = stats.grams[0]
    normal = np.linalg.solve(gram[:-1, :-1], gram[:-1, -1])
    ours, theirs = ([np.abs(v - expected).max() / np.abs(expected).max()] for v in (found, normal))
    took, name = seconds(lambda: problem.stats, 3), "10^6 rows, 7 terms, condition 10^7"
    return [
        row(f"error of coefficients, {name}", ours, "relative", "Gram matrix alone", theirs),
        row(f"ingest, {name}", took, "s", "QR of the rows", seconds(by_rows, 3)),
    ]


def default_fits() -> list[dict]:
    """`cp.fit` of the tables of `make bench-accuracy`, a new seed each time."""
    found = []
    for case, rows, repeats in (("elV", 71, 9), ("elB", 71, 9), ("binary", 1044, 5)):
        table, seeds = accuracy_cases.CASES[case].table, iter(range(100))
        took = seconds(lambda table=table, seeds=seeds: cp.fit(table, seed=next(seeds)), repeats)
        found.append(row(f"default fit, {case}, {rows} rows", took, "s"))
    return found


PARTS = {
    f.__name__: f
    for f in (
        default_fits,
        exact_draws,
        refit,
        ingest,
        collinear,
        ess_per_second,
        fresh_processes,
    )
}


def main() -> None:
    """Run the parts that are named, or all."""
    warnings.simplefilter("ignore")
    chosen = [PARTS[name] for name in sys.argv[1:]] or list(PARTS.values())
    console, rows = Console(), []
    for part in chosen:
        with console.status(part.__name__):
            rows += part()
    frame = pd.DataFrame(rows)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(OUT, index=False)
    table = RichTable("work", "this package", "beside", "times better")
    for t in frame.itertuples():
        ours = tables.spread(t.value, t.low, t.high, f" {t.unit}")
        theirs = tables.spread(t.peer_value, t.peer_low, t.peer_high, f" {t.unit}")
        beside = f"{t.peer}: {theirs}" if t.peer else ""
        table.add_row(t.name, ours, beside, tables.three(t.ratio) if t.peer else "")
    console.print(table)


if __name__ == "__main__":
    main()
