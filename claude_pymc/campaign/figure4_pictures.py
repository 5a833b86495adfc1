"""Pictures of figure 4: mean curves with one-sided fluctuations, and when the jump comes."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.review.style import STYLE

MAXIMUM = 2.2125
TERMS = 49
LOOKS = {  # xi -> colour, line
    0: ("#595959", (0, (1, 1))),
    1: ("#D55E00", "-"),
    2: ("#0072B2", (0, (5, 1.5))),
    3: ("#009E73", (0, (4, 1, 1, 1))),
}
TITLES = {"ours": "Rules of this package", "paper": "Rules of the paper"}


def mean_curve(best: pd.Series, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean best value after each sample, and its fluctuations below and above (eq. 20, 21).

    A repeat that has ended keeps its last value.
    """
    found = np.array([[*b, *[b[-1]] * (length - len(b))][:length] for b in best])
    mean = found.mean(axis=0)
    below = np.minimum(found - mean, 0.0).mean(axis=0)
    above = np.maximum(found - mean, 0.0).mean(axis=0)
    return mean, mean + below, mean + above


def curves(frame: pd.DataFrame) -> Figure:
    """Draw the largest E found against the number of samples of E, one panel per rule."""
    rules = [rule for rule in TITLES if (frame["rule"] == rule).any()]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(rules), 3.8), layout="constrained")
        panels = figure.subplots(1, len(rules), sharey=True, squeeze=False)[0]
        for axes, rule in zip(panels, rules, strict=True):
            longest = int(frame.loc[frame["rule"] == rule, "samples_to_maximum"].max())
            length = max(30, min(60, longest + 3))
            for xi, (colour, line) in LOOKS.items():
                part = frame[(frame["rule"] == (rule if xi else "ols")) & (frame["xi"] == xi)]
                if not len(part):
                    continue
                mean, low, high = mean_curve(part["best"], length)
                at = np.arange(1, length + 1)
                label = f"$\\xi$ = {xi} ({len(part)} repeats)" if xi else "least squares on E"
                axes.fill_between(at[4:], low[4:], high[4:], color=colour, alpha=0.18, linewidth=0)
                axes.plot(at[4:], mean[4:], color=colour, linestyle=line, label=label)
            axes.axhline(MAXIMUM, color="black", linewidth=0.8, linestyle="--")
            axes.set_xlabel("samples of E, the 5 first ones included")
            axes.set_title(TITLES[rule])
            axes.legend(loc="lower right")
        panels[0].set_ylabel("largest E measured, mean of repeats")
    return figure


def histogram(frame: pd.DataFrame) -> Figure:
    """Draw how many samples of S there were when the maximum was found; the paper says 49."""
    rules = [rule for rule in TITLES if (frame["rule"] == rule).any()]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(rules), 3.4), layout="constrained")
        panels = figure.subplots(1, len(rules), squeeze=False)[0]
        for axes, rule in zip(panels, rules, strict=True):
            part = frame[(frame["rule"] == rule) & frame["found"]]
            most = max(60, int(part["s_samples_at_success"].max()) + 4) if len(part) else 60
            for xi, (colour, line) in LOOKS.items():
                counts = part.loc[part["xi"] == xi, "s_samples_at_success"]
                if xi and len(counts):
                    axes.hist(
                        counts,
                        bins=np.arange(4.5, most, 3),
                        histtype="step",
                        linewidth=1.6,
                        color=colour,
                        linestyle=line,
                        label=f"$\\xi$ = {xi}",
                        weights=np.full(len(counts), 100.0 / len(counts)),
                    )
            axes.axvline(TERMS, color="black", linewidth=0.8, linestyle="--")
            axes.annotate(
                "49 terms",
                (TERMS, 0.97),
                xycoords=("data", "axes fraction"),
                ha="right",
                va="top",
                rotation=90,
            )
            axes.set_xlabel("samples of S when the maximum was measured")
            axes.set_title(TITLES[rule])
            if len(part):
                axes.legend(loc="upper center")
        panels[0].set_ylabel("repeats [%]")
    return figure
