"""Predictions of a posterior against the formulas of the joint Gaussian, draw by draw."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import make_idata, make_spec
from scipy.special import logsumexp
from scipy.stats import norm

import claude_pymc as cp
from claude_pymc.errors import CandidateError, Notice, SamplingError, TableError
from claude_pymc.joint import posterior as module
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

FRAME = pd.DataFrame({"x": [0.1, 0.9, 1.3, 1.9, 0.4]})


def dense(post):
    """W and Sigma of every draw, by inverses and loops."""
    posterior = post.idata["posterior"].dataset.stack(sample=("chain", "draw"))
    found = []
    for s in range(posterior.sizes["sample"]):
        one = posterior.isel(sample=s)
        inverse = np.linalg.inv(np.eye(len(post.targets)) - one["linkage"].to_numpy())
        sigma = inverse @ np.diag(one["sigma"].to_numpy() ** 2) @ inverse.T
        found.append((inverse @ one["corrections"].to_numpy(), sigma))
    return found


def powers(x, degree=3):
    """The cubic basis of `make_spec`: x on [0, 2] mapped to [-1, 1]."""
    return np.array([[(v - 1.0) ** k for k in range(degree + 1)] for v in x])


def conditional(w, sigma, phi, known):
    """Mean and covariance of all targets given the known ones of one candidate."""
    have = np.isfinite(known)
    mean = w @ phi
    gain = sigma[:, have] @ np.linalg.inv(sigma[np.ix_(have, have)])
    return mean + gain @ (known[have] - mean[have]), sigma - gain @ sigma[have]


@pytest.fixture(scope="module", params=[1, 2, 3])
def post(request):
    return JointPosterior(make_idata(make_spec(request.param), chains=2, draws=40))


@pytest.fixture(scope="module")
def pair():
    return JointPosterior(make_idata(make_spec(2), chains=2, draws=40))


def test_mean_is_w_phi_in_the_units_of_the_targets(post):
    found = post.predict(FRAME)
    expected = np.array([powers(FRAME["x"]) @ w.T for w, _ in dense(post)])
    # from_bounds with range (1, 9): location 5, scale 2.
    assert found.draws.dims == ("sample", "candidate", "target")
    np.testing.assert_allclose(found.draws, 5.0 + 2.0 * expected, rtol=1e-12)
    assert list(found.draws["target"].to_numpy()) == list(post.targets)
    assert found.units == {"exp": "eV", "x": "nm"}


def test_observation_adds_the_noise_of_sigma():
    post = JointPosterior(make_idata(make_spec(3), chains=2, draws=500))
    frame = pd.DataFrame({"x": np.linspace(0, 2, 20)})
    mean = post.predict(frame).draws.to_numpy()
    noise = (post.predict(frame, "observation", seed=1).draws.to_numpy() - mean) / 2.0
    roots = np.array([np.linalg.inv(np.linalg.cholesky(sigma)) for _, sigma in dense(post)])
    white = np.einsum("sij,snj->sni", roots, noise).reshape(-1, 3)
    error = 5 / np.sqrt(len(white))
    assert np.abs(white.mean(axis=0)).max() < error
    assert np.abs(white.T @ white / len(white) - np.eye(3)).max() < np.sqrt(2) * error


def test_seed_governs_the_noise(pair):
    draws = [pair.predict(FRAME, "observation", seed=s).draws for s in (3, 3, 4)]
    assert (draws[0] == draws[1]).all()
    assert not np.isclose(draws[0], draws[2]).any()


@pytest.mark.parametrize(
    ("d", "pattern"), [(d, p) for d in (2, 3) for p in product((False, True), repeat=d)]
)
def test_given_equals_dense_conditioning(d, pattern):
    post = JointPosterior(make_idata(make_spec(d), chains=1, draws=30))
    known = np.where(pattern, np.array([4.0, 6.5, 5.5])[:d], np.nan)
    given = {t: np.full(5, value) for t, value in zip(post.targets, known, strict=True)}
    mean = post.predict(FRAME, given=given).draws.to_numpy()
    noisy = post.predict(FRAME, "observation", given, seed=0).draws.to_numpy()
    scaled = (known - 5.0) / 2.0
    lack = ~np.array(pattern)
    for s, (w, sigma) in enumerate(dense(post)):
        for i, phi in enumerate(powers(FRAME["x"])):
            expected, cov = conditional(w, sigma, phi, scaled)
            np.testing.assert_allclose(mean[s, i], 5.0 + 2.0 * expected, rtol=1e-9)
            chi2 = (noisy[s, i] - mean[s, i])[lack] / 2.0
            chi2 = chi2 @ np.linalg.inv(cov[np.ix_(lack, lack)]) @ chi2
            assert chi2 < 40.0
    have = np.array(pattern)
    assert (noisy[:, :, have] == mean[:, :, have]).all()
    assert np.allclose(noisy[:, :, have], known[have], rtol=1e-12)
    assert (noisy[:, :, lack] != mean[:, :, lack]).all()


def test_noise_given_a_known_target_is_conditional():
    post = JointPosterior(make_idata(make_spec(2), chains=2, draws=500))
    frame = pd.DataFrame({"x": np.linspace(0, 2, 20)})
    given = {"sim": np.full(20, 5.0)}
    mean = post.predict(frame, given=given).draws.to_numpy()
    noise = (post.predict(frame, "observation", given, seed=1).draws.to_numpy() - mean) / 2.0
    # Given the cheaper target, the noise of the dear one is sigma_2 alone.
    sigma = post.idata["posterior"]["sigma"].to_numpy().reshape(-1, 2)[:, 1]
    white = (noise[:, :, 1] / sigma[:, None]).ravel()
    assert abs(np.mean(white**2) - 1.0) < 5 * np.sqrt(2 / white.size)


def test_nan_in_given_is_not_known(post):
    target = post.targets[0]
    column = np.array([np.nan, 4.0, np.nan, 6.0, np.nan])
    mixed = post.predict(FRAME, given={target: column}).draws
    free, fixed = (
        post.predict(FRAME).draws,
        post.predict(FRAME, given={target: np.full(5, 4.0)}).draws,
    )
    assert (mixed[:, [0, 2, 4]] == free[:, [0, 2, 4]]).all()
    np.testing.assert_allclose(mixed[:, 1], fixed[:, 1], rtol=1e-12)
    assert (post.predict(FRAME, given={target: np.full(5, np.nan)}).draws == free).all()


def test_to_marginalise_and_to_condition_commute():
    three = JointPosterior(make_idata(make_spec(3), chains=1, draws=30))
    linkage, sd, terms = np.zeros((1, 30, 2, 2)), np.ones((1, 30, 2)), np.zeros((1, 30, 2, 4))
    for s, (w, sigma) in enumerate(dense(three)):
        w, sigma = w[[0, 2]], sigma[np.ix_([0, 2], [0, 2])]
        c = sigma[1, 0] / sigma[0, 0]
        linkage[0, s, 1, 0] = c
        sd[0, s] = np.sqrt([sigma[0, 0], sigma[1, 1] - c * sigma[1, 0]])
        terms[0, s] = w[0], w[1] - c * w[0]
    design = Design.from_dict(
        make_spec(2, corrections={"exp": ["1", "x", "x^2", "x^3"]}).design.to_dict()
        | {"targets": ["cheap", "exp"]}
    )
    spec = JointGaussian(design)
    two = JointPosterior(make_idata(spec, chains=1, draws=30, columns=(linkage, sd, terms)), spec)
    given = {"cheap": np.array([3.0, 4.0, np.nan, 6.0, 7.0])}
    here = three.predict(FRAME, given=given).draws.sel(target=["cheap", "exp"])
    np.testing.assert_allclose(here, two.predict(FRAME, given=given).draws, rtol=1e-9)
    measured = FRAME.assign(exp=5.5)
    np.testing.assert_allclose(
        three.log_predictive_density(measured, "exp", given),
        two.log_predictive_density(measured, "exp", given),
        rtol=1e-9,
    )


def test_log_targets_come_back_positive_and_as_medians():
    post = JointPosterior(make_idata(make_spec(2, log=True), chains=2, draws=40))
    centre, scale = np.log(9.0) / 2, np.log(9.0) / 4
    expected = np.array([powers(FRAME["x"]) @ w.T for w, _ in dense(post)])
    found = post.predict(FRAME).draws
    np.testing.assert_allclose(np.log(found), centre + scale * expected, rtol=1e-10, atol=1e-12)
    given = post.predict(FRAME, given={"sim": np.full(5, 3.0)}).draws.sel(target="exp")
    for s, (w, sigma) in enumerate(dense(post)):
        known = np.array([(np.log(3.0) - centre) / scale, np.nan])
        value = conditional(w, sigma, powers([0.1])[0], known)[0][1]
        assert np.log(given[s, 0]) == pytest.approx(centre + scale * value)
    with pytest.raises(TableError, match="positive values of 'sim'"):
        post.predict(FRAME, given={"sim": np.full(5, -1.0)})


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("given", [None, {"sim": np.array([4.0, np.nan, 6.0, 5.0, np.nan])}])
def test_log_predictive_density_is_that_of_the_mixture(log, given):
    post = JointPosterior(make_idata(make_spec(2, log=log), chains=2, draws=40))
    values = np.array([4.0, 5.0, np.nan, 7.0, 8.0])
    found = post.log_predictive_density(FRAME.assign(exp=values), "exp", given)
    centre, scale = (np.log(9.0) / 2, np.log(9.0) / 4) if log else (5.0, 2.0)
    change = np.log if log else np.asarray
    for i, phi in enumerate(powers(FRAME["x"])):
        sim = np.nan if given is None else given["sim"][i]
        known = np.array([(change(sim) - centre) / scale, np.nan])
        parts = []
        for w, sigma in dense(post):
            mean, cov = conditional(w, sigma, phi, known)
            normal = norm(centre + scale * mean[1], scale * np.sqrt(cov[1, 1]))
            parts.append(normal.logpdf(change(values[i])))
        expected = logsumexp(parts) - np.log(len(parts))
        assert found[i] == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert np.isnan(found).tolist() == [False, False, True, False, False]


def test_log_predictive_density_far_out_is_finite(pair):
    density = pair.log_predictive_density(FRAME.assign(exp=1e4), "exp")
    assert np.isfinite(density).all()
    assert (density < -1e5).all()


def test_predicted_and_known_at_once_is_an_error(pair):
    frame = FRAME.assign(exp=5.0)
    with pytest.raises(CandidateError, match="both predicted and known"):
        pair.log_predictive_density(frame, "exp", {"exp": np.full(5, 4.0)})


def test_mean_std_interval_and_frame(pair):
    found = pair.predict(FRAME.set_axis(list("abcde")), "observation", seed=0)
    draws = found.draws.to_numpy()
    np.testing.assert_allclose(found.mean(), draws.mean(axis=0))
    np.testing.assert_allclose(found.std(), draws.std(axis=0, ddof=1))
    np.testing.assert_array_equal(found.median(), np.median(found.draws, axis=0))
    ends = found.interval(0.8)
    assert ends.dims == ("candidate", "target", "bound")
    np.testing.assert_allclose(ends.sel(bound="lower"), np.quantile(draws, 0.1, axis=0))
    np.testing.assert_allclose(ends.sel(bound="upper"), np.quantile(draws, 0.9, axis=0))
    frame = found.to_frame(0.8)
    assert list(frame.index) == list("abcde")
    names = ["mean", "std", "lower80", "upper80"]
    assert list(frame) == [f"{t}_{n}" for t in ("sim", "exp") for n in names]
    np.testing.assert_allclose(frame["exp_upper80"], np.quantile(draws[:, :, 1], 0.9, axis=0))
    np.testing.assert_allclose(frame["sim_std"], draws[:, :, 0].std(axis=0, ddof=1))
    for prob in (0.0, 1.0, 90):
        with pytest.raises(CandidateError, match=r"write 0\.9, not 90"):
            found.interval(prob)


def test_tables_arrays_and_frames_give_one_prediction(pair):
    y = np.full((5, 2), np.nan)
    y[1, 0] = 4.0
    table = Table(["x"], ["sim", "exp"], FRAME[["x"]], y, labels=list("abcde"))
    from_table = pair.predict(table)
    assert list(from_table.draws["candidate"].to_numpy()) == list("abcde")
    assert (from_table.draws.to_numpy() == pair.predict(FRAME).draws.to_numpy()).all()
    assert (pair.predict(FRAME.to_numpy()).draws == pair.predict(FRAME).draws).all()
    given = pair.predict(table, given=table).draws.to_numpy()
    assert (given == pair.predict(FRAME, given={"sim": y[:, 0]}).draws.to_numpy()).all()
    assert pair.predict(FRAME.iloc[:0]).draws.shape == (80, 0, 2)


def test_computed_quantities_have_names(pair):
    w, sigma = (np.array(a) for a in zip(*dense(pair), strict=True))
    assert pair.coefficients.dims == ("chain", "draw", "target", "basis")
    np.testing.assert_allclose(pair.coefficients.to_numpy().reshape(w.shape), w)
    np.testing.assert_allclose(pair.covariance.to_numpy().reshape(sigma.shape), sigma)
    assert pair.covariance.sel(target="exp", target_bis="sim").shape == (2, 40)
    assert (pair.linkage == pair.idata["posterior"]["linkage"]).all()
    assert pair.coefficients["basis"].to_numpy().tolist() == ["1", "x", "x^2", "x^3"]


def test_many_numbers_use_every_kth_draw(pair, monkeypatch):
    full = pair.predict(FRAME, "mean").draws
    monkeypatch.setattr(module, "MOST_NUMBERS", 250)  # 80 draws x 5 x 2 = 800 > 3 x 250
    with pytest.warns(Notice, match="every 4th of 80 draws"):
        thin = pair.predict(FRAME, "mean").draws
    assert thin.size <= 250
    assert (thin.to_numpy() == full[::4].to_numpy()).all()
    with pytest.warns(Notice, match="every 4th"):
        noisy = pair.predict(FRAME, "observation", seed=0).draws
    assert noisy.shape == thin.shape


def test_extrapolation_is_said_once(pair):
    pair.predict(pd.DataFrame({"x": [-1e-6, 0.0, 2.0 + 1e-6]}))  # the bounds are inside
    pair.predict(FRAME, given={"sim": np.full(5, 4.0)})
    text = "2 of 4 candidates outside the bounds of the design, farthest 'x' = -3 beyond 0 .. 2"
    frame = pd.DataFrame({"x": [1.0, 2.4, -3.0, 2.0]})
    for kind in ("mean", "observation"):
        with pytest.warns(Notice, match=text) as said:
            pair.predict(frame, kind)
        assert len(said) == 1
        assert said[0].filename == __file__
    with pytest.warns(Notice, match="1 of [12] candidates outside") as said:
        cp.propose(pair, frame[2:], cp.Maximize("exp"), pending={"sim": frame[1:2]})
    assert len(said) == 2  # of the candidates, and of the point that is being measured


def test_save_and_load(pair, tmp_path):
    pair.save(tmp_path / "draws.nc")
    again = JointPosterior.load(tmp_path / "draws.nc")
    assert again.spec == pair.spec
    assert again.idata.attrs == pair.idata.attrs
    one, two = (p.predict(FRAME, "observation", seed=0).draws for p in (pair, again))
    assert (one == two).all()


def test_errors_of_candidates(pair):
    for frame, word in (
        (FRAME.rename(columns={"x": "X"}), "without 'x'"),
        (FRAME.replace(0.9, np.nan), "none in row 1"),
        (FRAME.to_numpy()[:, [0, 0]], r"shape \(5, 2\)"),
    ):
        with pytest.raises(CandidateError, match=word):
            pair.predict(frame)
    with pytest.raises(CandidateError, match=r"pass pd.DataFrame\(...\) of it"):
        pair.predict({"x": [0.1, 0.2]})
    with pytest.raises(TableError, match="finite number in column 'x'"):
        pair.predict(FRAME.astype(object).replace(0.9, "inf"))
    with pytest.raises(CandidateError, match="inf in row 0"):
        pair.predict(np.full((1, 1), np.inf))
    with pytest.raises(CandidateError, match="'means'"):
        pair.predict(FRAME, kind="means")
    with pytest.raises(CandidateError, match="'x'"):
        pair.predict(FRAME, given={"x": 1.0})
    with pytest.raises(CandidateError, match="5 values of 'sim'"):
        pair.predict(FRAME, given={"sim": [1.0, 2.0]})
    with pytest.raises(CandidateError, match="1 infinite"):
        pair.predict(FRAME, given={"sim": [1.0, 2.0, np.inf, 3.0, np.nan]})


def test_draws_of_another_specification_are_refused(pair):
    with pytest.raises(SamplingError, match="different fits"):
        JointPosterior(pair.idata, make_spec(3))
    other = Design.from_bounds({"x": (0.0, 2.0)}, ["sim", "exp"])
    with pytest.raises(SamplingError, match="different fits"):
        JointPosterior(pair.idata, JointGaussian(other))


def test_incomplete_draws_are_refused(pair, tmp_path):
    no_group = xr.DataTree.from_dict({"prior": xr.Dataset()})
    with pytest.raises(SamplingError, match="posterior variables \\[\\]"):
        JointPosterior(no_group, pair.spec)
    no_attrs = pair.idata.copy()
    no_attrs.attrs = {}
    with pytest.raises(SamplingError, match="attributes \\[\\]"):
        JointPosterior(no_attrs)
    assert JointPosterior(no_attrs, pair.spec).spec == pair.spec
    fewer = pair.idata.copy()
    fewer["posterior"] = xr.DataTree(fewer["posterior"].to_dataset().drop_vars("sigma"))
    with pytest.raises(SamplingError, match="draws of linkage, sigma and corrections"):
        JointPosterior(fewer)
    (tmp_path / "text.nc").write_text("not draws")
    for name in ("text.nc", "absent.nc"):
        with pytest.raises(SamplingError, match=name):
            JointPosterior.load(tmp_path / name)


@pytest.mark.parametrize(("d", "log"), [(2, False), (3, False), (2, True)])
def test_mean_and_noise_are_those_of_both_predictions(d, log):
    spec = make_spec(d, log)
    post = JointPosterior(make_idata(spec, draws=2500), spec)
    x = np.linspace(0.0, 2.0, 4)[:, None]
    known = {"sim": np.array([np.nan, 3.0, np.nan, 4.0])}
    found, noise = post.mean_and_noise(x, known, seed=0)
    means = post.predict(x, given=known).draws.to_numpy()
    noisy = post.predict(x, kind="observation", given=known, seed=0).draws.to_numpy()
    np.testing.assert_array_equal(found.draws.to_numpy(), means)
    squares = np.square(noisy - means)
    error = squares.std(axis=0) / np.sqrt(len(squares))
    # Noise of a logarithm is drawn, with the seed; else it is known for each draw.
    bound = 1e-9 * noise if log else 5 * error
    assert (np.abs(noise - squares.mean(axis=0)) <= bound).all()
    assert (noise[[1, 3], -2] == 0).all()


def test_thinned_draws_are_some_of_them():
    spec = make_spec()
    post = JointPosterior(make_idata(spec), spec)
    few = post.thinned(100)
    every = post.predict([[0.5]]).draws.to_numpy()
    some = few.predict([[0.5]]).draws.to_numpy()
    assert len(some) == 100 and np.isin(some, every).all()
    assert post.thinned(5000) is post and post.thinned(1000) is post
