"""The figures behind the checks, beside loops, closed forms and simulated replicates."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from check_cases import fitted, healthy, simulated
from scipy.stats import norm

import claude_pymc as cp
from claude_pymc.joint.chained import chained
from claude_pymc.joint.density import log_prior as dense_log_prior
from claude_pymc.joint.rows import attach_rows
from claude_pymc.joint.scales import scales_of
from claude_pymc.review.against_prior import SENSITIVE, log_prior, sensitivity, tails
from claude_pymc.review.against_rows import (
    LeaveOneOut,
    _p_values,
    p_check,
    pattern_checks,
)
from claude_pymc.review.diagnostics import diagnose
from claude_pymc.review.identified import _by_least_squares
from claude_pymc.review.judged import plot_pit, plot_shares
from claude_pymc.review.style import alt_text
from claude_pymc.review.used import beyond, odd_values

DRAWS, REPLICATES = 200, 400


@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (0.4, 1.3), (-0.5, 0.7)])
def test_p_values_are_those_of_replicates(shift, factor, rng):
    """Replicated scores of every draw, compared one by one with the observed ones."""
    n, m = 7, 12
    z = shift + factor * rng.standard_normal((DRAWS, n))
    others = rng.standard_normal((DRAWS, m))
    found = _p_values(z, others)
    above = dict.fromkeys(found, 0.0)
    for s in range(DRAWS):
        rep, rest = rng.standard_normal((REPLICATES, n)), rng.standard_normal((REPLICATES, m))
        square, other = np.square(z[s]).mean(), np.square(others[s]).mean()
        above["mean"] += (rep.mean(axis=1) > z[s].mean()).mean()
        above["spread"] += (np.square(rep).mean(axis=1) > square).mean()
        apart = rep.mean(axis=1) - rest.mean(axis=1)
        above["mean beside other rows"] += (apart > z[s].mean() - others[s].mean()).mean()
        ratio = np.square(rep).mean(axis=1) / np.square(rest).mean(axis=1)
        above["spread beside other rows"] += (ratio > square / other).mean()
    assert set(found) == set(above)
    for kind, total in above.items():
        p = 2.0 * min(total / DRAWS, 1.0 - total / DRAWS)
        assert found[kind] == pytest.approx(p, abs=4.0 / np.sqrt(DRAWS * REPLICATES)), kind


def test_a_p_value_is_multiplied_by_the_number_of_tests():
    check = p_check({("exp", "mean"): 0.004, ("exp", "spread"): 0.5}, "3 rows with exp", 2)
    assert check.passed is False and check.value == "0.008 (mean of exp)"
    assert p_check({("exp", "mean"): 0.004}, "3 rows", 3).passed
    assert p_check({("exp", "mean"): 0.7}, "3 rows", 9).value.startswith("1 ")


def test_patterns_are_counted_over_the_table():
    post, table, _ = healthy("three", 0)
    checks = pattern_checks(chained(post, table))
    assert [check.name for check in checks] == [
        "predictive p-value, 8 rows with exp",
        "predictive p-value, 30 rows with cheap and sim",
        "predictive p-value, 16 rows with cheap and sim and exp",
    ]
    assert {check.threshold for check in checks} == {"at least 0.01, corrected for 18 tests"}


def test_values_that_stand_out_are_named_with_their_rows():
    design, table, at = simulated("cubic", 2)
    y = table.y.copy()
    y[5, 1] += 3.0
    labels = tuple(f"S{i}" for i in range(len(table)))
    bare = cp.Table(design.descriptors, design.targets, table.x[:3], np.full((3, 2), np.nan), "abc")
    rows = dataclasses.replace(table, y=y, labels=labels)
    found = diagnose(fitted(design, rows), bare + rows, candidates=at)
    tails_of = [one.tail for one in found.standing_out]
    assert (found.standing_out[0].row, found.standing_out[0].target) == ("S5", "exp")
    assert tails_of == sorted(tails_of) and len(tails_of) == 10
    bare = dataclasses.replace(bare, labels=())
    nameless = dataclasses.replace(rows, labels=())
    found = diagnose(fitted(design, rows), bare + nameless, candidates=at)
    assert found.standing_out[0].row == "8"


@pytest.mark.parametrize("kind", ["cubic", "process"])
def test_shares_do_not_depend_on_the_number_of_draws(kind):
    """Ten times 600 draws, on average, beside 16000: few draws scatter, and are not off."""
    design, table, at = simulated(kind, 4)
    spec = cp.JointGaussian(design)
    stats = cp.PatternStats.from_table(table, design)

    def shares(draws, seed):
        post = cp.JointPosterior(cp.sample(spec, stats, draws=draws, seed=seed))
        return diagnose(post, table, candidates=at).shares.to_numpy().mean(axis=0)

    many = shares(4000, 0)
    few = np.array([shares(150, seed) for seed in range(1, 11)])
    error = few.std(axis=0, ddof=1) / np.sqrt(len(few))
    assert few.mean(axis=0) == pytest.approx(many, abs=4 * error.max() + 0.01)
    assert error.max() < 0.02


def test_units_change_nothing():
    """The same study in other units: the same figures, place by place."""
    design, table, at = simulated("cubic", 5)
    post = fitted(design, table)
    first = diagnose(post, table, candidates=at)
    other = dataclasses.replace(design, location=(50.0, 50.0), scale=(1000.0, 1000.0))
    large = dataclasses.replace(table, y=50.0 + 1000.0 * table.y)
    second = diagnose(fitted(other, large), large, candidates=at)
    assert np.allclose(first.shares, second.shares, atol=1e-6)
    assert np.allclose(first.loo.pit, second.loo.pit, atol=1e-6, equal_nan=True)
    names = [c.name for c in first.checks]
    for one, two in zip(first.checks, second.checks, strict=True):
        assert one.passed == two.passed
        if one.about in ("model", "prior"):
            assert one.value == two.value
    assert "noise of exp away from zero" in names


def test_logarithms_are_predicted_as_logarithms():
    design, table, at = simulated("cubic", 5)
    first = diagnose(fitted(design, table), table, candidates=at)
    logs = dataclasses.replace(design, transforms=("log", "log"))
    powers = dataclasses.replace(table, y=np.exp(table.y))
    second = diagnose(fitted(logs, powers), powers, candidates=at)
    assert np.allclose(first.shares, second.shares, atol=1e-6)


def test_tails_are_those_of_the_normal_prior():
    post, _, _ = healthy("cubic", 0)
    found = tails(post)
    prior = post.spec.prior
    c = np.median(post.draws_of("linkage")[:, 1, 0])
    sigma = np.median(np.log(post.draws_of("sigma")[:, 0] - 1e-5))
    expected = 2.0 * norm.sf(abs(c - 1.0) / prior.linkage_sd)
    assert found["linkage of exp on sim"] == pytest.approx(expected)
    above = (sigma - np.log(prior.noise)) / prior.noise_log_sd
    assert found["noise of sim"] == pytest.approx(2.0 * norm.sf(max(above, 0.0)))
    scale = np.median(np.log(post.idata["posterior"]["scale"].to_numpy().reshape(4000, -1)), axis=0)
    name = f"scale of {scales_of(post.spec).groups[0]}"
    z = (scale[0] - np.log(prior.scale)) / prior.scale_log_sd
    assert found[name] == pytest.approx(2.0 * norm.sf(abs(z)))


@pytest.mark.parametrize("kind", ["cubic", "three", "process", "lkj"])
def test_log_prior_is_that_of_the_model(kind):
    """Up to a constant, and with the constants of R beside the closed form."""
    post, _, _ = healthy(kind, 0)
    spec, found = post.spec, log_prior(post)
    posterior, at = post.idata["posterior"].dataset, np.arange(0, 4000, 400)
    sigma, linkage = post.draws_of("sigma"), post.draws_of("linkage")
    corrections, scales = post.draws_of("corrections"), scales_of(spec)
    wanted = []
    for s in at:
        hyper = np.zeros(0)
        if scales is not None:
            parts = [
                posterior[n].to_numpy().reshape(4000, -1)[s] if n in posterior else np.zeros(0)
                for n in ("scale", "length")
            ]
            hyper = scales.joined(*parts)
        log_sigma = np.log(sigma[s] - (1e-5 if kind != "lkj" else 0.0))
        value = dense_log_prior(spec, linkage[s], log_sigma, hyper)[0]
        for j, b in spec.columns.entries:
            if kind == "lkj":
                value += norm.logpdf(corrections[s, j, b], 0.0, 10.0 * sigma[s, j])
            elif spec.columns.terms[b] == "1":
                value += norm.logpdf(corrections[s, j, b], 0.0, 5.0)
        wanted.append(value)
    differences = found[at] - np.array(wanted)
    assert np.ptp(differences) < 1e-6 * max(1.0, np.abs(found[at]).max())


def test_sensitivity_of_a_prior_that_says_everything(rng):
    """Posterior = prior: doubling its power moves the draws; a flat one moves nothing."""
    theta = rng.standard_normal((4000, 1)) + 1.0
    assert sensitivity(-0.5 * theta[:, 0] ** 2, theta)[0] > 3 * SENSITIVE
    assert sensitivity(1e-9 * rng.standard_normal(4000), theta)[0] < 0.1 * SENSITIVE


@pytest.mark.parametrize(
    "options",
    [{"noise": "student"}, {"varying": ["x"]}, {"varying": ["x"], "noise": "student"}],
)
def test_chain_of_rows_one_by_one(options):
    """Density of a row = product of the chain; with rows of any pattern, and other noises."""
    design, table, _ = simulated("cubic", 0, shared=6, alone=3, cheap=4)
    post = cp.sample_prior(cp.JointGaussian(design, **options), draws=40, seed=0)
    post.idata.attrs["method"] = "by hand"
    chain = chained(post, table)
    tree = attach_rows(post.idata.copy(), table)
    rows = tree["log_likelihood"]["rows"].transpose("chain", "draw", ...).to_numpy()
    assert np.allclose(chain.log_from(0), rows.reshape(-1, rows.shape[-1]))
    mean = post.predict(table, given={"sim": table.y[:, 0]}).draws.to_numpy()
    primary = np.isfinite(table.y[:, 1])
    assert np.allclose(chain.centre[:, primary, 1], mean[:, primary, 1])
    scale = post.draws_of("sigma")[:, 1, None]
    shared = np.isfinite(table.y).all(axis=1)
    residual = table.y[shared, 1] - chain.centre[:, shared, 1]
    expected = np.broadcast_to(scale, residual.shape)
    if "noise" in options:
        nu = post.draws_of("freedom")[:, None]
        expected = np.sqrt((nu * scale**2 + residual**2) / (nu + 1.0))
    assert np.allclose(chain.sd[:, shared, 1], expected)


def test_least_squares_finds_the_linkage_in_either_kind_of_row():
    rng = np.random.default_rng(3)
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)}, ["sim", "exp"], cp.Polynomial(degree=3), {"exp": ["1"]}
    )
    x = rng.uniform(size=(160, 1))
    curve = np.sin(5.0 * x[:, 0])
    sim = curve + 0.1 * rng.standard_normal(160)
    exp = 0.7 * sim + 0.3 + 0.05 * rng.standard_normal(160)
    y = np.column_stack([sim, exp])
    y[:40, 0], y[80:, 1] = np.nan, np.nan
    table = cp.Table(["x"], ["sim", "exp"], x, y)
    post = fitted(design, table)
    for rows in (slice(40, 80), slice(0, 40)):
        estimate, sd = _by_least_squares(post, x[rows], y[rows])
        assert abs(estimate - 0.7) < 4 * sd and sd < 0.2


def test_beyond_knows_categories_and_leverage():
    x = np.linspace(0, 1, 9)
    rows = np.column_stack([x, x + 0.02 * (np.arange(9) % 2)])
    at = np.array([[0.5, 0.5], [0.5, 0.9], [1.2, 1.0], [np.nan, 0.5]])
    assert beyond(rows, at, [False, False]).tolist() == [False, True, True, False]
    kinds = np.array([[0.0, 0.0], [1.0, 1.0]])
    wanted = np.array([[0.5, 2.0], [0.5, 1.0]])
    assert beyond(kinds, wanted, [False, True]).tolist() == [True, False]


def test_odd_values_are_said():
    x, y = np.arange(10.0)[:, None], np.ones((10, 1))
    y[:4] = 0.0
    labels = tuple("abcdefghij")
    assert odd_values(cp.Table(["x"], ["exp"], x, y, labels)) == [
        "4 of 10 values of exp are exactly zero: a cell is left empty where nothing was measured"
    ]
    twice = cp.Table(["x"], ["exp"], np.vstack([x, x[4:5]]), np.vstack([y, y[4:5]]), (*labels, "a"))
    assert len(odd_values(twice)) == 3


def test_large_tables_are_checked_in_part(monkeypatch):
    from claude_pymc.review import diagnostics

    design, table, at = simulated("cubic", 1, shared=60, alone=40, cheap=60)
    post = fitted(design, table)
    whole = diagnose(post, table, candidates=at)
    monkeypatch.setattr(diagnostics, "MOST_ROWS", 80)
    part = diagnose(post, table, candidates=at)
    assert any("80 of 160 rows" in note for note in part.notes)
    assert np.isfinite(part.loo.pit).any(axis=1).sum() == 80
    assert np.abs(whole.shares - part.shares).mean(axis=0).max() < 0.12


def test_picture_of_pit_is_below_then_above_for_wide_intervals():
    pit = np.clip(0.5 + 0.12 * np.random.default_rng(0).standard_normal((80, 1)), 0, 1)
    loo = LeaveOneOut(("exp",), pit, np.zeros_like(pit), 0.7)
    figure = plot_pit(loo)
    x, curve = figure.axes[0].lines[0].get_data()
    assert curve[np.searchsorted(x, 0.3)] < -0.1 and curve[np.searchsorted(x, 0.7)] > 0.1
    assert alt_text(figure).endswith("exp (80 values) leaves the band.")


def test_picture_of_shares_has_bars_and_dots_of_the_frame():
    frame = pd.DataFrame(
        {
            "values known there": [0.2, 0.1, 0.0],
            "rows of sim": [0.5, 0.3, 0.6],
            "rows of exp": [0.3, 0.6, 0.4],
            "prior": [0.1, 0.9, 0.4],
        },
        index=["a", "b", "c"],
    )
    figure = plot_shares(frame)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "c", "a"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the largest on top
    widths = [[patch.get_width() for patch in bars] for bars in axes.containers]
    assert np.allclose(widths, [[10, 0, 20], [30, 60, 50], [60, 40, 30]])
    assert axes.lines[0].get_xdata() == pytest.approx([90, 40, 10])
    assert "most for b with 90 %" in alt_text(figure)


@pytest.mark.parametrize("wrong", [None, pd.DataFrame({"a": [1]})])
def test_pictures_say_what_they_need(wrong):
    with pytest.raises(cp.SamplingError, match=r"diagnose\(post, table\)\.shares"):
        plot_shares(wrong)
    with pytest.raises(cp.SamplingError, match=r"diagnose\(post, table\)\.loo"):
        plot_pit(wrong)


def test_normal_draws_of_the_default_have_no_degrees_of_freedom():
    """Structures with normal noise are kept as a million degrees: of no prior."""
    _, table, at = simulated("cubic", 0, shared=16, alone=0, cheap=20)
    post = cp.fit(table, seed=0)
    found = diagnose(post, table, candidates=at)
    assert not [c for c in found.failed if c.about == "prior"], str(found)


@pytest.mark.parametrize("rows", [1500, 1600])
def test_thinned_draws_are_the_same_everywhere(rows):
    design, table, at = simulated("cubic", 0, shared=rows, alone=0, cheap=0)
    assert diagnose(fitted(design, table), table, candidates=at).sampled


def test_simulations_without_noise_are_said_and_not_judged():
    design, table, at = simulated("cubic", 3)
    spec = cp.JointGaussian(design)
    y = table.y.copy()
    x = table.x[:, 0]
    y[:, 0] = np.where(np.isnan(y[:, 0]), np.nan, 0.5 + x - x**2)
    exact = dataclasses.replace(table, y=y)
    stats = cp.PatternStats.from_table(exact, design)
    found = diagnose(cp.JointPosterior(cp.sample(spec, stats, seed=0)), exact, candidates=at)
    assert "noise of sim: its values have none to speak of" in str(found)
    assert not any("sim" in c.name and c.about == "model" for c in found.failed)
    assert not [c for c in found.failed if c.name == "prior-data conflict"]


def test_places_beyond_the_reach_of_a_kernel_count_as_extrapolation():
    post, table, _ = healthy("process", 0)
    found = diagnose(post, table, candidates=np.array([[0.5], [9.0]]))
    check = {c.name: c for c in found.checks}["extrapolation, candidates"]
    assert check.value.startswith("1 of 2") and len(found.shares) == 1
    with pytest.raises(cp.CandidateError, match="within the reach of the basis"):
        diagnose(post, table, candidates=np.array([[9.0]]))
