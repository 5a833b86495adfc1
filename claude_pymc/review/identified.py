r"""Is the linkage identified: what the rows say of it, from which rows, and of the noise.

Without rows that have both, c shows only through the part of the cheaper target's surface that the
correction terms cannot imitate, and the split of noise only through c. Hence

- contraction: posterior sd of c over its prior sd, 1 where rows say nothing;
- c by generalised least squares from the rows that have both values against c from the rows of the
  primary target alone, whose cheaper value is read from its surface (with the uncertainty of that);
  corrections R ~ N(0, E R^2) and noise as the posterior has them;
- sigma -> 0: draws in which a noise is less than a tenth of what it may be.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from claude_pymc.joint.convergence import Check
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.prediction import quartile_std
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior
from claude_pymc.joint.rows import modelled
from claude_pymc.review.against_prior import lkj_draws
from claude_pymc.review.against_rows import LEVEL
from claude_pymc.tables.table import Table

CONTRACTED, FEW = 0.8, 3  # posterior over prior sd; rows of a kind
NEAR_ZERO, MASS = 0.1, 0.05  # of the 95 % quantile; share of draws below it


def linkage_checks(post: JointPosterior, table: Table | None) -> list[Check]:
    """Check contraction of each linkage, agreement of its sources, noise away from zero."""
    design = post.spec.design
    if len(design.targets) == 1:
        return []
    checks = [_shared(post, table)] + [_contraction(post, j, k) for j, k, _ in post.spec.links]
    if table is not None and post.spec.likelihood == "conditional":
        checks.append(_agreement(post, table))
    return checks


def noise_checks(post: JointPosterior) -> list[Check]:
    """Check that no noise may be anything between zero and its usual size."""
    sigma, checks = post.draws_of("sigma"), []
    for j, target in enumerate(post.targets):
        top = float(np.quantile(sigma[:, j], 0.95))
        mass = float((sigma[:, j] < NEAR_ZERO * top).mean())
        checks.append(
            Check(
                f"noise of {target} away from zero",
                f"{100 * mass:.1f} % of the draws below a tenth of its 95 % quantile "
                f"({noise_in_units(post, j, top)})",
                f"at most {100 * MASS:.0f} %",
                mass <= MASS,
                "rows do not tell the noise from zero: measure a point twice, or values of both "
                "targets at one point; until then intervals rest on the prior of the noise",
                "linkage",
            )
        )
    return checks


def noise_in_units(post: JointPosterior, j: int, sigma: float) -> str:
    """Say a noise in the unit of its target; as a factor, where the logarithm is modelled."""
    design = post.spec.design
    size = sigma * design.scale[j]
    if design.transforms[j] == "log":
        return f"a factor of {np.exp(size):.3g}"
    return f"{size:.3g} {dict(design.units).get(design.targets[j], '')}".strip()


def _shared(post: JointPosterior, table: Table | None) -> Check:
    """Count rows with the primary and a cheaper target."""
    name = "rows with the primary and a cheaper target"
    if table is not None:
        has = np.isfinite(modelled(post, table)[1])
        count, total = int((has[:, -1] & has[:, :-1].any(axis=1)).sum()), len(has)
    elif "shared_rows" in post.idata.attrs:
        count, total = (int(post.idata.attrs[key]) for key in ("shared_rows", "n_rows"))
    else:
        return Check(name, "not known without the rows", "", None, "", "linkage")
    text = f"{count} of {total}"
    if count == 0:
        text += ": the linkage is known only through the terms outside the correction set"
    return Check(name, text, "", None, "", "linkage")


def _contraction(post: JointPosterior, j: int, k: int) -> Check:
    """Posterior over prior sd of one linkage."""
    spec, targets = post.spec, post.targets
    name = f"contraction of the linkage of {targets[j]} on {targets[k]}"
    draws = post.draws_of("linkage")[:, j, k]
    if isinstance(spec.prior, ShrinkagePrior):
        before = spec.prior.linkage_sd
    elif isinstance(spec.prior, LKJPrior):
        before = float(quartile_std(lkj_draws(spec, spec.prior)[0][:, j, k]))
    else:
        return Check(name, "not computed: the prior is flat", "", None, "", "linkage")
    after = float(quartile_std(draws))
    ratio = after / before
    return Check(
        name,
        f"{draws.mean():.2f} with sd {after:.2g}, {ratio:.2f} of that of its prior",
        f"at most {CONTRACTED}",
        ratio <= CONTRACTED,
        "the rows have hardly taught this linkage, and what is predicted through it rests on its "
        "prior: measure where the cheaper value is known, or leave terms out of the corrections",
        "linkage",
    )


def _agreement(post: JointPosterior, table: Table) -> Check:
    """Compare c from rows that have both values with c from rows whose cheaper value is read."""
    spec, near, last = post.spec, post.spec.nearest, len(post.targets) - 1
    name = f"linkage of {post.targets[last]} from shared rows and from surfaces"
    x, y = modelled(post, table)
    has = np.isfinite(y)
    shared = np.flatnonzero(has[:, last] & has[:, near])
    alone = np.flatnonzero(has[:, last] & ~has[:, near])
    free = int(spec.design.active[last].sum())
    if min(len(shared), len(alone)) < FEW:
        text = f"not compared: {len(shared)} shared rows, {len(alone)} of the primary alone"
        return Check(name, text, "", None, "", "linkage")
    estimates = [_by_least_squares(post, x[rows], y[rows]) for rows in (shared, alone)]
    (first, one), (second, other) = estimates
    z = (first - second) / np.hypot(one, other)
    p = float(2.0 * ndtr(-abs(z)))
    return Check(
        name,
        f"{first:.2f} ± {one:.2g} and {second:.2f} ± {other:.2g} (± sd), p-value {p:.2g}, "
        f"{free} correction terms",
        f"at least {LEVEL}",
        p >= LEVEL,
        "the two kinds of rows disagree on how much carries over: the rows of the primary target "
        "alone may be of another kind, or a correction term is missing",
        "linkage",
    )


def _by_least_squares(post: JointPosterior, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Estimate c of the nearest cheaper target, and its sd, given everything else."""
    spec, near, last = post.spec, post.spec.nearest, len(post.targets) - 1
    design = spec.design
    phi = design.phi(x)
    linkage, corrections = post.draws_of("linkage"), post.draws_of("corrections")[:, last]
    c = linkage[:, last, :last].mean(axis=0)
    variance = np.full(len(x), np.square(post.draws_of("sigma")[:, last]).mean())
    if spec.noise == "student":
        nu = post.draws_of("freedom")
        variance *= float(np.median(np.where(nu > 2.5, nu / np.maximum(nu - 2.0, 0.5), 5.0)))
    used = np.arange(len(linkage))
    cheap, doubt = y[:, :last].copy(), np.zeros((len(x), last))
    known = y.copy()
    known[:, last] = np.nan
    for rows, have, mean, root in post.conditional(x, known[:, : last + 1], used):
        for i, k in enumerate(np.flatnonzero(~have[:last])):
            cheap[rows, k] = mean[:, :, i].mean(axis=0)
            noise = np.square(root[:, i]).sum(axis=-1).mean()
            doubt[rows, k] = mean[:, :, i].var(axis=0) + noise
    variance = variance + doubt @ np.square(c)
    others = np.delete(np.arange(last), near)
    response = y[:, last] - cheap[:, others] @ c[others]
    if spec.varying:
        at = [design.terms.index(term) for term in spec.varying]
        response = response - (phi[:, at] @ post.draws_of("varying").mean(axis=0)) * cheap[:, near]
    free = np.flatnonzero(design.active[last])
    root_weight = 1.0 / np.sqrt(variance)
    columns = np.column_stack([cheap[:, near], phi[:, free]]) * root_weight[:, None]
    tau = np.sqrt(np.square(corrections[:, free]).mean(axis=0))
    penalty = np.diag(np.append(1e-8, 1.0 / np.maximum(tau, 1e-8) ** 2))
    information = columns.T @ columns + penalty
    inverse = np.linalg.inv(information)
    estimate = inverse @ (columns.T @ (response * root_weight))
    return float(estimate[0]), float(np.sqrt(inverse[0, 0]))
