"""What the verbs share: options, progress, notices, files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

SEED = click.option("--seed", default=0, show_default=True, help="Seed of all random draws.")
FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
CSV = click.Path(path_type=Path, dir_okay=False)
FAILED = click.option(
    "--allow-failed",
    is_flag=True,
    help="Exit with 0, not 1, if the posterior failed its checks; results are written anyway.",
)
REPLACE = click.option("--overwrite", is_flag=True, help="Replace the file of --out.")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
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
def notices() -> Iterator[None]:
    """Print notices as lines instead of warnings with a source line."""
    from claude_pymc.errors import Notice, PosteriorWarning

    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        ours = [w for w in caught if issubclass(w.category, Notice | PosteriorWarning)]
        for text in dict.fromkeys(str(w.message) for w in ours):
            click.echo(f"note: {text}", err=True)
        for other in caught:
            if other not in ours and not issubclass(other.category, DeprecationWarning):
                click.echo(f"warning: {other.category.__name__}: {other.message}", err=True)


def write_csv(frame: Any, out: Path | None) -> None:
    """Write a table, if a file was asked for, and say so."""
    if out is not None:
        frame.to_csv(out, index=False, float_format="%.6g")
        click.echo(f"Written to {out}\n")


def wants(pairs: tuple[str, ...]) -> dict[str, int]:
    """Read TARGET=NUMBER pairs."""
    wants = {}
    for pair in pairs:
        target, _, number = pair.partition("=")
        if not number.isdecimal():
            raise click.BadParameter(
                f"expected TARGET=NUMBER such as exp=1, got {pair!r}", param_hint="--want"
            )
        wants[target] = int(number)
    return wants


def free_file(path: Path | None, overwrite: bool) -> None:
    """Refuse to write over a file, unless that is asked for."""
    if path is not None and path.exists() and not overwrite:
        text = f"{path.name} exists; choose another name, or add --overwrite"
        raise click.BadParameter(text, param_hint="--out")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent.name!r}", param_hint="--out")
