"""The paper's prior, flat in the precision: its volume, its zeros, what it does to the noise."""

import numpy as np
import pytensor
import pytest
from arviz_stats.base import array_stats
from scipy import special
from scipy.stats import multivariate_normal, norm, wishart

import claude_pymc as cp
from claude_pymc.joint.gaussian import columns_from_precision, derived, precision_from_columns
from claude_pymc.joint.model import build_model
from claude_pymc.joint.propriety import shortfalls


def flat(d, p, sets, likelihood="conditional"):
    """Terms "1", "x", "x^2"; ``sets`` names how many of them each target has, or which."""
    terms = ["1", "x", "x^2"][:p]
    chosen = [terms[:k] if isinstance(k, int) else list(k) for k in sets]
    names = [f"y{j + 1}" for j in range(d)]
    corrections = dict(zip(names, chosen, strict=True))
    basis, joint = cp.Polynomial(degree=p - 1), likelihood == "joint"
    design = cp.Design.from_bounds(
        {"x": (-1, 1)}, names, basis, corrections, missing_descriptors=joint
    )
    return cp.JointGaussian(design, cp.FlatPrior(), likelihood)


# The Jacobian of the columns.

NESTED = [
    (d, p, sets)
    for d in (1, 2, 3)
    for p in (1, 2, 3)
    for sets in np.ndindex(*[p + 1] * d)
    if list(sets) == sorted(sets, reverse=True)
]


def free_entries(spec, vector):
    """Free entries of Lambda from (C, tau, R), by an analytic map, so that complex steps work."""
    links = [link[:2] for link in spec.columns.links]
    entries, d, p = spec.columns.entries, len(spec.columns.variables), len(spec.columns.terms)
    c, tau, r = np.split(vector, [len(links), len(links) + d])
    linkage, corrections = np.zeros((d, d), complex), np.zeros((d, p), complex)
    for place, value in zip(links, c, strict=True):
        linkage[place] = value
    for place, value in zip(entries, r, strict=True):
        corrections[place] = value
    found = derived(linkage, tau**-0.5, corrections)
    yx = [found["precision_yx"][place] for place in entries]
    return np.append(found["precision_yy"][np.tril_indices(d)], yx)


def log_volume(spec, vector):
    """Log determinant of the derivative of :func:`free_entries`, by complex steps."""
    steps = 1e-30j * np.eye(len(vector))
    return np.linalg.slogdet([free_entries(spec, vector + s).imag / 1e-30 for s in steps])[1]


@pytest.mark.parametrize(("d", "p", "sets"), NESTED)
def test_volume_of_the_columns(d, p, sets, rng):
    spec = flat(d, p, sets)
    sizes = np.array(spec.columns.sizes())
    np.testing.assert_array_equal(sizes, np.arange(d) + sets)
    for _ in range(3):
        tau = np.exp(rng.normal(size=d))
        c, r = rng.normal(size=d * (d - 1) // 2), rng.normal(size=sum(sets))
        found = log_volume(spec, np.concatenate([c, tau, r]))
        assert found == pytest.approx(sizes @ np.log(tau), abs=1e-9)


def density_of(spec, stats=None):
    """Log density of the model, as a function of (C, log sigma, R)."""
    model = build_model(spec, stats)
    values = {v.name: v for v in model.value_vars}
    inputs = [values[n] for n in ("linkage_free", "log_sigma", "correction_free") if n in values]
    with pytensor.config.change_flags(cxx=""):
        compiled = model.compile_fn(
            model.logp(), inputs=inputs, mode="FAST_COMPILE", point_fn=False
        )
    sizes = {"linkage_free": spec.columns.links, "log_sigma": spec.columns.variables}
    cuts = np.cumsum([len(sizes.get(v.name, spec.columns.entries)) for v in inputs])[:-1]
    return lambda vector: float(compiled(*np.split(vector, cuts)))


@pytest.mark.parametrize(
    "spec",
    [
        flat(1, 1, [1]),
        flat(2, 3, [3, 1]),
        flat(2, 2, [2, 0]),
        flat(3, 3, [3, 2, 1]),
        flat(2, 2, [2, 2], "joint"),
    ],
    ids=["1", "2", "2-none", "3", "joint"],
)
def test_the_model_without_rows_is_that_volume(spec, rng):
    density = density_of(spec)
    powers = np.array(spec.columns.sizes()) + 1
    n, d = len(spec.columns.links), len(spec.columns.variables)
    for _ in range(4):
        vector = rng.normal(size=n + d + len(spec.columns.entries))
        log_sigma = vector[n : n + d].copy()
        assert density(vector) == pytest.approx(-2 * powers @ log_sigma, abs=1e-12)
        vector[n : n + d] = np.exp(-2 * log_sigma)  # |d tau| = 2 tau |d log sigma|
        volume = log_volume(spec, vector) + np.log(2 * vector[n : n + d]).sum()
        assert density([*vector[:n], *log_sigma, *vector[n + d :]]) == pytest.approx(
            volume - d * np.log(2), abs=1e-8
        )


# Zeros of the columns and zeros of the precision.


@pytest.mark.parametrize("sets", [(3, 1), (3, 0), (2, 2), (3, 2, 1), (3, 3, 1), (2, 2, 0)])
def test_zeros_of_nested_columns_are_zeros_of_the_precision(sets, rng):
    active = flat(len(sets), 3, sets).design.active
    linkage = np.tril(rng.normal(size=(len(sets),) * 2), -1)
    corrections = rng.normal(size=active.shape) * active
    precision = precision_from_columns(linkage, np.ones(len(sets)), corrections)
    np.testing.assert_array_equal(precision[3:, :3] != 0, active)
    again = columns_from_precision(precision, len(sets))[2]
    np.testing.assert_array_equal(np.abs(again) > 1e-12, active)


def test_zeros_of_other_columns_are_not():
    """y2 needs no x given y1, but y3 does: the entry (y2, x) of Lambda is c_32 R_3x / sigma_3^2."""
    active = flat(3, 2, [2, 1, 2]).design.active
    linkage = np.array([[0, 0, 0], [0.3, 0, 0], [0.7, 0.5, 0]])
    corrections = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 4.0]])
    np.testing.assert_array_equal(corrections != 0, active)
    precision = precision_from_columns(linkage, np.array([1.0, 1.0, 2.0]), corrections)
    assert precision[3, 1] == pytest.approx(0.5 * 4.0 / 2.0**2)
    precision[3, 1] = precision[1, 3] = 0.0  # the zero of Lambda is a term of the column
    assert columns_from_precision(precision, 3)[2][1, 1] == pytest.approx(0.5 * 4.0 / 2.0**2)


# Complete data without zeros: Lambda_yy ~ Wishart(n + p + d + 1, S^-1), W | Lambda_yy normal.


def complete(phi, y):
    """Degrees of freedom, residual scatter, least-squares coefficients and Gram matrix."""
    gram = phi.T @ phi
    w = np.linalg.solve(gram, phi.T @ y).T
    residual = y - phi @ w.T
    return sum(phi.shape) + y.shape[1] + 1, residual.T @ residual, w, gram


def linked(rng, n, p, d):
    """Rows with every target, each with all terms."""
    x = np.linspace(-1, 1, n)[:, None]
    noise = 0.3 * rng.normal(size=(n, d)) @ (np.eye(d) + 0.5 * np.tri(d, k=-1)).T
    y = np.polynomial.polynomial.polyvander(x[:, 0], p - 1) @ rng.normal(size=(p, d)) + noise
    return cp.Table(["x"], [f"y{j + 1}" for j in range(d)], x, y)


@pytest.mark.parametrize(("n", "p", "d"), [(30, 3, 2), (12, 2, 3), (5, 3, 1)])
def test_posterior_density_of_complete_data(n, p, d, rng):
    """The density of the model, over the volume, is that Wishart times that normal."""
    spec, rows = flat(d, p, [p] * d), linked(rng, n, p, d)
    phi, y = spec.design.phi(rows.x), spec.design.to_model(rows.y)
    freedom, scatter, w, gram = complete(phi, y)
    density = density_of(spec, cp.PatternStats.from_table(rows, spec.design))
    rest = []
    for _ in range(5):
        precision = np.zeros((p + d, p + d))
        yy = np.atleast_2d(wishart.rvs(freedom, np.linalg.inv(scatter), random_state=rng))
        drawn = rng.multivariate_normal(w.ravel(), np.kron(np.linalg.inv(yy), np.linalg.inv(gram)))
        drawn = drawn.reshape(d, p)
        precision[p:, p:], precision[p:, :p] = yy, -yy @ drawn
        c, sigma, r = columns_from_precision(precision, d)
        columns = [c[tuple(link[:2])] for link in spec.links], np.log(sigma), r.ravel()
        volume = log_volume(spec, np.concatenate([columns[0], sigma**-2.0, r.ravel()]))
        volume += np.log(2 * sigma**-2.0).sum()
        exact = wishart.logpdf(yy, freedom, np.linalg.inv(scatter))
        exact += multivariate_normal.logpdf(
            drawn.ravel(), w.ravel(), np.kron(np.linalg.inv(yy), np.linalg.inv(gram))
        )
        exact -= p * np.linalg.slogdet(yy)[1]  # d Lambda_yx = |Lambda_yy|^p dW
        rest.append(density(np.concatenate(columns)) - volume - exact)
    np.testing.assert_allclose(rest, rest[0], atol=1e-6)


@pytest.fixture(scope="module")
def drawn():
    """Posterior draws for 30 complete rows, and what they must be distributed like."""
    spec, rows = flat(2, 3, [3, 3]), linked(np.random.default_rng(3), 30, 3, 2)
    tree = cp.Sampler(spec, method="nuts").draw(
        cp.PatternStats.from_table(rows, spec.design), draws=2000, seed=5
    )
    return tree, complete(spec.design.phi(rows.x), spec.design.to_model(rows.y))


def test_draws_for_complete_data(drawn):
    """Means and covariances of all entries of Lambda_yy and W, by Monte Carlo standard errors."""
    tree, (freedom, scatter, w, gram) = drawn
    posterior, inverse = tree["posterior"], np.linalg.inv(scatter)
    places = [(0, 0), (1, 0), (1, 1)]
    yy, coefficients = (posterior[n].to_numpy() for n in ("precision_yy", "coefficients"))
    values = np.concatenate(
        [np.stack([yy[..., i, j] for i, j in places], -1), coefficients.reshape(*yy.shape[:2], 6)],
        -1,
    )
    mean = np.append([freedom * inverse[i, j] for i, j in places], w)
    covariance = np.zeros((9, 9))
    for a, (i, j) in enumerate(places):
        for b, (k, m) in enumerate(places):
            product = inverse[i, k] * inverse[j, m] + inverse[i, m] * inverse[j, k]
            covariance[a, b] = freedom * product
    covariance[3:, 3:] = np.kron(scatter / (freedom - 3), np.linalg.inv(gram))
    centred = values - mean
    z = {}
    for a in range(9):
        z[f"mean {a}"] = score(centred[..., a], 0.0)
        for b in range(a + 1):
            z[f"covariance {a} {b}"] = score(centred[..., a] * centred[..., b], covariance[a, b])
    assert len(z) == 9 + 45
    assert max(map(abs, z.values())) < norm.isf(0.001 / 2 / len(z)), z
    smallest = min(effective(values[..., a]) for a in range(9))
    assert smallest > 1000 and not tree["sample_stats"]["diverging"].any()


def score(draws, expected):
    """Distance of the mean from what is expected, in Monte Carlo standard errors."""
    return (draws.mean() - expected) / array_stats.mcse(
        draws, chain_axis=0, draw_axis=1, method="mean"
    )


def effective(draws):
    return array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")


# The consequence: 60 rows, 49 terms, a noise that is known, and a posterior three times too small.

NOISE = np.array([[0.1, 0.0], [0.08, 0.1]])  # root of the covariance: linkage 0.8, both sigma 0.1


@pytest.fixture(scope="module")
def wide():
    """Complete rows with the paper's sines, whose residual scatter is exactly what it should be."""
    grid = np.meshgrid(np.linspace(0.02, 0.93, 8), np.linspace(0.04, 0.95, 8))
    x = np.stack(grid, axis=-1).reshape(-1, 2)[:60]
    basis, rng = cp.Sine(order=6), np.random.default_rng(0)
    phi = basis.expand(x)
    assert phi.shape == (60, 49) and np.linalg.cond(phi) < 30
    noise = rng.normal(size=(60, 2))
    root = np.linalg.cholesky(complete(phi, noise)[1] / 11)
    noise = noise @ np.linalg.inv(root).T @ NOISE.T
    rows = cp.Table(["a", "b"], ["sim", "exp"], x, phi @ rng.normal(0, 0.3, (49, 2)) + noise)
    sets = dict.fromkeys(rows.targets, basis.terms(rows.descriptors))
    design = cp.Design.from_table(rows, basis, sets, standardize=False)
    return cp.JointGaussian(design, cp.FlatPrior()), cp.PatternStats.from_table(rows, design), rows


def expected_ratio():
    """Posterior means of sigma over the truth: S_jj.k / chi^2 with 112 - 1 and 112 freedoms."""
    free = np.array([111, 112])
    inverse_chi = np.exp(special.gammaln((free - 1) / 2) - special.gammaln(free / 2)) / 2**0.5
    return 11**0.5 * inverse_chi


def test_noise_is_three_times_too_small_by_the_formula(wide, rng):
    spec, stats, rows = wide
    freedom, scatter, _, _ = complete(spec.design.phi(rows.x), rows.y)
    assert freedom == 112 and shortfalls(spec, stats) == []
    np.testing.assert_allclose(scatter, 11 * NOISE @ NOISE.T)
    precision = wishart.rvs(freedom, np.linalg.inv(scatter), size=4000, random_state=rng)
    sigma = np.stack([np.linalg.inv(precision)[:, 0, 0], 1 / precision[:, 1, 1]], axis=-1) ** 0.5
    error = sigma.std(axis=0) / 4000**0.5 / 0.1
    assert (np.abs(sigma.mean(axis=0) / 0.1 - expected_ratio()) < 4 * error).all()
    np.testing.assert_allclose(expected_ratio(), (11 / 112) ** 0.5, rtol=0.02)
    # Maximum likelihood divides by n: 11 of 60 degrees of freedom, more than twice too small.
    point = cp.find_map(spec, stats, starts=2)
    np.testing.assert_allclose(point.sigma / 0.1, (11 / 60) ** 0.5, rtol=1e-4)


@pytest.mark.slow
def test_noise_is_three_times_too_small_by_the_sampler(wide):
    spec, stats, _ = wide
    draws = cp.Sampler(spec).draw(stats, draws=1000, seed=0)["posterior"]["sigma"].to_numpy() / 0.1
    found = draws.mean(axis=(0, 1))
    assert ((found > 0.25) & (found < 0.4)).all()
    for j, expected in enumerate(expected_ratio()):
        assert abs(score(draws[..., j], expected)) < 4
        assert effective(draws[..., j]) > 400
