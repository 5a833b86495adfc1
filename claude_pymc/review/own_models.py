"""The same questions to draws of another model, as far as its groups answer them.

A tree of ArviZ may hold ``log_likelihood``, ``observed_data`` and ``posterior_predictive`` with one
variable for each measured quantity, and ``log_prior``; `pm.compute_log_likelihood`,
`pm.sample_posterior_predictive` and `pm.compute_log_prior` make them. Where values are missing
(NaN), p-values are by pattern: a variable of dims (row, target), or several over the same rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.errors import SamplingError
from claude_pymc.joint.convergence import Check
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.review.against_prior import SENSITIVE, sensitivity
from claude_pymc.review.against_rows import (
    LeaveOneOut,
    largest_k,
    leave_one_out_checks,
    p_check,
    smoothed,
)
from claude_pymc.tables.patterns import by_pattern

SAMPLES, SEED = (CHAIN, DRAW), 20251129
NEEDED = {
    "values with a high Pareto k": "log_likelihood",
    "predictive p-values": "posterior_predictive and observed_data",
    "sensitivity to the prior": "log_prior and log_likelihood",
}


def own_checks(tree: xr.DataTree) -> list[Check]:
    """Check what the groups of a tree allow; say which group the other checks would need."""
    groups = {name: tree[name].dataset for name in tree.children}
    likelihood = _shared(groups, "log_likelihood", "posterior")
    checks, missing = [], dict(NEEDED)
    if likelihood:
        checks += leave_one_out_checks(_leave_one_out(groups, likelihood))
        missing.pop("values with a high Pareto k")
    replicates = _shared(groups, "posterior_predictive", "observed_data")
    if replicates:
        checks += _p_values(groups, replicates)
        missing.pop("predictive p-values")
    if likelihood and groups.get("log_prior", xr.Dataset()).data_vars:
        checks.append(_sensitivity(groups))
        missing.pop("sensitivity to the prior")
    for name, group in missing.items():
        text = f"not computed: needs the group {group}"
        checks.append(Check(name, text, "", None, "", "model"))
    return checks


def _shared(groups: dict[str, xr.Dataset], one: str, other: str) -> list[str]:
    """Variables of a group whose counterpart is there; those of log_likelihood need none."""
    if one not in groups or other not in groups:
        return []
    names = [str(name) for name in groups[one].data_vars]
    if one == "log_likelihood":
        return [name for name in names if name != "rows" or len(names) == 1]
    return [name for name in names if name in groups[other].data_vars]


def _flat(array: xr.DataArray) -> np.ndarray:
    """Draws (sample, value) of a variable."""
    if not set(SAMPLES) <= set(array.dims):
        raise SamplingError(
            f"draws over {list(SAMPLES)}",
            f"{array.name!r} over {list(array.dims)}",
            "a group whose draws were thinned or stacked",
            "keep chain and draw as dimensions",
        )
    values = array.transpose(*SAMPLES, ...).to_numpy().astype(float)
    return values.reshape(values.shape[0] * values.shape[1], -1)


def _leave_one_out(groups: dict[str, xr.Dataset], names: list[str]) -> LeaveOneOut:
    """Pareto k of each value, and the PIT where there are replicates; values down the rows."""
    columns = []
    for name in names:
        log_density = _flat(groups["log_likelihood"][name])
        finite = np.isfinite(log_density).all(axis=0)
        impossible = (log_density == -np.inf).any(axis=0)
        pit: np.ndarray = np.full(log_density.shape[1], np.nan)
        k: np.ndarray = np.full_like(pit, np.nan)
        k[impossible] = np.inf  # a draw that rules the value out
        log_weights, k[finite] = smoothed(log_density[:, finite])
        if name in _shared(groups, "posterior_predictive", "observed_data"):
            replicate = _flat(groups["posterior_predictive"][name])[:, finite]
            value = groups["observed_data"][name].to_numpy().ravel().astype(float)[finite]
            # Where values repeat (counts), a random place among the equal ones.
            equal = np.random.default_rng(SEED).uniform(size=len(value)) * (replicate == value)
            below = np.exp(log_weights) * ((replicate < value) + equal).T
            pit[finite] = np.clip(below.sum(axis=1), 0.0, 1.0)
        columns.append((pit, k))
    most = max(len(k) for _, k in columns)
    both = np.full((2, most, len(names)), np.nan)
    for j, found in enumerate(columns):
        both[:, : len(found[0]), j] = found
    samples = groups["log_likelihood"].sizes
    return LeaveOneOut(tuple(names), both[0], both[1], largest_k(samples[CHAIN] * samples[DRAW]))


def _p_values(groups: dict[str, xr.Dataset], names: list[str]) -> list[Check]:
    """Mean and sd of what was measured beside those of the replicates, by pattern."""
    columns: list[tuple[str, np.ndarray, np.ndarray]] = []
    for name in names:
        value = groups["observed_data"][name]
        if set(groups["posterior_predictive"][name].dims) != {*SAMPLES, *value.dims}:
            raise SamplingError(
                f"replicates of {name!r} over {[*SAMPLES, *value.dims]}",
                f"{list(groups['posterior_predictive'][name].dims)}",
                "predictions at other places than the measured ones",
                "keep those in the group predictions, replicates in posterior_predictive",
            )
        array = groups["posterior_predictive"][name].transpose(*SAMPLES, *value.dims)
        draws = array.to_numpy().reshape(-1, *value.shape).astype(float)
        values = value.to_numpy().astype(float)
        if values.ndim == 2:  # (row, target)
            labels = value[value.dims[1]].to_numpy() if value.dims[1] in value.coords else None
            for j in range(values.shape[1]):
                label = f"{name}[{j if labels is None else labels[j]}]"
                columns.append((label, values[:, j], draws[:, :, j]))
        else:
            columns.append((name, values.ravel(), draws.reshape(len(draws), -1)))
    checks: list[Check] = []
    sizes = {len(values) for _, values, _ in columns}
    grouped = [columns] if len(sizes) == 1 else [[column] for column in columns]
    parts: list[tuple[list[Any], dict[tuple[bool, ...], np.ndarray]]] = [
        (group, by_pattern(np.isfinite(np.stack([values for _, values, _ in group], axis=1))))
        for group in grouped
    ]
    tests = 2 * sum(sum(pattern) for _, patterns in parts for pattern in patterns)
    for group, patterns in parts:
        for pattern, rows in patterns.items():
            found, targets = {}, []
            for has, (label, values, draws) in zip(pattern, group, strict=True):
                if not has:
                    continue
                targets.append(label)
                centre = draws[:, rows].mean(axis=0)  # else what x explains would hide the noise
                own, other = values[rows] - centre, draws[:, rows] - centre
                found[label, "mean"] = _two_sided(own.mean(), other.mean(axis=1))
                found[label, "spread"] = _two_sided(own.std(), other.std(axis=1))
            checks.append(p_check(found, f"{len(rows)} rows with {' and '.join(targets)}", tests))
    return checks


def _two_sided(value: float, replicates: np.ndarray) -> float:
    """Two-sided predictive p-value of a figure; a normal tail beyond the last replicate."""
    from scipy.special import ndtr

    upper = float((replicates >= value).mean())
    lower = float((replicates <= value).mean())
    p = min(1.0, 2.0 * min(upper, lower))
    spread = float(replicates.std())
    if p * len(replicates) < 10 and spread > 0:
        p = float(2.0 * ndtr(-abs(value - replicates.mean()) / spread))
    return p


def _sensitivity(groups: dict[str, xr.Dataset]) -> Check:
    """Power-scaling of the prior as a whole, for every parameter that varies."""
    total = {}
    for group in ("log_prior", "log_likelihood"):
        names = [n for n in groups[group].data_vars if group == "log_prior" or n != "rows"]
        total[group] = sum(np.nansum(_flat(groups[group][n]), axis=1) for n in names)
    names, draws = [], []
    for name, array in groups["posterior"].data_vars.items():
        flat = _flat(array)
        for i in np.flatnonzero(np.ptp(flat, axis=0) > 0)[:50]:
            names.append(f"{name}[{i}]" if flat.shape[1] > 1 else str(name))
            draws.append(flat[:, i])
    found = sensitivity(np.asarray(total["log_prior"]), np.stack(draws, axis=1))
    worst = int(np.argmax(found))
    strong = found > SENSITIVE
    text = (
        f"{found[worst]:.3f} for {names[worst]}; {int(strong.sum())} of {len(names)} parameters "
        f"above {SENSITIVE} (of a hierarchy, leave all but the top level out of log_prior)"
    )
    return Check("sensitivity to the prior", text, "", None, "", "prior")
