"""Write the synthetic examples beside this file, one data set each with a fixed seed.

The functions, counts and noise are those of `claude_pymc.simulators`. Where they come from a paper
or slides, the rows are still drawn anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from claude_pymc.simulators import simulate

SEEDS = {
    "toy_pair": 20250903,
    "sine_pair": 20250917,
    "perovskite": 20251001,
    "sine_line": 20251008,
    "magnet": 20251015,
}


def write(folder: Path) -> None:
    """Write the tables into a folder; ten digits, an empty cell where nothing was measured."""
    for name, seed in SEEDS.items():
        table = simulate(name, seed)
        rows = [
            ",".join("" if np.isnan(v) else f"{v:.10g}" for v in row)
            for row in np.hstack([table.x, table.y])
        ]
        text = "\n".join([",".join(table.descriptors + table.targets), *rows, ""])
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
