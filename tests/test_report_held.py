"""The page of a report, line by line: what breaks of single lines had shown no test to see."""

import dataclasses
import json
import re
import shutil

import pandas as pd
import pytest
from check_cases import healthy
from fakes import make_idata, make_spec

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior


def test_a_page_that_appears_meanwhile_stays(tmp_path):
    page = tmp_path / "page.html"

    def another(name):
        if name == "writing the page":
            page.write_text("of somebody else")

    with pytest.raises(cp.StudyError, match="a file that exists"):
        cp.report(make_idata(make_spec(2), draws=100), page, stage=another)
    assert page.read_text() == "of somebody else" and list(tmp_path.iterdir()) == [page]


def test_a_picture_that_is_refused_is_a_sentence(tmp_path, monkeypatch):
    def refused(*_):
        raise cp.CandidateError("a line", "nothing to draw", "a bare model", "add a term")

    monkeypatch.setattr("claude_pymc.review.page.plot_precision", refused)
    cp.report(make_idata(make_spec(2), draws=100), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<p>No picture: nothing to draw (a bare model).</p>" in page
    assert page.count("<img ") >= 3


@pytest.fixture(scope="module")
def elements(tmp_path_factory):
    from fakes import call

    folder = tmp_path_factory.mktemp("report") / "elements"
    assert call("demo", "--out", folder)[0] == 0
    return folder


def test_figures_stand_in_the_order_of_the_sections(elements):
    page = (elements / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<dt>(.*?)</dt>", page) == [
        *(f"values of {t}" for t in ("bulk_modulus_sim", "volume_sim", "volume_exp")),
        "checks passed",
        "error of hidden volume_exp",
        "90 % intervals that hold",
    ]


def test_every_check_says_what_it_asks(elements):
    from claude_pymc.review.page import ASKS

    page = (elements / "report.html").read_text(encoding="utf-8")
    names = pd.read_csv(elements / "checks.csv")["name"]
    for name in names:
        (text,) = (text for start, text in ASKS.items() if name.startswith(start))
        assert f"<td>{name}<small>{text}</small></td>" in page


def test_intervals_of_proposals_and_of_hidden_rows(elements, tmp_path):
    from fakes import call
    from test_report import cells

    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    about = json.loads((folder / "run.json").read_text())
    about["prob"] = 0.5
    (folder / "run.json").write_text(json.dumps(about))
    assert call("report", folder, "--overwrite")[0] == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<dt>50 % intervals that hold</dt>" in page
    proposed = pd.read_csv(folder / "proposals.csv")
    ends = [row[-2] for row in cells(page, "What to measure next")]
    assert ends == [
        f"{a:.4g} to {b:.4g}" for a, b in zip(proposed["lower90"], proposed["upper90"], strict=True)
    ]


def test_candidates_of_the_study_are_judged(elements, tmp_path):
    from fakes import call

    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    with (folder / "study.toml").open("a") as file:
        file.write(
            "\n[candidates]\nelectronegativity_filled = [1.0, 2.0, 5]\n"
            "covalent_radius = [0.9, 3.0, 4]\n"
        )
    code, _, err = call("report", folder, "--overwrite")
    assert code == 0, err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<td>extrapolation, candidates<" in page and "of 20 beyond the measured rows" in page


def test_a_column_that_is_nearly_a_target_is_said(elements, tmp_path):
    from fakes import call

    at = tmp_path / "at.csv"
    at.write_text("electronegativity_filled,covalent_radius,volum_sim\n1.5,1.2,20.0\n")
    code, out, err = call("predict", elements, "--at", at)
    assert code == 0
    assert "column 'volum_sim' of at.csv is not used: did you mean 'volume_sim'?" in out + err


@pytest.mark.filterwarnings("ignore:.*no target:claude_pymc.errors.Notice")
def test_folds_that_failed_are_written(tmp_path, monkeypatch):
    from fakes import STUDY, FakeSampler, small_csv

    from claude_pymc import run

    monkeypatch.setattr(run, "Sampler", FakeSampler)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "rows.csv").write_text(small_csv())
    study = cp.Study.from_toml(tmp_path / "study.toml")
    result = run.fit(study, study.table(tmp_path / "rows.csv"))
    failed = ("fold 2: FAILED  k-hat: 0.9",)
    hidden = dataclasses.replace(result.validation, failed=failed, prob=0.8)
    with run.new_folder(tmp_path / "out") as folder:
        run.write(dataclasses.replace(result, validation=hidden), folder, STUDY)
    about = json.loads((tmp_path / "out/run.json").read_text())
    assert about["failed_folds"] == list(failed) and about["prob"] == 0.8


def test_candidates_of_a_report_are_those_that_are_judged(tmp_path):
    post, table, at = healthy("cubic", 0)
    found = cp.report(post, tmp_path / "page.html", table, candidates=at)
    assert "extrapolation, candidates" in {c.name for c in found.checks}
    assert len(found.shares) == len(at) == 40


def test_a_report_of_draws_that_failed_ends_with_one(elements, tmp_path):
    from fakes import call

    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    post = JointPosterior.load(folder / "draws.nc")
    post.idata.load()
    post.idata.attrs["k_hat"] = 0.9
    post.idata.close()
    (folder / "draws.nc").unlink()
    post.save(folder / "draws.nc")
    code, out, err = call("report", folder, "--overwrite")
    assert code == 1, err
    assert "exit code 1 (--allow-failed makes it 0)" in out
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "DO NOT TRUST THESE NUMBERS YET" in page
    assert call("report", folder, "--overwrite", "--allow-failed")[0] == 0
