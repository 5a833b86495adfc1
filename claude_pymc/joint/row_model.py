"""The primary target row by row as part of a PyMC model: the reference of `joint.primary`.

Complete rows enter through the statistics for their cheaper targets and one by one for the primary
one. In rows that lack a cheaper value it is a free variable, and all their targets enter here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from claude_pymc.joint.priors import FLOOR, ShrinkagePrior
from claude_pymc.joint.spec import VARYING, JointGaussian
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats


def cheaper_arrays(stats: PatternStats) -> dict[str, np.ndarray]:
    """Statistics of all rows but the incomplete ones, without the primary target."""
    kept = stats.kept
    assert kept is not None
    z = len(stats.design.terms) + len(stats.design.targets)
    rows, gram = stats.rows.copy(), stats.grams.copy()
    lacks = np.isnan(kept.y).any(axis=1)
    values = np.hstack([kept.phi, np.where(np.isnan(kept.y), 0.0, kept.y)])
    for i in np.flatnonzero(lacks):
        pattern = stats.patterns.index(tuple(bool(v) for v in np.isfinite(kept.y[i])))
        rows[pattern] -= stats.present[pattern]
        gram[pattern] -= np.outer(values[i], values[i])
    gram[:, z - 1], gram[:, :, z - 1], rows[:, -1] = 0.0, 0.0, 0.0
    return {"rows": rows, "gram": gram}


def add_rows(
    spec: JointGaussian, kept: KeptRows, linkage: Any, sigma: Any, corrections: Any, scale: Any
) -> None:
    """Add what rows need to the model: free variables and the likelihood.

    ``sigma`` of the primary target is that of the first source.
    """
    prior, design = spec.prior, spec.design
    assert isinstance(prior, ShrinkagePrior)
    last = len(design.targets) - 1
    lacks = np.isnan(kept.y)
    values: Any = pt.constant(np.where(lacks, 0.0, kept.y))
    if lacks.any():
        missing = pm.Flat("missing", shape=int(lacks.sum()), initval=np.zeros(int(lacks.sum())))
        values = values[np.nonzero(lacks)].set(missing)
    mean = pt.constant(kept.phi) @ corrections.T
    mean = mean + values @ linkage.T
    some = np.flatnonzero(lacks.any(axis=1))
    for j in range(last if len(some) else 0):
        density = pm.logp(pm.Normal.dist(mean[some, j], sigma[j]), values[some, j])
        pm.Potential(f"incomplete_{design.targets[j]}", density.sum())
    expected = mean[:, last]
    if spec.varying:
        group = spec.groups.index((last, VARYING))
        free = pm.Normal("varying_free", 0.0, pt.sqrt(scale[group]), dims="varying_term")
        varying = pm.Deterministic("varying", pt.sqrt(scale[group]) * free, dims="varying_term")
        psi = kept.phi[:, [design.terms.index(term) for term in spec.varying]]
        expected = expected + (pt.constant(psi) @ varying) * values[:, spec.nearest]
    by_row: Any = sigma[last]
    if spec.sources:
        more = pm.Normal(
            "log_sigma_others",
            np.log(prior.noise),
            prior.noise_log_sd,
            shape=len(spec.sources) - 1,
        )
        every = pt.concatenate([sigma[last][None], FLOOR + pt.exp(more)])
        every = pm.Deterministic("source_sigma", every, dims="source")
        by_row = every[np.array([spec.sources.index(str(s)) for s in kept.source])]
    spread: Any = by_row
    if spec.noise == "student":
        nu = pm.LogNormal("freedom", np.log(prior.freedom), prior.freedom_log_sd)
        if not spec.errors:
            density = pm.logp(pm.StudentT.dist(nu=nu, mu=expected, sigma=by_row), kept.y[:, last])
            pm.Potential("primary", density.sum())
            return
        weight = pm.Gamma("weight", nu / 2, nu / 2, shape=len(kept))
        spread = by_row / pt.sqrt(weight)
    if spec.errors:
        spread = pt.sqrt(spread**2 + kept.sigma**2)
    density = pm.logp(pm.Normal.dist(expected, spread), kept.y[:, last])
    pm.Potential("primary", density.sum())
