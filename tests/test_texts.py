"""What the texts tell a reader to type works: blocks of Python, study files, commands."""

import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fakes import call

import claude_pymc as cp

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "notebooks" / "pages"
TEXTS = [ROOT / "README.md", *sorted(PAGES.glob("*.md")), ROOT / "CONTRIBUTING.md"]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
TOML = re.compile(r"^```toml\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(r"^ {4}claude-pymc (.*?)(?: +#.*)?$", re.M)
MAKE = re.compile(r"`make ([a-z0-9 -]+?)(?: ARGS=.*?)?`|^ {4}make ([a-z0-9-]+)", re.M)
LEAVES = {  # files that a reader has afterwards
    "README.md": {"report.html"},
    "campaigns.md": {"search.db"},
    "checks.md": {"prior.png"},
    "studies.md": {"design.json", "b.npz"},
}
CODE = [
    pytest.param(path, id=path.name)
    for path in TEXTS
    if any("%pip" not in block for block in PYTHON.findall(path.read_text(encoding="utf-8")))
]


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    """A folder with gaps.csv, new.csv and gaps.toml, as the texts have them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    x = rng.dirichlet([1, 1, 1], 30)[:, :2]
    sim = 1.8 + x @ [1.2, 0.9] + x[:, 0] * x[:, 1] + rng.normal(0, 0.03, 30)
    exp = sim + 1.4 + 0.2 * x[:, 0] + rng.normal(0, 0.05, 30)
    frame = pd.DataFrame({"x1": x[:, 0], "x2": x[:, 1], "gap_sim": sim, "gap_exp": exp})
    frame.insert(0, "sample", [f"S{number:02d}" for number in range(30)])
    frame.loc[12:, "gap_exp"] = np.nan
    frame.to_csv("gaps.csv", index=False)
    pd.DataFrame({"x1": [0.25, 0.5], "x2": [0.25, 0.25]}).to_csv("new.csv", index=False)
    study = TOML.search((PAGES / "studies.md").read_text(encoding="utf-8"))
    Path("gaps.toml").write_text(study[1], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", CODE)
@pytest.mark.filterwarnings("ignore::claude_pymc.errors.Notice")  # they are meant for the reader
def test_blocks_of_python_run(path, laboratory):
    names: dict = {}
    before = set(laboratory.iterdir())
    for block in PYTHON.findall(path.read_text(encoding="utf-8")):
        if "%pip" not in block:
            exec(compile(block, path.name, "exec"), names)
    plt.close("all")
    assert names["cp"] is cp
    written = {file.name for file in set(laboratory.iterdir()) - before}
    assert written >= LEAVES.get(path.name, set())


@pytest.mark.filterwarnings("ignore::claude_pymc.errors.PosteriorWarning")
def test_the_ten_lines_run_on_the_rows_that_stand_above_them(tmp_path, monkeypatch):
    """Without a notice: the candidates lie within the rows."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.search(r"(?:^ {4}sample,.*\n)(?:^ {4}.*\n)+", text, re.M)
    assert rows is not None
    Path("gaps.csv").write_text(re.sub("^ {4}", "", rows[0], flags=re.M), encoding="utf-8")
    for _ in range(2):
        exec(compile(PYTHON.findall(text)[0], "README.md", "exec"), {})


def test_the_study_file_and_its_commands(laboratory):
    commands = COMMAND.findall((PAGES / "studies.md").read_text(encoding="utf-8"))
    assert [c.split()[0] for c in commands] == ["fit", "predict", "propose", "report"]
    for command in commands:
        code, out, err = call(*shlex.split(command))
        assert code in (0, 1), command + out + err
    assert (laboratory / "gaps" / "report.html").is_file()
    assert len(pd.read_csv("predicted.csv")) == 2


def test_commands_of_a_campaign(laboratory):
    commands = COMMAND.findall((PAGES / "campaigns.md").read_text(encoding="utf-8"))
    assert [c.split()[1] for c in commands] == ["new", "ask", "tell", "correct", "status"]
    for command in commands:
        if " tell " in command:
            asked = pd.read_csv("next.csv")
            asked.assign(value=3.0).to_csv("next.csv", index=False)
        if " correct " not in command:
            code, out, err = call(*shlex.split(command))
            assert code == 0, command + out + err
    told = cp.Campaign.open("search.db").observations
    assert len(told) >= 4
    assert (laboratory / "progress.png").is_file()


def test_make_targets_that_are_named_exist():
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for path in TEXTS:
        for found in MAKE.findall(path.read_text(encoding="utf-8")):
            for word in " ".join(found).split():
                assert word in targets, f"{path.name}: make {word}"


def test_files_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
        assert (ROOT / link).exists(), link
    for name in re.findall(r"`((?:notebooks|tests|models)/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name
