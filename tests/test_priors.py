"""Priors: the columns that are sampled have the distribution that the full prior gives them."""

import json
from dataclasses import fields, replace

import numpy as np
import pymc as pm
import pytensor
import pytest
from scipy import integrate, special, stats

from claude_pymc.errors import SpecError
from claude_pymc.joint.model import build_model
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior, prior_from_dict, prior_to_dict
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import PARAMETERS
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats

D, P = 2, 3  # targets and terms where draws are compared: LKJ over 5 dimensions
LKJ = LKJPrior(eta=1.3, t=0.7, noise=0.4, noise_log_sd=0.6)
N_DRAWS = 20000


def same(tests: dict[str, float], level: float = 0.01) -> bool:
    """Say whether no p-value is below the level, corrected for the number of tests."""
    return min(tests.values()) * len(tests) > level


def uncompiled_draws(variables: list, n: int, seed: int) -> list[np.ndarray]:
    """Draw in plain Python: for a few thousand draws that is quicker than to compile first."""
    with pytensor.config.change_flags(cxx=""):
        return pm.draw(variables, n, random_seed=seed, mode="FAST_COMPILE")


# LKJ: the density of d columns against the integral of the density of the whole matrix.


def correlations(partial: np.ndarray) -> np.ndarray:
    """Fill a correlation matrix from the partial correlations of its first two columns.

    r_i1 = rho_i1 and r_i2 = r_21 r_i1 + rho_i2|1 sqrt((1 - r_21^2)(1 - r_i1^2)); the rest is zero.
    """
    k = np.eye(len(partial))
    k[1:, 0] = k[0, 1:] = partial[1:, 0]
    if partial.shape[1] > 1:
        spread = np.sqrt((1 - k[1, 0] ** 2) * (1 - k[2:, 0] ** 2))
        k[2:, 1] = k[1, 2:] = k[1, 0] * k[2:, 0] + partial[2:, 1] * spread
    return k


def integral_over_last(k: np.ndarray, eta: float) -> float:
    """Integrate det(K)^(eta - 1) over the last correlation; det(K) is quadratic in it."""

    def determinant(r: float) -> float:
        filled = k.copy()
        filled[-1, -2] = filled[-2, -1] = r
        return np.linalg.det(filled)

    square, linear, constant = np.polyfit([-1, 0, 1], [determinant(r) for r in (-1, 0, 1)], 2)
    low, high = np.sort(np.roots([square, linear, constant]))
    ends = (eta - 1, eta - 1)
    return integrate.quad(
        lambda r: (-square) ** (eta - 1), low, high, weight="alg", wvar=ends, epsabs=0
    )[0]


def log_density_by_integration(partial: np.ndarray, eta: float) -> float:
    """Log density of the partial correlations under LKJ(eta), from det(K)^(eta - 1) itself.

    The normaliser is that of a Wishart matrix whose variances are split off.
    """
    size, d = partial.shape
    half = eta + (size - 1) / 2
    normaliser = special.multigammaln(half, size) - size * special.gammaln(half)
    k = correlations(partial)
    last_is_free = size - d > 1
    density = integral_over_last(k, eta) if last_is_free else np.linalg.det(k) ** (eta - 1)
    jacobian = (np.log1p(-(k[1, 0] ** 2)) * (size - 2) + np.log1p(-(k[2:, 0] ** 2)).sum()) / 2
    return np.log(density) + (jacobian if d > 1 else 0.0) - normaliser


@pytest.mark.parametrize("eta", [0.7, 2.5])
@pytest.mark.parametrize(("size", "d"), [(3, 1), (3, 2), (4, 2)])
def test_density_of_columns_is_a_marginal_of_lkj(rng, size, d, eta):
    prior = LKJPrior(eta=eta)
    for _ in range(5):
        partial = np.tril(rng.uniform(-0.9, 0.9, (size, d)), -1)
        found = prior.log_density_columns(partial, size - d, d)
        assert found == pytest.approx(log_density_by_integration(partial, eta), abs=1e-9)


def test_density_of_columns_integrates_to_one():
    prior = LKJPrior(eta=2.2)

    def density(*rho: float) -> float:
        partial = np.array([[0.0, 0.0], [rho[0], 0.0], [rho[1], rho[2]]])
        return np.exp(prior.log_density_columns(partial, 1, 2))

    node, weight = special.roots_legendre(16)
    total = sum(np.prod(weight[list(i)]) * density(*node[list(i)]) for i in np.ndindex(16, 16, 16))
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("n_terms", [1, 4, 49])
def test_linkage_is_squeezed_by_the_number_of_dimensions(n_terms):
    prior = LKJPrior(eta=1.5)
    a = prior.beta_shape(1, n_terms, 2)
    assert a == prior.eta + n_terms / 2  # K_yy ~ LKJ_2(eta + p/2)
    sd = stats.beta(a, a, loc=-1, scale=2).std()
    assert sd == pytest.approx((2 * prior.eta + n_terms + 2 - 1) ** -0.5)


# LKJ: draws of the model without rows against draws of the whole matrix by PyMC.


@pytest.fixture(scope="module")
def factors() -> np.ndarray:
    """Cholesky factors of correlation matrices, K ~ LKJ(eta), in the order (exp, sim, x)."""
    chol, _, _ = pm.LKJCholeskyCov.dist(LKJ.eta, D + P, pm.HalfNormal.dist(1.0))
    (draws,) = uncompiled_draws([chol], N_DRAWS, seed=1)
    return draws / np.linalg.norm(draws, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def full(factors) -> dict[str, np.ndarray]:
    """Parameters (draw, ...) from the whole precision S K S, with targets in the order sim, exp."""
    rng = np.random.default_rng(2)
    s_y = rng.lognormal(-np.log(LKJ.noise), LKJ.noise_log_sd, (N_DRAWS, D))
    s_x = LKJ.t * np.sqrt(rng.chisquare(2 * LKJ.eta + D + P - 1, (N_DRAWS, P)))
    root = np.concatenate([s_y, s_x], axis=1)[..., None] * factors
    precision = root @ root.transpose(0, 2, 1)
    order = [1, 0, *range(D, D + P)]
    return from_precision(precision[:, order][:, :, order])


def from_precision(precision: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters of two targets from precisions in the order (sim, exp, x)."""
    yy, yx = precision[:, :2, :2], precision[:, :2, 2:]
    covariance = np.linalg.inv(yy)
    w = -covariance @ yx
    linkage = covariance[:, 1, 0] / covariance[:, 0, 0]
    return {
        "linkage": linkage,
        "sigma": np.stack([covariance[:, 0, 0] ** 0.5, yy[:, 1, 1] ** -0.5], axis=-1),
        "coefficients": w,
        "corrections": np.stack([w[:, 0], w[:, 1] - linkage[:, None] * w[:, 0]], axis=1),
        "covariance": covariance,
    }


def draw(prior, design: Design, names: list[str], n: int) -> dict[str, np.ndarray]:
    """Prior draws of a model without rows."""
    model = build_model(JointGaussian(design, prior), PatternStats.empty(design))
    return dict(zip(names, uncompiled_draws([model[k] for k in names], n, seed=3), strict=True))


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    """Parameters (draw, ...) from the d columns that the model samples."""
    terms = ["1", "x", "x^2"]
    design = Design.from_bounds(
        {"x": (0.0, 1.0)}, ["sim", "exp"], Polynomial(degree=P - 1), {"exp": terms}
    )
    names = [*PARAMETERS, "partial_beta", "log_likelihood"]
    found = draw(LKJ, design, names, N_DRAWS)
    assert (found.pop("log_likelihood") == 0.0).all()
    found["linkage"] = found["linkage"][:, 1, 0]
    return found


def statistics_of(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Entries of the parameters, and products of them that see how they depend on each other."""
    linkage, sigma, corrections, w, covariance = (
        parameters[k] for k in ("linkage", "sigma", "corrections", "coefficients", "covariance")
    )
    found = {"linkage": linkage, "ratio": sigma[:, 1] / sigma[:, 0]}
    for j in range(D):
        found[f"sigma {j}"] = sigma[:, j]
        found[f"covariance {j}"] = covariance[:, j, 1]
        for b in range(P):
            found[f"correction {j} {b}"] = corrections[:, j, b]
            found[f"coefficient {j} {b}"] = w[:, j, b]
    found["correlation"] = covariance[:, 0, 1] / np.sqrt(covariance[:, 0, 0] * covariance[:, 1, 1])
    found["linkage, sigma"] = linkage * sigma[:, 0]
    found["corrections of both"] = corrections[:, 0, 0] * corrections[:, 1, 0]
    found["corrections of one"] = corrections[:, 1, 0] * corrections[:, 1, 1]
    found["linkage, correction"] = linkage * corrections[:, 0, 1]
    return found


def test_columns_are_drawn_as_from_the_whole_matrix(columns, full):
    found, expected = statistics_of(columns), statistics_of(full)
    p_values = {name: stats.ks_2samp(found[name], expected[name]).pvalue for name in found}
    assert same(p_values), p_values


def test_sd_of_the_partial_correlation_of_the_targets(columns, factors):
    expected = (2 * LKJ.eta + D + P - 1) ** -0.5
    for rho in (2 * columns["partial_beta"][:, 0] - 1, factors[:, 1, 0]):
        error = np.std(rho**2) / np.sqrt(len(rho))
        assert abs(np.mean(rho**2) - expected**2) < 4 * error


def test_rows_of_x_are_gaussian(factors):
    """s^2 ~ t^2 chi^2(2 eta + D - 1) makes each row of x in the target columns N(0, t^2 I)."""
    rng = np.random.default_rng(5)
    p_values = {}
    for b in range(D, D + P):
        s = LKJ.t * np.sqrt(rng.chisquare(2 * LKJ.eta + D + P - 1, N_DRAWS))
        row = s[:, None] * factors[:, b, :D] / LKJ.t
        for j in range(D):
            p_values[f"entry {b} {j}"] = stats.kstest(row[:, j], stats.norm.cdf).pvalue
        radius, angle = (row**2).sum(axis=1), np.arctan2(row[:, 1], row[:, 0])
        p_values[f"radius {b}"] = stats.kstest(radius, stats.chi2(D).cdf).pvalue
        p_values[f"angle {b}"] = stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue
    assert same(p_values), p_values


def test_corrections_are_gaussian_given_the_noise(columns):
    """R_jb | sigma_j ~ N(0, sigma_j^2 t^2), independent of each other."""
    z = columns["corrections"] / (columns["sigma"][..., None] * LKJ.t)
    z = z.reshape(N_DRAWS, -1)
    p_values = {str(i): stats.kstest(z[:, i], stats.norm.cdf).pvalue for i in range(z.shape[1])}
    assert same(p_values), p_values
    off = np.corrcoef(z.T)[np.triu_indices(z.shape[1], 1)]
    assert np.abs(off).max() < 4 / np.sqrt(N_DRAWS)


# ShrinkagePrior: moments of prior draws.

SHRINKAGE = ShrinkagePrior(
    noise=0.2, noise_log_sd=0.8, linkage_sd=0.3, constant_sd=2.0, scale=0.5, scale_log_sd=0.25
)


@pytest.fixture(scope="module")
def shrunk() -> tuple[Design, dict[str, np.ndarray]]:
    """Draws for three targets, of which the first and the last are one quantity."""
    design = Design.from_bounds(
        {"x": (0.0, 1.0)},
        ["low", "other", "exp"],
        Polynomial(degree=2),
        {"other": ["1", "x"], "exp": ["1"]},
        quantities={"low": "gap", "other": "volume", "exp": "gap"},
    )
    return design, draw(SHRINKAGE, design, [*PARAMETERS, "scale", "log_likelihood"], 20000)


def assert_moments(values: np.ndarray, mean: float, sd: float) -> None:
    """Mean and sd of independent draws agree with the stated ones within four standard errors."""
    root = np.sqrt(len(values))
    square = (values - mean) ** 2
    assert abs(values.mean() - mean) < 4 * sd / root
    assert abs(square.mean() - sd**2) < 4 * square.std() / root


def test_shrinkage_noise_and_linkage(shrunk):
    _, found = shrunk
    assert (found["log_likelihood"] == 0.0).all()
    for j in range(3):
        # The floor of sigma, 1e-5, is a hundredth of a standard error here.
        assert_moments(np.log(found["sigma"][:, j]), np.log(0.2), 0.8)
    for (j, k), mean in {(1, 0): 0.0, (2, 0): 1.0, (2, 1): 0.0}.items():
        assert_moments(found["linkage"][:, j, k], mean, 0.3)
    assert (found["linkage"][:, *np.triu_indices(3)] == 0.0).all()


def test_shrinkage_corrections(shrunk):
    design, found = shrunk
    terms, r, scale = design.terms, found["corrections"], found["scale"]
    assert terms == ("1", "x", "x^2")
    assert (r[:, ~design.active] == 0.0).all()
    for j in range(3):
        assert_moments(r[:, j, 0], 0.0, 2.0)
    learned = {(0, 1): 0, (0, 2): 1, (1, 1): 2}  # (target, term): its scale, one per group
    assert scale.shape[1] == len(learned)
    for (j, b), g in learned.items():
        assert_moments(np.log(scale[:, g]), np.log(0.5), 0.25)
        assert_moments(r[:, j, b], 0.0, 0.5 * np.exp(0.25**2))  # E t^2 = scale^2 exp(2 log_sd^2)
        assert_moments(r[:, j, b] / scale[:, g], 0.0, 1.0)


def test_declared_quantities_follow_from_the_columns(shrunk):
    _, found = shrunk
    c, sigma, r = (found[k][:50] for k in ("linkage", "sigma", "corrections"))
    for i in range(50):
        w = np.linalg.solve(np.eye(3) - c[i], r[i])
        assert found["coefficients"][i] == pytest.approx(w, rel=1e-9, abs=1e-12)
        yy = found["precision_yy"][i]
        assert yy @ found["covariance"][i] == pytest.approx(np.eye(3), abs=1e-8)
        assert 1 / yy[2, 2] == pytest.approx(sigma[i, 2] ** 2)
        assert found["covariance"][i, 0, 0] == pytest.approx(sigma[i, 0] ** 2)
        w = -found["covariance"][i] @ found["precision_yx"][i]
        assert w == pytest.approx(found["coefficients"][i], rel=1e-6, abs=1e-8)


# Records.


@pytest.mark.parametrize("kind", [ShrinkagePrior, LKJPrior])
@pytest.mark.parametrize("value", [0, 0.0, -1.0, float("nan"), float("inf"), True, "1", None])
def test_values_that_are_not_positive_are_refused(kind, value):
    for name in (f.name for f in fields(kind) if f.name != "tied"):
        if value is None and getattr(kind(), name) is None:
            continue  # may be left open
        with pytest.raises(SpecError, match=f"expected a positive number for {name}"):
            kind(**{name: value})


@pytest.mark.parametrize("prior", [ShrinkagePrior(noise=0.1234567890123), LKJ, LKJPrior(eta=2)])
def test_json_round_trip(prior):
    data = json.loads(json.dumps(prior_to_dict(prior)))
    assert data["kind"] == prior.kind
    assert prior_from_dict(data) == prior
    assert data == prior_to_dict(prior), "the dictionary was changed"
    assert prior.proper


def test_an_unknown_prior_or_field_is_refused():
    with pytest.raises(
        SpecError, match=r"a prior of kind \['flat', 'lkj', 'shrinkage'\]\n.*'wide'"
    ):
        prior_from_dict({"kind": "wide"})
    with pytest.raises(SpecError, match=r"fields \['eta', 'noise', 'noise_log_sd', 't'\]\n.*'nu'"):
        prior_from_dict({"kind": "lkj", "nu": 1.0})
    for data, near in (({"kind": "LKJ"}, "lkj"), ({"kind": "lkj", "etaa": 1.0}, "eta")):
        with pytest.raises(SpecError, match=f"did you mean '{near}'"):
            prior_from_dict(data)
    with pytest.raises(SpecError, match=r"'eta'\n(.|\n)*leave it out"):
        prior_from_dict({"kind": "flat", "eta": 1.0})
    with pytest.raises(SpecError, match="positive number for eta"):
        prior_from_dict({"kind": "lkj", "eta": -1.0})
    assert prior_from_dict({}) == ShrinkagePrior()


@pytest.mark.parametrize("prior", [SHRINKAGE, replace(SHRINKAGE, correction=0.0375), LKJ])
def test_description_tells_every_value(prior):
    text = prior.describe() + getattr(prior, "describe_rows", str)()
    known = {f.name: getattr(prior, f.name) for f in fields(prior)}
    assert [n for n, value in known.items() if value is not None and f"{value:g}" not in text] == []
