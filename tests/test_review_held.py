"""The room `review`, line by line: what breaks of single lines had shown no other test to see."""

import dataclasses
import re

import numpy as np
import pytest
import xarray as xr
from check_cases import LKJ_MIDDLE, design_of, fitted, healthy, simulated
from fakes import make_idata, make_spec
from scipy.stats import norm
from test_own_models import line_model

import claude_pymc as cp
from claude_pymc.joint.chained import chained
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.rows import attach_rows
from claude_pymc.review.against_prior import conflict_check, tails
from claude_pymc.review.against_rows import LeaveOneOut, leave_one_out_checks
from claude_pymc.review.diagnostics import diagnose
from claude_pymc.review.identified import _by_least_squares, noise_checks
from claude_pymc.review.used import odd_values, rests


def checks_of(pit, k=None):
    k = np.zeros_like(pit) if k is None else k
    found = leave_one_out_checks(LeaveOneOut(("exp",), pit[:, None], k[:, None], 0.7))
    return {check.name: check for check in found}


def test_values_of_a_high_k_must_be_far_themselves():
    pit, k = np.linspace(0.05, 0.95, 19), np.zeros(19)
    pit[4], k[9] = 1e-9, 0.9  # far, of a low k; of a high k, and in the middle
    check = checks_of(pit, k)["values with a high Pareto k"]
    assert check.passed and check.value.endswith("0 of them far from their prediction")
    k[4] = 0.8
    check = checks_of(pit, k)["values with a high Pareto k"]
    assert check.passed is False
    assert check.value == ("2 of 19 above 0.70, largest 0.90; 1 of them far from their prediction")


@pytest.mark.parametrize(
    ("pit", "text"),
    [
        (np.linspace(0.5, 1.0, 30), "predictions are too low more often than not"),
        (np.linspace(0.0, 0.5, 30), "predictions are too high more often than not"),
        (np.linspace(0.4, 0.6, 30), 'nearer to their prediction .* noise = "student"'),
        (np.repeat([0.01, 0.99], 15), "further from their prediction .* missing terms"),
    ],
)
def test_advice_of_the_pit_is_by_its_side_and_width(pit, text):
    check = checks_of(pit)["leave-one-out PIT, exp"]
    assert check.passed is False
    assert re.search(text, check.advice)


def test_weights_and_shares_are_those_of_loops(rng):
    """Few draws, so that the Monte Carlo corrections count; the formulas of the module, one by one.

    Cheaper values shift the mean of the dearer ones by the linkage.
    """
    post, table, _ = healthy("cubic", 1)
    post = post.thinned(40)
    chain = chained(post, table)
    size, c = len(chain.score), post.draws_of("linkage")[:, 1, 0].mean()
    mu = rng.standard_normal((size, 30))  # of nothing that the rows know
    mu[:, :10] = chain.centre[:, :10, 0] + 0.1 * mu[:, :10]
    known, times = rng.uniform(0.0, 0.2, 30), np.array([2.0, 3.0])
    found = rests(post, table, chain, mu, known, times)
    mu = mu - mu.mean(axis=0)
    for place in range(30):
        v, total, sizes = np.mean(mu[:, place] ** 2), 0.0, np.zeros(2)
        for i in range(len(table)):
            pull, doubt = np.zeros(2), np.zeros(2)
            for j in np.flatnonzero(np.isfinite(table.y[i])):
                w = 1.0 / np.mean(chain.sd[:, i, j] ** 2)
                m = chain.centre[:, i, j]
                covariance = np.mean(mu[:, place] * (m - m.mean()))
                total += times[j] * (w * covariance**2 / v - w * m.var() / size)
                pull[j], doubt[j] = w * covariance, v * m.var() * w**2 / size
            if np.isfinite(table.y[i]).all():
                pull[0] -= c * pull[1]
                doubt[0] += c**2 * doubt[1]
            sizes += times * np.sqrt(np.maximum(pull**2 - doubt, 0.0))
        weights = np.array([known[place], *sizes])
        assert found.weights[place] == pytest.approx(weights / weights.sum(), rel=1e-6)
        assert found.prior[place] == pytest.approx(np.clip(1.0 - total, 0.0, 1.0), abs=1e-9)


def test_what_no_row_knows_rests_on_the_prior(rng):
    """Pure Monte Carlo: without its correction some 100 draws say that rows explain a part."""
    post, table, _ = healthy("cubic", 1)
    post = post.thinned(40)
    chain = chained(post, table)
    mu = rng.standard_normal((len(chain.score), 300))
    found = rests(post, table, chain, mu, np.zeros(300))
    assert found.prior.mean() > 0.93


def test_values_far_from_all_others_are_said():
    x = np.arange(20.0)
    for far, count in ((100.0, 0), (400.0, 1)):  # 9 and 39 quartile distances
        x[-1] = far
        notes = odd_values(cp.Table(["x"], ["exp"], x[:, None], np.ones((20, 1))))
        told = [f"{count} values of x are far from all others, such as {far:g}"]
        assert notes == (told if count else [])


@pytest.mark.parametrize(("factor", "share", "passed"), [(0.3, 0.2, True), (0.02, 0.1, False)])
def test_noise_near_zero_is_below_a_tenth(factor, share, passed):
    idata = make_idata(make_spec(2), draws=500)
    sigma = idata["posterior"].dataset["sigma"].to_numpy()
    sigma[:, : int(500 * share), 1] *= factor
    post = JointPosterior(idata)
    check = {c.name: c for c in noise_checks(post)}["noise of exp away from zero"]
    assert check.passed is passed, str(check)
    top = np.quantile(sigma[..., 1], 0.95) * post.spec.design.scale[1]
    mass = 0.0 if passed else 100 * share
    assert check.value == (
        f"{mass:.1f} % of the draws below a tenth of its 95 % quantile ({top:.3g} eV)"
    )
    assert post.spec.design.scale[1] > 1.5  # a unit of its own


def test_a_surface_that_is_read_has_its_doubt():
    """The same rows with the simulation hidden say less: its noise and surface are in doubt."""
    rng = np.random.default_rng(3)
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)}, ["sim", "exp"], cp.Polynomial(degree=3), {"exp": ["1"]}
    )
    x = rng.uniform(size=(160, 1))
    sim = np.sin(5.0 * x[:, 0]) + 0.1 * rng.standard_normal(160)
    exp = 0.7 * sim + 0.3 + 0.05 * rng.standard_normal(160)
    y = np.column_stack([sim, exp])
    y[:40, 0], y[80:, 1] = np.nan, np.nan
    post = fitted(design, cp.Table(["x"], ["sim", "exp"], x, y))
    hidden = y[40:80].copy()
    hidden[:, 0] = np.nan
    _, sd = _by_least_squares(post, x[40:80], y[40:80])
    _, wider = _by_least_squares(post, x[40:80], hidden)
    # sd of a value: 0.05, and with 0.7 times the noise of the simulation sqrt(0.05^2 + 0.07^2)
    assert wider / sd == pytest.approx(np.hypot(0.05, 0.07) / 0.05, rel=0.15)


def test_least_squares_takes_off_what_varies():
    spec = make_spec(2, corrections={"exp": ["1"]})
    spec = cp.JointGaussian(spec.design, varying=["x"])
    size = (2, 10)
    linkage = np.zeros((*size, 2, 2))
    linkage[..., 1, 0] = 0.7
    columns = linkage, np.full((*size, 2), 0.1), np.zeros((*size, *spec.design.active.shape))
    tree = make_idata(spec, *size, columns=columns)
    slope = (("chain", "draw", "varying_term"), np.full((*size, 1), 0.4))
    tree["posterior"] = tree["posterior"].to_dataset().assign(varying=slope)
    x = np.linspace(1.0, 2.0, 20)[:, None]  # -1 .. 1 of the basis is 0 .. 2
    sim = 1.0 + x[:, 0] ** 2
    y = np.column_stack([sim, (0.7 + 0.4 * (x[:, 0] - 1.0)) * sim])
    estimate, _ = _by_least_squares(JointPosterior(tree), x, y)
    assert estimate == pytest.approx(0.7, abs=1e-3)


def test_a_conflict_is_corrected_for_the_number_of_quantities():
    spec = make_spec(2)
    columns = [np.full((4, 50, 2, 2), 0.0), np.full((4, 50, 2), spec.prior.noise)]
    columns[0][..., 1, 0] = 1.0 + 2.7 * spec.prior.linkage_sd  # 0.0069, alone a conflict
    columns.append(np.zeros((4, 50, *spec.design.active.shape)))
    post = JointPosterior(make_idata(spec, 4, 50, columns=columns))
    found, check = tails(post), conflict_check(post)
    assert len(found) == 3
    p = 2.0 * norm.sf(2.7)
    assert check.passed and p < 0.01
    assert check.value == f"linkage of exp on sim is at a tail of {p:.2g} of its prior"
    assert check.threshold.endswith(f"corrected for 3 quantities; it is {3 * p:.2g}")


def test_tails_of_the_lkj_prior_are_by_target_and_of_noise_the_upper_one():
    spec = cp.JointGaussian(design_of("three"), LKJ_MIDDLE)
    prior = cp.sample_prior(spec, draws=4000, seed=0)
    sigma = prior.draws_of("sigma").copy()
    for quantile, tail in ((0.9, 0.2), (0.001, 1.0)):
        values = prior.idata["posterior"].dataset["sigma"].to_numpy()
        values[:] = np.quantile(sigma, quantile, axis=0)
        found = tails(cp.JointPosterior(prior.idata, spec))
        for target in spec.design.targets:
            assert found[f"noise of {target}"] == pytest.approx(tail, abs=0.03)
    assert found["linkage of exp on sim"] == pytest.approx(1.0, abs=0.05)


def test_chain_of_rows_with_their_own_noise():
    """Sources and known errors of rows: those of the row, whatever rows lack the primary target."""
    design, table, _ = simulated("cubic", 0, shared=6, alone=3, cheap=4)
    order = np.random.default_rng(0).permutation(len(table))  # rows without it come first, too
    table = table.rows(order)
    n = len(table)
    primary = np.isfinite(table.y[:, 1])
    table = dataclasses.replace(
        table,
        sigma=np.where(primary, np.linspace(0.1, 2.0, n), np.nan),
        sources=tuple("ns"[i % 2] if primary[i] else "" for i in range(n)),
    )
    spec = cp.JointGaussian(design, errors=True, sources=["n", "s"])
    post = cp.sample_prior(spec, draws=40, seed=0)
    post.idata.attrs["method"] = "by hand"
    chain = chained(post, table)
    tree = attach_rows(post.idata.copy(), table)
    rows = tree["log_likelihood"]["rows"].transpose("chain", "draw", ...).to_numpy()
    assert np.allclose(chain.log_from(0), rows.reshape(-1, rows.shape[-1]))


def test_rows_drawn_from_a_large_table_keep_their_names(monkeypatch):
    """Positions in the table, of rows that were drawn: a far value is named by its own."""
    from claude_pymc.review import diagnostics

    design, table, at = simulated("cubic", 1, shared=60, alone=40, cheap=60)
    drawn = np.sort(np.random.default_rng(diagnostics.SEED).permutation(160)[:80])
    row = drawn[30]
    assert row != 30
    y = table.y.copy()
    j = int(np.isfinite(y[row, 1]))
    y[row, j] += 5.0
    table = dataclasses.replace(table, y=y)
    monkeypatch.setattr(diagnostics, "MOST_ROWS", 80)
    found = diagnose(fitted(design, table), table, candidates=at)
    assert found.standing_out[0].row == str(row)
    check = {c.name: c for c in found.checks}["furthest value, left out"]
    assert f"of row {row}, " in check.value


def test_draws_from_the_prior_have_no_rows():
    design, table, _ = simulated("cubic", 0)
    prior = cp.sample_prior(cp.JointGaussian(design), draws=400, seed=0)
    with pytest.raises(cp.SamplingError, match="draws from a posterior, where rows are given"):
        diagnose(prior, table)


def test_few_draws_do_not_check_the_model():
    post, table, at = healthy("cubic", 0)
    few = JointPosterior(post.idata.isel(draw=slice(24)), post.spec)  # 96
    found = diagnose(few, table, candidates=at)
    assert "fewer than 100 draws: the model is not checked" in found.notes
    assert found.loo is None and found.shares is None
    assert [c.name for c in found.checks if c.about == "model"] == []
    assert diagnose(post.thinned(100), table, candidates=at).loo is not None


def test_few_draws_of_another_model():
    tree = line_model(np.random.default_rng(0))
    few = tree.isel(draw=slice(24))
    found = diagnose(few)
    assert found.notes == ("fewer than 100 draws: the model is not checked",)
    assert {c.about for c in found.checks} == {"draws"}


def test_pit_of_another_model_is_high_for_high_values():
    from claude_pymc.review.own_models import _leave_one_out

    tree = line_model(np.random.default_rng(0))
    groups = {name: tree[name].dataset for name in tree.children}
    pit = _leave_one_out(groups, ["y"]).pit[:, 0]
    y = groups["observed_data"]["y"].to_numpy()
    mean = groups["posterior_predictive"]["y"].mean(("chain", "draw")).to_numpy()
    assert pit == pytest.approx(norm.cdf((y - mean) / 0.3), abs=0.12)


def test_heavy_targets_are_told_by_their_median_without_sd():
    from claude_pymc.joint.prediction import Prediction

    values = np.stack([np.arange(1.0, 6.0), np.array([1.0, 2.0, 3.0, 4.0, 1e100])], axis=1)
    coords = {"target": ["sim", "exp"]}
    array = xr.DataArray(values[:, None], coords, ("sample", "candidate", "target"))
    array = array.assign_coords(candidate=[0])
    frame = Prediction(array, "observation", {}, ("exp",)).to_frame()
    assert "exp_mean" not in frame and frame["exp_median"][0] == 3.0
    assert np.isnan(frame["exp_std"][0])
    assert frame["sim_mean"][0] == 3.0 and frame["sim_std"][0] == pytest.approx(np.sqrt(2.5))


def test_other_rows_are_said():
    post, table, at = healthy("cubic", 0)
    y = table.y.copy()
    y[0, 1] += 1.0
    for rows, text in (
        (table, "they are"),
        (dataclasses.replace(table, y=y), "the 54 rows are others"),
    ):
        found = {c.name: c for c in diagnose(post, rows, candidates=at).checks}
        assert found["rows are those of the fit"].value == text


def test_dearer_values_of_the_row_are_left_out_too(rng):
    """Score u ~ N(0, 1), density exp(-u / 2) of the dearer value: left out, u ~ N(1/2, 1)."""
    from types import SimpleNamespace

    from claude_pymc.joint.chained import Chained
    from claude_pymc.review.against_rows import largest_k, leave_one_out

    u = norm.ppf((np.arange(4000) + 0.5) / 4000)
    score = np.zeros((4000, 1, 2))
    score[:, 0, 0] = u
    density = np.zeros_like(score)
    density[:, 0, 1] = -0.5 * u
    post = SimpleNamespace(targets=("sim", "exp"))
    loo = leave_one_out(Chained(post, score, density, score, np.ones_like(score)))
    assert loo.pit[0, 0] == pytest.approx(norm.cdf(0.5 / np.sqrt(2.0)), abs=0.005)
    assert loo.pit[0, 1] == pytest.approx(0.5)
    assert loo.limit == largest_k(4000) == 0.7
    assert largest_k(100) == pytest.approx(0.5)
    assert largest_k(400) == pytest.approx(0.6157, abs=1e-4)


def test_candidates_whose_logarithm_vanishes_are_extrapolated():
    """So far outside that exp underflows: the check fails, not the program."""
    study = cp.Study.named("elements_volume")
    table = study.table()
    post = fitted(study.spec(table).design, table)
    found = diagnose(post, table, candidates=[[1.5, 9.0], [1.5, 1.2]])
    check = {c.name: c for c in found.checks}["extrapolation, candidates"]
    assert check.passed is False and check.value.startswith("1 of 2")


def test_noise_of_a_logarithm_is_a_factor():
    post = JointPosterior(make_idata(make_spec(2, log=True), draws=500))
    check = {c.name: c for c in noise_checks(post)}["noise of exp away from zero"]
    top = np.quantile(post.draws_of("sigma")[:, 1], 0.95) * post.spec.design.scale[1]
    assert check.value.endswith(f"(a factor of {np.exp(top):.3g})")
