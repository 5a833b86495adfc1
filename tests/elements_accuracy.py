"""Elements: this package beside two peers on the same rows, folds and basis; `make accuracy`.

Five partitions into five folds (seeds 0 to 4), so that the figure does not hang on one partition.
The simulation is known at the hidden rows. Figures are for the logarithm of the volume.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import BayesianRidge

import claude_pymc as cp

SEEDS = range(5)


def peer_rows(study: cp.Study, table: cp.Table, spec: cp.JointGaussian, validation: pd.DataFrame):
    """Peers on the folds of ``validation``: ridge on [phi, y_sim], and ridge on the difference."""
    linear = spec.design.active[-1]
    phi = spec.design.phi(table.x)[:, linear][:, 1:]
    sim, exp = np.log(table.y).T
    place = {label: i for i, label in enumerate(table.labels)}
    for name in ("ridge on [x, sim]", "ridge on the difference"):
        delta = name.endswith("difference")
        features = phi if delta else np.column_stack([phi, sim])
        shift = sim if delta else np.zeros(len(sim))
        for fold, part in validation.groupby("fold"):
            test = [place[label] for label in part["label"]]
            train = np.setdiff1d(np.flatnonzero(np.isfinite(exp)), test)
            model = BayesianRidge().fit(features[train], (exp - shift)[train])
            mean, sd = model.predict(features[test], return_std=True)
            z = (exp[test] - shift[test] - mean) / sd
            yield pd.DataFrame(
                {
                    "method": name,
                    "fold": fold,
                    "label": part["label"].to_numpy(),
                    "error": -z * sd,
                    "log_density": -0.5 * z**2 - np.log(sd) - 0.5 * np.log(2 * np.pi),
                    "inside": np.abs(z) < 1.6448536,
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
        frame = cp.cross_validate(sampler, table, folds=5, seed=seed).frame
        frame["inside"] = frame["measured"].between(frame["lower"], frame["upper"])
        ours = frame.assign(method="claude_pymc")
        found += [f.assign(seed=seed) for f in (ours, *peer_rows(study, table, spec, frame))]
    columns = ["seed", "method", "fold", "label", "error", "log_density", "inside"]
    return pd.concat(found, ignore_index=True)[columns]


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Means over the partitions, with the spread between them and the Wilson interval."""
    from scipy.stats import binomtest

    rows = []
    for method, part in found.groupby("method", sort=False):
        by_seed = part.groupby("seed")
        rmse = by_seed["error"].apply(lambda e: np.sqrt(np.mean(e**2)))
        lpd = by_seed["log_density"].mean()
        n = len(part) // len(rmse)
        covered = round(by_seed["inside"].sum().mean())
        ends = binomtest(covered, n).proportion_ci(method="wilson")
        rows.append(
            {
                "method": method,
                "rmse": rmse.mean(),
                "rmse_sd": rmse.std(),
                "lpd": lpd.mean(),
                "lpd_sd": lpd.std(),
                "coverage90": part["inside"].mean(),
                "wilson_low": ends.low,
                "wilson_high": ends.high,
            }
        )
    return pd.DataFrame(rows).set_index("method")


if __name__ == "__main__":
    print(summary(accuracy()).round(3).to_string())
