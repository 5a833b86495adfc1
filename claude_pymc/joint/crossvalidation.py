"""Predict rows that were hidden: the honest figure for one's own data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from claude_pymc.errors import SamplingError
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.sampling import Sampler
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Predictions of the primary target in rows whose value was hidden from the fit.

    Parameters
    ----------
    target : str
    prob : float
        Content of the intervals.
    frame : DataFrame
        One row per measured value: label, fold (counted from 1), measured, mean (under Student-t
        noise: the median), lower, upper in the units of the target; ``error`` and ``log_density``
        on the transformed scale (log y for a target modelled by its logarithm).
    failed : tuple of str
        Convergence checks that failed, by fold; empty if all folds may be believed.
    """

    target: str
    prob: float
    frame: pd.DataFrame
    failed: tuple[str, ...] = ()

    @property
    def rmse(self) -> float:
        """Root mean square error on the transformed scale."""
        return float(np.sqrt(np.mean(self.frame["error"] ** 2)))

    @property
    def rmse_se(self) -> float:
        """Standard error of the root mean square error, by the delta method."""
        square = self.frame["error"] ** 2
        return float(square.std(ddof=1) / np.sqrt(len(square)) / (2 * self.rmse))

    @property
    def log_density(self) -> float:
        """Mean log predictive density on the transformed scale."""
        return float(self.frame["log_density"].mean())

    @property
    def log_density_se(self) -> float:
        """Standard error of the mean log predictive density."""
        return float(self.frame["log_density"].std(ddof=1) / np.sqrt(len(self.frame)))

    @property
    def covered(self) -> int:
        """Number of measured values inside their interval."""
        inside = self.frame["measured"].between(self.frame["lower"], self.frame["upper"])
        return int(inside.sum())

    @property
    def coverage(self) -> float:
        """Fraction of measured values inside their interval."""
        return self.covered / len(self.frame)

    def coverage_interval(self) -> tuple[float, float]:
        """Wilson interval (95 %) of the coverage."""
        from scipy.stats import binomtest

        ends = binomtest(self.covered, len(self.frame)).proportion_ci(method="wilson")
        return float(ends.low), float(ends.high)


def cross_validate(
    sampler: Sampler,
    table: Table,
    *,
    folds: int = 5,
    seed: int = 0,
    prob: float = 0.9,
    draws: int = 1000,
    each: Callable[[], object] | None = None,
) -> CrossValidation:
    """Hide the primary target in one fold after the other and predict it.

    Other targets of the hidden rows stay known, both to the fit and to the prediction. The scaling
    of the design is kept; it knows range, mean and sd of all rows, hidden ones included.

    Parameters
    ----------
    sampler : Sampler
    table : Table
        With the targets of the sampler's design.
    folds : int
    seed : int
        Of the folds and of the draws.
    prob : float
        Content of the predictive intervals.
    draws : int
        Kept draws per chain.
    each : callable, optional
        Called after each fold, for a progress bar.

    Examples
    --------
    >>> table = cp.Study.named("perovskite").table()
    >>> spec = cp.Study.named("perovskite").spec(table)
    >>> cv = cross_validate(cp.Sampler(spec), table, folds=5)
    >>> cv.frame["measured"].between(cv.frame["lower"], cv.frame["upper"]).mean() > 0.5
    np.True_
    """
    design = sampler.spec.design
    target = design.targets[-1]
    measured = np.flatnonzero(np.isfinite(table.y[:, table.targets.index(target)]))
    if not 2 <= folds <= len(measured):
        raise SamplingError(
            f"between 2 and {len(measured)} folds",
            f"{folds}",
            f"{target!r} was measured in {len(measured)} rows",
            "use fewer folds, or measure more",
        )
    streams = np.random.SeedSequence(seed).spawn(folds + 1)
    parts = np.array_split(np.random.default_rng(streams[-1]).permutation(measured), folds)
    found, failed = [], []
    for fold, rows in enumerate(map(np.sort, parts), 1):
        train = table.without(target, rows)
        train = train.rows(np.isfinite(train.y).any(axis=1))
        stats = PatternStats.from_table(train, design, rows=sampler.spec.needs == "rows")
        first, second = (int(n) for n in streams[fold - 1].generate_state(2))
        idata = sampler.draw(stats, seed=first, draws=draws)
        failed += [f"fold {fold}: {check}" for check in convergence(idata) if not check.passed]
        post = JointPosterior(idata, sampler.spec)
        test = table.rows(rows)
        given = {t: test.y[:, table.targets.index(t)] for t in table.targets if t != target}
        known = {t: v for t, v in given.items() if t in design.targets}
        prediction = post.predict(test, kind="observation", given=known, seed=second)
        centre = post.predict(test, kind="mean", given=known).draws.sel(target=target)
        middle = prediction.median() if target in prediction.heavy else prediction.mean()
        ends = prediction.interval(prob).sel(target=target)
        truth = test.y[:, table.targets.index(target)]
        found.append(
            pd.DataFrame(
                {
                    "label": list(test.labels) or rows,
                    "fold": fold,
                    "measured": truth,
                    "mean": middle.sel(target=target).to_numpy(),
                    "lower": ends.sel(bound="lower").to_numpy(),
                    "upper": ends.sel(bound="upper").to_numpy(),
                    "error": _transformed_error(sampler, centre.to_numpy(), truth),
                    "log_density": post.log_predictive_density(test, target, known),
                }
            )
        )
        if each is not None:
            each()
    return CrossValidation(target, prob, pd.concat(found, ignore_index=True), tuple(failed))


def _transformed_error(sampler: Sampler, draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Posterior mean minus measured value of the primary target, both after its transform."""
    design = sampler.spec.design
    if design.transforms[-1] == "log":
        return np.log(draws).mean(axis=0) - np.log(truth)
    return draws.mean(axis=0) - truth
