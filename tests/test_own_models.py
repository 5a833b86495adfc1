"""Draws of other models are checked as far as their groups allow."""

import numpy as np
import pytest
import xarray as xr

import claude_pymc as cp
from claude_pymc.joint.rows import attach_rows
from claude_pymc.review.diagnostics import diagnose
from claude_pymc.review.own_models import NEEDED

CHAINS, DRAWS, ROWS = 4, 500, 40


def sampled(values, *dims):
    return xr.DataArray(
        values.reshape(CHAINS, DRAWS, *values.shape[1:]), dims=("chain", "draw", *dims)
    )


def line_model(rng, noise=0.3, offset=0.0, sure=1.0, missing=()):
    """Exact posterior draws of y = a + b x + noise, as PyMC would leave them."""
    x = rng.uniform(size=ROWS)
    phi = np.column_stack([np.ones(ROWS), x])
    y = phi @ [1.0, 2.0] + noise * rng.standard_normal(ROWS)
    y[: ROWS // 2] += offset
    y[list(missing)] = np.nan
    have = np.isfinite(y)
    precision = phi[have].T @ phi[have] / noise**2 + np.eye(2) / 25.0
    centre = np.linalg.solve(precision, phi[have].T @ y[have] / noise**2)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    theta = centre + rng.standard_normal((CHAINS * DRAWS, 2)) @ root.T
    mean, sd = theta @ phi.T, noise * sure
    log_density = -0.5 * ((y - mean) / sd) ** 2 - np.log(sd)
    replicate = mean + sd * rng.standard_normal(mean.shape)
    log_prior = -0.5 * (theta / 5.0) ** 2
    groups = {
        "posterior": {"a": sampled(theta[:, 0]), "b": sampled(theta[:, 1])},
        "log_likelihood": {"y": sampled(log_density, "row")},
        "posterior_predictive": {"y": sampled(replicate, "row")},
        "observed_data": {"y": xr.DataArray(y, dims="row")},
        "log_prior": {"a": sampled(log_prior[:, 0]), "b": sampled(log_prior[:, 1])},
    }
    return xr.DataTree.from_dict({name: xr.Dataset(values) for name, values in groups.items()})


def by_name(found):
    return {check.name: check for check in found.checks}


def test_a_sound_model(rng):
    found = diagnose(line_model(rng))
    names = by_name(found)
    assert found.ok, str(found)
    assert names["values with a high Pareto k"].passed
    assert names["predictive p-value, 40 rows with y"].passed
    assert names["leave-one-out coverage, y"].passed and names["leave-one-out PIT, y"].passed
    assert names["sensitivity to the prior"].passed is None
    assert "0 of 2 parameters" in names["sensitivity to the prior"].value


def test_draws_too_sure_of_the_noise(rng):
    names = by_name(diagnose(line_model(rng, sure=0.3)))
    assert names["leave-one-out coverage, y"].passed is False
    assert names["predictive p-value, 40 rows with y"].passed is False


def test_rows_that_are_missing_are_left_out(rng):
    names = by_name(diagnose(line_model(rng, missing=range(10))))
    assert "predictive p-value, 30 rows with y" in names
    assert " of 30 in their 90 % interval" in names["leave-one-out coverage, y"].value


@pytest.mark.parametrize("group", ["log_likelihood", "posterior_predictive", "log_prior"])
def test_a_group_that_is_not_there_is_named(group, rng):
    tree = line_model(rng)
    del tree[group]
    told = {c.name: c.value for c in diagnose(tree).checks if c.passed is None}
    lost = [name for name, value in told.items() if group in value]
    assert lost and set(lost) <= set(NEEDED)
    assert all("needs the group" in told[name] for name in lost)


def test_two_targets_of_one_variable_by_pattern(rng):
    tree = line_model(rng)
    y = tree["observed_data"]["y"].to_numpy()
    both = np.column_stack([y, y])
    both[:15, 1] = np.nan
    replicate = tree["posterior_predictive"]["y"].to_numpy()
    coords = {"target": ["sim", "exp"]}
    tree["observed_data"] = xr.DataTree(
        xr.Dataset({"y": xr.DataArray(both, coords, ("row", "target"))})
    )
    draws = xr.DataArray(
        np.stack([replicate, replicate], axis=-1), coords, ("chain", "draw", "row", "target")
    )
    tree["posterior_predictive"] = xr.DataTree(xr.Dataset({"y": draws}))
    del tree["log_likelihood"]
    names = by_name(diagnose(tree))
    assert names["predictive p-value, 25 rows with y[sim] and y[exp]"].passed
    assert names["predictive p-value, 15 rows with y[sim]"].passed


def test_attached_rows_of_ours_are_read_the_same_way():
    from check_cases import healthy

    post, table, _ = healthy("cubic", 1)
    tree = attach_rows(post.idata.copy(), table, seed=0)
    tree.attrs = {}
    found = diagnose(tree)
    assert found.ok, str(found)
    assert by_name(found)["leave-one-out coverage, exp"].passed


def test_a_tree_without_draws():
    tree = xr.DataTree.from_dict({"observed_data": xr.Dataset({"y": ("row", np.ones(3))})})
    with pytest.raises(cp.SamplingError, match="draws with a group 'posterior'"):
        diagnose(tree)


def test_stacked_draws(rng):
    tree = line_model(rng)
    flat = tree["log_likelihood"]["y"].to_numpy().reshape(-1, ROWS)
    tree["log_likelihood"] = xr.DataTree(xr.Dataset({"y": (("sample", "row"), flat)}))
    with pytest.raises(cp.SamplingError, match="keep chain and draw"):
        diagnose(tree)


def test_rows_need_a_specification(rng):
    table = cp.Table(["x"], ["y"], [[0.0]], [[1.0]])
    with pytest.raises(cp.SamplingError, match="draws with a specification"):
        diagnose(line_model(rng), table)


def test_a_page_of_another_model(rng, tmp_path):
    found = cp.report(line_model(rng), tmp_path / "page.html", title="A line")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found.ok and "<h2>Checks</h2>" in page and "<h2>Model</h2>" not in page


def counts_model(rng):
    """Draws of a Poisson rate from its conjugate posterior."""
    y = rng.poisson(3.0, ROWS).astype(float)
    rate = rng.gamma(0.5 + y.sum(), 1.0 / (ROWS + 0.1), CHAINS * DRAWS)
    log_density = y * np.log(rate)[:, None] - rate[:, None]
    groups = {
        "posterior": {"rate": sampled(rate), "one": sampled(np.ones(len(rate)))},
        "log_likelihood": {"y": sampled(log_density, "row")},
        "posterior_predictive": {
            "y": sampled(rng.poisson(rate[:, None], (len(rate), ROWS)).astype(float), "row")
        },
        "observed_data": {"y": xr.DataArray(y, dims="row")},
        "log_prior": {"rate": sampled(np.zeros(len(rate)))},
    }
    return xr.DataTree.from_dict({name: xr.Dataset(values) for name, values in groups.items()})


def test_counts_constants_and_flat_priors(rng):
    found = diagnose(counts_model(rng))
    assert found.ok, str(found)


def test_a_draw_that_rules_a_value_out(rng):
    tree = line_model(rng)
    tree["log_likelihood"]["y"].to_numpy()[0, :3, 7] = -np.inf
    k = by_name(diagnose(tree))["values with a high Pareto k"]
    assert "largest inf" in k.value


def test_replicates_at_other_places(rng):
    tree = line_model(rng)
    other = tree["posterior_predictive"]["y"].rename(row="place")
    tree["posterior_predictive"] = xr.DataTree(xr.Dataset({"y": other}))
    with pytest.raises(cp.SamplingError, match="keep those in the group predictions"):
        diagnose(tree)


def test_pit_is_that_of_the_value(rng):
    """Values far up have a PIT near one: the furthest value says which."""
    tree = line_model(rng)
    tree["observed_data"]["y"].to_numpy()[3] += 5.0
    check = by_name(diagnose(tree))["furthest value, left out"]
    assert check.passed is False and "row 3" in check.value


def test_posteriors_of_other_packages(rng):
    flat = xr.Dataset({"a": (("sample", "k"), rng.normal(size=(100, 2)))})
    with pytest.raises(cp.SamplingError, match="'a' over"):
        diagnose(xr.DataTree.from_dict({"posterior": flat}))
    words = xr.Dataset({"a": (("chain", "draw"), np.full((4, 500), "x"))})
    with pytest.raises(cp.SamplingError, match="draws that vary"):
        diagnose(xr.DataTree.from_dict({"posterior": words}))
    with pytest.raises(cp.SamplingError, match="load a file by"):
        diagnose("draws.nc")


def test_a_single_chain_is_said():
    one = xr.Dataset({"a": (("chain", "draw"), np.random.default_rng(0).normal(size=(1, 500)))})
    found = diagnose(xr.DataTree.from_dict({"posterior": one}))
    assert not found.sampled
    assert "sample at least four chains" in str(found)
