"""Pictures of checks: leave-one-out PIT of each target, and what predictions rest on."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.errors import SamplingError
from claude_pymc.review.against_rows import NULL_DRAWS, LeaveOneOut
from claude_pymc.review.places import refuse_prob
from claude_pymc.review.style import GREY, PALE, STYLE, describe, headline, look_of, number
from claude_pymc.review.uniformity import band
from claude_pymc.review.used import KNOWN, PRIOR

MOST = 30  # predictions that are drawn one by one
HATCHES = ("", "//", "", "", "..")


def _no_figures(what: str, got: object, name: str) -> SamplingError:
    """Say where such figures come from."""
    return SamplingError(
        what,
        type(got).__name__,
        "the whole of diagnose, or checks without the rows",
        f"pass diagnose(post, table).{name}",
    )


def plot_pit(loo: LeaveOneOut, level: float = 0.95) -> Figure:
    """Leave-one-out PIT of each target: observed minus uniform distribution, with its band.

    Inside of the grey band the predictions are calibrated as far as so many values can show. A wave
    first below, then above zero: intervals are too wide; first above, then below: too narrow; all
    on one side: predictions are off to one side.

    Parameters
    ----------
    loo : LeaveOneOut
        As ``diagnose(post, table).loo`` has it.
    level : float
        The whole curve of a calibrated target lies inside the band with this probability.

    Raises
    ------
    SamplingError
        If no target has five values.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> plot_pit(cp.diagnose(post, table).loo).savefig("pit.png")
    """
    if not isinstance(loo, LeaveOneOut):
        raise _no_figures("leave-one-out figures", loo, "loo")
    refuse_prob(level, "level")
    columns = {t: loo.pit[:, j][np.isfinite(loo.pit[:, j])] for j, t in enumerate(loo.targets)}
    columns = {name: values for name, values in columns.items() if len(values) >= 5}
    if not columns:
        raise SamplingError(
            "a target with at least five values",
            f"targets {list(loo.targets)} with fewer",
            "hardly any rows, or draws without replicates",
            "measure more, or look at the values one by one",
        )
    said = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(columns) + 0.6, 3.4), layout="constrained")
        grid = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
        for axes, (name, values) in zip(grid, columns.items(), strict=True):
            z, low, high = band(len(values), level, NULL_DRAWS)
            curve = (values[:, None] <= z).mean(axis=0) - z
            outside = bool(((curve < low - z) | (curve > high - z)).any())
            look = look_of(name, loo.targets)
            axes.fill_between(z, low - z, high - z, step="mid", color="#DDDDDD", linewidth=0)
            axes.plot(z, curve, color=look.colour, linestyle=look.line, linewidth=1.8)
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            word = "leaves the band" if outside else "inside the band"
            axes.set_title(f"{name}\n{len(values)} values, {word}")
            axes.set_xlabel("PIT of the value left out")
            said.append(f"{name} ({len(values)} values) {word}")
        grid[0].set_ylabel("observed minus uniform")
        headline(figure, f"Predictions of values left out, band {100 * level:.0f} %")
    return describe(figure, f"Leave-one-out PIT less the uniform one: {'; '.join(said)}.")


def plot_shares(shares: pd.DataFrame) -> Figure:
    """Draw what each prediction of the primary target rests on.

    Bars: weights of the cheaper values known at the place and of the rows of each target, of sum
    100 %. Dots: the share of the prior in what decides the variance of the prediction.

    Parameters
    ----------
    shares : DataFrame
        As ``diagnose(post, table).shares`` has it. Of more than thirty predictions every k-th is
        drawn, in the order of the share of the prior.

    Raises
    ------
    SamplingError
        If there is no prediction.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> found = cp.diagnose(post, table, candidates=cp.mesh(x=np.linspace(0, 1, 6)))
    >>> figure = plot_shares(found.shares)
    """
    if not isinstance(shares, pd.DataFrame) or not {KNOWN, PRIOR} <= set(shares.columns):
        raise _no_figures("shares of predictions", shares, "shares")
    if not len(shares):
        raise SamplingError(
            "at least one prediction", "none", "an empty table", "diagnose with the rows"
        )
    ordered = shares.sort_values(PRIOR, ascending=False, kind="stable")
    at = np.linspace(0, len(ordered) - 1, min(len(ordered), MOST)).round().astype(int)
    shown = ordered.iloc[at]
    sources = [str(name) for name in shares.columns if name not in (KNOWN, PRIOR)]
    looks = {name: look_of(name, sources).colour for name in sources}
    if shares[KNOWN].any():
        looks = {KNOWN: PALE, **looks}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.8, 0.2 * len(shown) + 2.0), layout="constrained")
        axes = figure.add_subplot()
        left = np.zeros(len(shown))
        for i, (name, colour) in enumerate(looks.items()):
            values = 100.0 * shown[name].to_numpy()
            axes.barh(
                range(len(shown)),
                values,
                left=left,
                color=colour,
                edgecolor="white",
                linewidth=0.6,
                hatch=HATCHES[i % len(HATCHES)],
                label=name,
                height=0.8,
            )
            left = left + values
        axes.plot(
            100.0 * shown[PRIOR],
            range(len(shown)),
            "o",
            color="black",
            markeredgecolor="white",
            markersize=6,
            label="share of the prior in its variance",
            clip_on=False,
            zorder=3,
        )
        axes.set_yticks(range(len(shown)), [str(name) for name in shown.index], fontsize=8)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("weight of the source (bars), share of the prior (dots) [%]")
        axes.axvline(50.0, color="black", linewidth=0.8, linestyle=":")
        figure.legend(loc="outside lower left", ncols=2)
        less = f" ({len(shown)} of {len(ordered)})" if len(shown) < len(ordered) else ""
        headline(figure, f"What the predictions rest on{less}")
    told = [f"{name} {number(100 * shares[name].median())} %" for name in looks]
    worst = f"{ordered.index[0]} with {number(100 * ordered[PRIOR].iloc[0])} %"
    return describe(
        figure,
        f"Median weights in {len(ordered)} predictions: {', '.join(told)}. Share of the prior: "
        f"median {number(100 * shares[PRIOR].median())} %, most for {worst}.",
    )
