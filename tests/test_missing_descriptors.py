"""Rows and candidates that lack a descriptor: magnets simulated without temperature, and (x, y)."""

import numpy as np
import pandas as pd
import pytest
from fakes import FakeSampler
from scipy.stats import multivariate_normal

import claude_pymc as cp
from claude_pymc import run
from claude_pymc.printing import print_predictions


@pytest.fixture
def magnet(monkeypatch):
    monkeypatch.setattr(run, "Sampler", FakeSampler)
    study = cp.Study.named("magnet")
    table = study.table()
    return study, table, run.fit(study, table, folds=0, seed=0, draws=10)


def test_a_fit_of_magnets_predicts_and_proposes(magnet):
    _, table, fit = magnet
    simulated = np.isnan(table.x[:, 5])
    found = fit.predictions
    assert found.loc[simulated, "m_exp_mean"].isna().all()  # no temperature: which one is meant?
    assert found.loc[simulated, "m_sim_mean"].notna().all()
    assert found.loc[~simulated, ["m_exp_mean", "m_sim_mean"]].notna().all(axis=None)
    at = fit.proposals.set_index("target")["T"]
    assert at.index.tolist() == ["m_exp", "m_sim", "m_sim", "m_sim"]
    assert at["m_exp"] == 450.0 and at["m_sim"].isna().all()  # it does not depend on T


def test_rows_without_the_descriptor_are_left_out_of_what_is_printed(magnet, capsys):
    study, table, fit = magnet
    print_predictions(fit.predictions, study.targets, study.units, everything=True)
    out = capsys.readouterr().out
    assert out.startswith("60 rows lack T, without which m_exp is not predicted")
    assert " - to - " not in out and "Predicted m_exp [T]" in out and "and 20 more" in out
    print_predictions(fit.predictions, study.targets, study.units, everything=False)
    assert capsys.readouterr().out.count("\n") == 1  # all others were measured
    assert len(fit.predictions) == len(table)


def test_points_that_differ_in_what_a_target_does_not_use_are_one(magnet):
    study, _, fit = magnet
    pool = cp.mesh(zr=[0.1], y=[0.1], co=[0.1, 0.2], ti=[0.05], v=[0.05], T=[300.0, 450.0])
    with pytest.warns(cp.Notice, match="only 2 of 9 wanted 'm_sim'"):
        found = cp.propose(fit.post, pool, study.objective, {"m_exp": 4, "m_sim": 9})
    assert found["target"].tolist() == ["m_exp"] * 4 + ["m_sim"] * 2
    assert sorted(found["co"][4:]) == [0.1, 0.2]
    # What is under way may be named as it was proposed.
    waiting = {"m_sim": found[4:5]}
    with pytest.warns(cp.Notice, match="only 1 of 2 wanted 'm_sim'"):
        rest = cp.propose(fit.post, pool, study.objective, {"m_sim": 2}, pending=waiting)
    assert rest["co"].tolist() == [found["co"][5]]
    with pytest.raises(cp.CandidateError, match="a value of 'T' for every candidate"):
        cp.propose(fit.post, pool, study.objective, pending={"m_exp": found[4:5]})


def test_what_was_simulated_without_temperature_is_not_proposed_at_another(magnet):
    study, table, fit = magnet
    sites = table.x[np.isnan(table.x[:, 5]), :5][:3]
    pool = pd.DataFrame(sites, columns=study.descriptors[:5]).assign(T=450.0)
    pool.loc[3] = [0.1, 0.1, 0.1, 0.05, 0.05, 450.0]
    with pytest.warns(cp.Notice, match="3 wanted"):
        found = cp.propose(fit.post, pool, study.objective, {"m_sim": 3}, observed=table)
    assert found["candidate"].tolist() == [3]


def test_errors_name_the_descriptor(magnet):
    _, table, fit = magnet
    with pytest.raises(cp.CandidateError, match="a value of 'co'"):
        fit.post.predict(pd.DataFrame([[0, 0, np.nan, 0, 0, np.nan]], columns=table.descriptors))
    warm = pd.DataFrame([[0, 0, 0, 0, 0, np.nan]], columns=table.descriptors)
    with pytest.raises(cp.CandidateError, match="a value of 'T'"):
        fit.post.predict(warm, given={"m_exp": [1.0]})


def joint_point():
    """A maximum of the joint likelihood of two descriptors and two targets, and its Gaussian."""
    rng = np.random.default_rng(3)
    root = np.tril(rng.normal(size=(4, 4))) + 2 * np.eye(4)
    z = rng.normal(size=(60, 4)) @ root.T + [1.0, -2.0, 3.0, 0.5]
    z[rng.uniform(size=z.shape) < 0.2] = np.nan
    z = z[np.isfinite(z).any(axis=1)]
    table = cp.Table(["a", "b"], ["sim", "exp"], z[:, :2], z[:, 2:])
    design = cp.Design.from_table(
        table, corrections={"exp": ["1", "a", "b"]}, missing_descriptors=True, standardize=False
    )
    spec = cp.JointGaussian(design, cp.FlatPrior(), "joint")
    return cp.find_map(spec, cp.PatternStats.from_table(table, design), starts=3)


def test_joint_predictions_integrate_out_missing_descriptors():
    point = joint_point()
    mean, cov = point.joint_mean.to_numpy(), point.joint_covariance.to_numpy()
    frame = pd.DataFrame({"a": [0.5, np.nan, np.nan, 0.5], "b": [1.0, 1.0, np.nan, np.nan]})
    given = {"sim": [np.nan, np.nan, 2.0, 2.0]}
    found = point.posterior.predict(frame, given=given).mean().to_numpy()
    density = point.posterior.log_predictive_density(frame.assign(exp=0.3), "exp", given=given)
    for i in range(4):
        row = np.array([frame["a"][i], frame["b"][i], given["sim"][i], np.nan])
        have = np.isfinite(row)
        gain = np.linalg.solve(cov[np.ix_(have, have)], cov[have])[:, 3] if have.any() else 0
        centre = mean[3] + gain @ (row[have] - mean[have])
        var = cov[3, 3] - gain @ cov[have, 3]
        assert found[i, 1] == pytest.approx(centre, rel=1e-9)
        expected = multivariate_normal(centre, var).logpdf(0.3)
        assert density[i] == pytest.approx(expected, rel=1e-9)
    many = pd.concat([frame.iloc[[2]]] * 20000, ignore_index=True)
    draws = point.posterior.predict(many, kind="observation", given={"sim": [2.0] * 20000}, seed=0)
    spread = draws.draws.to_numpy()[0, :, 1]
    gain = cov[2, 3] / cov[2, 2]
    assert spread.std() == pytest.approx(np.sqrt(cov[3, 3] - gain * cov[2, 3]), rel=0.03)
