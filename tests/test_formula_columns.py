"""A study whose descriptors are formulas: from a file to predictions elsewhere."""

import numpy as np
import pandas as pd
import pytest
from fakes import FakeSampler, call

import claude_pymc as cp
from claude_pymc import run
from claude_pymc.errors import StudyError, TableError
from claude_pymc.tables.formula_columns import FormulaColumn, telling

STUDY = """title = "Salts"
[data]
targets = ["sim", "exp"]
[descriptors]
formula = "salt"
properties = ["Number", "Electronegativity"]
[corrections]
exp = ["1"]
"""
SALTS = "NaN NaCl NaBr NaI KCl KBr KI LiF LiCl LiBr LiI RbCl RbBr RbI CsCl CsBr CsI".split()


def rows(separator=","):
    lines = [separator.join(["salt", "sim", "exp"])]
    for i, salt in enumerate(SALTS):
        point = "," if separator == ";" else "."
        values = [salt, f"{1 + 0.1 * i:g}".replace(".", point), "" if i > 12 else f"{i}"]
        lines.append(separator.join(values))
    return "\n".join(lines) + "\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.csv").write_text(rows())
    return tmp_path


def test_columns_that_tell_rows_apart(rng):
    x = rng.normal(size=(9, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame = frame.assign(same=x[:, 0], turned=3 - 2 * x[:, 1], fixed=1e-9, near=x[:, 2] + 1e-3)
    assert telling(frame) == ("a", "b", "c")
    frame["near"] = x[:, 2] + 1e-3 * x[:, 0]
    assert telling(frame) == ("a", "b", "c", "near")
    assert telling(frame[:0]) == telling(frame[:1]) == ()


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_of_formulas(files, separator):
    (files / "rows.csv").write_text(rows(separator))
    study = cp.Study.from_toml(files / "study.toml")
    table = study.table(files / "rows.csv")
    assert table.labels == tuple(SALTS)  # sodium nitride is there
    names = FormulaColumn("salt", ("Number", "Electronegativity")).names
    assert len(names) == 12
    # Two elements of equal share: the mean, the mean deviation and the mode follow from the ends.
    assert set(table.descriptors) < set(names)
    expected = cp.formula_descriptors(SALTS)[list(table.descriptors)]
    np.testing.assert_array_equal(table.x, expected)
    assert table.y[1, 0] == 1.1
    assert study.spec(table).design.terms == ("1", *table.descriptors)


def test_other_descriptors_and_labels_beside_a_formula(tmp_path):
    text = STUDY.replace("[descriptors]", 'descriptors = ["T"]\nlabels = "n"\n[descriptors]')
    (tmp_path / "s.toml").write_text(text.replace("[corr", "[units]\nmean_Number = 'e'\n[corr"))
    body = rows().split("\n")
    lines = [f"{line},{'T' if i == 0 else i},{'n' if i == 0 else f's{i}'}"
             for i, line in enumerate(body) if line]  # fmt: skip
    (tmp_path / "r.csv").write_text("\n".join(lines))
    study = cp.Study.from_toml(tmp_path / "s.toml")
    table = study.table(tmp_path / "r.csv")
    assert (table.descriptors[0], table.labels[0]) == ("T", "s1")
    # The rows of a fit have no formulas then, but the columns.
    table.to_frame().rename(columns={"label": "n"}).to_csv(tmp_path / "again.csv", index=False)
    assert study.table(tmp_path / "again.csv").digest == table.digest


def test_from_rows_to_predictions_of_other_formulas(files):
    code, out, err = call("fit", files / "rows.csv", "--study", files / "study.toml",
                          "--out", files / "out", "--folds", "0")  # fmt: skip
    assert code == 0, out + err
    _, table, post = run.load(files / "out")
    study = cp.Study.from_toml(files / "study.toml")
    assert table.digest == study.table(files / "rows.csv").digest
    assert pd.read_csv(files / "out/rows.csv", keep_default_na=False)["salt"].tolist() == SALTS
    (files / "at.csv").write_text("salt,sim\nNaF,2\nK2O,\n")
    code, out, err = call("predict", files / "out", "--at", files / "at.csv", "--out",
                          files / "found.csv")  # fmt: skip
    assert code == 0, out + err
    found = pd.read_csv(files / "found.csv")
    assert found["label"].tolist() == ["NaF", "K2O"]
    expected = cp.formula_descriptors(["NaF", "K2O"])[list(post.descriptors)]
    np.testing.assert_allclose(found[list(post.descriptors)], expected, rtol=1e-5)
    (files / "at.csv").write_text("salt\nNaF\nNaf\n")
    code, _, err = call("predict", files / "out", "--at", files / "at.csv")
    assert code == 2
    assert "'Naf' in line 3 of at.csv, at character 3 ('f')" in err


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ('"salt"', "3", StudyError, r"a column name for formula in \[descriptors\]"),
        ('formula = "salt"', "", StudyError, r"a column name for formula in \[descriptors\]"),
        ('["Number", ', '["Nummer", ', TableError, "did you mean 'Number'"),
        ('["Number", ', "[1, ", StudyError, "a list of names for properties"),
        ("properties", "property", StudyError, "did you mean 'properties'"),
        ("[corrections]", "[bounds]\nmean_number = [0, 1]\n[c]", StudyError, "'mean_Number'"),
        ('[data]\n', '[data]\ndescriptors = "T"\n', StudyError, "a list of column names"),
    ],
)  # fmt: skip
def test_what_a_study_cannot_say_of_formulas(tmp_path, old, new, error, says):
    (tmp_path / "s.toml").write_text(STUDY.replace(old, new).replace("[c]", "[corrections]"))
    with pytest.raises(error, match=says):
        cp.Study.from_toml(tmp_path / "s.toml")


def test_formulas_make_no_mesh(files):
    (files / "study.toml").write_text(STUDY + "[candidates]\nmean_Number = [1, 2, 3]\n")
    study = cp.Study.from_toml(files / "study.toml")
    with pytest.raises(StudyError, match="a mesh needs all descriptors, and formulas make none"):
        study.pool(study.table(files / "rows.csv"))


def test_a_file_without_formulas(files):
    (files / "rows.csv").write_text("salz,sim,exp\nNaCl,1,2\n")
    study = cp.Study.from_toml(files / "study.toml")
    with pytest.raises(TableError, match=r"one column 'salt'(.|\n)*did you mean 'salz'"):
        study.table(files / "rows.csv")
    (files / "rows.csv").write_text("salt,sim,exp\nNaCl,1,2\n,1,2\n")
    with pytest.raises(TableError, match=r"'' in line 3 of rows\.csv\n +cause an empty cell"):
        study.table(files / "rows.csv")


@pytest.mark.filterwarnings("ignore::claude_pymc.errors.Notice")
def test_the_shipped_study_has_more_coefficients_than_measured_values():
    study = cp.Study.named("binary_bandgap_formula")
    table = study.table()
    spec = study.spec(table)
    assert len(table.descriptors) == 118
    assert len(spec.columns.entries) == 238 > table.counts["y_exp"] == 216
