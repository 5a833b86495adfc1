"""Simulated studies for the checks: healthy ones, and the pieces that make one fail."""

from __future__ import annotations

import warnings

import numpy as np

import claude_pymc as cp
from claude_pymc.joint.simulate import draw_prior, simulate_rows

# Parameters of healthy studies come from the middle of the default prior, which they are fitted
# with.
MIDDLE = cp.ShrinkagePrior(
    noise=0.1,
    noise_log_sd=0.3,
    linkage_sd=0.2,
    constant_sd=1.0,
    scale=0.5,
    scale_log_sd=0.3,
)
LKJ_MIDDLE = cp.LKJPrior(noise_log_sd=0.3)
LKJ = cp.LKJPrior()
KINDS = ("cubic", "plane", "three", "process", "lkj")


def design_of(kind):
    """A design of one of the kinds, scaled before any row exists."""
    if kind == "plane":
        bounds, basis = {"x": (0.0, 1.0), "t": (0.0, 1.0)}, cp.Polynomial(degree=2)
    elif kind == "process":
        bounds, basis = {"x": (0.0, 1.0)}, cp.HSGP(order=8)
    else:
        bounds, basis = {"x": (0.0, 1.0)}, cp.Polynomial(degree=3)
    targets = ["cheap", "sim", "exp"] if kind == "three" else ["sim", "exp"]
    corrections = None if kind == "process" else {"exp": ["1", "linear"]}
    return cp.Design.from_bounds(bounds, targets, basis, corrections)


def layout_of(design, rng, shared=16, alone=8, cheap=30):
    """Rows that have all targets, the primary alone, and the cheaper ones alone."""
    n = shared + alone + cheap
    x = rng.uniform(size=(n, len(design.descriptors)))
    y = np.zeros((n, len(design.targets)))
    y[shared : shared + alone, :-1] = np.nan
    y[shared + alone :, -1] = np.nan
    return cp.Table(design.descriptors, design.targets, x, y)


def simulated(kind, seed, middle=MIDDLE, **rows):
    """Design, table and candidates of a healthy study."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    design = design_of(kind)
    spec = cp.JointGaussian(design, middle)
    layout = layout_of(design, rng, **rows)
    truth = draw_prior(spec, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cp.Notice)
        table = simulate_rows(spec, truth, layout, rng)
    low, high = layout.x.min(axis=0), layout.x.max(axis=0)
    candidates = low + (high - low) * (0.1 + 0.8 * rng.uniform(size=(40, len(low))))
    return design, table, candidates


def fitted(design, table, prior=None, seed=0, **options):
    """The posterior of a table under the default prior."""
    spec = cp.JointGaussian(design, prior or cp.ShrinkagePrior(), **options)
    stats = cp.PatternStats.from_table(table, design, rows=spec.needs == "rows")
    return cp.JointPosterior(cp.sample(spec, stats, seed=seed))


def healthy(kind, seed):
    """Posterior, table and candidates of a healthy study."""
    lkj = kind == "lkj"
    design, table, candidates = simulated(kind, seed, LKJ_MIDDLE if lkj else MIDDLE)
    return fitted(design, table, LKJ if lkj else None, seed), table, candidates
