"""The evidence against closed forms, quadrature, bridge sampling and the rule of sums."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from test_sampling import tiny

import claude_pymc as cp
from claude_pymc.joint.density import entry_sd, log_prior
from claude_pymc.joint.exact import draw_exact, evidence
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.ops import pattern_numpy
from claude_pymc.joint.priors import FLOOR

NARROW = 1e-4  # log sd of a noise that is all but known


def one_target(prior, n=12, degree=2):
    """Specification, statistics, and the rows on the modelled scale (phi, y)."""
    rng = np.random.default_rng(n)
    x = rng.uniform(-1, 1, (n, 1))
    y = 0.5 - x[:, 0] + 0.3 * rng.normal(size=n)
    table = cp.Table(["x"], ["y"], x, y[:, None])
    design = cp.Design.from_bounds({"x": (-1.0, 1.0)}, ["y"], cp.Polynomial(degree=degree))
    spec = cp.JointGaussian(design, prior)
    return spec, cp.PatternStats.from_table(table, design), np.vander(x[:, 0], degree + 1, True), y


def marginal(phi, y, sigma, sd):
    """Log density of y ~ N(0, Phi S Phi' + sigma^2)."""
    cov = (phi * np.square(sd)) @ phi.T + sigma**2 * np.eye(len(y))
    root = np.linalg.cholesky(cov)
    z = np.linalg.solve(root, y)
    return -0.5 * z @ z - np.log(np.diag(root)).sum() - 0.5 * len(y) * math.log(2 * math.pi)


def check(found, expected, error=0.0):
    assert found.k_hat < 0.7
    assert abs(found.log_evidence - expected) < 4 * math.hypot(found.se, error) + 1e-3, found


@pytest.mark.parametrize("noise", [0.05, 0.3, 2.0])
def test_a_known_noise_and_scale_have_a_closed_form(noise):
    prior = cp.ShrinkagePrior(noise=noise, noise_log_sd=NARROW, scale=0.8, scale_log_sd=NARROW)
    spec, stats, phi, y = one_target(prior)
    sd = np.array([prior.constant_sd, 0.8, 0.8])
    check(evidence(spec, stats), marginal(phi, y, noise + FLOOR, sd))
    prior = cp.LKJPrior(noise=noise, noise_log_sd=NARROW, t=2.0)
    spec, stats, phi, y = one_target(prior)
    check(evidence(spec, stats), marginal(phi, y, noise, np.full(3, 2.0 * noise)))


@pytest.mark.parametrize("n", [1, 4, 40])
def test_one_unknown_noise_is_an_integral_in_one_dimension(n):
    prior = cp.LKJPrior(noise=0.2, noise_log_sd=1.2, t=3.0)
    spec, stats, phi, y = one_target(prior, n)
    grid = math.log(0.2) + 1.2 * np.linspace(-8, 8, 3001)
    values = [marginal(phi, y, s, np.full(3, 3.0 * s)) for s in np.exp(grid)]
    values += norm.logpdf(grid, math.log(0.2), 1.2)
    check(evidence(spec, stats), logsumexp(values) + math.log(grid[1] - grid[0]))


@pytest.mark.parametrize("n", [2, 10])
def test_noise_and_one_scale_are_an_integral_in_two_dimensions(n):
    prior = cp.ShrinkagePrior(noise=0.2, noise_log_sd=1.0)
    spec, stats, phi, y = one_target(prior, n, degree=1)
    noise = math.log(0.2) + np.linspace(-7, 7, 141)
    scale = math.log(prior.scale) + prior.scale_log_sd * np.linspace(-6, 6, 81)
    values = norm.logpdf(noise, math.log(0.2), 1.0)[:, None]
    values = values + norm.logpdf(scale, math.log(prior.scale), prior.scale_log_sd)
    for i, j in np.ndindex(values.shape):
        sd = np.array([prior.constant_sd, math.exp(scale[j])])
        values[i, j] += marginal(phi, y, FLOOR + math.exp(noise[i]), sd)
    steps = (noise[1] - noise[0]) * (scale[1] - scale[0])
    check(evidence(spec, stats), logsumexp(values) + math.log(steps))


def linked(prior, likelihood="conditional", rows=None):
    """Two linked targets, the dear one in every third row; under "joint" x is one more variable."""
    joint = likelihood == "joint"
    design = cp.Design.from_bounds(
        {"x": (-1.0, 1.0)}, ["sim", "exp"], cp.Polynomial(degree=1), missing_descriptors=joint
    )
    spec = cp.JointGaussian(design, prior, likelihood)
    return spec, cp.PatternStats.from_table(tiny() if rows is None else rows, design)


PRIORS = {
    "shrinkage": (cp.ShrinkagePrior(),),
    "lkj": (cp.LKJPrior(),),
    "joint": (cp.LKJPrior(), "joint"),
}


def full_density(spec, data, points):
    """Log of prior times likelihood of everything, corrections included; no integral was done."""
    columns = spec.columns
    sizes = [len(columns.links), len(columns.variables), len(columns.entries)]
    floor = FLOOR if spec.prior.kind == "shrinkage" else 0.0
    found = np.empty(len(points))
    for i, point in enumerate(points):
        free, log_sigma, b, hyper = np.split(point, np.cumsum(sizes))
        linkage = np.zeros((sizes[1], sizes[1]))
        corrections = np.zeros((sizes[1], len(columns.terms)))
        for (j, k, _), value in zip(columns.links, free, strict=True):
            linkage[j, k] = value
        corrections[tuple(np.array(columns.entries).T)] = b
        sigma = floor + np.exp(log_sigma)
        found[i] = log_prior(spec, linkage, log_sigma, hyper)[0]
        found[i] += norm.logpdf(b, 0, entry_sd(spec, sigma, hyper)).sum()
        found[i] += pattern_numpy(linkage, sigma, corrections, **data)[0]
    return found


def columns_of(spec, tree):
    """Linkage, noise and corrections (draw, ...) of all variables."""
    draws = {n: v.to_numpy() for n, v in tree["posterior"].data_vars.items()}
    draws = {n: v.reshape(-1, *v.shape[2:]) for n, v in draws.items()}
    if spec.likelihood == "conditional":
        return draws["linkage"], draws["sigma"], draws["corrections"], draws.get("scale")
    root = np.linalg.cholesky(draws["joint_covariance"])
    sigma = np.diagonal(root, axis1=1, axis2=2)
    unit = np.linalg.inv(root / sigma[:, None])
    mean = np.einsum("nij,nj->ni", unit, draws["joint_mean"])[..., None]
    return np.eye(sigma.shape[1]) - unit, sigma, mean, None


def points_of(spec, tree):
    """Draws in the coordinates of `full_density`."""
    linkage, sigma, corrections, scale = columns_of(spec, tree)
    floor = FLOOR if spec.prior.kind == "shrinkage" else 0.0
    parts = [linkage[:, j, k, None] for j, k, _ in spec.columns.links]
    parts += [np.log(sigma - floor), corrections[:, *np.array(spec.columns.entries).T]]
    return np.hstack([*parts, np.log(scale)] if scale is not None else parts)


def bridge(spec, stats, seed):
    """Log evidence by bridge sampling (Meng, Wong 1996), proposal a Gaussian of other draws."""
    tree, reason = draw_exact(spec, stats, draws=400, chains=4, seed=seed)
    assert not reason
    data, rng = data_of(spec, stats), np.random.default_rng(seed)
    points = rng.permutation(points_of(spec, tree))
    fitted, points = points[:800], points[800:]
    proposal = multivariate_normal(fitted.mean(axis=0), np.cov(fitted.T))
    others = proposal.rvs(800, random_state=seed)
    ours = full_density(spec, data, points) - proposal.logpdf(points)
    theirs = full_density(spec, data, others) - proposal.logpdf(others)
    value = float(np.median(ours))
    for _ in range(200):
        top = logsumexp(theirs - np.logaddexp(theirs, value))
        before, value = value, float(top - logsumexp(-np.logaddexp(ours, value)))
        if abs(value - before) < 1e-9:
            break
    return value


@pytest.mark.parametrize("name", PRIORS)
def test_bridge_sampling_of_everything_finds_the_same(name):
    """In all dimensions, without any integral: five estimates give the error."""
    spec, stats = linked(*PRIORS[name])
    estimates = [bridge(spec, stats, seed) for seed in range(5)]
    error = np.std(estimates, ddof=1) / math.sqrt(5)
    found = evidence(spec, stats, draws=8000, seed=9)
    assert error < 0.05
    # Student's t of four degrees of freedom, two-sided one in a thousand: 8.6.
    assert abs(np.mean(estimates) - found.log_evidence) < 8.6 * error + 4 * found.se, estimates


@pytest.mark.parametrize("name", PRIORS)
def test_evidence_of_later_rows_is_their_predictive_density(name):
    """log p(all) - log p(first) = log of the mean of p(later | draw) over the first posterior."""
    table = tiny()
    after = np.isin(np.arange(20), [4, 9, 13, 15])
    spec, first = linked(*PRIORS[name], rows=table.rows(~after))
    later = cp.PatternStats.from_table(table.rows(after), spec.design)
    tree, reason = draw_exact(spec, first, draws=2500, chains=4, seed=1)
    assert not reason
    linkage, sigma, corrections, _ = columns_of(spec, tree)
    data = data_of(spec, later)
    logs = np.array(
        [pattern_numpy(*one, **data)[0] for one in zip(linkage, sigma, corrections, strict=True)]
    )
    ratio = np.exp(logs - logs.max())
    expected = math.log(ratio.mean()) + logs.max()
    # Resampled weights count once more.
    error = math.sqrt(2 / len(ratio)) * ratio.std() / ratio.mean()
    whole, part = (evidence(spec, s, draws=8000, seed=2) for s in (first + later, first))
    found = whole.log_evidence - part.log_evidence
    assert error < 0.1
    assert abs(found - expected) < 4 * math.hypot(error, whole.se, part.se)


def test_a_smaller_model_wins_where_it_is_true():
    """Rows of a line: the evidence prefers a line to a cubic, and to a constant."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 30)
    table = cp.Table(["x"], ["y"], x[:, None], (1 + x + 0.1 * rng.normal(size=30))[:, None])
    found = {}
    for degree in (1, 3):
        design = cp.Design.from_bounds({"x": (-1.0, 1.0)}, ["y"], cp.Polynomial(degree=degree))
        spec = cp.JointGaussian(design)
        found[degree] = evidence(spec, cp.PatternStats.from_table(table, design)).log_evidence
    assert found[1] > found[3] + 0.5
