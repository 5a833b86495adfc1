"""A fit from rows to a folder that reloads: everything the command line does, without printing.

The folder is written beside its final place and renamed when it is complete: a failed run leaves
nothing behind.
"""

from __future__ import annotations

import difflib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.propose import propose
from claude_pymc.errors import CandidateError, Notice, StudyError
from claude_pymc.joint.asked import known_of, lacks, refuse_lacking
from claude_pymc.joint.crossvalidation import CrossValidation, cross_validate
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.propriety import refuse_improper
from claude_pymc.joint.sampling import Sampler
from claude_pymc.review.diagnostics import diagnose
from claude_pymc.review.plots import plot_parameters, plot_predictions, plot_ranks
from claude_pymc.review.verdict import Diagnostics
from claude_pymc.study import Study
from claude_pymc.tables.reading import read_cells
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured
from claude_pymc.tables.table import Table

Stage = Callable[[str], object]
DRAWS, ROWS, STUDY, REPORT = "draws.nc", "rows.csv", "study.toml", "report.html"
TABLES = {"checks.csv", "predictions.csv", "proposals.csv", "validation.csv"}
PICTURES = {"predictions.png", "parameters.png", "ranks.png"}
WRITTEN = {DRAWS, ROWS, STUDY, REPORT, "spec.json", "run.json"} | TABLES | PICTURES


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit found.

    Parameters
    ----------
    study : Study
    table : Table
    post : JointPosterior
    checks : Diagnostics
    validation : CrossValidation or None
        None where fewer than ten values of the primary target were measured.
    predictions, proposals : DataFrame
    notices : tuple of str
    """

    study: Study
    table: Table
    post: JointPosterior
    checks: Diagnostics
    validation: CrossValidation | None
    predictions: pd.DataFrame
    proposals: pd.DataFrame | None
    notices: tuple[str, ...] = ()


def fit(
    study: Study,
    table: Table,
    *,
    seed: int = 0,
    draws: int = 1000,
    folds: int = 5,
    stage: Stage = lambda name: None,
) -> Fit:
    """Fit a study to its rows: sample, check, validate, predict, propose.

    Parameters
    ----------
    study : Study
    table : Table
    seed : int
    draws : int
        Kept draws per chain, of four chains.
    folds : int
        Of the cross-validation; 0 leaves it out.
    stage : callable
        Told the name of each stage, for a progress display.
    """
    spec = study.spec(table)
    stats = PatternStats.from_table(table, spec.design, rows=spec.needs == "rows")
    refuse_improper(spec, stats)
    notice_unmeasured(stats)
    sampler = Sampler(spec)
    stage("sampling the posterior (up to a minute the first time, then compiled code is cached)")
    idata = sampler.draw(stats, draws=draws, seed=seed)
    post = JointPosterior(idata, spec)
    stage("checking draws, model, prior and linkage")
    checks = diagnose(post, table, candidates=study.pool(table) if study.candidates else None)
    validation = None
    target = study.targets[-1]
    if folds and table.counts[target] >= max(10, folds):
        parts = iter(range(2, folds + 1))
        stage(f"predicting hidden rows, part 1 of {folds}")

        def next_part() -> None:
            part = next(parts, None)
            if part is not None:
                stage(f"predicting hidden rows, part {part} of {folds}")

        validation = cross_validate(
            sampler,
            table,
            folds=folds,
            seed=seed,
            each=next_part,
        )
    notices = []
    if folds and validation is None:
        notices.append(
            f"No cross-validation: {table.counts[target]} measured values of {target} are too few, "
            f"at least {max(10, folds)} are needed (ten, and one for each fold)."
        )
    stage("predicting and proposing")
    predictions = predict_table(post, table, seed)
    proposals = None
    try:
        proposals = propose_for(study, post, table, study.wants, seed)
    except CandidateError as error:
        notices.append(f"Nothing proposed: {error.got}.")
    return Fit(study, table, post, checks, validation, predictions, proposals, tuple(notices))


def predict_table(
    post: JointPosterior, table: Table, seed: int, kind: Any = "observation"
) -> pd.DataFrame:
    """Predict every row: what is measured in a row is known to the prediction of the rest.

    Columns: label, descriptors, and for each target its measured value, mean, std and 90 %
    interval; a measured target repeats its value with an interval of no width.
    """
    known = {t: table.y[:, j] for j, t in enumerate(table.targets) if t in post.targets}
    found = post.predict(table, kind=kind, given=known, seed=seed).to_frame(0.9)
    found = found.reset_index(drop=True)
    columns = dict(table.to_frame()[list(table.descriptors)])
    for target in post.targets:
        columns[target] = known.get(target, np.full(len(table), np.nan))
    for name in found.columns:
        columns[name] = found[name].to_numpy()
    for target in post.targets:
        known_here = np.isfinite(columns[target])
        columns[f"{target}_std"] = np.where(known_here, 0.0, columns[f"{target}_std"])
    return pd.DataFrame({"label": list(table.labels), **columns} if table.labels else columns)


def read_candidates(path: Path, study: Study, post: JointPosterior, every: bool) -> Table:
    """Read candidates; targets and labels may be there, and count as known.

    ``every`` descriptor is needed, or those without which no target is predicted.
    """
    cells, _ = study.described(read_cells(path), path.name)
    _notice_unused(cells, study, post, path.name)
    for target in post.targets:
        if target not in cells.columns:
            cells = cells.assign(**{target: ""})
    labels = study.labels if study.labels in cells.columns else None
    table = Table.from_frame(
        cells, post.descriptors, post.targets, labels, post.units, source=path.name
    )
    known = known_of(table, len(table), post.spec.design)
    lacking = np.isnan(table.x) if every else lacks(post.spec, table.x, known)
    refuse_lacking(lacking, post.descriptors, [f"line {i} of {path.name}" for i in cells.index])
    return table


def _notice_unused(cells: pd.DataFrame, study: Study, post: JointPosterior, source: str) -> None:
    """Say which columns of a file of candidates look like a target, and are none."""
    known = {*post.descriptors, *post.targets, study.labels}
    for name in (column for column in cells.columns if column not in known):
        near = difflib.get_close_matches(name, [t for t in post.targets if t not in cells], n=1)
        if near:
            text = f"column {name!r} of {source} is not used: did you mean {near[0]!r}?"
            warnings.warn(text, Notice, stacklevel=3)


def propose_for(
    study: Study,
    post: JointPosterior,
    table: Table,
    wants: dict[str, int],
    seed: int,
    candidates: Any = None,
) -> pd.DataFrame:
    """Propose for a study among ``candidates``, else among its own mesh or rows."""
    return propose(
        post,
        study.pool(table) if candidates is None else candidates,
        study.objective,
        wants,
        rules=study.rules,
        observed=table,
        seed=seed,
    )


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder beside ``path`` and move it there when all went well.

    Raises
    ------
    StudyError
        If ``path`` exists and is not to be overwritten, or holds other things than a fit.
    """
    path = path.resolve()
    check_folder(path, overwrite)
    made = [p for p in (path.parent, *path.parent.parents) if not p.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    old = work.with_name(f"{work.name}-old")
    done = False
    try:
        work.chmod(0o755)
        yield work
        check_folder(path, overwrite)  # another run may have finished meanwhile
        if path.exists():
            path.rename(old)
        try:
            work.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        done = True
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        if not done:
            for folder in made:
                folder.rmdir()


def check_folder(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that exists, unless it is an earlier fit to be overwritten."""
    if not path.exists():
        file = next((above for above in path.parents if above.is_file()), None)
        if file is not None:
            raise StudyError(
                "an output folder inside folders",
                f"{file.name!r} is a file",
                "a typing error in --out",
                "choose another --out",
            )
        return
    names = {p.name for p in path.iterdir()} if path.is_dir() else set()
    earlier = path.is_dir() and (DRAWS in names or not names)
    if overwrite and earlier and names - WRITTEN:
        raise StudyError(
            "a folder with nothing but an earlier fit, to be overwritten",
            f"other files in {path.name!r}: {sorted(names - WRITTEN)}",
            "results of your own were kept in the folder of the fit",
            "move them away, or choose another --out",
        )
    if not (overwrite and earlier):
        raise StudyError(
            "an output folder that does not exist yet",
            f"{str(path)!r}, which exists" + ("" if earlier else " and is not a fit"),
            "an earlier run" if earlier else "a name that is used for something else",
            "choose another --out" + (", or add --overwrite" if earlier else ""),
        )


def write(result: Fit, folder: Path, study_text: str) -> list[str]:
    """Write a fit into an empty folder and return the names of the files."""
    result.post.save(folder / DRAWS)
    (folder / STUDY).write_text(study_text, encoding="utf-8")
    (folder / "spec.json").write_text(result.post.spec.to_json(), encoding="utf-8")
    attrs = dict(result.post.idata.attrs)
    run = {key: attrs[key] for key in attrs if key not in ("spec", "versions")}
    run |= {"table_hash": result.table.digest, "versions": json.loads(attrs["versions"])}
    if result.validation is not None:
        cv = result.validation
        run |= {"prob": cv.prob, "failed_folds": list(cv.failed)}
    if result.proposals is not None and "objective" in result.proposals.attrs:
        told = result.proposals.attrs
        run["aim"] = f"{told['objective']}; {told['incumbent_from']}"
        if not told["improvement_likely"]:
            run["aim"] += ". No candidate is likely to be better than that"
    (folder / "run.json").write_text(json.dumps(run, indent=2), encoding="utf-8")
    frame = result.table.to_frame()
    if result.table.labels and result.study.labels:
        frame = frame.rename(columns={"label": result.study.labels})
    frame.to_csv(folder / ROWS, index=False)
    result.checks.to_frame().to_csv(folder / "checks.csv", index=False)
    result.predictions.to_csv(folder / "predictions.csv", index=False, float_format="%.6g")
    if result.proposals is not None:
        result.proposals.to_csv(folder / "proposals.csv", index=False, float_format="%.6g")
    if result.validation is not None:
        name = folder / "validation.csv"
        result.validation.frame.to_csv(name, index=False, float_format="%.6g")
        log = result.post.spec.design.transforms[-1] == "log"
        picture = plot_predictions(result.validation, result.study.units, log)
        picture.savefig(folder / "predictions.png")
    plot_parameters(result.post).savefig(folder / "parameters.png")
    plot_ranks(result.post).savefig(folder / "ranks.png")
    return sorted(path.name for path in folder.iterdir())


def load(folder: Path) -> tuple[Study, Table, JointPosterior]:
    """Read study, rows and posterior of a fit."""
    if not (folder / DRAWS).is_file():
        raise StudyError(
            f"a folder written by `claude-pymc fit`, with {DRAWS}",
            f"{folder.name!r}",
            "a typing error in the name, or a run that did not finish",
            "run `claude-pymc fit DATA.csv --study STUDY.toml --out DIR` first",
        )
    lost = [name for name in (STUDY, ROWS) if not (folder / name).is_file()]
    if lost:
        raise StudyError(
            f"a folder written by `claude-pymc fit`, with {STUDY} and {ROWS}",
            f"{folder.name!r} without {lost[0]}",
            "a file that was moved or deleted",
            "put it back, or fit again",
        )
    study = Study.from_toml(folder / STUDY)
    return study, study.table(folder / ROWS), JointPosterior.load(folder / DRAWS)
