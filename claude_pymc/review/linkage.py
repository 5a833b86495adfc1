"""Pictures of what carries over from a cheaper target, and of what is added to it.

    y_d = c(x) y_k + ... + R(x) + noise,    R(x) = sum_b R_db phi_b(x),

in modelled units; y_k is the cheaper target of the linkage, `JointGaussian.nearest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from claude_pymc.errors import CandidateError
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.stepwise import linkage_at
from claude_pymc.review.places import (
    as_posterior,
    ends_of,
    held_at,
    in_words,
    points_at,
    refuse_prob,
    refuse_table,
    rows_of,
)
from claude_pymc.review.style import (
    BLUE,
    GREY,
    STYLE,
    axis_label,
    describe,
    headline,
    log_scale,
    number,
    widest,
)
from claude_pymc.tables.categories import Category
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table

MOST_ROWS = 400  # whose c(x) is drawn with its interval
Ends = tuple[float, float]


def plot_linkage(post: JointPosterior, table: Table, prob: float = 0.9) -> Figure:
    """Show what carries over: measured pairs, the line through them, and the posterior of c.

    The line is y_d = c y_k + m with m the mean over the pairs of all else that the model adds to
    c y_k: R(x) and further cheaper targets, predicted where they are not measured. It
    is drawn in the units of the targets: a target modelled by its logarithm makes it a power. The
    dotted line says "as simulated". Beside it the posterior of c and its prior; a linkage that
    varies is drawn row by row instead.

    Parameters
    ----------
    post : JointPosterior
    table : Table
        Rows, with both targets in some of them at best: where no row has both the picture says so.
    prob : float
        Of the bands.

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If there is one target only, or the table lacks one of the two or a descriptor.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> figure = plot_linkage(post, table)
    """
    post = as_posterior(post)
    refuse_table(table, optional=False)
    refuse_prob(prob)
    spec, design = post.spec, post.spec.design
    if len(design.targets) < 2:
        raise CandidateError(
            "a cheaper target and the primary one",
            f"the only target {design.targets[0]!r}",
            "a linkage is between two targets",
            "draw the surface by plot_slices",
        )
    k = spec.nearest
    cheap, primary = design.targets[k], design.targets[-1]
    absent = [t for t in (cheap, primary) if t not in table.targets]
    if absent:
        raise CandidateError(
            f"a table with the targets {cheap!r} and {primary!r}",
            f"targets {list(table.targets)}, without {absent[0]!r}",
            "a table of another study",
            "pass the table of the fit",
        )
    rows_of(post, table)
    pairs = table.y[:, [table.targets.index(t) for t in (cheap, primary)]]
    both = np.isfinite(pairs).all(axis=1)
    ends = (1 - prob) / 2, (1 + prob) / 2
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        if both.any():
            _pairs(left, post, table.rows(both), pairs[both], ends)
        else:
            left.set_axis_off()
            left.text(
                0.5,
                0.5,
                f"No row has both {cheap}\nand {primary}:\n\nc is known only from their surfaces,\n"
                "where one has terms that\nthe other is not allowed to correct",
                ha="center",
                va="center",
                transform=left.transAxes,
            )
        if spec.varying:
            rows = both if both.any() else np.isfinite(pairs[:, 1])
            low, middle, high = _varying(right, post, table.rows(rows), pairs[rows, 0], ends)
        else:
            low, middle, high = _posterior_of_c(right, post, k, ends)
        headline(
            figure, f"What carries over from {cheap} to {primary}: {int(both.sum())} measured pairs"
        )
    which = "c(x) varies from row to row, at the median of them" if spec.varying else "c is"
    logs = " (of logarithms)" if design.transforms[-1] == "log" else ""
    words = (
        f"{int(both.sum())} rows have both {cheap} and {primary}. The linkage{logs} {which} "
        f"{number(middle)}, with {100 * prob:.0f} % from {number(low)} to {number(high)}."
    )
    return describe(figure, words)


def _pairs(axes: Any, post: JointPosterior, rows: Table, pairs: np.ndarray, ends: Ends) -> None:
    """Measured pairs (row, 2), and the line and band of the linkage through them."""
    design, k = post.spec.design, post.spec.nearest
    x = _positions(post, rows)
    values = np.full((len(rows), len(design.targets)), np.nan)
    for j, target in enumerate(design.targets):
        if target in rows.targets:
            values[:, j] = rows.y[:, rows.targets.index(target)]
    known = {t: values[:, j] for j, t in enumerate(design.targets[:-1])}
    if np.isnan(values[:, :-1]).any():  # another cheaper target was not measured there
        filled = post.predict(rows, "mean", given=known).median().to_numpy()
        values[:, :-1] = np.where(np.isnan(values[:, :-1]), filled[:, :-1], values[:, :-1])
    phi, y = design.phi(x), design.to_model(values)
    c = linkage_at(post, phi, np.arange(len(post.draws_of("root"))))  # (sample, row, cheaper)
    added = post.draws_of("corrections")[:, -1] @ phi.T
    added += np.einsum("srk,rk->sr", c, y[:, :-1]) - c[:, :, k] * y[:, k]
    run = np.linspace(y[:, k].min(), y[:, k].max(), 61)
    line = c[:, :, k].mean(axis=1)[:, None] * run + added.mean(axis=1)[:, None]
    across, band = _in_units(design, k, run), _in_units(design, -1, line)
    low, high = np.quantile(band, ends, axis=0)
    axes.fill_between(across, low, high, color=BLUE, alpha=0.3, linewidth=0)
    text = f"c, all else held: mean and {100 * (ends[1] - ends[0]):.0f} % band"
    axes.plot(across, np.mean(band, axis=0), color=BLUE, linewidth=2, label=text)
    if design.quantities[k] == design.quantities[-1]:
        axes.plot(across, across, color=GREY, linestyle=":", label="as simulated")
    style = {"color": "black", "markerfacecolor": "white", "markersize": 4.5, "zorder": 3}
    axes.plot(*pairs.T, "o", label=f"measured pairs ({len(pairs)})", **style)
    for name, transform, values in zip(
        "xy", (design.transforms[k], design.transforms[-1]), pairs.T, strict=True
    ):
        if transform == "log":
            log_scale(axes, name, float(values.min()), float(values.max()))
    axes.set_xlabel(axis_label(design.targets[k], post.units))
    axes.set_ylabel(axis_label(design.targets[-1], post.units))
    axes.legend(loc="best", fontsize=9)


def _positions(post: JointPosterior, rows: Table) -> np.ndarray:
    """Descriptors (row, descriptor) in the order and the categories of the design."""
    return numeric_columns(rows.to_frame(), post.descriptors, "the table")


def _in_units(design: Any, j: int, values: np.ndarray) -> np.ndarray:
    """Map modelled values of one target to its unit."""
    whole = np.zeros((*values.shape, len(design.targets)))
    whole[..., j] = values
    found: np.ndarray = design.from_model(whole)[..., j]
    return found


def _posterior_of_c(axes: Any, post: JointPosterior, k: int, ends: Ends) -> np.ndarray:
    """Posterior and prior of a linkage that is one number; its interval and median."""
    spec, draws = post.spec, post.draws_of("linkage")[:, -1, k]
    (mean,) = (m for j, i, m in spec.links if (j, i) == (len(post.targets) - 1, k))
    prior = spec.prior
    found = np.quantile(draws, [ends[0], 0.5, ends[1]])
    if np.ptp(draws) > 0:
        bins = min(40, max(8, int(np.sqrt(len(draws)))))
        axes.hist(draws, bins=bins, density=True, color=BLUE, alpha=0.5, label="posterior")
    else:
        axes.axvline(draws[0], color=BLUE, linewidth=2, label="one point")
    if isinstance(prior, ShrinkagePrior):
        reach = 2.5 * prior.linkage_sd
        at = np.linspace(min(mean - reach, draws.min()), max(mean + reach, draws.max()), 201)
        density = norm.pdf(at, mean, prior.linkage_sd)
        axes.plot(at, density, color="black", linestyle="--", linewidth=1.2, label="prior")
    if mean:
        axes.axvline(1.0, color=GREY, linestyle=":", label="1: as simulated")
    axes.set_xlabel(f"linkage c of {post.targets[-1]}\non {post.targets[k]}")
    axes.set_ylabel("probability density")
    axes.set_title(f"c = {found[1]:.3g} ({found[0]:.3g} to {found[2]:.3g})", fontsize=10)
    axes.legend(loc="best", fontsize=9)
    return found


def _varying(
    axes: Any, post: JointPosterior, rows: Table, cheap: np.ndarray, ends: Ends
) -> np.ndarray:
    """Draw c(x) at each row, against its cheaper value; the interval and median in the middle."""
    x = _positions(post, rows)
    c = linkage_at(post, post.spec.design.phi(x), np.arange(len(post.draws_of("root"))))
    low, middle, high = np.quantile(c[:, :, post.spec.nearest], [ends[0], 0.5, ends[1]], axis=0)
    order = np.argsort(middle, kind="stable")
    typical = order[len(order) // 2]
    known = bool(np.isfinite(cheap).all())
    across = cheap if known else np.argsort(order) + 1.0
    step = max(1, len(rows) // MOST_ROWS)
    axes.vlines(across[::step], low[::step], high[::step], color=BLUE, linewidth=0.8, alpha=0.5)
    axes.plot(across, middle, "o", color=BLUE, markersize=3.5)
    axes.axhline(1.0, color=GREY, linestyle=":")
    primary, name = post.targets[-1], post.targets[post.spec.nearest]
    if known and post.spec.design.transforms[post.spec.nearest] == "log":
        log_scale(axes, "x", float(across.min()), float(across.max()))
    axes.set_xlabel(axis_label(name, post.units) if known else "row, by its c")
    axes.set_ylabel(f"linkage c(x) of {primary}")
    axes.set_title(f"c varies with x: median and interval at {len(rows)} rows", fontsize=10)
    return np.array([low[typical], middle[typical], high[typical]])


def plot_corrections(
    post: JointPosterior,
    table: Table | None = None,
    at: Mapping[str, Any] | None = None,
    prob: float = 0.9,
    most: int = 6,
) -> Figure:
    """R(x) of the primary target along each descriptor: what is added to what carries over.

    R(x) = scale sum_b R_db phi_b(x), in the unit of the target; of a target that is modelled by its
    logarithm exp(R(x)), a factor. It adds to c times the cheaper target, both counted from the
    common location of the scaling. The other descriptors are held. Panels are those in whose
    direction the mean of R moves most.

    Parameters
    ----------
    post : JointPosterior
    table : Table, optional
        Rows, for ranges and for where the others are held; default: the bounds of the design.
    at : mapping of descriptor to value, optional
        As in `plot_slices`.
    prob : float
        Of the band.
    most : int
        Largest number of panels; the title says how many were left out.

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If the primary target has no correction terms, for unknown names, or a table without rows.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> figure = plot_corrections(post, table, most=3)
    """
    post = as_posterior(post)
    refuse_table(table)
    refuse_prob(prob)
    if most < 1:
        raise CandidateError("at least one panel", f"most={most}", "a zero", "leave it out")
    design, primary = post.spec.design, post.targets[-1]
    active = design.active[-1]
    if not active.any():
        raise CandidateError(
            f"correction terms of {primary!r}",
            "none: every term is a structural zero",
            "the design says that nothing is added to what carries over",
            "look at plot_linkage",
        )
    held = held_at(post, table, at, [])
    used = (np.array(design.basis.orders(len(design.descriptors)))[active] > 0).any(axis=0)
    names = [d for d, yes in zip(design.descriptors, used, strict=True) if yes]
    constant = not names
    curves = {d: _correction(post, table, held, d) for d in names or design.descriptors[:1]}
    order = sorted(curves, key=lambda d: -np.ptp(curves[d][1].mean(axis=0)))[: max(1, most)]
    ends = (1 - prob) / 2, (1 + prob) / 2
    log = design.transforms[-1] == "log"
    unit = "" if log else post.units.get(primary, "")
    columns = min(3, len(order))
    lines = -(-len(order) // columns)
    said = []
    with matplotlib.rc_context(STYLE):
        panel = max(3.4, widest(axis_label(name, post.units) for name in order))
        size = max(6.4, panel * columns), 1.3 + 2.7 * lines
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(order) :]:
            axes.set_axis_off()
        for axes, name in zip(grid.ravel(), order, strict=False):
            x, draws = curves[name]
            low, high = np.quantile(draws, ends, axis=0)
            mean = draws.mean(axis=0)
            if isinstance(name, Category):
                axes.errorbar(x, mean, [mean - low, high - mean], fmt="o", color=BLUE, capsize=3)
                axes.set_xticks(x, name.categories, rotation=30, ha="right")
            else:
                axes.fill_between(x, low, high, color=BLUE, alpha=0.3, linewidth=0)
                axes.plot(x, mean, color=BLUE, linewidth=2)
            axes.axhline(1.0 if log else 0.0, color=GREY, linestyle=":")
            axes.set_xlabel(axis_label(name, post.units))
            said.append(f"along {name} from {number(mean[0])} to {number(mean[-1])}")
        for axes in grid[:, 0]:
            axes.set_ylabel("R, as a factor" if log else "R" + (f" [{unit}]" if unit else ""))
        left = len(curves) - len(order)
        title = f"Corrections of {primary}: " + (
            "the same everywhere" if constant else "what is added to what carries over"
        )
        if log and not constant:
            title = f"Corrections of {primary}: by what factor it differs from what carries over"
        more = f"{left} descriptors that change it less are left out" if left else ""
        where = in_words(held, post.units, int(11 * size[0]))
        if constant:
            where = ""
        headline(figure, title, more, where)
    how = " as factors" if log else f" [{unit}]" if unit else ""
    words = f"Corrections of {primary}{how}: {'; '.join(said)}."
    return describe(figure, words + (f" {left} descriptors are left out." if left else ""))


def _correction(
    post: JointPosterior, table: Table | None, held: dict[str, Any], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values of one descriptor (point) and draws of R there (sample, point)."""
    design = post.spec.design
    if isinstance(name, Category):
        x = np.arange(len(name.categories), dtype=float)
        frame = points_at(post, held, {name: np.array(name.categories, dtype=object)})
    else:
        x = np.linspace(*ends_of(post, table, name), 61)
        frame = points_at(post, held, {name: x})
    phi = design.phi(numeric_columns(frame, design.descriptors, "the picture"))
    draws = design.scale[-1] * (post.draws_of("corrections")[:, -1] @ phi.T)
    return x, np.exp(draws) if design.transforms[-1] == "log" else draws
