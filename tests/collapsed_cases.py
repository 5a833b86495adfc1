"""Specifications and rows for the collapsed likelihood, and its dense truth with rows stacked."""

import math

import numpy as np
from oracle import all_patterns, random_columns
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.collapsed_op import CollapsedLogLikelihood
from claude_pymc.joint.inputs import data_of

SHRINKAGE = cp.ShrinkagePrior(noise=0.2, linkage_sd=0.4, constant_sd=2.0, scale=0.6)
TIED = cp.ShrinkagePrior(noise=0.2, linkage_sd=0.4, constant_sd=2.0, tied=True)
LKJ = cp.LKJPrior(eta=1.4, t=3.0, noise=0.3, noise_log_sd=0.8)
# Which terms each target has: everything, gaps, nothing.
SETS = {
    "whole-1": [[0, 1, 2, 3]],
    "gaps-1": [[1, 3]],
    "none-1": [[]],
    "whole-2": [[0, 1, 2, 3], [0, 1, 2, 3]],
    "gaps-2": [[0, 2, 3], [1, 3]],
    "first-empty-2": [[], [0, 2]],
    "last-empty-2": [[0, 1, 2, 3], []],
    "none-2": [[], []],
    "whole-3": [[0, 1, 2, 3]] * 3,
    "mixed-3": [[0, 1, 2, 3], [], [0, 3]],
    "gaps-3": [[0, 2], [1, 2], [3]],
    "first-empty-3": [[], [0, 1, 3], [1]],
}


def entries_of(name):
    """Free entries (target, term) of a set of `SETS`."""
    return tuple((j, b) for j, terms in enumerate(SETS[name]) for b in terms)


def make_rows(rng, d, p=4, n=30, patterns=None):
    """Rows of the given patterns (default: all) in turns: (phi, y, rows, gram)."""
    patterns = all_patterns(d) if patterns is None else patterns
    phi = np.column_stack([np.ones(n), rng.uniform(-1, 1, (n, p - 1))])
    y = rng.normal(size=(n, d))
    y[~np.resize(patterns, (n, d))] = np.nan
    z = np.hstack([phi, np.nan_to_num(y)])
    alike = (np.isfinite(y)[None] == patterns[:, None]).all(axis=2)
    return (
        phi,
        y,
        patterns * alike.sum(axis=1)[:, None] * 1.0,
        np.stack([z[a].T @ z[a] for a in alike]),
    )


def make_columns(rng, d, entries):
    """Linkage, noise and prior sds."""
    linkage, sigma, _ = random_columns(rng, 1, d)
    return linkage, sigma, np.exp(rng.normal(size=len(entries)))


def evaluate(entries, linkage, sigma, sd, rows, gram):
    """Value and three gradients by the compiled loops."""
    storage = [[None] for _ in range(4)]
    inputs = (np.array(v, dtype=float) for v in (linkage, sigma, sd, rows, gram))
    CollapsedLogLikelihood(entries).perform(None, list(inputs), storage)
    return float(storage[0][0]), *(one[0] for one in storage[1:])


def stacked(entries, linkage, sigma, phi, y):
    """All values in one vector: (y, design of the free entries, covariance of the noise)."""
    d = len(sigma)
    carry = np.linalg.inv(np.eye(d) - np.tril(linkage, -1))
    cov = carry @ np.diag(np.square(sigma)) @ carry.T
    blocks, x = [], []
    for f, row in zip(phi, y, strict=True):
        have = np.isfinite(row)
        x.append(np.array([carry[have, j] * f[b] for j, b in entries]).reshape(-1, have.sum()).T)
        blocks.append(cov[np.ix_(have, have)])
    return y[np.isfinite(y)], np.vstack(x), block_diag(*blocks)


def dense_value(entries, linkage, sigma, sd, phi, y):
    """Log density of all values at once: y ~ N(0, X S X' + noise); of infinite sd, the limit."""
    values, x, noise = stacked(entries, linkage, sigma, phi, y)
    flat = np.isinf(sd)
    cov = noise + (x[:, ~flat] * np.square(sd[~flat])) @ x[:, ~flat].T
    if not flat.any():
        return multivariate_normal(np.zeros(len(values)), cov).logpdf(values)
    # Integrated over b: density of the residuals, and of what b explains.
    root = np.linalg.cholesky(cov)
    q, r = np.linalg.qr(np.linalg.solve(root, x[:, flat]), mode="complete")
    rest = (q.T @ np.linalg.solve(root, values))[flat.sum() :]
    logdet = np.log(np.diag(root)).sum() + np.log(np.abs(np.diag(r))).sum()
    return -0.5 * rest @ rest - logdet - 0.5 * len(rest) * math.log(2 * math.pi)


def dense_moments(entries, linkage, sigma, sd, phi, y):
    """Mean and precision of the free entries given everything else."""
    values, x, noise = stacked(entries, linkage, sigma, phi, y)
    weighted = np.linalg.solve(noise, x)
    precision = x.T @ weighted + np.diag(sd**-2.0)
    return np.linalg.solve(precision, weighted.T @ values), precision


def make_spec(prior, d, corrections=None, basis=None):
    """A cubic in one descriptor for d targets; under "joint" two descriptors, linear."""
    kind, joint = prior if isinstance(prior, tuple) else (prior, False)
    names = ["y1", "y2", "y3"][:d]
    bounds = dict.fromkeys("ab" if joint else "a", (-1.0, 1.0))
    design = cp.Design.from_bounds(
        bounds,
        names,
        basis or cp.Polynomial(degree=1 if joint else 3),
        corrections,
        quantities=dict(zip(names, ["q", "other", "q"], strict=False)),
        missing_descriptors=joint,
    )
    return cp.JointGaussian(design, kind, "joint" if joint else "conditional")


SPECS = {
    "shrinkage-1": make_spec(SHRINKAGE, 1),
    "shrinkage-2": make_spec(SHRINKAGE, 2, {"y2": ["1", "a^2"]}),
    "shrinkage-3": make_spec(SHRINKAGE, 3, {"y2": [], "y3": ["1", "a", "a^3"]}),
    "tied-3": make_spec(TIED, 3, {"y2": ["1"], "y3": ["1", "a", "a^3"]}),
    "kernel-1": make_spec(SHRINKAGE, 1, basis=cp.HSGP(order=9)),
    "kernel-2": make_spec(SHRINKAGE, 2, {"y2": ["1", "gp1(a)", "gp2(a)"]}, cp.HSGP(order=9)),
    "kernel-tied-2": make_spec(TIED, 2, {"y2": ["a", "gp1(a)", "gp3(a)"]}, cp.HSGP(order=9)),
    "lkj-1": make_spec(LKJ, 1),
    "lkj-2": make_spec(LKJ, 2, {"y2": ["1"]}),
    "lkj-3": make_spec(LKJ, 3, {"y2": ["a", "a^3"]}),
    "flat-1": make_spec(cp.FlatPrior(), 1),
    "flat-2": make_spec(cp.FlatPrior(), 2, {"y2": ["1", "a^2"]}),
    "flat-3": make_spec(cp.FlatPrior(), 3, {"y2": [], "y3": ["1"]}),
    "joint-1": make_spec((LKJ, True), 1),
    "joint-2": make_spec((LKJ, True), 2, {"y1": ["1", "a"], "y2": ["b"]}),
    "joint-flat-2": make_spec((cp.FlatPrior(), True), 2, {"y2": ["1", "b"]}),
}


def make_posterior(name, rng, n=None):
    """Posterior of a specification of `SPECS` given rows of all patterns: (posterior, phi, y)."""
    spec = SPECS[name]
    joint, d = spec.likelihood == "joint", len(spec.design.targets)
    width = len(spec.columns.variables)
    n = 4 * 2**width if n is None else n
    values = rng.normal(size=(n, width)) @ random_columns(rng, 1, width)[0] * 0.5
    values += 0.5 * rng.normal(size=(n, width))
    values[~np.resize(all_patterns(width), (n, width))] = np.nan
    x = values[:, : width - d] if joint else rng.uniform(-1, 1, (n, 1))
    table = cp.Table(spec.design.descriptors, spec.design.targets, x, values[:, width - d :])
    stats = cp.PatternStats.from_table(table, spec.design)
    phi = np.ones((n, 1)) if joint else spec.design.phi(x)
    return CollapsedPosterior(spec, **data_of(spec, stats)), phi, values
