"""How a prediction is scored, and what the scores of all methods say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm

KEY = ["case", "task", "fold", "method"]
SCORES = ["rmse", "mae", "lpd", "coverage90", "width", "seconds"]
OURS = "claude_pymc"
PROB = 0.9
SLACK = 1.03  # of the root mean square error of the best peer
FEWEST = 3  # folds of which a peer is compared with us

Tested = dict[tuple[str, str, int], np.ndarray]  # test rows by case, task and fold


@dataclass(frozen=True, eq=False)
class Predictive:
    """A prediction of test rows: mean and ends of the 90 % interval, each (row,).

    ``log_density`` takes the true values (row,) and gives the log predictive density of each,
    in nats, in the unit of the target.
    """

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log_density: Callable[[np.ndarray], np.ndarray]


def gaussian(mean: np.ndarray, sd: np.ndarray) -> Predictive:
    """Return a prediction that is normal in each row."""
    half = norm.ppf((1 + PROB) / 2) * sd
    return Predictive(mean, mean - half, mean + half, lambda truth: norm.logpdf(truth, mean, sd))


def score(found: Predictive, truth: np.ndarray) -> dict[str, float]:
    """Score the test rows of one fold."""
    error = found.mean - truth
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "lpd": float(np.mean(found.log_density(truth))),
        "coverage90": float(np.mean((found.lower <= truth) & (truth <= found.upper))),
        "width": float(np.mean(found.upper - found.lower)),
    }


def by_method(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over folds of each method of each case and task, and the number of folds."""
    grouped = table.groupby(KEY[:2] + KEY[3:], sort=False)
    return grouped[SCORES].mean().assign(folds=grouped.size())


def paired(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Ours minus each peer over the folds they share: mean, standard error, ours and theirs.

    Indexed by case, task and method; peers of fewer than three such folds are left out.
    """
    wide = table.pivot(index=KEY[:3], columns="method", values=column)
    rows = []
    for case, task in table[KEY[:2]].drop_duplicates().to_numpy():
        part = wide.loc[(case, task)]
        for method in part.columns.drop(OURS):
            shared = part[[OURS, method]].dropna()
            if len(shared) >= FEWEST:
                gap = shared[OURS] - shared[method]
                rows.append((case, task, method, gap.mean(), gap.sem(), *shared.mean()))
    columns = ["case", "task", "method", "behind", "se", "ours", "theirs"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def versus(table: pd.DataFrame) -> pd.DataFrame:
    """Ours beside the peer with the best rmse and the peer with the best lpd, one row per task.

    The best peer is the one that leads us by most over the folds that both were run on.
    """
    rmse, lpd = paired(table, "rmse"), paired(table, "lpd")
    rows = []
    for case, task in dict.fromkeys((case, task) for case, task, _ in rmse.index):
        one, other = (t.xs(task, level=1).xs(case, level=0) for t in (rmse, lpd))
        best, likely = (one["ours"] / one["theirs"]).idxmax(), other["behind"].idxmin()
        one, other = one.loc[best], other.loc[likely]
        rows.append(
            {
                "case": case,
                "task": task,
                "rmse": one["ours"],
                "best peer": best,
                "its rmse": one["theirs"],
                "rmse diff": one["behind"],
                "rmse se": one["se"],
                "ratio": one["ours"] / one["theirs"],
                "rmse ok": one["ours"] <= SLACK * one["theirs"],
                "lpd": other["ours"],
                "likeliest peer": likely,
                "its lpd": other["theirs"],
                "lpd diff": other["behind"],
                "lpd se": other["se"],
                "lpd ok": other["behind"] >= -other["se"],
            }
        )
    return pd.DataFrame(rows)


def coverage(table: pd.DataFrame, tested: Tested) -> pd.DataFrame:
    """Coverage of each method by task and in all, pooled over cases, each test of a row counted.

    The Wilson interval (95 %) is for as many trials as there are different rows: a row that was
    tested in many folds and tasks is one trial.
    """
    rows = {}
    for method, part in table.groupby("method", sort=False):
        keys = [tuple(key) for key in part[KEY[:3]].to_numpy()]
        n = np.array([len(tested[key]) for key in keys])
        inside = np.rint(part["coverage90"].to_numpy() * n)
        distinct = len({(case, row) for case, *rest in keys for row in tested[case, *rest]})
        share = inside.sum() / n.sum()
        ends = binomtest(round(share * distinct), distinct).proportion_ci(method="wilson")
        rows[method] = {
            **{t: inside[w].sum() / n[w].sum() for t, w in _places(part["task"])},
            **{"all": share, "low": ends.low, "high": ends.high, "rows": distinct},
        }
    order = [*sorted(table["task"].unique()), "all", "low", "high", "rows"]
    return pd.DataFrame.from_dict(rows, orient="index")[order]


def _places(column: pd.Series) -> list[tuple[str, np.ndarray]]:
    """Give each value in alphabetical order with the positions where it stands."""
    return [(value, np.flatnonzero(column == value)) for value in sorted(column.unique())]


def count(against: pd.DataFrame) -> str:
    """Say in how many cases and tasks we are as good as the best peer."""
    if against.empty:
        return "not run"
    both = against["rmse ok"] & against["lpd ok"]
    return (
        f"lpd above the best peer's or within one standard error: {against['lpd ok'].sum()} of "
        f"{len(against)}; rmse at most {SLACK} of the best peer's: {against['rmse ok'].sum()}; "
        f"both: {both.sum()}"
    )


def report(table: pd.DataFrame, tested: Tested, plain: Sequence[str]) -> str:
    """Write the summary; ``plain`` names the peers that are also counted by themselves."""
    parts = []
    for (case, task), part in by_method(table).groupby(level=[0, 1], sort=False):
        part = part.droplevel([0, 1]).sort_values("rmse")
        parts.append(f"{case} {task}, mean over folds\n{_text(part)}")
    if OURS in set(table["method"]) and len(paired(table, "rmse")):
        against = versus(table).set_index(KEY[:2])
        few = versus(table[table["method"].isin([OURS, *plain])])
        parts.append(
            "Ours beside the best of all peers by rmse and by lpd; differences are ours minus\n"
            "theirs, paired by fold, with standard errors over folds. The best of many on the\n"
            f"same folds is flattered.\n{_text(against)}"
        )
        parts.append(f"{count(against)}\nof the {len(plain)} plain peers alone: {count(few)}")
    parts.append(f"Coverage of 90 % intervals, pooled over cases\n{_text(coverage(table, tested))}")
    return "\n\n".join(parts) + "\n"


def _text(frame: pd.DataFrame) -> str:
    return frame.to_string(float_format=lambda v: f"{v:.3f}")
