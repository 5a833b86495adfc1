"""The pages of `make docs`: built without a warning, whole, with every link leading somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import claude_pymc as cp

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "notebooks"
WIDTHS = (400, 1400)
PLACES = {"a": "href", "link": "href", "script": "src", "img": "src"}


class Page(HTMLParser):
    """Links, anchors and what is loaded by one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Take up one tag."""
        told = dict(attrs)
        self.anchors |= {told[k] for k in ("id", "name") if told.get(k)}
        if tag in PLACES and told.get(PLACES[tag]):
            self.links.append((tag, told[PLACES[tag]]))


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build all pages; a warning is an error."""
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    command += ["-c", str(SOURCES / "pages"), str(SOURCES), str(out / "html")]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stderr, run.stderr
    return out / "html"


@pytest.fixture(scope="session")
def pages(built):
    """All pages, read."""
    return {path: Page(path) for path in built.rglob("*.html") if "_static" not in path.parts}


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(built, pages):
    wrong = []
    for path, page in pages.items():
        for tag, link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https") or link.startswith("//"):
                if tag != "a":
                    wrong.append((path.name, tag, link))
                continue
            if parts.scheme in ("mailto", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                wrong.append((path.name, link))
            elif parts.fragment and target.suffix == ".html" and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    wrong.append((path.name, link, "no such anchor"))
    assert not wrong


def test_every_public_name_is_in_the_reference_once(pages):
    ids = [a for page in pages.values() for a in page.anchors if a.startswith("claude_pymc.")]
    for name in cp.__all__:
        if not name.startswith("_"):
            assert ids.count(f"claude_pymc.{name}") == 1, name


def test_every_notebook_is_a_page_with_pictures_and_formulas(built):
    for path in SOURCES.glob("*.ipynb"):
        text = (built / f"{path.stem}.html").read_text(encoding="utf-8")
        assert "<img" in text, path.name
        assert not re.search(r'<img alt="([^"]*\.png)?"', text), path.name
    assert "<math" in (built / "02_direct_likelihood.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways_or_complains(pages, width, browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get_log("browser")
    for path in sorted(pages):
        browser.get(path.as_uri())
        script = "return [document.documentElement.scrollWidth, window.innerWidth]"
        wide, inner = browser.execute_script(script)
        assert inner == width
        assert wide <= width, path.name
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert not said, (path.name, said)
