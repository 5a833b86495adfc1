"""The specification as a PyMC model: priors on the target columns, one potential for the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from claude_pymc.joint.collapsed_op import collapsed_log_likelihood
from claude_pymc.joint.inputs import DATA, coords, data_of
from claude_pymc.joint.ops import pattern_log_likelihood
from claude_pymc.joint.priors import FLOOR, LKJPrior, ShrinkagePrior
from claude_pymc.joint.row_model import add_rows, cheaper_arrays
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.spec import JointGaussian, refuse_chosen
from claude_pymc.notation import (
    JOINT_COLUMNS,
    PARAMETERS,
    TARGET,
    VARIABLE,
    VARIABLE_BIS,
)
from claude_pymc.tables.statistics import PatternStats


def build_model(
    spec: JointGaussian, stats: PatternStats | None = None, *, collapse: bool = False
) -> pm.Model:
    """Declare the joint Gaussian as an ordinary ``pm.Model``.

    Rows enter as the data ``rows`` and ``gram``, so that a compiled model can be
    given new statistics. Priors and likelihoods may be added as to any PyMC model; the quantities
    of `claude_pymc.notation` are deterministics with coords and dims.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats, optional
        Without rows the model is its prior.
    collapse : bool
        Integrate the corrections out: linkage, noise and scales remain, with the same posterior.
        :func:`claude_pymc.sample` draws the corrections given them.

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
    >>> [v.name for v in build_model(JointGaussian(design), collapse=True).free_RVs]
    ['log_sigma', 'linkage_free', 'scale']
    """
    refuse_chosen(spec, "one PyMC model")
    if spec.needs == "rows":
        return _model_of_rows(spec, stats)
    values = data_of(spec, PatternStats.empty(spec.design) if stats is None else stats)
    with pm.Model(coords=coords(spec)) as model:
        for name in DATA:
            pm.Data(name, values[name])
        data = [model[name] for name in DATA]
        build = {"shrinkage": _shrinkage_columns, "lkj": _lkj_columns, "flat": _flat_columns}
        linkage, sigma, sd = build[spec.prior.kind](spec)
        if collapse:
            likelihood = collapsed_log_likelihood(spec.columns, linkage, sigma, sd, *data)
            _declare_collapsed(spec, linkage, sigma)
        else:
            corrections = _corrections(spec, sd)
            _declare(spec, linkage, sigma, corrections)
            likelihood = pattern_log_likelihood(linkage, sigma, corrections, *data)
        pm.Potential("log_likelihood", likelihood)
    return model


def _model_of_rows(spec: JointGaussian, stats: PatternStats | None) -> pm.Model:
    """Model of a specification that needs rows, which are constants of it."""
    if stats is None:
        stats = PatternStats.empty(spec.design, rows=True)
    data_of(spec, stats)
    assert stats.kept is not None
    values = cheaper_arrays(stats)
    with pm.Model(coords=coords(spec)) as model:
        linkage, sigma, sd = _shrinkage_columns(spec)
        corrections = _corrections(spec, sd)
        _declare(spec, linkage, sigma, corrections)
        likelihood = pattern_log_likelihood(
            linkage, sigma, corrections, *(pt.constant(values[name]) for name in DATA)
        )
        pm.Potential("log_likelihood", likelihood)
        scale = model.named_vars.get("scale")
        add_rows(spec, stats.kept, linkage, sigma, corrections, scale)
    return model


def _scatter(shape: tuple[int, ...], entries: Any, values: Any) -> Any:
    """Place ``values`` at ``entries`` of zeros: gathered, which compiles faster than assigned."""
    places = np.ravel_multi_index(tuple(np.array(entries, dtype=int).T), shape)
    source = np.full(int(np.prod(shape)), len(places))
    source[places] = np.arange(len(places))
    return pt.concatenate([values, np.zeros(1)])[source].reshape(shape)


def _linkage(spec: JointGaussian, links: Any) -> Any:
    """C from its free entries, zero elsewhere."""
    d = len(spec.columns.variables)
    if not spec.columns.links:
        return pt.zeros((d, d))
    return _scatter((d, d), [link[:2] for link in spec.columns.links], links)


def _corrections(spec: JointGaussian, sd: Any) -> Any:
    """R, its free entries with prior sd ``sd``; flat if that is infinite.

    R = sqrt(sd) z with z ~ N(0, sd): halfway between centred and non-centred, it has neither the
    funnel of the one where sd is small nor the ridge of the other where rows are many.
    """
    columns = spec.columns
    shape = len(columns.variables), len(columns.terms)
    if not columns.entries:
        return pt.zeros(shape)
    if spec.prior.proper:
        half = pt.sqrt(sd)
        entries = half * pm.Normal("correction_free", 0.0, half, dims="correction")
    else:
        zeros = np.zeros(len(columns.entries))
        entries = pm.Flat("correction_free", dims="correction", initval=zeros)
    return _scatter(shape, columns.entries, entries)


def _shrinkage_columns(spec: JointGaussian) -> tuple[Any, Any, Any]:
    """Linkage, noise and prior sd of the corrections under `ShrinkagePrior`."""
    prior, columns = spec.prior, spec.columns
    assert isinstance(prior, ShrinkagePrior)
    log_sigma = pm.Normal("log_sigma", np.log(prior.noise), prior.noise_log_sd, dims=TARGET)
    free = None
    if columns.links:
        centre = np.array([mean for *_, mean in columns.links])
        free = pm.Normal("linkage_free", centre, prior.linkage_sd, dims="link")
    scales = scales_of(spec)
    assert scales is not None
    n = len(scales.groups)
    log_sd: Any = pt.constant(scales.offset)
    if n:
        scale = pm.LogNormal("scale", scales.mean[:n], scales.sd[:n], dims="group")
        log_sd = log_sd + pt.dot(scales.weight, pt.log(scale))
    if scales.lengths:
        log_length = pm.Uniform("log_length", scales.low, scales.high, dims="kernel")
        length = pm.Deterministic("length", pt.exp(log_length), dims="kernel")
        log_sd = log_sd + 0.5 * pt.dot(scales.half, log_length)
        log_sd = log_sd - 0.25 * pt.dot(scales.frequency, length**2)
    return _linkage(spec, free), FLOOR + pt.exp(log_sigma), pt.exp(log_sd)


def _lkj_columns(spec: JointGaussian) -> tuple[Any, Any, Any]:
    """Linkage, noise and prior sd of the corrections from the precision's Cholesky factor.

    Order (y_d, ..., y_1, x): Lambda = L L', and column j of L is (0, 1, -c_j, -R_j) / sigma_j.
    """
    prior, columns = spec.prior, spec.columns
    assert isinstance(prior, LKJPrior)
    d, p = len(columns.variables), len(columns.terms)
    dims = TARGET if spec.likelihood == "conditional" else VARIABLE
    log_s = pm.Normal("log_precision_scale", -np.log(prior.noise), prior.noise_log_sd, dims=dims)
    partial: Any = pt.zeros((d, d))
    if columns.links:
        # The last variable comes first: the linkage of j to k is row d - 1 - k, column d - 1 - j.
        places = [(d - 1 - k, d - 1 - j) for j, k, _ in columns.links]
        a = np.array([prior.beta_shape(column + 1, p, d) for _, column in places])
        partial = _scatter((d, d), places, 2.0 * pm.Beta("partial_beta", a, a, dims="link") - 1.0)
    # Row i of the correlation's factor: rho_ij sqrt(prod_{k<j} (1 - rho_ik^2)), last the rest.
    keep = pt.sqrt(pt.cumprod(1.0 - partial**2, axis=1))
    before = pt.concatenate([pt.ones((d, 1)), keep[:, :-1]], axis=1)
    factor = (partial + pt.eye(d)) * before
    factor = pt.tril(pt.exp(log_s)[::-1, None] * factor)
    upper = factor[::-1, ::-1]
    sigma = 1.0 / pt.diagonal(upper)
    linkage = -pt.triu(upper, 1).T * sigma[:, None]
    owner = np.array([j for j, _ in columns.entries], dtype=int)
    return linkage, sigma, prior.t * sigma[owner]


def _flat_columns(spec: JointGaussian) -> tuple[Any, Any, Any]:
    """Linkage and noise, uniform in the free entries of the precision; no scale of corrections."""
    columns = spec.columns
    dims = TARGET if spec.likelihood == "conditional" else VARIABLE
    log_sigma = pm.Flat("log_sigma", dims=dims, initval=np.zeros(len(columns.variables)))
    free = None
    if columns.links:
        free = pm.Flat("linkage_free", dims="link", initval=np.zeros(len(columns.links)))
    # d Lambda = prod_j tau_j^m_j d tau d C d R, and d tau = 2 tau |d log sigma|.
    powers = np.array(columns.sizes()) + 1.0
    pm.Potential("flat", -2.0 * pt.dot(powers, log_sigma))
    return _linkage(spec, free), pt.exp(log_sigma), np.full(len(columns.entries), np.inf)


def _declare_collapsed(spec: JointGaussian, linkage: Any, sigma: Any) -> None:
    """Name linkage and noise of all variables."""
    names = list(JOINT_COLUMNS) if spec.likelihood == "joint" else ["linkage", "sigma"]
    for name, value in zip(names[:2], (linkage, sigma), strict=True):
        pm.Deterministic(name, value, dims=(PARAMETERS | JOINT_COLUMNS)[name])


def _declare(spec: JointGaussian, linkage: Any, sigma: Any, corrections: Any) -> None:
    """Name everything a posterior carries, whichever prior it came from."""
    if spec.likelihood == "joint":
        n = len(spec.design.descriptors)
        raw = (linkage, sigma, corrections[:, 0])
        for (name, dims), value in zip(JOINT_COLUMNS.items(), raw, strict=True):
            pm.Deterministic(name, value, dims=dims)
        root = _inverse(linkage) * sigma
        pm.Deterministic("joint_mean", (_inverse(linkage) @ corrections)[:, 0], dims=VARIABLE)
        pm.Deterministic("joint_covariance", root @ root.T, dims=(VARIABLE, VARIABLE_BIS))
        corrections = pt.concatenate([corrections[n:], linkage[n:, :n]], axis=1)
        linkage, sigma = linkage[n:, n:], sigma[n:]
    unit = pt.eye(linkage.shape[0]) - linkage
    weighted = unit.T / sigma**2
    inverse = _inverse(linkage)
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


def _inverse(linkage: Any) -> Any:
    """T^-1 with T = I - C."""
    unit = pt.eye(linkage.shape[0])
    return pt.linalg.solve_triangular(unit - linkage, unit, lower=True)
