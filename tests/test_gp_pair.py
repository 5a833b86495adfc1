"""Fifty cheap and two dear points of a process that is not in the prior: intervals and peers."""

import pandas as pd
import pytest
from gp_pair import CSV, DEFAULT, OURS, REPORT, everything, page, problem, remarks, summary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table():
    found = everything()
    print("\n" + page(summary(found)), remarks(found), sep="\n\n")
    for name in (OURS, DEFAULT):
        assert (found[found["method"] == name]["drawn"] == "exact").mean() > 0.95
    return summary(found)


def test_peers_saw_the_same_problems():
    peers = pd.read_csv(CSV)
    for _, part in peers.groupby("method"):
        assert list(part["seed"]) == list(REPORT)
    truth = peers.drop_duplicates("seed").set_index("seed")["truth"]
    assert all(abs(truth[seed] - problem(seed).truth) < 1e-5 for seed in REPORT)


def test_coverage_at_the_dear_level(table):
    assert 0.85 <= table.loc[OURS, "coverage"] <= 0.97
    assert table.loc[DEFAULT, "coverage"] >= 0.9


@pytest.mark.parametrize("peer", ["delta GP", "delta GP, free"])
def test_interval_score_is_no_worse_than_that_of_peers(table, peer):
    assert table.loc[OURS, "score"] <= table.loc[peer, "score"]
