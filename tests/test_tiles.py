"""Factor, inverse and solves by tiles against numpy."""

import numpy as np
import pytest

from claude_pymc.joint.tiles import (
    factorise,
    fill_identity_plus,
    inverse_from,
    pad,
    padded,
    solve_lower,
    solve_transposed,
)


def whole(a):
    """The matrix in whole tiles, its upper triangle filled with what must not be read."""
    q = len(a)
    found = np.full((padded(q), padded(q)), np.nan)
    found[:q, :q] = np.where(np.tri(q), a, np.nan)
    pad(found, q)
    return found


@pytest.mark.parametrize(("q", "n"), [(0, 3), (3, 0), (4, 7), (9, 2), (30, 41)])
def test_identity_plus_a_product_fills_the_lower_triangle(q, n, rng):
    a, b = np.zeros((2, padded(q), n))
    a[:q] = rng.normal(size=(q, n))
    b[:q] = a[:q] * rng.uniform(size=n)
    found = np.full((padded(q), padded(q)), np.nan)
    fill_identity_plus(a, b, found)
    np.testing.assert_allclose(np.tril(found), np.tril(np.eye(padded(q)) + a @ b.T), atol=1e-12)


@pytest.mark.parametrize("q", [0, 1, 2, 3, 4, 5, 51, 63, 64, 65, 128, 150])
def test_factor_inverse_and_solves_are_those_of_numpy(q, rng):
    root = rng.normal(size=(q, q + 3))
    a = root @ root.T + 0.1 * np.eye(q)
    lower = whole(a)
    assert factorise(lower)
    np.testing.assert_allclose(np.tril(lower)[:q, :q], np.linalg.cholesky(a), 1e-9, 1e-11)
    inverse = inverse_from(lower)
    np.testing.assert_allclose(inverse[:q, :q], np.linalg.inv(a), rtol=1e-7, atol=1e-9)
    assert (inverse == inverse.T).all() and not inverse[:q, q:].any()
    x = rng.normal(size=q)
    y = x.copy()
    solve_lower(lower, y)
    solve_transposed(lower, y)
    np.testing.assert_allclose(a @ y, x, atol=1e-9)


@pytest.mark.parametrize("q", [1, 3, 63, 64, 65, 150])
@pytest.mark.parametrize("number", [0.0, -1.0, np.nan, np.inf])
def test_what_is_not_positive_definite_has_no_factor(q, number):
    for place in {0, q // 2, q - 1}:
        a = np.eye(q)
        a[place, place] = number
        assert not factorise(whole(a))
    if q > 1 and not np.isfinite(number):
        a = np.eye(q)
        a[q - 1, 0] = number
        assert not factorise(whole(a))
    if q > 1:
        a = np.ones((q, q))  # of rank one, up to a direction that is negative
        a[-1, -1] = 0.5
        assert not factorise(whole(a))
