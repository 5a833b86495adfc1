"""The command from a CSV file to proposals; errors are printed, and nothing is left behind."""

import pandas as pd
import pytest
from fakes import STUDY, FakeSampler, call, content, make_idata, small_csv

from claude_pymc import run


class Unhealthy(FakeSampler):
    """Draws of which one diverged."""

    def draw(self, stats, **options):
        found = make_idata(self.spec)
        found["sample_stats"].dataset["diverging"].to_numpy()[0, 0] = True
        return found


@pytest.fixture
def files(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.csv").write_text(small_csv())
    return tmp_path


def fit(files, *options):
    out = files / "out"
    study = files / "study.toml"
    return call("fit", files / "rows.csv", "--study", study, "--out", out, *options)


@pytest.fixture
def fitted(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    code, _, err = fit(files, "--folds", "0")
    assert code == 0, err
    return files


def test_from_rows_to_proposals_with_the_real_sampler(files):
    allow = "--allow-failed"
    code, out, err = fit(files, "--draws", "400", "--folds", "0", "--seed", "3", allow)
    assert code == 0, err
    assert out.startswith("Small: 15 rows, 14 of sim, 11 of exp\n")
    for part in (
        "passed  draws 4 of 4",
        "exp = c * sim + R(1) + noise",
        "Linkage of exp",
    ):
        assert part in out
    assert "Predicted exp [eV] where it was not measured\n" in out
    assert "Aim: maximize exp; best of 11 measured values" in out
    assert "... sampling the posterior" in err
    folder = files / "out"
    assert (folder / "study.toml").read_text() == STUDY
    # The experiment is the simulation plus 0.5: rows with a simulation are predicted well.
    frame = pd.read_csv(folder / "predictions.csv").head(4)
    assert (frame["exp_mean"] - frame["sim"] - 0.5).abs().max() < 0.1
    assert frame["exp_std"].max() < 0.3
    new = files / "new.csv"
    assert call("predict", folder, "--out", new, "--seed", "3", allow)[0] == 0
    assert new.read_bytes() == (folder / "predictions.csv").read_bytes()
    again = files / "again.csv"
    assert call("propose", folder, "--out", again, "--seed", "3", allow)[0] == 0
    assert again.read_bytes() == (folder / "proposals.csv").read_bytes()


def test_what_is_written(fitted):
    names = set(content(fitted)) - {"study.toml", "rows.csv"}
    assert names == {"out"} | {
        f"out/{name}"
        for name in "checks.csv draws.nc parameters.png predictions.csv proposals.csv ranks.png "
        "rows.csv run.json spec.json study.toml".split()
    }


def test_cross_validation_is_reported(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    code, out, _ = fit(files, "--folds", "3")
    assert code == 0
    assert "Predicting 11 measured values of exp that were hidden" in out
    assert "root mean square error of exp [eV]: " in out
    assert (files / "out/validation.csv").is_file()
    assert (files / "out/predictions.png").is_file()


def test_a_failed_check_is_said_before_any_number(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", Unhealthy)
    code, out, _ = fit(files, "--folds", "0")
    assert code == 1
    assert out.split("\n")[2].startswith("DO NOT TRUST THESE NUMBERS")
    assert out.split("\n")[3].startswith("FAILED  divergences: 1 of 1000")
    assert out.endswith("its checks: exit code 1 (--allow-failed makes it 0).\n")
    for verb in ("predict", "propose"):
        code, out, _ = call(verb, files / "out", "--out", files / f"{verb}.csv")
        assert code == 1
        assert out.startswith("DO NOT TRUST THESE NUMBERS")
        assert out.endswith("its checks: exit code 1 (--allow-failed makes it 0).\n")
        assert len(pd.read_csv(files / f"{verb}.csv"))  # written all the same


def test_a_failed_check_may_be_allowed(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", Unhealthy)
    code, out, _ = fit(files, "--folds", "2", "--allow-failed")
    assert code == 0
    assert out.endswith("its checks: exit code 0 (as --allow-failed asks).\n")
    # Folds count from one, and a failure is called so once.
    for fold in (1, 2):
        assert f"\nPredicting hidden rows, fold {fold}: FAILED  divergences: 1 of 1000" in out
    assert max(line.count("FAILED") for line in out.split("\n")) == 1
    for verb in ("predict", "propose"):
        assert call(verb, files / "out", "--allow-failed")[0] == 0
    code = call("demo", "--study", "toy_pair", "--out", files / "demo", "--allow-failed")[0]
    assert code == 0
    assert call("demo", "--study", "toy_pair", "--out", files / "demo2")[0] == 1


def test_too_few_values_for_cross_validation_are_counted(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    (files / "rows.csv").write_text(small_csv(measured=5))
    for folds, least in (("2", 10), ("12", 12)):
        _, out, _ = fit(files, "--folds", folds, "--overwrite")
        assert f"5 measured values of exp are too few, at least {least} are needed" in out


def test_an_existing_table_is_replaced_only_if_asked(fitted):
    for verb in ("predict", "propose"):
        out = fitted / "p.csv"
        out.write_text("mine")
        code, _, err = call(verb, fitted / "out", "--out", out)
        assert (code, out.read_text()) == (2, "mine")
        assert "add --overwrite" in err
        assert call(verb, fitted / "out", "--out", out, "--overwrite")[0] == 0
        assert len(pd.read_csv(out))


def test_an_existing_folder_is_not_touched(fitted):
    before = content(fitted)
    code, out, err = fit(fitted)
    assert (code, out) == (2, "")
    assert "out', which exists" in err
    assert "--overwrite" in err
    assert content(fitted) == before


def test_overwrite_replaces_a_fit_and_nothing_else(fitted):
    (fitted / "out/validation.csv").write_text("of the earlier fit")
    assert fit(fitted, "--folds", "0", "--overwrite")[0] == 0
    assert not (fitted / "out/validation.csv").exists()
    (fitted / "out/draws.nc").unlink()
    before = content(fitted)
    code, _, err = fit(fitted, "--folds", "0", "--overwrite")
    assert code == 2
    assert "is not a fit" in err
    assert content(fitted) == before


def test_the_disk_fills_while_writing(files, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(run, "plot_ranks", full)
    before = content(files)
    code, _, err = fit(files, "--folds", "0")
    assert code == 2
    assert "no space left" in err
    assert "Traceback" not in err
    assert content(files) == before


def test_predict_at_candidates(fitted):
    at = fitted / "at.csv"
    at.write_text("name,x,sim\nnew1,0.25,\nnew2,0.5,1.0\n")
    code, out, err = call("predict", fitted / "out", "--at", at, "--out", fitted / "p.csv")
    assert code == 0, err
    frame = pd.read_csv(fitted / "p.csv")
    assert frame["label"].tolist() == ["new1", "new2"]
    assert frame["sim_std"][1] == 0.0 < frame["sim_std"][0]
    assert frame["exp_lower90"][0] < frame["exp_mean"][0] < frame["exp_upper90"][0]
    assert "new2" in out
    mean = call("predict", fitted / "out", "--at", at, "--out", fitted / "m.csv", "--kind", "mean")
    assert mean[0] == 0
    assert "with noise" in out and "noise-free" not in out
    assert "noise-free" in mean[1] and "with noise" not in mean[1]
    assert pd.read_csv(fitted / "m.csv")["exp_std"][0] < frame["exp_std"][0]


def test_extrapolation_is_said(fitted):
    at = fitted / "at.csv"
    at.write_text("x\n0.25\n1.5\n-0.2\n")
    for verb in ("predict", "propose"):
        code, _, err = call(verb, fitted / "out", "--at", at)
        assert code == 0
        assert err.count("note: 2 of 3 candidates outside the bounds of the design") == 1
        assert "farthest 'x' = 1.5 beyond 0 .. 1" in err


def test_propose_at_candidates(fitted):
    at = fitted / "at.csv"
    at.write_text("x\n0.25\n0.5\n0.5\n0.0714\n")
    out = fitted / "p.csv"
    want = ("--want", "exp=9", "--want", "sim=1")
    code, text, err = call("propose", fitted / "out", "--at", at, "--out", out, *want)
    assert code == 0, err
    frame = pd.read_csv(out)
    # At 0.5 both were measured, at 0.0714 the simulation.
    assert frame["target"].tolist() == ["exp", "exp", "sim"]
    assert sorted(frame["x"][:2]) == [0.0714, 0.25]
    assert frame["x"][2] == 0.25
    assert "best of 11 measured values" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("propose", "OUT", "--want", "exp"), "TARGET=NUMBER"),
        (("propose", "OUT", "--want", "exp=-1"), "TARGET=NUMBER"),
        (("propose", "OUT", "--want", "expp=1"), "'expp'"),
        (("propose", "OUT", "--want", "exp=0"), "at least one proposal"),
        (("predict", "OUT", "--kind", "median"), "median"),
        (("predict", "OUT", "--out", "rows.csv"), "rows.csv exists"),
        (("propose", "OUT", "--out", "rows.csv"), "rows.csv exists"),
        (("predict", "OUT", "--out", "absent/p.csv"), "no folder 'absent'"),
        (("predict", "absent"), "folder written by `claude-pymc fit`"),
        (("predict", "OUT", "--at", "absent.csv"), "no such file"),
        (("fit", "rows.csv", "--study", "study.toml", "--out", "n", "--folds", "1"), "at least 2"),
        (("fit", "rows.csv", "--study", "study.toml", "--out", "n", "--draws", "2"), "x>=4"),
        (("fit", "rows.csv", "--study", "study.toml", "--out", "rows.csv/n"), "is a file"),
        (("fit", "rows.csv", "--study", "absent.toml", "--out", "n"), "no such file"),
        (("fit", "absent.csv", "--study", "study.toml", "--out", "n"), "no such file"),
        (("fit", "rows.csv", "--study", "study.toml"), "--out"),
        (("demo", "--study", "toy_pear", "--out", "n"), "'toy_pair'"),
        (("fti",), "fti"),
    ],
)
def test_errors_are_printed_and_change_nothing(fitted, monkeypatch, arguments, word):
    monkeypatch.setattr(run, "Sampler", None)
    monkeypatch.chdir(fitted)
    before = content(fitted)
    code, out, err = call(*["out" if a == "OUT" else a for a in arguments])
    assert (code, out) == (2, "")
    assert word in err
    assert "Traceback" not in err
    assert content(fitted) == before


def test_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    monkeypatch.chdir(tmp_path)
    code, out, err = call("demo", "--study", "toy_pair")
    assert code == 0, err
    assert out.startswith("Toy pair of the paper: 15 rows")
    assert (tmp_path / "claude-pymc-demo/draws.nc").is_file()


def test_help_and_version():
    assert call("--version")[1].startswith("claude-pymc, version ")
    code, out, _ = call("fit", "-h")
    assert code == 0
    assert "--study" in out
    assert "--allow-failed" in out
    assert "1 if the draws failed their checks" in " ".join(call("--help")[1].split())
