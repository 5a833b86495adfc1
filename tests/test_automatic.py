"""The automatic default: what it finds, what it takes, and that it is the same again."""

import numpy as np
import pandas as pd
import pytest

import claude_pymc as cp


@pytest.fixture(scope="module")
def rows():
    """A simulation in two descriptors, and an experiment that adds something smooth."""
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (40, 2))
    sim = np.sin(2.0 * x[:, 0]) + 0.5 * x[:, 1]
    exp = sim + 0.3 * x[:, 1] ** 2 + 0.02 * rng.standard_normal(40)
    exp[22:] = np.nan
    return cp.Table(["a", "b"], ["sim", "exp"], x, np.column_stack([sim, exp]))


def truth(x):
    return np.sin(2.0 * x[:, 0]) + 0.5 * x[:, 1] + 0.3 * x[:, 1] ** 2


@pytest.fixture(scope="module")
def post(rows):
    return cp.fit(rows, seed=1)


def test_predictions_are_near_and_intervals_hold_them(rows, post):
    x = np.random.default_rng(8).uniform(-0.9, 0.9, (200, 2))
    found = post.predict(x, seed=0)
    error = found.mean().sel(target="exp").to_numpy() - truth(x)
    assert np.sqrt(np.mean(error**2)) < 0.06
    low, high = found.interval(0.9).sel(target="exp").to_numpy().T
    inside = np.mean((low <= truth(x)) & (truth(x) <= high))
    assert 0.8 <= inside <= 1.0


def test_structures_are_ranked(post):
    ranking = post.ranking
    for target in ("sim", "exp"):
        part = ranking[ranking["target"] == target]
        assert part["probability"].sum() == pytest.approx(1.0, abs=1e-6)
        assert (part["probability"].diff().dropna() <= 0).all()
    assert "prior" in post.spec.describe() or post.spec.describe()


def test_it_is_the_same_again(rows, post, tmp_path):
    again = cp.fit(rows, seed=1)
    np.testing.assert_array_equal(again.draws_of("root"), post.draws_of("root"))
    post.save(tmp_path / "post.nc")
    back = cp.JointPosterior.load(tmp_path / "post.nc")
    one, other = (p.predict(rows.x[:3]).mean().to_numpy() for p in (post, back))
    np.testing.assert_allclose(one, other)


def test_text_may_stand_among_the_descriptors(rows):
    frame = pd.DataFrame(
        {
            "route": np.where(np.arange(40) % 2, "melt", "sol-gel"),
            "a": rows.x[:, 0],
            "b": rows.x[:, 1],
            "sim": rows.y[:, 0],
            "exp": rows.y[:, 1] + 0.4 * (np.arange(40) % 2),
        }
    )
    table = cp.Table.from_frame(frame, ["route", "a", "b"], ["sim", "exp"], categories=["route"])
    post = cp.fit(table, seed=0)
    asked = frame[["route", "a", "b"]].iloc[[30, 31]].copy()
    asked[["a", "b"]] = 0.2
    found = post.predict(asked).mean().sel(target="exp").to_numpy()
    assert found[1] - found[0] == pytest.approx(0.4, abs=0.1)


@pytest.mark.filterwarnings("ignore::claude_pymc.errors.PosteriorWarning")
def test_rows_need_not_be_shared(rows):
    """Other places were simulated than measured: all targets together."""
    y = rows.y.copy()
    y[:22, 0] = np.nan
    table = cp.Table(["a", "b"], ["sim", "exp"], rows.x, y)
    post = cp.fit(table, seed=0, draws=100)
    x = np.array([[0.0, 0.0], [0.5, -0.5]])
    found = post.predict(x, seed=0)
    error = found.mean().sel(target="exp").to_numpy() - truth(x)
    assert (np.abs(error) < 0.3).all()


@pytest.mark.parametrize("targets", [1, 3])
def test_one_target_or_three(rows, targets):
    sim, exp = rows.y.T
    y = {1: sim[:, None], 3: np.column_stack([sim, sim + 0.1 * rows.x[:, 0], exp])}[targets]
    names = {1: ["sim"], 3: ["low", "high", "exp"]}[targets]
    table = cp.Table(["a", "b"], names, rows.x, y)
    post = cp.fit(table, seed=0)
    x = np.array([[0.0, 0.0], [0.5, -0.5]])
    found = post.predict(x).mean().isel(target=-1).to_numpy()
    expected = np.sin(2.0 * x[:, 0]) + 0.5 * x[:, 1] if targets == 1 else truth(x)
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_few_measured_rows_are_enough(rows):
    y = rows.y.copy()
    y[3:, 1] = np.nan
    table = cp.Table(["a", "b"], ["sim", "exp"], rows.x, y)
    post = cp.fit(table, seed=0)
    found = post.predict(np.zeros((1, 2)), seed=0)
    low, high = found.interval(0.95).sel(target="exp").to_numpy()[0]
    assert low < 0.0 < high


def test_what_is_no_table_or_not_used_is_said(rows):
    frame = pd.DataFrame({"a": [0.0], "b": [1.0], "sim": [2.0], "exp": [3.0]})
    with pytest.raises(cp.TableError, match=r"Table\.from_frame"):
        cp.fit(frame)
    with pytest.raises(cp.DesignError, match="mapping of targets to transforms"):
        cp.fit(rows, transforms="log")
    with pytest.raises(cp.SamplingError, match="at least one draw"):
        cp.fit(rows, draws=0)
    known = cp.Table(rows.descriptors, rows.targets, rows.x, rows.y, sigma=np.full(40, 0.1))
    with pytest.warns(cp.Notice, match="does not use known errors"):
        cp.fit(known, seed=0)


def test_its_checks_are_read_as_those_of_any_draws(post):
    assert cp.diagnose(post).ok


@pytest.mark.parametrize("seed", [0, 2])
def test_a_fit_whose_proposals_had_been_fitted_too_narrowly(seed):
    """Volumes B, fold 5: with fits of fits alone k-hat was 1.9 and 1.8."""
    from accuracy_cases import CASES, folds

    x, sim, exp, _, _ = list(folds("elV", "B"))[4]
    rows = cp.Table(CASES["elV"].names, ["sim", "exp"], x, np.column_stack([sim, exp]))
    assert cp.diagnose(cp.fit(rows, seed=seed)).ok
