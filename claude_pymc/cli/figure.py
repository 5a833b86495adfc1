"""The verb that repeats figure 4 of the paper."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Of the rules of this package; a quarter as many of the others.",
)
@click.option(
    "--noise",
    "noises",
    multiple=True,
    type=click.FloatRange(min=0.0),
    default=(0.0,),
    show_default=True,
    help="Standard deviation of a measurement; may be given again.",
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
def figure4(repeats: int, noises: tuple[float, ...], workers: int, out: Path) -> None:
    """Repeat figure 4 of the paper: how soon a search finds the largest of 961 values.

    Writes figure4.csv and pictures into --out. A run that was stopped goes on from there when it is
    started again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from claude_pymc.campaign import figure4 as study

    few = max(1, repeats // 4)
    numbers = {"paper": few, "ours": repeats, "ols": few}
    console = Console(stderr=True)
    columns = ("repeats", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("repeats", total=None)

        def each(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)
            if not console.is_terminal and (done % 100 == 0 or done == of):
                click.echo(f"... {done} of {of} repeats", err=True)

        frame = study.run(out, numbers, noises, workers=workers, each=each)
    click.echo("Samples of E until the maximum was measured, the 5 first ones included")
    click.echo(study.summary(frame).round(2).to_string(index=False))
    click.echo(f"\nWritten to {out}: figure4.csv and pictures")
