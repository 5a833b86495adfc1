"""The highest maximum, and every number it reports, row by row."""

from fractions import Fraction

import numpy as np
import pytest
from oracle import dense_log_likelihood, exact_log_likelihood
from scipy import optimize
from scipy.stats import multivariate_normal, norm

import claude_pymc as cp
from claude_pymc.joint.density import log_prior
from claude_pymc.joint.priors import FLOOR

SHRINKAGE = cp.ShrinkagePrior(noise=0.2, linkage_sd=0.4, constant_sd=2.0, scale=0.6)
LKJ = cp.LKJPrior(eta=1.4, t=3.0, noise=0.3, noise_log_sd=0.8)


# The published example, where the optimiser of the authors stops at 19.656.


@pytest.fixture(scope="module")
def published(request):
    """Rows, specification, statistics and the known maximum."""
    case = request.getfixturevalue("reference")["readme_sample"]
    rows = cp.Table(["x"], ["sim", "exp"], case["x"], np.array(case["y"], dtype=float))
    basis = cp.Polynomial(exponents=case["exponents"])
    design = cp.Design.from_table(rows, basis, {"exp": [[0]]}, standardize=False)
    spec = cp.JointGaussian(design, cp.FlatPrior())
    return rows, spec, cp.PatternStats.from_table(rows, design), case


@pytest.mark.parametrize(("seed", "starts"), [*((s, 8) for s in range(20)), (0, 20), (1, 20)])
def test_published_example_is_climbed_to_the_top(published, seed, starts):
    _, spec, stats, case = published
    point = cp.find_map(spec, stats, starts=starts, seed=seed)
    assert point.converged
    assert point.log_posterior == pytest.approx(case["true_map_log_posterior"], abs=1e-6)
    # The known coefficients were found to six digits.
    np.testing.assert_allclose(point.coefficients, case["true_map_coefficients"], rtol=2e-6)
    assert point.log_posterior == point.log_likelihood == pytest.approx(point.optima[0], abs=1e-9)
    assert (np.diff(point.optima) < 0).all()
    if starts == 20:
        assert point.optima[1] == pytest.approx(23.144122, abs=1e-3)


@pytest.mark.filterwarnings("ignore:the noise of '.*' vanishes:claude_pymc.errors.Notice")
def test_every_optimum_is_a_maximum_of_the_likelihood_row_by_row(published, rng):
    rows, spec, stats, _ = published
    tops = cp.find_map(spec, stats, seed=0).optima
    assert len(tops) == 3
    single = [cp.find_map(spec, stats, starts=1, seed=seed) for seed in range(16)]
    for top in tops[:2]:
        point = next(p for p in single if p.log_likelihood == pytest.approx(top, abs=1e-3))
        check_numbers(point, rows)
        check_summit(point, rows, rng)


# What is reported, evaluated row by row by other formulas.


def modelled(spec, rows):
    """Terms and targets of all rows on the modelled scale."""
    return spec.design.phi(rows.x), spec.design.to_model(rows.y)


def prior_density(spec, linkage, sigma, corrections, log_scale):
    """Log prior density in the coordinates that the point names."""
    if spec.prior.kind == "flat":
        return 0.0
    if spec.prior.kind == "lkj":
        value = log_prior(spec, linkage, np.log(sigma), np.zeros(0))[0]
        whitened = corrections / (sigma[:, None] * spec.prior.t)
        return value + norm.logpdf(whitened[tuple(np.transpose(spec.columns.entries))]).sum()
    prior, names = spec.prior, spec.design.basis.groups(spec.design.descriptors)
    value = norm.logpdf(np.log(sigma - FLOOR), np.log(prior.noise), prior.noise_log_sd).sum()
    value += norm.logpdf(log_scale, np.log(prior.scale), prior.scale_log_sd).sum()
    value += sum(norm.logpdf(linkage[j, k], m, prior.linkage_sd) for j, k, m in spec.links)
    scales = dict(zip(spec.groups, np.exp(log_scale), strict=True))
    for j, b in spec.columns.entries:
        value += norm.logpdf(corrections[j, b] / scales.get((j, names[b]), prior.constant_sd))
    return value


def slope(u, prior, size):
    """Derivative by u = log t of the prior density of t and of R / t."""
    return size * np.exp(-2 * u) - (u - np.log(prior.scale)) / prior.scale_log_sd**2


def best_scales(spec, corrections):
    """Log t of every group at its maximum given R: the root of a falling function."""
    if spec.prior.kind != "shrinkage":
        return np.zeros(0)
    prior, names, found = spec.prior, spec.design.basis.groups(spec.design.descriptors), []
    for group in spec.groups:
        size = sum(
            corrections[j, b] ** 2 for j, b in spec.columns.entries if (j, names[b]) == group
        )
        found.append(optimize.brentq(slope, -12.0, 20.0, args=(prior, size), xtol=1e-14))
    return np.array(found)


def check_numbers(point, rows):
    """All numbers of a point agree with each other and with the rows."""
    phi, y = modelled(point.spec, rows)
    p = phi.shape[1]
    c, sigma, r = (getattr(point, n).to_numpy() for n in ("linkage", "sigma", "corrections"))
    precision = point.precision.to_numpy()
    assert point.precision.indexes["z"].tolist() == [*point.spec.design.terms, *rows.targets]
    assert dense_log_likelihood(precision, phi, y) == pytest.approx(point.log_likelihood, abs=1e-8)
    exact = exact_log_likelihood(c, sigma, r, phi, y)
    assert exact == pytest.approx(point.log_likelihood, abs=1e-8)
    covariance = np.linalg.inv(precision[p:, p:])
    # Where one noise vanishes it is the inverse taken here that loses digits, as many as cond has.
    digits = max(1e-8, 10 * np.finfo(float).eps * np.linalg.cond(precision[p:, p:]))
    np.testing.assert_allclose(point.covariance, covariance, rtol=digits)
    w = -covariance @ precision[p:, :p]
    np.testing.assert_allclose(point.coefficients, w, rtol=digits, atol=digits)
    unit = [
        [Fraction(float(j == k)) - Fraction(float(v)) for k, v in enumerate(row)]
        for j, row in enumerate(c)
    ]
    for j, row in enumerate(unit):  # T W = R, in rational arithmetic
        for b in range(p):
            total = sum(u * Fraction(float(point.coefficients[k, b])) for k, u in enumerate(row))
            assert float(total) == pytest.approx(r[j, b], rel=1e-8, abs=1e-8)
    assert (r[~point.spec.design.active] == 0).all() and (precision[:p, :p] == 0).all()
    prior = prior_density(point.spec, c, sigma, r, best_scales(point.spec, r))
    assert point.log_posterior == pytest.approx(exact + prior, abs=1e-8)


def check_summit(point, rows, rng):
    """Small steps in any direction lead down, and equal steps there and back down alike."""
    spec, (phi, y) = point.spec, modelled(point.spec, rows)
    c, sigma, r = (getattr(point, n).to_numpy() for n in ("linkage", "sigma", "corrections"))
    links = tuple(np.transpose([link[:2] for link in spec.links]))
    scales = best_scales(spec, r)

    def height(step):
        moved, more = (
            c.copy(),
            iter(np.split(step, np.cumsum([len(spec.links), sigma.size, r.size]))),
        )
        moved[links] += next(more)
        noise = FLOOR + (sigma - FLOOR) * np.exp(next(more))
        fit = (r + next(more).reshape(r.shape) * sigma[:, None]) * spec.design.active
        unit = (np.eye(len(c)) - moved).T / noise**2
        precision = np.zeros([phi.shape[1] + len(c)] * 2)
        precision[-len(c) :, -len(c) :] = unit @ (np.eye(len(c)) - moved)
        precision[-len(c) :, : -len(c)] = -unit @ fit
        value = dense_log_likelihood(precision, phi, y)
        return value + prior_density(spec, moved, noise, fit, scales + next(more))

    size = len(spec.links) + sigma.size + r.size + scales.size
    assert height(np.zeros(size)) == pytest.approx(point.log_posterior, abs=1e-8)
    for length in (1e-4, 1e-2, 0.3):
        for _ in range(15):
            step = length * rng.normal(size=size) / np.sqrt(size)
            up, down = height(step), height(-step)
            assert max(up, down) < point.log_posterior + 1e-9
            if length == 1e-4:  # the gradient is the difference of the two, which curvature is not
                assert abs(up - down) / length < 1e-3


def three_targets(rng, n=40):
    """Rows of all patterns of three linked targets, and a design with nested corrections."""
    x = rng.uniform(-1, 1, (n, 1))
    a = 1 + x[:, 0] - x[:, 0] ** 2 + 0.1 * rng.normal(size=n)
    b = a + 0.3 * x[:, 0] + 0.1 * rng.normal(size=n)
    y = np.column_stack([a, b, 0.8 * b - 0.5 + 0.1 * rng.normal(size=n)])
    y[rng.uniform(size=y.shape) < 0.4] = np.nan
    rows = cp.Table(["x"], ["a", "b", "c"], x, y)
    rows = rows.rows(np.isfinite(y).any(axis=1))
    sets = {"b": ["1", "x"], "c": ["1"]}
    return rows, cp.Design.from_table(rows, cp.Polynomial(degree=2), sets)


@pytest.mark.parametrize("prior", [SHRINKAGE, LKJ, cp.FlatPrior()], ids=lambda p: p.kind)
def test_three_targets(prior, rng):
    rows, design = three_targets(rng)
    spec = cp.JointGaussian(design, prior)
    stats = cp.PatternStats.from_table(rows, design)
    point = cp.find_map(spec, stats, starts=3)
    assert point.converged
    check_numbers(point, rows)
    check_summit(point, rows, rng)
    shuffled = cp.PatternStats.from_table(rows.rows(rng.permutation(len(rows))), design)
    again = cp.find_map(spec, shuffled, starts=2, seed=1)
    assert again.log_posterior == pytest.approx(point.log_posterior, abs=1e-8)
    np.testing.assert_allclose(again.corrections, point.corrections, rtol=1e-4, atol=1e-5)
    at = np.array([[-0.5], [0.2], [0.5]])
    mean = point.posterior.predict(at).draws.to_numpy()
    w = point.coefficients.to_numpy()
    np.testing.assert_allclose(mean, design.from_model(design.phi(at) @ w.T)[None], rtol=1e-10)
    assert point.posterior.spec == cp.JointPosterior(point.posterior.idata).spec == spec
    known = point.posterior.predict(at, given={"b": [0.5] * 3}).draws.to_numpy()
    assert (known[..., 1] == 0.5).all() and not np.allclose(known[..., 2], mean[..., 2])


def test_a_point_predicts_a_mean_without_spread_and_observations_with_noise(rng):
    rows, design = three_targets(rng)
    stats = cp.PatternStats.from_table(rows, design)
    point = cp.find_map(cp.JointGaussian(design, LKJ), stats, starts=2)
    at = cp.mesh(x=[-0.5, 0.2, 0.5])
    lines = repr(point).split("\n")
    assert lines[0].startswith(f"PointEstimate: log posterior {point.log_posterior:.6g}, converged")
    assert lines[1].startswith(f"  sigma (scaled units): a {float(point.sigma[0]):.3g}, b ")
    post = point.posterior
    mean, ends = post.predict(at), post.predict(at).interval()
    assert (mean.std() == 0).all()
    assert (ends.sel(bound="lower") == mean.mean()).all()
    assert (ends.sel(bound="upper") == mean.mean()).all()
    noisy = post.predict(at, "observation", seed=0)
    sd = np.sqrt(np.diagonal(point.covariance)) * np.array(design.scale)
    n = noisy.draws.sizes["sample"]
    np.testing.assert_allclose(noisy.std(), np.tile(sd, (3, 1)), rtol=5 / np.sqrt(2 * n))
    assert (np.abs(noisy.mean() - mean.mean()) < 5 * sd / np.sqrt(n)).all()
    width = np.diff(noisy.interval(0.9), axis=-1)[..., 0]
    np.testing.assert_allclose(width, np.tile(2 * norm.ppf(0.95) * sd, (3, 1)), rtol=0.1)
    assert np.isfinite(noisy.to_frame()).all(axis=None)
    found = cp.propose(post, at, cp.Maximize("c"), {"c": 2, "a": 1})
    assert (found["std"] == 0).all() and len(found) == 3


# The joint likelihood, where descriptors are missing too, against expectation-maximisation.


def maximise_by_expectation(z):
    """Mean, covariance and log-likelihood of a Gaussian with missing values, row by row."""
    mean, cov, values = np.nanmean(z, axis=0), np.diag(np.nanvar(z, axis=0)), []
    while len(values) < 30 or values[-1] - values[-2] > 1e-12:
        first, second = np.zeros_like(mean), np.zeros_like(cov)
        values.append(0.0)
        for row in z:
            o, m = np.isfinite(row), ~np.isfinite(row)
            values[-1] += multivariate_normal.logpdf(row[o], mean[o], cov[np.ix_(o, o)])
            gain = cov[np.ix_(m, o)] @ np.linalg.inv(cov[np.ix_(o, o)])
            filled = row.copy()
            filled[m] = mean[m] + gain @ (row - mean)[o]
            first += filled
            second += np.outer(filled, filled)
            second[np.ix_(m, m)] += cov[np.ix_(m, m)] - gain @ cov[np.ix_(o, m)]
        mean = first / len(z)
        cov = second / len(z) - np.outer(mean, mean)
    return mean, cov, values[-1]


@pytest.mark.parametrize(("n", "d"), [(1, 2), (2, 2), (2, 3)])
def test_joint_likelihood_equals_expectation_maximisation(n, d, rng):
    root = np.eye(n + d) + np.tril(rng.normal(size=(n + d, n + d)), -1)
    z = rng.normal(size=(45, n + d)) @ root.T + rng.normal(size=n + d)
    z[rng.uniform(size=z.shape) < 0.25] = np.nan
    z = z[np.isfinite(z).any(axis=1)]
    xs, ys = [f"x{i}" for i in range(n)], [f"y{j}" for j in range(d)]
    rows = cp.Table(xs, ys, z[:, :n], z[:, n:])
    design = cp.Design.from_table(
        rows, corrections={y: ["1", *xs] for y in ys}, missing_descriptors=True
    )
    spec = cp.JointGaussian(design, cp.FlatPrior(), "joint")
    point = cp.find_map(spec, cp.PatternStats.from_table(rows, design), starts=3)
    low, high = np.transpose(design.bounds)
    scaled = np.hstack([2 * (rows.x - low) / (high - low) - 1, design.to_model(rows.y)])
    mean, cov, value = maximise_by_expectation(scaled)
    assert point.converged
    assert point.log_posterior == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(point.joint_mean, mean, atol=1e-5)
    np.testing.assert_allclose(point.joint_covariance, cov, atol=1e-5)
    carry = cov[n:, :n] @ np.linalg.inv(cov[:n, :n])
    w = np.column_stack([mean[n:] - carry @ mean[:n], carry])
    np.testing.assert_allclose(point.coefficients, w, atol=1e-4)
    np.testing.assert_allclose(point.covariance, cov[n:, n:] - carry @ cov[:n, n:], atol=1e-4)
    precision, covariance = point.precision.to_numpy()[n + 1 :], point.covariance.to_numpy()
    np.testing.assert_allclose(precision[:, n + 1 :] @ covariance, np.eye(d), atol=1e-8)
    np.testing.assert_allclose(-covariance @ precision[:, : n + 1], point.coefficients, rtol=1e-7)


# Where there is nothing to find.


@pytest.mark.filterwarnings("ignore:the maximum is not unique")
def test_fewer_rows_than_terms_have_no_maximum():
    rows = cp.Table(["x"], ["y"], [[0.0], [0.4], [1.0]], [[1.0], [3.0], [2.0]])
    design = cp.Design.from_table(rows, cp.Polynomial(degree=3))
    stats = cp.PatternStats.from_table(rows, design)
    with pytest.warns(cp.Notice, match="no maximum: it grows as the noise of 'y' goes to zero"):
        point = cp.find_map(cp.JointGaussian(design, cp.FlatPrior()), stats)
    assert not point.converged
    proper = cp.find_map(cp.JointGaussian(design, LKJ), stats, starts=4)
    assert proper.converged and proper.sigma > 0.01


def test_an_exact_linkage_has_no_maximum(rng):
    x, sim = rng.normal(size=(2, 8, 1))
    rows = cp.Table(["x"], ["sim", "exp"], x, np.hstack([sim, sim + 0.5]))
    design = cp.Design.from_table(rows, corrections={"exp": ["1"]})
    spec = cp.JointGaussian(design, cp.FlatPrior())
    with pytest.warns(cp.Notice, match="noise of 'exp' goes to zero"):
        point = cp.find_map(spec, cp.PatternStats.from_table(rows, design), starts=2)
    assert not point.converged
    np.testing.assert_allclose(point.linkage[1, 0], 1.0, atol=1e-4)


def test_a_maximum_where_the_noise_vanishes_is_said(rng):
    """No shared row: the few dear values fit a multiple of the simulated curve exactly."""
    x = rng.uniform(-1, 1, (24, 1))
    y = np.hstack([np.sin(2 * x), np.sin(2 * x) + 0.3]) + 0.05 * rng.normal(size=(24, 2))
    y[:21, 1], y[21:, 0] = np.nan, np.nan
    rows = cp.Table(["x"], ["sim", "exp"], x, y)
    design = cp.Design.from_table(rows, cp.Polynomial(degree=3), {"exp": ["1", "x"]})
    stats = cp.PatternStats.from_table(rows, design)
    with pytest.warns(cp.Notice, match="the noise of 'exp' vanishes: .*entry of `optima`") as said:
        point = cp.find_map(cp.JointGaussian(design, cp.FlatPrior()), stats)
    assert len(said) == 1
    assert point.sigma[1] < 1e-4 < point.sigma[0]
    cp.find_map(cp.JointGaussian(design, LKJ), stats, starts=4)  # no notice


def test_a_target_without_a_value_is_said(rng):
    rows, design = three_targets(rng)
    rows = rows.rows(np.isfinite(rows.y[:, 0])).without("c", slice(None))
    stats = cp.PatternStats.from_table(rows, design)
    with pytest.warns(cp.Notice, match="target 'c' has no value yet"):
        cp.find_map(cp.JointGaussian(design, LKJ), stats, starts=1)


@pytest.mark.parametrize("degree", [4, 5])
def test_terms_that_rows_cannot_tell_apart_have_many_maxima(degree, rng):
    """Four places: the fit is their means, whatever the terms, and the noise the rest."""
    x, basis = np.repeat([[0.0], [0.3], [0.7], [1.0]], 5, axis=0), cp.Polynomial(degree=degree)
    for _ in range(8):  # the round-off differs
        rows = cp.Table(["x"], ["y"], x, np.sin(9 * x) + 0.1 * rng.normal(size=(20, 1)))
        design = cp.Design.from_table(rows, basis)
        spec, stats = (
            cp.JointGaussian(design, cp.FlatPrior()),
            cp.PatternStats.from_table(rows, design),
        )
        with pytest.warns(cp.Notice, match="the maximum is not unique"):
            point = cp.find_map(spec, stats, starts=2)
        groups = design.to_model(rows.y).reshape(4, 5)
        rest = groups - groups.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(point.sigma, np.sqrt(np.mean(rest**2)), rtol=1e-6)
        fit = design.phi(x[::5]) @ point.coefficients.to_numpy()[0]
        np.testing.assert_allclose(fit, groups.mean(axis=1), atol=1e-6)
        assert point.converged and np.abs(point.coefficients).max() < 20


def test_no_rows_or_no_start_is_refused(published):
    _, spec, stats, _ = published
    with pytest.raises(cp.SamplingError, match=r"at least one start\n +got 0 rows and 20"):
        cp.find_map(spec, cp.PatternStats.empty(spec.design))
    with pytest.raises(cp.SamplingError, match="15 rows and 0 starts"):
        cp.find_map(spec, stats, starts=0)
