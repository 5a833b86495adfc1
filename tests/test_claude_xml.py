"""Files of the published implementation, written here by hand: what is read, what is refused."""

import math
import re

import numpy as np
import pytest
from oracle import random_precision, random_rows

from claude_pymc.errors import ClaudeError, DesignError, Notice, StatisticsError
from claude_pymc.joint.gaussian import log_likelihood
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.claude_xml import from_claude_xml
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

QUADRATIC = {1: [[0], [1], [2]], 2: [[0, 0], [1, 0], [0, 1], [1, 1]]}


def element(tag, text, **attributes):
    return f"   <{tag}{''.join(f' {k}="{v}"' for k, v in attributes.items())}>{text}</{tag}>\n"


def parameter_text(exponents, active):
    """The parameter file; active is boolean (target, term)."""
    d, p = np.shape(active)
    parts = [element("NumberDescriptor", len(exponents[0]))]
    parts += [element("DegreePolynomialDescriptor", " ".join(map(str, e))) for e in exponents]
    parts += [element("DomainDescriptor", "0.0 7.0", index=i) for i in range(len(exponents[0]))]
    parts += [element("NumberTarget", d)]
    for j in range(d):
        powers = " ".join(str(int(j == k)) for k in range(d))
        parts.append(element("DegreePolynomialTarget", powers))
    for j in range(d):
        for b in range(p + d):
            word = "Active" if b >= p or active[j][b] else "Inactive"
            parts.append(element(f"{word}Variable", b, index=j))
    parts.append(element("ModeInitialPrecisionMatrixMax", 0))
    parts.append(element("OffsetInitialPrecisionMatrixMax", 0.1))
    options = element("Method", "L-BFGS-B") + element("MaxIter", 1000) + element("Disp", False)
    parts.append(element("MinimizationMethod", f"\n{options}   "))
    return f"<CLAUDEModelParameter>\n{''.join(parts)}</CLAUDEModelParameter>\n"


def triangle(matrix):
    size = len(matrix)
    return "".join(
        element("Element", repr(float(matrix[i][j])), irow=i, icol=j)
        for i in range(size)
        for j in range(i, size)
    )


def covariance_text(table, exponents, precision=None):
    """The covariance file, its means updated row by row as there."""
    d = table.y.shape[1]
    found = {}
    for x, y in zip(table.x, table.y, strict=True):
        z = [math.prod(v**n for v, n in zip(x, e, strict=True)) for e in exponents] + list(y)
        term = np.eye(len(z))
        for i, a in enumerate(z):
            for j, b in enumerate(z):
                if not math.isnan(a) and not math.isnan(b):
                    term[i, j] = a * b
        pattern = tuple(not math.isnan(v) for v in y)
        n, mean = found.get(pattern, (0, 0.0))
        found[pattern] = (n + 1, term / (n + 1) + mean * n / (n + 1))
    parts = [element("NumberAvailablePattern", len(found))]
    for i, (pattern, (n, mean)) in enumerate(found.items()):
        inner = element("AvailablePattern", " ".join(map(str, pattern)))
        inner += element("NumberSampleAvailablePattern", n) + triangle(mean)
        parts.append(element("CovarianceMatrix", f"\n{inner}   ", index=i))
    size = len(exponents) + d
    best = np.eye(size) if precision is None else precision
    parts.append(element("PrecisionMatrixMax", f"\n{triangle(best)}   "))
    parts.append(element("Coefficient", "\n" + element("Component", 0.5, itarget=0, idescriptor=0)))
    parts.append(element("WidthMonteCarlo", 100.0, index=0))
    parts.append(element("NumberSampleMonteCarlo", 500))
    parts.append(element("ModeAcquisitionFunction", "0 1"))
    parts.append(element("IndexTargetPrimary", d - 1))
    for j, y in enumerate(table.y.T):
        largest = float(np.nanmax(y)) if np.isfinite(y).any() else -1e16
        parts.append(element("TargetMax", largest, index=j))
    return f"<CLAUDECovarianceMatrix>\n{''.join(parts)}</CLAUDECovarianceMatrix>\n"


@pytest.fixture
def save(tmp_path):
    """Write both files and return their paths."""

    def write(parameters, covariance):
        paths = tmp_path / "parameter_model.xml", tmp_path / "covariance_matrix.xml"
        for path, text in zip(paths, (parameters, covariance), strict=True):
            path.write_text(text)
        return paths

    return write


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


PARAMETERS = parameter_text(QUADRATIC[1], [[True] * 3, [True, False, False]])
ROWS = Table(["x1"], ["y1", "y2"], [[0.1], [0.5], [0.9]], [[1, 2], [3, math.nan], [math.nan, 5]])
COVARIANCE = covariance_text(ROWS, QUADRATIC[1])
LARGER = parameter_text([[0], [1], [2], [3]], [[True] * 4, [True] * 4])
LAUGHS = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>"


def replaced(text, old, new, count=1):
    """The text with a change, which must be one."""
    assert old in text
    return text.replace(old, new, count)


def changed(pattern, new, text=COVARIANCE):
    """The text with the first match of an expression replaced."""
    result, n = re.subn(pattern, new, text, count=1)
    assert n == 1
    return result


# name: (parameter file, covariance file, expected, got, cause)
REFUSED = {
    "exchanged": (
        COVARIANCE, PARAMETERS, "root element CLAUDEModelParameter in 'parameter_model.xml'",
        "CLAUDECovarianceMatrix", "the two files were exchanged",
    ),
    "the parameter file twice": (
        PARAMETERS, PARAMETERS, "root element CLAUDECovarianceMatrix in 'covariance_matrix.xml'",
        "CLAUDEModelParameter", "the two files were exchanged",
    ),
    "another kind of XML": (
        "<html/>", COVARIANCE, "root element CLAUDEModelParameter", "html", "another kind of file",
    ),
    "an empty file": (
        PARAMETERS, "", "complete XML in 'covariance_matrix.xml'", "no element found", "truncated",
    ),
    "truncated": (
        PARAMETERS, COVARIANCE[:700], "complete XML in 'covariance_matrix.xml'",
        "(no element found|unclosed token): line", "a truncated copy",
    ),
    "entities": (
        replaced(PARAMETERS, "<CLAUDE", LAUGHS + "<CLAUDE"), COVARIANCE, "complete XML",
        "a document type", "another kind of file",
    ),
    "no number of descriptors": (
        changed("<NumberDescriptor>.*", "", PARAMETERS), COVARIANCE,
        "one element NumberDescriptor in CLAUDEModelParameter", "0", "another version",
    ),
    "a number of targets twice": (
        replaced(PARAMETERS, "<NumberTarget>", "<NumberTarget>2</NumberTarget><NumberTarget>"),
        COVARIANCE, "one element NumberTarget", "2", "another version",
    ),
    "no terms": (
        re.sub("<DegreePolynomialDescriptor>.*", "", PARAMETERS), COVARIANCE,
        "DegreePolynomialDescriptor with 1 exponents", "'none'", "another version",
    ),
    "an unknown element": (
        replaced(PARAMETERS, "<NumberT", "<StandardizeTarget>1</StandardizeTarget><NumberT"),
        COVARIANCE, "elements of CLAUDEModelParameter known here", "StandardizeTarget",
        "numbers may mean something else",
    ),
    "an unknown element of the covariance file": (
        PARAMETERS, replaced(COVARIANCE, "<TargetMax", "<Prior>1</Prior><TargetMax"),
        "elements of CLAUDECovarianceMatrix known here", "Prior", "another version",
    ),
    "text for a number": (
        changed("(<NumberDescriptor>)1", r"\1one", PARAMETERS), COVARIANCE,
        "whole number from 1 to 999 as NumberDescriptor", "'one'", "edited",
    ),
    "no descriptor": (
        changed("(<NumberDescriptor>)1", r"\g<1>0", PARAMETERS), COVARIANCE,
        "whole number from 1 to 999 as NumberDescriptor", "'0'", "edited",
    ),
    "a fractional exponent": (
        changed("(<DegreePolynomialDescriptor>)2", r"\g<1>0.5", PARAMETERS), COVARIANCE,
        "DegreePolynomialDescriptor with 1 exponents, which are whole numbers", "'0.5'", "edited",
    ),
    "exponents of other descriptors": (
        changed("(<DegreePolynomialDescriptor>)2", r"\g<1>2 1", PARAMETERS), COVARIANCE,
        "DegreePolynomialDescriptor with 1 exponents", "'2 1'", "edited",
    ),
    "a power of a target": (
        replaced(PARAMETERS, "<DegreePolynomialTarget>1 0", "<DegreePolynomialTarget>2 0"),
        COVARIANCE, "DegreePolynomialTarget 1 for each of the 2 targets", "other exponents",
        "powers, products or another order",
    ),
    "a target that is not there": (
        changed('(<InactiveVariable index=)"1"', r'\1"2"', PARAMETERS), COVARIANCE,
        "whole number from 0 to 1 as index of InactiveVariable", "'2'", "edited",
    ),
    "a variable that is not there": (
        changed('(<InactiveVariable index="1">)1', r"\g<1>5", PARAMETERS), COVARIANCE,
        "whole number from 0 to 4 as InactiveVariable index 1", "'5'", "edited",
    ),
    "a negative variable": (
        changed('(<InactiveVariable index="1">)1', r"\g<1>-1", PARAMETERS), COVARIANCE,
        "whole number from 0 to 4 as InactiveVariable index 1", "'-1'", "edited",
    ),
    "an inactive linkage": (
        changed('<Active(Variable index="1">3</)Active', r"<Inactive\1Inactive", PARAMETERS),
        COVARIANCE, "free entries of the precision between targets",
        "InactiveVariable index 1 with variable 3, which is target 0", "linkage was switched off",
    ),
    "an inactive linkage of the other triangle": (
        changed('<Active(Variable index="0">4</)Active', r"<Inactive\1Inactive", PARAMETERS),
        COVARIANCE, "free entries of the precision between targets",
        "InactiveVariable index 0 with variable 4, which is target 1", "linkage was switched off",
    ),
    "an inactive diagonal": (
        changed('<Active(Variable index="1">4</)Active', r"<Inactive\1Inactive", PARAMETERS),
        COVARIANCE, "free entries of the precision between targets", "which is target 1",
        "linkage was switched off",
    ),
    "a cheap primary target": (
        PARAMETERS, changed("(<IndexTargetPrimary>)1", r"\g<1>0"),
        "IndexTargetPrimary 1, so that the primary target is the last", "0",
        "not listed from the cheapest",
    ),
    "a primary target that is not there": (
        PARAMETERS, changed("(<IndexTargetPrimary>)1", r"\g<1>2"),
        "whole number from -1 to 1 as IndexTargetPrimary", "'2'", "different models",
    ),
    "another number of patterns": (
        PARAMETERS, changed("(<NumberAvailablePattern>)3", r"\g<1>4"),
        "as many CovarianceMatrix as NumberAvailablePattern says", "3", "edited or cut",
    ),
    "no number of patterns": (
        PARAMETERS, changed("<NumberAvailablePattern>.*", ""),
        "one element NumberAvailablePattern in CLAUDECovarianceMatrix", "0", "another version",
    ),
    "a pattern without a count": (
        PARAMETERS, changed("<NumberSampleAvailablePattern>.*", ""),
        "one element NumberSampleAvailablePattern in CovarianceMatrix index 0", "0", "another",
    ),
    "a negative count": (
        PARAMETERS, changed("(<NumberSampleAvailablePattern>)1", r"\g<1>-1"),
        "whole number from 0 to .* as NumberSampleAvailablePattern", "'-1'", "edited",
    ),
    "half a row": (
        PARAMETERS, changed("(<NumberSampleAvailablePattern>)1", r"\g<1>1.5"),
        "whole number from 0 to .* as NumberSampleAvailablePattern", "'1.5'", "edited",
    ),
    "patterns of another number of targets": (
        PARAMETERS, changed("True True", "True True True"),
        "AvailablePattern of 2 words True or False", "'True', 'True', 'True'", "different models",
    ),
    "patterns in other words": (
        PARAMETERS, changed("True True", "1 1"),
        "AvailablePattern of 2 words True or False", r"\['1', '1'\]", "edited",
    ),
    "a covariance file of a smaller model": (
        LARGER, COVARIANCE, "21 of Element, for 6 terms and targets",
        "15 in CovarianceMatrix index 0", "the two files belong to different models",
    ),
    "a missing element": (
        PARAMETERS, changed('<Element irow="1" icol="2">.*', ""),
        "15 of Element, for 5 terms and targets", "14 in CovarianceMatrix index 0", "edited or cut",
    ),
    "one element twice and another missing": (
        PARAMETERS, changed('irow="1" icol="2"', 'irow="1" icol="1"'),
        "an Element irow 1 icol 2 in CovarianceMatrix index 0", "none", "edited",
    ),
    "an element that is not there": (
        PARAMETERS, changed('irow="1" icol="2"', 'irow="1" icol="99"'),
        "whole number from 0 to 4 as icol of Element irow 1 icol 99", "'99'", "edited",
    ),
    "an element without a row": (
        PARAMETERS, changed('irow="1" icol="2"', 'icol="2"'),
        "whole number from 0 to 4 as irow of Element icol 2", "''", "edited",
    ),
    "text for an element": (
        PARAMETERS, changed('(<Element irow="1" icol="1">)[^<]*', r"\1much"),
        "finite number as Element irow 1 icol 1", "'much'", "edited",
    ),
    "an empty element": (
        PARAMETERS, changed('(<Element irow="1" icol="1">)[^<]*', r"\1"),
        "finite number as Element irow 1 icol 1", "None", "edited",
    ),
    "an element that is not finite": (
        PARAMETERS, changed('(<Element irow="1" icol="1">)[^<]*', r"\1nan"),
        "finite number as Element irow 1 icol 1", "'nan'", "edited",
    ),
    "not a mean of squares": (
        PARAMETERS, changed('(<Element irow="1" icol="2">)[^<]*', r"\g<1>0.9"),
        "positive semidefinite", "other numbers in CovarianceMatrix index 0", "edited",
    ),
    "a negative mean square": (
        PARAMETERS, changed('(<Element irow="1" icol="1">)[^<]*', r"\g<1>-0.01"),
        "positive semidefinite", "other numbers in CovarianceMatrix index 0", "edited",
    ),
    "sums instead of means": (
        PARAMETERS, changed('(<Element irow="0" icol="0">)[^<]*', r"\g<1>15.0"),
        "means, not sums: 1 for the constant", "CovarianceMatrix index 0", "different models",
    ),
    "a pattern of another matrix": (
        PARAMETERS, replaced(COVARIANCE, "True True", "True False"),
        "zeros beside the diagonal of a missing target", "CovarianceMatrix index 0", "edited",
    ),
    "half a precision": (
        PARAMETERS, changed("(<PrecisionMatrixMax>\n) *<Element.*", r"\1"),
        "15 of Element", "14 in PrecisionMatrixMax", "edited or cut",
    ),
    "a maximum of no target": (
        PARAMETERS, changed('<TargetMax index="1"', '<TargetMax index="2"'),
        "whole number from 0 to 1 as index of TargetMax", "'2'", "different models",
    ),
}  # fmt: skip


def assert_four_parts(error, expected, got, cause):
    """Each part of the message says what it should."""
    assert isinstance(error, ClaudeError)
    for part, pattern in ((error.expected, expected), (error.got, got), (error.cause, cause)):
        assert re.search(pattern, part), (part, pattern)
    assert len(error.todo) > 10


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, save):
    parameters, covariance, expected, got, cause = REFUSED[name]
    with pytest.raises(StatisticsError, match=expected) as info:
        from_claude_xml(*save(parameters, covariance))
    assert_four_parts(info.value, expected, got, cause)


def test_the_files_behind_these_cases_are_fine(save):
    assert from_claude_xml(*save(PARAMETERS, COVARIANCE)).stats.n_rows == 3


def test_files_that_cannot_be_opened(save, tmp_path):
    paths = save(PARAMETERS, COVARIANCE)
    for pair in ((tmp_path / "no.xml", paths[1]), (paths[0], tmp_path / "no.xml")):
        with pytest.raises(StatisticsError, match=r"an XML file at 'no\.xml'") as info:
            from_claude_xml(*pair)
        assert_four_parts(info.value, "'no.xml'", "no such file", "a typing error in the name")
    with pytest.raises(StatisticsError, match=r"directory|denied"):
        from_claude_xml(tmp_path)
    paths[1].write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(StatisticsError, match="another kind of file"):
        from_claude_xml(*paths)


@pytest.mark.parametrize(
    ("names", "expected", "got"),
    [
        ({"descriptors": ["x", "z"]}, "1 different names of descriptors", r"\['x', 'z'\]"),
        ({"descriptors": "x"}, "a list of 1 different names of descriptors", "'x'"),
        ({"targets": ["sim"]}, "2 different names of targets", r"\['sim'\]"),
        ({"targets": ["exp", "exp"]}, "2 different names of targets", r"\['exp', 'exp'\]"),
        ({"targets": ["x1", "exp"]}, "each named once", "targets .'x1', 'exp'"),
        ({"targets": ["mean", "exp"]}, "names that proposals do not use", "'mean'"),
    ],
)
def test_names_that_do_not_fit(names, expected, got, save):
    with pytest.raises(DesignError, match=expected) as info:
        from_claude_xml(*save(PARAMETERS, COVARIANCE), **names)
    assert_four_parts(info.value, expected, got, ".")


def test_a_term_twice_is_refused(save):
    text = changed("(<DegreePolynomialDescriptor>)2", r"\g<1>1", PARAMETERS)
    with pytest.raises(DesignError, match="different terms"):
        from_claude_xml(save(text, "")[0])
