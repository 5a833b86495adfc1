"""The verbs for one table: demo, fit, predict, propose, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claude_pymc.cli.shared import (
    CSV,
    FAILED,
    FOLDER,
    REPLACE,
    SEED,
    free_file,
    notices,
    progress,
    wants,
    write_csv,
)
from claude_pymc.errors import ClaudeError

if TYPE_CHECKING:
    from claude_pymc.protocols import Kind
    from claude_pymc.study import Study


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="claude-pymc")
def cli() -> None:
    """Assimilate cheap simulated and dear measured values, and propose what to measure next.

    Start with `claude-pymc demo`, which fits the volumes of the elements. Then write a study file
    for your own table (DIR/study.toml of the demo is a pattern) and run
    `claude-pymc fit DATA.csv --study STUDY.toml --out DIR`.

    Exit code: 0 if all went well; 1 if the draws failed their checks, though the results were
    written (--allow-failed makes it 0); 2 for an error, after which nothing was written.
    """


@cli.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="claude-pymc-demo", show_default=True
)
@click.option("--study", default="elements_volume", show_default=True, help="A shipped study.")
@click.option("--overwrite", is_flag=True, help="Replace the folder of an earlier fit.")
@FAILED
@SEED
def demo(out: Path, study: str, overwrite: bool, allow_failed: bool, seed: int) -> None:
    """Fit a shipped study, predict, propose what to measure next, and write a report."""
    from claude_pymc.datasets import shipped
    from claude_pymc.study import Study

    path = shipped("models", study, ".toml")
    _fit(Study.from_toml(path), path, None, out, overwrite, allow_failed, seed, 1000, 5, page=True)


@cli.command()
@click.argument("data", metavar="DATA.csv", type=CSV)
@click.option("--study", "path", required=True, type=CSV, help="Study file (TOML).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace the folder of an earlier fit.")
@click.option(
    "--draws",
    type=click.IntRange(min=4),
    default=1000,
    show_default=True,
    help="Kept draws per chain.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Of the cross-validation, at least 2; 0: none.",
)
@FAILED
@SEED
def fit(
    data: Path,
    path: Path,
    out: Path,
    overwrite: bool,
    draws: int,
    folds: int,
    allow_failed: bool,
    seed: int,
) -> None:
    """Fit DATA.csv as the study says, and write draws, checks, predictions and pictures."""
    from claude_pymc.study import Study

    if folds == 1:
        raise click.BadParameter(
            "one fold hides every row; give 0 or at least 2", param_hint="--folds"
        )
    _fit(Study.from_toml(path), path, data, out, overwrite, allow_failed, seed, draws, folds)


@cli.command()
@FOLDER
@click.option("--at", type=CSV, help="CSV with candidates; default: the rows of the fit.")
@click.option(
    "--kind",
    type=click.Choice(["observation", "mean"]),
    default="observation",
    show_default=True,
    help="A value that would be measured, noise included, or the mean behind it.",
)
@click.option("--out", type=CSV, help="CSV to write.")
@REPLACE
@FAILED
@SEED
def predict(
    folder: Path,
    at: Path | None,
    kind: Kind,
    out: Path | None,
    overwrite: bool,
    allow_failed: bool,
    seed: int,
) -> None:
    """Predict targets at candidates; target columns that are filled count as known."""
    from claude_pymc import printing, run
    from claude_pymc.review.diagnostics import diagnose

    free_file(out, overwrite)
    with notices(), progress() as stage:
        stage("reading the fit")
        study, table, post = run.load(folder)
        checks = diagnose(post.idata)
        stage("predicting")
        at_rows = table if at is None else run.read_candidates(at, study, post, every=False)
        found = run.predict_table(post, at_rows, seed, kind)
    _say_failures(checks)
    write_csv(found, out)
    everything = at is not None
    printing.print_predictions(found, study.targets, study.units, everything, kind)
    _verdict(checks, allow_failed)


@cli.command()
@FOLDER
@click.option("--at", type=CSV, help="CSV with candidates; default: those of the study.")
@click.option("--want", multiple=True, metavar="TARGET=NUMBER", help="Default: as the study says.")
@click.option("--out", type=CSV, help="CSV to write.")
@REPLACE
@FAILED
@SEED
def propose(
    folder: Path,
    at: Path | None,
    want: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    allow_failed: bool,
    seed: int,
) -> None:
    """Propose the next measurements and simulations."""
    from claude_pymc import printing, run
    from claude_pymc.review.diagnostics import diagnose

    wanted = wants(want)
    free_file(out, overwrite)
    with notices(), progress() as stage:
        stage("reading the fit")
        study, table, post = run.load(folder)
        checks = diagnose(post.idata)
        stage("scoring candidates")
        pool = None if at is None else run.read_candidates(at, study, post, every=True)
        found = run.propose_for(study, post, table, wanted or study.wants, seed, pool)
    _say_failures(checks)
    write_csv(found, out)
    printing.print_proposals(found, study.units)
    _verdict(checks, allow_failed)


@cli.command()
@FOLDER
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file to write; default: DIR/report.html.",
)
@REPLACE
@FAILED
def report(folder: Path, out: Path | None, overwrite: bool, allow_failed: bool) -> None:
    """Write one HTML page of a fit: data, model, checks, predictions, proposals, script."""
    from claude_pymc import reporting

    with notices(), progress() as stage:
        path, checks = reporting.write_report(folder, out, overwrite=overwrite, stage=stage)
    click.echo(checks.summary())
    click.echo(f"\nWritten to {path}; open it in a browser.")
    _verdict(checks, allow_failed)


def main() -> None:
    """Run the command line; an error of ours, or of the disk, is printed, not traced."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        cli(prog_name="claude-pymc", standalone_mode=False)
    except ClaudeError as error:
        click.echo(f"{type(error).__name__}\n{error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        click.echo(f"{error.strerror or error}: {error.filename or ''}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; nothing was written", err=True)
        sys.exit(130)


def _fit(
    study: Study,
    path: Path,
    data: Path | None,
    out: Path,
    overwrite: bool,
    allow_failed: bool,
    seed: int,
    draws: int,
    folds: int,
    page: bool = False,
) -> None:
    """Run a fit with progress, write its folder, print what a person needs."""
    from claude_pymc import printing, reporting, run

    with notices(), run.new_folder(out, overwrite) as folder:
        table = study.table(data)
        with progress() as stage:
            result = run.fit(study, table, seed=seed, draws=draws, folds=folds, stage=stage)
            stage("writing tables and pictures")
            files = run.write(result, folder, path.read_text(encoding="utf-8"))
            if page:
                made = reporting.write_report(folder, checks=result.checks, stage=stage)
                files.append(made[0].name)
    printing.print_fit(result)
    click.echo(f"\nWritten to {out}: {', '.join(files)}")
    _verdict(result.checks, allow_failed)


def _say_failures(checks: Any) -> None:
    """Say draws that failed before any number of them."""
    if not checks.sampled:
        click.echo(checks.summary())
        click.echo("")


def _verdict(checks: Any, allow_failed: bool) -> None:
    """End with exit code 1 after draws that failed their checks; the results are written."""
    if not checks.sampled:
        code = 0 if allow_failed else 1
        way = "as --allow-failed asks" if allow_failed else "--allow-failed makes it 0"
        click.echo(f"The posterior failed its checks: exit code {code} ({way}).")
        sys.exit(code)
