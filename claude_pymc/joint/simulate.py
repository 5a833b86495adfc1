"""Draws from the prior, and rows from given columns: what calibration and prior checks need."""

from __future__ import annotations

import numpy as np

from claude_pymc.errors import SpecError
from claude_pymc.joint.density import draw_lkj, entry_sd, sigma_of
from claude_pymc.joint.gaussian import covariance_root, split_joint
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.sets import Menu
from claude_pymc.joint.several import Several, narrowed
from claude_pymc.joint.spec import VARYING, JointGaussian
from claude_pymc.tables.categories import refuse_other_categories
from claude_pymc.tables.table import Table

Truth = dict[str, np.ndarray]


def draw_prior(spec: JointGaussian, rng: np.random.Generator) -> Truth:
    """Draw C, sigma, R (and scales) of all variables once from the prior.

    Returns
    -------
    dict
        ``linkage`` (variable, variable), ``sigma`` (variable), ``corrections`` (variable, term)
        and, under `ShrinkagePrior`, ``scale`` (group) and ``length`` (kernel) where there are any.
        Where terms are chosen by evidence their set is drawn, too, and scales are left out.

    Raises
    ------
    SpecError
        If the prior is improper.
    """
    if spec.design.chosen:
        return _with_sets(spec, rng)
    prior, columns = spec.prior, spec.columns
    d = len(columns.variables)
    linkage, hyper = np.zeros((d, d)), np.zeros(0)
    scales = scales_of(spec)
    if isinstance(prior, ShrinkagePrior):
        sigma = sigma_of(spec, rng.normal(np.log(prior.noise), prior.noise_log_sd, d))
        for j, k, mean in columns.links:
            linkage[j, k] = rng.normal(mean, prior.linkage_sd)
        assert scales is not None
        hyper = rng.normal(scales.mean, scales.sd)
    elif isinstance(prior, LKJPrior):
        linkage, sigma = (v[0] for v in draw_lkj(spec, prior, 1, rng))
    else:
        raise SpecError(
            "a proper prior to draw from",
            f"{prior!r}",
            "a flat prior has no draws",
            "use ShrinkagePrior or LKJPrior",
        )
    sd = entry_sd(spec, sigma, hyper)
    assert sd is not None
    corrections = np.zeros((d, len(columns.terms)))
    corrections[tuple(np.array(columns.entries, dtype=int).reshape(-1, 2).T)] = rng.normal(0, sd)
    found = {"linkage": linkage, "sigma": sigma, "corrections": corrections}
    if scales is not None:
        scale, length = scales.split(hyper)
        found |= {name: v for name, v in (("scale", scale), ("length", length)) if len(v)}
    return found | _peculiar_to_rows(spec, found, rng)


def _with_sets(spec: JointGaussian, rng: np.random.Generator) -> Truth:
    """Draw sets of terms, then the columns with these."""
    last = len(spec.design.targets) - 1
    menu = Several(
        tuple(
            Menu.of(spec.design, j, varying=j == last and bool(spec.varying))
            for j in range(last + 1)
        )
    )
    found = draw_prior(narrowed(spec, menu, menu.draw(rng)), rng)
    if spec.varying:
        found.setdefault("varying", np.zeros(len(spec.varying)))
    return {name: value for name, value in found.items() if name not in ("scale", "length")}


def _peculiar_to_rows(spec: JointGaussian, truth: Truth, rng: np.random.Generator) -> Truth:
    """Draw what varies the linkage, degrees of freedom, and the noise of each source."""
    prior = spec.prior
    found: Truth = {}
    if spec.needs == "statistics" or not isinstance(prior, ShrinkagePrior):
        return found
    if spec.varying:
        group = spec.groups.index((len(spec.design.targets) - 1, VARYING))
        found["varying"] = rng.normal(0.0, truth["scale"][group], len(spec.varying))
    if spec.noise == "student":
        found["freedom"] = np.exp(rng.normal(np.log(prior.freedom), prior.freedom_log_sd))
    if spec.sources:
        others = rng.normal(np.log(prior.noise), prior.noise_log_sd, len(spec.sources) - 1)
        found["source_sigma"] = np.append(truth["sigma"][-1], sigma_of(spec, others))
    return found


def simulate_rows(
    spec: JointGaussian, truth: Truth, layout: Table, rng: np.random.Generator
) -> Table:
    """Rows of the model with the columns ``truth``, where ``layout`` has values.

    ``layout`` gives the descriptors and says which targets (under "joint": also which descriptors)
    are measured; its values of whatever is simulated are not read.

    Raises
    ------
    SpecError
        If measurement errors are known of a target that is modelled by its logarithm.
    TableError
        If the layout has other categories than the design.
    """
    design = spec.design
    refuse_other_categories(layout.descriptors, design.descriptors)
    if spec.errors and design.transforms[-1] == "log":
        raise SpecError(
            "a primary target that is modelled as it is, if errors=True, to simulate rows",
            f"{design.targets[-1]!r}, modelled by its logarithm",
            "known errors are in the unit of the target; the error of its logarithm, sigma / y, "
            "depends on the value that is to be simulated",
            "leave out errors=True, or the transform",
        )
    root = covariance_root(truth["linkage"], truth["sigma"])
    mean = np.linalg.solve(np.eye(len(root)) - truth["linkage"], truth["corrections"])
    noise = rng.standard_normal((len(layout), len(root))) @ root.T
    order = [layout.descriptors.index(name) for name in design.descriptors]
    x, n = layout.x[:, order], len(design.descriptors)
    if spec.likelihood == "joint":
        z = mean[:, 0] + noise
        x, y = np.where(np.isnan(x), np.nan, _from_domain(spec, z[:, :n])), z[:, n:]
    else:
        y = design.phi(x) @ mean.T + noise
    if spec.needs == "rows":
        y[:, -1] = _primary(spec, truth, layout, design.phi(x), y[:, :-1], rng)
    missing = np.full((len(layout), len(design.targets)), True)
    for j, name in enumerate(design.targets):
        if name in layout.targets:
            missing[:, j] = np.isnan(layout.y[:, layout.targets.index(name)])
    values = np.where(missing, np.nan, design.from_model(y))
    units = dict(design.units)
    return Table(
        design.descriptors, design.targets, x, values, (), units, layout.sigma, layout.sources
    )


def _primary(
    spec: JointGaussian,
    truth: Truth,
    layout: Table,
    phi: np.ndarray,
    cheaper: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Values of the primary target given the cheaper ones, row by row, on the modelled scale."""
    n = len(phi)
    link = np.repeat(truth["linkage"][-1, :-1][None], n, axis=0)
    if spec.varying:
        at = [spec.design.terms.index(term) for term in spec.varying]
        link[:, spec.nearest] += phi[:, at] @ truth["varying"]
    sigma = np.full(n, truth["sigma"][-1])
    if spec.sources:
        sigma = truth["source_sigma"][[spec.sources.index(s) for s in layout.sources]]
    noise = rng.standard_normal(n) * sigma
    if spec.noise == "student":
        noise /= np.sqrt(rng.chisquare(truth["freedom"], n) / truth["freedom"])
    if spec.errors:
        assert layout.sigma is not None
        noise += rng.standard_normal(n) * layout.sigma / spec.design.scale[-1]
    found: np.ndarray = phi @ truth["corrections"][-1] + (link * cheaper).sum(axis=1) + noise
    return found


def named_truth(spec: JointGaussian, truth: Truth) -> Truth:
    """Return the columns under the names and shapes that a posterior has."""
    if spec.likelihood == "conditional":
        return truth
    return split_joint(
        truth["linkage"],
        truth["sigma"],
        truth["corrections"][:, 0],
        len(spec.design.descriptors),
    )


def _from_domain(spec: JointGaussian, u: np.ndarray) -> np.ndarray:
    """Descriptors in their units from the modelled scale."""
    if not spec.design.bounds:
        return u
    low, high = np.array(spec.design.bounds).T
    start, end = spec.design.basis.domain
    return low + (u - start) / (end - start) * (high - low)
