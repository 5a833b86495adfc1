"""What a measurement teaches, against brute force, quadrature and refits."""

import numpy as np
import pytest
from scipy import integrate, stats

from claude_pymc.acquisition.information import (
    condition_on,
    entropy_lost,
    knowledge_gradient,
    max_value_entropy,
    variance_at_maximizers,
    variance_reduction,
)
from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.sampling import sample
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table


@pytest.fixture(scope="module")
def gaussian():
    """Draws of ten correlated values whose sample covariance is exactly that of the Gaussian."""
    rng = np.random.default_rng(3)
    root = np.linalg.cholesky(np.cov(rng.normal(size=(10, 40))))
    z = rng.normal(size=(4000, 10))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / len(z))).T
    return z @ root.T + rng.normal(size=10), root @ root.T


def conditional(covariance, at, noise):
    gain = covariance[:, at] / (covariance[at, at] + noise)
    return covariance - np.outer(gain, covariance[at])


def test_conditioning_is_that_of_the_gaussian(gaussian):
    draws, covariance = gaussian
    found = condition_on(draws, draws[:, 3], 0.4)
    found = condition_on(found, found[:, 7], 0.0)
    expected = conditional(conditional(covariance, 3, 0.4), 7, 0.0)
    np.testing.assert_allclose(found.mean(axis=0), draws.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(np.cov(found.T, ddof=0), expected, atol=1e-10)


def test_nothing_is_learned_from_what_is_known(gaussian):
    draws, _ = gaussian
    assert condition_on(draws, np.full(len(draws), 2.0), 0.0) is draws


def test_variance_reduction_is_what_conditioning_takes_away(gaussian):
    draws, covariance = gaussian
    noise, weight = np.linspace(0.1, 1.0, 10), np.linspace(0.0, 1.0, 10)
    found = variance_reduction(draws, draws, noise, weight)
    left = [
        weight @ (np.diag(covariance) - np.diag(conditional(covariance, c, noise[c])))
        for c in range(10)
    ]
    np.testing.assert_allclose(found, left, rtol=1e-9)


def test_only_places_that_may_be_best_count(gaussian):
    draws, _ = gaussian
    utility = draws.copy()
    utility[:, 5:] = -100.0
    places, counts = np.unique(utility.argmax(axis=1), return_counts=True)
    expected = variance_reduction(draws, draws[:, places], 0.2, counts / counts.sum())
    found = variance_at_maximizers(draws, draws, utility, 0.2)
    np.testing.assert_allclose(found, expected)
    assert places.max() < 5


@pytest.mark.parametrize("gamma", [-6.0, -2.0, 0.0, 1.5, 4.0])
@pytest.mark.parametrize("rho", [1.0, 0.9999, 0.998, 0.9951, 0.99, 0.6, -0.9, 0.0])
def test_entropy_by_quadrature(gamma, rho):
    rest = np.sqrt(1 - rho**2)

    def density(z):
        if rest == 0:
            return stats.norm.pdf(z) * (z <= gamma) / stats.norm.cdf(gamma)
        tail = stats.norm.logcdf((gamma - rho * z) / rest) - stats.norm.logcdf(gamma)
        return stats.norm.pdf(z) * np.exp(tail)

    def integrand(z):
        p = density(z)
        return -p * np.log(p) if p > 0 else 0.0

    kinks = [gamma + k * max(rest, 1e-3) for k in (-5, -1, 0, 1, 5)]
    end = gamma if rest == 0 else 12.0
    inside = [k for k in kinks if -12 < k < end]
    entropy, _ = integrate.quad(integrand, -12, end, points=inside, limit=900, epsabs=1e-11)
    expected = 0.5 * np.log(2 * np.pi * np.e) - entropy
    found = entropy_lost(np.array([gamma]), np.array([rho]))[0]
    exact = abs(rho) <= 0.995 or rho == 1.0
    assert found == pytest.approx(expected, rel=1e-6 if exact else 1e-2, abs=1e-8)


def test_entropy_search_of_draws(gaussian):
    draws, covariance = gaussian
    maxima, noise = np.array([draws.max(), draws.max() + 1.0]), 0.3
    own = 2.0 * draws + 1.0
    found = max_value_entropy(own, draws, maxima, noise)
    sd = np.sqrt(np.diag(covariance))
    gamma = (maxima[:, None] - draws.mean(axis=0)) / sd
    rho = 2.0 * sd / np.sqrt(4.0 * sd**2 + noise)
    np.testing.assert_allclose(found, entropy_lost(gamma, rho).mean(axis=0), rtol=1e-9)
    assert (max_value_entropy(own, draws, maxima, 0.0) > found).all()


def test_knowledge_gradient_of_two_places_in_closed_form(rng):
    """Of two independent places, one measured: E max(a, m) - max(m_a, m_b), a ~ N(m_a, s^2)."""
    draws = rng.normal(size=(40_000, 2)) * [1.0, 0.5] + [0.2, 0.5]
    noise = np.array([0.7])
    normals = rng.normal(size=(40_000, 1))
    value, se = knowledge_gradient(draws[:, :1], draws, draws, noise, normals)
    s = 1.0 / np.sqrt(1.7)
    z = (0.2 - 0.5) / s
    assert abs(value - s * (stats.norm.pdf(z) + z * stats.norm.cdf(z))) < 4 * se
    assert se < 0.01


def test_knowledge_gradient_of_nothing_is_nothing(rng):
    """Thirty useless measurements: a fit to the draws imagines a gain, which must not count."""
    draws = rng.normal(size=(1000, 200))
    value, se = knowledge_gradient(
        rng.normal(size=(1000, 30)), draws, draws, np.full(30, 0.1), rng.normal(size=(1000, 30))
    )
    assert value < 3 * se


def test_knowledge_gradient_of_a_value_to_reach(rng):
    """f ~ N(v, 1) beside a certain miss of 0.5: E max(-|f - v|, -0.5) + 0.5."""
    aim = Reach("exp", 3.0)
    primary = np.column_stack([3.0 + rng.normal(size=40_000), np.full(40_000, 3.5)])
    utility = aim.utility(primary)
    nothing = np.zeros((40_000, 1))
    value, se = knowledge_gradient(
        primary[:, :1], primary, utility, np.zeros(1), nothing, aim.expected
    )
    near = integrate.quad(lambda z: (0.5 - abs(z)) * stats.norm.pdf(z), -0.5, 0.5)[0]
    assert abs(value - near) < 4 * se + 1e-3 and se < 1e-3


@pytest.mark.parametrize("aim", [Maximize("y"), Minimize("y"), Reach("y", 0.7)])
def test_expected_utility_of_a_normal_value(aim, rng):
    draws = 0.2 + 1.5 * rng.normal(size=400_000)
    utility = aim.utility(draws)
    error = utility.std() / np.sqrt(len(draws))
    assert abs(aim.expected(np.array(0.2), np.array(1.5)) - utility.mean()) < 5 * error
    assert aim.expected(np.array(0.2), np.array(0.0)) == pytest.approx(float(aim.utility(0.2)))


@pytest.fixture(scope="module")
def refit():
    """A model whose noise, linkage and scales are all but known, so that it is Gaussian."""
    narrow = {"noise_log_sd": 1e-3, "scale_log_sd": 1e-3, "linkage_sd": 1e-3}
    bounds, ranges = {"x": (0.0, 1.0)}, {"sim": (-1.0, 1.0)}
    design = Design.from_bounds(bounds, ["sim", "exp"], Polynomial(degree=3), ranges=ranges)
    spec = JointGaussian(design, ShrinkagePrior(**narrow))
    x = np.array([0.0, 0.3, 0.6, 0.9])[:, None]
    y = np.column_stack([np.sin(3 * x[:, 0]), np.r_[0.1, np.nan, 0.5, np.nan]])

    def post(more_x=(), more_y=()):
        rows = Table(
            ["x"],
            ["sim", "exp"],
            np.r_[x, np.reshape(more_x, (-1, 1))],
            np.r_[y, [*more_y]] if len(more_y) else y,
        )
        tree = sample(spec, PatternStats.from_table(rows, design), draws=5000, seed=1)
        return JointPosterior(tree, spec)

    return post


@pytest.mark.parametrize("target", ["exp", "sim"])
def test_a_batch_is_conditioned_as_if_it_was_measured(refit, target):
    """Conditioning the draws equals a refit with the fantasy row, at its predicted mean."""
    at, j = np.linspace(0.0, 1.0, 9), ["sim", "exp"].index(target)
    post = refit()
    draws = post.predict(at[:, None]).draws.to_numpy()
    noise = (post.covariance.to_numpy().reshape(-1, 2, 2)[:, j, j].mean()) * (
        post.spec.design.scale[j] ** 2
    )
    found = condition_on(draws, draws[:, 4, j], float(noise))
    fantasy = np.full(2, np.nan)
    fantasy[j] = draws[:, 4, j].mean()
    again = refit([at[4]], [fantasy]).predict(at[:, None]).draws.to_numpy()
    n = 20_000
    sd, expected = found.std(axis=0), again.std(axis=0)
    assert (np.abs(sd - expected) < 5 * expected / np.sqrt(n)).all()
    assert (np.abs(found.mean(axis=0) - again.mean(axis=0)) < 5 * expected * np.sqrt(2 / n)).all()
    assert expected[4, j] < 0.95 * draws[:, 4, j].std()  # it does teach something
