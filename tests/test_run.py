"""From rows to a folder that reloads, with a stand-in for the sampler."""

import json

import numpy as np
import pandas as pd
import pytest
from fakes import STUDY, FakeSampler, content, small_csv

from claude_pymc import run
from claude_pymc.errors import StudyError
from claude_pymc.study import Study

FILES = "checks.csv draws.nc parameters.png predictions.csv predictions.png proposals.csv"
FILES = f"{FILES} ranks.png rows.csv run.json spec.json study.toml validation.csv".split()

# A hidden row without a simulation has no target left, and is rightly of no use to the fit.
pytestmark = pytest.mark.filterwarnings("ignore:.*no target:claude_pymc.errors.Notice")


@pytest.fixture(autouse=True)
def no_compilation(monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.csv").write_text(small_csv())
    return Study.from_toml(tmp_path / "study.toml")


@pytest.fixture
def table(study, tmp_path):
    return study.table(tmp_path / "rows.csv")


def test_stages_are_told_in_order(study, table):
    stages = []
    result = run.fit(study, table, folds=3, stage=stages.append)
    assert [s.split(" (")[0] for s in stages] == [
        "sampling the posterior",
        "checking draws, model, prior and linkage",
        *(f"predicting hidden rows, part {i} of 3" for i in (1, 2, 3)),
        "predicting and proposing",
    ]
    assert len(result.validation.frame) == 11
    assert result.checks.sampled
    assert result.notices == ()


@pytest.mark.filterwarnings("ignore:only 0 of 1 wanted:claude_pymc.errors.Notice")
def test_validation_needs_ten_measured_values(study, table):
    assert run.fit(study, table, folds=0).validation is None
    fewer = table.without("exp", [13, 14])
    assert fewer.counts["exp"] == 9
    assert run.fit(study, fewer.rows(slice(0, 13))).validation is None


def test_predictions_keep_what_was_measured(study, table):
    frame = run.fit(study, table, folds=0).predictions
    assert list(frame)[:4] == ["label", "x", "sim", "exp"]
    assert frame["label"].tolist() == list(table.labels)
    measured = frame["exp"].notna()
    assert measured.sum() == 11
    for name in ("exp_mean", "exp_lower90", "exp_upper90"):
        np.testing.assert_allclose(frame.loc[measured, name], frame.loc[measured, "exp"])
    assert (frame.loc[measured, "exp_std"] < 1e-12).all()
    assert (frame.loc[~measured, "exp_std"] > 0.01).all()
    assert (frame.loc[~measured, "exp_lower90"] < frame.loc[~measured, "exp_mean"]).all()


def test_proposals_are_of_rows_without_a_value(study, table):
    found = run.fit(study, table, folds=0).proposals
    assert found["target"].tolist() == ["exp", "sim"]  # one simulation is all that lacks
    assert found["label"][0] in {"s00", "s01", "s02", "s03"}
    assert found["label"][1] == "s13"


@pytest.mark.filterwarnings("ignore:only 0 of 1 wanted:claude_pymc.errors.Notice")
def test_nothing_left_to_propose_is_a_notice(study, table):
    y = np.where(np.isfinite(table.y), table.y, 1.0)
    full = type(table)(table.descriptors, table.targets, table.x, y, table.labels)
    result = run.fit(study, full, folds=0)
    assert result.proposals is None
    assert result.notices[0].startswith("Nothing proposed: nothing left for ['exp', 'sim']")


def test_a_fit_reloads(study, table, tmp_path):
    result = run.fit(study, table)
    with run.new_folder(tmp_path / "out") as folder:
        assert run.write(result, folder, STUDY) == FILES
    again_study, again_table, post = run.load(tmp_path / "out")
    assert again_study == study
    assert again_table.digest == table.digest
    assert (again_table.labels, again_table.units) == (table.labels, table.units)
    frame = run.predict_table(post, again_table, seed=0)
    pd.testing.assert_frame_equal(frame, result.predictions)
    found = run.propose_for(again_study, post, again_table, again_study.wants, seed=0)
    pd.testing.assert_frame_equal(found, result.proposals)
    about = json.loads((tmp_path / "out/run.json").read_text())
    assert about["table_hash"] == table.digest
    assert about["versions"] == {"pymc": "6"}
    assert "spec" not in about
    checks = pd.read_csv(tmp_path / "out/checks.csv")
    assert len(checks) == len(result.checks.checks)
    assert checks["passed"][checks["about"] == "draws"].all()
    written = pd.read_csv(tmp_path / "out/predictions.csv")
    np.testing.assert_allclose(written["exp_mean"], result.predictions["exp_mean"], rtol=1e-5)


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), run.new_folder(tmp_path / "a/out") as folder:
        (folder / "part").write_text("half")
        assert not (tmp_path / "a/out").exists()
        raise RuntimeError
    assert content(tmp_path) == {}
    with run.new_folder(tmp_path / "a/out") as folder:
        (folder / "part").write_text("whole")
    assert content(tmp_path / "a") == {"out": None, "out/part": b"whole"}


@pytest.mark.parametrize(
    ("files", "overwrite", "fine"),
    [
        ({"draws.nc": "x", "validation.csv": "x"}, True, True),
        ({"draws.nc": "x", "thesis.tex": "x"}, True, False),
        ({"draws.nc": "x"}, False, False),
        ({"thesis.tex": "x"}, True, False),
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_only_a_fit_is_overwritten_and_only_if_asked(tmp_path, files, overwrite, fine):
    out = tmp_path / "out"
    out.mkdir()
    for name, text in files.items():
        (out / name).write_text(text)
    before = content(tmp_path)
    if fine:
        with run.new_folder(out, overwrite) as folder:
            (folder / "new").write_text("n")
        assert content(tmp_path) == {"out": None, "out/new": b"n"}
    else:
        with pytest.raises(StudyError, match=r"out', which exists|other files in 'out'"):
            with run.new_folder(out, overwrite):
                raise AssertionError("reached")
        assert content(tmp_path) == before


def test_a_failed_run_leaves_the_earlier_fit(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "draws.nc").write_text("earlier")
    before = content(tmp_path)
    with pytest.raises(RuntimeError), run.new_folder(out, overwrite=True):
        raise RuntimeError
    assert content(tmp_path) == before


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match="file', which exists and is not a fit"):
        run.check_folder(tmp_path / "file", overwrite=True)
    with pytest.raises(StudyError, match="'file' is a file"):
        run.check_folder(tmp_path / "file/deep/out", overwrite=False)


def test_loading_something_else(tmp_path):
    with pytest.raises(StudyError, match=r"with draws\.nc"):
        run.load(tmp_path)
