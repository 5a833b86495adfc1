"""Run the notebooks anew, in place, each from an empty folder; `make notebooks`.

python notebooks/pages/run.py [NOTEBOOK.ipynb ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from rich.console import Console

NOTEBOOKS = Path(__file__).resolve().parents[1]


def executed(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run all cells from an empty folder; outputs are in the notebook afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            book, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # times, which would differ in each run
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return book


def said(book: nbformat.NotebookNode) -> list[str]:
    """What the cells wrote to the error stream."""
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    return [out["text"] for out in outputs if out.get("name") == "stderr"]


def main() -> None:
    """Run one after the other; the exit code is 1 if one wrote to the error stream."""
    console, loud = Console(), False
    for path in map(Path, sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb"))):
        start = time.perf_counter()
        with console.status(path.name):
            book = executed(nbformat.read(path, as_version=4))
        nbformat.write(book, path)
        took, size = time.perf_counter() - start, path.stat().st_size / 1000
        console.print(f"{path.name}: {took:.0f} s, {size:.0f} kB", *said(book))
        loud |= bool(said(book))
    sys.exit(loud)


if __name__ == "__main__":
    main()
