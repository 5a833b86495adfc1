"""Study files: those that are shipped load, and a broken one is told what is wrong with it."""

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach
from claude_pymc.datasets import folder, load_dataset, shipped
from claude_pymc.errors import DesignError, SpecError, StudyError
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior
from claude_pymc.study import Study
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

SHIPPED = sorted(path.stem for path in folder("models").glob("*.toml"))
DATA = '[data]\ndescriptors = ["x"]\ntargets = ["sim", "exp"]\n'


def study(tmp_path, text=DATA):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return Study.from_toml(path)


def table(n=6):
    x = np.linspace(0, 1, n)[:, None]
    return Table(["x"], ["sim", "exp"], x, np.hstack([x, x + 1]))


def test_there_are_shipped_studies():
    names = "toy_pair sine_pair elements_volume binary_bandgap binary_bandgap_formula"
    assert set(names.split()) <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_make_a_model(name):
    found = Study.named(name)
    rows = found.table()
    spec = found.spec(rows)
    assert spec.design.targets == found.targets
    assert PatternStats.from_table(rows, spec.design).n_rows == len(rows)
    pool = found.pool(rows)
    frame = pool.to_frame() if isinstance(pool, Table) else pool
    assert set(found.descriptors) <= set(frame.columns)
    assert found.objective.target == found.targets[-1]
    assert found.wants[found.targets[-1]] >= 1
    assert found.title != "Untitled study"
    assert found.description


def test_shipped_data_are_read_by_name():
    assert load_dataset("toy_pair").columns.tolist() == ["x", "sim", "exp"]
    for call in (load_dataset, Study.named):
        with pytest.raises(StudyError, match=r"elements.*\n.*'toy_pear'"):
            call("toy_pear")
    with pytest.raises(StudyError, match=r"'\.\./data/elements'"):
        shipped("data", "../data/elements", ".csv")


def test_defaults(tmp_path):
    found = study(tmp_path)
    assert found.objective == Maximize("exp")
    assert found.wants == {"exp": 1}
    assert found.prior == ShrinkagePrior()
    assert found.spec(table()).design.terms == ("1", "x")
    rows = table()
    assert found.pool(rows) is rows
    with pytest.raises(StudyError, match="the study names no shipped data"):
        found.table()


def test_everything_that_can_be_said(tmp_path):
    found = study(
        tmp_path,
        'title = "All"\n' + DATA.replace('["x"]', '["x", "z"]') + 'labels = "name"\n'
        "[units]\nexp = 'eV'\nx = 'nm'\n"
        "[transforms]\nsim = 'log'\n"
        "[quantities]\nsim = 'gap'\nexp = 'energy'\n"
        "[basis]\nkind = 'polynomial'\ndegree = 2\n"
        "[corrections]\nexp = ['1', 'z']\n"
        "[bounds]\nz = [-1.0, 3]\n"
        "[prior]\nkind = 'lkj'\neta = 2.0\n"
        "[objective]\nreach = 'exp'\nvalue = 2\n"
        "[wants]\nsim = 2\n[rules]\nsim = 'covariance'\n",
    )
    (tmp_path / "rows.csv").write_text("name;x;z;sim;exp\na;0;1;2,5;3\nb;1;0;1;\nc;2;2;1;1\n")
    rows = found.table(tmp_path / "rows.csv")
    design = found.spec(rows).design
    assert rows.labels == ("a", "b", "c")
    assert rows.units == {"exp": "eV", "x": "nm"}
    assert rows.y[0].tolist() == [2.5, 3.0]
    assert design.bounds == ((0.0, 2.0), (-1.0, 3.0))
    assert design.corrections[1] == ("1", "z")
    assert design.transforms == ("log", "identity")
    assert design.quantities == ("gap", "energy")
    assert len(design.terms) == 6
    assert found.spec(rows).prior == LKJPrior(eta=2.0)
    assert found.objective == Reach("exp", 2.0)
    assert (found.wants, found.rules) == ({"sim": 2}, {"sim": "covariance"})


def test_a_mesh_of_candidates(tmp_path):
    text = DATA.replace('["x"]', '["x", "z"]') + "[candidates]\nz = [5, 6, 2]\n"
    found = study(tmp_path, text + "x = [0.0, 1.0, 3]\n")
    expected = pd.DataFrame({"x": [0, 0, 0.5, 0.5, 1, 1], "z": [5.0, 6.0] * 3})
    pd.testing.assert_frame_equal(found.pool(table()), expected)
    with pytest.raises(StudyError, match="none for 'x'"):
        study(tmp_path, text).pool(table())


@pytest.mark.parametrize(
    ("text", "objective"),
    [("maximize = 'sim'", Maximize("sim")), ("minimize = 'exp'", Minimize("exp"))],
)
def test_objectives(tmp_path, text, objective):
    assert study(tmp_path, f"{DATA}[objective]\n{text}\n").objective == objective


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("titel = 'x'\n" + DATA, "title"),
        (DATA + "[candidate]\nx = [0, 1, 3]\n", "candidates"),
        (DATA.replace("targets", "target"), "targets"),
        (DATA + "[basis]\ndegre = 2\n", "degree"),
        (DATA + "[objective]\nmaximise = 'exp'\n", "maximize"),
        (DATA + "[units]\nexpt = 'eV'\n", "exp"),
        (DATA + "[corrections]\nexpt = ['1']\n", "exp"),
        (DATA + "[wants]\nsimm = 1\n", "sim"),
        (DATA + "[bounds]\nx1 = [0, 1]\n", "x"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_known_one(tmp_path, text, near):
    with pytest.raises(StudyError, match=f"did you mean '{near}'"):
        study(tmp_path, text)


def test_a_key_of_another_basis(tmp_path):
    found = study(tmp_path, DATA + "[basis]\nkind = 'sine'\ndegree = 2\n")
    with pytest.raises(StudyError, match=r"kind sine.*\n.*'degree'"):
        found.spec(table())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("title = 'no data'", "descriptors in .data."),
        ("data = 3", "a section for data"),
        (DATA.replace('["x"]', '"x"'), "a list of column names for descriptors"),
        (DATA.replace('["x"]', "[]"), "a list of column names for descriptors"),
        (DATA.replace('["x"]', "[1]"), "a list of column names for descriptors"),
        (DATA + "labels = 3\n", "a text for labels"),
        (DATA + "file = 3\n", "a text for file"),
        ("basis = 'sine'\n" + DATA, "a section for basis"),
        ("units = ['eV']\n" + DATA, "a section for units"),
        (DATA + "[units]\nexp = 3\n", "a text for exp in .units."),
        (DATA + "[basis]\nkind = ['sine']\n", "a text for kind"),
        (DATA + "[corrections]\nexp = '1'\n", "a list of terms, or .auto. for exp"),
        (DATA + "[corrections]\nexp = [1.5]\n", "a list of terms, or .auto. for exp"),
        (DATA + "[bounds]\nx = [0, 1, 2]\n", "a list of 2 numbers for x"),
        (DATA + "[bounds]\nx = ['0', 1]\n", "a list of 2 numbers for x"),
        (DATA + "[bounds]\nx = [0, inf]\n", "a list of 2 numbers for x"),
        (DATA + "[candidates]\nx = [0, 1]\n", "a list of 3 numbers .* for x"),
        (DATA + "[candidates]\nx = [0, 1, 2.5]\n", "a list of 3 numbers .* for x"),
        (DATA + "[candidates]\nx = [0, 1, 0]\n", "a list of 3 numbers .* for x"),
        (DATA + "[wants]\nexp = 'one'\n", "a whole number for exp"),
        (DATA + "[wants]\nexp = -1\n", "a whole number for exp"),
        (DATA + "[rules]\nexp = 'logei'\n", "one of .*'log_ei'.* for exp"),
        (DATA + "[objective]\nreach = 'exp'\n", "reach with a value"),
        (DATA + "[objective]\nreach = 'exp'\nvalue = '2'\n", "a number for value"),
        (DATA + "[objective]\nmaximize = 'exp'\nvalue = 2\n", "reach with a value"),
        (DATA + "[objective]\nmaximize = 'exp'\nminimize = 'sim'\n", "two aims at once"),
        (DATA + "[objective]\nmaximize = 'x'\n", "a target among"),
        ("title = 'open\n" + DATA, "a study file in TOML"),
        (DATA + "[data]\n", "a study file in TOML"),
    ],
)
def test_what_a_study_cannot_say(tmp_path, text, word):
    with pytest.raises(StudyError, match=word) as error:
        study(tmp_path, text)
    assert len(str(error.value).split("\n")) == 4


def test_errors_of_prior_and_basis_keep_their_kind(tmp_path):
    with pytest.raises(SpecError, match="'etaa'"):
        study(tmp_path, DATA + "[prior]\nkind = 'lkj'\netaa = 1\n")
    with pytest.raises(SpecError, match="'wide'"):
        study(tmp_path, DATA + "[prior]\nkind = 'wide'\n")
    with pytest.raises(DesignError, match="'fourier'"):
        study(tmp_path, DATA + "[basis]\nkind = 'fourier'\n").spec(table())
    with pytest.raises(DesignError, match="degree as a whole number"):
        study(tmp_path, DATA + "[basis]\ndegree = '2'\n").spec(table())


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(StudyError, match=r"'absent\.toml'\n.*no such file"):
        Study.from_toml(tmp_path / "absent.toml")
    (tmp_path / "sheet.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="in TOML"):
        Study.from_toml(tmp_path / "sheet.toml")
