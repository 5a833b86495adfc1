"""The page of a fit: whole in itself, readable at any width, with words for every picture."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from check_cases import fitted, healthy, simulated
from fakes import call, make_idata, make_spec

import claude_pymc as cp
from claude_pymc import run

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def elements(tmp_path_factory):
    """The demo of the command line, and its page."""
    folder = tmp_path_factory.mktemp("report") / "elements"
    code, out, err = call("demo", "--out", folder)
    assert code == 0, out + err
    return folder


@pytest.fixture(scope="module")
def text(elements):
    return (elements / "report.html").read_text(encoding="utf-8")


def test_small_and_whole(text):
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    for part in ("Data", "Model", "Checks", "What was found", "Predictions", "Proposals"):
        assert f"<h2>{part}</h2>" in text


def test_every_picture_has_words(text):
    pictures = re.findall(r"<img [^>]*>", text)
    assert len(pictures) >= 9
    words = [re.search(r'alt="([^"]*)"', picture)[1] for picture in pictures]
    assert all(len(word) > 40 for word in words)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("width", [400, 1400])
def test_in_a_browser(browser, elements, width):
    browser.set_window_size(width, 900)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get((elements / "report.html").as_uri())
    script = "return [document.documentElement.scrollWidth, window.innerWidth]"
    wide, inner = browser.execute_script(script)
    assert inner == width
    assert wide <= width
    script = "return [...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt])"
    drawn = browser.execute_script(script)
    assert len(drawn) >= 9
    assert all(complete and alt for complete, alt in drawn)
    assert browser.get_log("browser") == []


def test_prints_without_cut_tables(browser, elements):
    browser.get((elements / "report.html").as_uri())
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    assert len(pdf) > 50_000


def test_without_javascript(browser, elements):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((elements / "report.html").as_uri())
        words = browser.find_element("tag name", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "Atomic volume of the elements" in words
    assert "How to reproduce it" in words


def test_the_script_reproduces_the_fit(elements, text, tmp_path):
    script = re.search(r"<pre[^>]*>(&#34;&#34;&#34;Fits again.*?)</pre>", text, re.S)[1]
    for coded, plain in (("&#34;", '"'), ("&#39;", "'"), ("&gt;", ">"), ("&amp;", "&")):
        script = script.replace(coded, plain)
    for name in ("study.toml", "rows.csv"):
        shutil.copy(elements / name, tmp_path)
    (tmp_path / "again.py").write_text(script + '\nidata.to_netcdf("again.nc")\n')
    done = subprocess.run(
        [sys.executable, "again.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    again = cp.JointPosterior.load(tmp_path / "again.nc")
    first = cp.JointPosterior.load(elements / "draws.nc")
    for name in ("linkage", "sigma", "corrections"):
        assert np.array_equal(again.draws_of(name), first.draws_of(name))
    assert "leave-one-out PIT, volume_exp" in done.stdout


def test_says_hash_seed_and_versions(elements, text):
    facts = json.loads((elements / "run.json").read_text())
    assert facts["data_hash"] in text and facts["table_hash"] in text
    assert f"numpy {facts['versions']['numpy']}" in text


def test_failed_checks_stand_first(text):
    first = text.index('class="verdict doubt"')
    assert first < text.index("<h2>Data</h2>")
    assert "leave-one-out PIT, volume_exp" in text[first : text.index("<h2>Data</h2>")]


def test_draws_that_failed_are_said_before_anything(tmp_path):
    idata = make_idata(make_spec(2), draws=500)
    idata["sample_stats"].dataset["diverging"].to_numpy()[0, 0] = True
    found = cp.report(idata, tmp_path / "page.html", title="A fit")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not found.sampled
    assert page.index("DO NOT TRUST THESE NUMBERS YET") < page.index("<h2>")
    assert 'class="verdict failed"' in page


def test_names_are_escaped(tmp_path):
    design, table, at = simulated("cubic", 0)
    post = fitted(design, table)
    cp.report(
        post, tmp_path / "page.html", table, candidates=at, title="<script>alert(1)</script> & co"
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page
    assert "<script" not in page


def test_a_report_that_exists_stays(elements, tmp_path):
    before = (elements / "report.html").read_bytes()
    code, _, err = call("report", elements)
    assert code == 2
    assert "expected a report that does not exist yet" in err and "--overwrite" in err
    assert (elements / "report.html").read_bytes() == before
    code, out, _ = call("report", elements, "--out", tmp_path / "other.html")
    assert code == 0
    assert (tmp_path / "other.html").is_file() and "open it in a browser" in out
    assert call("report", elements, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("out", "text"),
    [(".", "a folder"), ("nowhere/page.html", "which is none")],
)
def test_no_place_for_a_report(out, text, tmp_path):
    post, table, _ = healthy("cubic", 0)
    with pytest.raises(cp.StudyError, match=text):
        cp.report(post, tmp_path / out, table)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_fit(tmp_path):
    code, _, err = call("report", tmp_path)
    assert code == 2 and "a folder written by `claude-pymc fit`" in err
    assert list(tmp_path.iterdir()) == []


def test_bad_rows_write_nothing(tmp_path):
    post, table, _ = healthy("cubic", 0)
    empty = cp.Table(table.descriptors, table.targets, table.x, np.full(table.y.shape, np.nan))
    with pytest.raises(cp.TableError, match="rows with a value"):
        cp.report(post, tmp_path / "page.html", empty)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["toy_pair", "perovskite_public"])
def test_other_studies(name, tmp_path):
    study = cp.Study.named(name)
    result = run.fit(study, study.table(), draws=250, folds=0)
    found = cp.report(result.post, tmp_path / "page.html", result.table, title=study.title)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found.sampled and page.count("<img ") >= 6


def test_the_automatic_default(tmp_path):
    study = cp.Study.named("elements_bulk_modulus")
    table = study.table()
    post = cp.fit(table, transforms=study.transforms, seed=0)
    found = cp.report(post, tmp_path / "page.html", table)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found.loo is not None
    assert "chosen by evidence" in page


def cells(page, caption):
    """Rows of the table below a caption, as texts."""
    part = page[page.index(caption) :]
    body = part[part.index("<tbody>") : part.index("</tbody>")]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]


def test_the_tables_hold_the_figures_of_the_fit(elements, text):
    predicted = pd.read_csv(elements / "predictions.csv")
    predicted = predicted[predicted["volume_exp"].isna()]
    rows = cells(text, "volume_exp predicted, noise included")
    assert [row[0] for row in rows] == predicted["label"].tolist()
    for row, (_, wanted) in zip(rows, predicted.iterrows(), strict=True):
        ends = [f"{wanted[f'volume_exp_{end}']:.4g}" for end in ("lower90", "upper90")]
        assert row[-2:] == [f"{wanted['volume_exp_mean']:.4g}", " to ".join(ends)]
    proposed = pd.read_csv(elements / "proposals.csv")
    rows = cells(text, "What to measure next")
    assert [row[1] for row in rows] == proposed["label"].tolist()
    assert rows[0][0] == "volume_exp [A^3/atom]" and rows[0][-1] == "least certain, to learn most"
    checks = pd.read_csv(elements / "checks.csv")
    judged = checks["passed"].notna()
    passed = (checks["passed"][judged].astype(str) == "True").sum()
    assert f"<dd>{passed} of {judged.sum()}</dd>" in text
    hidden = pd.read_csv(elements / "validation.csv")
    inside = hidden["measured"].between(hidden["lower"], hidden["upper"]).sum()
    assert f"{inside} of {len(hidden)};" in text
    assert "Aim: maximize volume_exp; best of 58 measured values: 110.3" in text


def test_labels_that_look_like_numbers_or_nothing(elements, tmp_path):
    """NA is sodium to somebody, and 007 a sample."""
    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    for name, column in (("predictions.csv", "label"), ("proposals.csv", "label")):
        frame = pd.read_csv(folder / name)
        names = {"H": "NA", "He": "007", "N": "null"}
        frame[column] = frame[column].replace(names)
        frame.to_csv(folder / name, index=False)
    assert call("report", folder, "--out", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    rows = cells(page, "volume_exp predicted, noise included")
    assert [row[0] for row in rows][:2] == ["NA", "007"] and rows[4][0] == "null"


@pytest.mark.parametrize("name", ["predictions.csv", "proposals.csv", "validation.csv", "run.json"])
def test_what_is_gone_is_left_out(name, elements, tmp_path):
    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    (folder / name).unlink()
    assert call("report", folder, "--overwrite")[0] == 0


@pytest.mark.parametrize("name", ["predictions.csv", "proposals.csv", "validation.csv"])
@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_what_is_damaged_is_said(name, content, elements, tmp_path):
    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    before = (folder / "report.html").read_bytes()
    (folder / name).write_text(content)
    code, _, err = call("report", folder, "--overwrite")
    assert code == 2 and f"expected {name} with the columns" in err
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        ("rows.csv", "C,", "Q,", None),
        ("rows.csv", "110.3", "111.3", "a model that they no longer make"),
        (
            "study.toml",
            'volume_exp = ["1", "electronegativity_filled"]',
            'volume_exp = ["1"]',
            "a model that they no longer make",
        ),
    ],
)
def test_a_folder_that_was_edited(name, old, new, text, elements, tmp_path):
    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    content = (folder / name).read_text()
    assert old in content
    (folder / name).write_text(content.replace(old, new, 1))
    code, _, err = call("report", folder, "--overwrite")
    assert code == (0 if text is None else 2)
    assert text is None or text in err


def test_a_write_that_fails_leaves_the_old_page(tmp_path, monkeypatch):
    post, table, _ = healthy("cubic", 0)
    page = tmp_path / "page.html"
    page.write_text("old")

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="no space left"):
        cp.report(post, page, table, overwrite=True)
    assert page.read_text() == "old" and list(tmp_path.iterdir()) == [page]


def test_proposals_as_they_are_made(tmp_path):
    post, table, at = healthy("cubic", 0)
    frame = pd.DataFrame(at, columns=["x"])
    proposed = cp.propose(post, frame, cp.Maximize("exp"), {"exp": 2}, observed=table, seed=0)
    cp.report(post, tmp_path / "page.html", table, candidates=frame, proposals=proposed, aim="more")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    rows = cells(page, "What to measure next")
    assert [row[1] for row in rows] == [f"{x:.4g}" for x in proposed["x"]]
    assert "Aim: more." in page


def test_names_with_dollars_and_many_descriptors(tmp_path):
    rng = np.random.default_rng(0)
    names = ["a $^^$ b", *(f"descriptor_number_{i}" for i in range(39))]
    x = rng.uniform(size=(60, 40))
    sim = x @ rng.normal(size=40)
    exp = np.where(np.arange(60) < 40, sim + 0.1 * rng.normal(size=60), np.nan)
    table = cp.Table(names, ["sim $x$", "exp"], x, np.column_stack([sim, exp]))
    post = fitted(cp.Design.from_table(table, corrections={"exp": ["1"]}), table)
    cp.report(post, tmp_path / "page.html", table)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "others where the rows have their medians" not in page  # in pictures alone
    assert page.count("<img ") >= 8


def test_a_failed_fold_is_said(elements, tmp_path):
    folder = tmp_path / "fit"
    shutil.copytree(elements, folder)
    run_facts = json.loads((folder / "run.json").read_text())
    assert run_facts["failed_folds"] == [] and run_facts["prob"] == 0.9
    run_facts["failed_folds"] = ["fold 2: FAILED  k-hat: 0.9"]
    (folder / "run.json").write_text(json.dumps(run_facts))
    assert call("report", folder, "--overwrite")[0] == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Predicting hidden rows, fold 2: FAILED  k-hat: 0.9." in page
