"""The collapsed likelihood and posterior against dense truths, differences and the full model."""

import math

import numpy as np
import pytest
from collapsed_cases import (
    SETS,
    SPECS,
    dense_moments,
    dense_value,
    entries_of,
    evaluate,
    make_columns,
    make_posterior,
    make_rows,
)
from oracle import all_patterns
from scipy.stats import chi2, multivariate_normal, norm
from test_density import slopes

from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.density import entry_sd, log_prior
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.ops import pattern_numpy
from claude_pymc.tables.statistics import PatternStats

every_set = pytest.mark.parametrize("name", SETS)
every_spec = pytest.mark.parametrize("name", SPECS)


def targets_of(name):
    return int(name[-1])


@every_set
def test_the_value_is_that_of_all_rows_in_one_vector(name, rng):
    d, entries = targets_of(name), entries_of(name)
    for _ in range(5):
        phi, y, *data = make_rows(rng, d)
        columns = make_columns(rng, d, entries)
        expected = dense_value(entries, *columns, phi, y)
        assert evaluate(entries, *columns, *data)[0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", ["gaps-1", "gaps-2", "mixed-3"])
def test_the_value_for_every_set_of_patterns(name, rng):
    """Each pattern alone, and all but one."""
    d, entries, patterns = targets_of(name), entries_of(name), all_patterns(targets_of(name))
    for i in range(len(patterns)):
        for chosen in (patterns[[i]], np.delete(patterns, i, axis=0)):
            if not len(chosen):
                continue
            phi, y, *data = make_rows(rng, d, n=9, patterns=chosen)
            columns = make_columns(rng, d, entries)
            expected = dense_value(entries, *columns, phi, y)
            assert evaluate(entries, *columns, *data)[0] == pytest.approx(expected, rel=1e-11)


@every_set
def test_an_infinite_sd_is_a_flat_prior(name, rng):
    d, entries = targets_of(name), entries_of(name)
    phi, y, *data = make_rows(rng, d)
    linkage, sigma, sd = make_columns(rng, d, entries)
    for share in (1.0, 0.5):
        flat = rng.uniform(size=len(sd)) < share
        sd[flat] = np.inf
        value, *gradients = evaluate(entries, linkage, sigma, sd, *data)
        expected = dense_value(entries, linkage, sigma, sd, phi, y)
        assert value == pytest.approx(expected, rel=1e-11)
        np.testing.assert_array_equal(gradients[2][flat], 0.0)
        # The limit of a large sd, whose density at zero is 1 / (sd sqrt(2 pi)).
        large = np.where(flat, 1e5, sd)
        limit, *others = evaluate(entries, linkage, sigma, large, *data)
        limit += flat.sum() * (math.log(1e5) + 0.5 * math.log(2 * math.pi))
        assert value == pytest.approx(limit, abs=1e-6)
        for one, other in zip(gradients[:2], others[:2], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@every_set
def test_gradients_of_the_likelihood_are_those_of_differences(name, rng):
    d, entries = targets_of(name), entries_of(name)
    _, _, *data = make_rows(rng, d)
    linkage, sigma, sd = make_columns(rng, d, entries)
    below = np.tril_indices(d, -1)
    cuts = np.cumsum([len(below[0]), d])

    def value(point):
        free, log_sigma, log_sd = np.split(point, cuts)
        c = np.zeros((d, d))
        c[below] = free
        return np.float64(evaluate(entries, c, np.exp(log_sigma), np.exp(log_sd), *data)[0])

    _, g_linkage, g_sigma, g_sd = evaluate(entries, linkage, sigma, sd, *data)
    found = np.concatenate([g_linkage[below], g_sigma * sigma, g_sd * sd])
    expected = slopes(value, np.concatenate([linkage[below], np.log(sigma), np.log(sd)]))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_array_equal(np.triu(g_linkage), 0.0)


@pytest.mark.parametrize(
    ("place", "number"),
    [
        *(("linkage", v) for v in (np.nan, np.inf, -np.inf, 1e200)),
        *(("sigma", v) for v in (0.0, -1.0, np.inf, np.nan, 1e-200)),
        *(("sd", v) for v in (0.0, -1.0, -np.inf, np.nan, 1e-200)),
    ],
)
def test_broken_parameters_have_no_density(place, number, rng):
    for name in ("gaps-2", "mixed-3"):
        d, entries = targets_of(name), entries_of(name)
        _, _, *data = make_rows(rng, d)
        linkage, sigma, sd = make_columns(rng, d, entries)
        array, index = {"linkage": (linkage, (1, 0)), "sigma": (sigma, d - 1), "sd": (sd, 1)}[place]
        array[index] = number
        value, g_linkage, g_sigma, g_sd = evaluate(entries, linkage, sigma, sd, *data)
        assert value == -np.inf
        assert np.isnan(g_linkage[np.tril_indices(d, -1)]).all()
        assert np.isnan(g_sigma).all()
        assert np.isnan(g_sd).all()


def test_a_flat_prior_that_rows_do_not_determine_has_no_density(rng):
    _, _, rows, gram = make_rows(rng, 1, n=3, patterns=np.ones((1, 1), dtype=bool))
    entries = tuple((0, b) for b in range(4))  # four terms, two different rows
    gram = np.ones_like(gram)
    value, *gradients = evaluate(
        entries, np.zeros((1, 1)), np.ones(1), np.full(4, np.inf), rows, gram
    )
    assert value == -np.inf
    assert np.isnan(gradients[1]).all() and np.isnan(gradients[2]).all()


@every_set
def test_no_pattern_says_nothing(name, rng):
    d, entries = targets_of(name), entries_of(name)
    value, *gradients = evaluate(
        entries, *make_columns(rng, d, entries), np.zeros((0, d)), np.zeros((0, 4 + d, 4 + d))
    )
    assert value == pytest.approx(0.0, abs=1e-13)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


@every_spec
def test_the_full_density_is_that_of_theta_times_that_of_the_corrections(name, rng):
    """log p(theta, y) + log p(b | theta, y) = log p(y | theta, b) + log p(theta, b)."""
    posterior, phi, values = make_posterior(name, rng)
    spec, problem, n = posterior.spec, posterior.problem, posterior.n_links
    entries = spec.columns.entries
    for _ in range(10):
        theta = rng.normal(scale=0.5, size=posterior.dims)
        drawn = posterior.draw(theta[None], rng)
        linkage, sigma, r = (v[0] for v in drawn[:3])
        hyper = theta[n + posterior.d :]
        b = r[tuple(np.array(entries).T)]
        sd = entry_sd(spec, sigma, hyper)
        sd = np.full(len(b), np.inf) if sd is None else sd
        data = problem.rows, problem.gram
        right = pattern_numpy(linkage, sigma, r, *data)[0]
        right += log_prior(spec, linkage, theta[n : n + posterior.d], hyper)[0]
        if spec.prior.proper:
            right += norm.logpdf(b, 0, sd).sum()
        else:
            right -= 2 * (np.array(spec.columns.sizes()) + 1) @ np.log(sigma)
        mean, precision = dense_moments(entries, linkage, sigma, sd, phi, values)
        left = posterior.batch(theta[None])[0]
        left += multivariate_normal(mean, np.linalg.inv(precision)).logpdf(b)
        assert left == pytest.approx(right, abs=1e-8)


@every_spec
def test_gradients_of_the_posterior_are_those_of_differences(name, rng):
    posterior, *_ = make_posterior(name, rng)
    for _ in range(3):
        theta = rng.normal(scale=0.5, size=posterior.dims)
        value, gradient = posterior.evaluate(theta)
        expected = slopes(lambda v: np.float64(posterior.evaluate(v)[0]), theta)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-8 * scale)
        assert posterior.batch(np.stack([theta, theta]))[1] == value


@every_spec
def test_points_become_columns_and_back(name, rng):
    posterior, *_ = make_posterior(name, rng)
    theta = rng.normal(size=(5, posterior.dims))
    drawn = posterior.draw(theta, rng)
    hyper = np.zeros((5, 0))
    if posterior.scales is not None:
        hyper = posterior.scales.joined(drawn.scale, drawn.length)
    np.testing.assert_allclose(posterior.theta(*drawn[:2], hyper), theta, atol=1e-10)
    active = np.zeros(drawn.corrections.shape[1:], dtype=bool)
    active[tuple(np.array(posterior.spec.columns.entries).T)] = True
    assert ((drawn.corrections != 0) == active).all()


@every_spec
def test_corrections_given_theta_have_their_mean_and_covariance(name, rng):
    posterior, phi, values = make_posterior(name, rng)
    spec, number = posterior.spec, 20000
    theta = rng.normal(scale=0.5, size=posterior.dims)
    drawn = posterior.draw(np.tile(theta, (number, 1)), rng)
    linkage, sigma = drawn.linkage[0], drawn.sigma[0]
    sd = entry_sd(spec, sigma, theta[posterior.n_links + posterior.d :])
    sd = np.full(posterior.q, np.inf) if sd is None else sd
    entries = spec.columns.entries
    mean, precision = dense_moments(entries, linkage, sigma, sd, phi, values)
    b = drawn.corrections[:, *np.array(entries).T]
    z = (b - mean) @ np.linalg.cholesky(precision)  # independent, standard normal
    q = posterior.q
    least = norm.isf(0.001 / len(SPECS) / (q + q * (q + 1) / 2) / 2)
    assert (np.abs(z.mean(axis=0)) < least / math.sqrt(number)).all()
    error = np.sqrt((1 + np.eye(q)) / number)
    assert (np.abs(z.T @ z / number - np.eye(q)) < least * error).all()
    square = np.square(z).sum(axis=1)  # chi-square: also the shape
    assert abs((square > chi2.isf(0.01, q)).mean() - 0.01) < 5 * math.sqrt(0.01 / number)


@every_spec
def test_without_rows_it_is_the_prior(name, rng):
    spec = SPECS[name]
    posterior = CollapsedPosterior(spec, **data_of(spec, PatternStats.empty(spec.design)))
    n = posterior.n_links
    theta = rng.normal(size=posterior.dims)
    if not spec.prior.proper:  # the corrections could be anything
        assert posterior.batch(theta[None])[0] == -np.inf
        assert np.isnan(posterior.evaluate(theta)[1]).all()
        return
    linkage = np.zeros((posterior.d, posterior.d))
    for (j, k, _), value in zip(spec.columns.links, theta, strict=False):
        linkage[j, k] = value
    log_sigma, hyper = np.split(theta[n:], [posterior.d])
    expected = log_prior(spec, linkage, log_sigma, hyper)[0]
    assert posterior.batch(theta[None])[0] == pytest.approx(expected, abs=1e-11)


@every_spec
def test_points_far_away_are_numbers_or_nothing(name, rng):
    posterior, *_ = make_posterior(name, rng)
    sizes = [-800.0, -100.0, -30.0, 0.0, 1.0, 30.0, 800.0, np.nan, np.inf]
    points = rng.choice(sizes, (300, posterior.dims))
    points = np.vstack([points, rng.choice(sizes[1:-3], (300, posterior.dims))])
    values = posterior.batch(points)
    assert not (np.isnan(values) | (values == np.inf)).any()
    for point in points:
        value, gradient = posterior.evaluate(point)
        assert np.isnan(gradient).all() if value == -np.inf else np.isfinite(gradient).all()
