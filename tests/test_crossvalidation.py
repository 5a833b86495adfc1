"""Cross-validation hides what it says it hides; its figures are those of their definitions."""

import numpy as np
import pandas as pd
import pytest
from fakes import FakeSampler, make_idata, make_spec, make_validation
from scipy.stats import norm

from claude_pymc.errors import SamplingError
from claude_pymc.joint.crossvalidation import cross_validate
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

# A hidden row without a simulation has no target left, and is rightly of no use to the fit.
pytestmark = pytest.mark.filterwarnings("ignore:.*no target:claude_pymc.errors.Notice")


def rows(n=24, labels=True):
    """Every second experiment is missing, and every fifth simulation."""
    rng = np.random.default_rng(0)
    y = rng.uniform(2.0, 8.0, (n, 2))
    y[1::2, 1] = np.nan
    y[::5, 0] = np.nan
    names = [f"r{i}" for i in range(n)] if labels else []
    return Table(["x"], ["sim", "exp"], np.linspace(0, 2, n)[:, None], y, names)


@pytest.fixture
def table():
    table = rows()
    return table.rows(np.isfinite(table.y).any(axis=1))


@pytest.mark.parametrize("log", [False, True])
def test_every_measured_value_is_predicted_once_without_itself(table, log):
    sampler = FakeSampler(make_spec(2, log=log))
    ticks = []
    found = cross_validate(sampler, table, folds=4, seed=3, each=lambda: ticks.append(1))
    measured = np.flatnonzero(np.isfinite(table.y[:, 1]))
    frame = found.frame
    assert len(ticks) == 4
    assert sorted(frame["label"]) == sorted(table.labels[i] for i in measured)
    assert np.bincount(frame["fold"]).tolist() == [0, 3, 3, 3, 3]
    seeds = []
    for fold, part in frame.groupby("fold"):
        hidden = [table.labels.index(label) for label in part["label"]]
        expected = PatternStats.from_table(table.without("exp", hidden), sampler.spec.design)
        stats, options = sampler.calls[fold - 1]
        assert stats.digest == expected.digest
        seeds.append(options["seed"])
        # The simulation of the hidden rows is known to their prediction.
        post = JointPosterior(make_idata(sampler.spec, seed=seeds[fold - 1]))
        test = table.rows(hidden)
        given = {"sim": test.y[:, 0]}
        # Other noise than theirs, so that the ends agree to their Monte Carlo error.
        prediction = post.predict(test, "observation", given, seed=0)
        ends, sd = prediction.interval(0.9), prediction.std().sel(target="exp")
        for name in ("lower", "upper"):
            end = ends.sel(target="exp", bound=name)
            assert (np.abs(part[name].to_numpy() - end) < 0.35 * sd).all()
        mean = prediction.mean().sel(target="exp")
        assert (np.abs(part["mean"].to_numpy() - mean) < 0.2 * sd).all()
        np.testing.assert_array_equal(part["measured"], test.y[:, 1])
        centre, truth = post.predict(test, given=given).draws.sel(target="exp"), test.y[:, 1]
        if log:
            centre, truth = np.log(centre), np.log(truth)
        np.testing.assert_allclose(part["error"], centre.mean("sample") - truth)
        density = post.log_predictive_density(test, "exp", given)
        np.testing.assert_allclose(part["log_density"], density)
    assert len(set(seeds)) == 4
    assert found.failed == ()


def test_folds_depend_on_the_seed_alone(table):
    sampler = FakeSampler(make_spec(2))
    one, two, other = (cross_validate(sampler, table, seed=s).frame for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert one["label"].tolist() != other["label"].tolist()


def test_rows_without_labels_are_known_by_number():
    found = cross_validate(FakeSampler(make_spec(2)), rows(9, labels=False).rows(slice(0, 9)))
    assert sorted(found.frame["label"]) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("folds", [0, 1, 13])
def test_number_of_folds(table, folds):
    sampler = FakeSampler(make_spec(2))
    with pytest.raises(SamplingError, match="between 2 and 12 folds"):
        cross_validate(sampler, table, folds=folds)
    assert sampler.calls == []


def test_figures():
    found = make_validation(20, outside=2)
    error = found.frame["error"].to_numpy()
    assert found.rmse == pytest.approx(np.sqrt((2 * 9 + 18 * 0.04) / 20))
    spread = (error**2).std(ddof=1) / np.sqrt(20)
    assert found.rmse_se == pytest.approx(spread / (2 * found.rmse))
    assert found.log_density == pytest.approx(-(2 * 9 + 18 * 0.04) / 20)
    assert found.log_density_se == pytest.approx(spread)
    assert (found.covered, found.coverage) == (18, 0.9)
    z, n, p = norm.ppf(0.975), 20, 0.9
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert found.coverage_interval() == pytest.approx((centre - half, centre + half))
