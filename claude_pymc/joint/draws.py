"""Columns drawn by any sampler become one DataTree, under the names of `claude_pymc.notation`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.joint.gaussian import derived, split_joint
from claude_pymc.joint.inputs import coords
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW, JOINT_PARAMETERS, PARAMETERS
from claude_pymc.tables.statistics import PatternStats

PACKAGES = ("claude-pymc", "pymc", "pytensor", "nutpie", "numpyro", "jax", "numpy", "numba")


def posterior_dataset(
    spec: JointGaussian,
    linkage: np.ndarray,
    sigma: np.ndarray,
    corrections: np.ndarray,
    others: Mapping[str, tuple[tuple[str, ...], np.ndarray]],
) -> xr.Dataset:
    """Name the columns of all variables, and everything that is computed from them.

    Parameters
    ----------
    spec : JointGaussian
    linkage, sigma, corrections : arrays (chain, draw, ...)
        Over the variables of ``spec.columns``: under "joint" the descriptors come first and the
        constant is the one term.
    others : dict of name to (dims, array (chain, draw, ...))
        What else the sampler has drawn: scales, or variables of the PyMC model.
    """
    found: dict[str, np.ndarray] = {}
    if spec.likelihood == "joint":
        n = len(spec.design.descriptors)
        found = split_joint(linkage, sigma, corrections[..., 0], n)
        linkage, sigma, corrections = (found[n] for n in ("linkage", "sigma", "corrections"))
    found |= {"linkage": linkage, "sigma": sigma, "corrections": corrections}
    found |= derived(linkage, sigma, corrections)
    dims = PARAMETERS | JOINT_PARAMETERS
    named = {name: (dims[name], values) for name, values in found.items()}
    named = dict(others) | named
    values = {name: ((CHAIN, DRAW, *d), v) for name, (d, v) in named.items()}
    used = {dim for d, _ in named.values() for dim in d}
    known: dict[str, Any] = {dim: names for dim, names in coords(spec).items() if dim in used}
    known |= {name: np.arange(sigma.shape[i]) for i, name in enumerate((CHAIN, DRAW))}
    return xr.Dataset(values, known)


def tree_of(
    spec: JointGaussian,
    stats: PatternStats,
    posterior: xr.Dataset,
    sample_stats: xr.Dataset | None,
    attrs: Mapping[str, Any],
) -> xr.DataTree:
    """Put draws into a tree that says what they were drawn from, and by which versions."""
    groups = {"posterior": posterior}
    if sample_stats is not None:
        groups["sample_stats"] = sample_stats
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "spec": spec.to_json(),
        "data_hash": stats.digest,
        "data_sums": json.dumps(stats.sums()),
        "n_rows": stats.n_rows,
        "shared_rows": stats.shared_rows,
        **attrs,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": json.dumps(versions()),
    }
    return tree


@cache
def versions() -> dict[str, str]:
    """Versions of the packages a posterior depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
