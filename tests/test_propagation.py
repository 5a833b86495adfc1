"""Student-t noise: expectation propagation, and unbiased estimates, against brute force."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import claude_pymc as cp
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.tables.kept import KeptRows

N, DRAWS = 9, 400_000


def density_of(rng, few, errors):
    """Nine rows, one of them far; more coefficients than rows, or fewer."""
    x = rng.uniform(size=(N, 1))
    y = np.column_stack([np.sin(5.0 * x[:, 0])] * 2) + 0.1 * rng.standard_normal((N, 2))
    y[3, 1] += 2.0
    rows = cp.Table(["x"], ["sim", "exp"], x, y)
    basis = cp.HSGP(order=12, boundary=2.0) if few else cp.Polynomial(degree=2)
    design = cp.Design.from_table(rows, basis, {"exp": ["all"]})
    spec = cp.JointGaussian(design, varying=["linear"], noise="student", errors=errors)
    sigma = rng.uniform(0.05, 0.3, N) if errors else np.full(N, np.nan)
    kept = KeptRows(design.phi(x), design.to_model(y), sigma, np.full(N, ""))
    return PrimaryPosterior(spec, kept, Cheap.nothing(len(design.terms), N, 1))


@pytest.fixture(params=[(True, False), (False, False), (True, True)], ids=["few", "many", "errors"])
def density(rng, request):
    found = density_of(rng, *request.param)
    assert (found.q > N) == request.param[0]
    return found


@pytest.fixture
def theta(density):
    found = density.layout.mean.copy()
    found[:2] = np.log(0.1), np.log(3.0)
    return found


def brute_force(density, theta, rng):
    """Log density with its standard error, and mean and covariance of the coefficients, by draws of
    how far rows are from its prior."""
    sigma, nu = density.noise(theta)
    tau = np.ones(density.q)
    fixed = density.q - len(density.layout.offset)
    tau[: density.n_links] = density.layout.linkage_sd
    tau[density.n_links : fixed] = np.exp(theta[density.layout.varying_at])
    tau[fixed:] = np.exp(density.scales.log_sd(theta[density.layout.first :]))
    rows = density.rows
    base, y = rows.base * tau, rows.y - rows.base @ rows.mean
    rate = rng.gamma(nu / 2, 2 / nu, (DRAWS, N))
    spread = sigma[0] ** 2 / rate + rows.error**2
    cov = np.einsum("ie,je->ij", base, base) + np.einsum("di,ij->dij", spread, np.eye(N))
    logs = np.empty(DRAWS)
    pulled = np.empty((DRAWS, N))
    for part in np.array_split(np.arange(DRAWS), 20):
        pulled[part] = np.linalg.solve(cov[part], np.broadcast_to(y[:, None], (len(part), N, 1)))[
            ..., 0
        ]
        logs[part] = -0.5 * (pulled[part] @ y + np.linalg.slogdet(2 * np.pi * cov[part])[1])
    share = np.exp(logs - logsumexp(logs))
    prior = stats.norm.logpdf(theta, density.layout.mean, density.layout.sd).sum()
    se = np.sqrt(np.square(share - 1 / DRAWS).sum())
    mean = base.T @ (share @ pulled)
    return logsumexp(logs) - np.log(DRAWS) + prior, se, mean


def test_the_density_is_that_of_brute_force(density, theta, rng):
    value, se, _ = brute_force(density, theta, rng)
    assert se < 0.1
    assert abs(density.batch(theta[None])[0] - value) < 0.1 + 4 * se
    points = np.repeat(theta[None], 4000, axis=0)
    estimates, _ = density.draw_entries(points, rng)
    raw = np.exp(estimates - value)
    assert abs(raw.mean() - 1) < 4 * np.hypot(se, raw.std() / np.sqrt(len(raw)))
    assert np.log(raw).std() < 0.6  # then three draws of four are effective


def test_draws_of_coefficients_are_those_of_brute_force(density, theta, rng):
    _, se, mean = brute_force(density, theta, rng)
    points = np.repeat(theta[None], 20_000, axis=0)
    estimates, entries = density.draw_entries(points, rng)
    share = np.exp(estimates - logsumexp(estimates))
    free = entries[:, : density.q] - density.rows.mean
    found = share @ free
    # Weighted draws, of the weights and of brute force, whose error is at most `se` of a sd.
    error = np.sqrt(np.square(share[:, None] * (free - found)).sum(axis=0))
    tau = (share @ np.square(free)) ** 0.5
    scaled = mean_in_units(density, theta, mean)
    assert (np.abs(found - scaled) < 5 * error + 4 * se * tau + 1e-9).all()


def mean_in_units(density, theta, white):
    """Means of the coefficients from those of unit prior."""
    layout = density.layout
    tau = np.ones(density.q)
    fixed = density.q - len(layout.offset)
    tau[: density.n_links] = layout.linkage_sd
    tau[density.n_links : fixed] = np.exp(theta[layout.varying_at])
    tau[fixed:] = np.exp(density.scales.log_sd(theta[layout.first :]))
    return tau * white


def test_slopes_are_those_of_differences(density, rng):
    for theta in density.layout.mean + 0.3 * rng.standard_normal((3, density.dims)):
        value, slope = density.evaluate(theta)
        assert value == pytest.approx(density.batch(theta[None])[0], abs=1e-4)  # other starts
        step = 1e-3 * np.eye(density.dims)
        ahead, behind = density.batch(theta + step), density.batch(theta - step)
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-3, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(("apart", "near"), [(0.15, 0.2), (1.0, np.inf)])
def test_two_rows_that_disagree(rng, apart, near):
    """Either may be the far one. Where propagation finds nothing, estimates hold all the same."""
    rows = cp.Table(["x"], ["sim", "exp"], [[0.0], [0.0], [1.0]], np.zeros((3, 2)))
    design = cp.Design.from_table(rows, cp.Polynomial(degree=1), {"exp": ["1"]})
    spec = cp.JointGaussian(design, noise="student")
    y = np.array([[0.0, -apart], [0.0, apart]])
    kept = KeptRows(design.phi(rows.x[:2]), y, np.full(2, np.nan), np.full(2, ""))
    density = PrimaryPosterior(spec, kept, Cheap.nothing(1, 2, 1))
    theta = np.log([0.1, 2.0])  # the constant has a fixed scale
    f = np.linspace(-12.0, 12.0, 200_001)
    logs = stats.norm.logpdf(f, 0.0, np.exp(density.scales.log_sd(theta[2:]))[0])
    sigma, nu = density.noise(theta)
    logs += stats.t.logpdf(y[:, 1:], nu, f, sigma[0]).sum(axis=0)
    prior = stats.norm.logpdf(theta, density.layout.mean, density.layout.sd).sum()
    truth = logsumexp(logs) + np.log(f[1] - f[0]) + prior
    value = density.batch(theta[None])[0]
    assert abs(value - truth) < near or value == -near
    raw = np.exp(density.draw_entries(np.repeat(theta[None], 40_000, axis=0), rng)[0] - truth)
    assert abs(raw.mean() - 1) < 4 * raw.std() / np.sqrt(len(raw))


def far_rows(rng):
    """Thirty rows of a smooth curve, five of them far: sites of negative precision."""
    x = np.sort(rng.uniform(size=(30, 1)), axis=0)
    y = np.column_stack([np.sin(5.0 * x[:, 0])] * 2) + 0.03 * rng.standard_normal((30, 2))
    y[::6, 1] += rng.choice([-1.0, 1.0], 5)
    rows = cp.Table(["x"], ["sim", "exp"], x, y)
    design = cp.Design.from_table(rows, cp.HSGP(order=12, boundary=2.0), {"exp": ["all"]})
    spec = cp.JointGaussian(design, noise="student")
    kept = KeptRows(design.phi(x), design.to_model(y), np.full(30, np.nan), np.full(30, ""))
    return PrimaryPosterior(spec, kept, Cheap.nothing(len(design.terms), 30, 1))


def test_estimates_vary_little_where_rows_are_far(rng):
    density = far_rows(rng)
    theta = density.layout.mean.copy()
    theta[:2] = np.log(0.05), np.log(2.0)
    value, _ = density.evaluate(theta)
    assert (density.sites[0] < 0.0).any()
    for shift, most in ((0.0, 0.4), (0.4, 1.0)):  # sites are those of theta, draws beside it
        points = np.repeat(theta[None] + shift, 2000, axis=0)
        estimates, _ = density.draw_entries(points, rng)
        assert estimates.std() < most
        value = density.batch(points[:1])[0]
        mean, error = np.exp(estimates - value).mean(), np.exp(estimates - value).std() / 2000**0.5
        assert abs(np.log(mean)) < 0.3 + 4 * error


def test_estimates_are_unbiased_whatever_the_sites_are(density, theta, rng):
    value, se, _ = brute_force(density, theta, rng)
    density.evaluate(theta)
    for factor in (0.0, 0.5, 3.0):
        sites = factor * density.sites
        density.best_sites = sites if factor else np.full_like(sites, 1e-12)
        points = np.repeat(theta[None], 20_000, axis=0)
        raw = np.exp(density.draw_entries(points, rng)[0] - value)
        assert abs(raw.mean() - 1) < 4 * np.hypot(se, raw.std() / np.sqrt(len(raw)))


def test_estimates_far_from_the_sites_are_sums_of_densities(rng):
    """At scales of e^9 and noise a hundred times that of the sites digits must not run out."""
    density = far_rows(rng)
    theta = density.layout.mean.copy()
    theta[:2] = np.log(0.03), np.log(2.0)
    density.evaluate(theta)
    for noise, scale in ((1.3, 9.0), (-6.0, 9.0), (1.3, -8.0)):
        points = theta.copy()
        points[[0, 2, 3]] = noise, scale, scale
        estimates, _ = density.draw_entries(np.repeat(points[None], 500, axis=0), rng)
        sigma, nu = density.noise(points)
        prior = stats.norm.logpdf(points, density.layout.mean, density.layout.sd).sum()
        # No value of the rows has a density above that of a residual of zero.
        highest = len(density.rows.y) * stats.t.logpdf(0.0, nu, 0.0, sigma[0]) + prior
        assert not np.isnan(estimates).any() and estimates.max() < highest + np.log(500) + 7
