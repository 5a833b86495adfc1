"""`make accuracy`: elements, this package beside three peers on the same rows, folds and terms; to
out/elements.csv.

Ten partitions into five folds, so that the figure does not hang on one partition. The simulation is
known at the hidden rows. Figures are for the logarithm of the volume; standard errors are over the
58 elements, not over partitions.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest, t
from sklearn.linear_model import BayesianRidge, LinearRegression

import claude_pymc as cp

SEEDS = range(10)
OUT = Path(__file__).resolve().parents[1] / "out" / "elements.csv"


def peer_rows(study: cp.Study, table: cp.Table, spec: cp.JointGaussian, validation: pd.DataFrame):
    """Peers on the folds of ``validation``, with the terms of the correction set."""
    phi = spec.design.phi(table.x)[:, spec.design.active[-1]][:, 1:]
    sims, exp = np.log(table.y[:, :-1]), np.log(table.y[:, -1])
    everything = np.column_stack([phi, sims])
    place = {label: i for i, label in enumerate(table.labels)}
    for fold, part in validation.groupby("fold"):
        test = [place[label] for label in part["label"]]
        train = np.setdiff1d(np.flatnonzero(np.isfinite(exp)), test)
        for name, features, shift in (
            ("ridge on [x, sims]", everything, 0 * exp),
            ("ridge on exp - sim", everything[:, :-1], sims[:, -1]),
            ("least squares on [x, sims]", everything, 0 * exp),
        ):
            if name.startswith("ridge"):
                model = BayesianRidge().fit(features[train], (exp - shift)[train])
                mean, scale = model.predict(features[test], return_std=True)
                freedom = np.inf
            else:
                model = LinearRegression().fit(features[train], exp[train])
                mean, freedom = model.predict(features[test]), len(train) - features.shape[1] - 1
                x = np.column_stack([np.ones(len(features)), features])
                residual = exp[train] - model.predict(features[train])
                spread = np.einsum(
                    "ij,jk,ik->i", x[test], np.linalg.inv(x[train].T @ x[train]), x[test]
                )
                scale = np.sqrt(np.sum(residual**2) / freedom * (1 + spread))
            z = (exp[test] - shift[test] - mean) / scale
            yield pd.DataFrame(
                {
                    "method": name,
                    "fold": fold,
                    "label": part["label"].to_numpy(),
                    "error": -z * scale,
                    "log_density": t.logpdf(z, freedom) - np.log(scale),
                    "inside": np.abs(z) < t.ppf(0.95, freedom),
                }
            )


def accuracy(name: str = "elements_volume") -> pd.DataFrame:
    """Every prediction of every method: seed, method, fold, label, error, log_density, inside."""
    study = cp.Study.named(name)
    table = study.table()
    spec = study.spec(table)
    sampler = cp.Sampler(spec)
    found = []
    for seed in SEEDS:
        frame = cp.cross_validate(sampler, table, folds=5, seed=seed, draws=500).frame
        frame["inside"] = frame["measured"].between(frame["lower"], frame["upper"])
        ours = frame.assign(method="claude_pymc")
        found += [f.assign(seed=seed) for f in (ours, *peer_rows(study, table, spec, frame))]
    columns = ["seed", "method", "fold", "label", "error", "log_density", "inside"]
    return pd.concat(found, ignore_index=True)[columns]


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Mean over partitions; standard errors over elements; differences paired by element."""
    ours = found[found["method"] == "claude_pymc"].groupby("label")["log_density"].mean()
    rows = []
    for method, part in found.groupby("method", sort=False):
        rmse = part.groupby("seed")["error"].apply(lambda e: np.sqrt(np.mean(e**2))).mean()
        by_label = part.assign(square=part["error"] ** 2).groupby("label")
        square, density = by_label["square"].mean(), by_label["log_density"].mean()
        n = len(square)
        ends = binomtest(round(part["inside"].mean() * n), n).proportion_ci(method="wilson")
        rows.append(
            {
                "method": method,
                "rmse": rmse,
                "rmse_se": square.std() / np.sqrt(n) / (2 * rmse),
                "lpd": density.mean(),
                "lpd_se": density.std() / np.sqrt(n),
                "lpd_behind": (ours - density).mean(),
                "behind_se": (ours - density).std() / np.sqrt(n),
                "coverage90": part["inside"].mean(),
                "wilson_low": ends.low,
                "wilson_high": ends.high,
            }
        )
    return pd.DataFrame(rows).set_index("method")


if __name__ == "__main__":
    table = summary(accuracy())
    OUT.parent.mkdir(exist_ok=True)
    table.round(5).to_csv(OUT)
    print(table.round(4).to_string())
