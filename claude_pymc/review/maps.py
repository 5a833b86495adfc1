"""Maps of targets over two descriptors, on one scale of colours, with lines that read in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
    refuse_table,
    targets_among,
)
from claude_pymc.review.style import (
    MAP,
    STYLE,
    axis_label,
    contours,
    describe,
    headline,
    look_of,
    norm_of,
    number,
    plain_ticks,
    widest,
)
from claude_pymc.review.used import beyond
from claude_pymc.tables.table import Table

Show = Literal["mean", "std"]
WORDS = {"mean": "mean", "std": "standard deviation of the mean"}


def plot_maps(
    post: Predictive,
    x: str | None = None,
    y: str | None = None,
    targets: Sequence[str] | None = None,
    table: Table | None = None,
    at: Mapping[str, Any] | None = None,
    show: Show = "mean",
    points: int = 41,
) -> Figure:
    """Targets over two descriptors side by side, as figure 5 of the paper.

    The mean of E[y | x, C, R] over the draws, or its standard deviation. Targets of one quantity
    share one scale of colours and one bar, so that they can be compared; lines of equal value carry
    their numbers. (Harashima et al., Phys. Rev. Materials 9, 093803 (2025).)

    Parameters
    ----------
    post : JointPosterior, draws of `cp.sample`, or anything that predicts
    x, y : str, optional
        Default: the first two descriptors that are numbers.
    targets : sequence of str, optional
        Default: the primary target and the nearest cheaper one of its quantity.
    table : Table, optional
        Rows whose measured values are marked, faint where they lie off the map; what is beyond them
        is hatched.
    at : mapping of descriptor to value, optional
        Where the other descriptors are held, as in `plot_slices`.
    show : "mean" or "std"
    points : int
        Points of the mesh along each axis.

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        For fewer than two descriptors that are numbers, unknown names, a table without rows, or a
        target that needs what is missing.

    Examples
    --------
    >>> table = cp.simulate("sine_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> figure = plot_maps(post, "x1", "x2", table=table, show="std")
    """
    refuse_show(show, points)
    refuse_table(table)
    post = as_predictive(post)
    x = number_among(post, x, [] if y is None else [y])
    y = number_among(post, y, [x])
    (kin,) = (names for names in by_quantity(post, post.targets) if post.targets[-1] in names)
    names = targets_among(post, kin[-2:] if targets is None else targets)
    held = held_at(post, table, at, [x, y])
    axes_x, axes_y = (np.linspace(*ends_of(post, table, d), points) for d in (x, y))
    mesh_x, mesh_y = np.meshgrid(axes_x, axes_y)
    frame = points_at(post, held, {x: mesh_x.ravel(), y: mesh_y.ravel()})
    drawn = draws_at(post, frame, names, kind="mean")
    values = {t: summary(d, show).reshape(mesh_x.shape) for t, d in drawn.items()}
    far = _beyond_rows(post, table, mesh_x, mesh_y, (x, y))
    groups, said = by_quantity(post, names), []
    with matplotlib.rc_context(STYLE):
        panel = max(4.0, widest([axis_label(x, post.units), *names]))
        size = 1.0 + panel * len(names) + 0.6 * len(groups), 4.9
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
        place = dict(zip([t for group in groups for t in group], panels, strict=True))
        for group in groups:
            low = min(values[t].min() for t in group)
            high = max(values[t].max() for t in group)
            norm = norm_of(low, high, show == "mean" and modelled_by_log(post, group))
            for target in group:
                axes, z = place[target], values[target]
                mesh = axes.pcolormesh(axes_x, axes_y, z, cmap=MAP, norm=norm, shading="gouraud")
                mesh.set_rasterized(True)
                contours(axes, "contour", axes_x, axes_y, z, norm=norm)
                if far.any() and not far.all():
                    lines = {"colors": "none", "hatches": ["////"]}
                    axes.contourf(axes_x, axes_y, far.astype(float), [0.5, 1.5], **lines)
                title = target
                if table is not None and target in table.targets:
                    title += marked(axes, post, table, held, target, (x, y))
                axes.set_title(title, fontsize=10)
                axes.set_xlabel(axis_label(x, post.units))
                peak = int(z.argmax())
                said.append(
                    f"{target} from {number(z.min())} to "
                    f"{number(z.max(), post.units.get(target, ''))}, highest at {x} = "
                    f"{number(mesh_x.flat[peak])}, {y} = {number(mesh_y.flat[peak])}"
                )
            bar = figure.colorbar(mesh, ax=[place[t] for t in group], pad=0.02)
            plain_ticks(bar.ax.yaxis, norm)
            bar.set_label(f"{WORDS[show]} of\n{labelled(group, post.units)}")
        panels[0].set_ylabel(axis_label(y, post.units))
        kind = "Expected values" if show == "mean" else "Uncertainty of the expected values"
        hatched = "hatched: beyond the rows" if far.any() and not far.all() else ""
        headline(figure, f"{kind} over {x} and {y}", in_words(held, post.units), hatched)
    return describe(figure, f"Maps of the {WORDS[show]} over {x} and {y}: {'; '.join(said)}.")


def _beyond_rows(
    post: Predictive, table: Table | None, x: np.ndarray, y: np.ndarray, names: tuple[str, str]
) -> np.ndarray:
    """Boolean (y, x): beyond the measured rows in these two descriptors; nowhere without rows."""
    if table is None:
        return np.zeros(x.shape, dtype=bool)
    measured = np.isfinite(table.y).any(axis=1)
    rows = table.x[measured][:, [table.descriptors.index(name) for name in names]]
    at = np.column_stack([x.ravel(), y.ravel()])
    return beyond(rows, at, [False, False]).reshape(x.shape)


def refuse_show(show: str, points: int) -> None:
    """Refuse what cannot be shown, and meshes of one point."""
    if show not in WORDS:
        raise CandidateError(
            f"show among {list(WORDS)}", f"{show!r}", "a typing error", "choose one of them"
        )
    if points < 3:
        raise CandidateError(
            "at least 3 points along an axis", f"{points}", "a mesh too coarse", "leave points out"
        )


def summary(draws: np.ndarray, show: Show) -> np.ndarray:
    """Mean or standard deviation (candidate) of draws (sample, candidate)."""
    found: np.ndarray = draws.mean(axis=0)
    return found if show == "mean" else draws.std(axis=0, ddof=min(1, len(draws) - 1))


def marked(
    axes: Any,
    post: Predictive,
    table: Table,
    held: dict[str, Any],
    target: str,
    where: tuple[str, str],
) -> str:
    """Mark the rows that have the target, faint if they are away from what is held; count them."""
    place = table.x[:, [table.descriptors.index(d) for d in where]]
    there = np.isfinite(table.y[:, table.targets.index(target)]) & np.isfinite(place).all(axis=1)
    return points_on(axes, place, there, near_by(post, table, held, target), target, post)


def points_on(
    axes: Any,
    place: np.ndarray,
    there: np.ndarray,
    near: np.ndarray,
    target: str,
    post: Predictive,
) -> str:
    """Mark places (row, 2) on a map, white with a dark edge; say how many."""
    marker = look_of(target, post.targets).marker
    for mask, size, strength in ((there & ~near, 3.0, 0.5), (there & near, 5.5, 1.0)):
        if not mask.any():
            continue
        axes.plot(
            *place[mask].T,
            marker,
            color="black",
            markerfacecolor="white",
            markersize=size if mask.sum() < 100 else 0.6 * size,
            alpha=strength,
            zorder=4,
            clip_on=False,
        )
    off = int((there & ~near).sum())
    if not there.any():
        return "\nno measured value has a place here"
    return f"\n{there.sum()} measured" + (f", {off} off the map (small)" if off else "")
