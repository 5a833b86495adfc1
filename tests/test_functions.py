"""Acquisition functions against closed forms and quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from claude_pymc.acquisition.functions import (
    expected_improvement,
    log_expected_improvement,
    log_gaussian_improvement,
)
from claude_pymc.acquisition.information import (
    condition_on,
    covariance_with_primary,
    standard_deviation,
    variance,
)

MEANS, SDS = np.array([-1.0, 0.0, 0.7, 2.0]), np.array([0.5, 1.0, 2.0, 0.3])


def closed_form(mean, sd, incumbent):
    z = (mean - incumbent) / sd
    return sd * (norm.pdf(z) + z * norm.cdf(z))


def test_expected_improvement_of_gaussian_draws(rng):
    draws = MEANS + SDS * rng.normal(size=(10**6, 4))
    gain = np.maximum(draws - 0.5, 0.0)
    error = gain.std(axis=0) / 1e3
    expected = closed_form(MEANS, SDS, 0.5)
    assert (np.abs(expected_improvement(draws, 0.5) - expected) < 5 * error).all()
    found = log_expected_improvement(draws, 0.5)
    assert (np.abs(found - np.log(expected)) < 5 * error / expected).all()


def log_improvement_by_quadrature(z):
    """log of int_0^inf u phi(u - z) du, with phi(z) and the peak of the rest taken out."""
    peak = max(z, 0.0) / 2 + np.sqrt(max(z, 0.0) ** 2 / 4 + 1)
    if z < 0:
        peak = (z + np.sqrt(z**2 + 4)) / 2
    top = np.log(peak) + peak * z - peak**2 / 2
    total, _ = quad(
        lambda u: np.exp(np.log(u) + u * z - u**2 / 2 - top) if u > 0 else 0.0,
        0.0,
        60 * peak if z < 0 else peak + 40,
        epsabs=0.0,
        epsrel=1e-12,
        points=[peak],
        limit=400,
    )
    return norm.logpdf(z) + top + np.log(total)


@pytest.mark.parametrize("z", [-30.0, -12.5, -5.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 2.0, 5.0])
def test_log_improvement_against_quadrature(z):
    sd = 0.25
    found = log_gaussian_improvement(np.array([1.0 + sd * z]), np.array([sd]), 1.0)
    expected = np.log(sd) + log_improvement_by_quadrature(z)
    assert found[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_log_improvement_is_smooth_and_ordered():
    z = np.concatenate([-np.logspace(5, -8, 4000), [0.0], np.logspace(-8, 2, 3000)])
    found = log_gaussian_improvement(z, np.ones_like(z), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > -1e-9).all()
    # No step where one formula takes over from the other.
    for at, slope in ((-1e3, 1e3), (0.0, np.sqrt(np.pi / 2))):
        ends = at + np.array([-1e-7, 1e-7])
        low, high = log_gaussian_improvement(ends, np.ones(2), 0.0)
        assert high - low == pytest.approx(2e-7 * slope, abs=1e-9)


def test_no_spread_means_no_improvement():
    found = log_gaussian_improvement(np.array([0.0, 2.0]), np.zeros(2), 1.0)
    assert found.tolist() == [-np.inf, 0.0]


def test_hopeless_candidates_are_still_ordered(rng):
    centre = np.array([-50.0, -30.0, -40.0])
    draws = centre + rng.normal(size=(500, 1))
    assert (expected_improvement(draws, 0.0) == 0.0).all()
    found = log_expected_improvement(draws, 0.0)
    assert np.argsort(found).tolist() == [0, 2, 1]
    wider = np.hstack([draws[:, :1], centre[0] + 3 * (draws[:, :1] - centre[0])])
    low, high = log_expected_improvement(wider, 0.0)
    assert high > low


def test_where_a_draw_improves_the_draws_decide(rng):
    draws = rng.normal(size=(100, 6))
    np.testing.assert_allclose(
        log_expected_improvement(draws, 0.5), np.log(expected_improvement(draws, 0.5))
    )


def test_variance_is_equation_19(rng):
    draws = rng.normal(size=(50, 3)) * [1.0, 2.0, 3.0]
    n, mean = len(draws), draws.mean(axis=0)
    expected = sum((draw - mean) ** 2 for draw in draws) / n
    np.testing.assert_allclose(variance(draws), expected)
    np.testing.assert_allclose(standard_deviation(draws), np.sqrt(expected))


def test_covariance_with_the_primary(rng):
    draws, primary = rng.normal(size=(2, 60, 4))
    primary = primary - 2 * draws
    both = [abs(np.cov(a, b, ddof=0)[0, 1]) for a, b in zip(draws.T, primary.T, strict=True)]
    np.testing.assert_allclose(covariance_with_primary(draws, primary), both)
    np.testing.assert_allclose(covariance_with_primary(draws, draws), variance(draws))


@pytest.mark.parametrize("noise", [0.0, 0.3, 1e6])
def test_conditioning_leaves_the_exact_covariance(rng, noise):
    draws = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 3.0
    found = condition_on(draws, draws[:, 2], noise)
    cov = np.cov(draws.T, ddof=0)
    expected = cov - np.outer(cov[2], cov[2]) / (cov[2, 2] + noise)
    np.testing.assert_allclose(np.cov(found.T, ddof=0), expected, atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=0), draws.mean(axis=0))


def test_measuring_twice_is_measuring_with_half_the_noise(rng):
    draws = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    twice = condition_on(draws, draws[:, 0], 0.8)
    twice = condition_on(twice, twice[:, 0], 0.8)
    once = condition_on(draws, draws[:, 0], 0.4)
    np.testing.assert_allclose(np.cov(twice.T), np.cov(once.T), atol=1e-12)


def test_conditioning_keeps_the_shape_of_targets(rng):
    draws = rng.normal(size=(30, 4, 2))
    found = condition_on(draws, draws[:, 1, 0], 0.1)
    flat = condition_on(draws.reshape(30, 8), draws[:, 1, 0], 0.1)
    np.testing.assert_allclose(found.reshape(30, 8), flat)


def test_nothing_to_learn_from_what_does_not_vary(rng):
    draws = rng.normal(size=(30, 4))
    for noise in (0.0, 0.5):
        assert (condition_on(draws, np.full(30, 2.0), noise) == draws).all()
