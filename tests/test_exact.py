"""Exact draws: their layout, when they are refused, and what they fall back to."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from fakes import FakeSampler
from joint_cases import PRIOR, make_design
from joint_cases import make_rows as make_joint_rows
from test_sampling import tiny

import claude_pymc as cp
from claude_pymc.errors import Notice, PosteriorWarning, SamplingError, SpecError, StatisticsError
from claude_pymc.joint import exact, progress, sampling
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.convergence import K_HAT, convergence
from claude_pymc.joint.density import entry_sd
from claude_pymc.joint.exact import draw_exact, evidence
from claude_pymc.joint.inputs import arrays_of
from claude_pymc.joint.nuts import NutsSampler
from claude_pymc.joint.sampling import Sampler, sample
from claude_pymc.joint.simulate import draw_prior, named_truth
from claude_pymc.notation import JOINT_COLUMNS, JOINT_PARAMETERS, PARAMETERS

SMALL = {"draws": 100, "chains": 2}


def make_case(kind):
    """Specification and statistics of one likelihood and prior."""
    if kind == "joint":
        spec = cp.JointGaussian(make_design(), PRIOR, "joint")
        rows = make_joint_rows(np.random.default_rng(0))
        return spec, cp.PatternStats.from_table(rows, spec.design)
    design = cp.Design.from_bounds({"x": (-1.0, 1.0)}, ["sim", "exp"], cp.Polynomial(degree=1))
    priors = {"shrinkage": cp.ShrinkagePrior(), "lkj": cp.LKJPrior(), "flat": cp.FlatPrior()}
    return cp.JointGaussian(design, priors[kind]), cp.PatternStats.from_table(tiny(), design)


CASES = {kind: make_case(kind) for kind in ("shrinkage", "lkj", "flat", "joint")}
every_case = pytest.mark.parametrize("kind", CASES)


@pytest.fixture(scope="module")
def trees():
    return {kind: sample(*case, method="exact", seed=3) for kind, case in CASES.items()}


@every_case
def test_draws_have_the_layout_that_others_rely_on(kind, trees):
    (spec, stats), tree = CASES[kind], trees[kind]
    posterior = tree["posterior"].dataset
    assert set(tree.children) == {"posterior"}
    names = set(PARAMETERS) | ({"scale"} if kind == "shrinkage" else set())
    names |= set(JOINT_PARAMETERS) - {"scale"} if kind == "joint" else set()
    assert set(posterior.data_vars) == names
    for name, dims in (PARAMETERS | JOINT_PARAMETERS).items():
        if name in names:
            assert posterior[name].dims == ("chain", "draw", *dims)
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == (4, 1000)
    assert all(np.isfinite(v).all() and v.dtype == np.float64 for v in posterior.values())
    attrs = tree.attrs
    assert cp.JointGaussian.from_json(attrs["spec"]) == spec
    assert attrs["data_hash"] == stats.digest
    assert json.loads(attrs["data_sums"]) == stats.sums()
    assert (attrs["n_rows"], attrs["shared_rows"]) == (stats.n_rows, stats.shared_rows)
    assert (attrs["method"], attrs["seed"]) == ("exact", 3)
    assert attrs["k_hat"] <= K_HAT
    assert 2000 <= attrs["importance_ess"] < 20 * attrs["evaluations"]
    assert ("log_evidence" in attrs) == ("log_evidence_se" in attrs) == spec.prior.proper
    assert {"backend", "tune", "target_accept"}.isdisjoint(attrs)
    assert all(check.passed for check in convergence(tree))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shrinkage", "joint"])
def test_names_and_layout_are_those_of_nuts(kind, trees):
    spec, stats = CASES[kind]
    run = {"draws": 30, "tune": 100, "chains": 2, "seed": 0, "target_accept": 0.8}
    ours = trees[kind]["posterior"].dataset
    for collapse in (False, True):
        sampler = NutsSampler(spec, collapse=collapse)
        tree = sampler.draw(stats, **run)
        theirs = tree["posterior"].dataset
        free = {v.name for v in sampler.model.free_RVs}
        assert set(theirs.data_vars) - free == set(ours.data_vars) - free
        assert (tree.attrs["method"], tree.attrs["collapsed"]) == ("nuts", collapse)
        for name in ours.data_vars:
            assert theirs[name].dims == ours[name].dims
            assert theirs[name].shape[2:] == ours[name].shape[2:]
            for dim in ours[name].dims[2:]:
                assert theirs[dim].to_numpy().tolist() == ours[dim].to_numpy().tolist()


@every_case
def test_the_same_seed_gives_the_same_draws(kind):
    spec, stats = CASES[kind]
    one, two, other = (
        Sampler(spec, method="exact").draw(stats, seed=s, **SMALL)["posterior"].dataset
        for s in (5, 5, 6)
    )
    assert one.identical(two)
    assert not (one["sigma"] == other["sigma"]).any()
    assert one.sizes["chain"] == 2 and one.sizes["draw"] == 100


def test_without_a_seed_one_is_drawn_and_kept():
    spec, stats = CASES["lkj"]
    one = sample(spec, stats)
    again = sample(spec, stats, seed=one.attrs["seed"])
    assert one["posterior"].dataset.identical(again["posterior"].dataset)


def test_draws_go_to_netcdf_and_come_back(trees, tmp_path):
    for kind, tree in trees.items():
        tree.to_netcdf(tmp_path / f"{kind}.nc", engine="h5netcdf")
        again = xr.load_datatree(tmp_path / f"{kind}.nc", engine="h5netcdf")
        assert again.attrs == tree.attrs
        assert again["posterior"].dataset.identical(tree["posterior"].dataset)


@pytest.mark.parametrize("kind", ["shrinkage", "lkj", "joint"])
def test_without_rows_draws_are_those_of_the_prior(kind):
    spec, _ = CASES[kind]
    empty = cp.PatternStats.empty(spec.design)
    tree, reason = draw_exact(spec, empty, draws=1000, chains=4, seed=0)
    assert reason == ""
    assert abs(tree.attrs["log_evidence"]) < 4 * tree.attrs["log_evidence_se"] + 1e-10
    rng = np.random.default_rng(0)
    direct = [named_truth(spec, draw_prior(spec, rng)) for _ in range(4000)]
    names = list(JOINT_COLUMNS) if kind == "joint" else ["linkage", "sigma", "corrections"]
    names = [name for name in names if name in direct[0]]
    for name in names:
        ours = tree["posterior"][name].to_numpy().reshape(4000, -1)
        theirs = np.array([one[name] for one in direct]).reshape(4000, -1)
        for a, b in zip(ours.T, theirs.T, strict=True):
            if not b.any():
                assert not a.any()
                continue
            # Shares below quantiles of the one among the other: heavy tails do no harm.
            for level in (0.1, 0.5, 0.9):
                share = (a < np.quantile(b, level)).mean()
                error = np.sqrt(2.5 * level * (1 - level) / 4000)
                assert abs(share - level) < 4.5 * error, (name, level)


class Stub(FakeSampler):
    """Stands for the compiled collapsed model."""


def stubbed(spec, method):
    sampler = Sampler(spec, method=method)
    sampler.__dict__["collapsed"] = Stub(spec)
    return sampler


def bad_importance(k_hat=0.9, ess=4000.0):
    """The real importance sampler with another verdict."""
    real = exact.importance_sample

    def importance_sample(*args, **more):
        return dataclasses.replace(real(*args, **more), k_hat=k_hat, ess=ess)

    return importance_sample


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ({"k_hat": 0.9}, "k-hat of the importance weights is 0.90, above 0.7"),
        ({"k_hat": np.nan}, "k-hat of the importance weights is nan"),
        ({"k_hat": 0.1, "ess": 30.0}, "30 effective draws were found, 200 are wanted"),
    ],
)
def test_bad_weights_are_not_used(monkeypatch, verdict, word):
    spec, stats = CASES["shrinkage"]
    monkeypatch.setattr(exact, "importance_sample", bad_importance(**verdict))
    assert word in draw_exact(spec, stats, seed=0, **SMALL)[1]
    sampler = stubbed(spec, "exact")
    with pytest.warns(Notice, match=word + ".*no-U-turn sampler on the collapsed model"):
        tree = sampler.draw(stats, seed=7, **SMALL)
    assert tree.attrs["method"] == "nuts"
    assert sampler.collapsed.calls[0][1]["seed"] == 7
    silent = stubbed(spec, "auto")  # a warning would be an error
    assert silent.draw(stats, seed=7, **SMALL).attrs["method"] == "nuts"
    assert len(silent.collapsed.calls) == 1


def test_the_notice_points_at_who_asked(monkeypatch):
    spec, stats = CASES["shrinkage"]
    monkeypatch.setattr(sampling, "draw_exact", lambda *args, **more: (None, "no reason"))
    monkeypatch.setattr(Sampler, "collapsed", Stub(spec))
    with pytest.warns(Notice, match="no reason: drawn by") as caught:
        sample(spec, stats, method="exact", seed=0)
    assert [one.filename for one in caught] == [__file__]


def test_many_dimensions_are_not_tried(monkeypatch):
    spec, stats = CASES["shrinkage"]

    def refuse(*args, **more):
        raise AssertionError("tried")

    monkeypatch.setattr(sampling, "draw_exact", refuse)
    monkeypatch.setattr(sampling, "MOST_DIMS", 4)
    with pytest.warns(Notice, match="5 dimensions remain, more than 4"):
        stubbed(spec, "exact").draw(stats, seed=0, **SMALL)
    assert stubbed(spec, "auto").draw(stats, seed=0, **SMALL).attrs["method"] == "nuts"
    monkeypatch.setattr(sampling, "MOST_DIMS", 5)
    with pytest.raises(AssertionError, match="tried"):
        stubbed(spec, "auto").draw(stats, seed=0, **SMALL)


def test_a_backend_that_is_named_means_nuts():
    spec, _ = CASES["shrinkage"]
    sampler = Sampler(spec, backend="pymc")
    assert sampler.method == "nuts" and not sampler.nuts.collapse
    assert Sampler(spec).method == "auto"
    with pytest.raises(SamplingError, match="no backend for method 'exact'"):
        Sampler(spec, backend="pymc", method="exact")
    with pytest.raises(SamplingError, match="a method among"):
        Sampler(spec, method="exakt")


def test_an_improper_prior_has_no_evidence():
    with pytest.raises(SpecError, match="an improper prior has no normaliser"):
        evidence(*CASES["flat"])
    spec, _ = CASES["lkj"]
    with pytest.raises(StatisticsError, match="statistics of another design"):
        evidence(spec, CASES["joint"][1])


def test_an_evidence_of_bad_weights_warns(monkeypatch):
    monkeypatch.setattr(exact, "importance_sample", bad_importance(0.8))
    with pytest.warns(PosteriorWarning, match="0.80, above 0.7: the evidence and its") as caught:
        found = evidence(*CASES["lkj"], draws=200)
    assert caught[0].filename == __file__
    assert found.k_hat == 0.8


def test_an_evidence_is_the_same_for_the_same_seed_and_prints_one_line():
    one, two, other = (evidence(*CASES["lkj"], draws=500, seed=s) for s in (1, 1, 2))
    assert one == two != other
    assert str(one).startswith(f"log evidence {one.log_evidence:.2f} +- ")
    assert abs(one.log_evidence - other.log_evidence) < 5 * np.hypot(one.se, other.se)


def test_what_is_resampled_keeps_the_columns_in_step(trees):
    """Corrections of a draw were drawn given its own linkage and noise."""
    spec, _ = CASES["lkj"]
    draws = trees["lkj"]["posterior"].dataset
    sd = entry_sd(spec, np.ones(2), np.zeros(0))
    assert sd is not None and (sd == spec.prior.t).all()
    c = draws["linkage"].to_numpy()[..., 1, 0]
    r = draws["corrections"].sel(target="exp", basis="1").to_numpy()
    # exp = c sim + R: of rows with a mean of sim near 1, c and R have opposite errors.
    assert np.corrcoef(c.ravel(), r.ravel())[0, 1] < -0.5


@pytest.mark.parametrize(("silent", "shown"), [(0.0, True), (60.0, False)])
def test_long_runs_say_where_they_are(monkeypatch, capsys, silent, shown):
    monkeypatch.setattr(progress, "SILENT", silent)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    spec, stats = CASES["shrinkage"]
    quiet, _ = draw_exact(spec, stats, seed=0, **SMALL)
    assert capsys.readouterr() == ("", "")
    spoken, _ = draw_exact(spec, stats, seed=0, **SMALL, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("exact draws" in err) == shown
    xr.testing.assert_equal(quiet["posterior"].dataset, spoken["posterior"].dataset)


def test_stages_are_told_in_order():
    spec, stats = CASES["shrinkage"]
    density = CollapsedPosterior(spec, **arrays_of(spec, stats))
    rng, told = np.random.default_rng(0), []
    exact.importance_sample(density, density.starts(20, rng), 200, rng, told.append)
    assert told[:2] == ["ascent 1 of 12", "ascent 2 of 12"]
    assert "round 1 of adaptation, 500 draws" in told
    assert told[-1].startswith("last ")
