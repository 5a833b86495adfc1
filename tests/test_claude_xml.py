"""Files of the published implementation: what is read from them."""

import math
import re
from functools import partial

import numpy as np
import pytest
from claude_xml_cases import QUADRATIC, covariance_text, parameter_text, replaced, write_files
from oracle import random_precision, random_rows

from claude_pymc.errors import Notice
from claude_pymc.joint.gaussian import log_likelihood
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.claude_xml import from_claude_xml
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table


@pytest.fixture
def save(tmp_path):
    return partial(write_files, tmp_path)


def first_terms(d, p):
    """Nested correction sets: all terms, then all but one, .."""
    return np.array([[b < max(p - j, 1) for b in range(p)] for j in range(d)])


def direct(table, exponents, active):
    """Design and statistics of the rows, without any file."""
    sets = {
        t: [e for e, on in zip(exponents, row, strict=True) if on]
        for t, row in zip(table.targets, active, strict=True)
    }
    design = Design.from_table(table, Polynomial(exponents=exponents), sets, standardize=False)
    return design, PatternStats.from_table(table, design)


def assert_same(ours, theirs):
    """Equal designs, patterns and counts; Gram matrices to round-off."""
    assert ours.design == theirs.design
    assert ours.patterns == theirs.patterns
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    scale = np.abs(theirs.grams).max()
    np.testing.assert_allclose(ours.grams, theirs.grams, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("n_descriptors", [1, 2])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_statistics_are_those_of_the_rows(rng, save, n_descriptors, d):
    rows, exponents = random_rows(rng, 60, n_descriptors, d), QUADRATIC[n_descriptors]
    p = len(exponents)
    active, precision = first_terms(d, p), random_precision(rng, p, d)
    paths = save(parameter_text(exponents, active), covariance_text(rows, exponents, precision))
    files = from_claude_xml(*paths)
    design, stats = direct(rows, exponents, active)
    assert files.design == design
    assert len(files.stats.patterns) == 2**d - 1
    assert_same(files.stats, stats)
    missing = ~files.stats.present
    assert (np.diagonal(files.stats.grams, axis1=1, axis2=2)[:, p:][missing] == 0).all()
    np.testing.assert_array_equal(files.precision, precision)
    assert files.maxima == tuple(np.nanmax(rows.y, axis=0))
    assert log_likelihood(precision, files.stats) == pytest.approx(
        log_likelihood(precision, stats), rel=1e-12
    )


@pytest.mark.filterwarnings("ignore:target 'y:claude_pymc.errors.Notice")
def test_rows_can_be_added_to_what_was_read(rng, save):
    rows, exponents = random_rows(rng, 31, 1, 3), QUADRATIC[1]
    active = first_terms(3, 3)
    old, new = rows.rows(slice(30)), rows.rows([30])
    files = from_claude_xml(
        *save(parameter_text(exponents, active), covariance_text(old, exponents))
    )
    more = PatternStats.from_table(new, files.design)
    assert files.stats.n_rows == 30
    assert_same(files.stats + more, direct(rows, exponents, active)[1])


def test_published_example(reference, save):
    case = reference["readme_sample"]
    table = Table(["x"], ["sim", "exp"], case["x"], np.array(case["y"], dtype=float))
    precision, exponents = np.array(case["map_precision"]), case["exponents"]
    active = [[True] * 4, [b in case["corrections"]["1"] for b in range(4)]]
    paths = save(parameter_text(exponents, active), covariance_text(table, exponents, precision))
    files = from_claude_xml(*paths, descriptors=["x"], targets=["sim", "exp"])
    design, stats = direct(table, exponents, active)
    assert files.design == design
    assert files.design.corrections == (("1", "x", "x^2", "x^3"), ("1",))
    assert_same(files.stats, stats)
    value = log_likelihood(files.precision, files.stats)
    assert value == pytest.approx(log_likelihood(precision, stats), abs=1e-9)
    assert value == pytest.approx(19.656420126557435, abs=1e-6)
    assert value == pytest.approx(case["map_log_posterior"], abs=1e-6)


def test_published_values_from_files(reference, save):
    case = reference["two_targets_random"]
    y = np.array(case["y"], dtype=float)
    table = Table(["x1", "x2"], ["y1", "y2"], case["x"], y)
    exponents, chosen = case["exponents"], case["corrections"]["1"]
    active = [[True] * 6, [b in chosen for b in range(6)]]
    files = from_claude_xml(
        *save(parameter_text(exponents, active), covariance_text(table, exponents))
    )
    assert files.precision is None
    for pair in case["evaluations"]:
        value = log_likelihood(np.array(pair["precision"]), files.stats)
        assert value == pytest.approx(pair["log_likelihood"], rel=1e-9)


def test_a_design_without_a_covariance_file(save):
    paths = save(parameter_text([[0, 0], [2, 1]], [[True, True], [False, False]]), "")
    files = from_claude_xml(str(paths[0]), descriptors=("T", "p"), targets=("sim", "exp"))
    assert (files.stats, files.precision, files.maxima) == (None, None, ())
    assert files.design.terms == ("1", "T^2 p")
    assert files.design.corrections == (("1", "T^2 p"), ())
    assert (files.design.bounds, files.design.location, files.design.scale) == ((), (0, 0), (1, 1))


def test_files_written_by_hand(save):
    """A linear model by its flag, and the default correction sets where none is written."""
    text = (
        "<CLAUDEModelParameter><!-- short --><NumberDescriptor> 2 </NumberDescriptor>"
        "<FlagLinearModel>True</FlagLinearModel><NumberTarget>2</NumberTarget>"
        "<DegreePolynomialTarget>1 0</DegreePolynomialTarget>"
        "<DegreePolynomialTarget>0 1</DegreePolynomialTarget>{}</CLAUDEModelParameter>"
    )
    one = '<ActiveVariable index="1">0</ActiveVariable>'
    off = '<InactiveVariable index="1">0</InactiveVariable>'
    for extra, expected in (("", ()), (one, ("1",)), (off + one, ()), (one + off, ())):
        design = from_claude_xml(save(text.format(extra), "")[0]).design
        assert design.terms == ("1", "x1", "x2")
        assert design.corrections == (design.terms, expected)


def test_optional_parts_of_the_covariance_file(rng, save):
    rows = random_rows(rng, 20, 1, 2).without("y2", slice(None))
    rows = rows.rows(np.isfinite(rows.y).any(axis=1))
    parameters = parameter_text(QUADRATIC[1], first_terms(2, 3))
    text = covariance_text(rows, QUADRATIC[1], random_precision(rng, 3, 2))
    files = from_claude_xml(*save(parameters, text))
    assert files.maxima[0] == np.nanmax(rows.y[:, 0])
    assert math.isnan(files.maxima[1])
    last = replaced(text, "<IndexTargetPrimary>1", "<IndexTargetPrimary>-1")
    assert_same(from_claude_xml(*save(parameters, last)).stats, files.stats)
    text = re.sub("<(IndexTarget|TargetMax).*\n", "", text)
    text = re.sub("<PrecisionMatrixMax>[^$]*</PrecisionMatrixMax>", "", text)
    less = from_claude_xml(*save(parameters, text))
    assert (less.precision, less.maxima) == (None, ())
    assert_same(less.stats, files.stats)


def test_no_rows_are_an_empty_start(save):
    parameters = parameter_text(QUADRATIC[1], first_terms(2, 3))
    none = Table(["x1"], ["y1", "y2"], np.zeros((0, 1)), np.zeros((0, 2)))
    files = from_claude_xml(*save(parameters, covariance_text(none, QUADRATIC[1])))
    assert files.stats.n_rows == 0
    assert files.stats.grams.shape == (0, 5, 5)
    assert np.isnan(files.maxima).all()


def test_rows_without_any_target_are_noted(rng, save):
    rows = random_rows(rng, 20)
    rows = rows.without("y1", slice(0, 3)).without("y2", slice(0, 3))
    parameters = parameter_text(QUADRATIC[1], first_terms(2, 3))
    with pytest.warns(Notice, match="3 rows have no target and were left out") as notices:
        files = from_claude_xml(*save(parameters, covariance_text(rows, QUADRATIC[1])))
    assert [notice.filename for notice in notices] == [__file__]
    assert (files.stats.n_rows, files.stats.n_dropped) == (17, 3)
    with pytest.warns(Notice, match="3 of 20 rows"):
        assert_same(files.stats, direct(rows, QUADRATIC[1], first_terms(2, 3))[1])


def test_the_precision_cannot_be_changed(rng, save):
    text = covariance_text(random_rows(rng, 20), QUADRATIC[1], np.full((5, 5), 2.0))
    files = from_claude_xml(*save(parameter_text(QUADRATIC[1], first_terms(2, 3)), text))
    assert (files.precision[:3, :3] == 0).all()
    assert (files.precision[3:] == 2).all()
    with pytest.raises(ValueError, match="read-only"):
        files.precision[0, 0] = 1.0


# Zeros of the precision made of columns with these correction sets: they are the same sets, or not.
@pytest.mark.parametrize(
    ("active", "nested"),
    [
        ([[1, 1, 1], [0, 0, 0]], True),
        ([[1, 0, 1], [1, 0, 0]], True),
        ([[1, 0, 1], [1, 1, 0]], False),
        ([[1, 1, 1], [1, 1, 0], [1, 0, 0]], True),
        ([[1, 1, 1], [1, 0, 0], [1, 1, 0]], False),
        ([[1, 1, 1], [0, 1, 0], [1, 0, 0]], False),
    ],
)
def test_sets_that_are_not_nested_are_noted(rng, save, active, nested, recwarn):
    active = np.array(active, dtype=bool)
    d, p = active.shape
    design = from_claude_xml(save(parameter_text(QUADRATIC[1], active), "")[0]).design
    np.testing.assert_array_equal(design.active, active)
    said = [str(w.message) for w in recwarn if (w.category, w.filename) == (Notice, __file__)]
    assert len(said) == (not nested)
    assert all("sets are not nested" in text and "two models differ" in text for text in said)
    unit = np.eye(d) - np.tril(rng.normal(size=(d, d)), -1)
    precision_yx = -unit.T @ (rng.normal(size=(d, p)) * active)
    assert ((precision_yx != 0) == active).all() == nested
