"""Figure 4 of the paper: repeats are decided by their seed, kept, and within what is promised."""

import json

import numpy as np
import pandas as pd
import pytest
from benchmark_figure4 import MUST

from claude_pymc.campaign import figure4
from claude_pymc.campaign.figure4_pictures import MAXIMUM, curves, histogram, mean_curve
from claude_pymc.campaign.simulate import Oracle, Run, repeats, simulate_campaign


def test_the_mesh_is_that_of_the_paper():
    oracle = figure4.oracle_of(0.0)
    assert oracle.values.shape == (961, 2)
    assert oracle.values[:, 1].argmax() == 17 * 31 + 19
    assert oracle.values[:, 1].max() == pytest.approx(MAXIMUM, abs=1e-4)


def test_all_rules_begin_a_repeat_with_the_same_points(monkeypatch):
    seen = {}

    def stop(oracle, choose, first, success, utility, most, rng):
        seen[len(seen)] = first
        return Run(False, 5, 5, (0.0,) * 5)

    monkeypatch.setattr(figure4, "simulate_campaign", stop)
    for job in (["ours", 1, 0.0, 3], ["paper", 3, 0.05, 3], ["ols", 0, 0.0, 3]):
        figure4.one_repeat(job)
    assert seen[0].sum(axis=0).tolist() == [5, 5]
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[2][:, 1], seen[0][:, 1])
    assert not seen[2][:, 0].any()  # least squares knows no simulation


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_goes_on_where_it_stood(tmp_path):
    numbers = {"ours": 1, "ols": 1}
    frame = figure4.run(tmp_path, numbers, workers=1)
    lines = (tmp_path / "figure4.jsonl").read_text().splitlines(keepends=True)
    written = (tmp_path / "figure4.csv").read_bytes()
    # Cut short in the middle of the third line.
    (tmp_path / "figure4.jsonl").write_text("".join(lines[:2]) + lines[2][:10])
    done = []
    again = figure4.run(tmp_path, numbers, workers=1, each=lambda n, of: done.append((n, of)))
    assert done[0] == (2, 4) and done[-1] == (4, 4)
    kept = (tmp_path / "figure4.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in kept]) == 4  # nothing is left of the cut line
    assert (tmp_path / "figure4.csv").read_bytes() == written
    pd.testing.assert_frame_equal(again, frame)
    assert list(pd.read_csv(tmp_path / "figure4.csv")) == figure4.COLUMNS
    assert frame["found"].all() and (tmp_path / "figure4.png").stat().st_size > 1000
    table = figure4.summary(frame)
    assert table["rule"].tolist() == ["ours"] * 3 + ["ols"] and table["not_found"].sum() == 0


def test_fluctuations_are_one_sided():
    """Eq. (20), (21), by hand: 1, 1, 4 around 2."""
    mean, low, high = mean_curve(pd.Series([[1.0], [1.0, 1.0], [1.0, 4.0]]), 2)
    np.testing.assert_allclose(mean, [1.0, 2.0])
    np.testing.assert_allclose(low, [1.0, 2.0 - 2 / 3])
    np.testing.assert_allclose(high, [1.0, 2.0 + 2 / 3])


def test_pictures_of_rules_that_failed():
    rows = [
        {"rule": "ours", "xi": 1, "found": False, "samples_to_maximum": 9,
         "s_samples_at_success": 9, "best": [0.0] * 9}
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    assert len(curves(frame).axes) == 1
    assert len(histogram(frame).axes) == 1


def test_a_simulated_campaign_gives_up():
    oracle = Oracle(pd.DataFrame({"x": [0.0, 1.0]}), ("exp",), np.array([[1.0], [2.0]]), (0.0,))
    first, success = np.array([[True], [False]]), np.array([False, True])
    run = simulate_campaign(
        oracle, lambda *_: {}, first, success, lambda y: y, 9, np.random.default_rng(0)
    )
    assert (run.found, run.samples, run.best) == (False, 1, (1.0,))


def test_least_squares_is_of_smallest_norm(rng):
    oracle = figure4.oracle_of(0.0)
    measured = np.full((961, 2), np.nan)
    at = rng.choice(961, 60, replace=False)
    measured[at, 1] = oracle.values[at, 1]
    chosen = figure4.least_squares(oracle)(None, measured, rng)["exp"]
    # Sixty exact values determine the 49 terms: the next point is the maximum itself.
    assert chosen == [17 * 31 + 19]


def test_repeats_are_those_of_their_jobs(tmp_path):
    frame = repeats(_twice, [(1,), (2,)], tmp_path / "a.jsonl", workers=1)
    assert frame["twice"].tolist() == [2, 4]
    assert [json.loads(x)["job"] for x in (tmp_path / "a.jsonl").read_text().splitlines()] == [
        [1],
        [2],
    ]


def _twice(job):
    return {"twice": 2 * job[0]}


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_few_repeats_are_within_what_is_promised(noise):
    """Eight repeats with two simulations a turn: mean within its standard error of the must."""
    runs = [figure4.one_repeat(["ours", 2, noise, number]) for number in range(500, 508)]
    samples = np.array([run["samples"] for run in runs])
    assert all(run["found"] for run in runs)
    assert samples.mean() < MUST[2][0] + 3 * samples.std(ddof=1) / np.sqrt(8)
    assert samples.max() <= MUST[2][1]
