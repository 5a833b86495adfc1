"""Hypervolumes against a Monte Carlo of points in a box."""

import numpy as np
import pytest

from claude_pymc.acquisition.pareto import (
    expected_hypervolume_improvement,
    front_of,
    hypervolume,
    reference_below,
)
from claude_pymc.errors import CandidateError

LOW = np.array([0.0, -1.0, 0.5])


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("n", [1, 4, 15])
def test_against_points_in_a_box(k, n, rng):
    low = LOW[:k]
    points = low + rng.uniform(-0.1, 1.0, (n, k))
    draws = low + rng.uniform(-0.2, 1.3, (3, 6, k))
    cloud = low + rng.uniform(0.0, 1.3, (400_000, k))
    beaten = (cloud[:, None] < points).all(axis=2).any(axis=1)
    box = 1.3**k
    error = 4 * box * np.sqrt(0.25 / len(cloud))
    assert abs(hypervolume(points, low) - box * beaten.mean()) < error
    found = expected_hypervolume_improvement(draws, points, low)
    for c in range(6):
        more = [((cloud < draws[s, c]).all(axis=1) & ~beaten).mean() for s in range(3)]
        assert abs(found[c] - box * np.mean(more)) < error


def test_a_front_for_each_draw(rng):
    draws, fronts = rng.uniform(size=(5, 4, 2)), rng.uniform(size=(5, 3, 2))
    one = [
        expected_hypervolume_improvement(draws[s : s + 1], fronts[s], np.zeros(2)) for s in range(5)
    ]
    found = expected_hypervolume_improvement(draws, fronts, np.zeros(2))
    np.testing.assert_allclose(found, np.mean(one, axis=0))


def test_without_a_front_all_of_the_box_counts():
    draws = np.array([[[2.0, 3.0]]])
    assert expected_hypervolume_improvement(draws, np.empty((0, 2)), np.ones(2)).tolist() == [2.0]


def test_front_of_ties_and_repeats():
    points = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.5], [0.0, 2.0]])
    assert front_of(points).tolist() == [[0.0, 2.0], [1.0, 1.0]]
    assert reference_below(np.array([[3.0, 3.0]])).tolist() == pytest.approx([2.7, 2.7])


@pytest.mark.parametrize("k", [1, 4])
def test_two_or_three_objectives(k):
    with pytest.raises(CandidateError, match="two or three objectives"):
        expected_hypervolume_improvement(np.zeros((2, 3, k)), np.zeros((1, k)), np.zeros(k))
