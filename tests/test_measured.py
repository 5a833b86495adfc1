"""Tables in the texts are the figures that were kept, and those of the last bench."""

import re
import tomllib

import bench
import pandas as pd
import pytest
import tables

import claude_pymc as cp

ROOT = tables.ROOT
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in tables.TEXTS}
BLOCKS = [
    (name, *found.groups()) for name, t in TEXTS.items() for found in tables.BLOCK.finditer(t)
]
TARGETS = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
TIMES = ("bench",)  # figures of the clock, which differ from run to run
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.mark.parametrize("name", TEXTS)
def test_tables_are_those_of_the_figures_that_are_kept(name):
    assert tables.rewritten(TEXTS[name]) == TEXTS[name], "run `make tables`"


def test_every_block_is_made_and_every_table_is_shown():
    shown = {name for _, name, _, _ in BLOCKS}
    assert shown == set(tables.MADE)
    tables_of = {name for page, name, _, _ in BLOCKS if page == "measured.md"}
    assert tables_of == {name for name in shown if not name.endswith("_words")}


@pytest.mark.parametrize(("page", "name", "command", "text"), BLOCKS)
def test_the_command_beside_a_table_exists_and_is_read(page, name, command, text):
    assert command.startswith("make ")
    assert command.split()[1] in TARGETS
    assert f"`{command.partition(' (')[0]}`" in text


@pytest.mark.parametrize("name", tables.MADE)
def test_tables_are_those_of_the_last_bench(name):
    last = tables.OUT / tables.MADE[name][0]
    if not last.exists():
        pytest.skip(f"no {last.relative_to(ROOT)}: nothing was measured here")
    now, kept = tables.made(name, last), tables.made(name)
    if name not in TIMES:
        assert now == kept, (
            f"out/ has other figures than the texts: run `make tables`, say why in {name}"
        )
        return
    # Times of another hour: the same lines, each figure within a factor of three.
    new, old = (pd.read_csv(path).set_index(["name", "peer"]) for path in (last, tables.kept(name)))
    assert list(new.index) == list(old.index), "run `make tables`"
    factor = (new["value"] / old["value"]).drop(index=[i for i in new.index if "error" in i[0]])
    assert factor.between(1 / 3, 3).all(), f"run `make tables`: {factor.to_dict()}"


def test_a_wrong_figure_is_seen():
    text = TEXTS["README.md"]
    block = next(tables.BLOCK.finditer(text))
    number = NUMBER.search(block[3], block[3].index("\n| ", 10))
    assert number is not None
    start = block.start(3) + number.start()
    wrong = text[:start] + "9" + text[start:]
    assert tables.rewritten(wrong) == text != wrong


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == cp.__version__
    assert f"version: {cp.__version__}\n" in citation


def test_a_line_of_the_benchmark_has_median_least_and_largest():
    line = bench.row("work", [3.0, 1.0, 2.0], "s", "peer", [8.0, 6.0, 4.0])
    assert (line["low"], line["value"], line["high"]) == (1.0, 2.0, 3.0)
    assert (line["peer_low"], line["peer_value"], line["peer_high"]) == (4.0, 6.0, 8.0)
    assert line["ratio"] == 3.0  # a time: the smaller is the better
    assert bench.row("work", [6.0], "ESS/s", "peer", [2.0])["ratio"] == 3.0
