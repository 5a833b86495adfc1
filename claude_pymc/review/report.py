"""One page for people who must decide whether to believe a posterior: self-contained HTML.

The page needs no network and no script: pictures are part of it, with words for those who do not
see them. Nothing is fitted for it.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.errors import ClaudeError, StudyError
from claude_pymc.joint.crossvalidation import CrossValidation
from claude_pymc.joint.draws import versions
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.review.diagnostics import diagnose
from claude_pymc.review.page import Block, Content, Section, asks, sections_of
from claude_pymc.review.style import alt_text
from claude_pymc.review.verdict import Diagnostics
from claude_pymc.tables.table import Table

TEMPLATE = "report.html"
MARKS = {"passed": "✓", "failed": "✗", "information": "·"}
SVG: Any = {"svg.fonttype": "path", "svg.hashsalt": "claude-pymc"}


def report(
    idata: Any,
    path: str | Path,
    table: Table | None = None,
    *,
    title: str = "Report of a posterior",
    question: str = "",
    candidates: Any = None,
    checks: Diagnostics | None = None,
    predictions: pd.DataFrame | None = None,
    proposals: pd.DataFrame | None = None,
    aim: str = "",
    validation: CrossValidation | None = None,
    script: str = "",
    facts: Mapping[str, str] | None = None,
    overwrite: bool = False,
    stage: Callable[[str], object] = lambda name: None,
) -> Diagnostics:
    """Write the page of a posterior and return its checks.

    Parameters
    ----------
    idata : DataTree or JointPosterior
        Draws of another model are reported as far as their groups allow.
    path : str or Path
        HTML file to write.
    table : Table, optional
        The rows of the fit; without them the page has the checks of the draws alone.
    title, question : str
    candidates : DataFrame, Table or array, optional
        Where predictions are wanted, as in :func:`diagnose`.
    checks : Diagnostics, optional
        Those of these draws and rows, where they were made before.
    predictions : DataFrame, optional
        Labels or descriptors, and TARGET_mean (or TARGET_median), TARGET_lower90, TARGET_upper90
        of the primary target; other columns are left out.
    proposals : DataFrame, optional
        As :func:`propose` makes it.
    aim : str
        What the proposals are for.
    validation : CrossValidation, optional
        As :func:`cross_validate` makes it.
    script : str
        What reproduces the fit.
    facts : mapping of str to str, optional
        Further lines of the last section, such as hashes.
    overwrite : bool
        Replace a file that exists.
    stage : callable
        Told the name of each stage, for a progress display.

    Raises
    ------
    StudyError
        If the file exists and is not to be replaced, or its folder does not.
    SamplingError, TableError
        As :func:`diagnose` raises them; nothing is written then.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> post = cp.fit(table, seed=0)
    >>> found = report(post, "report.html", table)  # what `diagnose` finds; the page is on the disk
    """
    path = Path(path)
    content = Content(
        title=title,
        question=question,
        predictions=predictions,
        proposals=proposals,
        aim=aim,
        validation=validation,
        script=script,
        facts=facts or {},
    )
    refuse_file(path, overwrite)
    stage("checking draws, model, prior, linkage")
    checks = diagnose(idata, table, candidates=candidates) if checks is None else checks
    tree = getattr(idata, "idata", idata)
    post = idata if isinstance(idata, JointPosterior) else None
    if post is None and "spec" in tree.attrs:
        post = JointPosterior(tree)
    sections = sections_of(content, checks, post, table, tree)
    text = _render(content, checks, sections, stage)
    stage("writing the page")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~_umask())
        refuse_file(path, overwrite)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return checks


def _umask() -> int:
    """Return which rights new files do not get."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def refuse_file(path: Path, overwrite: bool) -> None:
    """Refuse to write where something is, or where no folder is."""
    if path.is_dir() or (path.exists() and not overwrite):
        what = "a folder" if path.is_dir() else "a file that exists"
        raise StudyError(
            "a report that does not exist yet",
            f"{path.name!r}, {what}",
            "an earlier report",
            "choose another path"
            + ("" if path.is_dir() else ", or overwrite=True (the command: --overwrite)"),
        )
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        raise StudyError(
            f"a folder to write {path.name!r} into",
            f"{path.parent.name!r}, which may not be written to",
            "a folder of somebody else's, or a protected one",
            "choose another path (the command: --out)",
        )
    if not path.parent.is_dir():
        raise StudyError(
            f"a folder for {path.name!r}",
            f"{path.parent.name!r}, which is none",
            "a typing error in the path",
            "make the folder first, or choose another --out",
        )


def _render(
    content: Content,
    checks: Diagnostics,
    sections: list[Section],
    stage: Callable[[str], object],
) -> str:
    """Fill the template; everything that is not ours is escaped."""
    from jinja2 import Environment, StrictUndefined

    text = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = [
        Section(s.anchor, s.title, [_shown(b, s.title, stage) for b in s.blocks]) for s in sections
    ]
    state = "failed" if not checks.sampled else "doubt" if checks.failed else "passed"
    return environment.from_string(text).render(
        version=versions().get("claude-pymc", "of a source folder"),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        title=content.title,
        question=content.question,
        verdict=checks.verdict,
        verdict_class=state,
        failed=checks.failed,
        facts=[fact for s in sections for b in s.blocks for fact in b.facts],
        sections=shown,
        marks=MARKS,
        asks=asks,
    )


def _shown(block: Block, title: str, stage: Callable[[str], object]) -> dict[str, Any]:
    """Return a block as the template reads it, its picture drawn."""
    found: dict[str, Any] = dict(vars(block))
    if block.draw is None:
        return found
    stage(f"drawing: {title.lower()}")
    try:
        figure = block.draw()
    except ClaudeError as error:
        return found | {"kind": "text", "text": f"No picture: {error.got} ({error.cause})."}
    source, width, height = encoded(figure)
    return found | {"source": source, "alt": alt_text(figure), "width": width, "height": height}


def encoded(figure: Figure) -> tuple[str, int, int]:
    """Return a picture as a data address, and its size in pixels: SVG, or PNG if that is smaller.

    A picture of thousands of points is smaller as pixels.
    """
    width, height = figure.get_size_inches()
    size = round(96 * float(width)), round(96 * float(height))
    drawn = io.BytesIO()
    with matplotlib.rc_context(SVG):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    kind = "svg+xml"
    if len(drawn.getvalue()) > 200_000:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=160)
        if len(pixels.getvalue()) < len(drawn.getvalue()):
            drawn, kind = pixels, "png"
    text = base64.b64encode(drawn.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{text}", *size
