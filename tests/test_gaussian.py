"""The likelihood against the published implementation and against dense Gaussians."""

import itertools

import numpy as np
import pytest
from oracle import dense_log_likelihood, random_columns, random_precision, random_rows

from claude_pymc.errors import SpecError
from claude_pymc.joint.gaussian import (
    columns_from_precision,
    covariance_root,
    derived,
    log_likelihood,
    precision_from_columns,
)
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

QUADRATIC = Polynomial(degree=2)


def condense(rows, basis=QUADRATIC, standardize=False):
    return PatternStats.from_table(rows, Design.from_table(rows, basis, standardize=standardize))


def chosen(rows, targets):
    """The same rows with some of the targets, in the given order."""
    index = [rows.targets.index(t) for t in targets]
    return Table(rows.descriptors, targets, rows.x, rows.y[:, index])


@pytest.mark.parametrize("name", ["two_targets_random", "three_targets_all_patterns"])
def test_published_values(reference, name):
    case = reference[name]
    y = np.array(case["y"], dtype=float)
    names = [f"x{i + 1}" for i in range(len(case["x"][0]))]
    targets = [f"y{j}" for j in range(y.shape[1])]
    terms = case["exponents"]
    sets = {
        targets[int(j)]: [terms[b] for b in chosen] for j, chosen in case["corrections"].items()
    }
    table = Table(names, targets, case["x"], y)
    design = Design.from_table(table, Polynomial(exponents=terms), sets, standardize=False)
    stats = PatternStats.from_table(table, design)
    assert len(stats.patterns) == case["n_patterns"]
    assert len(case["evaluations"]) == 4
    for pair in case["evaluations"]:
        precision = np.array(pair["precision"])
        assert (precision[len(terms) :, : len(terms)][~design.active] == 0).all()
        assert log_likelihood(precision, stats) == pytest.approx(pair["log_likelihood"], rel=1e-9)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_dense_gaussians_row_by_row(rng, d, standardize):
    for _ in range(3):
        rows = random_rows(rng, 60, 2, d)
        stats = condense(rows, standardize=standardize)
        assert len(stats.patterns) == 2**d - 1
        precision = random_precision(rng, 6, d)
        design = stats.design
        expected = dense_log_likelihood(precision, design.phi(rows.x), design.to_model(rows.y))
        assert log_likelihood(precision, stats) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_columns_and_precision_are_two_ways_to_write_one_thing(rng, d):
    c, sigma, r = random_columns(rng, 3, d)
    precision = precision_from_columns(c, sigma, r)
    for ours, theirs in zip(columns_from_precision(precision, d), (c, sigma, r), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    covariance = np.linalg.inv(precision[3:, 3:])
    root = covariance_root(c, sigma)
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-9)
    np.testing.assert_allclose(
        derived(c, sigma, r)["coefficients"], -covariance @ precision[3:, :3], rtol=1e-9
    )
    np.testing.assert_array_equal(root, np.tril(root))


def test_a_target_is_a_sum_of_cheaper_ones_its_correction_and_noise(rng):
    c, sigma, r = random_columns(rng, 2, 3)
    phi, noise, y = rng.normal(size=2), rng.normal(size=3), np.zeros(3)
    for j in range(3):
        y[j] = c[j] @ y + r[j] @ phi + sigma[j] * noise[j]
    np.testing.assert_allclose(
        derived(c, sigma, r)["coefficients"] @ phi + covariance_root(c, sigma) @ noise, y
    )


def test_leading_axes_are_kept(rng):
    draws = [random_columns(rng, 2, 3) for _ in range(4)]
    c, sigma, r = (np.stack(a) for a in zip(*draws, strict=True))
    for draw, w, root in zip(
        draws, derived(c, sigma, r)["coefficients"], covariance_root(c, sigma), strict=True
    ):
        np.testing.assert_allclose(w, derived(*draw)["coefficients"])
        np.testing.assert_allclose(root, covariance_root(*draw[:2]))


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_marginalising_a_target_is_never_measuring_it(rng, lacking):
    p, rows = 3, random_rows(rng, 40, 1, 3)
    precision = random_precision(rng, p, 3)
    out = p + lacking
    keep = [i for i in range(p + 3) if i != out]
    schur = np.outer(precision[keep, out], precision[out, keep]) / precision[out, out]
    marginal = precision[np.ix_(keep, keep)] - schur
    rows = rows.without(f"y{lacking + 1}", slice(None))
    rows = rows.rows(np.isfinite(rows.y).any(axis=1))
    others = [t for j, t in enumerate(rows.targets) if j != lacking]
    design = Design.from_table(rows, QUADRATIC, standardize=False)
    never = PatternStats.from_table(rows, design)
    expected = log_likelihood(marginal, condense(chosen(rows, others)))
    assert log_likelihood(precision, never) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_permuting_targets_permutes_the_precision(rng, order):
    p, rows = 3, random_rows(rng, 40, 1, 3)
    precision = random_precision(rng, p, 3)
    index = [*range(p), *(p + j for j in order)]
    permuted = condense(chosen(rows, [rows.targets[j] for j in order]))
    expected = log_likelihood(precision, condense(rows))
    value = log_likelihood(precision[np.ix_(index, index)], permuted)
    assert value == pytest.approx(expected, rel=1e-10)


def test_a_change_of_unit_moves_the_density_by_the_jacobian(rng):
    p, rows, unit = 3, random_rows(rng, 40, 1, 3), np.array([1e3, 1.0, 0.02])
    precision = random_precision(rng, p, 3)
    inverse = np.append(np.ones(p), 1 / unit)
    value = log_likelihood(
        precision * np.outer(inverse, inverse),
        condense(Table(rows.descriptors, rows.targets, rows.x, rows.y * unit)),
    )
    jacobian = np.log(unit) @ list(rows.counts.values())
    expected = log_likelihood(precision, condense(rows)) - jacobian
    assert value == pytest.approx(expected, rel=1e-10)


def test_the_basis_block_is_not_read(rng):
    stats = condense(random_rows(rng, 20))
    precision = random_precision(rng, 3, 2)
    value = log_likelihood(precision, stats)
    precision[:3, :3] = np.nan
    assert log_likelihood(precision, stats) == value


@pytest.mark.parametrize(
    ("yy", "measured"),
    [
        ([[1, 2], [2, 1]], ["y1", "y2"]),
        ([[-1, 0], [0, -1]], ["y1", "y2"]),
        ([[0, 0], [0, 1]], ["y1", "y2"]),
        ([[1, 0], [0, -1]], ["y2"]),
        ([[1, 0], [0, -1]], ["y1"]),
        ([[0, 0], [0, 0]], ["y1"]),
        ([[1, 0], [0, np.nan]], ["y1"]),
        ([[1, 0], [0, -1]], []),
    ],
)
@pytest.mark.filterwarnings("ignore::claude_pymc.errors.Notice")
def test_a_precision_that_is_not_positive_definite_has_no_density(yy, measured):
    rows = Table(["x"], ["y1", "y2"], [[0], [1]], [[1, 2], [3, 4]])
    design = Design.from_table(rows, standardize=False)
    for target in set(rows.targets) - set(measured):
        rows = rows.without(target, slice(None))
    stats = PatternStats.from_table(rows, design)
    precision = np.zeros((4, 4))
    precision[2:, 2:] = yy
    assert log_likelihood(precision, stats) == -np.inf


@pytest.mark.parametrize("shape", [(4, 4), (6, 6), (5, 4), (5,)])
def test_a_precision_of_another_shape_is_refused(rng, shape):
    with pytest.raises(SpecError, match=r"shape \(5, 5\), basis terms first"):
        log_likelihood(np.ones(shape), condense(random_rows(rng, 20)))
