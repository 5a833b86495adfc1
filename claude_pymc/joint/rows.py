r"""What needs the rows themselves: pointwise likelihoods and replicated values, for ArviZ.

With P the precision of the values measured in a row (the inverse of Sigma_GG) and r = y_G - mu_G,
value j given the others of its row is Gaussian,

    y_j | y_G\j, x ~ N(y_j - (P r)_j / P_jj, 1 / P_jj),

which is what leave-one-value-out needs: 1 / p(y_j | y_G\j, x, theta) is its importance weight.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.errors import Notice, SamplingError
from claude_pymc.joint.asked import noise_of
from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.row_densities import pointwise
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

ROW = "row"
GROUPS = ("observed_data", "posterior_predictive", "log_likelihood")
MOST_NUMBERS = 40_000_000


def attach_rows(
    idata: xr.DataTree, table: Table, spec: JointGaussian | None = None, seed: int | None = None
) -> xr.DataTree:
    """Add the groups of ArviZ that need rows: for LOO, PIT and predictive checks.

    A fit keeps statistics, not rows; whoever still has the rows may attach them.

    Parameters
    ----------
    idata : DataTree
        As :func:`claude_pymc.sample` returns it; changed in place.
    table : Table
        The rows of the fit. Other rows are taken too, with a notice.
    spec : JointGaussian, optional
        By default that of the attributes of ``idata``.
    seed : int, optional
        For the replicated values.

    Returns
    -------
    DataTree
        ``idata`` with one variable for each target, over its measured values (dim ``row_TARGET``):
        ``observed_data`` and ``posterior_predictive`` in the unit of the target, and
        ``log_likelihood``, the log density of the value (of its logarithm, for a target modelled
        by it). Both are given the other values of the row, as leave-one-value-out needs; for a
        replicate that knows none of them, see :meth:`JointPosterior.predict`. ``log_likelihood``
        also has ``rows``: the log density of all values of a row. Where the specification needs
        rows, replicates are of the primary target alone, given the cheaper values of its row.

    Raises
    ------
    TableError
        If the rows do not fit the design.
    SamplingError
        If draws times values are too many to hold, or no value was measured.

    Examples
    --------
    >>> table = cp.Study.named("perovskite").table()
    >>> spec = cp.Study.named("perovskite").spec(table)
    >>> idata = cp.sample(spec, cp.PatternStats.from_table(table, spec.design), seed=0)
    >>> idata = attach_rows(idata, table, spec, seed=0)
    >>> loo = arviz.loo(idata, var_name="gap_exp")
    """
    post = JointPosterior(idata, spec)
    spec, design = post.spec, post.spec.design
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        stats = PatternStats.from_table(table, design)
    if not same_rows(idata, stats):
        text = "the rows are not those of the fit: leave-one-out does not hold for them"
        warnings.warn(text, Notice, stacklevel=2)
    n_draws = len(post.draws_of("root"))
    width = len(post.spec.columns.variables)
    if not stats.n_rows or n_draws * len(table) * width > MOST_NUMBERS:
        raise SamplingError(
            f"between 1 and {MOST_NUMBERS // (n_draws * width)} rows with values",
            f"{stats.n_rows} of {len(table)}",
            "an empty table, or one too long to keep a likelihood for each value and draw",
            "attach a part of the rows, or thin the draws",
        )
    rng = np.random.default_rng(seed)
    if spec.needs == "rows":
        x, y = modelled(post, table)
        kept = np.flatnonzero(np.isfinite(y).any(axis=1))
        found = pointwise(post, x, y, noise_of(table, spec, len(table)), rng)
        return _add(idata, post, table, kept, *found)
    z, mean, root = _moments(post, table)
    present = np.isfinite(z)
    kept = np.flatnonzero(present[:, -len(design.targets) :].any(axis=1))
    log_value = np.full((n_draws, *z.shape), np.nan)
    replicate = np.full_like(log_value, np.nan)
    log_row = np.zeros((n_draws, len(z)))
    for pattern in np.unique(present[kept], axis=0):
        rows = kept[(present[kept] == pattern).all(axis=1)]
        have = np.flatnonzero(pattern)
        lower = np.swapaxes(np.linalg.qr(np.swapaxes(root[:, have], -1, -2), mode="r"), -1, -2)
        inverse = np.linalg.inv(lower)
        residual = z[rows][:, have] - mean[:, rows][:, :, have]
        white = residual @ np.swapaxes(inverse, -1, -2)
        precision = np.square(inverse).sum(axis=-2)[:, None, :]
        shift = (white @ inverse) / precision
        value = z[rows][:, have] - shift
        value = value + rng.standard_normal(shift.shape) / np.sqrt(precision)
        density = 0.5 * (np.log(precision) - LOG_2PI - np.square(shift) * precision)
        at = np.ix_(np.arange(n_draws), rows, have)
        log_value[at], replicate[at] = density, value
        log_det = np.log(np.abs(np.diagonal(lower, axis1=-2, axis2=-1))).sum(axis=-1)[:, None]
        log_row[:, rows] = -0.5 * (np.square(white).sum(axis=-1) + len(have) * LOG_2PI) - log_det
    return _add(idata, post, table, kept, log_value, replicate, log_row)


def same_rows(idata: xr.DataTree, stats: PatternStats) -> bool:
    """Say whether draws are from these statistics, whatever the order of rows; True if unknown."""
    sums = json.loads(idata.attrs.get("data_sums", "null"))
    return sums is None or _close(sums, stats.sums())


def _close(first: dict[str, list[float]], second: dict[str, list[float]]) -> bool:
    """Say whether two sums over rows agree, whatever the order in which rows were added."""
    return first.keys() == second.keys() and all(
        np.allclose(first[name], second[name], rtol=1e-9, atol=1e-12) for name in first
    )


def modelled(post: JointPosterior, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors (row, descriptor) and targets (row, target) on the modelled scale."""
    design = post.spec.design
    order = [table.descriptors.index(name) for name in design.descriptors]
    x = table.x[:, order]
    y = np.full((len(table), len(design.targets)), np.nan)
    for j, name in enumerate(design.targets):
        if name in table.targets:
            y[:, j] = table.y[:, table.targets.index(name)]
    return x, design.to_model(y)


def _moments(post: JointPosterior, table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (row, variable), mean (draw, row, variable), root of the covariance, modelled."""
    design = post.spec.design
    x, y = modelled(post, table)
    if post.spec.likelihood == "conditional":
        mean = design.phi(x) @ np.swapaxes(post.draws_of("coefficients"), -1, -2)
        return y, mean, post.draws_of("root")
    phi = design.phi(np.where(np.isnan(x), 0.0, x))[:, 1:]
    z = np.hstack([np.where(np.isnan(x), np.nan, phi), y])
    mean, covariance = (post.draws_of(n) for n in ("joint_mean", "joint_covariance"))
    return z, np.repeat(mean[:, None], len(z), axis=1), np.linalg.cholesky(covariance)


def _add(
    idata: xr.DataTree,
    post: JointPosterior,
    table: Table,
    kept: np.ndarray,
    log_value: np.ndarray,
    replicate: np.ndarray,
    log_row: np.ndarray,
) -> xr.DataTree:
    """Name the arrays and put them into groups."""
    design = post.spec.design
    d = len(design.targets)
    replicate = design.from_model(replicate[:, :, -d:])
    log_value = log_value[:, :, -d:] - np.log(np.array(design.scale))
    log_row = log_row - (np.isfinite(log_value[0]) @ np.log(np.array(design.scale)))
    labels: list[Any] = list(table.labels) or list(range(len(table)))
    chains = idata["posterior"].sizes[CHAIN]
    found: dict[str, dict[str, xr.DataArray]] = {name: {} for name in GROUPS}

    def named(values: np.ndarray, dim: str, rows: np.ndarray) -> xr.DataArray:
        values = values.reshape(chains, -1, len(rows))
        coords = {CHAIN: idata["posterior"][CHAIN], DRAW: idata["posterior"][DRAW]}
        return xr.DataArray(values, {**coords, dim: [labels[i] for i in rows]}, (CHAIN, DRAW, dim))

    for j, name in enumerate(design.targets):
        rows = np.flatnonzero(np.isfinite(log_value[0, :, j]))
        if not len(rows):
            continue
        dim = f"{ROW}_{name}"
        y = table.y[rows, table.targets.index(name)]
        found["observed_data"][name] = xr.DataArray(y, {dim: [labels[i] for i in rows]}, (dim,))
        if not np.isnan(replicate[0, rows, j]).any():
            found["posterior_predictive"][name] = named(replicate[:, rows, j], dim, rows)
        found["log_likelihood"][name] = named(log_value[:, rows, j], dim, rows)
    found["log_likelihood"]["rows"] = named(log_row[:, kept], ROW, kept)
    for group, variables in found.items():
        idata[group] = xr.DataTree(xr.Dataset(variables))
    return idata
