"""The folds, the scores and the summary of `make bench-accuracy`."""

import accuracy_peers
import numpy as np
import pandas as pd
import pytest
from accuracy_cases import CASES, KEPT, TASKS, folds
from accuracy_scores import KEY, OURS, SCORES, coverage, gaussian, report, score, versus
from scipy.stats import norm


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("case", CASES)
def test_test_rows_are_hidden_and_nothing_else(case: str, task: str) -> None:
    data, found = CASES[case], list(folds(case, task))
    assert len(found) == TASKS[task]
    for x, sim, exp, test, truth in found:
        assert np.isfinite(x).all() and np.isfinite(truth[test]).all() and np.isnan(exp[test]).all()
        assert np.isnan(sim[test]).all() if task == "B" else np.isfinite(sim[test]).all()
        others = np.setdiff1d(np.arange(len(x)), test)
        np.testing.assert_array_equal(sim[others], data.sim[others])
        if task == "C":
            assert np.isfinite(exp).sum() == KEPT[case]
        else:
            np.testing.assert_array_equal(exp[others], data.exp[others])


@pytest.mark.parametrize("case", CASES)
def test_every_row_is_tested_once(case: str) -> None:
    data = CASES[case]
    both = np.isfinite(data.exp) & np.isfinite(data.sim)
    for task, rows in (("A", both), ("B", np.isfinite(data.exp))):
        tested = np.concatenate([fold[3] for fold in folds(case, task)])
        np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(rows))


def test_folds_are_the_same_each_time() -> None:
    for one, other in zip(folds("elB", "C"), folds("elB", "C"), strict=True):
        np.testing.assert_array_equal(one[3], other[3])


def test_the_score_of_a_normal_prediction() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(1.0, 2.0, 100_000)
    found = score(gaussian(np.ones_like(truth), np.full_like(truth, 2.0)), truth)
    assert found["rmse"] == pytest.approx(2.0, rel=0.01)
    assert found["mae"] == pytest.approx(2.0 * np.sqrt(2 / np.pi), rel=0.01)
    assert found["lpd"] == pytest.approx(-norm(1.0, 2.0).entropy(), abs=0.01)
    assert found["coverage90"] == pytest.approx(0.9, abs=0.004)
    assert found["width"] == pytest.approx(2 * 1.6449 * 2.0, rel=1e-4)


def test_propagated_uncertainty_is_that_of_a_linear_model() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 1))
    sim = x[:, 0] + rng.normal(0.0, 0.5, 200)
    exp = 2.0 * sim + rng.normal(0.0, 0.1, 200)
    test, exp[:20], sim[:20] = np.arange(20), np.nan, np.nan
    narrow, wide = (
        accuracy_peers.predict(method, x, sim, exp, test)[0]
        for method in ("[x, y] BR1", "[x, y] BR1, propagated")
    )
    np.testing.assert_allclose(narrow.mean, wide.mean)
    half = (wide.upper - wide.lower) / 2 / norm.ppf(0.95)
    np.testing.assert_allclose(half, np.hypot(2.0 * 0.5, 0.1), rtol=0.15)
    assert ((narrow.upper - narrow.lower) < 0.3 * (wide.upper - wide.lower)).all()


def scores(method: str, rmse: list[float], lpd: list[float]) -> pd.DataFrame:
    """Scores of a method in the folds of one case and task."""
    fold = np.arange(1, len(rmse) + 1)
    frame = pd.DataFrame({"case": "elV", "task": "A", "fold": fold, "method": method})
    return frame.assign(rmse=rmse, mae=0.0, lpd=lpd, coverage90=0.5, width=1.0, seconds=1.0)


def test_the_best_peer_is_found_on_the_folds_that_are_shared() -> None:
    table = pd.concat(
        [
            scores(OURS, [1.0, 2.0, 3.0, 1.5], [0.0, 1.0, 2.0, 5.0]),
            scores("steady", [1.0, 2.0, 2.9, 1.5], [0.1, 1.0, 2.2, 5.0]),
            # By their means alone these would be the best.
            scores("easy folds only", [1.0, 2.0, np.nan, 1.5], [0.1, 1.0, np.nan, 5.0]),
            scores("first fold only", [0.5], [9.0]),
        ]
    )
    assert list(table.columns) == KEY + SCORES
    (found,) = versus(table).to_dict("records")
    assert found["best peer"] == "steady" and found["likeliest peer"] == "steady"
    assert found["ratio"] == pytest.approx(7.5 / 7.4) and found["rmse ok"]
    assert found["lpd diff"] == pytest.approx(-0.075)
    assert found["lpd se"] == pytest.approx(np.std([0.1, 0.0, 0.2, 0.0], ddof=1) / 2)
    assert not found["lpd ok"]


def test_coverage_counts_a_row_once() -> None:
    table = scores(OURS, [1.0, 1.0], [0.0, 0.0])
    tested = {("elV", "A", 1): np.arange(4), ("elV", "A", 2): np.arange(2, 6)}
    found = coverage(table, tested).loc[OURS]
    assert found["A"] == found["all"] == 0.5 and found["rows"] == 6
    assert "Coverage" in report(pd.concat([table, table.assign(method="peer")]), tested, ["peer"])
