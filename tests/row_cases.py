"""Models, draws and rows made by hand for `attach_rows`, and their moments written densely."""

import json
import warnings

import numpy as np
import xarray as xr
from fakes import NAMES, make_idata

from claude_pymc.errors import Notice
from claude_pymc.joint.gaussian import split_joint
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import LKJPrior
from claude_pymc.joint.rows import attach_rows
from claude_pymc.joint.simulate import simulate_rows
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

NAN = np.nan
RANGES = {"cheap": (-1.0, 5.0), "sim": (10.0, 40.0), "exp": (0.5, 3.0)}


def make_spec(likelihood, d):
    """Two descriptors; each target a quantity with a scale of its own, the dearest a logarithm."""
    targets, joint = NAMES[d], likelihood == "joint"
    first = {targets[0]: ["1", "a", "a^2"]}  # the cheapest does without b
    design = Design.from_bounds(
        {"a": (0.0, 2.0), "b": (-3.0, 5.0)},
        targets,
        Polynomial(degree=1 if joint else 2),
        None if joint else first,
        ranges={t: RANGES[t] for t in targets},
        quantities={t: t for t in targets},
        transforms={"exp": "log"},
        missing_descriptors=joint,
    )
    return JointGaussian(design, LKJPrior(), likelihood)


def make_truth(spec, rng):
    """Columns of all variables, of moderate size."""
    columns = spec.columns
    d = len(columns.variables)
    linkage, terms = np.zeros((d, d)), np.zeros((d, len(columns.terms)))
    for j, k, _ in columns.links:
        linkage[j, k] = rng.normal(0.5, 0.3)
    for place in columns.entries:
        terms[place] = rng.normal(0.0, 0.5)
    return {"linkage": linkage, "sigma": rng.uniform(0.2, 0.6, d), "corrections": terms}


def make_draws(spec, truths, chains=2):
    """Draws (chain, draw) of the given columns in the layout of `cp.sample`."""
    stacked = [np.stack([t[n] for t in truths]) for n in ("linkage", "sigma", "corrections")]
    extra = {}
    if spec.likelihood == "joint":
        found = split_joint(
            stacked[0], stacked[1], stacked[2][..., 0], len(spec.design.descriptors)
        )
        stacked = [found[n] for n in ("linkage", "sigma", "corrections")]
        extra = {n: found[n] for n in ("joint_mean", "joint_covariance")}
    columns = [a.reshape(chains, -1, *a.shape[1:]) for a in stacked]
    idata = make_idata(spec, chains, columns[0].shape[1], columns=columns)
    for name, a in extra.items():
        dims = ("chain", "draw", "variable", "variable_bis")[: a.ndim + 1]
        values = a.reshape(chains, -1, *a.shape[1:])
        idata["posterior"] = idata["posterior"].assign({name: xr.DataArray(values, dims=dims)})
    return idata


def make_rows(spec, truth, rng, n=24):
    """Rows of the model with every pattern; a missing descriptor where the model allows it."""
    d, joint = len(spec.design.targets), spec.likelihood == "joint"
    x = np.column_stack([rng.uniform(0, 2, n), rng.uniform(-3, 5, n)])
    y = np.where(rng.uniform(size=(n, d)) < 0.4, NAN, 0.0)
    y[:3], y[0, 0] = NAN, 0.0  # first the cheapest alone, then two rows without any target
    x[0, 1] = NAN
    if joint:
        x[3:9, 0], x[6:14, 1] = NAN, NAN
    layout = Table(spec.design.descriptors, spec.design.targets, x, y)
    rows = simulate_rows(spec, truth, layout, rng)
    labels = [f"r{i:02d}" for i in rng.permutation(n)]
    return Table(rows.descriptors, rows.targets, rows.x, rows.y, labels)


def fit_of(idata, rows):
    """Say in the attributes that these are the rows of the fit."""
    spec = JointPosterior(idata).spec
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        stats = PatternStats.from_table(rows, spec.design)
        idata.attrs["data_sums"] = json.dumps(stats.sums())
    return idata


def dense(spec, truth, rows):
    """Mean and covariance of (x, y) or of y in each row, by substitution, modelled scale."""
    design = spec.design
    t = np.linalg.inv(np.eye(len(truth["sigma"])) - truth["linkage"])
    sigma = t @ np.diag(truth["sigma"] ** 2) @ t.T
    a, b = rows.x[:, 0] - 1.0, (rows.x[:, 1] - 1.0) / 4.0
    y = rows.y.copy()
    y[:, -1] = np.log(y[:, -1])
    y = (y - np.array(design.location)) / np.array(design.scale)
    if spec.likelihood == "joint":
        mean = np.tile(t @ truth["corrections"][:, 0], (len(rows), 1))
        return np.column_stack([a, b, y]), mean, sigma
    phi = np.nan_to_num(np.column_stack([a**0, a, b, a**2, a * b, b**2]))
    return y, phi @ (t @ truth["corrections"]).T, sigma


def given_the_rest(z, mean, sigma, i, j):
    """Mean and sd of variable j of row i given the other measured values of the row."""
    rest = np.flatnonzero(np.isfinite(z[i]) & (np.arange(z.shape[1]) != j))
    gain = sigma[j, rest] @ np.linalg.inv(sigma[np.ix_(rest, rest)])
    centre = mean[i, j] + gain @ (z[i, rest] - mean[i, rest])
    return centre, np.sqrt(sigma[j, j] - gain @ sigma[rest, j])


def attached(likelihood, d, rng, draws=6, same=False):
    """Specification, draws of columns, rows, and the tree with its new groups."""
    spec = make_spec(likelihood, d)
    truths = [make_truth(spec, rng)] * draws
    if not same:
        truths = [make_truth(spec, rng) for _ in range(draws)]
    rows = make_rows(spec, truths[0], rng)
    return spec, truths, rows, attach_rows(fit_of(make_draws(spec, truths), rows), rows, seed=1)
