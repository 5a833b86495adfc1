"""Funnels: the neck of a posterior, where a noise vanishes, gets the draws it deserves."""

import numpy as np
import pytest
from scipy.special import logsumexp

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.exact import STARTS
from claude_pymc.joint.importance import importance_sample
from claude_pymc.joint.inputs import arrays_of
from claude_pymc.joint.mixture import Mixture


@pytest.fixture(scope="module")
def funnel():
    """Four simulations and three measurements, no shared row, no correction."""
    rng = np.random.default_rng(1)
    n_sim, n_exp = int(rng.integers(2, 8)), int(rng.integers(1, 6))
    assert (n_sim, n_exp) == (4, 3)
    x = rng.uniform(-1, 1, (7, 1))
    sim = 1.5 * x * rng.choice([-1, 1])
    y = np.hstack([sim, rng.choice([-1, 1]) * sim + 0.3]) + 0.1 * rng.standard_normal((7, 2))
    y[:4, 1], y[4:, 0] = np.nan, np.nan
    table = cp.Table(["x"], ["sim", "exp"], x, y)
    design = cp.Design.from_bounds(
        {"x": (-1, 1)}, ["sim", "exp"], None, {"exp": []}, standardize=False
    )
    prior = cp.ShrinkagePrior(linkage_sd=0.5, noise_log_sd=2.0)
    spec = cp.JointGaussian(design, prior)
    return CollapsedPosterior(spec, **arrays_of(spec, cp.PatternStats.from_table(table, design)))


@pytest.fixture(scope="module")
def quadrature(funnel):
    """Half a million weighted points of the prior and of the moments that these give."""
    rng, proposal = np.random.default_rng(0), funnel.wide
    for number in (2**17, 2**19):
        points = proposal.draw(number, rng)
        ratio = funnel.batch(points) - proposal.log_density(points)
        weights = np.exp(ratio - logsumexp(ratio))
        root = np.linalg.cholesky(2.0 * np.cov(points.T, aweights=weights))
        moments = Mixture(np.ones(1), (weights @ points)[None], root[None])
        proposal = moments.joined(funnel.wide, 0.5)
    assert 1.0 / np.square(weights).sum() > 50000
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
