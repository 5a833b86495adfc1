"""What a statistician found in proposals, mended."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import claude_pymc as cp
from claude_pymc.acquisition import propose as proposing
from claude_pymc.acquisition import shortlist
from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.functions import log_expected_improvement
from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach, Within
from claude_pymc.acquisition.picker import Aim, Picker
from claude_pymc.acquisition.propose import propose
from claude_pymc.acquisition.rules import RULES
from claude_pymc.errors import CandidateError
from claude_pymc.joint.averaged_prediction import AveragedPosterior
from claude_pymc.joint.prediction import (
    Prediction,
    bounded_around,
    quartile_std,
    variance_around,
)


class Normal:
    """Independent normal targets: mean and sd by candidate, for each target; noise of sd 0.01."""

    descriptors, units = ("x",), {}

    def __init__(self, samples=1000, **targets):
        self.targets, self.moments, self.samples = tuple(targets), targets, samples

    def predict(self, frame, kind="mean", given=None, seed=None):
        at = frame["x"].to_numpy().astype(int)
        rng = np.random.default_rng(7)
        values = np.empty((self.samples, len(at), len(self.targets)))
        for j, target in enumerate(self.targets):
            mean, sd = (np.asarray(v, dtype=float) for v in self.moments[target])
            z = rng.standard_normal((self.samples, len(mean)))
            values[:, :, j] = mean[at] + sd[at] * z[:, at]
        if kind == "observation":
            values += 0.01 * np.random.default_rng(seed).standard_normal(values.shape)
        known = np.column_stack([np.asarray((given or {}).get(t, np.full(len(at), np.nan)),
                                            dtype=float) for t in self.targets])  # fmt: skip
        values = np.where(np.isfinite(known), known, values)
        coords = {"target": list(self.targets)}
        array = xr.DataArray(values, dims=("sample", "candidate", "target"), coords=coords)
        return Prediction(array, kind, {})


def pool(n):
    return pd.DataFrame({"x": np.arange(n, dtype=float)})


def test_what_no_draw_improves_comes_after_what_some_do(rng):
    """Near to the wanted value already: a wide candidate far off has a closed form, no draw."""
    wide, narrow = rng.normal(9.0, 3.0, 400), rng.normal(1.5, 0.005, 400)
    wide[np.abs(wide - 1.5) < 0.01] += 1.0
    utility = Reach("y", 1.5).utility(np.column_stack([wide, narrow]))
    low, high = log_expected_improvement(utility, -0.002)
    assert low < high
    post = Normal(exp=([9.27, 1.5, 0.0], [10.0, 0.005, 1.0]))
    past = pd.DataFrame({"x": [2.0], "exp": [1.502]})
    assert propose(post, pool(3), Reach("exp", 1.5), observed=past)["candidate"][0] == 1


def test_the_incumbent_is_feasible_where_nothing_was_measured():
    post = Normal(sim=([0.0, 0.0, 9.0], [0.1] * 3), exp=([1.0, 2.0, 50.0], [0.1] * 3))
    found = propose(post, pool(3), Maximize("exp"), constraints=[Within("sim", high=1.0)])
    assert found.attrs["incumbent"] == pytest.approx(2.0, abs=0.02)
    assert found["candidate"][0] == 1
    past = pd.DataFrame({"x": [2.0], "exp": [50.0], "sim": [9.0]})
    options = {"observed": past, "constraints": [Within("sim", high=1.0)]}
    again = propose(post, pool(3), Maximize("exp"), **options)
    assert "as nothing feasible was measured" in again.attrs["incumbent_from"]


@pytest.mark.parametrize(
    "rule", sorted(set(RULES) - {"variance", "std", "covariance", "reduction"})
)
def test_every_rule_that_searches_keeps_a_learned_constraint(rule):
    post = Normal(sim=([0.0, 9.0, 0.0], [0.1] * 3), exp=([1.0, 5.0, 0.0], [0.5, 1.0, 0.5]))
    limits = [Within("sim", high=1.0)]
    found = propose(post, pool(3), Maximize("exp"), rules={"exp": rule}, constraints=limits, seed=3)
    assert found["candidate"][0] != 1


def test_a_shortlist_keeps_the_constraints_and_replicates(monkeypatch):
    n = 3000
    mean = np.where(np.arange(n) < 900, 20.0, 0.0) + 1e-4 * np.arange(n)
    mean[1500] = 5.0
    sim = np.where(np.arange(n) < 900, 9.0, 0.0)
    post = Normal(200, sim=(sim, np.full(n, 0.1)), exp=(mean, np.full(n, 0.1)))
    monkeypatch.setattr(proposing, "LARGE", 1000)
    monkeypatch.setattr(shortlist, "KEPT", 50)
    monkeypatch.setattr(shortlist, "CHUNK", 500)
    limits = [Within("sim", high=1.0)]
    assert propose(post, pool(n), Maximize("exp"), constraints=limits)["candidate"][0] == 1500
    past = pd.DataFrame({"x": np.arange(n, dtype=float), "exp": mean})
    options = {"observed": past, "replicate": True, "rules": {"exp": "ucb"}}
    assert propose(post, pool(n), Maximize("exp"), **options)["candidate"][0] < 900


def test_a_shortlist_is_not_filled_by_candidates_that_break_a_constraint(monkeypatch):
    """All others would improve more, and hardly ever keep it; 1500 does in 43 % of the draws."""
    n = 3000
    mean, sim = np.full(n, 20.0), np.full(n, 14.0)
    mean[1500], sim[1500] = 5.0, 1.5
    post = Normal(200, sim=(sim, np.full(n, 3.0)), exp=(mean, np.full(n, 0.1)))
    monkeypatch.setattr(proposing, "LARGE", 1000)
    monkeypatch.setattr(shortlist, "KEPT", 5)
    monkeypatch.setattr(shortlist, "CHUNK", 500)
    past = pd.DataFrame({"x": [0.0], "exp": [4.0], "sim": [0.0]})
    options = {"observed": past, "constraints": [Within("sim", high=1.0)]}
    assert propose(post, pool(n), Maximize("exp"), **options)["candidate"][0] == 1500


def test_whether_an_improvement_is_likely_is_asked_before_the_batch():
    post = Normal(exp=([0.0, 5.0], [0.0, 1.0]))
    past = pd.DataFrame({"x": [0.0], "exp": [0.0]})
    found = propose(post, pool(2), Maximize("exp"), observed=past)
    assert found.attrs["improvement_likely"]
    worse = propose(Normal(exp=([0.0, -9.0], [0.0, 1.0])), pool(2), Maximize("exp"), observed=past)
    assert not worse.attrs["improvement_likely"]


def test_a_value_to_reach_before_anything_is_measured():
    post = Normal(exp=([1.5, 1.6], [20.0, 0.05]))
    found = propose(post, pool(2), Reach("exp", 1.5))
    assert found.attrs["incumbent"] == pytest.approx(-0.1, abs=0.01)


def test_what_belongs_to_candidates_can_be_learned():
    """The simulation tells nearly all of each compound's own value: it is worth its cost."""
    rng = np.random.default_rng(0)

    class Compounds(Normal):
        def predict(self, frame, kind="mean", given=None, seed=None):
            found = super().predict(frame, kind, given, seed)
            own = np.random.default_rng(9).standard_normal((self.samples, 8))
            at = frame["x"].to_numpy().astype(int)
            values = found.draws.to_numpy()
            values[:, :, 0] += own[:, at]
            if kind == "observation":
                values[:, :, 1] += own[:, at]
            return found

    post = Compounds(2000, sim=([0.0] * 8, [0.05] * 8), exp=([0.0] * 8, [0.05] * 8))
    found = propose(
        post, pool(8), Maximize("exp"), kind="observation", costs={"exp": 5.0, "sim": 1.0},
        budget=5.0, seed=int(rng.integers(9)),
    )  # fmt: skip
    assert found["target"].tolist() == ["sim"] * 5
    value = found.attrs["value"].set_index("target")["value"]
    assert value["sim"] > 0.8 and value["sim"] > 2 * value["exp"]


def test_two_objectives_and_what_is_measured_already():
    post = Normal(one=([0.0, 1.0], [1.0, 1.0]), two=([0.0, 1.0], [1.0, 1.0]))
    aims = [Maximize("one"), Minimize("two")]
    past = pd.DataFrame({"x": [0.0, 1.0], "one": [0.5, np.nan], "two": [0.5, 0.4]})
    found = propose(post, pool(2), aims, {"one": 1, "two": 1}, observed=past)
    assert found["target"].tolist() == ["one"] and found["candidate"].tolist() == [1]
    with pytest.raises(CandidateError, match="one objective, for a budget"):
        propose(post, pool(2), aims, costs={"one": 1.0}, budget=3.0)


def test_noise_in_a_box_is_not_that_of_the_points_before():
    post = Normal(exp=(np.zeros(40), np.zeros(40)))
    here = Candidates.read(pool(20), ("x",), ["exp"])
    there = Candidates.read(pool(40).tail(20), ("x",), ["exp"])
    picker = Picker(post, here, here, Aim((Maximize("exp"),), kind="observation"), 0)
    picker.extend(there)
    noise = picker.plain[:, :, 0]
    for k in range(20):
        assert abs(np.corrcoef(noise[:, k], noise[:, 20 + k])[0, 1]) < 0.2


class HeavyTails(Normal):
    """The same, the noise of the primary target being Student-t of one degree of freedom."""

    def predict(self, frame, kind="mean", given=None, seed=None):
        found = super().predict(frame, "mean", given, seed)
        if kind == "mean":
            return found
        noise = np.random.default_rng(seed).standard_t(1, found.draws.shape[:2])
        found.draws[:, :, -1] += 0.1 * noise
        return Prediction(found.draws, kind, {}, self.targets[-1:])


def test_noise_without_a_variance_has_one_by_its_quartiles():
    post = HeavyTails(20_000, sim=(np.zeros(3), np.ones(3)), exp=(np.zeros(3), np.ones(3)))
    noisy, mean = (post.predict(pool(3), kind, seed=1) for kind in ("observation", "mean"))
    found = variance_around(noisy, mean.draws.to_numpy())
    assert (found[:, 0] == 0.0).all()
    # Quartiles of Cauchy noise lie at its scale, those of a normal one at 0.6745 sd; the standard
    # error of a quartile of 20000 draws is 0.0022 there.
    assert np.sqrt(found[:, 1]) == pytest.approx(0.1 / 0.6745, abs=4 * 0.0022)
    here = Candidates.read(pool(3), ("x",), ["sim", "exp"])
    picker = Picker(post, here, here, Aim((Maximize("exp"),)), 0)
    assert np.sqrt(picker.noise[:, 1]) == pytest.approx(0.1 / 0.6745, abs=4 * 0.0022)


def heavy(n=5, samples=2000):
    return HeavyTails(samples, sim=(np.arange(n), np.ones(n)), exp=(np.arange(n), np.ones(n)))


def test_observations_without_a_mean_are_cut_far_from_it():
    noisy, mean = (heavy().predict(pool(5), kind, seed=1) for kind in ("observation", "mean"))
    values, means = bounded_around(noisy, mean.draws.to_numpy()), mean.draws.to_numpy()
    off, before = (v[..., 1] - means[..., 1] for v in (values, noisy.draws.to_numpy()))
    limit = 4 * quartile_std(before)
    far = np.abs(before) > limit
    assert far.mean() == pytest.approx(2 / np.pi * np.arctan(0.6745 / 4), abs=4 * 0.0034)
    np.testing.assert_allclose(np.abs(off)[far], np.broadcast_to(limit, off.shape)[far])
    np.testing.assert_allclose(off[~far], before[~far])
    np.testing.assert_array_equal(values[..., 0], noisy.draws.to_numpy()[..., 0])


RULES_OF_BOTH = [
    (Maximize("exp"), {"exp": "log_ei", "sim": "ucb"}),
    (Minimize("exp"), {"exp": "ei", "sim": "reduction"}),
    (Reach("exp", 1.0), {"exp": "log_ei", "sim": "maximizers"}),
    (Maximize("exp"), {"exp": "std", "sim": "covariance"}),
    (Maximize("exp"), {"exp": "entropy", "sim": "std"}),
]


@pytest.mark.parametrize(("objective", "rules"), RULES_OF_BOTH)
def test_scores_of_observations_without_moments_do_not_hang_on_one_draw(objective, rules):
    scores = []
    for seed in range(6):
        wants, more = {"exp": 1, "sim": 1}, {"rules": rules, "seed": seed, "incumbent": "posterior"}
        found = propose(heavy(), pool(5), objective, wants, kind="observation", **more)
        scores.append(found["score"])
    # The standard error of a mean of 2000 draws of sd one, within which a new seed of the noise
    # moves all of these; a raw draw would move them by powers of ten.
    assert (np.ptp(scores, axis=0) < 4 / np.sqrt(2000)).all()


def test_an_observation_without_moments_teaches_about_other_places():
    """sim is the mean of exp, one value for all places: measuring exp tells it nearly."""

    class One(HeavyTails):
        def predict(self, frame, kind="mean", given=None, seed=None):
            found = super().predict(frame, kind, given, seed)
            draws = found.draws.to_numpy()
            z = np.random.default_rng(5).standard_normal((len(draws), 1))
            noise = draws[..., 1] if kind == "observation" else 0.0 * draws[..., 1]
            draws[..., 0], draws[..., 1] = z, z + noise
            return found

    post = One(2000, sim=(np.zeros(4), np.zeros(4)), exp=(np.zeros(4), np.zeros(4)))
    here = Candidates.read(pool(4), ("x",), ["sim", "exp"])
    picker = Picker(post, here, here, Aim((Maximize("exp"),), kind="observation"), 0)
    picker.commit("exp", 0)
    # The mean has sd 1. Noise of scale s = 0.1 cut at L = 4 s / 0.6745 has the variance below, and
    # regression on the sum leaves v / (1 + v); 0.008 is the standard error of the root of that.
    s, limit = 0.1, 4 * 0.1 / 0.6745
    tail = 1 - 2 / np.pi * np.arctan(limit / s)
    v = 2 * s / np.pi * (limit - s * np.arctan(limit / s)) + limit**2 * tail
    assert picker.draws[:, 1, 0].std() == pytest.approx(np.sqrt(v / (1 + v)), abs=4 * 0.008)


def test_a_budget_of_observations_without_moments_has_a_value():
    costs = {"costs": {"exp": 3.0, "sim": 1.0}, "budget": 3.0, "rules": {"exp": "pi", "sim": "std"}}
    values = []
    for seed in range(6):
        found = propose(heavy(), pool(5), Maximize("exp"), kind="observation", seed=seed, **costs)
        values.append(found.attrs["value"].set_index("target").loc["exp", ["value", "se"]])
    value, se = np.array(values, dtype=float).T
    assert (se < 0.02).all() and (np.abs(value - value.mean()) < 4 * se).all()


def test_a_measured_row_without_its_simulation_among_the_candidates(rng):
    """Student-t noise is followed forwards alone: what was measured there is not told."""
    x = rng.uniform(0, 1, 30)
    sim = 2 + np.sin(3 * x) + rng.normal(0, 0.03, 30)
    frame = pd.DataFrame({"x": x, "sim": sim, "exp": 1.1 * sim + rng.normal(0, 0.05, 30)})
    frame.loc[15:, "exp"] = np.nan
    frame.loc[3, "sim"] = np.nan
    table = cp.Table.from_frame(frame, ["x"], ["sim", "exp"])
    design = cp.Design.from_table(table, cp.Polynomial(degree=2), {"exp": ["1"]})
    stats = cp.PatternStats.from_table(table, design, rows=True)
    spec = cp.JointGaussian(design, noise="student")
    post = cp.JointPosterior(cp.sample(spec, stats, seed=0, method="exact"))
    for incumbent, more in (("draws", {}), ("posterior", {}), ("posterior", {"replicate": True})):
        more |= {"observed": table, "incumbent": incumbent}
        assert len(propose(post, table, Maximize("sim"), {"sim": 1}, **more)) == 1
    for kind in ("mean", "observation"):
        wants = {"exp": 2, "sim": 1}
        found = propose(post, table, Maximize("exp"), wants, observed=table, kind=kind)
        assert found["candidate"].tolist()[2] == 3  # the only one that was not simulated
        assert set(found["candidate"][:2]) <= set(range(15, 30))


def test_an_average_infers_backwards_where_all_of_its_parts_do():
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    plain, student = (
        cp.sample_prior(cp.JointGaussian(design, noise=noise), draws=8, seed=0)
        for noise in ("normal", "student")
    )
    for parts, expected in (([plain], False), ([plain, student], True), ([student], True)):
        named = dict(enumerate(parts))
        assert AveragedPosterior(named, (1 / len(parts),) * len(parts)).forwards_only == expected
