"""Constraints, several objectives, budgets, spaces, replicates and large pools."""

import numpy as np
import pandas as pd
import pytest
from fakes import FakePredictive

from claude_pymc.acquisition import picker, shortlist
from claude_pymc.acquisition import propose as proposing
from claude_pymc.acquisition.functions import (
    expected_improvement,
    probability_of_maximum,
    thompson,
)
from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach, Within
from claude_pymc.acquisition.propose import propose
from claude_pymc.acquisition.rules import RULES
from claude_pymc.acquisition.spaces import Box, Simplex, mesh
from claude_pymc.errors import CandidateError
from claude_pymc.joint.prediction import Prediction

POOL = mesh(x=np.linspace(-1, 1, 21))
UP = Maximize("exp")


@pytest.fixture
def post():
    return FakePredictive()


def draws_of(post, pool=POOL):
    return post.predict(pool).draws.to_numpy()


def test_a_batch_raises_the_improvement_of_the_batch(post):
    """Each point is the one that adds most to E max(best of the batch - incumbent, 0)."""
    past = pd.DataFrame({"x": [9.0], "exp": [0.5]})
    found = propose(post, POOL, UP, {"exp": 2}, rules={"exp": "ei"}, observed=past)
    draws, best = draws_of(post)[:, :, 1], np.full(400, 0.5)
    for at, score in zip(found["candidate"], found["score"], strict=True):
        gain = expected_improvement(draws, best)
        gain[found["candidate"][: found["candidate"].tolist().index(at)]] = -1.0
        assert at == gain.argmax() and score == pytest.approx(gain.max())
        best = np.maximum(best, draws[:, at])
    total = np.maximum(draws[:, found["candidate"]].max(axis=1) - 0.5, 0.0).mean()
    assert found["score"].sum() == pytest.approx(total)


def test_what_is_pending_counts_as_reached(post):
    past = pd.DataFrame({"x": [9.0], "exp": [0.5]})
    waiting = pd.DataFrame({"x": [1.0]})
    one = propose(post, POOL, UP, rules={"exp": "ei"}, observed=past, pending={"exp": waiting})
    draws = draws_of(post)[:, :, 1]
    best = np.maximum(0.5, draws[:, -1])
    assert one["score"][0] == pytest.approx(expected_improvement(draws[:, :-1], best).max())


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("target", ["exp", "sim"])
def test_every_rule_gives_a_batch(post, rule, target):
    found = propose(post, POOL, UP, {target: 3}, rules={target: rule}, seed=2)
    assert found["candidate"].is_unique and np.isfinite(found["score"]).all()
    again = propose(post, POOL, UP, {target: 3}, rules={target: rule}, seed=2)
    pd.testing.assert_frame_equal(found, again)


def test_rules_of_the_paper(post):
    found = propose(post, POOL, UP, {"exp": 1, "sim": 1}, rules="paper")
    assert found["rule"].tolist() == ["log_ei", "variance"]


def test_thompson_and_the_place_of_the_maximum(post):
    draws = draws_of(post)[:, :, 1]
    found = propose(post, POOL, UP, rules={"exp": "maximum"})
    assert found["candidate"][0] == probability_of_maximum(draws).argmax()
    picks = [
        propose(post, POOL, UP, rules={"exp": "thompson"}, seed=s)["candidate"][0]
        for s in range(40)
    ]
    tops = [thompson(draws, np.random.default_rng(s)).argmax() for s in range(40)]
    assert set(picks) == {0, 20} == set(tops)  # lines have their maxima at the ends


def test_constraints_that_are_known(post):
    found = propose(post, POOL, UP, {"exp": 3}, constraints=[lambda f: f["x"] < 0.35])
    assert (found["x"] < 0.35).all()
    assert POOL["x"][found["candidate"]].tolist() == found["x"].tolist()
    pool = POOL.assign(ready=POOL["x"] > 0.35)
    assert (propose(post, pool, UP, {"exp": 3}, constraints=["ready"])["x"] > 0.35).all()


def test_a_constraint_that_is_learned(post):
    """Only draws that keep it improve; the incumbent keeps it, too."""
    draws = draws_of(post)
    within = Within("sim", high=0.0)
    past = pd.DataFrame({"x": [9.0, 8.0], "exp": [0.5, 7.0], "sim": [-1.0, 1.0]})
    found = propose(post, POOL, UP, rules={"exp": "ei"}, observed=past, constraints=[within])
    gain = (np.maximum(draws[:, :, 1] - 0.5, 0.0) * (draws[:, :, 0] <= 0.0)).mean(axis=0)
    assert found.attrs["incumbent"] == 0.5
    assert found["candidate"][0] == gain.argmax()
    assert found["score"][0] == pytest.approx(gain.max())


def test_the_incumbent_by_choice(post):
    past = pd.DataFrame({"x": [-0.5, 0.25], "exp": [9.0, -9.0]})
    here = draws_of(post, past)[:, :, 1]
    seen = propose(post, POOL, UP, observed=past, incumbent="posterior")
    assert seen.attrs["incumbent"] == pytest.approx(here.mean(axis=0).max())
    noisy = propose(post, POOL, UP, rules={"exp": "ei"}, observed=past, incumbent="draws")
    gain = np.maximum(draws_of(post)[:, :, 1] - here.max(axis=1)[:, None], 0.0).mean(axis=0)
    assert noisy["score"][0] == pytest.approx(gain.max())
    assert noisy.attrs["incumbent"] == pytest.approx(here.max(axis=1).mean())


def test_replicates_only_where_they_are_allowed(post):
    past = pd.DataFrame({"x": POOL["x"], "exp": 0.0})
    with pytest.raises(CandidateError, match="nothing left"):
        propose(post, POOL, UP, observed=past)
    found = propose(post, POOL, UP, {"exp": 2}, observed=past, replicate=True)
    assert len(found) == 2 and found["std"].min() > 0


def test_two_objectives_are_measured_at_one_candidate():
    post = FakePredictive(targets=("sim", "one", "two"))
    past = pd.DataFrame({"x": [9.0, 8.0], "one": [1.0, 2.0], "two": [-2.0, -1.0]})
    aims = [Maximize("one"), Minimize("two")]
    found = propose(post, POOL, aims, {"one": 2, "two": 2, "sim": 1}, observed=past)
    assert found["target"].tolist() == ["one", "two"] * 2 + ["sim"]
    assert found["rule"].tolist() == ["ehvi"] * 4 + ["maximizers"]
    pairs = found["candidate"].to_numpy()[:4].reshape(2, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all() and pairs[0, 0] != pairs[1, 0]
    assert found.attrs["objective"] == "maximize one, minimize two"


def test_a_box_is_searched_beyond_its_first_points():
    """A parabola whose top lies between the points of any mesh."""

    class Parabola(FakePredictive):
        def predict(self, frame, kind="mean", given=None, seed=None):
            x = frame[["a", "b"]].to_numpy()
            rng = np.random.default_rng(5)
            top = np.array([0.123456, 431.5]) + 1e-4 * rng.normal(size=(50, 1, 2)) * [1.0, 300.0]
            values = -np.square((x - top) / [1.0, 300.0]).sum(axis=2)[:, :, None]
            coords = {"target": ["exp"]}
            import xarray as xr

            array = xr.DataArray(values, dims=("sample", "candidate", "target"), coords=coords)
            return Prediction(array, kind, {})

    post = Parabola(targets=("exp",), descriptors=("a", "b"))
    box = Box(a=(0.0, 1.0), b=(300.0, 600.0))
    found = propose(post, box, UP, {"exp": 1}, rules={"exp": "ucb"})
    assert abs(found["a"][0] - 0.123456) < 3e-3 and abs(found["b"][0] - 431.5) < 1.0
    limit = propose(post, box, UP, rules={"exp": "ucb"}, constraints=[lambda f: f["a"] >= 0.5])
    assert 0.5 <= limit["a"][0] < 0.503
    mixture = Simplex(("a", "b"))
    assert abs(propose(post, mixture, UP, rules={"exp": "ucb"})["a"][0] - 0.123) < 0.2


def test_a_budget_goes_where_it_is_worth_most(post):
    """A simulation that is all noise is worth nothing; one that tells all, more than its cost."""
    past = pd.DataFrame({"x": [9.0], "exp": [0.5]})

    class Told(FakePredictive):
        def predict(self, frame, kind="mean", given=None, seed=None):
            found = super().predict(frame, kind, given, seed)
            values = found.draws.to_numpy()
            values[:, :, 0] = values[:, :, 1]
            return found

    options = {"observed": past, "costs": {"exp": 10.0, "sim": 1.0}, "budget": 20.0}
    useless = propose(post, POOL, UP, **options)
    assert (useless["target"] == "exp").all() and len(useless) == 2
    told = propose(Told(), POOL, UP, **options)
    value = told.attrs["value"]
    assert list(value)[-3:] == ["se", "value_per_cost", "taken"]
    assert (told["target"] == "sim").sum() >= 10
    assert value.groupby("step")["taken"].sum().eq(1).all()
    spent = (told["target"] == "exp").sum() * 10 + (told["target"] == "sim").sum()
    assert 18 <= spent <= 20


def test_a_large_pool_is_looked_at_in_pieces(post, monkeypatch):
    pool = mesh(x=np.linspace(-1, 1, 3001))
    past = pd.DataFrame({"x": [1.0, 0.999], "exp": [0.1, np.nan], "sim": [np.nan, 1.0]})
    options = {"observed": past, "rules": {"exp": "ei", "sim": "variance"}}
    whole = propose(post, pool, UP, {"exp": 2, "sim": 2}, **options)
    monkeypatch.setattr(proposing, "LARGE", 1000)
    monkeypatch.setattr(shortlist, "CHUNK", 400)
    monkeypatch.setattr(shortlist, "KEPT", 60)
    found = propose(post, pool, UP, {"exp": 2, "sim": 2}, **options)
    pd.testing.assert_frame_equal(found.drop(columns="score"), whole.drop(columns="score"))
    np.testing.assert_allclose(found["score"], whole["score"], rtol=1e-5)  # noise differs


def test_what_is_far_from_every_draw_does_not_matter_to_ties():
    flat = FakePredictive(scale={"exp": 0.0, "sim": 0.0})
    assert len(propose(flat, POOL, UP, {"exp": 3, "sim": 3})) == 6


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"objective": "exp"}, "'exp'"),
        ({"objective": [UP, UP]}, "different targets"),
        ({"objective": []}, "different targets"),
        ({"objective": [UP, Maximize("sim")], "wants": {"exp": 1, "sim": 2}}, "equal numbers"),
        ({"rules": {"exp": "ehvi"}}, "'ehvi'"),
        ({"rules": "ei"}, "rules by target"),
        ({"wants": 3}, "mapping"),
        ({"wants": "exp"}, "mapping"),
        ({"incumbent": "best"}, "'best'"),
        ({"constraints": ["nothing"]}, "'nothing'"),
        ({"constraints": [Within("expp", 0.0)]}, "'expp'"),
        ({"constraints": [lambda f: f["x"] > 5]}, "nothing left: none of 21"),
        ({"constraints": [lambda f: True]}, "one True or False for each"),
        ({"constraints": [lambda f: f["x"] * np.nan]}, "one True or False for each"),
        ({"budget": 3.0}, "a budget with costs"),
        ({"costs": {"exp": 5.0}, "budget": 3.0}, "pays for one"),
        ({"costs": {"exp": 1.0}, "budget": 3.0, "wants": {"exp": 1}}, "without wants"),
        ({"costs": {"exp": 0.0}, "budget": 3.0}, "positive cost"),
        ({"costs": {"expp": 1.0}, "budget": 3.0}, "'expp'"),
        ({"candidates": Box(z=(0.0, 1.0))}, "knows nothing of a descriptor"),
        ({"candidates": Box(x=(0.0, 1.0), z=(0.0, 1.0))}, "knows nothing of a descriptor"),
        ({"seed": -1}, "seed"),
        ({"seed": "a"}, "seed"),
        ({"costs": [30, 1], "budget": 3.0}, "a mapping"),
        ({"costs": {"exp": 1.0}, "budget": "60"}, "'60'"),
    ],
)
def test_errors(post, options, word):
    arguments = {"candidates": POOL, "objective": UP}
    with pytest.raises(CandidateError, match=word):
        propose(post, **(arguments | options))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reach("exp", np.nan),
        lambda: Reach("exp", "1.5"),
        lambda: Within("exp"),
        lambda: Within("exp", 2.0, 1.0),
        lambda: Within("exp", "a", 1.0),
    ],
)
def test_aims_that_make_no_sense(make):
    with pytest.raises(CandidateError):
        make()


def test_a_copy_of_a_picker_leaves_it_alone(post):
    from claude_pymc.acquisition.candidates import Candidates

    pool = Candidates.read(POOL, post.descriptors, list(post.targets))
    one = picker.Picker(post, pool, pool, picker.Aim((UP,)), 0)
    before = one.draws.copy(), one.best.copy(), one.taken["exp"].copy()
    one.copied().pick("exp", "thompson")
    for was, is_now in zip(before, (one.draws, one.best, one.taken["exp"]), strict=True):
        np.testing.assert_array_equal(was, is_now)
    assert not one.conditions and not one.reached


def test_a_constraint_without_brackets(post):
    one = propose(post, POOL, UP, constraints=Within("sim", high=0.0))
    pd.testing.assert_frame_equal(
        one, propose(post, POOL, UP, constraints=[Within("sim", high=0.0)])
    )


def test_a_budget_in_a_box_stays_small(post, monkeypatch):
    seen = []
    extend = picker.Picker.extend
    monkeypatch.setattr(
        picker.Picker, "extend", lambda self, pool: (extend(self, pool), seen.append(self))[0]
    )
    found = propose(post, Box(x=(0.0, 1.0)), UP, costs={"exp": 30.0, "sim": 1.0}, budget=60.0)
    assert len(found) > 1
    assert all(len(one.pool.frame) < 2 * proposing.MOST_POINTS for one in seen)
