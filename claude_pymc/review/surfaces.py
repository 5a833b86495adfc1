"""Pictures of what is predicted along one descriptor; maps and draws of the prior by name."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from claude_pymc.errors import CandidateError
from claude_pymc.protocols import Predictive
from claude_pymc.review.places import (
    as_predictive,
    by_quantity,
    draws_at,
    ends_of,
    held_at,
    in_words,
    labelled,
    modelled_by_log,
    near_by,
    number_among,
    points_at,
    refuse_prob,
    refuse_table,
    targets_among,
)
from claude_pymc.review.style import (
    GREY,
    STYLE,
    axis_label,
    describe,
    headline,
    log_scale,
    look_of,
    number,
    widest,
)
from claude_pymc.tables.table import Table

POINTS = 101  # of a slice


def plot_slices(
    post: Predictive,
    table: Table | None = None,
    along: str | None = None,
    at: Mapping[str, Any] | None = None,
    targets: Sequence[str] | None = None,
    prob: float = 0.9,
    seed: int | None = 0,
) -> Figure:
    """Targets along one descriptor, with their bands, and what was measured.

    The dark band holds the mean of a target given x with probability ``prob``,
    E[y | x, C, R] over the draws of C and R; the pale one a value that would be measured, its noise
    included. Rows that lie off the slice, by more than a tenth of the range of another descriptor
    that the target uses, are drawn faint. Targets of one quantity share a panel.

    Parameters
    ----------
    post : JointPosterior, draws of `cp.sample`, or anything that predicts
    table : Table, optional
        Rows whose values are marked.
    along : str, optional
        Default: the first descriptor that is a number.
    at : mapping of descriptor to value, optional
        Where the others are held. Default: the medians of the rows, the most frequent category;
        without a table the middle of the bounds.
    targets : sequence of str, optional
    prob : float
        Content of the bands, 0.9 for 90 %.
    seed : int, optional
        For the noise of the pale band.

    Returns
    -------
    Figure
        With words for those who do not see it: `claude_pymc.review.style.alt_text`.

    Raises
    ------
    CandidateError
        For an unknown descriptor or target, a descriptor that holds text along, a table without
        rows, or a target that needs what is missing.

    Examples
    --------
    >>> table = cp.simulate("sine_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> figure = plot_slices(post, table, along="x1", at={"x2": 0.5})
    >>> figure.savefig("slices.png")
    """
    post = as_predictive(post)
    refuse_table(table)
    refuse_prob(prob)
    along, names = number_among(post, along), targets_among(post, targets)
    held = held_at(post, table, at, [along])
    x = np.linspace(*ends_of(post, table, along), POINTS)
    frame = points_at(post, held, {along: x})
    mean = draws_at(post, frame, names, kind="mean")
    noisy = draws_at(post, frame, names, kind="observation", seed=seed)
    sides = [(1 - prob) / 2, (1 + prob) / 2]
    panels, said, marked = by_quantity(post, names), [], 0
    with matplotlib.rc_context(STYLE):
        heights = [max(3.2, 1.1 * len(shown)) for shown in panels]
        size = 7.4 + widest(names, 0.06), 1.4 + sum(heights)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[
            :, 0
        ]
        for axes, shown in zip(grid, panels, strict=True):
            for target in shown:
                look = look_of(target, post.targets)
                wide = np.quantile(noisy[target], sides, axis=0)
                axes.fill_between(x, *wide, color=look.colour, alpha=0.12, linewidth=0)
                _band(axes, x, mean[target], sides, look, target)
                ends = np.quantile(mean[target][:, [0, -1]], sides, axis=0).T
                middle = mean[target][:, [0, -1]].mean(axis=0)
                unit = post.units.get(target, "")
                said.append(
                    f"{target} goes from {number(middle[0])} ({_pair(ends[0])}) to "
                    f"{number(middle[1])} ({_pair(ends[1])}) {unit}".rstrip()
                )
                if table is not None:
                    near = near_by(post, table, held, target)
                    marked += _marks(axes, table, along, target, look, near, "measured")
            axes.set_ylabel(labelled(shown, post.units))
            _log_where_modelled(axes, post, shown, [mean[t] for t in shown])
            _legend(axes)
        grid[-1].set_xlabel(axis_label(along, post.units))
        headline(
            figure,
            f"Along {along}: mean (line) and its {100 * prob:.0f} % band; "
            "pale: a value to be measured",
        )
        grid[0].set_title(in_words(held, post.units), fontsize=9, color=GREY)
    ends_said = f"{number(x[0])} to {number(x[-1], post.units.get(along, ''))}"
    words = f"Means and {100 * prob:.0f} % bands along {along} from {ends_said}: "
    return describe(figure, words + f"{'; '.join(said)}. {marked} measured values are marked.")


def _band(axes: Any, x: np.ndarray, draws: np.ndarray, sides: Any, look: Any, label: str) -> None:
    """Mean of draws (sample, point) and the band between two quantiles, with thin edges."""
    low, high = np.quantile(draws, sides, axis=0)
    axes.fill_between(x, low, high, color=look.colour, alpha=0.3, linewidth=0)
    for edge in (low, high):
        axes.plot(x, edge, color=look.colour, linestyle=look.line, linewidth=0.6)
    axes.plot(x, draws.mean(axis=0), color=look.colour, linestyle=look.line, lw=2, label=label)


def _marks(
    axes: Any,
    table: Table,
    along: str,
    target: str,
    look: Any,
    near: np.ndarray,
    word: str,
    named: bool = True,
) -> int:
    """Mark measured values of one target, faint where not near, and count them."""
    if target not in table.targets:
        return 0
    x, y = table.x[:, table.descriptors.index(along)], table.y[:, table.targets.index(target)]
    there = np.isfinite(x) & np.isfinite(y)
    for mask, strength, more in ((there & ~near, 0.35, " off the slice"), (there & near, 1.0, "")):
        if mask.any():
            axes.plot(
                x[mask],
                y[mask],
                look.marker,
                color=look.colour,
                markerfacecolor=look.face,
                markersize=5 if strength == 1.0 else 3.5,
                alpha=strength if mask.sum() < 300 else strength / 2,
                zorder=3 if strength == 1.0 else 1,
                label=f"{word}{more} ({mask.sum()})" if named or not more else "_faint",
            )
    return int(there.sum())


def _legend(axes: Any) -> None:
    """Put the legend to the right, where no point is."""
    handles, labels = axes.get_legend_handles_labels()
    labels = [textwrap.fill(label, 30, break_long_words=False) for label in labels]
    axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _log_where_modelled(axes: Any, post: Any, names: Sequence[str], values: Any) -> None:
    """Logarithmic axis for targets that are modelled by their logarithm and vary much."""
    if modelled_by_log(post, names):
        log_scale(axes, "y", min(v.min() for v in values), max(v.max() for v in values))


def _pair(ends: np.ndarray) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


def plot_update(
    before: Predictive,
    after: Predictive,
    along: str | None = None,
    target: str | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    table: Table | None = None,
    new_rows: Table | None = None,
    prob: float = 0.9,
) -> Figure:
    """One target before and after more rows arrived: how much the band has narrowed.

    Two bands of the mean over one another, hatched before and filled after; figure 2 of Harashima
    et al., Phys. Rev. Materials 9, 093803 (2025). The rows that came may be of a cheaper target
    alone: those of its quantity are marked too.

    Parameters
    ----------
    before, after : JointPosterior, or anything that predicts
        Of the same descriptors and targets.
    along, at
        As in :func:`plot_slices`.
    target : str, optional
        Default: the primary one.
    table, new_rows : Table, optional
        Rows of the first fit, and those that came after.
    prob : float

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If the two predict other things, and as :func:`plot_slices`.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> first, new = table.rows(range(4, 15)), table.rows(range(4))
    >>> before, after = cp.fit(first, seed=0), cp.fit(first + new, seed=0)
    >>> figure = plot_update(before, after, new_rows=new)
    """
    before, after = as_predictive(before), as_predictive(after)
    refuse_table(table)
    refuse_table(new_rows)
    refuse_prob(prob)
    if (before.descriptors, before.targets) != (after.descriptors, after.targets):
        raise CandidateError(
            f"two posteriors of {list(before.targets)} over {list(before.descriptors)}",
            f"the second of {list(after.targets)} over {list(after.descriptors)}",
            "fits of different studies",
            "pass the posteriors before and after rows were added to one design",
        )
    along = number_among(after, along)
    name = targets_among(after, target or after.targets[-1])[-1]
    rows = [part for part in (table, new_rows) if part is not None]
    every = sum(rows[1:], rows[0]) if rows else None
    held = held_at(after, every, at, [along])
    x = np.linspace(*ends_of(after, every, along), POINTS)
    frame, sides = points_at(after, held, {along: x}), [(1 - prob) / 2, (1 + prob) / 2]
    old, new = (draws_at(p, frame, [name], kind="mean")[name] for p in (before, after))
    (low, high), unit = np.quantile(old, sides, axis=0), after.units.get(name, "")
    widths = [np.mean(np.diff(np.quantile(d, sides, axis=0), axis=0)) for d in (old, new)]
    (kin,) = (group for group in by_quantity(after, after.targets) if name in group)
    drawn = {name}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.8 + widest(kin, 0.06), 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.fill_between(
            x,
            low,
            high,
            facecolor="none",
            edgecolor=GREY,
            hatch="////",
            linewidth=0.8,
            alpha=0.6,
            label=f"{name}, band before",
        )
        axes.plot(
            x, old.mean(axis=0), color=GREY, linestyle=(0, (5, 3)), label=f"{name}, mean before"
        )
        _band(axes, x, new, sides, look_of(name, after.targets), f"{name}, mean and band after")
        for part, word in ((table, "before"), (new_rows, "new")):
            for kind in kin if part is not None else ():
                look = look_of(kind, after.targets)
                if word == "before":
                    look = look._replace(colour=GREY, face="white")
                assert part is not None
                near = near_by(after, part, held, kind)
                if _marks(axes, part, along, kind, look, near, f"{kind}, {word}", False):
                    drawn.add(kind)
        axes.set_xlabel(axis_label(along, after.units))
        axes.set_ylabel(labelled([kind for kind in kin if kind in drawn], after.units))
        _log_where_modelled(axes, after, [name], [old, new])
        where = in_words(held, after.units, 90)
        where = f"\n{where}; faint: rows off the slice" if where else ""
        axes.set_title(
            f"{100 * prob:.0f} % band of the mean of {name}:\non average {number(widths[0], unit)} "
            f"wide before the new rows, {number(widths[1], unit)} after" + where * bool(held)
        )
        _legend(axes)
    words = (
        f"{100 * prob:.0f} % bands of the mean of {name} along {along}: on average "
        f"{number(widths[0], unit)} wide before, {number(widths[1], unit)} after the new rows"
    )
    count = "" if new_rows is None else f", {len(new_rows)} of them"
    return describe(figure, words + count + ".")
