"""Ascents against SciPy's, on densities whose modes are known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from claude_pymc.joint.ascent import ascend


def nowhere(theta):
    """No mode is known."""
    return False


def bowl(theta):
    """A quadratic of condition 10^6."""
    stiff = np.logspace(0, 6, len(theta))
    return float(-0.5 * theta @ (stiff * theta)), -stiff * theta


def banana(theta):
    """Rosenbrock's function, turned upside down."""
    x, y = theta
    value = -((1 - x) ** 2) - 100 * (y - x**2) ** 2
    return float(value), np.array([2 * (1 - x) + 400 * x * (y - x**2), -200 * (y - x**2)])


def cliff(theta):
    """Log of a gamma density; nothing left of zero."""
    x = theta[0]
    if x <= 0:
        return -np.inf, np.full(1, np.nan)
    return float(2 * np.log(x) - x), np.array([2 / x - 1])


@pytest.mark.parametrize(
    ("density", "start", "mode"),
    [
        (bowl, np.full(6, 3.0), np.zeros(6)),
        (banana, np.array([-1.2, 1.0]), np.ones(2)),
        (cliff, np.array([0.01]), np.array([2.0])),
        (cliff, np.array([30.0]), np.array([2.0])),
    ],
)
def test_it_arrives_where_scipy_does_with_few_more_evaluations(density, start, mode):
    calls = 0

    def counted(theta):
        nonlocal calls
        calls += 1
        return density(theta)

    found, value = ascend(counted, start, nowhere)
    slope = density(found)[1]
    assert np.abs(slope).max() < 1e-2 and value == density(found)[0]
    np.testing.assert_allclose(found, mode, atol=2e-2)
    theirs = minimize(lambda t: tuple(-v for v in density(t)), start, jac=True, method="BFGS")
    assert calls <= 4 * theirs.nfev + 5


def test_it_ends_at_known_modes_and_where_nothing_is_defined():
    assert ascend(bowl, np.full(3, 2.0), lambda theta: bool(np.abs(theta[0]) < 1.5)) is None
    assert ascend(cliff, np.array([-1.0]), nowhere) is None


def test_a_density_without_a_mode_ends_the_climb():
    found, value = ascend(lambda t: (float(t.sum()), np.ones(2)), np.zeros(2), nowhere)
    assert np.isfinite(found).all() and value > 100
