"""Distributions to draw from: densities are those of the draws, and integrate to one."""

import numpy as np
import pytest
from scipy import stats

from claude_pymc.joint.mixture import Defended, Mixture, Split

AXES = np.array([[0.5, -0.2], [0.3, 0.4]])
SKEW = np.array([[0.8, 1.0], [1.5, 1.2]])


def test_a_skew_density_integrates_to_one():
    split = Split(np.array([0.3, -1.0]), AXES, SKEW)
    side = np.linspace(-30.0, 30.0, 1501)
    z = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(split.log_density(split.centre + z @ AXES.T))
    total = density.sum() * (side[1] - side[0]) ** 2 * abs(np.linalg.det(AXES))
    assert total == pytest.approx(1.0, abs=2e-3)


def test_draws_follow_the_density(rng):
    """Along each axis, and by weights that turn one distribution into another."""
    split = Split(np.array([0.3, -1.0]), AXES, SKEW)
    points = split.draw(40_000, rng)
    z = np.linalg.solve(AXES, (points - split.centre).T)
    for along, (left, right) in zip(z, SKEW.T, strict=True):
        assert np.mean(along > 0) == pytest.approx(right / (left + right), abs=0.01)
        assert stats.kstest(along[along > 0] / right, stats.halfnorm.cdf).pvalue < 1e-6
        halved = np.abs(np.where(along > 0, along / right, along / left))
        assert stats.kstest(halved, lambda t: 2 * stats.t(8).cdf(t) - 1).pvalue > 1e-3
    other = Mixture(np.ones(1), split.centre[None], 0.5 * np.linalg.cholesky(AXES @ AXES.T)[None])
    ratio = np.exp(other.log_density(points) - split.log_density(points))
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(len(ratio)))


def test_a_defended_one_is_the_mixture_of_both(rng):
    narrow = Split(np.zeros(2), AXES, SKEW)
    wide = Mixture(np.ones(1), np.zeros((1, 2)), 3.0 * np.eye(2)[None])
    both = Defended(narrow, wide, 0.25)
    points = both.draw(1000, rng)
    expected = np.log(
        0.75 * np.exp(narrow.log_density(points)) + 0.25 * np.exp(wide.log_density(points))
    )
    np.testing.assert_allclose(both.log_density(points), expected)
