"""Three tables, three tasks: who knows what when the experiment is predicted.

Targets are the logarithm of a volume (elV) and of a bulk modulus (elB) of the elements, and the
band gap of binary compounds in eV (binary); each was simulated in most rows and measured in some.
In `elements.csv` He, Ne and Ar have no electronegativity: the mean of their group (of Kr, Xe and
Rn, 2.6) stands there. `data/README.md` has sources and licences.

A  five folds over the rows that have both values; test rows lose the experiment, their simulation
   is known.
B  five folds over the rows that have an experiment; test rows lose both values.
C  ten repeats; of the rows that have both values 10 (binary: 20), drawn at random, keep their
   experiment, the others are the test; the simulation is known wherever there is one.

In A rows that were never simulated stay among the training rows; in C they lose their experiment.
Repeats of C share training and test rows, so that standard errors over them are too small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from claude_pymc.datasets import load_dataset
from claude_pymc.tables.table import Table

SEED = 20250
TASKS = {"A": 5, "B": 5, "C": 10}  # number of folds
KEPT = {"elV": 10, "elB": 10, "binary": 20}  # experiments of task C
ELEMENT = ("period", "group", "electronegativity_filled", "covalent_radius", "mass")
COMPOUND = ("mean_X", "std_X", "max_diff_X", "mean_Z", "mean_mass", "mean_row", "mean_group")


@dataclass(frozen=True, eq=False)
class Case:
    """Descriptors ``x`` (row, descriptor), and both values of each row, NaN where there is none."""

    names: tuple[str, ...]
    x: np.ndarray
    sim: np.ndarray
    exp: np.ndarray

    @property
    def table(self) -> Table:
        """All rows."""
        return Table(self.names, ["sim", "exp"], self.x, np.column_stack([self.sim, self.exp]))


def _case(name: str) -> Case:
    if name == "binary":
        frame, names, columns = load_dataset("binary_bandgap"), COMPOUND, ("y_sim", "y_exp")
        # Folds by rows are folds by formula.
        assert frame["formula"].is_unique
    else:
        quantity = {"elV": "volume", "elB": "bulk_modulus"}[name]
        frame, names = load_dataset("elements"), ELEMENT
        columns = (f"{quantity}_sim", f"{quantity}_exp")
    values = frame[list(columns)].to_numpy(float)
    sim, exp = (values if name == "binary" else np.log(values)).T
    return Case(names, frame[list(names)].to_numpy(float), sim, exp)


CASES = {name: _case(name) for name in KEPT}

Fold = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def folds(case: str, task: str, seed: int = SEED) -> Iterator[Fold]:
    """Yield X (n, d), sim (n,), exp (n,) with NaN = hidden, test (indices) and truth (n,)."""
    data = CASES[case]
    measured = np.flatnonzero(np.isfinite(data.exp))
    both = np.flatnonzero(np.isfinite(data.exp) & np.isfinite(data.sim))
    rng = np.random.default_rng(seed)
    if task == "C":
        for _ in range(TASKS[task]):
            kept = np.sort(rng.choice(both, KEPT[case], replace=False))
            exp = np.full_like(data.exp, np.nan)
            exp[kept] = data.exp[kept]
            yield data.x, data.sim.copy(), exp, np.setdiff1d(both, kept), data.exp
        return
    rows = both if task == "A" else measured
    for test in np.array_split(rng.permutation(rows), TASKS[task]):
        test = np.sort(test)
        sim, exp = data.sim.copy(), data.exp.copy()
        exp[test] = np.nan
        if task == "B":
            sim[test] = np.nan
        yield data.x, sim, exp, test, data.exp
