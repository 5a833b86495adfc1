"""Rows attached to draws: densities against scipy, replicates, labels, what is refused."""

import numpy as np
import pytest
import xarray as xr
from row_cases import (
    attached,
    dense,
    fit_of,
    given_the_rest,
    make_draws,
    make_rows,
    make_spec,
    make_truth,
)
from scipy.stats import multivariate_normal, norm

from claude_pymc.errors import Notice, SamplingError, TableError
from claude_pymc.joint import rows as module
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.rows import attach_rows
from claude_pymc.review.uniformity import uniformity_p_value
from claude_pymc.tables.table import Table

CASES = [("conditional", 2), ("conditional", 3), ("joint", 2), ("joint", 3)]


@pytest.mark.parametrize(("likelihood", "d"), CASES)
def test_density_of_each_value_given_the_rest_of_its_row(likelihood, d, rng):
    spec, truths, rows, idata = attached(likelihood, d, rng)
    for k, name in enumerate(spec.design.targets):
        found = idata["log_likelihood"][name].stack(s=("chain", "draw")).transpose("s", ...)
        places = np.flatnonzero(np.isfinite(rows.y[:, k]))
        assert found.shape == (6, len(places))
        for s, truth in enumerate(truths):
            z, mean, sigma = dense(spec, truth, rows)
            j, scale, shift = z.shape[1] - d + k, spec.design.scale[k], spec.design.location[k]
            for column, i in enumerate(places):
                centre, sd = given_the_rest(z, mean, sigma, i, j)
                value = np.log(rows.y[i, k]) if name == "exp" else rows.y[i, k]
                expected = norm.logpdf(value, shift + scale * centre, scale * sd)
                assert found[s, column] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("likelihood", "d"), CASES)
def test_density_of_whole_rows(likelihood, d, rng):
    spec, truths, rows, idata = attached(likelihood, d, rng)
    found = idata["log_likelihood"]["rows"].stack(s=("chain", "draw")).transpose("s", ...)
    kept = np.flatnonzero(np.isfinite(rows.y).any(axis=1))
    assert list(found["row"].to_numpy()) == [rows.labels[i] for i in kept]
    for s, truth in enumerate(truths):
        z, mean, sigma = dense(spec, truth, rows)
        scale = np.append(np.ones(z.shape[1] - d), spec.design.scale)  # descriptors: of the domain
        for column, i in enumerate(kept):
            have = np.isfinite(z[i])
            cov = (np.outer(scale, scale) * sigma)[np.ix_(have, have)]
            expected = multivariate_normal(None, cov).logpdf((scale * (z - mean)[i])[have])
            assert found[s, column] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("likelihood", "d"), CASES)
def test_replicates_are_drawn_given_the_rest_of_the_row(likelihood, d, rng):
    spec, truths, rows, idata = attached(likelihood, d, rng, draws=4000, same=True)
    z, mean, sigma = dense(spec, truths[0], rows)
    white = []
    for k, name in enumerate(spec.design.targets):
        found = idata["posterior_predictive"][name].stack(s=("chain", "draw")).transpose("s", ...)
        values = np.log(found.to_numpy()) if name == "exp" else found.to_numpy()
        places = np.flatnonzero(np.isfinite(rows.y[:, k]))
        for column, i in enumerate(places):
            centre, sd = given_the_rest(z, mean, sigma, i, z.shape[1] - d + k)
            modelled = (values[:, column] - spec.design.location[k]) / spec.design.scale[k]
            white.append((modelled - centre) / sd)
    white = np.array(white)
    bound = norm.isf(0.0005 / white.size * 4000)  # 0.1 % over all means, and over all variances
    assert np.abs(white.mean(axis=1)).max() < bound / np.sqrt(4000)
    assert np.abs(white.var(axis=1) - 1).max() < bound * np.sqrt(2 / 4000)
    pairs = np.corrcoef(white)[np.triu_indices(len(white), 1)]
    assert np.abs(pairs).max() < norm.isf(0.0005 / len(pairs)) / np.sqrt(4000)


@pytest.mark.parametrize(("likelihood", "d"), CASES)
def test_values_simulated_from_the_model_have_uniform_ranks(likelihood, d, rng):
    spec = make_spec(likelihood, d)
    truth = make_truth(spec, rng)
    rows = make_rows(spec, truth, rng, n=300)
    p_values = {}
    for noise in (1.0, 2.0):
        draws = make_draws(spec, [{**truth, "sigma": truth["sigma"] * noise}] * 200)
        idata = attach_rows(fit_of(draws, rows), rows, seed=2)
        for name in spec.design.targets:
            below = idata["posterior_predictive"][name] < idata["observed_data"][name]
            ranks = below.sum(("chain", "draw")).to_numpy()
            p_values[noise, name] = uniformity_p_value((ranks + rng.uniform(size=len(ranks))) / 201)
    assert min(p for (noise, _), p in p_values.items() if noise == 1.0) > 0.001 / d
    assert max(p for (noise, _), p in p_values.items() if noise == 2.0) < 0.001


def test_groups_have_the_labels_of_the_rows(rng):
    spec, _, rows, idata = attached("conditional", 3, rng)
    assert set(idata.children) == {"posterior", "sample_stats", *module.GROUPS}
    for k, name in enumerate(spec.design.targets):
        places = np.flatnonzero(np.isfinite(rows.y[:, k]))
        observed = idata["observed_data"][name]
        assert observed.dims == (f"row_{name}",)
        assert (observed.to_numpy() == rows.y[places, k]).all()
        for group in module.GROUPS:
            labels = idata[group][name][f"row_{name}"].to_numpy()
            assert list(labels) == [rows.labels[i] for i in places]
        for group in ("posterior_predictive", "log_likelihood"):
            assert idata[group][name].dims == ("chain", "draw", f"row_{name}")
            assert idata[group][name].shape == (2, 3, len(places))
    assert idata["log_likelihood"]["rows"].dims == ("chain", "draw", "row")
    bare = Table(rows.descriptors, rows.targets, rows.x, rows.y)
    again = attach_rows(idata, bare, spec, seed=1)
    assert again is idata
    kept = np.flatnonzero(np.isfinite(rows.y).any(axis=1))
    assert list(idata["log_likelihood"]["row"].to_numpy()) == list(kept)


def test_columns_are_matched_by_name(rng):
    spec, truths, rows, _ = attached("conditional", 3, rng)
    swapped = Table(
        ["b", "c", "a"],
        ["exp", "other", "sim"],
        np.column_stack([rows.x[:, 1], rows.x[:, 0] * 0 + 7, rows.x[:, 0]]),
        np.column_stack([rows.y[:, 2], rows.y[:, 0], rows.y[:, 1]]),
    )
    plain = rows.without("cheap", slice(None))
    plain, swapped = (t.rows(np.isfinite(t.x).all(axis=1)) for t in (plain, swapped))
    one, two = (
        attach_rows(fit_of(make_draws(spec, truths), t), t, seed=3) for t in (plain, swapped)
    )
    for group in module.GROUPS:
        assert set(two[group].data_vars) - {"rows"} == {"sim", "exp"}
        for name in two[group].data_vars:
            assert (two[group][name].to_numpy() == one[group][name].to_numpy()).all()


def test_seed_governs_the_replicates_alone(rng):
    spec, truths, rows, _ = attached("joint", 2, rng)
    found = [
        attach_rows(fit_of(make_draws(spec, truths), rows), rows, seed=s) for s in (5, 5, 6, None)
    ]
    draws = [t["posterior_predictive"]["exp"].to_numpy() for t in found]
    assert (draws[0] == draws[1]).all()
    assert not np.isclose(draws[0], draws[2]).any()
    assert not np.isclose(draws[0], draws[3]).any()
    densities = [t["log_likelihood"]["exp"].to_numpy() for t in found]
    assert (densities[0] == densities[2]).all()


def test_other_rows_than_those_of_the_fit_are_noticed(rng):
    spec, _, rows, idata = attached("conditional", 2, rng)  # no notice: a warning is an error here
    with pytest.warns(Notice, match="not those of the fit"):
        attach_rows(idata, rows.rows(slice(5, None)), spec)
    order = np.random.default_rng(0).permutation(len(rows))
    attach_rows(idata, rows.rows(order), spec)  # sums in another order: no notice
    del idata.attrs["data_sums"]
    attach_rows(idata, rows.rows(slice(5, None)), spec)


def test_errors(rng, monkeypatch):
    _, _, rows, idata = attached("conditional", 2, rng)
    wrong = Table(["a"], ["sim"], rows.x[:, :1], rows.y[:, :1])
    with pytest.raises(TableError, match=r"descriptors \['a', 'b'\]"):
        attach_rows(idata, wrong)
    with pytest.raises(TableError, match="positive values of 'exp'"):
        attach_rows(idata, Table(["a", "b"], ["exp"], [[1, 1]], [[-1]]))
    for empty in (rows.rows(slice(1, 3)), rows.rows(slice(0))):
        with pytest.warns(Notice), pytest.raises(SamplingError, match="got 0 of"):
            attach_rows(idata, empty)
    monkeypatch.setattr(module, "MOST_NUMBERS", 6 * rows.y.size)
    attach_rows(idata, rows)
    monkeypatch.setattr(module, "MOST_NUMBERS", 6 * rows.y.size - 1)
    with pytest.raises(SamplingError, match=f"between 1 and {len(rows) - 1} rows"):
        attach_rows(idata, rows)


def test_groups_survive_a_file(rng, tmp_path):
    spec, _, _, idata = attached("joint", 3, rng)
    JointPosterior(idata, spec).save(tmp_path / "draws.nc")
    again = JointPosterior.load(tmp_path / "draws.nc")
    assert again.spec == spec
    assert set(again.idata.children) == set(idata.children)
    for group in module.GROUPS:
        xr.testing.assert_identical(again.idata[group].to_dataset(), idata[group].to_dataset())
