"""Pictures of surfaces, and what pictures refuse: they draw the numbers they say."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import make_idata, make_spec, make_validation
from picture_cases import drawn, fitted, line, marked

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.prediction import Prediction
from claude_pymc.review.linkage import plot_corrections, plot_linkage
from claude_pymc.review.maps import plot_maps
from claude_pymc.review.places import held_at, in_words, near_by
from claude_pymc.review.plots import plot_calibration, plot_parameters, plot_predictions, plot_ranks
from claude_pymc.review.prior_curves import plot_prior_predictive
from claude_pymc.review.structure import plot_missing, plot_precision
from claude_pymc.review.style import CHEAPER, PRIMARY, alt_text
from claude_pymc.review.surfaces import plot_slices, plot_update
from claude_pymc.review.ternary import plot_ternary

# Slices


def test_slices_draw_what_is_predicted(toy):
    table, post = toy
    figure = drawn(plot_slices(post, table, prob=0.8))
    (axes,) = figure.axes
    x = line(axes, "exp")[:, 0]
    assert (x[0], x[-1]) == (table.x.min(), table.x.max())
    pred = post.predict(x[:, None], kind="mean")
    np.testing.assert_allclose(line(axes, "exp")[:, 1], pred.mean().sel(target="exp"))
    ends = pred.interval(0.8).sel(target="exp").to_numpy().T
    edges = [one.get_ydata() for one in axes.lines if one.get_linewidth() == 0.6]
    np.testing.assert_allclose(edges[2:], ends)  # those of sim are first
    observed = post.predict(x[:, None], kind="observation", seed=0).interval(0.8)
    wide = axes.collections[2].get_paths()[0].vertices[:, 1]  # pale and dark of sim, pale of exp
    assert wide.min() == pytest.approx(float(observed.sel(target="exp").min()))
    assert len(marked(axes)) == sum(table.counts.values()) == 15


def test_targets_differ_by_line_and_marker_not_by_colour_alone(toy):
    table, post = toy
    (axes,) = plot_slices(post, table).axes
    lines = {o.get_label(): o for o in axes.lines if o.get_label() in ("sim", "exp")}
    assert lines["sim"].get_linestyle() == "--" and lines["exp"].get_linestyle() == "-"
    markers = [o.get_marker() for o in axes.lines if o.get_linestyle() == "None"]
    assert markers == ["s", "o"]
    looks = (PRIMARY, *CHEAPER)
    for a, b in itertools.combinations(looks, 2):
        assert a.line != b.line and a.marker != b.marker
    grey = [np.dot(matplotlib.colors.to_rgb(one.colour), (0.299, 0.587, 0.114)) for one in looks]
    assert abs(grey[0] - grey[1]) > 0.25  # the two that every picture has


def test_rows_off_the_slice_are_faint(magnet):
    table, post = magnet
    at = {"zr": 0.1, "y": 0.2, "co": 0.15, "ti": 0.05, "v": 0.05}
    (axes,) = plot_slices(post, table, along="T", at=at, targets=["m_exp"]).axes
    x = table.x[:, :5]
    width = np.nanmax(x, 0) - np.nanmin(x, 0)
    near = (np.abs(x - list(at.values())) <= 0.1 * width).all(1) & np.isfinite(table.y[:, 1])
    # T is none of the others, and m_exp is measured in 60 rows
    np.testing.assert_array_equal(
        near_by(post, table, at, "m_exp") & np.isfinite(table.y[:, 1]), near
    )
    faint = [o for o in axes.lines if o.get_linestyle() == "None" and (o.get_alpha() or 1) < 1]
    assert sum(len(o.get_xdata()) for o in faint) == 60 - near.sum()
    assert len(marked(axes)) == 60
    assert axes.get_xlabel() == "T [K]" and axes.get_ylabel() == "m_exp [T]"
    assert "co = 0.15" in axes.get_title(loc="left")


def test_targets_of_other_quantities_have_their_own_panel(elements):
    table, post = elements
    figure = drawn(plot_slices(post, table))
    assert [axes.get_ylabel().split(" [")[0] for axes in figure.axes] == [
        "bulk_modulus_sim",
        "volume_sim, volume_exp",
    ]
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}


def test_what_is_held_is_the_middle_of_the_rows(routes):
    table, post = routes
    held = held_at(post, table, None, ["x"])
    assert held == {"z": pytest.approx(np.median(table.x[:, 2])), "route": "melt"}
    assert held_at(post, None, {"z": 2}, ["x"]) == {"z": 2.0, "route": "gel"}  # the first
    assert in_words({"T": 300.0, "route": "gel"}, {"T": "K"}) == "at T = 300 K, route = gel"
    assert not near_by(post, table, {"route": "gel", "z": 9.0}, "exp").any()
    near = near_by(post, table, {"route": "gel", "z": float(table.x[1, 2])}, "exp")
    assert near[1] and not near[table.x[:, 0] == 1].any()
    low, high = (
        line(plot_slices(post, table, at={"route": r}).axes[0], "exp")[:, 1].mean()
        for r in ("melt", "gel")
    )
    assert high - low == pytest.approx(1.0, abs=0.05)


# Before and after


def test_update_draws_both_bands(toy):
    table, after = toy
    measured = np.isfinite(table.y[:, 1])
    first, new = table.rows(measured), table.rows(~measured)
    with pytest.warns(cp.Notice, match="'sim' has no value yet"):
        before = fitted(first, after.spec)
    figure = drawn(plot_update(before, after, table=first, new_rows=new))
    (axes,) = figure.axes
    x = line(axes, "exp, mean before")[:, 0]
    widths = []
    for post, place in ((before, 0), (after, 1)):
        ends = post.predict(x[:, None]).interval(0.9).sel(target="exp").to_numpy()
        vertices = axes.collections[place].get_paths()[0].vertices[:, 1]
        assert (vertices.min(), vertices.max()) == pytest.approx((ends.min(), ends.max()))
        widths.append(f"{np.diff(ends).mean():.3g}")
    assert axes.collections[0].get_hatch() and not axes.collections[1].get_hatch()
    assert f"{widths[0]} wide before" in alt_text(figure) and f"{widths[1]} after" in alt_text(
        figure
    )
    assert float(widths[1]) < float(widths[0])
    assert len(marked(axes)) == 15
    assert axes.get_ylabel() == "sim, exp"


def test_update_refuses_other_targets(toy, mixture):
    with pytest.raises(cp.CandidateError, match=r"(?s)two posteriors of .* different studies"):
        plot_update(toy[1], mixture[1])


# Maps


@pytest.mark.parametrize("show", ["mean", "std"])
def test_maps_share_one_scale(mixture, show):
    table, post = mixture
    figure = drawn(plot_maps(post, table=table, show=show, points=9))
    sim, exp, bar = figure.axes
    meshes = [axes.collections[0] for axes in (sim, exp)]
    x = np.linspace(0, 1, 9)
    points = np.stack([v.ravel() for v in np.meshgrid(x, x)], axis=1)
    values = getattr(post.predict(points), show)().to_numpy()
    for j, mesh in enumerate(meshes):
        np.testing.assert_allclose(mesh.get_array().ravel(), values[:, j])
        assert mesh.get_clim() == pytest.approx((values.min(), values.max()))
    assert bar.get_ylabel().endswith("gap_sim, gap_exp [eV]")
    assert exp.texts  # lines carry their numbers
    assert [len(marked(axes)) for axes in (sim, exp)] == [28, 11]
    assert f"{values[:, 1].max():.3g} eV" in alt_text(figure)


def test_maps_of_two_quantities_have_their_own_scales(elements):
    table, post = elements
    figure = drawn(plot_maps(post, table=table, targets=post.targets, points=7))
    limits = [axes.collections[0].get_clim() for axes in figure.axes[:3]]
    assert limits[0] != limits[1] == limits[2]
    values = [axes.collections[0].get_array() for axes in figure.axes[1:3]]
    assert limits[1] == pytest.approx((np.min(values), np.max(values)))
    assert values[0].min() != values[1].min()
    assert isinstance(figure.axes[0].collections[0].norm, matplotlib.colors.LogNorm)
    assert len(figure.axes) == 5  # three maps, two bars


# The prior


def test_prior_curves(tmp_path):
    x = np.array([1.0, 0.0, 0.5])
    values = np.arange(120.0).reshape(40, 3, 1) / 120
    array = xr.DataArray(values, dims=("sample", "candidate", "target"), coords={"target": ["exp"]})
    pred = Prediction(array, "mean", {"exp": "eV"})
    frame = pd.DataFrame({"t": x})
    figure = drawn(plot_prior_predictive(pred, frame, {"exp": (0.0, 0.5)}, {"t": "K"}))
    (axes,) = figure.axes
    assert len(axes.lines) == 30
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 1 / 120], [0.5, 2 / 120], [1, 0]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("t [K]", "exp [eV]")
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    ends = np.quantile(values[..., 0], [0.05, 0.95], axis=0)
    assert (band.min(), band.max()) == pytest.approx((ends.min(), ends.max()))
    share = 100 * np.mean(values <= 0.5)
    assert f"{share:.0f} % within the range" in alt_text(figure)
    with pytest.raises(cp.CandidateError, match="one number for each of 3 candidates"):
        plot_prior_predictive(pred, frame.assign(u=1.0))
    with pytest.raises(cp.CandidateError, match=r"(?s)ranges of the targets .*'gap'"):
        plot_prior_predictive(pred, x, {"gap": (0.0, 1.0)})
    values[3, 1] = np.nan
    with pytest.raises(cp.CandidateError, match="1 that are NaN"):
        plot_prior_predictive(pred, x)


# What is refused


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda t, p: plot_slices(p, t, along="w"), r"(?s)a number, among \['x', 'z'\].*'w'"),
        (lambda t, p: plot_slices(p, t, along="route"), "'route' holds text"),
        (lambda t, p: plot_slices(p, t, targets=["gap"]), r"(?s)targets among .*'gap'"),
        (lambda t, p: plot_slices(p, t, targets=[]), r"(?s)targets among .*none"),
        (lambda t, p: plot_slices(p, t.rows([])), "no rows"),
        (lambda t, p: plot_slices(p, t, at={"x": 1.0}), "runs along it"),
        (lambda t, p: plot_slices(p, t, at={"w": 1.0}), r"(?s)at with descriptors.*'w'"),
        (lambda t, p: plot_slices(p, t, at={"route": "sputter"}), "a category of 'route'"),
        (lambda t, p: plot_slices(p, t, at={"z": "high"}), "a number for 'z'"),
        (lambda t, p: plot_maps(p, "x", "x"), "other than 'x'"),
        (lambda t, p: plot_maps(p, "x", "route"), "'route' holds text"),
        (lambda t, p: plot_maps(p, show="median"), "show among"),
        (lambda t, p: plot_maps(p, points=1), "at least 3 points"),
        (lambda t, p: plot_ternary(p, ["x", "z"]), "three components"),
        (lambda t, p: plot_ternary(p, ["x", "z", "route"]), "'route' holds text"),
        (lambda t, p: plot_ternary(p, ["x", "w", "v"]), "at least two of them"),
        (lambda t, p: plot_missing(t.rows([])), "a table with rows"),
        (lambda t, p: plot_linkage(p, t.rows([])), "no rows"),
    ],
)
def test_refused(routes, call, text):
    with pytest.raises(cp.CandidateError, match=text):
        call(*routes)


def test_one_descriptor_has_no_map_and_one_target_no_linkage(toy):
    with pytest.raises(cp.CandidateError, match="too few descriptors"):
        plot_maps(toy[1])
    one = JointPosterior(make_idata(make_spec(1), draws=50))
    table = cp.Table(["x"], ["exp"], [[0.0], [2.0]], [[1.0], [9.0]])
    with pytest.raises(cp.CandidateError, match=r"(?s)a cheaper target .*'exp'"):
        plot_linkage(one, table)
    drawn(plot_slices(one, table))
    drawn(plot_precision(one))
    with pytest.raises(cp.CandidateError, match="without 'exp'"):
        plot_linkage(toy[1], cp.Table(["x"], ["sim"], [[0.0]], [[1.0]]))
    none = cp.JointGaussian(
        cp.Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"], None, {"exp": []})
    )
    with pytest.raises(cp.CandidateError, match="correction terms of 'exp'"):
        plot_corrections(JointPosterior(make_idata(none, draws=50)))


def test_a_target_that_needs_what_is_missing_is_refused(magnet):
    table, post = magnet
    with pytest.raises(cp.CandidateError, match=r"(?s)'m_exp' depends on.*\['T'\] missing"):
        plot_slices(post, table, along="co", at={"T": np.nan})
    drawn(plot_slices(post, table, along="co", at={"T": np.nan}, targets=["m_sim"]))


def test_the_older_pictures_have_words_with_numbers(toy):
    validation = make_validation(20, 2)
    assert "18 lie inside their 90 %" in alt_text(plot_predictions(validation, {"exp": "eV"}))
    c = toy[1].draws_of("linkage")[:, 1, 0]
    assert f"exp on sim {np.median(c):.3g}" in alt_text(plot_parameters(toy[1]))
    assert "250 draws each" in alt_text(plot_ranks(toy[1]))
    ranks = xr.DataArray(np.random.default_rng(0).random((1, 50)), dims=("quantity", "simulation"))
    ranks = ranks.assign_coords(quantity=["c"])
    assert "0 leave their 95 % band" in alt_text(plot_calibration(ranks, {"c": 0.5}))
