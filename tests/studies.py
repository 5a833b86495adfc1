"""The studies of models/ at the sizes that their tests use: one frozen design, one sampler each."""

from __future__ import annotations

import numpy as np
import pandas as pd

import claude_pymc as cp

DRAWS = {"draws": 300, "tune": 400, "chains": 2}  # enough for a 90 % interval of many data sets


def toy_design():
    """The toy pair: cubic, experiment a multiple of the simulation plus a constant."""
    return cp.Design.from_bounds(
        {"x": (0.0, 1.0)},
        ["sim", "exp"],
        cp.Polynomial(degree=3),
        {"exp": ["1"]},
        ranges={"sim": (-0.5, 4.0)},
    )


def study_design(name, ranges):
    """The design of a shipped study, its scaling fixed before any row."""
    study = cp.Study.named(name)
    return cp.Design.from_bounds(
        {k: tuple(v) for k, v in study.bounds.items()},
        study.targets,
        cp.Polynomial(degree=2),
        study.corrections,
        ranges=ranges,
        units=study.units,
    )


def perovskite_design():
    """Quadratic in x1 and x2, corrections 1, x1, x1 x2 as in eq. (22)."""
    return study_design("perovskite", {"gap_sim": (1.5, 5.5)})


def magnet_design():
    """Quadratic in five site fractions and temperature; the simulation has no temperature."""
    return study_design("magnet", {"m_sim": (1.3, 1.8)})


def convex(coefficients):
    """Draws (sample) in which a quadratic surface in x1, x2 is convex downward.

    ``coefficients`` (sample, basis) in the order 1, x1, x2, x1^2, x1 x2, x2^2.
    """
    a, b, c = coefficients[:, 3], coefficients[:, 4], coefficients[:, 5]
    return (a > 0) & (4 * a * c > b**2)


def best_cobalt(post, kelvin, n=61):
    """Draws (sample, temperature) of the best co at other fractions zero, in [0, 0.3]."""
    co = np.linspace(0.0, 0.3, n)
    mesh = pd.DataFrame([[0, 0, c, 0, 0, t] for t in kelvin for c in co], columns=post.descriptors)
    values = post.predict(mesh).draws.sel(target="m_exp").to_numpy()
    return co[values.reshape(len(values), len(kelvin), n).argmax(axis=-1)]


def onset(post):
    """Draws (sample) of the temperature in K at which the best co leaves zero.

    The slope of m_exp in co at co = 0 is a + b T; where b <= 0 it never turns positive (inf).
    """
    step = 1e-3
    rows = [[0, 0, c, 0, 0, t] for t in (0.0, 600.0) for c in (0.0, step)]
    mesh = pd.DataFrame(rows, columns=post.descriptors)
    m = post.predict(mesh).draws.sel(target="m_exp").to_numpy().reshape(-1, 2, 2)
    slope = (m[:, :, 1] - m[:, :, 0]) / step
    a, b = slope[:, 0], (slope[:, 1] - slope[:, 0]) / 600.0
    return np.where(b > 0, -a / np.where(b > 0, b, 1.0), np.inf)
