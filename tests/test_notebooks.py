"""Every committed notebook runs again, from another folder, and was committed executed."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
SLOW = ("01_paper",)
BOOKS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
    for path in sorted(FOLDER.glob("*.ipynb"))
]


@pytest.mark.parametrize("path", BOOKS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own event loop
def test_notebook_runs_and_was_committed_with_its_pictures(path, tmp_path):
    book = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 400_000
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in outputs)
    assert not any(out["output_type"] == "error" for out in outputs)
    for cell in book.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell["outputs"] = []
    client = NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    again = [out for cell in client.nb.cells for out in cell.get("outputs", [])]
    assert not any(out.get("name") == "stderr" for out in again)
