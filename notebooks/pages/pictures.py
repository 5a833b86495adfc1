"""A Sphinx extension: pictures of notebooks keep their words, for those who do not see them.

The words of a picture lie in its output, where a cell made them (`Image(..., alt=...)`), or in the
cell's metadata, `{"mystnb": {"image": {"alt": ...}}}`, which is where MyST-NB reads them.
"""

from __future__ import annotations

from typing import Any

import nbformat
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def words(cell: nbformat.NotebookNode) -> list[str | None]:
    """Return the words of each picture of a cell; None where there are none."""
    own = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    shown = [out for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    return [out.metadata.get("image/png", {}).get("alt", own) for out in shown]


def with_words(text: str) -> str:
    """Copy words of outputs into the metadata of their cells."""
    book = nbformat.reads(text, as_version=4)
    for cell in book.cells:
        said = set(words(cell)) - {None}
        if len(said) > 1:
            raise ExtensionError(f"pictures of one cell with different words: {sorted(said)}")
        if said:
            image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
            image["alt"] = said.pop()
    return nbformat.writes(book)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if app.env.doc2path(name).endswith(".ipynb"):
        source[0] = with_words(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the step."""
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
