"""What a user would write in plain PyMC: the same priors, the rows as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from problems import Problem

import claude_pymc as cp
from claude_pymc.joint.priors import FLOOR

NAMES = ["linkage", "sigma", "scale", "corrections"]


def model_of(problem: Problem, *, impute: bool) -> pm.Model:
    """Two targets: missing values imputed by MvNormal, or left out by hand, pattern by pattern."""
    spec = problem.spec
    design, prior = spec.design, spec.prior
    assert isinstance(prior, cp.ShrinkagePrior) and len(design.targets) == 2
    phi, y = design.phi(problem.table.x), design.to_model(problem.table.y)
    entries = np.array(spec.columns.entries)
    with pm.Model() as model:
        log_sigma = pm.Normal("log_sigma", np.log(prior.noise), prior.noise_log_sd, shape=2)
        sigma = pm.Deterministic("sigma", FLOOR + pt.exp(log_sigma))
        c = pm.Normal("linkage", spec.links[0][2], prior.linkage_sd)
        scale = pm.LogNormal(
            "scale", np.log(prior.scale), prior.scale_log_sd, shape=len(spec.groups)
        )
        names = design.basis.groups(design.descriptors)
        groups = [(j, names[b]) for j, b in spec.columns.entries]
        places = [spec.groups.index(g) if g in spec.groups else -1 for g in groups]
        sds = pt.concatenate([scale, [prior.constant_sd]])[places]  # -1: the constants
        z = pm.Normal("z", shape=len(entries))
        free = pm.Deterministic("corrections", sds * z)
        r = pt.zeros((2, len(design.terms)))[entries[:, 0], entries[:, 1]].set(free)
        sim = phi @ r[0]
        exp = c * sim + phi @ r[1]
        if impute:
            root = pt.stack([pt.stack([sigma[0], 0.0]), pt.stack([c * sigma[0], sigma[1]])])
            masked = np.ma.masked_invalid(y)
            pm.MvNormal("y", mu=pt.stack([sim, exp], axis=1), chol=root, observed=masked)
        else:
            has = np.isfinite(y)
            both = has.all(axis=1)
            only_exp = has[:, 1] & ~both
            total = pt.sqrt(sigma[1] ** 2 + (c * sigma[0]) ** 2)
            pm.Normal("y_sim", sim[has[:, 0]], sigma[0], observed=y[has[:, 0], 0])
            if only_exp.any():
                pm.Normal("y_exp", exp[only_exp], total, observed=y[only_exp, 1])
            if both.any():
                given = c * y[both, 0] + (phi @ r[1])[both]
                pm.Normal("y_both", given, sigma[1], observed=y[both, 1])
    return model


def nutpie_compiled(model: pm.Model) -> Any:
    """Compile a model for nutpie."""
    import nutpie

    return nutpie.compile_pymc_model(model, var_names=NAMES)


def nutpie_draws(
    compiled: Any, draws: int, chains: int, seed: int
) -> tuple[dict[str, np.ndarray], int]:
    """Draw on one core with nutpie's defaults: arrays (chain, draw, ...), and how many diverged."""
    import nutpie

    tree = nutpie.sample(
        compiled, draws=draws, chains=chains, cores=1, seed=seed, progress_bar=False
    )
    posterior = tree["posterior"]
    found = {n: posterior[n].transpose("chain", "draw", ...).to_numpy() for n in NAMES}
    return found, int(tree["sample_stats"]["diverging"].sum())
