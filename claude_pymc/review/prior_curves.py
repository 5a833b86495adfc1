"""Curves of the prior along one descriptor, before any row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.errors import CandidateError
from claude_pymc.joint.prediction import Prediction
from claude_pymc.notation import CANDIDATE, SAMPLE, TARGET
from claude_pymc.review.style import GREY, STYLE, axis_label, describe, headline, look_of, number

CURVES = 30


def plot_prior_predictive(
    pred: Prediction,
    frame_x: Any,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Curves that the prior thinks possible, before any row.

    Do they look like the property? Some thirty thin curves of each target, and the band that
    holds 90 % of all draws at each x. Dotted lines mark the range in which somebody said that the
    target lies.

    Parameters
    ----------
    pred : Prediction
        Draws (sample, candidate, target) from the prior: ``sample_prior(spec).predict(frame)``.
    frame_x : Series, DataFrame of one column, or array (candidate)
        Values of the descriptor along which the candidates run, in their order; its name is that
        of the axis.
    ranges : mapping of target to (low, high), optional
    units : mapping of str to str, optional
        Of the descriptor; those of the prediction hold too.

    Returns
    -------
    Figure

    Raises
    ------
    CandidateError
        If x has not one number per candidate, draws are NaN, or a range is of no target.

    Examples
    --------
    >>> spec = cp.Study.named("toy_pair").spec(cp.simulate("toy_pair", seed=0))
    >>> x = np.linspace(0, 1, 31)
    >>> pred = cp.sample_prior(spec, draws=500, seed=0).predict(cp.mesh(x=x))
    >>> figure = plot_prior_predictive(pred, x, {"exp": (0.0, 5.0)})
    """
    if not isinstance(pred, Prediction):
        raise CandidateError(
            "a prediction of draws from the prior",
            type(pred).__name__,
            "a posterior, or draws that were not used to predict",
            "pass sample_prior(spec).predict(frame)",
        )
    draws = pred.draws.transpose(SAMPLE, CANDIDATE, TARGET)
    names = tuple(map(str, draws[TARGET].to_numpy()))
    x, along = _one_column(frame_x, draws.sizes[CANDIDATE])
    values = draws.to_numpy()
    strange = [name for name in ranges or {} if name not in names]
    if strange or np.isnan(values).any():
        raise CandidateError(
            f"ranges of the targets {list(names)}" if strange else "draws that are numbers",
            f"one of {strange[0]!r}" if strange else f"{int(np.isnan(values).sum())} that are NaN",
            "a typing error" if strange else "a candidate that lacks a descriptor",
            "use the names of the targets" if strange else "give every descriptor a value",
        )
    units, order = {**pred.units, **(units or {})}, np.argsort(x, kind="stable")
    x, values = x[order], values[:, order]
    few = np.linspace(0, len(values) - 1, min(CURVES, len(values))).astype(int)
    said = []
    with matplotlib.rc_context(STYLE):
        size = 7.0, 1.2 + 2.9 * len(names)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for j, (axes, name) in enumerate(zip(grid, names, strict=True)):
            look, (low, high) = look_of(name, names), np.quantile(values[..., j], (0.05, 0.95), 0)
            axes.fill_between(x, low, high, color=look.colour, alpha=0.2, linewidth=0)
            axes.plot(x, values[few, :, j].T, color=look.colour, linewidth=0.7, alpha=0.7)
            axes.set_ylabel(axis_label(name, units))
            text = f"90 % of {name} between {number(low.min())} and {number(high.max())}"
            if name in (ranges or {}):
                ends = sorted((ranges or {})[name])
                share = np.mean((values[..., j] >= ends[0]) & (values[..., j] <= ends[1]))
                axes.hlines(ends, x[0], x[-1], color="black", linestyle=":", linewidth=1.2)
                text += f"; {100 * share:.0f} % within the range said, "
                text += f"{number(ends[0])} to {number(ends[1])}"
            axes.set_title(text, fontsize=9, color=GREY)
            said.append(text)
        grid[-1].set_xlabel(axis_label(along, units))
        headline(
            figure,
            f"Before any row: {len(few)} curves of the prior, and the band of 90 %",
        )
    return describe(figure, f"Curves drawn from the prior along {along}: {'. '.join(said)}.")


def _one_column(frame_x: Any, size: int) -> tuple[np.ndarray, str]:
    """Values of a descriptor (candidate) and its name."""
    column = frame_x
    if isinstance(frame_x, pd.DataFrame) and frame_x.shape[1] == 1:
        column = frame_x.iloc[:, 0]
    name = getattr(column, "name", None)
    try:
        x = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        x = np.zeros(0)
    if x.shape != (size,) or not np.isfinite(x).all():
        raise CandidateError(
            f"one number for each of {size} candidates",
            f"{type(frame_x).__name__} of shape {np.shape(frame_x)}",
            "several columns, text, or candidates of another prediction",
            "pass the one column along which the candidates run, such as frame['x']",
        )
    return x, "x" if name is None else str(name)
