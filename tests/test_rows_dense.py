"""What rows need, against the same formulas written densely: Gaussians, modes, integrals."""

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats
from scipy.linalg import block_diag

import claude_pymc as cp
from claude_pymc.joint.chain import rows_for
from claude_pymc.joint.cheaper import CheapDraws, Missing, cheaper_spec, cheaper_stats
from claude_pymc.joint.density import entry_sd
from claude_pymc.joint.draws import posterior_dataset
from claude_pymc.joint.linked import LinkedPosterior
from claude_pymc.joint.primary import PrimaryPosterior, unpack
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.simulate import draw_prior, simulate_rows
from claude_pymc.notation import ROW_PARAMETERS

THREE = ("cheap", "sim", "exp")


@pytest.fixture(scope="module")
def rows():
    """Sixteen rows of three targets; measurements lack a simulation, the cheap value, or both."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (16, 1))
    y = np.cumsum(x * [1.0, 0.5, 0.3] + 0.3 * rng.standard_normal((16, 3)), axis=1)
    y[:4, 2] = y[4:7, 1] = y[6:9, 0] = np.nan  # row 6 lacks both
    sigma, sources = rng.uniform(0.05, 0.2, 16), ("north", "south") * 8
    return cp.Table(["x"], THREE, x, y, sigma=sigma, sources=sources)


@pytest.fixture(scope="module")
def design(rows):
    return cp.Design.from_table(rows, cp.Polynomial(), {"sim": ["1"], "exp": ["1", "x"]})


def kept_of(rows, design):
    return cp.PatternStats.from_table(rows, design, rows=True).kept


def cheap_of(spec, kept, rng):
    """Moments of the missing values, made up."""
    lacks = np.isnan(kept.y[:, :-1])
    m = int(lacks.sum())
    latent = np.where(lacks, np.cumsum(lacks).reshape(lacks.shape) - 1, -1)
    own = sum(j == len(spec.design.targets) - 1 for j, _ in spec.columns.entries)
    spread = 0.1 * np.tril(rng.standard_normal((m, m)), -1) + 0.2 * np.eye(m)
    return Cheap(np.zeros((1, own)), rng.standard_normal((1, m)), spread[None], latent)


def columns_of(spec, kept, values):
    """Columns (row, coefficient) of linkages, what varies them, and corrections."""
    design = spec.design
    psi = kept.phi[:, [design.terms.index(term) for term in spec.varying]]
    terms = [b for j, b in spec.columns.entries if j == len(design.targets) - 1]
    return np.hstack([values, psi * values[:, [spec.nearest]], kept.phi[:, terms]])


def filled(kept, cheap, u):
    """Cheaper values with the missing ones."""
    return np.where(cheap.latent >= 0, u[cheap.latent], kept.y[:, :-1])


@pytest.mark.parametrize("switches", [{}, {"varying": ["x"], "errors": True}])
def test_linkages_given_the_rest_is_gaussian(rows, design, switches, rng):
    spec = cp.JointGaussian(design, **switches)
    kept = kept_of(rows, design)
    cheap = cheap_of(spec, kept, rng)
    linked = LinkedPosterior(spec, kept, cheap)
    inner = linked.inner
    own = inner.layout.mean + 0.3 * rng.standard_normal(inner.dims)
    tau, sigma = np.empty(inner.q), np.empty(1)
    unpack(own, inner.layout, cheap.offset[0], tau, sigma)
    # What varies the linkage is a coordinate in units of its prior sd.
    link = np.array([0.4, 1.1, *(0.5 * tau[2] for _ in spec.varying)])
    n, k, m = len(kept), len(link), inner.m
    base = columns_of(spec, kept, filled(kept, cheap, np.zeros(m)))
    slope = np.zeros((n, m))
    for i, j in zip(*np.nonzero(cheap.latent >= 0), strict=True):
        pull = link[j]
        if spec.varying and j == spec.nearest:
            pull += link[2] * kept.phi[i, 1]
        slope[i, cheap.latent[i, j]] = pull
    prior = np.concatenate([np.zeros(inner.q - k), cheap.centre[0]])
    root = block_diag(np.diag(tau[k:]), cheap.spread[0])
    design_matrix = np.hstack([base[:, k:], slope])
    error = kept.sigma if spec.errors else 0.0
    noise = np.diag(np.full(n, sigma[0] ** 2) + np.square(error))
    mean = base[:, :k] @ link + design_matrix @ prior
    covariance = design_matrix @ root @ root.T @ design_matrix.T + noise
    expected = stats.multivariate_normal(mean, covariance).logpdf(kept.y[:, -1])
    expected += stats.norm(inner.layout.mean, inner.layout.sd).logpdf(own).sum()
    expected += stats.norm([0.0, 1.0], tau[:2]).logpdf(link[:2]).sum()
    expected += stats.norm.logpdf([0.5 for _ in spec.varying]).sum()
    theta = linked.coordinates(own[None], link[None])[0]
    np.testing.assert_allclose(theta[inner.dims + 2 :], 0.5, rtol=1e-12)
    assert linked.batch(theta[None])[0] == pytest.approx(expected, rel=1e-9)
    assert linked.evaluate(theta)[0] == pytest.approx(expected, rel=1e-9)
    gain = root @ root.T @ design_matrix.T @ np.linalg.inv(covariance)
    centre = prior + gain @ (kept.y[:, -1] - mean)
    rest = root @ root.T - gain @ design_matrix @ root @ root.T
    drawn = linked.draw_entries(np.repeat(theta[None], 20000, axis=0), rng)[1]
    np.testing.assert_allclose(drawn[:, :k], np.repeat(link[None], 20000, axis=0), rtol=1e-12)
    assert_moments(drawn[:, k:-1], centre, rest)


@pytest.mark.parametrize("switches", [{}, {"varying": ["x"], "errors": True}])
def test_coefficients_of_complete_rows_are_gaussian(rows, design, switches, rng):
    """Density and draws, by sums over rows and row by row."""
    spec = cp.JointGaussian(design, **switches)
    kept = kept_of(rows.rows(np.isfinite(rows.y).all(axis=1)), design)
    density = PrimaryPosterior(spec, kept, cheap_of(spec, kept, rng))
    theta = density.layout.mean + 0.3 * rng.standard_normal(density.dims)
    tau, sigma = np.empty(density.q), np.empty(1)
    unpack(theta, density.layout, density.cheap.offset[0], tau, sigma)
    base = columns_of(spec, kept, kept.y[:, :-1])
    prior = np.zeros(density.q)
    prior[1] = 1.0  # the linkage to the nearest target
    error = kept.sigma if spec.errors else np.zeros(len(kept))
    covariance = (base * tau**2) @ base.T + np.diag(sigma[0] ** 2 + error**2)
    expected = stats.multivariate_normal(base @ prior, covariance).logpdf(kept.y[:, -1])
    expected += stats.norm(density.layout.mean, density.layout.sd).logpdf(theta).sum()
    assert density.batch(theta[None])[0] == pytest.approx(expected, rel=1e-9)
    gain = np.diag(tau**2) @ base.T @ np.linalg.inv(covariance)
    centre = prior + gain @ (kept.y[:, -1] - base @ prior)
    drawn = density.draw_entries(np.repeat(theta[None], 20000, axis=0), rng)[1]
    assert_moments(drawn[:, :-1], centre, np.diag(tau**2) - gain @ base @ np.diag(tau**2))


def assert_moments(drawn, mean, covariance):
    """Draws have this mean and this covariance, within five standard errors."""
    sd = np.sqrt(np.diag(covariance))
    white = (drawn - mean) / sd
    assert np.abs(white.mean(axis=0)).max() < 5 / np.sqrt(len(drawn))
    off = white.T @ white / len(drawn) - covariance / np.outer(sd, sd)
    assert np.abs(off).max() < 5 * np.sqrt(2 / len(drawn))


def test_laplace_with_missing_values_is_that_of_numerical_derivatives(rows, design, rng):
    """Mode and curvature of the bilinear mean, and estimates that agree with many draws."""
    spec = cp.JointGaussian(design, noise="student", varying=["x"])
    kept = kept_of(rows, design)
    cheap = cheap_of(spec, kept, rng)
    density = PrimaryPosterior(spec, kept, cheap)
    theta, nu = density.layout.mean.copy(), 30.0
    theta[:2] = np.log(0.3), np.log(nu)
    tau, sigma, q = np.empty(density.q), np.empty(1), density.q
    prior, _ = unpack(theta, density.layout, cheap.offset[0], tau, sigma)

    def log_density(z):
        values = filled(kept, cheap, cheap.centre[0] + cheap.spread[0] @ z[q:])
        b = density.rows.mean + tau * z[:q]
        mean = columns_of(spec, kept, values) @ b
        rows_of = stats.t(nu, mean, sigma[0]).logpdf(kept.y[:, -1]).sum()
        return rows_of - 0.5 * z @ z

    found = optimize.minimize(lambda z: -log_density(z), np.zeros(q + density.m), tol=1e-8)
    steps = 1e-3 * np.eye(len(found.x))
    ends = [[[log_density(found.x + a * s + b * t) for a in (1, -1) for b in (1, -1)]
             for t in steps] for s in steps]  # fmt: skip
    hessian = np.array(ends) @ [1, -1, -1, 1] / 4e-6
    expected = prior - found.fun - 0.5 * np.linalg.slogdet(-hessian)[1]
    laplace = density.batch(theta[None])[0]
    assert laplace == pytest.approx(expected, abs=2e-3)
    values, _ = density.draw_entries(np.repeat(theta[None], 5000, axis=0), rng)
    weight = np.exp(values - laplace)
    assert weight.std() < weight.mean()  # the proposal is good, so that the mean is, too
    wide = 1.3 * np.linalg.cholesky(np.linalg.inv(-hessian))
    normal = rng.standard_normal((5000, len(found.x)))
    points = found.x + normal @ wide.T
    ratio = np.array([log_density(z) for z in points]) + 0.5 * np.square(normal).sum(axis=1)
    ratio = np.exp(ratio + np.log(np.diag(wide)).sum() + prior - laplace)
    se = np.hypot(*(v.std() / v.mean() / np.sqrt(len(v)) for v in (weight, ratio)))
    assert abs(np.log(weight.mean() / ratio.mean())) < 5 * se


@pytest.mark.parametrize("more", [{}, {"tied": True}])
def test_missing_values_are_gaussian_given_the_cheaper_targets(rows, design, more, rng):
    """Values and corrections against the joint Gaussian of all cheaper values."""
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(**more))
    every = cp.PatternStats.from_table(rows, design, rows=True)
    cheap = cheaper_spec(spec)
    truths = [draw_prior(cheap, rng) for _ in range(2)]
    stacked = {name: np.stack([truth[name] for truth in truths]) for name in truths[0]}
    draws = CheapDraws(
        *(stacked[name] for name in ("linkage", "sigma", "corrections", "scale")), np.zeros((2, 0))
    )
    missing = Missing(cheap, cheaper_stats(every, cheap), every.kept, draws)
    centre, spread = missing.moments(2)
    scales = scales_of(cheap)
    entries = cheap.columns.entries
    n, d = len(rows), 2
    for g, truth in enumerate(truths):
        sd = entry_sd(cheap, truth["sigma"], scales.joined(truth["scale"], np.zeros(0)))
        total = np.linalg.inv(np.eye(d) - truth["linkage"])
        phi, y = design.phi(rows.x), design.to_model(rows.y)[:, :2]
        along = np.zeros((n, d, len(entries)))
        for e, (j, b) in enumerate(entries):
            along[:, :, e] = phi[:, [b]] * total[:, j]
        along = along.reshape(n * d, -1) * sd
        noise = total @ np.diag(truth["sigma"] ** 2) @ total.T
        covariance = along @ along.T + block_diag(*[noise] * n)
        have = np.isfinite(y).ravel()
        asked = (~have.reshape(n, d) & np.isfinite(rows.y[:, [2]])).ravel()
        cross = np.vstack([covariance[np.ix_(asked, have)], sd[:, None] * along[have].T])
        inner = np.block(
            [
                [covariance[np.ix_(asked, asked)], along[asked] * sd],
                [(along[asked] * sd).T, np.diag(sd**2)],
            ]
        )
        gain = np.linalg.solve(covariance[np.ix_(have, have)], cross.T).T
        mean, rest = gain @ y.ravel()[have], inner - gain @ cross.T
        m = int(asked.sum())
        np.testing.assert_allclose(centre[g], mean[:m], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(spread[g] @ spread[g].T, rest[:m, :m], rtol=1e-6, atol=1e-9)
        values = mean[:m] + 3 * np.sqrt(np.diag(rest)[:m])
        number = 3000
        drawn = missing.corrections(np.tile(values, (number, 1)), np.full(number, g), rng)
        gain = np.linalg.solve(rest[:m, :m], rest[:m, m:]).T
        assert_moments(
            drawn[(slice(None), *np.array(entries).T)],
            mean[m:] + gain @ (values - mean[:m]),
            rest[m:, m:] - gain @ rest[:m, m:],
        )


def test_rows_of_a_root_stand_for_all_rows(rows, design, rng):
    complete = rows.rows(np.isfinite(rows.y).all(axis=1)) + rows.rows(slice(9, None))
    spec = cp.JointGaussian(design)
    every = cp.PatternStats.from_table(complete, design, rows=True)
    kept, more = rows_for(spec, cp.PatternStats.from_table(complete, design))
    assert more == len(complete) - len(kept) > 0
    nothing = np.zeros((1, 2)), np.zeros((1, 0)), np.zeros((1, 0, 0))
    found = []
    for some, others in ((kept, more), (every.kept, 0.0)):
        cheap = Cheap(*nothing, np.full((len(some), 2), -1))
        density = PrimaryPosterior(spec, some, cheap, others)
        found.append([density.evaluate(density.layout.mean + shift) for shift in (0.3, -0.4)])
    for (value, slope), (other, expected) in zip(*found, strict=True):
        assert value == pytest.approx(other, rel=1e-9)
        np.testing.assert_allclose(slope, expected, rtol=1e-7)


@pytest.mark.parametrize(("quantities", "nearest"), [("aaa", 1), ("aba", 0)])
def test_the_linkage_to_the_nearest_target_varies(rows, quantities, nearest, rng):
    named = dict(zip(THREE, quantities, strict=True))
    design = cp.Design.from_bounds({"x": (0, 1)}, THREE, cp.Polynomial(), quantities=named)
    spec = cp.JointGaussian(design, varying=["x"], noise="student")
    assert spec.nearest == nearest
    truth = draw_prior(spec, rng) | {"varying": np.array([0.7])}
    given = {"cheap": [0.5, -1.0], "sim": [1.5, 2.0]}
    x, values = np.array([[0.1], [0.8]]), np.column_stack(list(given.values()))
    link = truth["linkage"][-1, :2] + np.outer(0.7 * (2 * x[:, 0] - 1), np.eye(2)[nearest])
    expected = design.phi(x) @ truth["corrections"][-1] + (link * values).sum(axis=1)
    columns = (truth[name][None, None] for name in ("linkage", "sigma", "corrections"))
    others = {name: (ROW_PARAMETERS[name], truth[name][None, None]) for name in ROW_PARAMETERS
              if name in truth}  # fmt: skip
    tree = xr.DataTree.from_dict({"posterior": posterior_dataset(spec, *columns, others)})
    found = cp.JointPosterior(tree, spec).predict(x, given=given).mean().sel(target="exp")
    np.testing.assert_allclose(found, expected)
    truth |= {"sigma": np.array([1.0, 1.0, 1e-9]), "freedom": np.array(50.0)}
    layout = cp.Table(["x"], THREE, x, np.zeros((2, 3)))
    simulated = simulate_rows(spec, truth, layout, rng).y
    expected = design.phi(x) @ truth["corrections"][-1] + (link * simulated[:, :2]).sum(axis=1)
    np.testing.assert_allclose(simulated[:, 2], expected, atol=1e-6)
