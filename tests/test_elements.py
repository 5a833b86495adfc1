"""The must of the first issue on real data: elements, five folds, simulation known."""

import pytest
from elements_accuracy import accuracy, summary


@pytest.fixture(scope="module")
def table():
    found = summary(accuracy())
    print("\n" + found.round(4).to_string())
    return found


def test_error_density_and_coverage_of_log_volume(table):
    ours = table.loc["claude_pymc"]
    assert ours["rmse"] <= 0.09
    assert ours["lpd"] >= 0.6
    assert 0.84 <= ours["coverage90"] <= 0.98


@pytest.mark.parametrize(
    "peer", ["ridge on [x, sims]", "ridge on exp - sim", "least squares on [x, sims]"]
)
def test_beside_peers_with_the_same_terms(table, peer):
    row = table.loc[peer]
    assert row["lpd_behind"] > -2 * row["behind_se"]
    assert table.loc["claude_pymc", "rmse"] <= 1.03 * row["rmse"]
