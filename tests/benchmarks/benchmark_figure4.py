"""`make figure4`: figure 4 of the paper, without noise and with 0.05, and whether it holds.

200 repeats of this package's rules, 50 of the paper's and of least squares, into out/figure4; a run
that was stopped goes on. Ends with exit code 1 if a mean or a maximum is above what it must be.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import Progress

from claude_pymc.campaign import figure4

OUT = Path(__file__).resolve().parents[2] / "out" / "figure4"
NUMBERS, NOISES = {"paper": 50, "ours": 200, "ols": 50}, (0.0, 0.05)
# xi -> samples of E until the maximum: mean and maximum that must be kept
MUST = {1: (10.0, 20), 2: (8.8, 17), 3: (8.2, 15)}
AIM = {1: 8.5, 2: 7.6, 3: 7.0}


def report(frame: pd.DataFrame) -> tuple[str, bool]:
    """Table of all rules, and whether ours keeps what it must."""
    table = figure4.summary(frame)
    ours = table[table["rule"] == "ours"]
    kept = all(
        row.mean <= MUST[row.xi][0] and row.max <= MUST[row.xi][1] and not row.not_found
        for row in ours.itertuples()
    )
    early = frame[(frame["rule"] == "paper") & frame["found"]]
    at_49 = early["s_samples_at_success"] >= figure4.TERMS
    text = [table.round(2).to_string(index=False)]
    word = "kept" if kept else "NOT KEPT"
    text.append(f"ours: mean and maximum must be at most {MUST}, means aim at {AIM}: {word}")
    share = 100 * np.mean(~at_49)
    text.append(
        f"paper's rules: in {share:.0f} % of {len(early)} repeats the maximum came before S had "
        f"{figure4.TERMS} samples"
    )
    return "\n".join(text), kept


def main() -> None:
    """Run what is left, print, and judge."""
    begun = time.perf_counter()
    with Progress() as bar:
        job = bar.add_task("repeats", total=None)
        frame = figure4.run(
            OUT, NUMBERS, NOISES, each=lambda done, of: bar.update(job, completed=done, total=of)
        )
    figure4.summary(frame).round(4).to_csv(OUT / "summary.csv", index=False)
    text, kept = report(frame)
    print(text)
    print(f"{time.perf_counter() - begun:.0f} s")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
