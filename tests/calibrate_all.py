"""Simulation-based calibration of twelve configurations; `make calibration`.

    python tests/calibrate_all.py [NUMBER [SEED [METHOD] [WORD ...]]]

NUMBER data sets are simulated for each configuration (default 300), of those whose name holds a
WORD (default: all), and drawn by METHOD, "nuts" (default) or "exact". Ranks and pictures go to
out/calibration. The exit code is 1 if a quantity is not uniform at 1 % after Holm's correction over
the quantities of all configurations that were run.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from calibration_cases import CASES
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import claude_pymc as cp
from claude_pymc.review.uniformity import holm

OUT = Path(__file__).resolve().parents[1] / "out" / "calibration"
LEVEL = 0.01


class Counted:
    """A sampler that reports each posterior it has drawn."""

    def __init__(self, sampler, advance):
        self.sampler, self.advance, self.exact = sampler, advance, 0

    def draw(self, stats, **settings):
        tree = self.sampler.draw(stats, **settings)
        self.exact += tree.attrs["method"] == "exact"
        self.advance()
        return tree


def run(
    cases, number: int, seed: int, method: str, console: Console
) -> dict[str, tuple[cp.Calibration, float]]:
    """Calibrate case by case and write the ranks and a picture of each."""
    OUT.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    found = {}
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("data sets", total=len(cases) * number)
        for case in cases:
            bar.update(task, description=case.name)
            start = time.perf_counter()
            sampler = Counted(case.by(method), lambda: bar.advance(task))
            result = cp.calibrate(
                case.spec,
                case.layout,
                sampler=sampler,
                simulations=number,
                seed=1000 * seed + CASES.index(case),
            )
            seconds = time.perf_counter() - start
            name = case.name if method == "nuts" else f"{case.name}-{method}"
            result.save(OUT / f"{name}.nc")
            result.plot().savefig(OUT / f"{name}.png")
            found[case.name] = result, seconds
            worst = result.uniformity().iloc[0]
            bar.console.print(
                f"{case.name}: {worst.name}, p = {worst.p_value:.3g}, "
                f"{result.divergent} divergent, {sampler.exact} of {number} exact, {seconds:.0f} s"
            )
    return found


def summary(found: dict[str, tuple[cp.Calibration, float]]) -> pd.DataFrame:
    """p-values of all quantities, corrected over all configurations together."""
    parts = [result.uniformity().assign(case=name) for name, (result, _) in found.items()]
    frame = pd.concat(parts).reset_index()
    return frame.assign(p_holm=holm(frame["p_value"].to_numpy()))


def main() -> int:
    """Run, print a table, and say whether something was rejected."""
    given = sys.argv[1:]
    number = int(given[0]) if given else 300
    seed = int(given[1]) if len(given) > 1 else 0
    words = given[2:]
    method = words.pop(0) if words[:1] in (["nuts"], ["exact"]) else "nuts"
    cases = [case for case in CASES if not words or any(word in case.name for word in words)]
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log file has no width of its own
    found = run(cases, number, seed, method, console)
    p_values = summary(found)
    table = Table(title=f"{number} data sets each, {len(p_values)} quantities in all")
    for name in ("configuration", "quantities", "least p", "of", "Holm p", "divergent", "seconds"):
        table.add_column(
            name, no_wrap=True, justify="left" if name in ("configuration", "of") else "right"
        )
    for name, (result, seconds) in found.items():
        least = p_values[p_values["case"] == name].iloc[0]
        numbers = [
            f"{least.p_value:.2g}",
            least.quantity.replace("[", r"\["),
            f"{least.p_holm:.2g}",
        ]
        table.add_row(
            name, str(len(result.quantities)), *numbers, str(result.divergent), f"{seconds:.0f}"
        )
    console.print(table)
    rejected = p_values[p_values["p_holm"] < LEVEL]
    if len(rejected):
        console.print(rejected.to_string(index=False), markup=False)
    expected = int(np.ceil(LEVEL * len(p_values)))
    below = int((p_values["p_value"] < LEVEL).sum())
    console.print(f"{below} p-values below 1 % without correction; about {expected} expected")
    return 1 if len(rejected) else 0


if __name__ == "__main__":
    sys.exit(main())
