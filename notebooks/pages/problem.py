"""`make pictures`: the picture at the head of the README, from the two cubics of the paper."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t

import claude_pymc as cp
from claude_pymc.review.style import BLUE, GREY, ORANGE, STYLE

OUT = Path(__file__).parent / "static" / "problem.png"
PROB = 0.9


def least_squares(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Straight line through the measured values: mean and half width of the 90 % band."""
    phi, new = (np.column_stack([np.ones_like(v), v]) for v in (x, at))
    w, rest, *_ = np.linalg.lstsq(phi, y)
    spread = np.einsum("ij,jk,ik->i", new, np.linalg.inv(phi.T @ phi), new)
    freedom = len(y) - 2
    return new @ w, t.ppf((1 + PROB) / 2, freedom) * np.sqrt(rest[0] / freedom * spread)


def main() -> None:
    """Draw three panels side by side."""
    table = cp.simulate("toy_pair", seed=3) + cp.simulate("toy_pair", seed=4, n_exp=0)
    bounds = {"x": (0.0, 1.0)}
    design = cp.Design.from_table(table, cp.Polynomial(degree=3), {"exp": ["1"]}, bounds=bounds)
    idata = cp.sample(cp.JointGaussian(design), cp.PatternStats.from_table(table, design), seed=0)
    at = np.linspace(0, 1, 201)
    pred = cp.JointPosterior(idata).predict(at[:, None])
    truth = cp.truth("toy_pair", at[:, None])
    x, (sim, exp) = table.x[:, 0], table.y.T
    measured = np.isfinite(exp)

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), sharey=True, layout="constrained")
        for ax in axes:
            ax.plot(x, exp, "o", color=BLUE, markersize=6, zorder=3, label="measured")
            ax.set(xlabel="composition", ylim=(-2.2, 4.8), xlim=(0, 1))
        for ax in axes[::2]:
            ax.plot(x, sim, "s", color=ORANGE, markersize=5, mfc="white", label="simulated")
        for ax in axes[1:]:
            ax.plot(at, truth[:, 1], "--", color=GREY, label="truth of the experiment")
        middle, half = least_squares(x[measured], exp[measured], at)
        axes[1].fill_between(at, middle - half, middle + half, color=BLUE, alpha=0.2, linewidth=0)
        axes[1].plot(at, middle, color=BLUE, label="fit and 90 % band")
        low, high = pred.interval(PROB).sel(target="exp").to_numpy().T
        axes[2].fill_between(at, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes[2].plot(at, pred.mean().sel(target="exp"), color=BLUE, label="fit and 90 % band")
        titles = "What the laboratory has", "The measured values alone", "Both, in one model"
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
        axes[0].set_ylabel("property")
        parts = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
        labels = {text: handle for handle, text in parts[::-1]}
        order = ["simulated", "measured", "truth of the experiment", "fit and 90 % band"]
        figure.legend([labels[n] for n in order], order, loc="outside lower center", ncols=4)
        figure.savefig(OUT, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
