"""Pictures of the structure: what depends on what, and what was not measured.

Column j of the joint precision holds (1, -c_j, -R_j) / sigma_j: a free entry of R_j is an edge from
a term of the basis to target j, a zero of it a statement, a free entry of c_j an arrow from a
cheaper target to a dearer one.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from claude_pymc.errors import CandidateError
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.review.places import as_posterior, refuse_table
from claude_pymc.review.style import BLUE, GREY, PALE, STYLE, describe, look_of
from claude_pymc.tables.table import Table

MOST_NODES = 12  # of terms that are drawn one by one
MOST_PATTERNS, MOST_COLUMNS = 12, 16


@dataclass(frozen=True)
class Node:
    """Terms that the same targets may use, drawn as one."""

    name: str
    terms: tuple[str, ...]
    free: tuple[bool, ...]  # by target


def plot_precision(spec: JointGaussian | JointPosterior) -> Figure:
    """Which terms and which cheaper targets each target depends on, as a graph.

    Lines are free entries of the columns of the precision, Lambda = L L' with
    L_j = (1, -c_j, -R_j) / sigma_j: terms to the left, targets to the right, arrows between targets
    are linkages c. Dotted pale lines are structural zeros: given the cheaper targets, the target
    does not depend on that term. Beyond twelve terms those of one group and with the same lines
    are drawn as one.

    Parameters
    ----------
    spec : JointGaussian or JointPosterior

    Returns
    -------
    Figure

    Examples
    --------
    >>> from claude_pymc.tables.design import Design
    >>> spec = JointGaussian(Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"]))
    >>> plot_precision(spec).axes[0].get_title(loc="left").split(":")[0]
    'What depends on what'
    """
    spec = spec if isinstance(spec, JointGaussian) else as_posterior(spec).spec
    design = spec.design
    nodes, targets = nodes_of(spec), design.targets
    zeros = int((~design.active).sum())
    rows = max(len(nodes), 2 * len(targets))
    high = [rows * (1 - (i + 0.5) / len(nodes)) for i in range(len(nodes))]
    middle = [rows * (1 - (j + 0.5) / len(targets)) for j in range(len(targets))]
    with matplotlib.rc_context(STYLE):
        names = 0.085 * max(len(node.name) for node in nodes)
        right = 0.09 * max(len(target) for target in targets)
        size = max(6.4, 4.2 + names + right), max(3.4, 1.5 + 0.42 * rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        drawn: dict[str, Any] = {}
        for node, y in zip(nodes, high, strict=True):
            axes.text(-0.04, y, node.name, ha="right", va="center")
            axes.plot(0.0, y, "o", color="black", markersize=5, zorder=3)
            for j, (target, free) in enumerate(zip(targets, node.free, strict=True)):
                style = _edge(target, targets, free, target in design.chosen)
                style["gid"] = f"{node.name}|{target}"
                (line,) = axes.plot([0.0, 1.0], [y, middle[j]], **style)
                chosen = free and target in design.chosen
                kind = f"{target} may use it" if free else "structural zero"
                drawn.setdefault(kind + (", chosen by evidence" if chosen else ""), line)
        for j, target in enumerate(targets):
            look = look_of(target, targets)
            axes.plot(
                1.0, middle[j], look.marker, color=look.colour, markersize=12, markeredgewidth=2
            )
            axes.text(1.27, middle[j], target, ha="left", va="center", weight="bold")
        for j, k, _ in spec.links:
            bend = 0.35 * (j - k)
            arrow = FancyArrowPatch(
                (1.02, middle[k]),
                (1.02, middle[j]),
                connectionstyle=f"arc3,rad={-bend / max(1, len(targets) - 1)}",
                arrowstyle="-|>",
                mutation_scale=14,
                color="black",
                shrinkA=8,
                shrinkB=8,
                gid=f"{targets[k]}>{targets[j]}",
            )
            axes.add_patch(arrow)
        axes.set_xlim(-0.05, 1.3)
        axes.set_ylim(0, rows)
        axes.set_axis_off()
        axes.set_title(
            f"What depends on what: {zeros} of {design.active.size} entries are structural zeros\n"
            + _links_in_words(spec)
        )
        axes.legend(
            drawn.values(), drawn.keys(), loc="upper center", bbox_to_anchor=(0.4, 0.0), ncols=2
        )
    said = [
        f"{target} uses {int(row.sum())} of {len(design.terms)} terms"
        + (f" and {', '.join(targets[:j])}" if j else "")
        for j, (target, row) in enumerate(zip(targets, design.active, strict=True))
    ]
    return describe(figure, f"Graph of terms and targets: {'; '.join(said)}. {zeros} zeros.")


def nodes_of(spec: JointGaussian) -> list[Node]:
    """Terms one by one, or, where there are more than twelve, by group and by who uses them."""
    design = spec.design
    free = [tuple(bool(v) for v in column) for column in design.active.T]
    if len(design.terms) <= MOST_NODES:
        return [Node(t, (t,), f) for t, f in zip(design.terms, free, strict=True)]
    groups = design.basis.groups(design.descriptors)
    for keys in (list(zip(groups, free, strict=True)), [("", f) for f in free]):
        members: dict[tuple[str, tuple[bool, ...]], list[str]] = {}
        for term, key in zip(design.terms, keys, strict=True):
            members.setdefault(key, []).append(term)
        if len(members) <= MOST_NODES:
            break
    return [Node(_called(group, own), tuple(own), f) for (group, f), own in members.items()]


def _called(group: str, terms: list[str]) -> str:
    """Name of a node: its terms, or how many of which group there are."""
    if len(terms) == 1 or (len(terms) <= 6 and len(", ".join(terms)) <= 30):
        return ", ".join(terms)
    first = f"{group}: " if group else ""
    return f"{first}{terms[0]} ... {terms[-1]} ({len(terms)} terms)"


def _edge(target: str, targets: tuple[str, ...], free: bool, chosen: bool) -> dict[str, Any]:
    """Style of a line between a term and a target."""
    if not free:
        return {"color": PALE, "linestyle": (0, (1, 3)), "linewidth": 1.0, "zorder": 0}
    look = look_of(target, targets)
    width = 0.9 if chosen else 1.6
    return {"color": look.colour, "linestyle": look.line, "linewidth": width, "zorder": 1}


def _links_in_words(spec: JointGaussian) -> str:
    """Say what the arrows are."""
    if not spec.links:
        return "one target, nothing to be linked"
    targets = spec.design.targets
    arrows = "arrows: " if len(spec.links) > 1 else "arrow: "
    text = arrows + "the linkage c of a dearer target on a cheaper one"
    if spec.varying:
        text += f"\nthat of {targets[-1]} on {targets[spec.nearest]} varies with x"
    if spec.likelihood == "joint":
        text += "\ndescriptors are part of the Gaussian, with a free covariance of their own"
    return text


def plot_missing(table: Table) -> Figure:
    """Show what was not measured: rows by the columns that they fill, and how many of each kind.

    Each band is a kind of row, all rows that fill the same columns; filled cells are dark, empty
    ones white with a cross. Bands grow with the logarithm of the number n of their rows,
    height = 1 + log10(n)/2, so that thousands do not hide ten.

    Parameters
    ----------
    table : Table

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If the table has no rows.

    Examples
    --------
    >>> rows = Table(["x"], ["sim", "exp"], np.zeros((3, 1)), [[1, 2], [1, np.nan], [2, np.nan]])
    >>> [text.get_text() for text in plot_missing(rows).axes[0].get_yticklabels()]
    ['2 rows', '1 row']
    """
    refuse_table(table, optional=False)
    if not len(table):
        raise CandidateError(
            "a table with rows", "an empty one", "a selection that left nothing", "add rows"
        )
    names, filled, n_x = _columns(table)
    kinds, counts = np.unique(filled, axis=0, return_counts=True)
    order = np.lexsort((np.arange(len(counts)), -counts))
    kinds, counts = kinds[order], counts[order]
    rest = counts[MOST_PATTERNS:]
    kinds, counts = kinds[:MOST_PATTERNS], counts[:MOST_PATTERNS]
    heights = 1 + np.log10(counts) / 2
    tops = np.concatenate([[0.0], np.cumsum(heights + 0.15)])
    left = np.arange(len(names)) + np.where(np.arange(len(names)) < n_x, 0.0, 0.4)
    with matplotlib.rc_context(STYLE):
        size = max(5.6, 2.4 + 0.55 * len(names)), 2.2 + 0.3 * tops[-1]
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        for kind, top, height in zip(kinds, tops, heights, strict=False):
            for there, x in zip(kind, left, strict=True):
                axes.add_patch(
                    matplotlib.patches.Rectangle(
                        (x + 0.04, top),
                        0.92,
                        height,
                        facecolor=BLUE if there else "white",
                        edgecolor=BLUE if there else GREY,
                        linewidth=0.6,
                        gid="filled" if there else "empty",
                    )
                )
                if not there:
                    axes.plot(x + 0.5, top + height / 2, "x", color=GREY, markersize=5)
        axes.set_xlim(left[0] - 0.1, left[-1] + 1.1)
        axes.set_ylim(tops[-1], -0.1)
        shown = [*names[:n_x], *(f"{t} ({n})" for t, n in table.counts.items())]
        axes.set_xticks(left + 0.5, shown, rotation=40, ha="right")
        words = [f"{n} row{'s' if n > 1 else ''}" for n in counts]
        axes.set_yticks(tops[:-1] + heights / 2, words)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for at, text in ((left[0], "descriptors"), (left[n_x], "targets")):
            axes.text(at + 0.04, -0.3, text, color=GREY, ha="left", va="bottom")
        whole = int(filled.all(axis=1).sum())
        titles = [f"{len(table)} rows, {whole} of them complete: dark is filled, a cross is empty"]
        if len(rest):
            titles += [f"{len(rest)} more kinds, {rest.sum()} rows in all, are not drawn"]
        titles = [textwrap.fill(title, int(9.5 * size[0])) for title in titles]
        axes.set_title("\n".join(titles), pad=24)
    said = "; ".join(
        f"{n} rows lack {', '.join(np.array(names)[~kind]) or 'nothing'}"
        for kind, n in zip(kinds[:5], counts, strict=False)
    )
    measured = ", ".join(f"{t} is filled in {n}" for t, n in table.counts.items())
    return describe(figure, f"What {len(table)} rows fill: {measured}. Kinds of rows: {said}.")


def _columns(table: Table) -> tuple[list[str], np.ndarray, int]:
    """Names, filled (row, column), and the number of columns of descriptors.

    Where there are many descriptors, those that all rows fill are one column.
    """
    names, filled = list(map(str, table.descriptors)), np.isfinite(table.x)
    whole = filled.all(axis=0)
    if len(names) > MOST_COLUMNS and whole.sum() > 1:
        some = [name for name, always in zip(names, whole, strict=True) if not always]
        names = [f"{whole.sum()} descriptors", *some]
        filled = np.hstack([np.ones((len(table), 1), dtype=bool), filled[:, ~whole]])
    return [*names, *table.targets], np.hstack([filled, np.isfinite(table.y)]), len(names)
