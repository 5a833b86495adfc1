"""Fits that pictures are drawn of, and what is read off a figure."""

import numpy as np
import pandas as pd

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior


def fitted(table, spec):
    stats = cp.PatternStats.from_table(table, spec.design)
    draws = cp.sample(spec, stats, method="exact", seed=0, draws=250)
    return JointPosterior(draws)


def study(name):
    found = cp.Study.named(name)
    table = found.table()
    return table, fitted(table, found.spec(table))


def routes():
    """Rows with a descriptor of text, whose categories differ by 1 in the target, and their fit."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"route": ["melt", "gel", "melt"] * 10, "x": rng.random(30), "z": rng.random(30)}
    )
    frame["sim"] = frame["x"] + 0.01 * rng.normal(size=30)
    frame["exp"] = frame["sim"] + (frame["route"] == "gel") + 0.01 * rng.normal(size=30)
    table = cp.Table.from_frame(frame, ["route", "x", "z"], ["sim", "exp"], categories=["route"])
    spec = cp.JointGaussian(cp.Design.from_table(table, None, {"exp": ["1", "x", "route"]}))
    return table, fitted(table, spec)


def line(axes, label):
    (found,) = (one for one in axes.lines if one.get_label() == label)
    return found.get_xydata()


def marked(axes):
    """Points that are drawn as markers without a line."""
    return np.vstack([one.get_xydata() for one in axes.lines if one.get_linestyle() == "None"])


def drawn(figure):
    """Draw it, with whatever warns."""
    figure.draw_without_rendering()
    box, size = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < size[0] + 0.02
    return figure
