"""A model compiled once draws the same for the same seed, and the prior where there are no rows."""

import json
from dataclasses import replace

import arviz as az
import numpy as np
import pytest
import xarray as xr

from claude_pymc.errors import PosteriorWarning, SamplingError, StatisticsError
from claude_pymc.joint import nuts, sampling
from claude_pymc.joint.model import build_model
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.sampling import Sampler, sample
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

QUICK = {"draws": 100, "tune": 200, "chains": 2}
COMPUTED = ["coefficients", "covariance", "precision_yy", "precision_yx"]


def tiny(n=20, seed=0):
    """y_sim = 1 + 2 x + noise, y_exp = y_sim + 0.5 + noise, the latter in every third row."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n)
    sim = 1 + 2 * x + 0.1 * rng.normal(size=n)
    exp = sim + 0.5 + 0.1 * rng.normal(size=n)
    exp[np.arange(n) % 3 > 0] = np.nan
    return Table(["x"], ["sim", "exp"], x[:, None], np.column_stack([sim, exp]))


@pytest.fixture(scope="module")
def spec():
    design = Design.from_bounds({"x": (-1.0, 1.0)}, ["sim", "exp"], Polynomial(degree=1))
    return JointGaussian(design)


@pytest.fixture(scope="module")
def stats(spec):
    return PatternStats.from_table(tiny(), spec.design)


@pytest.fixture(scope="module")
def sampler(spec):
    return Sampler(spec, method="nuts")


@pytest.fixture(scope="module")
def idata(sampler, stats):
    return sampler.draw(stats, seed=1)


def mean_and_error(values):
    """Mean over (chain, draw) and its Monte Carlo standard error."""
    values = np.asarray(values).copy()
    return values.mean(), float(az.mcse(values))


def test_draws_have_the_layout_that_others_rely_on(idata, spec, stats):
    posterior = idata["posterior"]
    assert set(idata.children) == {"posterior", "sample_stats"}
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == (4, 1000)
    assert posterior["corrections"].dims == ("chain", "draw", "target", "basis")
    assert posterior["target"].to_numpy().tolist() == ["sim", "exp"]
    assert posterior["basis"].to_numpy().tolist() == ["1", "x"]
    attrs = idata.attrs
    assert JointGaussian.from_json(attrs["spec"]) == spec
    assert attrs["data_hash"] == stats.digest
    assert (attrs["n_rows"], attrs["shared_rows"], attrs["seed"]) == (20, 7, 1)
    assert (attrs["method"], attrs["tune"]) == ("nuts", sampling.TUNE)
    assert attrs["target_accept"] in nuts.TARGET_ACCEPT
    assert {"claude-pymc", "pymc", "numpy"} <= set(json.loads(attrs["versions"]))
    assert all(check.passed for check in sampling.convergence(idata))


def test_computed_quantities_agree_with_the_columns(idata):
    values = {
        name: v.to_numpy().reshape(-1, *v.shape[2:])[::97]
        for name, v in idata["posterior"].data_vars.items()
    }
    for i, (c, s, r) in enumerate(
        zip(values["linkage"], values["sigma"], values["corrections"], strict=True)
    ):
        sigma = np.linalg.inv(np.eye(2) - c) @ np.diag(s**2) @ np.linalg.inv(np.eye(2) - c).T
        w = np.linalg.inv(np.eye(2) - c) @ r
        expected = [w, sigma, np.linalg.inv(sigma), -np.linalg.inv(sigma) @ w]
        for name, value in zip(COMPUTED, expected, strict=True):
            np.testing.assert_allclose(values[name][i], value, rtol=1e-8, atol=1e-10)


def test_the_posterior_finds_what_made_the_rows(idata):
    prediction = JointPosterior(idata).predict(np.array([[0.0]]))
    mean, sd = (v.to_numpy()[0] for v in (prediction.mean(), prediction.std()))
    assert (np.abs(mean - [1.0, 1.5]) < 4 * sd).all()
    assert (sd < 0.3).all()


def test_the_same_seed_gives_the_same_draws(sampler, stats):
    one, two, other = (sampler.draw(stats, seed=s, **QUICK)["posterior"] for s in (5, 5, 6))
    for name in one.data_vars:
        assert (one[name] == two[name]).all(), name
    assert not (one["sigma"] == other["sigma"]).any()


def test_without_a_seed_one_is_drawn_and_kept(sampler, stats):
    one = sampler.draw(stats, **QUICK)
    again = sampler.draw(stats, seed=one.attrs["seed"], **QUICK)
    assert (one["posterior"]["sigma"] == again["posterior"]["sigma"]).all()


def test_new_rows_need_no_new_compilation(sampler, spec, stats, monkeypatch):
    nutpie = pytest.importorskip("nutpie")

    def refuse(*args, **kwargs):
        raise AssertionError("compiled again")

    monkeypatch.setattr(nutpie, "compile_pymc_model", refuse)
    # Other rows, among them a pattern that the first ones did not have.
    only_exp = Table(["x"], ["exp"], [[0.3]], [[9.0]])
    more = stats + PatternStats.from_table(tiny(40, seed=3), spec.design)
    more = more + PatternStats.from_table(only_exp, spec.design)
    found = sampler.draw(more, seed=0, **QUICK)
    assert found.attrs["n_rows"] == 61
    before = sampler.draw(stats, seed=0, **QUICK)
    assert not (found["posterior"]["sigma"] == before["posterior"]["sigma"]).any()


def test_no_rows_at_all_is_the_prior(sampler, spec):
    found = sampler.draw(PatternStats.empty(spec.design), seed=0, draws=2000)
    posterior, prior = found["posterior"], spec.prior
    quantities = {
        "log_sigma": (np.log(prior.noise), prior.noise_log_sd),
        "linkage_free": (1.0, prior.linkage_sd),
    }
    for name, (centre, sd) in quantities.items():
        for values in np.moveaxis(posterior[name].to_numpy(), -1, 0):
            mean, error = mean_and_error(values)
            assert abs(mean - centre) < 5 * error, name
            second, error = mean_and_error((values - centre) ** 2)
            assert abs(second - sd**2) < 5 * error, name
    for values in np.moveaxis(np.log(posterior["scale"].to_numpy()), -1, 0):
        mean, error = mean_and_error(values)
        assert abs(mean - np.log(prior.scale)) < 5 * error
    second, error = mean_and_error(posterior["corrections"].sel(basis="1", target="exp") ** 2)
    assert abs(second - prior.constant_sd**2) < 5 * error
    assert found.attrs["n_rows"] == 0


@pytest.mark.filterwarnings("ignore:target 'exp' has no value yet:claude_pymc.errors.Notice")
def test_a_target_without_any_value(sampler, spec):
    stats = PatternStats.from_table(tiny().without("exp", slice(None)), spec.design)
    found = sampler.draw(stats, seed=0)
    mean, error = mean_and_error(found["posterior"]["linkage_free"].to_numpy()[..., 0])
    assert abs(mean - 1.0) < 5 * error
    std = JointPosterior(found).predict(np.array([[0.0]])).std().to_numpy()[0]
    assert std[0] < 0.3 < 1.0 < std[1]


def test_one_target_alone_and_one_target_more():
    for targets in (["exp"], ["cheap", "sim", "exp"]):
        design = Design.from_bounds({"x": (-1.0, 1.0)}, targets, Polynomial(degree=1))
        model = build_model(JointGaussian(design))
        values = model.compile_logp(mode="FAST_COMPILE")(model.initial_point())
        assert np.isfinite(values)


def test_the_other_backend_agrees(spec, stats, idata):
    with_pymc = Sampler(spec, backend="pymc").draw(stats, seed=0, draws=250, tune=300, chains=2)
    assert with_pymc.attrs["backend"] == "pymc"
    names = set(idata["posterior"].data_vars)
    assert set(with_pymc["posterior"].data_vars) == names
    for name in ("log_sigma", "linkage_free", "correction_free"):
        for i in range(idata["posterior"][name].shape[-1]):
            one, error = mean_and_error(idata["posterior"][name].to_numpy()[..., i])
            two, other = mean_and_error(with_pymc["posterior"][name].to_numpy()[..., i])
            assert abs(one - two) < 5 * np.hypot(error, other), name


def test_sample_warns_when_a_check_fails(sampler, spec, stats, monkeypatch):
    monkeypatch.setattr(sampling, "Sampler", lambda spec, backend, method: sampler)
    with pytest.warns(PosteriorWarning, match="FAILED  ESS bulk, least") as caught:
        found = sample(spec, stats, seed=0, draws=20, tune=200, chains=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert found["posterior"].sizes["draw"] == 20
    assert sample(spec, stats, seed=1).attrs["seed"] == 1  # no warning: an error in these tests


def test_divergences_are_answered_by_smaller_steps(sampler, spec, stats, monkeypatch):
    asked = []

    def run(data, settings):
        asked.append(settings.accept)
        found = real(data, replace(settings, accept=0.9))
        found["sample_stats"]["diverging"][...] = settings.accept < 0.99
        return found

    real = sampler.nuts._nutpie
    monkeypatch.setattr(sampler.nuts, "_nutpie", run)
    assert sampler.draw(stats, seed=0, **QUICK).attrs["target_accept"] == 0.99
    assert asked == [0.95, 0.99]
    found = sampler.draw(stats, seed=0, target_accept=0.8, **QUICK)
    assert found.attrs["target_accept"] == 0.8
    assert found["sample_stats"]["diverging"].all()


def test_statistics_of_another_design_are_refused(sampler):
    design = Design.from_bounds({"x": (-1.0, 2.0)}, ["sim", "exp"], Polynomial(degree=1))
    with pytest.raises(StatisticsError, match="statistics of another design"):
        sampler.draw(PatternStats.from_table(tiny(), design))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"draws": 3}, "draws as a whole number of at least 4\n.*3"),
        ({"draws": 10.0}, r"10\.0"),
        ({"tune": 0}, "tune as a whole number"),
        ({"chains": 0}, "chains as a whole number of at least 1"),
        ({"chains": "4"}, "'4'"),
    ],
)
def test_numbers_that_are_no_numbers_of_draws(sampler, stats, options, word):
    with pytest.raises(SamplingError, match=word):
        sampler.draw(stats, **options)


def test_unknown_methods_and_backends(spec, stats):
    with pytest.raises(SamplingError, match="'exakt'"):
        sample(spec, stats, method="exakt")
    with pytest.raises(SamplingError, match="'stan'"):
        Sampler(spec, backend="stan")


def test_draws_go_to_netcdf_and_come_back(idata, tmp_path):
    idata.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    again = xr.load_datatree(tmp_path / "draws.nc", engine="h5netcdf")
    assert again.attrs == idata.attrs
    for group in ("posterior", "sample_stats"):
        assert set(again[group].data_vars) == set(idata[group].data_vars)
        for name, values in idata[group].data_vars.items():
            np.testing.assert_array_equal(again[group][name], values)
