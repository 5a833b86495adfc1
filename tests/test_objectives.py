"""What is wanted, as a utility that is larger for better values."""

import numpy as np
import pytest

from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach

VALUES = np.array([[1.0, -2.0], [4.0, 2.0]])


@pytest.mark.parametrize(
    ("objective", "expected", "words"),
    [
        (Maximize("gap"), VALUES, "maximize gap"),
        (Minimize("gap"), -VALUES, "minimize gap"),
        (Reach("gap", 1.5), [[-0.5, -3.5], [-2.5, -0.5]], "reach gap = 1.5"),
    ],
)
def test_utility(objective, expected, words):
    np.testing.assert_array_equal(objective.utility(VALUES), expected)
    np.testing.assert_array_equal(objective.utility(VALUES.tolist()), expected)
    assert objective.describe() == words
    assert objective.target == "gap"


def test_the_best_value():
    values = np.array([0.0, 1.4, 1.7, 3.0])
    best = [values[o.utility(values).argmax()] for o in (Maximize("y"), Minimize("y"))]
    assert best == [3.0, 0.0]
    assert values[Reach("y", 1.5).utility(values).argmax()] == 1.4
