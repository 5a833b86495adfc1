"""Write the student version of the exercises: the same notebook without answers and outputs.

    python notebooks/pages/student.py [NOTEBOOK.ipynb ...]

Answers are cells with the tag "answer". Without arguments: `10_exercises.ipynb`. The result lies in
`notebooks/student/`; its links are those of the folder above.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1]
# What the version with answers says of the two; the other one says the opposite.
BOTH = re.compile(r"; in this\s+version an answer .*? is\s+\[student/(\S+)\]\(\S+\)", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)")


def without_answers(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy without answers, outputs and counts, with links from the folder below."""
    book = nbformat.from_dict(book)
    book.cells = [c for c in book.cells if "answer" not in c.metadata.get("tags", [])]
    title, *rest = book.cells[0].source.splitlines()
    text = "\n".join([f"{title}, without answers", *rest])
    book.cells[0].source = BOTH.sub(r". The version with answers is [\1](\1)", text)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = LINK.sub(r"](../\1)", cell.source)
    return book


def main() -> None:
    """Write one student version for each notebook named."""
    paths = [Path(name) for name in sys.argv[1:]] or [NOTEBOOKS / "10_exercises.ipynb"]
    folder = NOTEBOOKS / "student"
    folder.mkdir(exist_ok=True)
    for path in paths:
        nbformat.write(without_answers(nbformat.read(path, as_version=4)), folder / path.name)


if __name__ == "__main__":
    main()
