"""Lengths of a kernel over all descriptors, from rows."""

import numpy as np

from claude_pymc.joint.lengths import MOST, lengths_of


def test_short_where_values_vary_and_long_where_they_do_not(rng):
    u = rng.uniform(-1.0, 1.0, (120, 3))
    v = np.sin(6.0 * u[:, 0]) + 0.5 * u[:, 1] + 0.05 * rng.standard_normal(120)
    first, second, third = lengths_of(u, v, rng)
    assert first < 0.6
    assert second > 1.0 and third > 1.0


def test_the_unit_and_the_offset_of_the_values_do_not_matter(rng):
    u = rng.uniform(-1.0, 1.0, (40, 2))
    v = np.sin(3.0 * u[:, 0] * u[:, 1])
    np.testing.assert_allclose(
        lengths_of(u, v, rng), lengths_of(u, 300.0 - 1e3 * v, rng), rtol=0.05
    )


def test_few_rows_and_equal_values_leave_the_prior(rng):
    for v in (np.zeros(3), np.array([0.0, 1.0, -1.0])):
        found = np.array(lengths_of(rng.uniform(-1.0, 1.0, (3, 4)), v, rng))
        assert ((found > 0.2) & (found < 5.0)).all()


def test_many_rows_are_thinned(rng):
    u = rng.uniform(-1.0, 1.0, (10 * MOST, 1))
    (found,) = lengths_of(u, np.sin(8.0 * u[:, 0]), rng)
    assert found < 0.4
