"""Draws of the Gaussian of descriptors and targets: posterior and prior."""

import itertools

import numpy as np
import pymc as pm
import pytensor
import pytest
from arviz_stats.base import array_stats
from joint_cases import PRIOR, XS, YS, make_design, make_rows
from scipy import stats as st

import claude_pymc as cp
from claude_pymc.joint.gaussian import split_joint
from claude_pymc.joint.model import build_model
from claude_pymc.joint.simulate import draw_prior
from claude_pymc.notation import JOINT_COLUMNS

NAN = np.nan


@pytest.fixture(scope="module")
def sampler():
    return cp.Sampler(cp.JointGaussian(make_design(), PRIOR, "joint"), method="nuts")


@pytest.fixture(scope="module")
def rows():
    return make_rows(np.random.default_rng(8), 40)


def draw(sampler, rows, **options):
    return sampler.draw(cp.PatternStats.from_table(rows, sampler.spec.design), **options)


@pytest.fixture(scope="module")
def tree(sampler, rows):
    return draw(sampler, rows, draws=1500, seed=1)


def test_posterior_quantities_agree_with_each_other(tree, rows):
    found = tree["posterior"].dataset.isel(draw=slice(None, None, 300))
    assert found["joint_mean"].dims == ("chain", "draw", "variable")
    assert found["variable"].to_numpy().tolist() == XS + YS
    assert set(JOINT_COLUMNS).isdisjoint(found.data_vars)
    spread, mean = (found[f"joint_{n}"].to_numpy() for n in ("covariance", "mean"))
    for place in np.ndindex(mean.shape[:2]):
        one = {n: found[n].to_numpy()[place] for n in found.data_vars}
        cov, m = spread[place], mean[place]
        carry = cov[2:, :2] @ np.linalg.inv(cov[:2, :2])  # y given x
        w = np.column_stack([m[2:] - carry @ m[:2], carry])
        np.testing.assert_allclose(one["coefficients"], w, rtol=1e-7, atol=1e-9)
        rest = cov[2:, 2:] - carry @ cov[:2, 2:]
        np.testing.assert_allclose(one["covariance"], rest, rtol=1e-7, atol=1e-10)
        before = cov[3, :3] @ np.linalg.inv(cov[:3, :3])  # exp given x and sim
        expected = [m[3] - before @ m[:3], *before[:2]]
        np.testing.assert_allclose(one["corrections"][1], expected, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(one["corrections"][0], w[0], rtol=1e-7, atol=1e-9)
        assert one["linkage"][1, 0] == pytest.approx(before[2], rel=1e-6)
        noise = [rest[0, 0], cov[3, 3] - before @ cov[:3, 3]]
        np.testing.assert_allclose(one["sigma"] ** 2, noise, rtol=1e-6)
        np.testing.assert_allclose(one["precision_yy"] @ rest, np.eye(2), atol=1e-8)


def test_prediction_is_the_mean_given_the_descriptors(tree):
    post = cp.JointPosterior(tree)
    x = np.array([[0.5, -1.0], [-2.0, 1.0]])
    found = post.predict(x).draws.to_numpy()
    w = post.coefficients.to_numpy().reshape(-1, 2, 3)
    phi = np.column_stack([np.ones(2), x / 3.0])
    y = np.einsum("sjb,cb->scj", w, phi) * post.spec.design.scale + post.spec.design.location
    np.testing.assert_allclose(found, y, rtol=1e-9)
    truth = 1 + x @ [0.8, -0.5]
    assert (np.abs(found[..., 0].mean(axis=0) - truth) < 4 * found[..., 0].std(axis=0)).all()
    assert (found[..., 0].std(axis=0) < 0.5).all()


@pytest.mark.parametrize("given", [None, "sim", "exp"])
def test_missing_descriptors_are_integrated_out(tree, given):
    """Means and densities of every pattern of known variables, by the joint Gaussian of a draw."""
    post = cp.JointPosterior(tree)
    z = np.array([[0.5, -1.0], [NAN, 1.0], [0.5, NAN], [NAN, NAN]])
    z = np.hstack([z, [[2.0, NAN] if given == "sim" else [NAN, 2.0 if given else NAN]] * 4])
    known = {given: [2.0] * 4} if given else None
    found = post.predict(z[:, :2], given=known).draws.to_numpy()
    target = "sim" if given == "exp" else "exp"
    frame = cp.Table(XS, [target], z[:, :2], np.full((4, 1), 0.3))
    density = post.log_predictive_density(frame, target, known)
    dataset, location, scale = tree["posterior"], *([0, 0, *v] for v in ([1, 1], [1.5, 1.5]))
    scale[:2] = 3.0, 3.0
    means, covs = (dataset[f"joint_{k}"].to_numpy() for k in ("mean", "covariance"))
    means, covs = means.reshape(-1, 4) * scale + location, covs.reshape(-1, 4, 4)
    covs = covs * np.outer(scale, scale)
    j, log_p = (XS + YS).index(target), np.empty((len(means), 4))
    for s, (mean, cov) in enumerate(zip(means, covs, strict=True)):
        for i, row in enumerate(z):
            g = np.isfinite(row)
            gain = cov[:, g] @ np.linalg.inv(cov[np.ix_(g, g)])
            centre = mean + gain @ (row - mean)[g]
            if s % 500 == 0:
                np.testing.assert_allclose(found[s, i], centre[2:], rtol=1e-8)
            sd = np.sqrt((cov - gain @ cov[g])[j, j])
            log_p[s, i] = st.norm.logpdf(0.3, centre[j], sd)
    np.testing.assert_allclose(density, np.log(np.exp(log_p).mean(axis=0)), rtol=1e-8)
    spread = post.predict(z[:, :2], kind="observation", given=known, seed=0).std().to_numpy()
    assert spread[3, j - 2] > spread[0, j - 2]


def scores(first, second, order):
    """Differences of posterior means and second moments, in Monte Carlo standard errors."""
    z = {}
    for name, axes in (("joint_mean", 1), ("joint_covariance", 2)):
        a, b = (t["posterior"][name].to_numpy() for t in (first, second))
        for place in itertools.product(range(4), repeat=axes):
            x, y = a[(..., *place)], b[(..., *(order[i] for i in place))]
            for power in (1, 2):
                errors = [array_stats.mcse(v**power, 0, 1, method="mean") for v in (x, y)]
                z[name, place, power] = ((x**power).mean() - (y**power).mean()) / np.hypot(*errors)
    return z


def test_exchanged_descriptors_exchange_the_posterior(sampler, rows):
    few = rows.rows(slice(10))  # so few that the prior is felt too
    other = cp.Table(XS, YS, few.x[:, ::-1], few.y)
    one, two = (draw(sampler, r, draws=2000, seed=s) for s, r in enumerate((few, other)))
    z = scores(one, two, [1, 0, 2, 3])
    limit = st.norm.isf(0.001 / 2 / len(z))
    assert max(map(abs, z.values())) < limit, z
    # The same draws against themselves, exchanged, are far away.
    assert max(map(abs, scores(one, one, [1, 0, 2, 3]).values())) > 3 * limit


# The prior.


def statistics_of(mean, covariance):
    """Means, sds, correlations and regressions of joint Gaussians (draw, ...)."""
    found, sd = {}, np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    regression = np.linalg.solve(covariance[:, :3, :3], covariance[:, :3, 3:])
    for i in range(4):
        found[f"mean {i}"], found[f"sd {i}"] = mean[:, i], sd[:, i]
        found[f"standardised mean {i}"] = mean[:, i] / sd[:, i]
        for j in range(i):
            found[f"correlation {i} {j}"] = covariance[:, i, j] / sd[:, i] / sd[:, j]
            found[f"means {i} {j}"] = mean[:, i] * mean[:, j]
    for i in range(3):
        found[f"regression of exp {i}"] = regression[:, i, 0]
    return found


def same(first, second, level=0.01):
    """No p-value of a Kolmogorov-Smirnov test is below the level, corrected for their number."""
    p = {name: st.ks_2samp(first[name], second[name]).pvalue for name in first}
    return min(p.values()) * len(p) > level, p


def drawn_directly(spec, n):
    """Means and covariances from prior draws of the columns."""
    rng, found = np.random.default_rng(4), []
    for _ in range(n):
        one = draw_prior(spec, rng)
        found.append(split_joint(one["linkage"], one["sigma"], one["corrections"][:, 0], 2))
    return [np.stack([f[f"joint_{k}"] for f in found]) for k in ("mean", "covariance")]


def drawn_as_a_whole(n):
    """The same from the whole precision over (exp, sim, b, a, 1) by PyMC."""
    chol, _, _ = pm.LKJCholeskyCov.dist(PRIOR.eta, 5, pm.HalfNormal.dist(1.0))
    with pytensor.config.change_flags(cxx=""):
        factor = pm.draw(chol, n, random_seed=5, mode="FAST_COMPILE")
    factor /= np.linalg.norm(factor, axis=-1, keepdims=True)
    rng = np.random.default_rng(6)
    s = rng.lognormal(-np.log(PRIOR.noise), PRIOR.noise_log_sd, (n, 4))
    last = PRIOR.t * np.sqrt(rng.chisquare(2 * PRIOR.eta + 5 - 1, (n, 1)))
    root = np.hstack([s, last])[..., None] * factor
    precision = (root @ root.transpose(0, 2, 1))[:, [3, 2, 1, 0, 4]][:, :, [3, 2, 1, 0, 4]]
    covariance = np.linalg.inv(precision[:, :4, :4])
    return -(covariance @ precision[:, :4, 4:])[..., 0], covariance


def test_prior_draws_are_those_of_the_whole_matrix(sampler):
    empty = cp.PatternStats.empty(sampler.spec.design)
    posterior = sampler.draw(empty, draws=2500, seed=3)["posterior"].isel(draw=slice(None, None, 5))
    arrays = (posterior[f"joint_{k}"].to_numpy() for k in ("mean", "covariance"))
    sampled = statistics_of(*(a.reshape(-1, *a.shape[2:]) for a in arrays))
    whole = statistics_of(*drawn_as_a_whole(4000))
    direct = statistics_of(*drawn_directly(sampler.spec, 4000))
    for first, second in ((sampled, whole), (direct, whole), (sampled, direct)):
        fine, p = same(first, second)
        assert fine, p


def test_prior_with_zeros_is_drawn_as_by_the_model():
    spec = cp.JointGaussian(make_design({"sim": ["1", "a"], "exp": ["b"]}), PRIOR, "joint")
    model = build_model(spec)
    with pytensor.config.change_flags(cxx=""):
        names = [model["joint_mean"], model["joint_covariance"]]
        ours = pm.draw(names, 4000, random_seed=7, mode="FAST_COMPILE")
    fine, p = same(statistics_of(*ours), statistics_of(*drawn_directly(spec, 4000)))
    assert fine, p
