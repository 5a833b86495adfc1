"""Funnels: the neck of a posterior, where a noise vanishes, gets the draws it deserves."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, qmc

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.exact import STARTS
from claude_pymc.joint.importance import importance_sample
from claude_pymc.joint.inputs import arrays_of


@pytest.fixture(scope="module")
def funnel():
    """Four simulations and three measurements, no shared row, no correction."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (7, 1))
    y = 1.5 * np.hstack([x, -x]) + [0.0, 0.3] + 0.1 * rng.standard_normal((7, 2))
    y[:4, 1], y[4:, 0] = np.nan, np.nan
    table = cp.Table(["x"], ["sim", "exp"], x, y)
    design = cp.Design.from_bounds({"x": (-1, 1)}, ["sim", "exp"], corrections={"exp": []})
    prior = cp.ShrinkagePrior(linkage_sd=0.5, noise_log_sd=2.0)
    spec = cp.JointGaussian(design, prior)
    return CollapsedPosterior(spec, **arrays_of(spec, cp.PatternStats.from_table(table, design)))


@pytest.fixture(scope="module")
def quadrature(funnel):
    """Points and weights from the widened prior by a Sobol sequence, and the log evidence."""
    z = 1.15 * norm.ppf(np.clip(qmc.Sobol(funnel.dims, seed=5).random_base2(20), 1e-12, 1 - 1e-12))
    spread = np.diag(funnel.wide.roots[0])
    ratio = funnel.batch(funnel.wide.means[0] + spread * z)
    ratio -= (norm.logpdf(z, 0, 1.15) - np.log(spread)).sum(axis=1)
    weights = np.exp(ratio - logsumexp(ratio))
    assert 1.0 / np.square(weights).sum() > 10000
    points = funnel.wide.means[0] + spread * z
    return points, weights, logsumexp(ratio) - np.log(len(ratio))


@pytest.mark.parametrize("wanted", [1000, 4000])
def test_tails_and_evidence_are_those_of_quadrature(funnel, quadrature, wanted):
    points, weights, log_evidence = quadrature
    low = []
    for column in points.T:
        order = np.argsort(column)
        low.append(np.interp(0.05, np.cumsum(weights[order]), column[order]))
    shares, z = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = importance_sample(funnel, funnel.starts(STARTS, rng), wanted, rng)
        assert found.k_hat < 0.7
        shares.append(found.weights @ (found.points < low))
        z.append((found.log_evidence - log_evidence) / found.log_evidence_se)
    # Without the wide component the exp noise has 0.017 (wanted 1000) and 0.036 (4000).
    exact = 0.05 * 0.95 * np.square(weights).sum()  # variance of the quadrature itself
    error = np.sqrt(np.var(shares, axis=0) / len(shares) + exact)
    assert (np.abs(np.mean(shares, axis=0) - 0.05) < 4 * error).all()
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z)) and np.abs(z).max() < 5
