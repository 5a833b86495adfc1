"""The page of a fit that lies in a folder: what the command `claude-pymc report` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from claude_pymc.acquisition.propose import WORDS
from claude_pymc.errors import StudyError
from claude_pymc.joint.crossvalidation import CrossValidation
from claude_pymc.review.report import report
from claude_pymc.review.verdict import Diagnostics
from claude_pymc.run import REPORT, ROWS, STUDY, Stage, load

PROB = 0.9  # of the intervals of hidden rows, where the folder does not say
SCRIPT = '''"""Fits again what this folder holds; run it in the folder."""

import claude_pymc as cp

study = cp.Study.from_toml("{study}")
table = study.table("{rows}")
spec = study.spec(table)
stats = cp.PatternStats.from_table(table, spec.design, rows=spec.needs == "rows")
assert stats.digest == "{digest}", "other rows, or another study"
idata = cp.sample(spec, stats, draws={draws}, chains={chains}, seed={seed})
print(cp.diagnose(idata, table))
'''


def write_report(
    folder: Path,
    out: Path | None = None,
    *,
    checks: Diagnostics | None = None,
    overwrite: bool = False,
    stage: Stage = lambda name: None,
) -> tuple[Path, Diagnostics]:
    """Write the page of a fit, by default into its folder; return where it is, and its checks."""
    stage("reading the fit")
    study, table, post = load(folder)
    attrs, posterior = post.idata.attrs, post.idata["posterior"]
    spec = study.spec(table)
    if spec.to_json() != post.spec.to_json():
        raise StudyError(
            f"the study and the rows that {folder.name!r} was fitted with",
            "a model that they no longer make",
            f"{STUDY} or {ROWS} was edited after the fit",
            "fit again into another folder",
        )
    about = folder / "run.json"
    run = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    hidden = _written(folder, "validation.csv", ("measured", "mean", "lower", "upper"))
    cv = None
    if hidden is not None:
        failed = tuple(run.get("failed_folds", ()))
        cv = CrossValidation(study.targets[-1], run.get("prob", PROB), hidden, failed)
    proposals = _written(folder, "proposals.csv", ("target", "mean", "lower90", "upper90", "rule"))
    if proposals is not None:
        why = [WORDS.get(rule, rule) for rule in proposals["rule"]]
        proposals = proposals.assign(why=why).drop(columns="rule")
    target = study.targets[-1]
    predictions = _written(folder, "predictions.csv", (target, f"{target}_lower90"))
    if predictions is not None and predictions[target].isna().any():
        predictions = predictions[predictions[target].isna()]
    script = SCRIPT.format(
        study=STUDY,
        rows=ROWS,
        digest=attrs.get("data_hash", ""),
        draws=posterior.sizes["draw"],
        chains=posterior.sizes["chain"],
        seed=attrs.get("seed"),
    )
    path = folder / REPORT if out is None else out
    found = report(
        post,
        path,
        table,
        title=study.title,
        question=study.description,
        candidates=study.pool(table) if study.candidates else None,
        predictions=predictions,
        proposals=proposals,
        aim=run.get("aim", ""),
        validation=cv,
        script=script,
        facts={"hash of the rows": table.digest},
        checks=checks,
        overwrite=overwrite,
        stage=stage,
    )
    return path, found


def _written(folder: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
    """Read a table that a fit has written; None if it is no longer there.

    Raises
    ------
    StudyError
        If it lacks a column.
    """
    path = folder / name
    if not path.is_file():
        return None
    try:  # a label may be NA, or 001
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"label": str})
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    lost = [column for column in columns if column not in frame.columns]
    if lost:
        raise StudyError(
            f"{name} with the columns {list(columns)}",
            f"{list(frame.columns)}, without {lost[0]!r}",
            "a file that was edited, or written by another version",
            "delete it, and the report goes without; or fit again",
        )
    return frame
