"""Likelihoods of rows under a linkage that varies and noise that differs, against dense sums."""

import arviz as az
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import claude_pymc as cp
from claude_pymc.joint.asked import noise_of
from claude_pymc.joint.row_densities import log_density_of_rows

pytestmark = pytest.mark.filterwarnings("ignore:1 of .. rows have no target:claude_pymc.Notice")
TARGETS = ("sim", "exp")
SPECS = {
    "varying": {"varying": ["x"]},
    "errors": {"errors": True},
    "sources": {"sources": ["north", "south"]},
    "student": {"noise": "student"},
    "all": {"varying": ["x"], "noise": "student", "errors": True, "sources": ["north", "south"]},
}


@pytest.fixture(scope="module")
def table():
    """Sixteen rows; some lack the simulation, some the measurement, one both."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (16, 1))
    y = np.column_stack([x[:, 0], 1.2 * x[:, 0]]) + 0.2 * rng.standard_normal((16, 2))
    y[:4, 0] = y[3:7, 1] = np.nan  # row 3 lacks both
    sources, labels = ("north", "south") * 8, [f"r{i}" for i in range(16)]
    sigma = rng.uniform(0.05, 0.2, 16)
    return cp.Table(["x"], TARGETS, x, y, labels, sigma=sigma, sources=sources)


@pytest.fixture(scope="module", params=SPECS)
def fit(request, table):
    design = cp.Design.from_table(table, cp.Polynomial(degree=1), {"exp": ["1"]})
    spec = cp.JointGaussian(design, **SPECS[request.param])
    rows = cp.PatternStats.from_table(table, design, rows=True)
    tree = cp.Sampler(spec).draw(rows, draws=150, chains=2, seed=1)
    return cp.attach_rows(tree, table, spec, seed=2), spec


def terms_of(fit, table, s):
    """What draw s says: mean and sd of sim, linkage, correction and noise of exp, row by row."""
    tree, spec = fit
    draw = tree["posterior"].dataset.stack(s=("chain", "draw")).isel(s=s)
    phi = spec.design.phi(table.x)
    corrections = draw["corrections"].transpose("target", "basis").to_numpy()
    link = np.full(len(table), float(draw["linkage"].sel(target="exp", target_bis="sim")))
    if spec.varying:
        link = link + phi[:, 1] * float(draw["varying"][0])
    sigma = np.full(len(table), float(draw["sigma"].sel(target="exp")))
    if spec.sources:
        sigma = draw["source_sigma"].to_numpy()[np.arange(16) % 2]
    error = table.sigma / spec.design.scale[1] if spec.errors else np.zeros(len(table))
    nu = float(draw["freedom"]) if spec.noise == "student" else None
    return phi @ corrections.T, float(draw["sigma"].sel(target="sim")), link, sigma, error, nu


def density_of_noise(residual, sigma, further, nu):
    """Log density of Student-t or normal noise plus a normal error, by quadrature."""
    if nu is None:
        return stats.norm.logpdf(residual, 0.0, np.hypot(sigma, further))
    if further == 0.0:
        return stats.t.logpdf(residual, nu, 0.0, sigma)

    def inner(e):
        return stats.norm.pdf(e, 0.0, further) * stats.t.pdf(residual - e, nu, 0.0, sigma)

    return np.log(quad(inner, -9 * further, 9 * further, points=[0.0], epsrel=1e-10)[0])


def dense(fit, table, s, y):
    """Log density of each row of y (modelled scale) under draw s."""
    mean, sim_sd, link, sigma, error, nu = terms_of(fit, table, s)
    found = np.zeros(len(y))
    for i, (sim, exp) in enumerate(y):
        spread = error[i]
        centre = mean[i, 1] + link[i] * (mean[i, 0] if np.isnan(sim) else sim)
        if np.isnan(sim):
            spread = np.hypot(spread, link[i] * sim_sd)
        else:
            found[i] += stats.norm.logpdf(sim, mean[i, 0], sim_sd)
        if not np.isnan(exp):
            found[i] += density_of_noise(exp - centre, sigma[i], spread, nu)
    return found


def test_densities_of_rows_and_values(fit, table):
    tree, spec = fit
    y = spec.design.to_model(table.y)
    shift = np.isfinite(y) @ np.log(spec.design.scale)
    kept = np.flatnonzero(np.isfinite(y).any(axis=1))
    draws = tree["log_likelihood"].dataset.stack(s=("chain", "draw"))
    for s in (0, 77, 299):
        whole = dense(fit, table, s, y)
        rows = draws["rows"].isel(s=s)
        assert list(rows["row"].to_numpy()) == [f"r{i}" for i in kept]
        np.testing.assert_allclose(rows, (whole - shift)[kept], rtol=1e-4, atol=1e-4)
        for j, name in enumerate(TARGETS):
            rest = y.copy()
            rest[:, j] = np.nan
            value = whole - dense(fit, table, s, rest) - np.log(spec.design.scale[j])
            measured = np.isfinite(y[:, j])
            ours = draws[name].isel(s=s)
            np.testing.assert_allclose(ours, value[measured], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter:UserWarning")
def test_leave_one_out_and_replicates(fit, table):
    tree, _ = fit
    found = az.loo(tree, var_name="exp")
    assert np.isfinite(found.elpd) and found.se > 0
    assert list(tree["posterior_predictive"].data_vars) == ["exp"]
    replicate = tree["posterior_predictive"]["exp"]
    measured = np.isfinite(table.y[:, 1])
    seen = table.y[measured, 1]
    inside = (replicate.quantile(0.005, ("chain", "draw")) < seen) & (
        seen < replicate.quantile(0.995, ("chain", "draw"))
    )
    assert inside.mean() > 0.7 and replicate.shape == (2, 150, measured.sum())


def test_three_targets_in_any_order_of_missing(rng):
    """With normal noise and a linkage that varies by nothing, rows are plain Gaussians."""
    names = ("cheap", "sim", "exp")
    x = rng.uniform(0, 1, (24, 1))
    y = np.cumsum(x + 0.3 * rng.standard_normal((24, 3)), axis=1)
    y[rng.uniform(size=y.shape) < 0.3] = np.nan
    table = cp.Table(["x"], names, x, y, sigma=np.full(24, 1e-12))
    design = cp.Design.from_table(table)
    plain, known = cp.JointGaussian(design), cp.JointGaussian(design, errors=True)
    tree = cp.Sampler(plain).draw(cp.PatternStats.from_table(table, design), draws=40, seed=1)
    first = cp.attach_rows(tree.copy(), table, plain, seed=1)["log_likelihood"]
    second = cp.attach_rows(tree.copy(), table, known, seed=1)["log_likelihood"]
    for name in (*names, "rows"):
        np.testing.assert_allclose(second[name], first[name], rtol=1e-6, atol=1e-6)
    post = cp.JointPosterior(tree, known)
    nothing = np.full((24, 3), np.nan)
    empty = log_density_of_rows(post, x, nothing, noise_of(table, known, 24))
    assert (empty == 0.0).all()
