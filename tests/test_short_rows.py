"""Student-t noise with fewer rows than coefficients, by their values as by coefficients."""

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.joint.laplace import lengthened, shortened
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.tables.kept import KeptRows


@pytest.fixture
def density(rng):
    x = rng.uniform(size=(9, 1))
    y = np.column_stack([np.sin(5.0 * x[:, 0])] * 2) + 0.1 * rng.standard_normal((9, 2))
    y[3, 1] += 2.0
    rows = cp.Table(["x"], ["sim", "exp"], x, y)
    design = cp.Design.from_table(rows, cp.HSGP(order=12, boundary=2.0), {"exp": ["all"]})
    spec = cp.JointGaussian(design, varying=["linear"], noise="student")
    kept = KeptRows(design.phi(x), design.to_model(y), np.full(9, np.nan), np.full(9, ""))
    found = PrimaryPosterior(spec, kept, Cheap.nothing(len(design.terms), 9, 1))
    assert found.short
    return found


def test_the_approximation_is_the_same(density, rng):
    theta = density.wide.draw(40, rng)
    theta[:, 0] = rng.uniform(np.log(0.03), 0.0, 40)
    theta[:, 1] = rng.uniform(np.log(2.0), np.log(30.0), 40)
    by_rows = density.batch(theta)
    density.short = False
    # Two modes of a Student-t posterior may be found, of which one is in reach of either.
    apart = np.abs(by_rows - density.batch(theta))
    assert np.mean(apart < 1e-4) >= 0.9


def test_gradients_are_those_of_differences_of_the_whole(density, rng):
    theta = density.layout.mean + 0.3 * rng.standard_normal(density.dims)
    value, slope = density.evaluate(theta)
    density.short = False
    other, exact = density.evaluate(theta)
    assert abs(value - other) < 1e-5
    np.testing.assert_allclose(slope, exact, rtol=1e-3, atol=1e-3)


def test_coefficients_meet_the_values_of_the_rows(density, rng):
    """z given f: f itself is met, and over draws of f from its prior z has its prior."""
    q = density.q
    tau = np.exp(rng.normal(-1.0, 0.3, q))
    fewer = shortened(density.rows, tau)
    scaled = density.rows.base * tau
    np.testing.assert_allclose(fewer.base @ fewer.base.T, scaled @ scaled.T, atol=1e-8)
    drawn = []
    for _ in range(4000):
        v = rng.standard_normal(9)
        z = lengthened(density.rows, tau, fewer.base, v, rng.standard_normal(q))
        drawn.append(z)
    np.testing.assert_allclose(scaled @ z, fewer.base @ v, atol=1e-4)
    cov = np.cov(np.array(drawn).T)
    assert np.abs(cov - np.eye(q)).max() < 5 * np.sqrt(2.0 / 4000)


def test_estimates_with_draws_agree_in_their_mean(density, rng):
    theta = density.layout.mean.copy()
    theta[:2] = np.log(0.3), np.log(20.0)
    points = np.repeat(theta[None], 3000, axis=0)
    means = []
    for short in (True, False):
        density.short = short
        values = density.draw_entries(points, rng)[0]
        raw = np.exp(values - values.max())
        means.append((np.log(raw.mean()) + values.max(), raw.std() / raw.mean() / np.sqrt(3000)))
    (one, se), (other, other_se) = means
    assert abs(one - other) < 4 * np.hypot(se, other_se)
