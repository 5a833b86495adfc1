"""The specification as a PyMC model: priors on the target columns, one potential for the rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from claude_pymc.errors import Notice, StatisticsError
from claude_pymc.joint.ops import pattern_log_likelihood
from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import BASIS, PARAMETERS, TARGET, TARGET_BIS
from claude_pymc.tables.statistics import PatternStats

DATA = ("rows", "gram")
SMALL, LARGE = 0.02, 10.0


def build_model(spec: JointGaussian, stats: PatternStats | None = None) -> pm.Model:
    """Declare the joint Gaussian as an ordinary ``pm.Model``.

    Rows enter as the data ``rows`` and ``gram``, so that a compiled model can be
    given new statistics. Priors and likelihoods may be added as to any PyMC model; the quantities
    of `claude_pymc.notation` are deterministics with coords and dims.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats, optional
        Without rows the model is its prior.

    Raises
    ------
    StatisticsError
        If the statistics belong to another design.

    Examples
    --------
    >>> from claude_pymc.tables.design import Design
    >>> design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    >>> [v.name for v in build_model(JointGaussian(design)).free_RVs]
    ['log_sigma', 'linkage_free', 'scale', 'correction_free']
    """
    values = data_of(spec, PatternStats.empty(spec.design) if stats is None else stats)
    with pm.Model(coords=coords(spec)) as model:
        for name in DATA:
            pm.Data(name, values[name])
        if isinstance(spec.prior, LKJPrior):
            linkage, sigma, corrections = _lkj_columns(spec, spec.prior)
        else:
            linkage, sigma, corrections = _shrinkage_columns(spec, spec.prior)
        _declare(linkage, sigma, corrections)
        data = [model[name] for name in DATA]
        pm.Potential("log_likelihood", pattern_log_likelihood(linkage, sigma, corrections, *data))
    return model


def coords(spec: JointGaussian) -> dict[str, list[str]]:
    """Coordinates of the model's dims."""
    design = spec.design
    return {
        TARGET: list(design.targets),
        TARGET_BIS: list(design.targets),
        BASIS: list(design.terms),
        "link": [f"{design.targets[j]} <- {design.targets[k]}" for j, k, _ in spec.links],
        "correction": [f"{design.targets[j]}: {design.terms[b]}" for j, b in _entries(spec)],
        "group": [f"{design.targets[j]}: {g}" for j, g in _groups(spec)],
    }


def data_of(spec: JointGaussian, stats: PatternStats) -> dict[str, np.ndarray]:
    """Return the arrays through which rows enter the compiled model."""
    if stats.design != spec.design:
        raise StatisticsError(
            "statistics of the design in the specification",
            "statistics of another design",
            "the table was condensed with another basis or another scaling",
            "use PatternStats.from_table(table, spec.design)",
        )
    _notice_scale(spec, stats)
    return {"rows": stats.rows, "gram": stats.grams}


def _notice_scale(spec: JointGaussian, stats: PatternStats) -> None:
    """Say where targets are so far from unit scale that the prior is no longer weak."""
    p = len(spec.design.terms)
    for j, target in enumerate(spec.design.targets):
        n = stats.measured(target)
        rms = float(np.sqrt(stats.grams[:, p + j, p + j].sum() / n)) if n else 1.0
        if not SMALL < rms < LARGE:
            warnings.warn(
                f"{target!r} has a root mean square of {rms:.3g} on the modelled scale, where "
                "priors expect about 1: use Design.from_table(standardize=True), or "
                "Design.from_bounds(ranges=...)",
                Notice,
                stacklevel=4,
            )


def _entries(spec: JointGaussian) -> list[tuple[int, int]]:
    """Free entries of R as (target, term)."""
    return [(int(j), int(b)) for j, b in np.argwhere(spec.design.active)]


def _groups(spec: JointGaussian) -> list[tuple[int, str]]:
    """Learned scales as (target, group of terms), the constant left out."""
    names = spec.design.basis.groups(len(spec.design.descriptors))
    pairs = dict.fromkeys((j, names[b]) for j, b in _entries(spec))
    return [(j, g) for j, g in pairs if g != "constant"]


def _scatter(shape: tuple[int, ...], entries: Any, values: Any) -> Any:
    """Place ``values`` at ``entries`` of zeros: gathered, which compiles faster than assigned."""
    places = np.ravel_multi_index(tuple(np.array(entries, dtype=int).T), shape)
    source = np.full(int(np.prod(shape)), len(places))
    source[places] = np.arange(len(places))
    return pt.concatenate([values, np.zeros(1)])[source].reshape(shape)


def _linkage_matrix(spec: JointGaussian, values: Any) -> Any:
    """Strictly lower C from its free entries."""
    return _scatter((len(spec.design.targets),) * 2, [link[:2] for link in spec.links], values)


def _correction_matrix(spec: JointGaussian, values: Any) -> Any:
    """R from its free entries, zero elsewhere."""
    return _scatter(spec.design.active.shape, _entries(spec), values)


def _shrinkage_columns(spec: JointGaussian, prior: ShrinkagePrior) -> tuple[Any, Any, Any]:
    """Linkage, noise and corrections under `ShrinkagePrior`."""
    log_sigma = pm.Normal("log_sigma", np.log(prior.noise), prior.noise_log_sd, dims=TARGET)
    linkage = pt.zeros((len(spec.design.targets),) * 2)
    if spec.links:
        centre = np.array([mean for *_, mean in spec.links])
        free = pm.Normal("linkage_free", centre, prior.linkage_sd, dims="link")
        linkage = _linkage_matrix(spec, free)
    groups, entries = _groups(spec), _entries(spec)
    names = spec.design.basis.groups(len(spec.design.descriptors))
    scale: Any = pt.constant(np.array([prior.constant_sd]))
    if groups:
        learned = pm.LogNormal("scale", np.log(prior.scale), prior.scale_log_sd, dims="group")
        scale = pt.concatenate([scale, learned])
    position = {pair: i + 1 for i, pair in enumerate(groups)}
    scale = scale[np.array([position.get((j, names[b]), 0) for j, b in entries])]
    # R = sqrt(t) z with z ~ N(0, t) in sd sqrt(t): halfway between centred and non-centred, it has
    # neither the funnel of the one where t is small nor the ridge of the other where rows are many.
    half = pt.sqrt(scale)
    terms = half * pm.Normal("correction_free", 0.0, half, dims="correction")
    return linkage, FLOOR + pt.exp(log_sigma), _correction_matrix(spec, terms)


def _lkj_columns(spec: JointGaussian, prior: LKJPrior) -> tuple[Any, Any, Any]:
    """Linkage, noise and corrections from the d target columns of the precision's Cholesky factor.

    Order (y_d, ..., y_1, x): Lambda = L L', and column j of L is (0, 1, -c_j, -R_j) / sigma_j.
    """
    d, p = len(spec.design.targets), len(spec.design.terms)
    log_s = pm.Normal("log_precision_scale", -np.log(prior.noise), prior.noise_log_sd, dims=TARGET)
    rows, columns = np.tril_indices(d, -1)
    partial: Any = pt.zeros((d, d))
    if len(rows):
        a = np.array([prior.beta_shape(int(j) + 1, p, d) for j in columns])
        beta = pm.Beta("partial_beta", a, a, dims="link")
        partial = partial[rows, columns].set(2.0 * beta - 1.0)
    # Row i of the correlation's factor: rho_ij sqrt(prod_{k<j} (1 - rho_ik^2)), last the rest.
    keep = pt.sqrt(pt.cumprod(1.0 - partial**2, axis=1))
    before = pt.concatenate([pt.ones((d, 1)), keep[:, :-1]], axis=1)
    factor = (partial + pt.eye(d)) * before
    factor = pt.tril(pt.exp(log_s)[::-1, None] * factor)
    upper = factor[::-1, ::-1]
    sigma = 1.0 / pt.diagonal(upper)
    linkage = -pt.triu(upper, 1).T * sigma[:, None]
    below = pm.Normal("factor_x", 0.0, prior.t, dims="correction")
    return linkage, sigma, -_correction_matrix(spec, below) * sigma[:, None]


def _declare(linkage: Any, sigma: Any, corrections: Any) -> None:
    """Name everything a posterior carries, whichever prior it came from."""
    unit = pt.eye(linkage.shape[0]) - linkage
    weighted = unit.T / sigma**2
    inverse = pt.linalg.solve_triangular(unit, pt.eye(linkage.shape[0]), lower=True)
    root = inverse * sigma
    quantities = {
        "linkage": linkage,
        "sigma": sigma,
        "corrections": corrections,
        "coefficients": inverse @ corrections,
        "covariance": root @ root.T,
        "precision_yy": weighted @ unit,
        "precision_yx": -weighted @ corrections,
    }
    for name, dims in PARAMETERS.items():
        pm.Deterministic(name, quantities[name], dims=dims)
