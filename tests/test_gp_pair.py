"""Fifty cheap and two dear points of a process that is not in the prior: intervals and peers."""

from pathlib import Path

import pandas as pd
import pytest
from gp_pair import REPORT, ours, problem, summary

BENCHMARKS = Path(__file__).parent / "benchmarks"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def peers():
    return pd.read_csv(BENCHMARKS / "gp_pair_peers.csv")


@pytest.fixture(scope="module")
def table(peers):
    found = ours()
    print("\n" + summary(pd.concat([found, peers])).round(3).to_string())
    print(f"\n{(found['drawn'] != 'exact').sum()} not exact, {(found['said'] != '').sum()} notices")
    assert (found["drawn"] == "exact").mean() > 0.95
    return summary(pd.concat([found, peers]))


def test_peers_saw_the_same_problems(peers):
    for _, part in peers.groupby("method"):
        assert list(part["seed"]) == list(REPORT)
    truth = peers.drop_duplicates("seed").set_index("seed")["truth"]
    assert all(abs(truth[seed] - problem(seed).truth) < 1e-5 for seed in REPORT)


def test_coverage_at_the_dear_level(table):
    assert 0.85 <= table.loc["claude_pymc", "coverage"] <= 0.97


@pytest.mark.parametrize("peer", ["delta GP", "delta GP, free"])
def test_interval_score_is_no_worse_than_that_of_peers(table, peer):
    assert table.loc["claude_pymc", "score"] <= table.loc[peer, "score"]
