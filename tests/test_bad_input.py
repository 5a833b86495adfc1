"""What people get wrong: each case gives one error of four parts, and changes nothing on the disk.

Rows, studies and candidates go through the command line; the sampler must not be reached.
"""

import re

import numpy as np
import pytest
from fakes import STUDY, FakeSampler, call, content, small_csv

from claude_pymc import run
from claude_pymc.errors import Notice, StatisticsError
from claude_pymc.joint.model import build_model
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

ROWS = small_csv()
LINES = ROWS.split("\n")


def cell(line, column, text):
    """The table with one cell replaced; line 1 is the header."""
    lines = [row.split(",") for row in LINES]
    lines[line - 1][LINES[0].split(",").index(column)] = text
    return "\n".join(map(",".join, lines))


def every(column, text):
    """The table with every cell of a column replaced."""
    j = LINES[0].split(",").index(column)
    rows = [row.split(",") for row in LINES[1:] if row]
    return "\n".join([LINES[0], *(",".join([*r[:j], text, *r[j + 1 :]]) for r in rows)])


TWO_VALUES = "name,x,sim,exp\n" + "".join(f"s{i},{i % 2},{i},{i}\n" for i in range(12))

# name: (rows, study, kind of error, what was got, what is expected or advised)
MUST_FAIL = {
    "a missing column": (
        ROWS.replace("sim", "simulated"), STUDY, "TableError", "'simulated'", "one column 'sim'",
    ),
    "a column twice": (
        ROWS.replace("name,x,sim,exp", "sim,x,sim,exp"), STUDY.replace('labels = "name"', ""),
        "TableError", "2 of them", "one column 'sim'",
    ),
    "text in a column of numbers": (
        cell(4, "exp", "ca. 3"), STUDY, "TableError", "'ca. 3' in line 4 of rows.csv", "'exp'",
    ),
    "a decimal comma between commas": (
        cell(4, "exp", '"3,5"'), STUDY, "TableError", "'3,5' in line 4", "'exp'",
    ),
    "an infinite value": (
        cell(5, "sim", "inf"), STUDY, "TableError", "'inf' in line 5", "finite number.*'sim'",
    ),
    "an empty cell of a descriptor": (
        cell(6, "x", ""), STUDY, "TableError", r"row 4 \(s04\)", "descriptor 'x' in every row",
    ),
    "nan in a descriptor": (
        cell(6, "x", "NaN"), STUDY, "TableError", r"row 4 \(s04\)", "descriptor 'x' in every row",
    ),
    "a constant descriptor": (
        every("x", "0.5"), STUDY, "DesignError", "0.5 in all 15 rows", "'x' that varies",
    ),
    "a header without rows": (
        LINES[0] + "\n", STUDY, "DesignError", "an empty table", "a table with rows",
    ),
    "an empty file": ("", STUDY, "TableError", "'rows.csv'", "a header line"),
    "labels that are not there": (
        ROWS, STUDY.replace('"name"', '"nome"'), "TableError", "'name'", "a column 'nome'",
    ),
    "an unknown correction term": (
        ROWS, STUDY.replace('["1"]', '["1", "y"]'), "DesignError", "'y'",
        r"among the terms \['1', 'x', 'x\^2'\]",
    ),
    "a repeated correction term": (
        ROWS, STUDY.replace('["1"]', '["x", "x"]'), "DesignError", "'x' twice",
        r"among the terms \['1', 'x', 'x\^2'\]",
    ),
    "a basis with two identical columns": (
        TWO_VALUES, STUDY, "DesignError", r"'1' and 'x\^2' are equal in all 12 rows",
        "basis terms that differ",
    ),
    "a logarithm of a negative value": (
        cell(7, "exp", "-1"), STUDY + '[transforms]\nexp = "log"\nsim = "log"\n', "TableError",
        "-1", "positive values of 'exp'",
    ),
    "a study with an unknown key": (
        ROWS, STUDY.replace("degree", "degre"), "StudyError", "'degre'", "did you mean 'degree'",
    ),
    "a study with an unknown section": (
        ROWS, STUDY.replace("[units]", "[unit]"), "StudyError", "'unit'", "did you mean 'units'",
    ),
    "a study that is not TOML": (
        ROWS, STUDY.replace('"Small"', '"Small'), "StudyError", "'study.toml'", "strings need",
    ),
    "a study without targets": (
        ROWS, STUDY.replace('targets = ["sim", "exp"]', ""), "StudyError", "None",
        "a list of column names for targets",
    ),
    "a nonlinear basis under joint": (
        ROWS, 'likelihood = "joint"\n' + STUDY + '[prior]\nkind = "lkj"\n', "DesignError",
        r"'x\^2'", r"Polynomial\(degree=1\)",
    ),
    "the default prior under joint": (
        ROWS, ('likelihood = "joint"\n' + STUDY).replace("degree = 2", "degree = 1"), "SpecError",
        "ShrinkagePrior", "LKJPrior",
    ),
    "a likelihood that does not exist": (
        ROWS, 'likelihood = "marginal"\n' + STUDY, "SpecError", "'marginal'", "'conditional'",
    ),
    "a flat prior that rows do not determine": (
        small_csv(measured=2), STUDY + '[prior]\nkind = "flat"\n', "SamplingError",
        r"'exp': 1 rows together with \['sim'\] of rank 1, 2 short of 3", "a proper prior",
    ),
    "two values of a descriptor, one of them missing, under joint": (
        every("x", "0.5").replace("0.5", "", 1),
        ('likelihood = "joint"\n' + STUDY).replace("degree = 2", "degree = 1")
        + '[prior]\nkind = "lkj"\n',
        "DesignError", "0.5 in all", "'x' that varies",
    ),
    "a rule that does not exist": (
        ROWS, STUDY + '[rules]\nexp = "best"\n', "StudyError", "'best'", "'log_ei'",
    ),
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.csv").write_text(ROWS)
    return tmp_path


def fit(files, *options):
    study, out = files / "study.toml", files / "out"
    return call("fit", files / "rows.csv", "--study", study, "--out", out, *options)


def forbid_sampling(monkeypatch):
    def refuse(spec):
        raise AssertionError("the sampler was reached")

    monkeypatch.setattr(run, "Sampler", refuse)


def assert_one_error(err, kind, got, wanted):
    """The error is the last thing said: its kind and four lines, no traceback."""
    lines = [line for line in err.split("\n") if line and not line.startswith("...")]
    assert [line.split()[0] for line in lines] == [kind, "expected", "got", "cause", "to"], err
    assert re.search(got, lines[2]), err
    assert re.search(wanted, lines[1] + lines[4]), err


@pytest.mark.parametrize("name", MUST_FAIL)
def test_rows_and_studies(name, files, monkeypatch):
    rows, study, kind, got, wanted = MUST_FAIL[name]
    forbid_sampling(monkeypatch)
    (files / "rows.csv").write_text(rows)
    (files / "study.toml").write_text(study)
    before = content(files)
    code, out, err = fit(files)
    assert (code, out) == (2, "")
    assert_one_error(err, kind, got, wanted)
    assert content(files) == before


def test_an_output_folder_that_exists(files, monkeypatch):
    forbid_sampling(monkeypatch)
    (files / "out").mkdir()
    (files / "out/notes.txt").write_text("mine")
    before = content(files)
    for options in ((), ("--overwrite",)):
        code, out, err = fit(files, *options)
        assert (code, out) == (2, "")
        assert_one_error(err, "StudyError", "out', which exists", "choose another --out")
        assert content(files) == before


# name: (candidates, kind of error, what was got, what is expected)
BAD_CANDIDATES = {
    "without a descriptor": ("z\n1\n", "TableError", "'z'", "one column 'x'"),
    "with text": ("x\n0.1\nhalf\n", "TableError", "'half' in line 3 of at.csv", "'x'"),
    "with an infinite value": ("x\ninf\n", "TableError", "'inf' in line 2", "finite"),
    "with a gap": ("x,sim\n0.1,\n,1\n", "CandidateError", "line 3 of at.csv", "'x' for every"),
}


@pytest.mark.parametrize("verb", ["predict", "propose"])
@pytest.mark.parametrize("name", BAD_CANDIDATES)
def test_candidates(name, verb, files, monkeypatch):
    text, kind, got, wanted = BAD_CANDIDATES[name]
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    assert fit(files, "--folds", "0")[0] == 0
    (files / "at.csv").write_text(text)
    before = content(files)
    code, out, err = call(verb, files / "out", "--at", files / "at.csv", "--out", files / "n.csv")
    assert (code, out) == (2, "")
    assert_one_error(err, kind, got, wanted)
    assert content(files) == before


# name: (rows, what is noted)
ALLOWED = {
    "a target with no value at all": (
        every("exp", "").replace("s13,0.9286,", "s13,0.9286,1"),
        "note: target 'exp' has no value yet",
    ),
    "a row without any target": (ROWS + "s99,0.3,,\n", "note: 1 of 16 rows have no target"),
    "duplicate rows": (ROWS + "\n".join(LINES[5:8]) + "\n", ""),
    "missing values written as NA": (cell(8, "sim", "NA"), ""),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed(name, files, monkeypatch):
    rows, note = ALLOWED[name]
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    (files / "rows.csv").write_text(rows)
    code, out, err = fit(files, "--folds", "0")
    assert code == 0, err
    assert out.startswith("Small: ")
    notes = [line for line in err.split("\n") if line.startswith("note") and "wanted" not in line]
    assert len(notes) == bool(note)
    assert note in err


def statistics():
    """Statistics of five rows under two designs, and of two of these rows."""
    x = np.linspace(0, 1, 5)[:, None]
    table = Table(["x"], ["sim", "exp"], x, np.hstack([x, x**2]))
    wide = Table(["x"], ["sim", "exp"], 2 * x, table.y)
    designs = [Design.from_table(t, Polynomial(degree=1)) for t in (table, wide)]
    one, two = (PatternStats.from_table(table, design) for design in designs)
    return one, two, PatternStats.from_table(table.rows([0, 1]), designs[0])


def test_statistics_of_two_designs():
    one, two, _ = statistics()
    for combine in (one.__add__, one.__sub__):
        with pytest.raises(StatisticsError, match="designs that differ in bounds"):
            combine(two)


def test_more_removed_than_there_is():
    one, _, part = statistics()
    left = one - part
    assert left.n_rows == 3
    with pytest.raises(StatisticsError, match="take away 5 rows from 3"):
        left - one
    with pytest.raises(StatisticsError, match="rows that are not among those"):
        left - part


def test_corrections_everywhere_and_no_shared_row_are_allowed_and_said(rng):
    x = rng.uniform(size=(12, 1))
    y = rng.normal(size=(12, 2))
    y[:6, 0] = y[6:, 1] = np.nan
    table = Table(["x"], ["sim", "exp"], x, y)
    design = Design.from_table(table, Polynomial(degree=1), {"exp": ["1", "x"]})
    stats = PatternStats.from_table(table, design)
    with pytest.warns(Notice, match="linkage of 'exp' to 'sim' is not identified"):
        build_model(JointGaussian(design), stats)
    fewer = Design.from_table(table, Polynomial(degree=1), {"exp": ["1"]})
    build_model(JointGaussian(fewer), PatternStats.from_table(table, fewer))  # no notice: an error
