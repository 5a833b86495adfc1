"""Proposals made from draws alone: the model behind them is a stand-in."""

import numpy as np
import pandas as pd
import pytest
from fakes import FakePredictive

from claude_pymc.acquisition.functions import expected_improvement, log_expected_improvement
from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach
from claude_pymc.acquisition.propose import propose
from claude_pymc.acquisition.spaces import mesh
from claude_pymc.errors import CandidateError, Notice

POOL = mesh(x=np.linspace(-1, 1, 11))
COLUMNS = "target rank candidate x mean std lower90 upper90 rule score".split()

pytestmark = pytest.mark.filterwarnings("ignore:only .* wanted:claude_pymc.errors.Notice")


def rows(**columns):
    """Measured rows; a target that is left out was not measured."""
    return pd.DataFrame(columns)


@pytest.fixture
def post():
    return FakePredictive()


def test_default_is_one_of_the_primary_by_log_improvement(post):
    found = propose(post, POOL, Maximize("exp"), observed=rows(x=[0.0], exp=[1.0]))
    draws = post.predict(POOL).draws.to_numpy()[:, :, 1]
    score = log_expected_improvement(draws, 1.0)
    assert list(found) == COLUMNS
    pick = int(score.argmax())
    row = found.iloc[0]
    assert (len(found), row["target"], row["rank"], row["candidate"]) == (1, "exp", 1, pick)
    assert row["x"] == POOL["x"][pick]
    assert row["score"] == pytest.approx(score[pick])
    assert row["mean"] == pytest.approx(draws[:, pick].mean())
    assert row["std"] == pytest.approx(draws[:, pick].std(ddof=1))
    ends = np.quantile(draws[:, pick], [0.05, 0.95])
    np.testing.assert_allclose(row[["lower90", "upper90"]].astype(float), ends)
    assert found.attrs["objective"] == "maximize exp"


def test_incumbent_is_of_the_experiment_only(post):
    past = rows(x=[0.0, 0.2, 0.4], exp=[1.0, 1.5, np.nan], sim=[9.0, np.nan, 99.0])
    found = propose(post, POOL, Maximize("exp"), observed=past)
    assert found.attrs["incumbent"] == 1.5
    assert found.attrs["incumbent_from"] == "best of 2 measured values: 1.5"
    by_sim = propose(post, POOL, Maximize("sim"), observed=past)
    assert by_sim.attrs["incumbent"] == 99.0


def test_without_a_measured_value_the_best_mean_is_the_incumbent(post):
    found = propose(post, POOL, Maximize("exp"))
    means = post.predict(POOL).draws.to_numpy()[:, :, 1].mean(axis=0)
    assert found.attrs["incumbent"] == pytest.approx(means.max())
    assert "nothing was measured" in found.attrs["incumbent_from"]


@pytest.mark.parametrize(
    ("objective", "incumbent"),
    [(Maximize("exp"), 2.0), (Minimize("exp"), 1.0), (Reach("exp", 1.6), -0.4)],
)
def test_objectives(post, objective, incumbent):
    past = rows(x=[0.0, 0.2], exp=[-1.0, 2.0])
    found = propose(post, POOL, objective, observed=past)
    draws = objective.utility(post.predict(POOL).draws.to_numpy()[:, :, 1])
    assert found.attrs["incumbent"] == pytest.approx(incumbent)
    score = log_expected_improvement(draws, incumbent)
    score[[5, 6]] = -np.inf  # the measured points
    assert found["candidate"][0] == score.argmax()


def test_minimize_is_maximize_of_the_mirror_image(post):
    class Mirror(FakePredictive):
        def predict(self, *args, **kwargs):
            found = super().predict(*args, **kwargs)
            found.draws.to_numpy()[...] *= -1
            return found

    one = propose(post, POOL, Minimize("exp"), {"exp": 4})
    two = propose(Mirror(), POOL, Maximize("exp"), {"exp": 4})
    assert one["candidate"].tolist() == two["candidate"].tolist()


def test_a_batch_has_no_repeats(post):
    found = propose(post, POOL, Maximize("exp"), {"exp": 11, "sim": 5})
    assert found["target"].tolist() == ["exp"] * 11 + ["sim"] * 5
    assert sorted(found["candidate"][:11]) == list(range(11))
    assert found["candidate"][11:].is_unique
    assert found["rank"].tolist() == [*range(1, 12), *range(1, 6)]
    assert found["rule"].tolist() == ["log_ei"] * 11 + ["maximizers"] * 5


def test_a_batch_is_conditioned_on_its_earlier_picks(post):
    found = propose(post, POOL, Maximize("exp"), {"sim": 2}, rules={"sim": "variance"})
    # Lines: the largest variance is at one end; once that is known, it is at the other.
    assert sorted(found["x"]) == [-1.0, 1.0]
    assert found["score"][1] < found["score"][0]


def test_more_wanted_than_left_gives_what_is_left(post):
    with pytest.warns(Notice, match="only 11 of 50 wanted 'exp'"):
        assert len(propose(post, POOL, Maximize("exp"), {"exp": 50})) == 11


def test_measured_points_are_not_proposed_again(post):
    past = rows(x=[-1.0, 0.6, 0.8000000000001, 1.0], exp=[0.0, 0.0, 0.0, np.nan], sim=1.0)
    found = propose(post, POOL, Maximize("exp"), {"exp": 11}, observed=past)
    assert set(found["x"].round(6)) == set(POOL["x"].round(6)) - {-1.0, 0.6, 0.8}
    sims = propose(post, POOL, Maximize("exp"), {"sim": 11}, observed=past)
    assert not set(sims["x"].round(6)) & {-1.0, 0.6, 0.8, 1.0}


def test_candidates_that_carry_their_values(post):
    pool = POOL.assign(exp=np.where(POOL["x"] > 0.1, 1.0, np.nan))
    found = propose(post, pool, Maximize("exp"), {"exp": 11})
    assert sorted(found["candidate"]) == [0, 1, 2, 3, 4, 5]
    assert found.attrs["incumbent_from"] == "best of 5 measured values: 1"


def test_duplicates_of_a_point_count_as_one(post):
    twice = pd.concat([POOL, POOL], ignore_index=True)
    assert len(propose(post, twice, Maximize("exp"), {"exp": 22})) == 11
    # The value stands in one of two equal rows, beside rows measured elsewhere.
    pool = twice.assign(exp=[*[1.0] * 3, *[np.nan] * 19])
    found = propose(post, pool, Maximize("exp"), {"exp": 22}, observed=rows(x=[1.0], exp=[0.0]))
    assert sorted(found["x"].round(6)) == sorted(POOL["x"].round(6)[3:10])


def test_known_simulated_values_are_used(post):
    past = rows(x=[0.2, 0.2, 0.4], sim=[3.0, np.nan, 5.0], exp=[np.nan, 1.0, np.nan])
    pool = POOL.assign(sim=np.where(POOL["x"] == -1.0, 7.0, np.nan))
    propose(post, pool, Maximize("exp"), observed=past)
    expected = np.full(11, np.nan)
    expected[[0, 6, 7]] = 7.0, 3.0, 5.0
    for given in post.given:
        np.testing.assert_equal(given["sim"], expected)
        np.testing.assert_equal(given["exp"], np.where(np.arange(11) == 6, 1.0, np.nan))
    assert len(post.given) == 2


def test_the_last_of_several_values_at_a_point_is_used(post):
    propose(post, POOL, Maximize("exp"), observed=rows(x=[0.2, 0.2], sim=[3.0, 4.0]))
    assert post.given[0]["sim"][6] == 4.0


def test_pending_points(post):
    waiting = {"exp": rows(x=[1.0, 0.8])}
    found = propose(post, POOL, Maximize("exp"), {"exp": 11}, pending=waiting)
    assert set(found["x"].round(6)) == set(POOL["x"].round(6)) - {0.8, 1.0}
    # Of another target they may be proposed, but they are conditioned on.
    rules = {"exp": "variance"}
    free = propose(post, POOL, Maximize("exp"), {"exp": 1}, rules=rules)
    other = {"exp": rows(x=[free["x"][0] * 1.001])}
    away = propose(post, POOL, Maximize("exp"), {"exp": 1}, rules=rules, pending=other)
    assert away["x"][0] == -free["x"][0]
    assert away["score"][0] < free["score"][0]
    sims = propose(post, POOL, Maximize("exp"), {"sim": 11}, pending=waiting)
    assert len(sims) == 11


def test_ties_are_broken_by_the_seed():
    flat = FakePredictive(scale={"sim": 0.0})
    picks = [
        propose(flat, POOL, Maximize("exp"), {"sim": 1}, seed=seed)["candidate"][0]
        for seed in range(30)
    ]
    assert len(set(picks)) > 5
    again = propose(flat, POOL, Maximize("exp"), {"sim": 1}, seed=7)
    assert again["candidate"][0] == picks[7]


def test_rules(post):
    draws = post.predict(POOL).draws.to_numpy()
    own, primary = draws[:, :, 0], draws[:, :, 1]
    centred = own - own.mean(axis=0), primary - primary.mean(axis=0)
    past = rows(x=[9.0], exp=[1.0])
    for rule, score in (
        ("variance", own.var(axis=0)),
        ("std", own.std(axis=0)),
        ("covariance", np.abs((centred[0] * centred[1]).mean(axis=0))),
        ("ei", expected_improvement(primary, 1.0)),
        ("log_ei", log_expected_improvement(primary, 1.0)),
    ):
        found = propose(post, POOL, Maximize("exp"), {"sim": 1}, rules={"sim": rule}, observed=past)
        assert found["rule"][0] == rule
        assert found["candidate"][0] == score.argmax()
        assert found["score"][0] == pytest.approx(score.max())


def test_labels_are_shown(post):
    pool = POOL.assign(label=[f"p{i}" for i in range(11)])
    found = propose(post, pool, Maximize("exp"), {"exp": 3})
    assert list(found)[2:5] == ["candidate", "label", "x"]
    assert found["label"].tolist() == [f"p{i}" for i in found["candidate"]]


def test_one_target_alone():
    found = propose(FakePredictive(targets=("exp",)), POOL, Maximize("exp"), {"exp": 2})
    assert len(found) == 2


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"candidates": POOL.rename(columns={"x": "z"})}, "'x' is missing"),
        ({"candidates": POOL.replace(1.0, np.nan)}, "an empty cell in row 10"),
        ({"candidates": POOL.to_numpy()}, "ndarray"),
        ({"objective": Maximize("expp")}, "in the objective\n.*'expp'"),
        ({"wants": {"expp": 1}}, "in wants\n.*'expp'"),
        ({"wants": {"exp": 1.5}}, "1.5"),
        ({"wants": {"exp": -1}}, "-1"),
        ({"wants": {"exp": True}}, "True"),
        ({"wants": {"exp": 0}}, "at least one proposal"),
        ({"wants": {}}, "at least one proposal"),
        ({"rules": {"exp": "logei"}}, "'logei'"),
        ({"rules": {"expp": "ei"}}, "in rules\n.*'expp'"),
        ({"pending": {"expp": POOL}}, "in pending\n.*'expp'"),
        ({"pending": {"exp": POOL[[]]}}, "'x' is missing"),
        ({"observed": POOL[[]]}, "'x' is missing"),
        ({"candidates": POOL.assign(exp=1.0)}, "all 11 are measured or pending"),
        ({"pending": {"exp": POOL}}, "all 11 are measured or pending"),
    ],
)
def test_errors(post, options, word):
    arguments = {"candidates": POOL, "objective": Maximize("exp"), "wants": {"exp": 1}}
    with pytest.raises(CandidateError, match=word):
        propose(post, **(arguments | options))
