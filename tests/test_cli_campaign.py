"""A campaign from the command line, with the CSV files that go back and forth."""

import pandas as pd
import pytest
from fakes import call as run_command

from claude_pymc.datasets import shipped

STUDY = """
title = "A line"

[data]
descriptors = ["x"]
targets = ["sim", "exp"]

[units]
exp = "eV"

[basis]
degree = 2

[corrections]
exp = ["1"]

[objective]
maximize = "exp"

[wants]
exp = 1
sim = 2

[candidates]
x = [0.0, 1.0, 21]
"""


def shipped_path(name):
    return str(shipped("models", name, ".toml"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "data.csv").write_text("x,sim,exp\n0.0,0.1,\n0.5,0.6,0.9\n1.0,0.2,0.4\n0.25,0.5,\n")
    return tmp_path


def call(*words):
    code, out, err = run_command("campaign", *words)
    return code, out + err


def begun():
    return call("new", "a.db", "--study", "study.toml", "--data", "data.csv")


def test_a_campaign(folder):
    code, out = begun()
    assert code == 0 and "values known: 4 of sim, 2 of exp" in out
    code, out = call("ask", "a.db", "--out", "next.csv")
    assert code == 0 and "campaign tell a.db" in out and "improvement" in out
    asked = pd.read_csv("next.csv")
    assert asked["target"].tolist() == ["exp", "sim", "sim"]
    assert asked["value"].isna().all() and asked["proposal"].tolist() == [1, 2, 3]
    code, out = call("status", "a.db")
    assert "exp [eV]: 2 measured; 1 proposals open" in out and "Waiting for a result" in out

    lines = (folder / "next.csv").read_text().splitlines()
    (folder / "next.csv").write_text(
        "\n".join([lines[0], lines[1] + "1.25", lines[2], lines[3] + "failed"])
    )
    code, out = call("tell", "a.db", "next.csv")
    assert code == 0 and "1 accepted, 1 failed" in out
    assert "0 accepted, 2 known before" in call("tell", "a.db", "next.csv")[1]
    assert "best measured 1.25 [eV], observation" in call("status", "a.db", "--picture", "p.png")[1]
    assert (folder / "p.png").read_bytes()[:4] == b"\x89PNG"

    (folder / "next.csv").write_text("\n".join([lines[0], lines[1] + "1.5"]))
    code, out = call("tell", "a.db", "next.csv")
    assert code == 2 and "told before" in out
    assert call("withdraw", "a.db", "2")[0] == 0
    code, out = call("export", "a.db", "--out", "all")
    assert code == 0
    told = pd.read_csv("all/observations.csv")
    number = int(told.loc[told["value"] == 1.25, "id"].iloc[0])
    assert call("correct", "a.db", str(number), "1.35", "--reason", "a digit")[0] == 0
    code, out = call("history", "a.db")
    for word in ("created", "told", "asked", "withdrawn", "corrected", "a digit"):
        assert word in out
    assert "best measured 1.35" in call("status", "a.db")[1]


def test_candidates_of_a_file_and_other_wants(folder):
    pd.DataFrame({"x": [0.3, 0.7], "name": ["a", "b"]}).to_csv("pool.csv", index=False)
    assert call("new", "a.db", "--study", "study.toml", "--data", "data.csv",
                "--candidates", "pool.csv")[0] == 0  # fmt: skip
    assert call("ask", "a.db", "--want", "sim=2", "--out", "next.csv")[0] == 0
    assert set(pd.read_csv("next.csv")["x"]) == {0.3, 0.7}
    code, out = call("ask", "a.db", "--want", "sim=1")
    assert code == 2 and "nothing left" in out


def test_the_model_by_evidence(folder):
    assert call("new", "a.db", "--study", "study.toml", "--data", "data.csv", "--auto")[0] == 0
    code, out = call("ask", "a.db")
    assert code == 0 and "covers the range" in out  # four rows are too few for evidence


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("ask", "nothing.db"), "no such campaign yet"),
        (("new", "data.csv", "--study", "study.toml"), "where there is no file yet"),
        (("new", "b.db", "--study", "study.toml"), "names no shipped data"),
        (("ask", "a.db", "--want", "exp"), "TARGET=NUMBER"),
        (("ask", "a.db", "--want", "expp=1"), "'expp'"),
        (("ask", "a.db", "--out", "data.csv"), "exists"),
        (("tell", "a.db", "none.csv"), "no such file"),
        (("tell", "a.db", "study.toml"), "expected"),
        (("correct", "a.db", "99", "1.0"), "99"),
        (("correct", "a.db", "1", "one"), "'one'"),
        (("withdraw", "a.db", "7"), "unknown"),
        (("export", "a.db", "--out", "."), "does not exist yet"),
    ],
)
def test_errors(folder, words, part):
    begun()
    before = sorted(p.name for p in folder.iterdir()), (folder / "a.db").read_bytes()
    code, out = call(*words)
    assert code == 2 and part in out
    assert (sorted(p.name for p in folder.iterdir()), (folder / "a.db").read_bytes()) == before


def test_rows_that_name_their_formula(folder):
    assert call("new", "f.db", "--study", shipped_path("binary_bandgap_formula"))[0] == 0
    (folder / "told.csv").write_text("formula,y_exp\nUO3,2.1\n")
    code, out = call("tell", "f.db", "told.csv")
    assert code == 2 and "is missing" in out
    study = shipped_path("binary_bandgap_formula")
    code, out = call("tell", "f.db", "told.csv", "--study", study)
    assert code == 0 and "1 accepted" in out
