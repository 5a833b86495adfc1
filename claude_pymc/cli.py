"""The command line: thin, and importing what samples only in the verbs that need it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claude_pymc.errors import ClaudeError

if TYPE_CHECKING:
    from claude_pymc.run import Fit
    from claude_pymc.study import Study

SEED = click.option("--seed", default=0, show_default=True, help="Seed of all random draws.")
FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
CSV = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="claude-pymc")
def cli() -> None:
    """Assimilate cheap simulated and dear measured values, and propose what to measure next.

    Start with `claude-pymc demo`, which fits the volumes of the elements. Then write a study file
    for your own table (DIR/study.toml of the demo is a pattern) and run
    `claude-pymc fit DATA.csv --study STUDY.toml --out DIR`.
    """


@cli.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="claude-pymc-demo", show_default=True
)
@click.option("--study", default="elements_volume", show_default=True, help="A shipped study.")
@click.option("--overwrite", is_flag=True, help="Replace the folder of an earlier fit.")
@SEED
def demo(out: Path, study: str, overwrite: bool, seed: int) -> None:
    """Fit a shipped study, predict what was not measured, propose what to measure next."""
    from claude_pymc.datasets import shipped
    from claude_pymc.study import Study

    path = shipped("models", study, ".toml")
    _fit(Study.from_toml(path), path, None, out, overwrite, seed, 1000, 5)


@cli.command()
@click.argument("data", metavar="DATA.csv", type=CSV)
@click.option("--study", "path", required=True, type=CSV, help="Study file (TOML).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace the folder of an earlier fit.")
@click.option("--draws", default=1000, show_default=True, help="Kept draws per chain.")
@click.option("--folds", default=5, show_default=True, help="Of the cross-validation; 0: none.")
@SEED
def fit(
    data: Path, path: Path, out: Path, overwrite: bool, draws: int, folds: int, seed: int
) -> None:
    """Fit DATA.csv as the study says, and write draws, checks, predictions and pictures."""
    from claude_pymc.study import Study

    _fit(Study.from_toml(path), path, data, out, overwrite, seed, draws, folds)


@cli.command()
@FOLDER
@click.option("--at", type=CSV, help="CSV with candidates; default: the rows of the fit.")
@click.option("--kind", type=click.Choice(["observation", "mean"]), default="observation")
@click.option("--out", type=CSV, help="CSV to write; it must not exist.")
@SEED
def predict(folder: Path, at: Path | None, kind: str, out: Path | None, seed: int) -> None:
    """Predict targets at candidates; target columns that are filled count as known."""
    from claude_pymc import run
    from claude_pymc.review.diagnostics import diagnose

    _free_file(out)
    study, table, post = run.load(folder)
    _say_failures(diagnose(post.idata))
    with _notices():
        at_rows = table if at is None else _candidates(at, study, post)
        found = run.predict_table(post, at_rows, seed, kind)
    if out is not None:
        found.to_csv(out, index=False, float_format="%.6g")
    _print_predictions(found, study.targets, study.units, everything=at is not None)


@cli.command()
@FOLDER
@click.option("--at", type=CSV, help="CSV with candidates; default: those of the study.")
@click.option("--want", multiple=True, metavar="TARGET=NUMBER", help="Default: as the study says.")
@click.option("--out", type=CSV, help="CSV to write; it must not exist.")
@SEED
def propose(
    folder: Path, at: Path | None, want: tuple[str, ...], out: Path | None, seed: int
) -> None:
    """Propose the next measurements and simulations."""
    from claude_pymc import run
    from claude_pymc.review.diagnostics import diagnose

    wants = _wants(want)
    _free_file(out)
    study, table, post = run.load(folder)
    _say_failures(diagnose(post.idata))
    with _notices():
        pool = None if at is None else _candidates(at, study, post)
        found = run.propose_for(study, post, table, wants or study.wants, seed, pool)
    if out is not None:
        found.to_csv(out, index=False, float_format="%.6g")
    _print_proposals(found, study.units)


def main() -> None:
    """Run the command line; an error of ours is printed, not traced."""
    try:
        cli(standalone_mode=False)
    except ClaudeError as error:
        click.echo(f"{type(error).__name__}\n{error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("stopped; nothing was written", err=True)
        sys.exit(130)


def _fit(
    study: Study,
    path: Path,
    data: Path | None,
    out: Path,
    overwrite: bool,
    seed: int,
    draws: int,
    folds: int,
) -> None:
    """Run a fit with progress, write its folder, print what a person needs."""
    from claude_pymc import run

    run.check_folder(out, overwrite)
    with _notices():
        table = study.table(data)
        with _progress() as stage:
            result = run.fit(study, table, seed=seed, draws=draws, folds=folds, stage=stage)
            stage("writing tables and pictures")
            with run.new_folder(out, overwrite) as folder:
                files = run.write(result, folder, path.read_text(encoding="utf-8"))
    _print_fit(result)
    click.echo(f"\nWritten to {out}: {', '.join(files)}")


def _print_fit(result: Fit) -> None:
    """Print checks first, then model, accuracy, parameters, predictions and proposals."""
    study, post = result.study, result.post
    measured = ", ".join(f"{n} of {t}" for t, n in result.table.counts.items())
    click.echo(f"{study.title}: {len(result.table)} rows, {measured}\n")
    click.echo(result.checks)
    click.echo(f"\n{post.spec.describe()}\n")
    if result.validation is not None:
        cv = result.validation
        low, high = cv.coverage_interval()
        log = "log " if post.spec.design.transforms[-1] == "log" else ""
        click.echo(
            f"Predicting {len(cv.frame)} measured values of {cv.target} that were hidden:\n"
            f"  root mean square error of {log}{cv.target}: {cv.rmse:.3g} +- {cv.rmse_se:.2g}\n"
            f"  mean log predictive density: {cv.log_density:.2f} +- {cv.log_density_se:.2f}\n"
            f"  {cv.prob:.0%} intervals that hold the measured value: {cv.covered} of "
            f"{len(cv.frame)} = {cv.coverage:.0%} (95 % interval {low:.0%} to {high:.0%})\n"
        )
    for j, k, _ in post.spec.links:
        c = post.linkage.to_numpy()[:, :, j, k]
        low, high = (float(v) for v in _quantiles(c))
        click.echo(
            f"Linkage of {study.targets[j]} on {study.targets[k]} (scaled units): "
            f"{c.mean():.2f}, 90 % interval {low:.2f} to {high:.2f}"
        )
    click.echo("")
    _print_predictions(result.predictions, study.targets, study.units, everything=False)
    if result.proposals is not None:
        click.echo("")
        _print_proposals(result.proposals, study.units)
    for notice in result.notices:
        click.echo(notice)


def _quantiles(draws: Any) -> Any:
    import numpy as np

    return np.quantile(draws, [0.05, 0.95])


def _print_predictions(
    frame: Any, targets: tuple[str, ...], units: dict[str, str], everything: bool
) -> None:
    """Print the predicted primary target, of all rows or of those where it was not measured."""
    target = targets[-1]
    rows = frame if everything else frame[frame[target].isna()]
    unit = f" [{units[target]}]" if target in units else ""
    if not len(rows):
        click.echo(f"{target} was measured in every row; use --at to predict elsewhere.")
        return
    shown = rows.head(40)
    head = [c for c in ("label",) if c in frame] or [
        c for c in frame.columns if not any(c == t or c.startswith(f"{t}_") for t in targets)
    ]
    others = [t for t in targets[:-1] if shown[t].notna().any()]
    _table(
        f"Predicted {target}{unit}" + ("" if everything else " where it was not measured"),
        [*head, *others, "mean", "90 % interval"],
        [
            [
                *(_text(row[c]) for c in (*head, *others)),
                _text(row[f"{target}_mean"]),
                f"{_text(row[f'{target}_lower90'])} to {_text(row[f'{target}_upper90'])}",
            ]
            for _, row in shown.iterrows()
        ],
    )
    if len(rows) > len(shown):
        click.echo(f"... and {len(rows) - len(shown)} more; --out writes all of them")


def _print_proposals(frame: Any, units: dict[str, str]) -> None:
    """Print proposals with the prediction at each and the rule that chose it."""
    at = [c for c in frame.columns if c not in _FIXED]
    if "label" in at:
        at = ["label"]
    rows = []
    for _, row in frame.iterrows():
        unit = f" {units[row['target']]}" if row["target"] in units else ""
        interval = f"{_text(row['lower90'])} to {_text(row['upper90'])}"
        point = [_text(row[c]) for c in at]
        rows.append([row["target"], *point, f"{_text(row['mean'])}{unit}", interval, row["rule"]])
    aim = frame.attrs.get("objective", "")
    _table(f"Proposed next ({aim})", ["measure", *at, "mean", "90 % interval", "rule"], rows)
    if "incumbent_from" in frame.attrs:
        click.echo(f"compared with the {frame.attrs['incumbent_from']}")


_FIXED = ("target", "rank", "candidate", "mean", "std", "lower90", "upper90", "rule", "score")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to the terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(title=title, title_justify="left", box=SIMPLE, title_style="bold")
    for i, name in enumerate(columns):
        grid.add_column(name, justify="left" if i == 0 or name == "rule" else "right")
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False).print(grid)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the stage that runs and how long it has taken."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading rows", total=None)

        def stage(name: str) -> None:
            bar.update(task, description=name)
            if not console.is_terminal:
                click.echo(f"... {name}", err=True)

        yield stage


@contextmanager
def _notices() -> Iterator[None]:
    """Print notices as lines instead of warnings with a source line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    from claude_pymc.errors import Notice, PosteriorWarning

    for text in dict.fromkeys(
        str(w.message) for w in caught if issubclass(w.category, Notice | PosteriorWarning)
    ):
        click.echo(f"note: {text}", err=True)


def _say_failures(checks: Any) -> None:
    """Say a failed posterior before any number of it."""
    if not checks.ok:
        click.echo(checks)
        click.echo("")


def _candidates(path: Path, study: Study, post: Any) -> Any:
    """Read candidates: descriptors are needed, targets and labels may be there."""
    from claude_pymc.tables.reading import read_cells
    from claude_pymc.tables.table import Table

    cells = read_cells(path)
    for target in post.targets:
        if target not in cells.columns:
            cells[target] = ""
    labels = study.labels if study.labels in cells.columns else None
    return Table.from_frame(
        cells, post.descriptors, post.targets, labels, post.units, source=path.name
    )


def _wants(pairs: tuple[str, ...]) -> dict[str, int]:
    """Read TARGET=NUMBER pairs."""
    wants = {}
    for pair in pairs:
        target, _, number = pair.partition("=")
        if not number.isdigit():
            raise click.BadParameter(
                f"expected TARGET=NUMBER such as exp=1, got {pair!r}", param_hint="--want"
            )
        wants[target] = int(number)
    return wants


def _free_file(path: Path | None) -> None:
    """Refuse to write over a file."""
    if path is not None and path.exists():
        raise click.BadParameter(f"{path.name} exists; choose another name", param_hint="--out")
