"""The must of the first issue on real data: elements, five folds, simulation known."""

import pytest

from tests.elements_accuracy import accuracy, summary


@pytest.fixture(scope="module")
def table():
    found = summary(accuracy())
    print("\n" + found.round(3).to_string())
    return found


def test_error_density_and_coverage_of_log_volume(table):
    ours = table.loc["claude_pymc"]
    assert ours["rmse"] <= 0.09
    assert ours["lpd"] >= 0.6
    assert 0.84 <= ours["coverage90"] <= 0.98


def test_beside_ridge_and_delta_learning_with_the_same_basis(table):
    ours = table.loc["claude_pymc"]
    for peer in ("ridge on [x, sim]", "ridge on the difference"):
        assert ours["lpd"] > table.loc[peer, "lpd"]
        assert ours["rmse"] <= 1.03 * table.loc[peer, "rmse"]
