"""`make bench-accuracy`: this package beside its peers on real data; to out/accuracy.csv.

    python tests/benchmarks/accuracy.py [--cases elV ...] [--tasks A ...] [--only METHOD ...]
                                        [--fresh] [--seed NUMBER]

Another seed makes other partitions of the same rows, on which nothing was settled: figures of peers
that need other packages are left out then, and files are named by the seed.

Peers that were run before on the same rows are taken from out/accuracy_cache.csv (all of them are
run again with --fresh, those of --only in any case); ours is always run anew, unless --only names
others. `accuracy_cases.py` says what is predicted from what, `accuracy_peers.py` by whom;
`accuracy_extra.csv` holds figures of peers that need other packages, by `accuracy_extra.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import warnings
from pathlib import Path

import accuracy_peers
import numpy as np
import pandas as pd
from accuracy_cases import CASES, SEED, TASKS, folds
from accuracy_scores import KEY, OURS, PROB, SCORES, Predictive, Tested, report, score
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

import claude_pymc as cp

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "out"
EXTRA = HERE / "accuracy_extra.csv"


def ours(
    x: np.ndarray,
    sim: np.ndarray,
    exp: np.ndarray,
    test: np.ndarray,
    names: tuple[str, ...],
    case: str,
) -> Predictive:
    """Predict the experiment in the rows of ``test`` by this package, one setting for all cases.

    ``case`` is for the messages of whoever looks for a better setting; a setting that hangs on it
    would be chosen on the test rows.
    """
    table = cp.Table(names, ["sim", "exp"], x, np.column_stack([sim, exp]))
    post = cp.fit(table, seed=0)
    asked, given = table.rows(test), {"sim": sim[test]}
    centre = post.predict(asked, given=given).mean().sel(target="exp").to_numpy()
    ends = post.predict(asked, kind="observation", given=given, seed=1).interval(PROB)
    lower, upper = ends.sel(target="exp").to_numpy().T

    def log_density(truth: np.ndarray) -> np.ndarray:
        measured = cp.Table(names, ["exp"], x[test], truth[:, None])
        return post.log_predictive_density(measured, "exp", given)

    return Predictive(centre, lower, upper, log_density)


def run(
    cases: list[str],
    tasks: list[str],
    only: list[str],
    known: dict[tuple, dict],
    cache: Path,
    console: Console,
    seed: int,
) -> pd.DataFrame:
    """Run what is wanted and return all that is known, one line per fold and method."""
    work = [
        (c, t, fold, *rows) for c in cases for t in tasks for fold, rows in _numbered(c, t, seed)
    ]
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        job = bar.add_task("", total=len(work))
        for case, task, fold, digest, rows in work:
            for method in (*accuracy_peers.methods_of(task), OURS):
                key = (case, task, fold, method)
                again = method in only if only else method == OURS
                if not again and (only or (key in known and known[key]["digest"] == digest)):
                    continue
                bar.update(job, description=f"{case} {task} {fold}: {method}")
                said: list[str] = []
                known[key] = {"digest": digest, **_scored(method, case, rows, said)}
                for text in said:
                    bar.console.print(f"{case} {task} {fold}: {text}", style="dim", markup=False)
            _frame(known, digest=True).to_csv(cache, index=False)
            bar.advance(job)
    return _frame(known)


def _numbered(case: str, task: str, seed: int):
    """Yield the number of each fold, from 1, with its digest and its rows."""
    for fold, rows in enumerate(folds(case, task, seed), 1):
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(r).tobytes() for r in rows))
        yield fold, (digest.hexdigest()[:16], rows)


def _scored(method: str, case: str, rows: tuple, said: list[str]) -> dict[str, float]:
    """Score one method on one fold; ``said`` takes the warnings."""
    x, sim, exp, test, truth = rows
    start = time.perf_counter()
    if method == OURS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = ours(x, sim, exp, test, CASES[case].names, case)
        said += dict.fromkeys(str(w.message) for w in caught)
        seconds = time.perf_counter() - start
    else:
        found, seconds = accuracy_peers.predict(method, x, sim, exp, test)
    return {**score(found, truth[test]), "seconds": seconds}


def _kept(cache: Path) -> dict[tuple, dict]:
    """Figures of an earlier run."""
    if not cache.exists():
        return {}
    frame = pd.read_csv(cache).set_index(KEY)
    return dict(zip(frame.index, frame.to_dict("records"), strict=True))


def _frame(known: dict[tuple, dict], digest: bool = False) -> pd.DataFrame:
    rows = [dict(zip(KEY, key, strict=True)) | value for key, value in sorted(known.items())]
    return pd.DataFrame(rows, columns=KEY + SCORES + ["digest"] * digest)


def tested(seed: int = SEED) -> Tested:
    """Test rows by case, task and fold, of the partitions of a seed."""
    return {
        (case, task, fold): rows[3]
        for case in CASES
        for task in TASKS
        for fold, rows in enumerate(folds(case, task, seed), 1)
    }


def main() -> None:
    """Run, write the table and the summary."""
    methods = [*accuracy_peers.PEERS, *accuracy_peers.PROPAGATED, OURS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--only", nargs="+", choices=methods, default=[], metavar="METHOD")
    parser.add_argument("--seed", type=int, default=SEED, help="of the partitions")
    parser.add_argument("--fresh", action="store_true", help="forget what was run before")
    args = parser.parse_args()
    console = Console()
    own = args.seed == SEED
    OUT.mkdir(exist_ok=True)
    suffix = "" if own else f"_{args.seed}"
    cache = OUT / f"accuracy_cache{suffix}.csv"
    table = run(
        args.cases,
        args.tasks,
        args.only,
        {} if args.fresh else _kept(cache),
        cache,
        console,
        args.seed,
    )
    if own and EXTRA.exists():
        table = pd.concat([table, pd.read_csv(EXTRA, comment="#")], ignore_index=True)
    order = [list(CASES), list(TASKS)]
    table = table.sort_values(
        KEY[:3],
        key=lambda column: (
            column.map(order[KEY.index(column.name)].index) if column.name in KEY[:2] else column
        ),
        kind="stable",
    )
    table.round(5).to_csv(OUT / f"accuracy{suffix}.csv", index=False)
    text = report(table, tested(args.seed), accuracy_peers.PEERS)
    (OUT / f"summary{suffix}.txt").write_text(text, encoding="utf-8")
    console.print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
