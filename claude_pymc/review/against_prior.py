r"""What the prior does: conflict with the rows, and sensitivity by power-scaling.

*Conflict.* Posterior medians of linkage, noise and scales far out in the tails of their priors (of
noise the upper tail alone: simulations without noise exist). Had the data come from the prior, the
tail probability 2 min(F(m), 1 - F(m)) would be small seldom (the posterior median spreads less than
the prior), so that it serves as a cautious p-value (in the spirit of Evans, Moshonov, Bayesian
Analysis 1, 893 (2006)).

*Sensitivity.* The density of the parameters that the prior speaks of directly (linkages, noises,
scales; corrections only where their scale is fixed) is raised to a power near one, and the change
of the posterior is measured by a distance of distributions for each doubling of the power
(Kallioinen et al., Statistics and Computing 34, 57 (2024)).
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import ndtr, softmax

from claude_pymc.joint.convergence import Check
from claude_pymc.joint.density import draw_lkj, lkj_arrays, lkj_batch
from claude_pymc.joint.noise import NORMAL
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.review.against_rows import LEVEL

SENSITIVE = 0.05
ALPHAS = (0.99, 1.01)
NOISE = "noise of "
PRIOR_DRAWS, PRIOR_SEED = 4000, 20251122


def top_level(post: JointPosterior) -> dict[str, tuple[np.ndarray, float, float]]:
    """Draws of what has a normal prior of fixed location and scale: draws, mean and sd, by name.

    Noise and scales by their logarithms. Empty if the prior is not `ShrinkagePrior`.
    """
    spec = post.spec
    prior, scales, design = spec.prior, scales_of(spec), spec.design
    if not isinstance(prior, ShrinkagePrior) or scales is None:
        return {}
    linkage, sigma = post.draws_of("linkage"), post.draws_of("sigma")
    found = {}
    for j, k, mean in spec.links:
        name = f"linkage of {design.targets[j]} on {design.targets[k]}"
        found[name] = linkage[:, j, k], mean, prior.linkage_sd
    for j, target in enumerate(design.targets):
        log_sigma = np.log(np.maximum(sigma[:, j] - FLOOR, 1e-12))
        found[f"{NOISE}{target}"] = log_sigma, float(np.log(prior.noise)), prior.noise_log_sd
    posterior = post.idata["posterior"].dataset
    parts = [
        posterior[name].transpose(CHAIN, DRAW, ...).to_numpy().reshape(len(sigma), -1)
        if name in posterior
        else np.zeros((len(sigma), 0))
        for name in ("scale", "length")
    ]
    if parts[0].shape[1] == len(scales.groups) and parts[1].shape[1] == len(scales.lengths):
        hyper = scales.joined(*parts)
        names = [f"scale of {g}" for g in scales.groups] + [
            f"length of {g}" for g in scales.lengths
        ]
        for i, name in enumerate(names):
            found[name] = hyper[:, i], float(scales.mean[i]), float(scales.sd[i])
    if spec.noise == "student":
        nu, mean = post.draws_of("freedom"), float(np.log(prior.freedom))
        heavy = np.where(nu < NORMAL, np.log(nu), mean)  # normal noise has no degrees of freedom
        found["degrees of freedom"] = heavy, mean, prior.freedom_log_sd
    return found


def tails(post: JointPosterior) -> dict[str, float]:
    """Tail probability of the posterior median in the prior, by name of the quantity."""
    if isinstance(post.spec.prior, LKJPrior):
        return _tails_of_lkj(post, post.spec.prior)
    found = {}
    for name, (draws, mean, sd) in top_level(post).items():
        z = float((np.median(draws) - mean) / sd)
        found[name] = float(2.0 * ndtr(-(max(z, 0.0) if name.startswith(NOISE) else abs(z))))
    return found


def lkj_draws(spec: JointGaussian, prior: LKJPrior) -> tuple[np.ndarray, np.ndarray]:
    """Draws from the prior of linkage (draw, target, target) and noise (draw, target)."""
    rng = np.random.default_rng(PRIOR_SEED)
    linkage, sigma = draw_lkj(spec, prior, PRIOR_DRAWS, rng)
    first = len(spec.columns.variables) - len(spec.design.targets)  # under "joint": descriptors
    return linkage[:, first:, first:], sigma[:, first:]


def _tails_of_lkj(post: JointPosterior, prior: LKJPrior) -> dict[str, float]:
    """Return the same by draws from the prior, which has no closed marginals."""
    targets, (linkage, sigma) = post.targets, lkj_draws(post.spec, prior)
    pairs = {
        f"linkage of {targets[j]} on {targets[k]}": (
            post.draws_of("linkage")[:, j, k],
            linkage[:, j, k],
        )
        for j, k, _ in post.spec.links
    }
    for j, target in enumerate(targets):
        pairs[f"{NOISE}{target}"] = post.draws_of("sigma")[:, j], sigma[:, j]
    found = {}
    for name, (after, before) in pairs.items():
        below = (1 + (before < np.median(after)).sum()) / (2 + len(before))
        least = 1.0 - below if name.startswith(NOISE) else min(below, 1.0 - below)
        found[name] = float(min(1.0, 2.0 * least))
    return found


def conflict_check(post: JointPosterior) -> Check:
    """Check that no posterior median lies where the prior has next to nothing."""
    found = tails(post)
    name = "prior-data conflict"
    if not found:
        text = "not computed: the prior is flat"
        return Check(name, text, "", None, "", "prior")
    worst = min(found, key=lambda key: found[key])
    p = min(1.0, found[worst] * len(found))
    return Check(
        name,
        f"{worst} is at a tail of {found[worst]:.2g} of its prior",
        f"at least {LEVEL}, corrected for {len(found)} quantities; it is {p:.2g}",
        p >= LEVEL,
        "the rows say what the prior held for nearly impossible: check units and scaling, then "
        "widen the prior or say why it is right",
        "prior",
    )


def log_prior(post: JointPosterior) -> np.ndarray | None:
    """Log density (draw) of what the prior speaks of directly, up to a constant; None if flat."""
    spec = post.spec
    if isinstance(spec.prior, ShrinkagePrior):
        total = np.zeros(len(post.draws_of("sigma")))
        for draws, mean, sd in top_level(post).values():
            total -= 0.5 * np.square((draws - mean) / sd)
        constants = [(j, b) for j, b in spec.columns.entries if spec.columns.terms[b] == "1"]
        corrections = post.draws_of("corrections")
        for j, b in constants:
            total -= 0.5 * np.square(corrections[:, j, b] / spec.prior.constant_of(j))
        return total
    if isinstance(spec.prior, LKJPrior) and spec.likelihood == "conditional":
        prior = spec.prior
        linkage, sigma = post.draws_of("linkage"), post.draws_of("sigma")
        linked, shape = lkj_arrays(spec, prior)
        total = lkj_batch(
            np.ascontiguousarray(linkage),
            np.ascontiguousarray(sigma),
            linked,
            shape,
            -float(np.log(prior.noise)),
            prior.noise_log_sd,
        )
        corrections = post.draws_of("corrections")
        for j, b in spec.columns.entries:
            scale = prior.t * sigma[:, j]
            total += -0.5 * np.square(corrections[:, j, b] / scale) - np.log(scale)
        return np.asarray(total)
    return None


def sensitivity(log_density: np.ndarray, quantities: np.ndarray) -> np.ndarray:
    """Change of each quantity (draw, quantity) for each doubling of a power of the density."""
    from arviz_stats.base import array_stats

    if np.ptp(log_density) == 0.0:
        return np.zeros(quantities.shape[1])
    weights = []
    for alpha in ALPHAS:
        with warnings.catch_warnings():  # of a constant density
            warnings.simplefilter("ignore")
            log_weights = array_stats.power_scale_lw(log_density, alpha=alpha)
        weights.append(softmax(log_weights)[None])
    found = [
        float(array_stats.power_scale_sense(column[None], weights[0], weights[1], *ALPHAS))
        for column in quantities.T
    ]
    return np.array(found)


def sensitivity_check(
    post: JointPosterior, log_likelihood: np.ndarray, means: np.ndarray, places: list[str]
) -> Check:
    """Check how far predictions of the primary target (draw, place) move with the prior."""
    name, density = "sensitivity to the prior", log_prior(post)
    if density is None:
        text = "not computed: the prior is flat, or likelihood 'joint'"
        return Check(name, text, "", None, "", "prior")
    from_prior = sensitivity(density, means)
    from_rows = sensitivity(log_likelihood, means)
    worst = int(np.argmax(from_prior))
    strong = from_prior > SENSITIVE
    return Check(
        name,
        f"{from_prior[worst]:.3f} at {places[worst]} (to the rows: {from_rows[worst]:.2f}); "
        f"{int(strong.sum())} of {len(places)} predictions above {SENSITIVE}",
        f"at most one in ten above {SENSITIVE}",
        bool(strong.mean() <= 0.1),
        "these predictions depend on how strongly the prior is believed: justify it, fit with a "
        "wider and a narrower one, or measure more",
        "prior",
    )
