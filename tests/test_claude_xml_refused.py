"""Files of the published implementation: what is refused, and how."""

import math
import re
from functools import partial

import pytest
from claude_xml_cases import QUADRATIC, covariance_text, parameter_text, replaced, write_files

from claude_pymc.errors import ClaudeError, DesignError, StatisticsError
from claude_pymc.tables.claude_xml import from_claude_xml
from claude_pymc.tables.table import Table

PARAMETERS = parameter_text(QUADRATIC[1], [[True] * 3, [True, False, False]])
ROWS = Table(["x1"], ["y1", "y2"], [[0.1], [0.5], [0.9]], [[1, 2], [3, math.nan], [math.nan, 5]])
COVARIANCE = covariance_text(ROWS, QUADRATIC[1])
LARGER = parameter_text([[0], [1], [2], [3]], [[True] * 4, [True] * 4])
LAUGHS = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>"


@pytest.fixture
def save(tmp_path):
    return partial(write_files, tmp_path)


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
