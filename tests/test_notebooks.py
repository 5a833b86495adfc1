"""The course: committed executed, whole, and run again from an empty folder with cold caches."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pictures
import pytest
import run
import student

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
BOOKS = [pytest.param(path, id=path.stem) for path in PATHS]
MOST_BYTES = 400_000
QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own event loop
BAND_GAPS = """
import pandas as pd

import claude_pymc as cp

frame = cp.load_dataset("binary_bandgap")  # yours: pd.read_csv("mine.csv")
title = "Band gaps of binary compounds"
labels = "formula"  # column with names of the rows, or None
descriptors = ["mean_X", "std_X", "mean_Z", "mean_mass", "mean_row", "mean_group"]
categories = []  # those of the descriptors that hold text
targets = ["y_sim", "y_exp"]  # the cheapest first
units = {"y_sim": "eV", "y_exp": "eV", "mean_mass": "u"}
transforms = {}  # modelled as they are
quantities = {}  # targets of another quantity than the last one
basis = cp.Polynomial(degree=2)
corrections = {"y_exp": ["1", "linear"]}
noise = "normal"  # of the primary target; or "student"
expected = {"y_exp": (0.0, 10.0)}  # before the rows: 95 %
objective = cp.Reach("y_exp", 1.34)  # or cp.Maximize, cp.Minimize
wants = {"y_exp": 3}  # how many proposals of which target
rules = None  # None: improvement; {"y_exp": "std"}: where least is known
"""


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return cell.metadata.get("tags", [])


def outputs(book):
    return [out for cell in book.cells for out in cell.get("outputs", [])]


def emptied(book):
    """A copy as it is before it ran."""
    book = nbformat.from_dict(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return book


@pytest.fixture(scope="session")
def cold(tmp_path_factory):
    """An environment whose kernels find no cache of an earlier run, but share one."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "caches"
    folder.mkdir(exist_ok=True)
    new = {"NUMBA_CACHE_DIR": str(folder / "numba"), "PYTENSOR_FLAGS": f"base_compiledir={folder}"}
    new |= {"MPLCONFIGDIR": str(folder / "mpl"), "OPENBLAS_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_ten_notebooks_in_order():
    assert [path.stem.split("_")[0] for path in PATHS] == [f"{n:02d}" for n in range(1, 11)]


@pytest.mark.parametrize("path", BOOKS)
def test_committed_executed_with_pictures_exercises_and_assertions(path):
    book = read(path)
    assert path.stat().st_size < MOST_BYTES
    counts = [c.execution_count for c in book.cells if c.cell_type == "code" and c.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"
    found = outputs(book)
    assert any("image/png" in out.get("data", {}) for out in found)
    assert not any(out["output_type"] == "error" or out.get("name") == "stderr" for out in found)
    asserted = [c for c in book.cells if c.cell_type == "code" and "answer" not in tags(c)]
    if path.stem != "10_exercises":  # there the answers assert
        assert any(re.search(r"^\s*assert ", c.source, re.M) for c in asserted)
    assert any("Your answer here" in c.source for c in book.cells)
    assert any("answer" in tags(c) for c in book.cells)


@pytest.mark.parametrize("path", BOOKS)
def test_pictures_have_words_for_those_who_do_not_see_them(path):
    for cell in read(path).cells:
        for words in pictures.words(cell):
            assert words and len(words) > 40, cell.source[-200:]


@pytest.mark.parametrize("path", BOOKS)
def test_no_cell_ends_with_the_text_of_an_object(path):
    for out in outputs(read(path)):
        data = out.get("data", {})
        text = "" if "image/png" in data else data.get("text/plain", "")
        assert not re.match(r"<(?!Figure)|Text\(|\[<", text), text


@pytest.mark.parametrize("path", BOOKS)
def test_links_lead_to_files_of_the_repository(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for link in student.LINK.findall(cell.source):
                assert (FOLDER / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("path", BOOKS)
@pytest.mark.notebooks
@QUIET
def test_runs_again_without_a_word_on_the_error_stream(path, cold):
    book = run.executed(emptied(read(path)))
    assert run.said(book) == []


@pytest.mark.notebooks
@QUIET
def test_the_student_version_runs_and_has_no_answers(cold):
    path = FOLDER / "student" / "10_exercises.ipynb"
    book = read(path)
    assert book.cells == student.without_answers(read(FOLDER / path.name)).cells, "make notebooks"
    assert not outputs(book)
    assert run.said(run.executed(book)) == []


@pytest.mark.notebooks
@QUIET
def test_notebook_four_takes_another_table_by_its_first_cell_alone(cold):
    book = emptied(read(FOLDER / "04_workflow.ipynb"))
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert "load_dataset" in first.source
    first.source = BAND_GAPS
    book = run.executed(book)
    assert run.said(book) == []
    assert sum("image/png" in out.get("data", {}) for out in outputs(book)) >= 5


@pytest.mark.notebooks
def test_without_a_compiler_nothing_is_said(tmp_path):
    """`g++` is not on PATH: PyMC compiles by numba, and says nothing."""
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "import pymc as pm\n"
        "with pm.Model():\n"
        "    pm.Normal('x')\n"
        "    pm.sample(50, tune=50, chains=1, progressbar=False, quiet=True,"
        " compute_convergence_checks=False, random_seed=1)\n"
    )
    assert shutil.which("g++", path=str(tmp_path)) is None
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
