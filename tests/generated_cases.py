"""What a person does with a study and a table, good or broken: to the end, or to our error."""

from __future__ import annotations

import warnings

import numpy as np

import claude_pymc as cp
from claude_pymc.errors import CandidateError, ClaudeError, Notice, PosteriorWarning
from claude_pymc.study import Study
from claude_pymc.tables.statistics import PatternStats

STAGES = ("study", "table", "spec", "pool", "done")


def walk(study: bytes, rows: bytes, path):
    """Read both files and go on to the pool; the stage that refused them, and what was made."""
    (path / "study.toml").write_bytes(study)
    (path / "rows.csv").write_bytes(rows)
    stage = "study"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            found = Study.from_toml(path / "study.toml")
            stage = "table"
            table = found.table(path / "rows.csv")
            stage = "spec"
            spec = found.spec(table)
            stats = PatternStats.from_table(table, spec.design)
            assert np.isfinite(stats.grams).all()
            assert spec.describe()
            stage = "pool"
            pool = found.pool(table)
            assert len(pool) >= 0
    except ClaudeError as error:
        assert_says(error)
        return stage, None
    return "done", (found, table, spec, stats, pool)


def go_on(found, table, spec, stats, pool):
    """Sample, predict and propose; True if nothing was refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            warnings.simplefilter("ignore", PosteriorWarning)
            tree = cp.sample(spec, stats, method="exact", draws=25, chains=2, seed=1)
            ask(cp.JointPosterior(tree, spec), found, table, pool)
    except ClaudeError as error:
        assert_says(error)
        return False
    return True


def by_default(found, table):
    """Fit by the automatic default and predict; True if nothing was refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            warnings.simplefilter("ignore", PosteriorWarning)
            post = cp.fit(table, draws=25, chains=2, seed=1, transforms=found.transforms)
            ask(post, found, table, table)
    except ClaudeError as error:
        assert_says(error)
        return False
    return True


def ask(post, found, table, pool):
    """Predict the rows and propose from the pool; often nothing is left to be proposed."""
    mean = post.predict(table, seed=1).to_frame(0.9)
    assert np.isfinite(mean.to_numpy(dtype=float)).all()
    try:
        chosen = cp.propose(
            post, pool, found.objective, found.wants, rules=found.rules, observed=table, seed=1
        )
    except CandidateError as error:
        assert_says(error)
        return
    assert len(chosen) <= sum(found.wants.values())


def assert_says(error):
    """One of our errors says four things, in text that can be written to a file."""
    for part in (error.expected, error.got, error.cause, error.todo):
        assert isinstance(part, str) and part.strip()
    text = str(error)
    assert f"to do {error.todo}" in text
    text.encode("utf-8")
