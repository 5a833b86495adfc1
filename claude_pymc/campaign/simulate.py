"""Whole campaigns against known values, many times: how a rule would have done.

Each repeat is decided by its own seed, whatever runs beside it. Finished repeats are kept in a file
of lines, so that a run that was stopped goes on where it stood.
"""

from __future__ import annotations

import json
import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from claude_pymc.campaign.next_batch import Plan, Points, posterior_of, propose_by
from claude_pymc.errors import Notice
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.table import Table

Chooser = Callable[[Table, np.ndarray, np.random.Generator], Mapping[str, Sequence[int]]]


@dataclass(frozen=True, eq=False)
class Oracle:
    """Values that are known to us and hidden from the model.

    Parameters
    ----------
    frame : DataFrame (candidate, descriptor)
    targets : tuple of str
    values : array (candidate, target)
        NaN where a value cannot be had.
    noise : tuple of float
        Standard deviation of a measurement of each target.
    """

    frame: pd.DataFrame
    targets: tuple[str, ...]
    values: np.ndarray
    noise: tuple[float, ...]

    def table(self, measured: np.ndarray) -> Table:
        """Rows of measured values (candidate, target)."""
        rows = np.isfinite(measured).any(axis=1)
        x = self.frame.to_numpy(float)[rows]
        return Table(tuple(self.frame.columns), self.targets, x, measured[rows])


@dataclass(frozen=True)
class Run:
    """One simulated campaign.

    Parameters
    ----------
    found : bool
        Whether a value that counts as success was measured.
    samples, cheap : int
        Measurements of the primary target, the first ones included, and of all others, when it was.
    best : tuple of float
        Best value of the primary target after each of its measurements.
    """

    found: bool
    samples: int
    cheap: int
    best: tuple[float, ...]


def simulate_campaign(
    oracle: Oracle,
    choose: Chooser,
    first: np.ndarray,
    success: np.ndarray,
    utility: Callable[[np.ndarray], np.ndarray],
    most: int,
    rng: np.random.Generator,
) -> Run:
    """Run one campaign until success, or ``most`` measurements of the primary target.

    Parameters
    ----------
    oracle : Oracle
    choose : callable
        Given the rows so far, the measured values (candidate, target) and a generator, positions of
        the candidates to be measured, by target. It gives up with an empty mapping.
    first : boolean array (candidate, target)
        What is measured at first.
    success : boolean array (candidate)
        Candidates whose primary value is looked for.
    utility : callable
        Of values of the primary target; larger = better.
    most : int
    rng : Generator
        Of the noise and of the choices.

    Examples
    --------
    >>> at = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    >>> oracle = Oracle(at, ("exp",), np.array([[1.0], [3.0], [2.0]]), (0.0,))
    >>> up = lambda table, measured, rng: {"exp": [len(table)]}
    >>> first, last = np.array([[True], [False], [False]]), np.array([False, False, True])
    >>> simulate_campaign(oracle, up, first, last, lambda y: y, 9, np.random.default_rng(0)).samples
    3
    """
    measured = np.full(oracle.values.shape, np.nan)
    best: list[float] = []

    def measure(at: int, j: int) -> None:
        measured[at, j] = oracle.values[at, j] + oracle.noise[j] * rng.standard_normal()
        if j == measured.shape[1] - 1:
            top = float(utility(measured[np.isfinite(measured[:, j]), j]).max())
            best.append(top)

    for at, j in np.argwhere(first):
        measure(int(at), int(j))
    while True:
        done = np.isfinite(measured)
        samples, cheap = int(done[:, -1].sum()), int(done[:, :-1].sum())
        found = bool((done[:, -1] & success).any())
        if found or samples >= most:
            return Run(found, samples, cheap, tuple(best))
        chosen = choose(oracle.table(measured), measured, rng)
        if not any(len(at) for at in chosen.values()):
            return Run(False, samples, cheap, tuple(best))
        for target in reversed(oracle.targets):
            for at in chosen.get(target, ()):
                measure(int(at), oracle.targets.index(target))


def by_plan(
    plan: Plan, oracle: Oracle, specify: Callable[[Table], JointGaussian] | None = None
) -> Chooser:
    """Choose as a plan says; ``specify`` declares the model anew from the rows of each turn."""

    def choose(
        table: Table, measured: np.ndarray, rng: np.random.Generator
    ) -> Mapping[str, Sequence[int]]:
        seed = int(rng.integers(2**31))
        now = plan if specify is None else replace(plan, spec=specify(table))
        candidates = oracle.frame.assign(**dict(zip(oracle.targets, measured.T, strict=True)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # nobody is there to be told
            post, _ = posterior_of(now, table, seed)
            found = propose_by(now, post, candidates, table, Points(), seed)
        return {str(t): list(rows["candidate"]) for t, rows in found.groupby("target")}

    return choose


def repeats(
    one: Callable[[Any], dict[str, Any]],
    jobs: Iterable[Any],
    path: Path,
    *,
    workers: int = 2,
    each: Callable[[int, int], object] = lambda done, of: None,
) -> pd.DataFrame:
    """Do jobs in parallel and keep each result as it comes; those that are kept are not done again.

    Parameters
    ----------
    one : callable
        A function of a module, of a job (a list of plain values); returns plain values.
    jobs : iterable
    path : Path
        File of lines, one for each finished job.
    workers : int
        Processes; each has one thread for linear algebra.
    each : callable
        Told how many are done, of how many.

    Returns
    -------
    DataFrame
        One row per job, in their order.
    """
    jobs = [list(job) for job in jobs]
    kept = _kept(path)
    left = [job for job in jobs if json.dumps(job) not in kept]
    each(len(jobs) - len(left), len(jobs))
    # Spawned, not forked: numba and BLAS have threads of their own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool, path.open("a") as file:
        waiting = {pool.submit(_alone, one, job): job for job in left}
        for finished in as_completed(waiting):
            job = waiting[finished]
            kept[json.dumps(job)] = finished.result()
            file.write(json.dumps({"job": job, "result": kept[json.dumps(job)]}) + "\n")
            file.flush()
            each(sum(json.dumps(job) in kept for job in jobs), len(jobs))
    return pd.DataFrame([kept[json.dumps(job)] for job in jobs])


def _alone(one: Callable[[Any], dict[str, Any]], job: Any) -> dict[str, Any]:
    with threadpool_limits(1):
        return one(job)


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """Results of an earlier run; a last line that was cut short does not count."""
    kept: dict[str, dict[str, Any]] = {}
    if path.exists():
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            kept[json.dumps(entry["job"])] = entry["result"]
    return kept
