"""Two peers that need heavy packages, on the folds of `make bench-accuracy`; writes a CSV beside.

    python tests/benchmarks/accuracy_extra.py [--only METHOD ...] [--cases elV ...] [--minutes 15]
                                              [--fresh]

Folds that are in accuracy_extra.csv are not run again without --fresh. Needs botorch and smt, best
in an environment of their own, with this repository on PYTHONPATH: run with botorch 0.18.1, torch
2.13.0 for CPU, smt 2.15.0 and Python 3.11, one thread, in double precision. Folds are run in turn,
the first ones of all tasks first, until --minutes are over for a method and a case. In the file are
all folds but those of "ICM, by task" on binary compounds (it differed from ICM by less than 0.01 in
rmse on the first of them, and an exact process of 1170 values takes minutes for each).

ICM: `MultiTaskGP` of BoTorch, simulation and experiment as two tasks, as it comes: descriptors
scaled to [0, 1], both tasks standardised together. ICM, by task: each task standardised by itself.
Simulations that are known in test rows are among its rows.

MFK: recursive co-kriging of SMT, squared-exponential, with noise (`eval_noise`). Its variance
leaves out the noise of an observation, which is added. Ten starts, the default; two where there are
more than 500 rows, for the sake of time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accuracy_cases import CASES, TASKS, Fold, folds
from accuracy_scores import KEY, SCORES, gaussian, score
from botorch.fit import fit_gpytorch_mll
from botorch.models import MultiTaskGP
from botorch.models.transforms.outcome import Standardize, StratifiedStandardize
from gpytorch.mlls import ExactMarginalLogLikelihood
from smt.applications import MFK

CSV = Path(__file__).with_suffix(".csv")
MANY = 500


def icm(rows: Fold, *, by_task: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the experiment in the test rows, by intrinsic coregionalisation."""
    x, sim, exp, test, _ = rows
    torch.manual_seed(0)
    x = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    have = [np.flatnonzero(np.isfinite(values)) for values in (sim, exp)]
    features = np.vstack(
        [np.column_stack([x[of], np.full(len(of), task)]) for task, of in enumerate(have)]
    )
    values = np.concatenate([sim[have[0]], exp[have[1]]])[:, None]
    n = x.shape[1]
    scaling = StratifiedStandardize(n, torch.tensor([0, 1])) if by_task else Standardize(1)
    model = MultiTaskGP(
        torch.tensor(features), torch.tensor(values), task_feature=-1, outcome_transform=scaling
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    asked = torch.tensor(np.column_stack([x[test], np.ones(len(test))]))
    with torch.no_grad():
        found = model.posterior(asked, observation_noise=True)
        return found.mean.numpy()[:, 0], found.variance.sqrt().numpy()[:, 0]


def mfk(rows: Fold) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the experiment in the test rows, by co-kriging."""
    x, sim, exp, test, _ = rows
    cheap, dear = np.isfinite(sim), np.isfinite(exp)
    model = MFK(
        theta0=[1e-2] * x.shape[1],
        eval_noise=True,
        hyper_opt="Cobyla",
        n_start=2 if cheap.sum() > MANY else 10,
        seed=0,
        print_global=False,
    )
    model.set_training_values(x[cheap], sim[cheap, None], name=0)
    model.set_training_values(x[dear], exp[dear, None])
    with contextlib.redirect_stdout(io.StringIO()):
        model.train()
    variance = np.maximum(model.predict_variances(x[test]).ravel(), 0.0)
    noise = model.optimal_par[-1]["sigma2"] * model.optimal_noise_all[-1]
    return model.predict_values(x[test]).ravel(), np.sqrt(variance + np.ravel(noise))


METHODS = {"ICM": icm, "ICM, by task": lambda rows: icm(rows, by_task=True), "MFK": mfk}


def in_turn(case: str) -> Iterator[tuple[str, int, Fold]]:
    """Yield the first folds of all tasks, then the second ones, and so on."""
    found = [(task, i, rows) for task in TASKS for i, rows in enumerate(folds(case, task), 1)]
    yield from sorted(found, key=lambda one: one[1])


def run(method: str, case: str, minutes: float, known: pd.DataFrame) -> pd.DataFrame:
    """Add to what is known as many folds of a method as there is time for."""
    begun = time.perf_counter()
    have = set(known[KEY].itertuples(index=False, name=None))
    for task, fold, rows in in_turn(case):
        key = (case, task, fold, method)
        start = time.perf_counter()
        if key in have or start - begun > 60 * minutes:
            continue
        mean, sd = METHODS[method](rows)
        seconds = time.perf_counter() - start
        scores = score(gaussian(mean, sd), rows[4][rows[3]])
        line = pd.DataFrame([(*key, *scores.values(), seconds)], columns=KEY + SCORES).round(5)
        known = pd.concat([known, line], ignore_index=True)
        known = known.sort_values([*KEY[:2], "method", "fold"])
        text = "# By accuracy_extra.py, which says with which versions.\n"
        CSV.write_text(text + known.to_csv(index=False), encoding="utf-8")
        print(*key, f"{scores['rmse']:.3f} {scores['lpd']:.3f}", flush=True)
    return known


def main() -> None:
    """Run what is not in the file, and write it there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--minutes", type=float, default=15.0, help="for each method and case")
    parser.add_argument("--fresh", action="store_true", help="run what is in the file, too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # optimisers that stop at a bound
    torch.set_default_dtype(torch.double)
    torch.set_num_threads(1)
    known = pd.read_csv(CSV, comment="#") if CSV.exists() else pd.DataFrame(columns=KEY + SCORES)
    if args.fresh:
        known = known[~(known["case"].isin(args.cases) & known["method"].isin(args.only))]
    for case in args.cases:
        for method in args.only:
            known = run(method, case, args.minutes, known)


if __name__ == "__main__":
    main()
