"""A Sphinx extension: formulas become MathML, which browsers draw without scripts or a network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

CONVERTER = LatexToMathML()


def _mathml(node: nodes.Element, block: bool) -> str:
    """Return the MathML of a math node; a formula that cannot be read stops the build."""
    formula = node.astext()
    try:
        return CONVERTER.convert_with_local_state(formula, displaystyle=block)
    except LatexError as error:
        raise ExtensionError(f"formula not understood: {formula!r}: {error}") from error


def inline(writer: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    writer.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def displayed(writer: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own; a wide one scrolls by itself."""
    writer.body.append(f'<div class="math">{_mathml(node, block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
