"""The page of a fit: whole in itself, readable at any width, with words for every picture."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from check_cases import fitted, healthy, simulated
from fakes import call, make_idata, make_spec

import claude_pymc as cp
from claude_pymc import run

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
NO_BROWSER = "no chromium and chromedriver (Debian: chromium, chromium-driver)"
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


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM or not DRIVER:
        if os.environ.get("CI_HAS_BROWSER"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


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
