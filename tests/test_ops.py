"""The Op: value, gradients, shapes and broken input, alike under every linker."""

from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from oracle import all_patterns, exact_log_likelihood, random_columns, random_rows
from pytensor.compile.mode import Mode, get_mode
from pytensor.gradient import DisconnectedInputError, verify_grad

from claude_pymc.joint import kernel
from claude_pymc.joint.gaussian import log_likelihood, precision_from_columns
from claude_pymc.joint.ops import PatternLogLikelihood, pattern_log_likelihood
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats

NEEDS_CXX = pytest.mark.skipif(not pytensor.config.cxx, reason="no C++ compiler")
LINKERS = ["NUMBA", "FAST_COMPILE", "py", pytest.param("CVM", marks=NEEDS_CXX)]
every_linker = pytest.mark.parametrize("linker", LINKERS)


def symbols():
    return [pt.matrix("c"), pt.vector("sigma"), pt.matrix("r"), pt.matrix("rows"), pt.tensor3("g")]


@cache
def compiled(linker):
    """Value and gradients; shapes are dynamic, so that one function serves all sizes."""
    inputs = symbols()
    value = pattern_log_likelihood(*inputs)
    mode = Mode(linker="py", optimizer="fast_compile") if linker == "py" else get_mode(linker)
    return pytensor.function(inputs, [value, *pt.grad(value, inputs[:3])], mode=mode)


def statistics(rng, d, n=40, degree=2):
    rows = random_rows(rng, n, 1, d)
    design = Design.from_table(rows, Polynomial(degree=degree), standardize=False)
    return PatternStats.from_table(rows, design)


def dyadic_statistics(rng, d, p, n=24):
    """Rows of few binary digits, whose Gram matrices are exact: (phi, y, rows, gram)."""
    phi = np.column_stack([np.ones(n), rng.integers(-8, 8, (n, p - 1)) / 8])
    y = rng.integers(-8, 8, (n, d)) / 8
    y[~np.resize(all_patterns(d), (n, d))] = np.nan
    present = all_patterns(d)
    z = np.hstack([phi, np.nan_to_num(y)])
    alike = (np.isfinite(y)[None] == present[:, None]).all(axis=2)
    grams = np.stack([z[rows].T @ z[rows] for rows in alike])
    return phi, y, present * alike.sum(axis=1)[:, None], grams


@every_linker
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_values_are_those_of_the_precision(rng, linker, d):
    stats = statistics(rng, d)
    for _ in range(3):
        columns = random_columns(rng, 3, d)
        value = compiled(linker)(*columns, stats.rows, stats.grams)[0]
        expected = log_likelihood(precision_from_columns(*columns), stats)
        assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("linker", LINKERS[1:])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_linkers_agree(rng, linker, d):
    stats, columns = statistics(rng, d, degree=4), random_columns(rng, 5, d)
    ours = compiled(linker)(*columns, stats.rows, stats.grams)
    theirs = compiled("NUMBA")(*columns, stats.rows, stats.grams)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


@pytest.mark.parametrize("d", [1, 2, 3])
def test_gradients_are_those_of_finite_differences(rng, d):
    stats, columns = statistics(rng, d), random_columns(rng, 3, d)

    def value(c, sigma, r):
        return pattern_log_likelihood(c, sigma, r, stats.rows, stats.grams)

    verify_grad(value, columns, rng=rng, mode="FAST_COMPILE")


@every_linker
def test_only_the_strictly_lower_linkage_is_read(rng, linker):
    stats, (c, sigma, r) = statistics(rng, 3), random_columns(rng, 3, 3)
    plain = compiled(linker)(c, sigma, r, stats.rows, stats.grams)
    filled = c + np.triu(rng.normal(size=(3, 3)))
    for one, other in zip(
        compiled(linker)(filled, sigma, r, stats.rows, stats.grams), plain, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.triu(plain[1]), 0)
    assert (plain[1][np.tril_indices(3, -1)] != 0).all()


@every_linker
def test_inputs_are_not_changed_and_need_not_be_contiguous(rng, linker):
    stats, (c, sigma, r) = statistics(rng, 3), random_columns(rng, 3, 3)
    inputs = [c, sigma, r, stats.rows, stats.grams]
    plain = compiled(linker)(*inputs)
    strided = [np.repeat(a, 2, axis=-1)[..., ::2] for a in inputs]
    copies = [a.copy() for a in strided]
    for one, other in zip(compiled(linker)(*strided), plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    for before, after in zip(copies, strided, strict=True):
        np.testing.assert_array_equal(before, after)


@every_linker
def test_an_empty_pattern_says_nothing(rng, linker):
    stats, columns = statistics(rng, 2), random_columns(rng, 3, 2)
    rows = np.insert(stats.rows, 1, 0.0, axis=0)
    grams = np.insert(stats.grams, 1, np.eye(5), axis=0)
    plain = compiled(linker)(*columns, stats.rows, stats.grams)
    for one, other in zip(compiled(linker)(*columns, rows, grams), plain, strict=True):
        np.testing.assert_array_equal(one, other)


@every_linker
@pytest.mark.parametrize("d", [1, 2])
def test_no_pattern_says_nothing(rng, linker, d):
    value, *gradients = compiled(linker)(
        *random_columns(rng, 3, d), np.zeros((0, d)), np.zeros((0, 3 + d, 3 + d))
    )
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


@every_linker
@pytest.mark.parametrize(
    ("place", "number"),
    [
        *(("sigma", v) for v in (0.0, -0.5, np.nan, np.inf, 1e-200)),
        *(("linkage", v) for v in (np.nan, np.inf, -np.inf, 1e200)),
        ("corrections", np.nan),
        ("corrections", np.inf),
    ],
)
@pytest.mark.parametrize("d", [2, 3])
def test_broken_parameters_have_no_density(rng, linker, place, number, d):
    stats, (c, sigma, r) = statistics(rng, d), random_columns(rng, 3, d)
    where = {"sigma": (sigma, 0), "linkage": (c, (1, 0)), "corrections": (r, (0, 1))}
    array, index = where[place]
    array[index] = number
    value, *gradients = compiled(linker)(c, sigma, r, stats.rows, stats.grams)
    assert value == -np.inf
    assert np.isnan(gradients[1]).all()
    assert np.isnan(gradients[2]).all()
    assert np.isnan(gradients[0][np.tril_indices(d, -1)]).all()


@every_linker
@pytest.mark.parametrize(
    ("sigma", "link"),
    [
        *((v, 0.5) for v in (0.0, -0.5, np.nan, np.inf)),
        *((1.0, v) for v in (np.nan, np.inf)),
    ],
)
def test_broken_parameters_have_no_density_without_rows_either(linker, sigma, link):
    c, rows, grams = np.array([[0.0, 0], [link, 0]]), np.zeros((0, 2)), np.zeros((0, 5, 5))
    value, _, g_sigma, _ = compiled(linker)(c, np.array([1.0, sigma]), np.ones((2, 3)), rows, grams)
    assert value == -np.inf
    assert np.isnan(g_sigma).all()


@every_linker
@pytest.mark.parametrize("small", [1e-8, 1e-12])
@pytest.mark.parametrize("d", [2, 3])
def test_a_very_small_noise_keeps_its_digits(rng, linker, small, d):
    """Measured and simulated values all but equal: their covariance is singular in floats."""
    phi, y, rows, grams = dyadic_statistics(rng, d, 2)
    c, sigma, r = random_columns(rng, 2, d)
    sigma[-1] = small * sigma[-2]
    c[-1, -2] = 1.0
    value, _, g_sigma, _ = compiled(linker)(c, sigma, r, rows, grams)
    expected = exact_log_likelihood(c, sigma, r, phi, y)
    assert value == pytest.approx(expected, rel=1e-12)
    # d log p / d log sigma_d is twice the square that dominates the value.
    assert g_sigma[-1] * sigma[-1] == pytest.approx(-2 * expected, rel=1e-6)
    # Without residuals the determinant is all that is left.
    level, *_ = compiled(linker)(c, sigma, r, rows, grams * 0)
    zero = exact_log_likelihood(c, sigma, r * 0, phi * 0, np.where(np.isfinite(y), 0.0, np.nan))
    assert level == pytest.approx(zero, rel=1e-12)


def test_no_digits_are_lost_in_the_ordinary_case(rng):
    phi, y, rows, grams = dyadic_statistics(rng, 4, 3, n=45)
    columns = random_columns(rng, 3, 4)
    value = compiled("NUMBA")(*columns, rows, grams)[0]
    assert value == pytest.approx(exact_log_likelihood(*columns, phi, y), rel=1e-13)


def test_shapes_are_known_without_the_values():
    inputs = symbols()
    outputs = PatternLogLikelihood()(*inputs)
    shapes = pytensor.function(inputs, [o.shape for o in outputs], mode="FAST_COMPILE")
    nodes = shapes.maker.fgraph.toposort()
    assert not any(isinstance(node.op, PatternLogLikelihood) for node in nodes)
    sizes = shapes(
        np.zeros((2, 2)), np.ones(2), np.zeros((2, 3)), np.zeros((4, 2)), np.zeros((4, 5, 5))
    )
    assert [tuple(s) for s in sizes] == [(), (2, 2), (2,), (2, 3)]


def test_equal_inputs_are_evaluated_once():
    inputs = symbols()
    value = pattern_log_likelihood(*inputs) + pattern_log_likelihood(*inputs)
    function = pytensor.function(
        inputs, [value, *pt.grad(value, inputs[:3])], mode=Mode("py", "fast_run")
    )
    ops = [node.op for node in function.maker.fgraph.toposort()]
    assert ops.count(PatternLogLikelihood()) == 1


def test_numbers_of_other_types_are_taken_as_floats(rng):
    stats, columns = statistics(rng, 2), random_columns(rng, 3, 2)
    short = [pt.as_tensor(a.astype("float32")) for a in columns]
    value = pattern_log_likelihood(*short, stats.rows.astype(int), stats.grams)
    assert value.dtype == "float64"
    expected = compiled("py")(*columns, stats.rows, stats.grams)[0]
    assert value.eval(mode="FAST_COMPILE") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("place", range(5))
def test_wrong_ranks_are_refused(place):
    inputs = symbols()
    inputs[place] = inputs[place][None]
    with pytest.raises(TypeError, match=r"ranks \(2, 1, 2, 2, 3\), got"):
        pattern_log_likelihood(*inputs)


def test_data_have_no_gradient():
    inputs = symbols()
    with pytest.raises(DisconnectedInputError):
        pt.grad(pattern_log_likelihood(*inputs), inputs[4])


def test_second_derivatives_are_refused_instead_of_wrong():
    inputs = symbols()
    gradient = pt.grad(pattern_log_likelihood(*inputs), inputs[1])
    with pytest.raises(DisconnectedInputError):
        pt.grad(gradient.sum(), inputs[1])


@pytest.mark.parametrize(
    ("linker", "rows", "gram"),
    [
        # The kernel reads past the end of the arrays.
        ("NUMBA", (2, 2), (1, 5, 5)),
        ("NUMBA", (1, 2), (1, 4, 4)),
        ("NUMBA", (1, 1), (1, 5, 5)),
        ("FAST_COMPILE", (2, 2), (1, 5, 5)),
        ("FAST_COMPILE", (1, 2), (1, 4, 4)),
        ("FAST_COMPILE", (1, 1), (1, 5, 5)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(linker, rows, gram):
    inputs = np.zeros((2, 2)), np.ones(2), np.zeros((2, 3)), np.ones(rows), np.ones(gram)
    with pytest.raises((ValueError, IndexError)):
        compiled(linker)(*inputs)


@pytest.mark.parametrize("linker", ["NUMBA", "FAST_COMPILE"])
@pytest.mark.parametrize("place", range(5))
def test_an_array_of_another_length_is_refused(rng, linker, place):
    stats = statistics(rng, 2)
    inputs = [*random_columns(rng, 3, 2), stats.rows, stats.grams]
    inputs[place] = inputs[place][:-1]
    with pytest.raises((ValueError, IndexError)):
        compiled(linker)(*inputs)


def test_caches_of_edited_kernels_are_removed(tmp_path):
    cached = tmp_path / "collapsed._evaluate-1.py312.nbi"
    cached.touch()
    kernel.forget_edited(tmp_path)
    assert not cached.exists()  # of whoever was here before the mark
    cached.touch()
    kernel.forget_edited(tmp_path)
    assert cached.exists()
    (tmp_path / "numba_sources").write_text("another", encoding="utf-8")
    kernel.forget_edited(tmp_path)
    assert not cached.exists()
    kernel.forget_edited(tmp_path / "missing")  # nothing to remove, and nowhere to say so
