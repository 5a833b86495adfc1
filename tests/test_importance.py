"""Importance sampling of densities whose integral and moments are known."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multivariate_normal, multivariate_t

from claude_pymc.joint.convergence import K_HAT
from claude_pymc.joint.importance import Weighted, importance_sample, smoothed
from claude_pymc.joint.mixture import Mixture, mixture_of, systematic

WANTED = 4000


@dataclass
class Known:
    """A log density of points (point, dim), with gradients by differences."""

    wide = None

    log_density: object
    dims: int
    exploring: bool = True

    def batch(self, theta):
        return np.asarray(self.log_density(theta), dtype=float).reshape(len(theta))

    def draw_entries(self, theta, rng):
        return self.batch(theta), theta[:, :1] + 100.0

    def evaluate(self, theta, h=1e-5):
        steps = h * np.eye(self.dims)
        gradient = (self.batch(theta + steps) - self.batch(theta - steps)) / (2 * h)
        return float(self.batch(theta[None])[0]), gradient


def run(density, seed=0, wanted=WANTED, spread=2.0):
    rng = np.random.default_rng(seed)
    starts = spread * rng.standard_normal((100, density.dims))
    return importance_sample(density, starts, wanted, rng)


def check_mean(found, values, expected, most=4.5):
    """The weighted mean is the expected one, within errors of the weighted sample."""
    values = np.asarray(values, dtype=float).reshape(len(found.points), -1)
    mean = found.weights @ values
    error = np.sqrt(np.square(found.weights) @ np.square(values - mean))
    assert (np.abs(mean - expected) < most * error).all(), (mean - expected) / error


def check_good(found, log_evidence=0.0, most=4.0, k_hat=K_HAT):
    """All draws that were wanted, an evidence within its error, and a k-hat that says so."""
    assert found.ess > 0.7 * WANTED
    assert found.share == found.ess / len(found.points) <= 1.0
    assert found.k_hat < k_hat
    assert abs(found.weights.sum() - 1.0) < 1e-12 and (found.weights >= 0).all()
    z = (found.log_evidence - log_evidence) / found.log_evidence_se
    assert abs(z) < most, z
    assert found.log_evidence_se < 2.0 / math.sqrt(WANTED)


def correlated(dims=5):
    rng = np.random.default_rng(dims)
    root = np.tril(rng.normal(size=(dims, dims))) + np.diag(rng.uniform(0.1, 3.0, dims))
    return multivariate_normal(rng.normal(size=dims), root @ root.T)


def log_gamma(shape):
    """Sum of logarithms of gamma variables: skewed, with one exponential tail."""

    def log_density(x):
        return (shape * x - np.exp(np.minimum(x, 600.0)) - gammaln(shape)).sum(axis=1)

    return log_density


def banana(x, bend=0.3):
    """Standard normal, bent: x2 is shifted by a parabola of x1; the volume stays."""
    straight = x[:, 1] - bend * (np.square(x[:, 0] / 2.0) - 1.0)
    pieces = np.square(x[:, 0] / 2.0) + np.square(straight) + np.square(x[:, 2])
    return -0.5 * pieces - 1.5 * math.log(2 * math.pi) - math.log(2.0)


PEAKS = [multivariate_normal([s, 0, 0], np.diag([v, 0.5, 1.0])) for s, v in ((-4, 0.3), (4, 1.0))]


def two_modes(x):
    """Two modes eight apart, of weights 0.15 and 0.85; the lighter one is not the lower one."""
    parts = [math.log(w) + p.logpdf(x) for w, p in zip((0.15, 0.85), PEAKS, strict=True)]
    return np.logaddexp(*parts)


@pytest.mark.parametrize("seed", range(5))
def test_a_correlated_gaussian(seed):
    truth = correlated()
    found = run(Known(truth.logpdf, 5), seed)
    check_good(found, k_hat=0.5)
    check_mean(found, found.points, truth.mean)
    centred = found.points - truth.mean
    check_mean(found, centred[:, :, None] * centred[:, None], truth.cov.ravel())


@pytest.mark.parametrize("constant", [-1000.0, 700.0, 5000.0])
def test_a_constant_factor_is_the_evidence(constant):
    found = run(Known(lambda x: correlated().logpdf(x) + constant, 5))
    check_good(found, constant)


@pytest.mark.parametrize("exploring", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_banana(seed, exploring):
    found = run(Known(banana, 3, exploring), seed)
    check_good(found)
    x, y, _ = found.points.T
    check_mean(found, np.column_stack([x, y, x**2, y**2]), [0, 0, 4, 1.18])


@pytest.mark.parametrize("seed", range(3))
def test_a_skewed_density(seed):
    found = run(Known(log_gamma(np.array([0.5, 1.0, 3.0])), 3), seed)
    check_good(found)
    check_mean(found, np.exp(found.points), [0.5, 1.0, 3.0])


@pytest.mark.parametrize("seed", range(5))
def test_two_modes_have_their_weights(seed):
    found = run(Known(two_modes, 3), seed, spread=4.0)
    check_good(found)
    check_mean(found, found.points[:, 0] < 0, 0.15)


@pytest.mark.parametrize(("df", "most"), [(1.0, 0.2), (3.0, 0.0)])
def test_a_heavy_tail_is_mostly_right_or_said_to_be_wrong(df, most):
    """The proposal has four degrees of freedom: a Cauchy tail has weights without variance.

    k-hat does not see it. Over 100 seeds it was below 0.7 in every run of the Cauchy tail, of which
    11 lie beyond four standard errors (3 of the 30 here); with three degrees of freedom none does.
    """
    density = Known(multivariate_t(np.zeros(3), np.eye(3), df).logpdf, 3)
    trusted = [one for one in (run(density, seed) for seed in range(30)) if one.k_hat <= K_HAT]
    wrong = [one for one in trusted if abs(one.log_evidence) >= 4 * one.log_evidence_se]
    assert len(wrong) <= most * len(trusted)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_beyond_a_wall(seed):
    """Half of a Gaussian: -inf beyond the wall, whose gradients are no numbers."""

    def half(x):
        inside = math.log(2.0) + multivariate_normal(np.zeros(3), np.eye(3)).logpdf(x)
        return np.where(x[:, 0] > 0, inside, -np.inf)

    with np.errstate(invalid="ignore"):
        found = run(Known(half, 3), seed)
    check_good(found)
    assert not found.weights[found.points[:, 0] <= 0].any()
    mean = math.sqrt(2 / math.pi)
    check_mean(found, found.points, [mean, 0, 0])


def test_errors_of_the_evidence_are_what_they_say():
    """Over 40 seeds: standard deviation and mean of the deviations in units of their errors."""
    density = Known(banana, 3)
    found = [run(density, seed, wanted=1000) for seed in range(40)]
    z = np.array([one.log_evidence / one.log_evidence_se for one in found])
    assert abs(z.mean()) < 4 / math.sqrt(40)
    assert 0.6 < z.std(ddof=1) < 1.5
    shares = [one.share for one in found]
    assert min(shares) > 0.3


def test_the_same_seed_gives_the_same_result():
    one, two, other = (run(Known(banana, 3), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.weights, two.weights)
    assert one.log_evidence == two.log_evidence != other.log_evidence
    assert one.evaluations == two.evaluations


def test_evaluations_are_counted():
    calls = []

    class Counted(Known):
        def batch(self, theta):
            calls.append(len(theta))
            return super().batch(theta)

        def evaluate(self, theta):
            found = super().evaluate(theta)
            calls[-3:] = [1]
            return found

    assert run(Counted(banana, 3)).evaluations == sum(calls)


def test_a_second_mode_is_seldom_missed():
    """Nothing warns of a mode that no ascent has found."""
    found = [run(Known(two_modes, 3), seed, wanted=500, spread=4.0) for seed in range(100, 140)]
    missed = [abs(one.log_evidence) > max(5 * one.log_evidence_se, 0.02) for one in found]
    assert sum(missed) <= 2


def test_resampled_points_are_draws_of_equal_weight():
    found = run(Known(two_modes, 3), spread=4.0)
    rng = np.random.default_rng(0)
    drawn, entries = found.resample(3000, rng)
    assert drawn.shape == (3000, 3)
    np.testing.assert_array_equal(entries, drawn[:, :1] + 100.0)  # each stays with its point
    share = (drawn[:, 0] < 0).mean()
    assert abs(share - found.weights[found.points[:, 0] < 0].sum()) < 0.02
    order = drawn[:, 0] < 0
    changes = (order[1:] != order[:-1]).mean()  # in random order
    assert abs(changes - 2 * share * (1 - share)) < 5 * math.sqrt(0.25 / 3000)


def weighted(ratios):
    """Points that have these log ratios, judged one by one."""
    raw, n = np.exp(ratios), len(ratios)
    weights, nothing = raw / raw.sum(), np.empty((n, 0))
    se = raw.std(ddof=1) / raw.mean() / math.sqrt(n)
    ess = 1 / np.square(weights).sum()
    return Weighted(nothing, nothing, weights, ratios, 0.0, ess, np.log(raw.mean()), se, n)


def test_points_that_share_a_draw_are_judged_by_their_draws(rng):
    """The error of the evidence covers what is common to a cluster; the effective number, too."""
    one = weighted(rng.normal(size=50))
    each = one.clustered(rng.permutation(50))
    assert each.ess == pytest.approx(one.ess)
    assert each.log_evidence_se == pytest.approx(one.log_evidence_se)
    copies = weighted(np.repeat(one.ratios, 30)).clustered(np.repeat(np.arange(50), 30))
    assert copies.ess == pytest.approx(one.ess)
    assert copies.log_evidence_se == pytest.approx(one.log_evidence_se)
    z = []
    for _ in range(400):
        cluster = rng.integers(100, size=3000)
        found = weighted(rng.normal(0, 0.4, 100)[cluster] + rng.normal(0, 0.3, 3000))
        deviation = found.log_evidence - (0.4**2 + 0.3**2) / 2
        z.append([deviation / v.log_evidence_se for v in (found, found.clustered(cluster))])
    alone, clustered = np.std(z, axis=0)
    assert alone > 3 and abs(clustered - 1) < 5 / math.sqrt(800)


@pytest.mark.parametrize("number", [1, 7, 1000])
def test_systematic_counts_differ_by_less_than_one(number, rng):
    shares = rng.dirichlet(np.full(9, 0.5))
    for _ in range(20):
        counts = np.bincount(systematic(shares, number, rng), minlength=9)
        assert counts.sum() == number
        assert (np.abs(counts - number * shares) < 1).all()
    mean = np.mean(
        [np.bincount(systematic(shares, 5, rng), minlength=9) for _ in range(4000)], axis=0
    )
    np.testing.assert_allclose(mean, 5 * shares, atol=5 * 0.5 / math.sqrt(4000))


def test_shares_that_round_to_less_than_one_are_no_error(rng):
    shares = np.full(10, 0.1) * (1 - 1e-12)
    counts = np.bincount(systematic(shares, 10**5, rng), minlength=10)
    assert len(counts) == 10 and counts.sum() == 10**5


def make_mixture(rng, components=3, dims=3):
    shares = rng.dirichlet(np.full(components, 3.0))
    roots = np.tril(0.4 * rng.normal(size=(components, dims, dims)), -1)
    roots += np.exp(0.3 * rng.normal(size=(components, dims)))[:, :, None] * np.eye(dims)
    return Mixture(shares, 3 * rng.normal(size=(components, dims)), roots)


def test_the_density_of_a_mixture_is_that_of_its_parts(rng):
    mixture = make_mixture(rng)
    points = rng.normal(scale=4.0, size=(50, 3))
    parts = [
        share * multivariate_t(mean, root @ root.T, 4.0).pdf(points)
        for share, mean, root in zip(mixture.shares, mixture.means, mixture.roots, strict=True)
    ]
    np.testing.assert_allclose(mixture.log_density(points), np.log(sum(parts)), rtol=1e-10)


def test_draws_of_a_mixture_follow_its_density(rng):
    """Weighed by another density they have its integral and moments: draws and density fit."""
    mixture, number = make_mixture(rng), 40000
    points = mixture.draw(number, rng)
    truth = multivariate_normal(mixture.shares @ mixture.means, 2.0 * np.eye(3))
    ratio = np.exp(truth.logpdf(points) - mixture.log_density(points))
    for values, expected in (
        (ratio, 1.0),
        *((ratio * points[:, i], truth.mean[i]) for i in range(3)),
    ):
        assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(number)
    # The other way round: the share of its own mass below a plane, by a grid of one dimension.
    one = Mixture(np.ones(1), np.zeros((1, 1)), 2.0 * np.ones((1, 1, 1)))
    grid = np.linspace(-300, 300, 60001)[:, None]
    inside = np.exp(one.log_density(grid)) * 0.01
    assert inside.sum() == pytest.approx(1.0, abs=1e-4)
    below = inside[grid[:, 0] < 1.5].sum()
    share = (one.draw(number, rng)[:, 0] < 1.5).mean()
    assert abs(share - below) < 5 * math.sqrt(0.25 / number) + 2e-3


@pytest.mark.parametrize("weighted", [False, True])
def test_fitting_increases_the_weighted_likelihood(weighted, rng):
    mixture, truth = make_mixture(rng), make_mixture(rng)
    points = truth.draw(3000, rng)
    weights = rng.uniform(size=3000) if weighted else np.ones(3000)
    weights /= weights.sum()
    before = [weights @ mixture.log_density(points)]
    for rounds in (1, 3, 10, 30):
        before.append(weights @ mixture.fitted(points, weights, rounds).log_density(points))
    assert (np.diff(before) > -1e-3).all(), before
    best = weights @ truth.log_density(points)
    found = mixture_of(points, 5, rng)
    assert weights @ found.log_density(points) > best - 0.1
    assert found.shares.sum() == pytest.approx(1.0)


def test_smoothed_weights_are_normalised_and_equal_ones_stay_equal(rng):
    weights, k_hat = smoothed(np.full(100, -3.0))
    np.testing.assert_array_equal(weights, 0.01)
    assert k_hat == -math.inf
    weights, k_hat = smoothed(rng.standard_cauchy(1000))
    assert weights.sum() == pytest.approx(1.0)
    assert not k_hat <= K_HAT  # it may also be no number


def test_a_funnel():
    """Three coordinates of width e^y, y ~ N(0, 1), without walkers: few draws are lost.

    Started at its mode alone, a seventh of the draws is effective.
    """

    def funnel(x):
        y, rest = x[:, 0], x[:, 1:]
        narrow = -0.5 * np.square(rest * np.exp(-y)[:, None]).sum(axis=1) - 3.0 * y
        return narrow - 0.5 * np.square(y) - 2.0 * math.log(2 * math.pi)

    shares, tails = [], []
    for seed in range(5):
        found = run(Known(funnel, 4, exploring=False), seed)
        assert abs(found.log_evidence) < 4 * found.log_evidence_se
        y = found.points[:, 0]
        check_mean(found, np.column_stack([y, np.square(y)]), [0.0, 1.0])
        shares.append(found.share)
        tails.append(found.k_hat)
    assert np.median(shares) > 0.4 and np.median(tails) < K_HAT, (shares, tails)
