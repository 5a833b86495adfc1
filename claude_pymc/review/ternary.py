r"""Maps over the fractions of a mixture of three, which sum to one.

A point (a, b, c) with a + b + c = 1 lies in a triangle with corners at

    b (1, 0) + c (1/2, sqrt(3)/2):    a at the left, b at the right, c at the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from claude_pymc.errors import CandidateError
from claude_pymc.protocols import Predictive
from claude_pymc.review.maps import WORDS, Show, points_on, refuse_show, summary
from claude_pymc.review.places import (
    as_predictive,
    draws_at,
    ends_of,
    held_at,
    in_words,
    modelled_by_log,
    near_by,
    numbers_of,
    points_at,
    refuse_table,
    rows_of,
    targets_among,
)
from claude_pymc.review.style import (
    GREY,
    MAP,
    STYLE,
    axis_label,
    contours,
    describe,
    norm_of,
    number,
    plain_ticks,
)
from claude_pymc.tables.table import Table

HEIGHT = np.sqrt(3) / 2
SLACK = 0.01  # of a fraction, beyond 0 and 1
OFF = 1e-3  # by how much the fractions of a row may miss the sum of one


def plot_ternary(
    post: Predictive,
    components: Sequence[str],
    target: str | None = None,
    at: Mapping[str, Any] | None = None,
    table: Table | None = None,
    show: Show = "mean",
    points: int = 41,
) -> Figure:
    """One target over the mixtures of three components.

    The mean of E[y | x, C, R] over the draws, or its standard deviation, over a + b + c = 1.

    Parameters
    ----------
    post : JointPosterior, draws of `cp.sample`, or anything that predicts
    components : sequence of three str
        Names of the fractions, left, right and top corner. All three are descriptors, or two of
        them, and the third is one minus their sum: then its name is only written at its corner.
    target : str, optional
        Default: the primary one.
    at : mapping of descriptor to value, optional
        Where the other descriptors are held, as in `plot_slices`.
    table : Table, optional
        Rows whose measured values are marked; those that are no mixture are left out and counted.
    show : "mean" or "std"
    points : int
        Points along an edge; points (points + 1) / 2 in all.

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If fewer than two of three different components are descriptors that are numbers, for
        unknown names, or a target that needs what is missing.

    Examples
    --------
    >>> table = cp.Study.named("perovskite").table()
    >>> post = cp.fit(table, seed=0)
    >>> figure = plot_ternary(post, ["SrTiO3", "x1", "x2"], table=table)
    """
    refuse_show(show, points)
    refuse_table(table)
    post = as_predictive(post)
    parts = _components(post, components)
    name = targets_among(post, target or post.targets[-1])[-1]
    own = [part for part in parts if part in post.descriptors]
    _refuse_percent(post, table, own)
    held = held_at(post, table, at, own)
    steps = np.arange(points)
    b, c = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    inside = b + c < points
    fractions = np.stack([points - 1 - b - c, b, c], axis=1)[inside] / (points - 1)
    columns = {part: fractions[:, i] for i, part in enumerate(parts) if part in own}
    draws = draws_at(post, points_at(post, held, columns), [name], kind="mean")[name]
    values, unit = summary(draws, show), post.units.get(name, "")
    norm = norm_of(values.min(), values.max(), show == "mean" and modelled_by_log(post, [name]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, 5.6), layout="constrained")
        axes = figure.add_subplot()
        left, up = _flat(fractions).T
        places = Triangulation(left, up, _triangles(points))
        mesh = axes.tripcolor(places, values, cmap=MAP, norm=norm, shading="gouraud")
        mesh.set_rasterized(True)
        contours(axes, "tricontour", places, values, norm=norm)
        _frame(axes, [axis_label(part, post.units) for part in parts])
        title = f"{name} over mixtures of {', '.join(parts)}"
        if table is not None and name in table.targets:
            title += _rows(axes, post, table, held, name, parts)
        axes.set_title("\n".join(filter(None, [title, in_words(held, post.units, 66)])), pad=14)
        bar = figure.colorbar(mesh, ax=axes, shrink=0.8, pad=0.04)
        plain_ticks(bar.ax.yaxis, norm)
        bar.set_label(f"{WORDS[show]} of\n{axis_label(name, post.units)}")
    ends = [
        f"{number(values[i], unit)} at "
        + ", ".join(f"{part} = {number(v)}" for part, v in zip(parts, fractions[i], strict=True))
        for i in (int(values.argmin()), int(values.argmax()))
    ]
    words = f"Triangle of mixtures: the {WORDS[show]} of {name} is lowest with {ends[0]} "
    return describe(figure, f"{words}and highest with {ends[1]}.")


def _refuse_percent(post: Predictive, table: Table | None, own: list[str]) -> None:
    """Refuse descriptors that are no fractions of one."""
    for part in own:
        low, high = ends_of(post, table, part)
        if low < -SLACK or high > 1.0 + SLACK:
            raise CandidateError(
                f"fractions between 0 and 1 of {part!r}",
                f"values from {low:.4g} to {high:.4g}",
                "per cent, or a descriptor that is no fraction",
                "divide by 100 before the fit, or draw plot_maps",
            )


def _components(post: Predictive, components: Sequence[str]) -> list[str]:
    """Check the names of the three fractions."""
    parts = [] if isinstance(components, str) else list(components)
    numbers = [part for part in parts if part in numbers_of(post)]
    texts = [part for part in parts if part in post.descriptors and part not in numbers]
    if len(parts) != 3 or len(set(parts)) != 3 or len(numbers) < 2 or texts:
        raise CandidateError(
            f"three components, at least two of them among {list(numbers_of(post))}",
            f"{list(components) if parts else components!r}",
            f"{texts[0]!r} holds text" if texts else "a typing error, or a name too few",
            "name the fractions that are descriptors; the third may be what is left to one",
        )
    return parts


def _flat(fractions: np.ndarray) -> np.ndarray:
    """Places (point, 2) of fractions (point, 3) in the plane."""
    return np.stack([fractions[:, 1] + fractions[:, 2] / 2, HEIGHT * fractions[:, 2]], axis=1)


def _triangles(points: int) -> np.ndarray:
    """Triangles between the points b + c < points, counted b by b."""
    start = np.cumsum([0, *range(points, 0, -1)])
    found = []
    for b in range(points - 1):
        for c in range(points - 1 - b):
            here, right = start[b] + c, start[b + 1] + c
            found.append((here, right, here + 1))
            if c < points - 2 - b:
                found.append((right, right + 1, here + 1))
    return np.array(found)


def _frame(axes: Any, names: Sequence[str]) -> None:
    """Edges, ticks at fifths with the fraction that they count, and names of the corners."""
    corners = _flat(np.eye(3))
    axes.plot(*np.vstack([corners, corners[:1]]).T, color="black", linewidth=1, clip_on=False)
    # Side of each component: where its ticks stand, how its name is turned, where it grows.
    sides = (
        ((-0.035, 0.02), (-0.1, 0.06), 60, "\u2190 {}"),
        ((0.0, -0.035), (0.0, -0.09), 0, "{} \u2192"),
        ((0.035, 0.02), (0.1, 0.06), -60, "\u2190 {}"),
    )
    for i, (off, further, turn, words) in enumerate(sides):
        edge, other = np.zeros(3), np.zeros(3)
        for value in (0.2, 0.4, 0.6, 0.8):
            edge[i], edge[(i + 2) % 3] = value, 1 - value
            other[i], other[(i + 1) % 3] = value, 1 - value
            ends = _flat(np.stack([edge, other]))
            axes.plot(*ends.T, color="white", linewidth=0.6, alpha=0.6, linestyle=":")
            axes.text(*(ends[0] + off), f"{value:g}", ha="center", va="center", fontsize=8)
        edge[i] = edge[(i + 2) % 3] = 0.5
        place = _flat(edge[None])[0] + further
        name = words.format(names[i])
        axes.text(*place, name, rotation=turn, ha="center", va="center", fontsize=9, color=GREY)
    for (x, y), name, (dx, dy), ha in zip(
        corners,
        names,
        ((-0.02, -0.09), (0.02, -0.09), (0.0, 0.04)),
        ("left", "right", "center"),
        strict=True,
    ):
        axes.text(x + dx, y + dy, name, ha=ha, va="center", fontweight="bold")
    axes.set_aspect("equal")
    axes.set_axis_off()


def _rows(
    axes: Any, post: Predictive, table: Table, held: dict[str, Any], name: str, parts: list[str]
) -> str:
    """Mark measured rows that are mixtures; say how many."""
    frame = rows_of(post, table)
    assert frame is not None
    own = {p: frame[p].to_numpy(dtype=float) for p in parts if p in post.descriptors}
    rest = 1 - sum(own.values())
    fractions = np.stack([own.get(part, rest) for part in parts], axis=1)
    whole = np.isfinite(fractions).all(axis=1) & (fractions >= -OFF).all(axis=1)
    whole &= np.abs(fractions.sum(axis=1) - 1) <= OFF
    measured = np.isfinite(table.y[:, table.targets.index(name)])
    text = points_on(
        axes, _flat(fractions), measured & whole, near_by(post, table, held, name), name, post
    )
    lost = int((measured & ~whole).sum())
    return text + (f"; {lost} more are no mixture of these" if lost else "")
