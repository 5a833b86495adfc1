"""The verbs of a campaign: new, ask, tell, status, history, correct, withdraw, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claude_pymc.cli.shared import (
    CSV,
    REPLACE,
    SEED,
    free_file,
    notices,
    progress,
    wants,
)

if TYPE_CHECKING:
    from claude_pymc.campaign.loop import Campaign

LEDGER = click.argument("ledger", metavar="LEDGER", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def campaign() -> None:
    """Search over weeks: ask what to measure, tell what came back; all kept in one file.

    \b
    claude-pymc campaign new LEDGER --study STUDY.toml --data DATA.csv
    claude-pymc campaign ask LEDGER --out next.csv
    ... fill in the column "value" (empty: not there yet; "failed": never will be) ...
    claude-pymc campaign tell LEDGER next.csv
    claude-pymc campaign status LEDGER --picture progress.png
    """  # noqa: D301


@campaign.command()
@LEDGER
@click.option("--study", "path", required=True, type=CSV, help="Study file (TOML).")
@click.option("--data", type=CSV, help="CSV with the rows so far; default: data of the study.")
@click.option("--candidates", type=CSV, help="CSV with candidates; default: those of the study.")
@click.option("--auto", is_flag=True, help="Choose the model by evidence at each ask.")
@SEED
def new(
    ledger: Path, path: Path, data: Path | None, candidates: Path | None, auto: bool, seed: int
) -> None:
    """Begin a campaign: the model of a study, scaled by the rows so far, which are told first."""
    from claude_pymc.campaign.loop import Campaign
    from claude_pymc.errors import CampaignError
    from claude_pymc.study import Study
    from claude_pymc.tables.reading import read_cells

    if ledger.exists() and ledger.stat().st_size:
        raise CampaignError(
            "a path where there is no file yet",
            f"{ledger.name!r}",
            "a campaign that was begun before",
            "ask it with `campaign ask`, or choose another name",
        )
    study = Study.from_toml(path)
    with notices():
        table = study.table(data)
        pool: Any = study.pool(table)
        if pool is table:  # its values are told as rows
            pool = table.to_frame().drop(columns=list(table.targets))
        if candidates is not None:
            pool, _ = study.described(read_cells(candidates), candidates.name)
            if study.labels in pool.columns:
                pool = pool.rename(columns={study.labels: "label"})
        begun = Campaign.open(
            ledger,
            None if auto else study.spec(table),
            pool,
            study.objective,
            targets=table.targets,
            wants=study.wants,
            rules=study.rules or None,
            seed=seed,
            rows=table.rows(_measured(table)),
        )
    values = ", ".join(f"{n} of {t}" for t, n in begun.table.counts.items())
    click.echo(f"Begun {ledger}: {study.title}; values known: {values}")
    _print_status(begun)


@campaign.command()
@LEDGER
@click.option("--want", multiple=True, metavar="TARGET=NUMBER", help="Default: as it was begun.")
@click.option("--out", type=CSV, help="CSV to write, with an empty column for the values.")
@REPLACE
def ask(ledger: Path, want: tuple[str, ...], out: Path | None, overwrite: bool) -> None:
    """Propose the next batch, and keep it as open."""
    from claude_pymc import printing

    wanted = wants(want)
    free_file(out, overwrite)
    with notices(), progress() as stage:
        stage("fitting the rows so far and scoring candidates")
        opened = _open(ledger)
        found = opened.ask(wanted or None)
    if out is not None:
        _write_open(found.drop(columns=["candidate", "score"], errors="ignore"), out)
    attrs = found.attrs
    found = found.drop(
        columns=["value", *(["label"] if found.get("label") is None else [])], errors="ignore"
    )
    found.attrs = attrs
    printing.print_proposals(found, opened.said["units"])
    click.echo("Tell the results with: claude-pymc campaign tell " + f"{ledger} RESULTS.csv")


@campaign.command()
@LEDGER
@click.argument("results", metavar="RESULTS.csv", type=CSV)
@click.option("--replicate", is_flag=True, help="Values at points that have one are new ones.")
@click.option("--study", "path", type=CSV, help="Study file, where rows name their formula.")
def tell(ledger: Path, results: Path, replicate: bool, path: Path | None) -> None:
    """Take up results: columns proposal and value, or descriptors and targets.

    A table that is told twice changes nothing the second time.
    """
    from claude_pymc.study import Study
    from claude_pymc.tables.reading import read_cells

    with notices():
        opened = _open(ledger)
        cells = read_cells(results)
        if path is not None:
            cells, _ = Study.from_toml(path).described(cells, results.name)
        told = opened.tell(cells, replicate=replicate)
    click.echo(f"{told}")
    _print_status(opened)


@campaign.command()
@LEDGER
@click.option("--picture", type=CSV, help="PNG or PDF of the progress to write.")
@click.option("--out", type=CSV, help="CSV of what is open to write, as `ask` does.")
@REPLACE
def status(ledger: Path, picture: Path | None, out: Path | None, overwrite: bool) -> None:
    """Show what was measured, what is open, and the best so far."""
    from claude_pymc.campaign.export import plot_progress

    free_file(picture, overwrite)
    free_file(out, overwrite)
    opened = _open(ledger)
    _print_status(opened)
    if out is not None:
        waiting = opened.proposals
        waiting = waiting[waiting["state"].isin(["open", "running"])].assign(value=None)
        unknown = ["batch", "score", "state", "made", "changed"]
        _write_open(waiting.rename(columns={"id": "proposal"}).drop(columns=unknown), out)
    if picture is not None:
        plot_progress(opened).savefig(picture)
        click.echo(f"Written to {picture}")


@campaign.command()
@LEDGER
def history(ledger: Path) -> None:
    """List everything that happened."""
    for row in _open(ledger).history().itertuples():
        click.echo(f"{row.made}  {row.what:10s} {row.detail}")


@campaign.command()
@LEDGER
@click.argument("observation", type=int)
@click.argument("value")
@click.option("--reason", default="", help="Kept in the history.")
def correct(ledger: Path, observation: int, value: str, reason: str) -> None:
    """Replace a mistyped VALUE ("failed": it failed); the old one stays in the history.

    OBSERVATION is its number, as `campaign export` and a refused `tell` name it.
    """
    from claude_pymc import printing

    opened = _open(ledger)
    number = opened.correct(observation, value, reason)
    seen = opened.observations.set_index("id")
    old, new = seen.loc[observation], seen.loc[number]
    point = old["label"] or ", ".join(f"{d} = {printing.text(old[d])}" for d in opened.descriptors)
    unit = printing.unit_of(old["target"], opened.said["units"])
    told = "failed" if new["state"] == "failed" else f"{new['value']:.6g}{unit}"
    click.echo(f"{old['target']} at {point}: {old['value']:.6g}{unit} is replaced by {told}.")
    click.echo(f"Observation {observation} stays in the history; the new one is {number}.")


@campaign.command()
@LEDGER
@click.argument("proposals", nargs=-1, type=int, required=True)
def withdraw(ledger: Path, proposals: tuple[int, ...]) -> None:
    """Say that proposals will not be measured."""
    _open(ledger).withdraw(proposals)
    click.echo(f"Withdrawn: {', '.join(map(str, proposals))}")


@campaign.command()
@LEDGER
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
def export(ledger: Path, out: Path) -> None:
    """Write everything as CSV files, with a picture of the progress."""
    from claude_pymc.campaign.export import export as write

    click.echo(f"Written to {out}: {', '.join(write(_open(ledger), out))}")


def _write_open(found: Any, out: Path) -> None:
    """Write proposals, descriptors with all digits: rows may be told by their points."""
    numbers = ["mean", "std", "lower90", "upper90"]
    found = found.assign(**{name: found[name].map("{:.6g}".format) for name in numbers})
    if found["label"].isna().all() if "label" in found else False:
        found = found.drop(columns="label")
    found.to_csv(out, index=False)
    click.echo(f"Written to {out}\n")


def _open(ledger: Path) -> Campaign:
    from claude_pymc.campaign.loop import Campaign

    return Campaign.open(ledger)


def _measured(table: Any) -> Any:
    import numpy as np

    return np.isfinite(table.y).any(axis=1)


def _print_status(opened: Campaign) -> None:
    """Print counts, the last model's failed checks, the best so far, and what is open."""
    from claude_pymc import printing
    from claude_pymc.campaign.export import best_so_far

    state = opened.ledger.read()
    if len(state.models) and not state.models["passed"].iloc[-1]:
        click.echo("The posterior behind the last proposals failed its checks.")
    proposed = state.proposals.groupby("target")["state"].value_counts().to_dict()
    for target in reversed(opened.targets):
        counts = {s: n for (t, s), n in proposed.items() if t == target}
        measured = int((state.current["target"] == target).sum())
        words = ", ".join(f"{n} proposals {s}" for s, n in counts.items())
        unit = printing.unit_of(target, opened.said["units"])
        click.echo(f"{target}{unit}: {measured} measured" + (f"; {words}" if words else ""))
    found = best_so_far(opened)
    if len(found):
        best = found.loc[found["utility"].idxmax()]
        label = f" ({best['label']})" if best["label"] else ""
        unit = printing.unit_of(opened.plan.objective.target, opened.said["units"])
        click.echo(
            f"Aim: {opened.plan.objective.describe()}; best measured "
            f"{best['value']:.5g}{unit}{label}, observation {best['id']}"
        )
    waiting = opened.proposals
    waiting = waiting[waiting["state"].isin(["open", "running"])]
    if len(waiting):
        printing.print_open(waiting, list(opened.descriptors), opened.said["units"])
