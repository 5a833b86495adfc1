"""The likelihood in JAX beside its other versions, and draws of NumPyro beside those of nutpie."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from arviz_stats.base import array_stats
from oracle import exact_log_likelihood, random_columns
from test_ops import NEEDS_CXX, compiled, dyadic_statistics

from claude_pymc.errors import SamplingError
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.model import build_model
from claude_pymc.joint.nuts import NutsSampler
from claude_pymc.joint.ops import MISFIT
from claude_pymc.joint.settings import Settings
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

jax = pytest.importorskip("jax")
jax_op = pytest.importorskip("claude_pymc.joint.jax_op")

SIZES = [(1, 1), (1, 5), (2, 3), (2, 6), (3, 2), (4, 4)]
REFERENCES = ["NUMBA", "py", pytest.param("CVM", marks=NEEDS_CXX)]
LARGEST_Z = 4.0  # 28 comparisons of independent estimates: by chance once in 500 seeds

gradient = jax.jit(jax.value_and_grad(jax_op.log_likelihood, (0, 1, 2)))


def agree(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


def case(rng, d, p):
    *_, rows, grams = dyadic_statistics(rng, d, p, n=3 * 2**d)
    return *random_columns(rng, p, d), rows, grams


@pytest.mark.parametrize("reference", REFERENCES)
def test_values_and_gradients_are_those_of_other_linkers(reference, rng):
    for d, p in SIZES:
        inputs = case(rng, d, p)
        expected = compiled(reference)(*inputs)
        value, gradients = gradient(*inputs)
        agree([value, *gradients], expected)
        agree(compiled("JAX")(*inputs), expected)
        assert value.dtype == np.float64


def test_many_targets_need_no_longer_program(rng):
    """Loops over targets are not unrolled."""
    inputs = [
        (*random_columns(rng, 1, d), np.full((1, d), 9.0), np.eye(d + 1)[None]) for d in (4, 16)
    ]
    short, long = (len(jax.make_jaxpr(jax_op.value_and_gradients)(*i).eqns) for i in inputs)
    assert short == long
    value, gradients = gradient(*inputs[1])
    agree([value, *gradients], compiled("py")(*inputs[1]))


def test_jax_derives_it_forwards_and_twice(rng):
    c, sigma, r, rows, grams = case(rng, 2, 2)
    along = rng.normal(size=2)

    def value(sigma):
        return jax_op.log_likelihood(c, sigma, r, rows, grams)

    slope = jax.jit(lambda s: jax.jvp(value, (s,), (along,))[1])(sigma)
    expected = gradient(c, sigma, r, rows, grams)[1][1] @ along
    np.testing.assert_allclose(slope, expected, rtol=1e-12)
    moved = [gradient(c, sigma + h * along, r, rows, grams)[1][1] for h in (1e-6, -1e-6)]
    second = jax.jit(jax.hessian(value))(sigma) @ along
    np.testing.assert_allclose(second, (moved[0] - moved[1]) / 2e-6, rtol=1e-6)


def test_only_the_strictly_lower_linkage_is_read(rng):
    c, *others = case(rng, 3, 2)
    filled = c + np.triu(rng.normal(size=(3, 3)))
    for one, other in zip(
        compiled("JAX")(filled, *others), compiled("JAX")(c, *others), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_an_empty_pattern_says_nothing(rng):
    *columns, rows, grams = case(rng, 2, 2)
    more = np.insert(rows, 1, 0.0, axis=0), np.insert(grams, 1, np.eye(4), axis=0)
    agree(compiled("JAX")(*columns, *more), compiled("JAX")(*columns, rows, grams))


def test_no_pattern_says_nothing(rng):
    inputs = *random_columns(rng, 3, 2), np.zeros((0, 2)), np.zeros((0, 5, 5))
    for outputs in (compiled("JAX")(*inputs), [gradient(*inputs)[0], *gradient(*inputs)[1]]):
        for output in outputs:
            np.testing.assert_array_equal(output, 0)


@pytest.mark.parametrize(
    ("place", "number"),
    [
        *(("sigma", v) for v in (0.0, -0.5, np.nan, np.inf, 1e-200)),
        *(("linkage", v) for v in (np.nan, np.inf, -np.inf, 1e200)),
        *(("corrections", v) for v in (np.nan, np.inf)),
    ],
)
def test_broken_parameters_have_no_density(rng, place, number):
    c, sigma, r, *data = case(rng, 2, 2)
    array, index = {"sigma": (sigma, 0), "linkage": (c, (1, 0)), "corrections": (r, (0, 1))}[place]
    array[index] = number
    value, gradients = gradient(c, sigma, r, *data)
    for outputs in ([value, *gradients], compiled("JAX")(c, sigma, r, *data)):
        assert outputs[0] == -np.inf
        assert np.isnan(outputs[1][1, 0])
        assert np.isnan(outputs[2]).all()
        assert np.isnan(outputs[3]).all()
    if place != "corrections":  # without rows either
        nothing = np.zeros((0, 2)), np.zeros((0, 4, 4))
        assert gradient(c, sigma, r, *nothing)[0] == (-np.inf if number != 1e200 else 0.0)


@pytest.mark.parametrize("small", [1e-8, 1e-12])
@pytest.mark.parametrize("d", [2, 3])
def test_a_very_small_noise_keeps_its_digits(rng, small, d):
    phi, y, rows, grams = dyadic_statistics(rng, d, 2)
    c, sigma, r = random_columns(rng, 2, d)
    sigma[-1] = small * sigma[-2]
    c[-1, -2] = 1.0
    value, (_, g_sigma, _) = gradient(c, sigma, r, rows, grams)
    expected = exact_log_likelihood(c, sigma, r, phi, y)
    assert value == pytest.approx(expected, rel=1e-12)
    assert g_sigma[-1] * sigma[-1] == pytest.approx(-2 * expected, rel=1e-6)
    level, _ = gradient(c, sigma, r, rows, grams * 0)
    zero = exact_log_likelihood(c, sigma, r * 0, phi * 0, np.where(np.isfinite(y), 0.0, np.nan))
    assert level == pytest.approx(zero, rel=1e-12)


@pytest.mark.parametrize("place", range(5))
def test_arrays_that_do_not_fit_are_refused(rng, place):
    inputs = list(case(rng, 2, 2))
    inputs[place] = np.concatenate([inputs[place], inputs[place]])
    with pytest.raises(ValueError) as caught:
        gradient(*inputs)
    assert MISFIT in str(caught.value)
    with pytest.raises(ValueError) as caught:
        compiled("JAX")(*inputs)
    assert MISFIT in str(caught.value)


NAMES = ["log_sigma", "linkage_free", "linkage", "sigma", "corrections"]
LENGTHS = {"draws": 1000, "tune": 500, "chains": 4}


def rows_of(n, seed):
    """y_sim = 1 + x + noise; y_exp = y_sim + 0.5 + noise, the latter in every second row."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n)
    sim = 1 + x + 0.3 * rng.normal(size=n)
    exp = sim + 0.5 + 0.3 * rng.normal(size=n)
    exp[::2] = np.nan
    return Table(["x"], ["sim", "exp"], x[:, None], np.column_stack([sim, exp]))


@pytest.fixture(scope="module")
def spec():
    design = Design.from_bounds({"x": (-1.0, 1.0)}, ["sim", "exp"], Polynomial(degree=1))
    return JointGaussian(design)


@pytest.fixture(scope="module")
def stats(spec):
    return PatternStats.from_table(rows_of(16, seed=0), spec.design)


@pytest.fixture(scope="module")
def numpyro_model(spec):
    pytest.importorskip("numpyro")
    from claude_pymc.joint.numpyro_backend import NumpyroModel

    return NumpyroModel(build_model(spec), NAMES)


def draw(model, spec, stats, seed, **changed):
    settings = Settings(**LENGTHS | {"seed": seed, "accept": 0.95} | changed)
    return model.draw(data_of(spec, stats), settings)


@pytest.fixture(scope="module")
def ours(numpyro_model, spec, stats):
    return draw(numpyro_model, spec, stats, seed=1)


@pytest.fixture(scope="module")
def nutpie_raw(spec, stats):
    pytest.importorskip("nutpie")
    sampler = NutsSampler(spec, "nutpie")
    return sampler._nutpie(data_of(spec, stats), Settings(**LENGTHS, seed=2, accept=0.95))


@pytest.fixture(scope="module")
def pymc_way(numpyro_model, spec, stats):
    """PyMC's own function; it compiles anew, and knows the likelihood because it is registered."""
    from pymc.sampling.jax import sample_numpyro_nuts

    with build_model(spec, stats):
        return sample_numpyro_nuts(
            **LENGTHS,
            target_accept=0.95,
            random_seed=3,
            chain_method="vectorized",
            progressbar=False,
            compute_convergence_checks=False,
            var_names=NAMES,
        )


def estimates(tree, method):
    """Posterior means or sds of linkage, log sigma and corrections, and their standard errors."""
    posterior = tree["posterior"]
    found = {}
    for name in ("log_sigma", "linkage_free", "corrections"):
        values = posterior[name].transpose("chain", "draw", ...).to_numpy()
        for place in np.ndindex(values.shape[2:]):
            draws = values[(..., *place)]
            value = draws.mean() if method == "mean" else draws.std()
            error = array_stats.mcse(draws, chain_axis=0, draw_axis=1, method=method)
            found[f"{name}{list(place)}"] = value, error
    return found


@pytest.mark.parametrize("way", ["ours", pytest.param("pymc_way", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["mean", "sd"])
def test_the_posterior_is_that_of_nutpie(way, method, nutpie_raw, request):
    found = estimates(request.getfixturevalue(way), method)
    expected = estimates(nutpie_raw, method)
    assert found.keys() == expected.keys() and len(found) == 2 + 1 + 4
    z = {n: (found[n][0] - v) / np.hypot(found[n][1], e) for n, (v, e) in expected.items()}
    assert max(map(abs, z.values())) < LARGEST_Z, z


def test_the_layout_is_that_of_nutpie(ours, nutpie_raw):
    assert set(ours.children) == {"posterior", "sample_stats"}
    one, other = ours["posterior"].dataset, nutpie_raw["posterior"].dataset
    assert set(one.data_vars) == set(NAMES)
    for name in NAMES:
        assert one[name].dims == other[name].dims
        assert one[name].shape == other[name].shape
        assert one[name].dtype == np.float64
        for dim in one[name].dims:
            assert one[dim].to_numpy().tolist() == other[dim].to_numpy().tolist()
    np.testing.assert_allclose(one["sigma"], 1e-5 + np.exp(one["log_sigma"]), rtol=1e-12)
    sampled = ours["sample_stats"].dataset
    assert {"diverging", "energy", "n_steps", "step_size", "acceptance_rate"} <= set(sampled)
    assert sampled["diverging"].dtype == bool and not sampled["diverging"].any()
    assert all(v.dims == ("chain", "draw") for v in sampled.data_vars.values())
    # The step size is found before the first draw that is kept; the acceptance is as asked.
    assert (sampled["step_size"] == sampled["step_size"][:, :1]).all()
    assert 0.85 < float(sampled["acceptance_rate"].mean()) < 0.99


def test_new_rows_need_no_new_compilation(ours, numpyro_model, spec, stats, monkeypatch):
    def refuse(*args):
        raise AssertionError("compiled again")

    monkeypatch.setattr(numpyro_model, "_logp", refuse)
    more = stats + PatternStats.from_table(rows_of(40, seed=1), spec.design)
    after = draw(numpyro_model, spec, more, seed=1)
    sds = [estimates(tree, "sd")["log_sigma[0]"][0] for tree in (after, ours)]
    assert sds[0] == pytest.approx(np.sqrt(16 / 56) * sds[1], rel=0.2)
    assert (draw(numpyro_model, spec, stats, seed=1)["posterior"] == ours["posterior"]).all()
    smaller = draw(numpyro_model, spec, stats, seed=2, accept=0.99)
    assert not (smaller["posterior"]["sigma"] == ours["posterior"]["sigma"]).any()
    rates = [float(t["sample_stats"]["acceptance_rate"].mean()) for t in (ours, smaller)]
    assert rates[0] < rates[1]
    # Without rows the draws are those of the prior.
    prior = draw(numpyro_model, spec, PatternStats.empty(spec.design), seed=5)
    mean, error = estimates(prior, "mean")["log_sigma[0]"]
    assert abs(mean - np.log(spec.prior.noise)) < 5 * error
    sd, error = estimates(prior, "sd")["log_sigma[0]"]
    assert abs(sd - spec.prior.noise_log_sd) < 5 * error


def test_progress_is_shown_if_asked(ours, numpyro_model, spec, stats, capsys):
    draw(numpyro_model, spec, stats, seed=1)
    assert capsys.readouterr() == ("", "")
    draw(numpyro_model, spec, stats, seed=1, progress=True)
    assert "1500/1500" in capsys.readouterr().err


def other_model(start):
    """Another model than the package's, with data of its own, and no density above 10."""
    with pm.Model(coords={"place": ["a", "b"]}) as model:
        rows, gram = pm.Data("rows", np.zeros((1, 1))), pm.Data("gram", np.zeros((1, 1, 1)))
        shift = pm.Data("shift", 2.0)
        x = pm.Normal("x", shift, 1.0, dims="place", initval=[start, start])
        pm.Deterministic("twice", 2 * x + rows.sum() + gram.sum(), dims="place")
        pm.Potential("wall", pt.switch(pt.all(x < 10.0), 0.0, -np.inf))
    return model


def test_data_of_a_model_may_be_given_or_left_and_one_chain_is_enough():
    numpyro_backend = pytest.importorskip("claude_pymc.joint.numpyro_backend")
    sampler = numpyro_backend.NumpyroModel(other_model(9.5), ["twice", "x"])
    data = {"rows": np.zeros((1, 1)), "gram": np.zeros((1, 1, 1))}
    settings = Settings(draws=1030, tune=170, chains=1, seed=0, accept=0.8)
    for given, mean in (({}, 2.0), ({"shift": np.array(-3.0)}, -3.0)):
        found = sampler.draw(data | given, settings)["posterior"]
        assert found["twice"].dims == ("chain", "draw", "place")
        assert found["x"].shape == (1, 1030, 2)
        np.testing.assert_allclose(found["twice"], 2 * found["x"], rtol=1e-12)
        assert abs(float(found["x"].mean()) - mean) < 5 * np.sqrt(1 / 300)


def test_chains_that_cannot_start_are_refused():
    numpyro_backend = pytest.importorskip("claude_pymc.joint.numpyro_backend")
    sampler = numpyro_backend.NumpyroModel(other_model(12.0), ["x"])
    data = {"rows": np.zeros((1, 1)), "gram": np.zeros((1, 1, 1))}
    with pytest.raises(SamplingError, match="a finite density where chains start"):
        sampler.draw(data, Settings(draws=4, tune=1, chains=2, seed=0, accept=0.8))
