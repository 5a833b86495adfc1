"""What stands on the page of a report, section by section: words, tables and pictures to draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.joint.crossvalidation import CrossValidation
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.prediction import centre_name
from claude_pymc.review.judged import plot_pit, plot_shares
from claude_pymc.review.linkage import plot_corrections, plot_linkage
from claude_pymc.review.maps import plot_maps
from claude_pymc.review.plots import plot_parameters, plot_predictions, plot_ranks
from claude_pymc.review.structure import plot_missing, plot_precision
from claude_pymc.review.style import axis_label
from claude_pymc.review.surfaces import plot_slices
from claude_pymc.review.verdict import KINDS, Diagnostics
from claude_pymc.tables.categories import Category
from claude_pymc.tables.table import Table

MOST_ROWS, MOST_COLUMNS = 40, 4  # of a table on the page; descriptors beside a label
# What a check asks, by the beginning of its name.
ASKS = {
    "R-hat": "do the chains agree? 1 if they do",
    "ESS": "how many independent draws would tell as much?",
    "divergences": "steps of the sampler that went astray",
    "E-BFMI": "did the sampler reach the tails?",
    "k-hat": "are the importance weights of the draws even enough?",
    "draws vary": "did the sampler move in every quantity?",
    "rows are those": "does what follows concern the rows that were fitted?",
    "predictive p-value": "are such rows as the model expects, by themselves and beside others?",
    "furthest value": "is there a value that the others cannot explain?",
    "values with a high Pareto k": "does a value far from its prediction decide the posterior?",
    "leave-one-out coverage": "do intervals hold as often as they say, each value left out?",
    "leave-one-out PIT": "where in its prediction does each value lie, left out of the fit? "
    "evenly everywhere if intervals are right",
    "prior-data conflict": "did the rows find what the prior held for nearly impossible?",
    "sensitivity to the prior": "would predictions move, were the prior believed more or less?",
    "noise of": "can the noise be told from zero?",
    "rows with the primary": "rows that show what carries over",
    "contraction": "how much narrower is the linkage than before the rows?",
    "linkage of": "do two kinds of rows say the same of what carries over?",
    "what predictions rest on": "which source would move them, and how much is left to the prior?",
    "extrapolation": "are the places within what was measured?",
}
ABOUT = {
    "draws": "Draws: do they come from the posterior of this model?",
    "model": "Model: does it fit its rows?",
    "prior": "Prior: does it agree with the rows, and how much does it decide?",
    "linkage": "Linkage: do the rows say how much carries over, and what is noise?",
    "use": "Use: what do predictions rest on?",
}


class Content(NamedTuple):
    """What a report tells beside draws and rows: as in `claude_pymc.review.report.report`."""

    title: str
    question: str
    predictions: pd.DataFrame | None
    proposals: pd.DataFrame | None
    aim: str
    validation: CrossValidation | None
    script: str
    facts: Mapping[str, str]


class Fact(NamedTuple):
    """A figure at the top of the page."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of a section: "text", "pre", "picture", "checks" or "table"."""

    kind: str
    text: str = ""
    draw: Callable[[], Figure] | None = None
    caption: str = ""
    columns: list[str] = field(default_factory=list)
    numeric: list[bool] = field(default_factory=list)
    rows: Any = ()
    facts: list[Fact] = field(default_factory=list)


class Section(NamedTuple):
    """A heading and what stands under it."""

    anchor: str
    title: str
    blocks: list[Any]


def asks(name: str) -> str:
    """Return what a check asks, empty if nobody has said it."""
    return next((text for start, text in ASKS.items() if name.startswith(start)), "")


def sections_of(
    content: Content,
    checks: Diagnostics,
    post: JointPosterior | None,
    table: Table | None,
    tree: Any,
) -> list[Section]:
    """All sections that draws and rows allow."""
    found = []
    if table is not None:
        found.append(Section("data", "Data", _data(table)))
    if post is not None:
        found.append(Section("model", "Model", _model(post)))
    found.append(Section("checks", "Checks", _checks(checks, post, table)))
    if post is not None:
        found.append(Section("findings", "What was found", _findings(post, table)))
        blocks = _predictions(post, table, checks, content)
        found.append(Section("predictions", "Predictions", blocks))
    if content.proposals is not None:
        blocks = _proposals(content.proposals, post)
        if content.aim:
            blocks.insert(0, Block("text", f"Aim: {content.aim}."))
        found.append(Section("proposals", "Proposals", blocks))
    found.append(Section("reproduce", "How to reproduce it", _provenance(content, tree)))
    return found


def _data(table: Table) -> list[Block]:
    """Tell counts, ranges and units of the columns, and what is missing."""
    rows = []
    for name, values in [
        *zip(table.descriptors, table.x.T, strict=True),
        *zip(table.targets, table.y.T, strict=True),
    ]:
        have = values[np.isfinite(values)]
        role = "target" if name in table.targets else "descriptor"
        ends = ["-", "-", "-"]
        if isinstance(name, Category):
            ends = [", ".join(name.categories[:6]), "", ""]
        elif len(have):
            ends = [_number(have.min()), _number(np.median(have)), _number(have.max())]
        unit = table.units.get(name, "-")
        rows.append([str(name), role, unit, str(len(have)), *ends])
    columns = ["column", "role", "unit", "filled", "least", "median", "largest"]
    counts = [
        Fact(f"values of {t}", str(n), f"in {len(table)} rows") for t, n in table.counts.items()
    ]
    caption = f"{len(table)} rows; targets from the cheapest to the primary one"
    return [
        Block(
            "table",
            caption=caption,
            columns=columns,
            numeric=[False] * 3 + [True] * 4,
            rows=rows,
            facts=counts,
        ),
        Block(
            "picture",
            "What is missing: rows by the targets they have.",
            lambda: plot_missing(table),
        ),
    ]


def _model(post: JointPosterior) -> list[Block]:
    """Tell the model in words, and as a graph."""
    return [
        Block("pre", post.spec.describe()),
        Block(
            "picture",
            "The columns of the precision matrix as a graph: a target depends on what it is "
            "joined to; a dotted line is a structural zero.",
            lambda: plot_precision(post.spec),
        ),
    ]


def _checks(checks: Diagnostics, post: JointPosterior | None, table: Table | None) -> list[Block]:
    """All checks by what they are about; pictures of those that a picture says better."""
    judged = [check for check in checks.checks if check.passed is not None]
    passed = sum(bool(check.passed) for check in judged)
    facts = [Fact("checks passed", f"{passed} of {len(judged)}")]
    blocks = [
        Block("checks", caption=ABOUT[kind], rows=rows)
        for kind in KINDS
        if (rows := [check for check in checks.checks if check.about == kind])
    ]
    blocks[0] = Block("checks", caption=blocks[0].caption, rows=blocks[0].rows, facts=facts)
    blocks += [Block("text", note) for note in checks.notes]
    loo = checks.loo
    if loo is not None:
        blocks.append(
            Block(
                "picture",
                "Each value left out of the fit, by importance weights, and predicted from the "
                "cheaper values of its row. A wave first below, then above zero: intervals are too "
                "wide; first above: too narrow.",
                lambda: plot_pit(loo),
            )
        )
        if table is not None:
            blocks.append(_standing_out(checks))
    if post is not None and "k_hat" not in post.idata.attrs:
        blocks.append(Block("picture", "Ranks of the chains.", lambda: plot_ranks(post)))
    return blocks


def _standing_out(checks: Diagnostics) -> Block:
    """Values whose leave-one-out prediction is far off, or that move the posterior."""
    rows = [
        [row.row, row.target, f"{row.tail:.2g}", f"{row.pareto_k:.2f}"]
        for row in checks.standing_out
    ]
    caption = (
        "Values that stand out most: how far out in the tails of its own prediction (two-sided), "
        "and how much it moves the posterior"
    )
    columns = ["row", "target", "tail probability", "Pareto k"]
    return Block("table", "", None, caption, columns, [False, False, True, True], rows)


def _findings(post: JointPosterior, table: Table | None) -> list[Block]:
    """Linkage, corrections and parameters."""
    blocks = []
    if table is not None and len(post.targets) > 1:
        text = "How much of the cheaper target carries over."
        blocks.append(Block("picture", text, lambda: plot_linkage(post, table)))
    if post.spec.design.active[-1].any() and len(post.targets) > 1:
        text = "What the experiment adds, R(x), along the descriptors, the others held."
        blocks.append(Block("picture", text, lambda: plot_corrections(post, table)))
    blocks.append(
        Block("picture", "Linkage, corrections and noise.", lambda: plot_parameters(post))
    )
    return blocks


def _predictions(
    post: JointPosterior, table: Table | None, checks: Diagnostics, content: Content
) -> list[Block]:
    """Slices, maps, hidden rows, the table, and what it rests on."""
    blocks = []
    numbers = [name for name in post.descriptors if not isinstance(name, Category)]
    if numbers:
        text = "Along one descriptor, the others held; bands hold the mean with 90 %."
        blocks.append(Block("picture", text, lambda: plot_slices(post, table)))
    if len(numbers) > 1:
        text = "Over two descriptors, the others held; one scale for targets of one quantity."
        blocks.append(Block("picture", text, lambda: plot_maps(post, table=table)))
    cv = content.validation
    if cv is not None:
        low, high = cv.coverage_interval()
        design = post.spec.design
        log = design.transforms[-1] == "log"
        unit = "" if log else dict(design.units).get(cv.target, "")
        facts = [
            Fact(
                f"error of hidden {cv.target}",
                f"{100 * cv.rmse:.2g} %" if log else f"{cv.rmse:.3g} {unit}".strip(),
                f"root mean square{' of the logarithm' if log else ''}, standard error "
                + (f"{100 * cv.rmse_se:.2g} %" if log else f"{cv.rmse_se:.2g}"),
            ),
            Fact(
                f"{100 * cv.prob:.0f} % intervals that hold",
                f"{100 * cv.coverage:.0f} %",
                f"{cv.covered} of {len(cv.frame)}; {100 * low:.0f} to {100 * high:.0f} %",
            ),
        ]
        units = dict(design.units)
        text = f"Measured values of {cv.target} hidden from the fit, fold by fold, and predicted."
        blocks += [Block("text", f"Predicting hidden rows, {failure}.") for failure in cv.failed]
        blocks.append(Block("picture", text, lambda: plot_predictions(cv, units, log), facts=facts))
    if checks.shares is not None:
        shares = checks.shares
        text = (
            "How strongly each source moves a prediction: the cheaper values known at the place, "
            "the rows of each target. A prediction whose dot is right of the dotted line says more "
            "about the prior than about the rows."
        )
        blocks.append(Block("picture", text, lambda: plot_shares(shares)))
    if content.predictions is not None:
        target = post.targets[-1]
        frame = content.predictions
        frame = frame[frame[centre_name(frame.columns, target)].notna()]
        caption = f"{target} predicted, noise included"
        left_out = len(content.predictions) - len(frame)
        if left_out:
            caption += f"; {left_out} rows that lack a descriptor it needs are left out"
        blocks.append(_table(_readable(frame, post), caption, post))
    return blocks or [Block("text", "Nothing was asked.")]


def _proposals(frame: pd.DataFrame, post: JointPosterior | None) -> list[Block]:
    """Proposals, with the prediction at each and the reason that chose it."""
    if not len(frame):
        return [Block("text", "Nothing is proposed.")]
    frame = frame.rename(columns={"rule": "why"})
    if not {"target", "mean", "lower90", "upper90", "why"} <= set(frame.columns):
        return [_table(frame, "What to measure next", post)]
    units = {} if post is None else dict(post.units)
    ends = zip(frame["lower90"], frame["upper90"], strict=True)
    known = ("target", "rank", "candidate", "mean", "std", "lower90", "upper90", "score", "why")
    at = [c for c in frame.columns if c not in known]
    found = {"measure": [axis_label(str(t), units) for t in frame["target"]]}
    few = [c for c in at if c != "label"][:MOST_COLUMNS]
    found |= {c: frame[c] for c in [*(["label"] if "label" in at else []), *few]}
    found |= {
        "mean": frame["mean"],
        "90 % interval": [f"{_number(a)} to {_number(b)}" for a, b in ends],
    }
    caption = "What to measure next; mean and interval are noise-free"
    return [_table(pd.DataFrame(found | {"why": frame["why"]}), caption, post)]


def _provenance(content: Content, tree: Any) -> list[Block]:
    """Seed, method, hashes and versions, and the script that reproduces the fit."""
    attrs = dict(tree.attrs)
    wanted = ("method", "seed", "data_hash", "created", "log_evidence", "k_hat", "n_rows")
    rows = [[name.replace("_", " "), _number(attrs[name])] for name in wanted if name in attrs]
    rows += [[name, value] for name, value in content.facts.items()]
    found = json.loads(attrs["versions"]) if "versions" in attrs else {}
    if found:
        rows.append(["versions", ", ".join(f"{name} {value}" for name, value in found.items())])
    library = {k: v for k, v in tree["posterior"].attrs.items() if "version" in k or "library" in k}
    rows += [[name.replace("_", " "), str(value)] for name, value in library.items()]
    blocks = [
        Block(
            "table",
            caption="Where the draws are from",
            columns=["what", "value"],
            numeric=[False, False],
            rows=rows,
        )
    ]
    if content.script:
        blocks.append(Block("pre", content.script))
    return blocks


def _readable(frame: pd.DataFrame, post: JointPosterior) -> pd.DataFrame:
    """Labels or descriptors, known cheaper values, and the primary target with its interval."""
    target = post.targets[-1]
    names = ["label", *post.descriptors[:MOST_COLUMNS]] if "label" in frame else post.descriptors
    names = list(names)
    names += [t for t in post.targets[:-1] if t in frame and frame[t].notna().any()]
    found = {str(name): frame[name] for name in names if name in frame}
    ends = zip(frame[f"{target}_lower90"], frame[f"{target}_upper90"], strict=True)
    centre = centre_name(frame.columns, target)
    found[centre] = frame[centre]
    found[f"{target}_90 % interval"] = [f"{_number(a)} to {_number(b)}" for a, b in ends]
    return pd.DataFrame(found)


def _table(frame: pd.DataFrame, caption: str, post: JointPosterior | None) -> Block:
    """Show the first rows of a DataFrame, numbers to four digits, units in the heads."""
    units = {} if post is None else dict(post.units)
    names = sorted(units, key=len, reverse=True)

    def head(column: str) -> str:
        """Column with the unit of the target or descriptor that it is of."""
        if column in units:
            return axis_label(column, units)
        owner = next((name for name in names if column.startswith(f"{name}_")), None)
        return (
            column.replace("_", " ")
            if owner is None
            else (f"{owner} {column[len(owner) + 1 :]} [{units[owner]}]")
        )

    shown = frame.head(MOST_ROWS)
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    rows = [[_number(cell) for cell in row] for row in shown.itertuples(index=False)]
    if len(frame) > len(shown):
        caption += f" ({len(shown)} of {len(frame)} rows)"
    return Block("table", "", None, caption, [head(str(c)) for c in frame.columns], numeric, rows)


def _number(value: Any) -> str:
    """Return four digits of a number, a dash for what is not there."""
    if isinstance(value, float | np.floating):
        return "-" if np.isnan(value) else f"{float(value):.4g}"
    return str(value)
