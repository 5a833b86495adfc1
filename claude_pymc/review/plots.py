"""Pictures: prediction against experiment, the model's parameters, chains, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from claude_pymc.joint.crossvalidation import CrossValidation
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.review.identified import noise_in_units
from claude_pymc.review.style import BLUE, GREY, ORANGE, STYLE, axis_label, describe, number
from claude_pymc.review.uniformity import band

ENDS = (0.05, 0.95)
MOST_TERMS = 30  # that are drawn, the largest
Rows = Sequence[tuple[str, np.ndarray, float | None]]


def plot_predictions(cv: CrossValidation, units: Mapping[str, str], log: bool = False) -> Figure:
    """Predicted against measured values of rows that were hidden, with their intervals.

    Parameters
    ----------
    cv : CrossValidation
    units : mapping of str to str
    log : bool
        Logarithmic axes.

    Examples
    --------
    >>> table = cp.Study.named("perovskite").table()
    >>> spec = cp.Study.named("perovskite").spec(table)
    >>> cv = cp.cross_validate(cp.Sampler(spec), table, folds=5)
    >>> figure = plot_predictions(cv, {"gap_exp": "eV"})
    """
    frame = cv.frame
    inside = frame["measured"].between(frame["lower"], frame["upper"]).to_numpy()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.6), layout="constrained")
        axes = figure.add_subplot()
        for mask, colour, marker, word in (
            (inside, BLUE, "o", "inside"),
            (~inside, ORANGE, "D", "outside"),
        ):
            part = frame[mask]
            bars = [part["mean"] - part["lower"], part["upper"] - part["mean"]]
            axes.errorbar(
                part["measured"],
                part["mean"],
                yerr=np.maximum(np.array(bars), 0.0),
                fmt=marker,
                color=colour,
                markersize=5,
                elinewidth=1,
                label=f"measured value {word} its {100 * cv.prob:.0f} % interval ({mask.sum()})",
            )
        for _, row in frame[~inside].iterrows():
            axes.annotate(
                str(row["label"]),
                (row["measured"], row["mean"]),
                xytext=(6, 4),
                textcoords="offset points",
            )
        ends = [frame[["measured", "lower"]].min().min(), frame[["measured", "upper"]].max().max()]
        axes.plot(ends, ends, color=GREY, linewidth=1, zorder=0)
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
                axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
                axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        label = axis_label(cv.target, units)
        axes.set_xlabel(f"measured {label}")
        axes.set_ylabel(f"predicted {label}")
        low, high = cv.coverage_interval()
        axes.set_title(
            f"Each point predicted without its own measurement\n"
            f"{cv.covered} of {len(frame)} inside: {100 * cv.coverage:.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
        )
        axes.legend(loc="upper left")
    low, high = frame["measured"].min(), frame["measured"].max()
    unit = units.get(cv.target, "")
    words = (
        f"Predicted against measured {cv.target} of {len(frame)} hidden rows, from {number(low)} "
        f"to {number(high, unit)}: {cv.covered} lie inside their {100 * cv.prob:.0f} % interval."
    )
    return describe(figure, words)


def plot_parameters(post: JointPosterior) -> Figure:
    """Posterior of linkage, corrections and noise: 90 % and 50 % intervals and medians.

    A dotted line marks zero for a correction, and 1 for the linkage to the nearest cheaper target
    of the same quantity; a linkage between different quantities has no value to be compared with.

    Parameters
    ----------
    post : JointPosterior

    Examples
    --------
    >>> post = cp.fit(cp.simulate("toy_pair", seed=0), seed=0)
    >>> figure = plot_parameters(post)
    """
    design = post.spec.design
    posterior = post.idata["posterior"].dataset
    linkage = post.linkage.to_numpy().reshape(-1, len(design.targets), len(design.targets))
    corrections = posterior["corrections"].transpose("chain", "draw", "target", "basis").to_numpy()
    corrections = corrections.reshape(-1, *corrections.shape[2:])
    sigma = posterior["sigma"].transpose("chain", "draw", "target").to_numpy()
    sigma = sigma.reshape(-1, len(design.targets))
    links = [
        (f"{design.targets[j]} on {design.targets[k]}", linkage[:, j, k], mean or None)
        for j, k, mean in post.spec.links
    ]
    terms = [
        (term, corrections[:, -1, b], 0.0)
        for b, term in enumerate(design.terms)
        if design.active[-1, b]
    ]
    title = f"Corrections R of {design.targets[-1]} (scaled units)"
    if len(terms) > MOST_TERMS:
        title += f", the {MOST_TERMS} largest of {len(terms)}"
        mean = {name: float(np.abs(draws).mean()) for name, draws, _ in terms}
        least = sorted(mean.values())[-MOST_TERMS]
        terms = [term for term in terms if mean[term[0]] >= least]
    noise = [
        (f"{t}: {noise_in_units(post, j, float(np.median(sigma[:, j])))}", sigma[:, j], None)
        for j, t in enumerate(design.targets)
    ]
    marked = any(reference for *_, reference in links)
    panels: list[tuple[str, Rows]] = [
        ("Linkage c" + (" (dotted: 1, carries over as it is)" if marked else ""), links),
        (title, terms),
        ("Noise sigma (scaled units; medians in the unit of the target)", noise),
    ]
    panels = [panel for panel in panels if panel[1]]
    sizes = [len(rows) + 1.4 for _, rows in panels]
    with matplotlib.rc_context(STYLE):
        # Inches for the longest name, left of the axes, and the longest title, above them.
        names = 0.085 * max(len(name) for _, rows in panels for name, *_ in rows)
        titles = 0.09 * max(len(title) for title, _ in panels)
        size = max(6.4, names + max(4.0, titles)), 0.36 * sum(sizes) + 1.0
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(panels), 1, height_ratios=sizes, squeeze=False)[:, 0]
        for axes, (title, rows) in zip(grid, panels, strict=True):
            _forest(axes, rows)
            axes.set_title(title)
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6))
        figure.supxlabel(
            "posterior: median, 50 % (thick) and 90 % (thin) interval", x=0.99, ha="right", size=10
        )
    said = [
        f"{name} {number(np.median(draws))} ({' to '.join(map(number, np.quantile(draws, ENDS)))})"
        for name, draws, _ in (*links, *noise)
    ]
    words = (
        "Intervals of linkage, corrections and noise, one line each. Median and 90 % of linkage "
        f"and noise: {'; '.join(said)}. {len(terms)} terms of the corrections are drawn."
    )
    return describe(figure, words)


def _forest(axes: Any, rows: Rows) -> None:
    """One line per quantity, first on top, with a dotted line at its reference."""
    for place, (_, draws, reference) in enumerate(reversed(rows)):
        low, first, middle, third, high = np.quantile(draws, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([low, high], [place, place], color=BLUE, linewidth=1.2)
        axes.plot([first, third], [place, place], color=BLUE, linewidth=4)
        axes.plot(middle, place, "o", color="white", markeredgecolor=BLUE, markersize=5)
        if reference is not None:
            ends = [place - 0.5, place + 0.5]
            axes.plot([reference] * 2, ends, color=GREY, linewidth=1, linestyle=":", zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)


def plot_ranks(post: JointPosterior) -> Figure:
    """Rank plot of each chain for linkage and noise: flat bars mean chains that agree.

    Ranks of all draws together, counted by chain in 20 bins; the band holds 99 % of the counts of
    chains that agree and draw independently.

    Parameters
    ----------
    post : JointPosterior

    Examples
    --------
    >>> post = cp.fit(cp.simulate("toy_pair", seed=0), seed=0)
    >>> figure = plot_ranks(post)
    """
    from scipy.stats import binom, rankdata

    design = post.spec.design
    posterior = post.idata["posterior"].dataset
    sigma = posterior["sigma"].transpose("chain", "draw", "target").to_numpy()
    shown = [
        (f"c: {design.targets[j]} on {design.targets[k]}", post.linkage.to_numpy()[:, :, j, k])
        for j, k, _ in post.spec.links
    ] + [(f"sigma: {t}", sigma[:, :, j]) for j, t in enumerate(design.targets)]
    chains, draws = sigma.shape[:2]
    bins = 20
    usual = binom.interval(0.99, draws, 1 / bins)
    styles = ("-", "--", ":", "-.")
    top, lowest, highest = usual[1], draws, 0
    with matplotlib.rc_context(STYLE):
        columns = min(len(shown), 3)
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(3.3 * columns, 2.4 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.ravel()[len(shown) :]:
            axes.set_axis_off()
        for axes, (name, values) in zip(grid.ravel(), shown, strict=False):
            ranks = (rankdata(values).reshape(values.shape) - 0.5) / values.size
            axes.axhspan(*usual, color="#DDDDDD", zorder=0)
            for chain in range(chains):
                counts, edges = np.histogram(ranks[chain], bins=bins, range=(0, 1))
                top = max(top, counts.max())
                lowest, highest = min(lowest, counts.min()), max(highest, counts.max())
                colour = matplotlib.colormaps["cividis"](chain / max(chains - 1, 1) * 0.9)
                style = styles[chain % len(styles)]
                axes.stairs(
                    counts, edges, baseline=None, color=colour, linestyle=style, linewidth=1.2
                )
            axes.set_title(name)
            axes.set_xlabel("rank among all draws")
        grid[0, 0].set_ylabel("draws per bin")
        grid[0, 0].set_ylim(0, 1.1 * top)
        figure.suptitle(
            f"{chains} chains, one line each: flat lines inside the grey band (99 %) agree",
            fontsize=10,
            x=0.01,
            ha="left",
        )
    words = (
        f"Ranks of {chains} chains for {len(shown)} quantities, {draws} draws each: counts of "
        f"a bin lie between {lowest} and {highest}; usual are {usual[0]:.0f} to {usual[1]:.0f}."
    )
    return describe(figure, words)


def plot_calibration(ranks: Any, p_values: Mapping[str, float], level: float = 0.95) -> Figure:
    """Deviation of the ranks of each quantity from uniformity, with the band that holds them.

    Parameters
    ----------
    ranks : DataArray (simulation, quantity)
        As :class:`claude_pymc.review.calibration.Calibration` holds them.
    p_values : mapping of quantity to p-value
    level : float
        The whole curve of a calibrated quantity lies inside the band with this probability.
    """
    values = ranks.transpose("quantity", "simulation").to_numpy()
    names = [str(name) for name in ranks["quantity"].to_numpy()]
    n = values.shape[1]
    z, low, high = band(n, level)
    curves = {
        name: (v[:, None] <= z).mean(axis=0) - z for name, v in zip(names, values, strict=True)
    }
    outside = [
        k for k, curve in curves.items() if (curve < low - z).any() or (curve > high - z).any()
    ]
    worst = sorted(outside, key=lambda name: p_values[name])[:3]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.fill_between(z, low - z, high - z, step="mid", color=BLUE, alpha=0.15, linewidth=0)
        for name, curve in curves.items():
            if name not in worst:
                axes.plot(z, curve, color=GREY, linewidth=0.8, alpha=0.6)
        for name, colour in zip(worst, (ORANGE, "#D55E00", "#CC79A7"), strict=False):
            label = f"{name}, p = {p_values[name]:.2g}"
            axes.plot(z, curves[name], color=colour, linewidth=1.6, label=label)
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.set_xlabel("normalised rank of the truth")
        axes.set_ylabel("observed minus uniform")
        axes.set_title(
            f"{len(names)} quantities, {n} simulated data sets: "
            f"{len(outside)} leave their {100 * level:.0f} % band"
        )
        if worst:
            axes.legend(loc="best")
    words = (
        f"Ranks of {len(names)} quantities in {n} simulated data sets against uniform ones: "
        f"{len(outside)} leave their {100 * level:.0f} % band"
        + (f", the worst {worst[0]} (p = {p_values[worst[0]]:.2g})." if worst else ".")
    )
    return describe(figure, words)
