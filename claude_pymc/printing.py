"""What a person reads in the terminal: checks first, numbers with their uncertainty and unit."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from claude_pymc.acquisition.propose import WORDS
from claude_pymc.joint.prediction import centre_name

if TYPE_CHECKING:
    from claude_pymc.protocols import Kind
    from claude_pymc.run import Fit

_FIXED = (
    "target",
    "rank",
    "candidate",
    "proposal",
    "mean",
    "std",
    "lower90",
    "upper90",
    "rule",
    "score",
)
_HEADS = {  # by kind of prediction
    "observation": ("mean,\nwith noise", "90 %,\nwith noise"),
    "mean": ("mean,\nnoise-free", "90 %,\nnoise-free"),
}


def print_fit(result: Fit) -> None:
    """Print checks first, then model, accuracy, parameters, predictions and proposals."""
    study, post = result.study, result.post
    measured = ", ".join(f"{n} of {t}" for t, n in result.table.counts.items())
    click.echo(f"{study.title}: {len(result.table)} rows, {measured}\n")
    click.echo(_wrapped(result.checks.summary()))
    click.echo(f"\n{_wrapped(post.spec.describe())}\n")
    if result.validation is not None:
        cv = result.validation
        for failure in cv.failed:
            click.echo(f"Predicting hidden rows, {failure}")
        low, high = cv.coverage_interval()
        log = "log " if post.spec.design.transforms[-1] == "log" else ""
        unit = "" if log else unit_of(cv.target, study.units)
        click.echo(
            f"Predicting {len(cv.frame)} measured values of {cv.target} that were hidden:\n"
            f"  root mean square error of {log}{cv.target}{unit}: {cv.rmse:.3g}, "
            f"standard error over rows {cv.rmse_se:.2g}\n"
            f"  mean log predictive density: {cv.log_density:.2f}, standard error "
            f"{cv.log_density_se:.2f}\n"
            f"  {100 * cv.prob:.0f} % intervals that hold the measured value: {cv.covered} of "
            f"{len(cv.frame)} = {100 * cv.coverage:.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)\n"
        )
    for j, k, _ in post.spec.links:
        c = post.linkage.to_numpy()[:, :, j, k]
        low, high = np.quantile(c, [0.05, 0.95])
        click.echo(
            f"Linkage of {study.targets[j]} on {study.targets[k]} (scaled units): "
            f"{c.mean():.2f}, 90 % interval {low:.2f} to {high:.2f}"
        )
    click.echo("")
    print_predictions(result.predictions, study.targets, study.units, everything=False)
    if result.proposals is not None:
        click.echo("")
        print_proposals(result.proposals, study.units)
    for notice in result.notices:
        click.echo(notice)


def print_predictions(
    frame: Any,
    targets: tuple[str, ...],
    units: dict[str, str],
    everything: bool,
    kind: Kind = "observation",
) -> None:
    """Print the predicted primary target, of all rows or of those where it was not measured."""
    target = targets[-1]
    if not len(frame):
        click.echo("No rows to predict.")
        return
    rows = frame if everything else frame[frame[target].isna()]
    unit = unit_of(target, units)
    if not len(rows):
        click.echo(f"{target} was measured in every row; use --at to predict elsewhere.")
        return
    centre = centre_name(rows.columns, target)
    blank = rows[rows[centre].isna()]
    if len(blank):
        empty = [c for c in _descriptors(frame, targets) if blank[c].isna().any()]
        click.echo(
            f"{len(blank)} rows lack {' or '.join(empty)}, without which {target} is not predicted "
            "(they are left out here)."
        )
        rows = rows.drop(blank.index)
        if not len(rows):
            return
    heads = _HEADS[kind]
    if centre.endswith("_median"):
        heads = heads[0].replace("mean", "median"), heads[1]
    shown = rows.head(40)
    head = ["label"] if "label" in frame else _descriptors(frame, targets)
    others = [t for t in targets[:-1] if shown[t].notna().any()]
    _table(
        f"Predicted {target}{unit}" + ("" if everything else " where it was not measured"),
        [*head, *(f"{t}{unit_of(t, units)}" for t in others), *heads],
        [
            [
                *(text(row[c]) for c in (*head, *others)),
                text(row[centre]),
                f"{text(row[f'{target}_lower90'])} to {text(row[f'{target}_upper90'])}",
            ]
            for _, row in shown.iterrows()
        ],
    )
    if len(rows) > len(shown):
        click.echo(f"... and {len(rows) - len(shown)} more; --out writes all of them")


def _descriptors(frame: Any, targets: tuple[str, ...]) -> list[str]:
    """Columns that are neither labels nor of a target."""
    found = [c for c in frame.columns if not any(c == t or c.startswith(f"{t}_") for t in targets)]
    return [c for c in found if c != "label"]


def print_proposals(frame: Any, units: dict[str, str]) -> None:
    """Print proposals with the prediction at each and the reason that chose it."""
    at = [c for c in frame.columns if c not in _FIXED]
    if "label" in at:
        at = ["label"]
    at = ["proposal"] * ("proposal" in frame) + at
    rows = []
    for _, row in frame.iterrows():
        interval = f"{text(row['lower90'])} to {text(row['upper90'])}"
        point = [text(row[c]) for c in at]
        source = f"{row['target']}{unit_of(row['target'], units)}"
        rows.append([source, *point, text(row["mean"]), interval, WORDS[row["rule"]]])
    _table("Proposed next", ["measure", *at, *_HEADS["mean"], "why"], rows)
    if "objective" in frame.attrs:
        target = frame.attrs["objective"].split()[1]
        click.echo(
            f"Aim: {frame.attrs['objective']}; "
            f"{frame.attrs['incumbent_from']}{unit_of(target, units)}"
        )
        if not frame.attrs["improvement_likely"]:
            click.echo("No candidate is likely to be better than that.")


def print_open(frame: Any, descriptors: list[str], units: dict[str, str]) -> None:
    """Print proposals that wait for a result."""
    at = ["label"] if frame["label"].notna().any() else descriptors
    rows = []
    for _, row in frame.head(40).iterrows():
        source = f"{row['target']}{unit_of(row['target'], units)}"
        point = [text(row[c]) for c in ("id", *at)]
        rows.append([source, *point, row["state"], row["made"][:10]])
    _table("Waiting for a result", ["measure", "proposal", *at, "state", "since"], rows)
    if len(frame) > len(rows):
        click.echo(f"... and {len(frame) - len(rows)} more")


def text(value: Any) -> str:
    """Return a cell of a table: four digits, and a dash for what is not there."""
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def unit_of(name: str, units: dict[str, str]) -> str:
    """Return " [unit]", or nothing."""
    return f" [{units[name]}]" if name in units else ""


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to the terminal."""
    click.echo(title)
    grid = Grid(box=SIMPLE)
    for i, name in enumerate(columns):
        left = i == 0 or name == "why"
        grid.add_column(Text(name), justify="left" if left else "right", overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    Console(highlight=False).print(grid)


def _wrapped(text: str) -> str:
    """Break long lines at spaces, with the lines that follow indented."""
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent="      ", break_long_words=False)
        for line in text.split("\n")
    )
