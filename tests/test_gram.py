"""Roots of Gram matrices: digits, addition, taking away."""

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.errors import StatisticsError
from claude_pymc.tables import gram
from claude_pymc.tables.gram import ROUND_OFF, less, root_of, triangle

LINEAR_AND_PRODUCTS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 2]]


def alike(n, difference, seed=0):
    """Rows in which descriptor b is a up to ``difference``."""
    rng = np.random.default_rng(seed)
    a, c, noise = rng.uniform(-1, 1, (3, n))
    x = np.column_stack([a, a + difference * noise, c])
    y = 1 + a - 2 * c + 0.5 * a * c + 0.1 * rng.standard_normal(n)
    bounds = dict.fromkeys("abc", (-1.0, 1.0))
    design = cp.Design.from_bounds(bounds, ["y"], cp.Polynomial(exponents=LINEAR_AND_PRODUCTS))
    return cp.Table(list("abc"), ["y"], x, y[:, None]), design


def by_rows(table, design):
    """Condition number of the scaled basis, and coefficients by a QR decomposition of the rows."""
    phi = design.phi(table.x)
    length = np.linalg.norm(phi, axis=0)
    q, r = np.linalg.qr(phi / length)
    return np.linalg.cond(r), np.linalg.solve(r, q.T @ table.y[:, 0]) / length


def coefficients(stats):
    spec = cp.JointGaussian(stats.design, prior=cp.FlatPrior())
    return cp.find_map(spec, stats, starts=3).coefficients.to_numpy()[0]


@pytest.mark.parametrize("parts", [1, 9], ids=["at once", "in nine parts"])
def test_a_nearly_collinear_basis_keeps_its_digits(parts):
    table, design = alike(10**6, 1.8e-7)
    condition, expected = by_rows(table, design)
    assert condition > 1e7
    pieces = np.array_split(np.arange(len(table)), parts)
    stats = sum(
        (cp.PatternStats.from_table(table.rows(rows), design) for rows in pieces),
        cp.PatternStats.empty(design),
    )
    scale = np.abs(expected).max()
    # A Gram matrix alone has lost the coefficients; its root has them.
    normal = np.linalg.lstsq(stats.grams[0][:-1, :-1], stats.grams[0][:-1, -1], rcond=None)[0]
    assert np.abs(normal - expected).max() > 1e-4 * scale
    np.testing.assert_allclose(coefficients(stats), expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("difference", [1.0, 1e-5])
def test_roots_of_many_rows_are_those_of_their_qr_decomposition(difference):
    table, design = alike(3 * gram.CHUNK, difference)
    stats = cp.PatternStats.from_table(table, design)
    z = np.hstack([design.phi(table.x), design.to_model(table.y)])
    expected = triangle(z)
    length = np.linalg.norm(z, axis=0)
    np.testing.assert_allclose(stats.roots[0] / length, expected / length, atol=1e-10)
    np.testing.assert_allclose(stats.roots[0].T @ stats.roots[0], stats.grams[0], rtol=1e-12)


def test_a_copied_descriptor_gives_a_root_of_lower_rank():
    table, design = alike(3 * gram.CHUNK, 0.0)
    root = cp.PatternStats.from_table(table, design).roots[0]
    values = np.linalg.svd(root / np.linalg.norm(root, axis=0), compute_uv=False)
    assert np.isfinite(root).all()
    assert (values > 1e-9).sum() == 6  # of eight columns two are copies


def test_scales_that_differ_by_twelve_powers_of_ten():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (5000, 2)) * [1e-6, 1e6]
    y = 3 + 2e6 * x[:, 0] - 4e-6 * x[:, 1] + 0.1 * rng.standard_normal(5000)
    table = cp.Table(["small", "large"], ["y"], x, y[:, None])
    bounds = {"small": (-1.0, 1.0), "large": (-1.0, 1.0)}
    raw = cp.Design.from_bounds(bounds, ["y"], standardize=False)
    _, expected = by_rows(table, raw)
    found = coefficients(cp.PatternStats.from_table(table, raw))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("rows", [2, 30])
def test_root_of_a_gram_matrix(rows, rng):
    z = rng.standard_normal((rows, 4)) * [1.0, 1e-8, 1e8, 0.0]
    root = root_of(z.T @ z)
    np.testing.assert_allclose(root, np.triu(root))
    np.testing.assert_allclose(root.T @ root, z.T @ z, rtol=1e-12, atol=0)


def test_taking_away_what_was_added_leaves_the_root(rng):
    some, more = rng.standard_normal((6, 4)), rng.standard_normal((3, 4))
    whole = triangle(np.vstack([some, more]))
    left = less(whole, triangle(more), some.T @ some)
    np.testing.assert_allclose(left, triangle(some), atol=1e-12)


def test_taking_away_from_fewer_rows_than_columns(rng):
    some, more = rng.standard_normal((2, 5)), rng.standard_normal((1, 5))
    left = less(triangle(np.vstack([some, more])), triangle(more), some.T @ some)
    np.testing.assert_allclose(left.T @ left, some.T @ some, atol=1e-12)


@pytest.mark.parametrize("where", ["more of the same", "a direction that is not there"])
def test_taking_away_what_is_not_there(where, rng):
    some = np.column_stack([rng.standard_normal((6, 3)), np.zeros(6)])
    taken = 1.001 * some if where == "more of the same" else np.eye(4)[3:]
    assert less(triangle(some), triangle(taken), some.T @ some - taken.T @ taken) is None


def test_round_off_is_below_what_the_shift_hides() -> None:
    assert gram.SHIFT >= ROUND_OFF


@pytest.mark.parametrize("difference", [1e-5, 1e-7, 1e-9, 1e-11])
def test_taking_away_the_only_rows_that_tell_two_terms_apart(difference):
    design = alike(2, 1.0)[1]
    for seed in range(20):
        same, apart = (alike(n, d, seed)[0] for n, d in ((30, 0.0), (40, difference)))
        a, b = (cp.PatternStats.from_table(table, design) for table in (same, apart))
        left = (a + b) - b
        np.testing.assert_allclose(left.roots[0].T @ left.roots[0], a.grams[0], atol=1e-7)


@pytest.mark.parametrize("factor", [1e7, 1e10])
def test_a_row_that_rounded_off_the_others_cannot_be_taken_away(factor):
    table, design = alike(30, 1.0)
    stats = cp.PatternStats.from_table(table, design)
    wrong = cp.Table(list("abc"), ["y"], table.x[:1], factor * table.y[:1])
    large = cp.PatternStats.from_table(wrong, design)
    with pytest.raises(StatisticsError, match=r"'y', whose squares .*\n.*\n.*rebuild"):
        (stats + large) - large
