"""Pictures of surfaces, structure and mixtures: they draw the numbers they say."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import make_idata, make_spec, make_validation

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.prediction import Prediction
from claude_pymc.review.linkage import plot_corrections, plot_linkage
from claude_pymc.review.maps import plot_maps
from claude_pymc.review.places import held_at, in_words, near_by
from claude_pymc.review.plots import plot_calibration, plot_parameters, plot_predictions, plot_ranks
from claude_pymc.review.prior_curves import plot_prior_predictive
from claude_pymc.review.structure import nodes_of, plot_missing, plot_precision
from claude_pymc.review.style import CHEAPER, PRIMARY, alt_text
from claude_pymc.review.surfaces import plot_slices, plot_update
from claude_pymc.review.ternary import plot_ternary


def fitted(table, spec):
    stats = cp.PatternStats.from_table(table, spec.design)
    draws = cp.sample(spec, stats, method="exact", seed=0, draws=250)
    return JointPosterior(draws)


def study(name):
    found = cp.Study.named(name)
    table = found.table()
    return table, fitted(table, found.spec(table))


@pytest.fixture(scope="module")
def toy():
    return study("toy_pair")


@pytest.fixture(scope="module")
def mixture():
    return study("perovskite")


@pytest.fixture(scope="module")
def magnet():
    return study("magnet")


@pytest.fixture(scope="module")
def elements():
    return study("elements_volume")


@pytest.fixture(scope="module")
def routes():
    """Rows with a descriptor of text, whose categories differ by 1 in the target."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"route": ["melt", "gel", "melt"] * 10, "x": rng.random(30), "z": rng.random(30)}
    )
    frame["sim"] = frame["x"] + 0.01 * rng.normal(size=30)
    frame["exp"] = frame["sim"] + (frame["route"] == "gel") + 0.01 * rng.normal(size=30)
    table = cp.Table.from_frame(frame, ["route", "x", "z"], ["sim", "exp"], categories=["route"])
    spec = cp.JointGaussian(cp.Design.from_table(table, None, {"exp": ["1", "x", "route"]}))
    return table, fitted(table, spec)


def line(axes, label):
    (found,) = (one for one in axes.lines if one.get_label() == label)
    return found.get_xydata()


def marked(axes):
    """Points that are drawn as markers without a line."""
    return np.vstack([one.get_xydata() for one in axes.lines if one.get_linestyle() == "None"])


def drawn(figure):
    """Draw it, with whatever warns."""
    figure.draw_without_rendering()
    box, size = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < size[0] + 0.02
    return figure


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


# Linkage


def test_linkage_draws_the_pairs_and_the_line(elements):
    table, post = elements
    figure = drawn(plot_linkage(post, table))
    left, right = figure.axes
    both = np.isfinite(table.y[:, 1:]).all(axis=1)
    np.testing.assert_array_equal(marked(left), table.y[both, 1:])
    # The slope of the logarithms is that of c.
    x, y = np.log(line(left, "c, all else held: mean and 90 % band")).T
    c = post.draws_of("linkage")[:, 2, 1]
    assert np.polyfit(x, y, 1)[0] == pytest.approx(c.mean(), abs=0.01)
    # In the middle of the rows the line is the mean of what is predicted there.
    known = dict(zip(post.targets[:2], table.y[both, :2].T, strict=True))
    pred = post.predict(table.rows(both), given=known)
    middle = np.log(pred.mean().sel(target="volume_exp")).mean()
    assert np.interp(np.log(table.y[both, 1]).mean(), x, y) == pytest.approx(
        float(middle), abs=0.01
    )
    low, median, high = np.quantile(c, [0.05, 0.5, 0.95])
    assert f"{median:.3g}" in alt_text(figure) and f"{low:.3g} to {high:.3g}" in alt_text(figure)
    bars = right.patches
    assert sum(b.get_height() * b.get_width() for b in bars) == pytest.approx(1.0)
    prior = line(right, "prior")
    assert prior[prior[:, 1].argmax(), 0] == pytest.approx(1.0, abs=0.02)
    assert [o.get_xdata()[0] for o in right.lines if o.get_linestyle() == ":"] == [1.0]


def test_the_line_holds_further_cheaper_targets_at_what_they_are():
    post = JointPosterior(make_idata(make_spec(3, corrections={"exp": ["1", "x"]}), draws=50))
    rng = np.random.default_rng(4)
    rows = cp.Table(["x"], post.targets, rng.uniform(0, 2, (9, 1)), rng.uniform(1, 9, (9, 3)))
    axes = drawn(plot_linkage(post, rows)).axes[0]
    known = dict(zip(post.targets[:2], rows.y[:, :2].T, strict=True))
    middle = post.predict(rows, given=known).mean().sel(target="exp").mean()
    x, y = line(axes, "c, all else held: mean and 90 % band").T
    assert np.interp(rows.y[:, 1].mean(), x, y) == pytest.approx(float(middle), rel=1e-9)
    drawn(plot_linkage(post, rows.without("cheap", [0])))  # what lacks is predicted


def test_linkage_says_that_no_row_has_both(toy):
    table, post = toy
    figure = drawn(plot_linkage(post, table))
    (text,) = figure.axes[0].texts
    assert text.get_text().startswith("No row has both sim")
    assert not figure.axes[0].lines and figure.axes[1].patches
    assert alt_text(figure).startswith("0 rows have both")


def test_a_linkage_that_varies_is_drawn_row_by_row():
    rng = np.random.default_rng(2)
    x = rng.random((30, 1))
    sim = 2.0 + rng.normal(size=30)
    y = np.stack([sim, (0.5 + x[:, 0]) * sim + 0.02 * rng.normal(size=30)], axis=1)
    y[:5, 1] = np.nan
    table = cp.Table(["x"], ["sim", "exp"], x, y)
    spec = cp.JointGaussian(cp.Design.from_table(table, None, {"exp": ["1"]}), varying=["x"])
    post = varying_by_hand(spec, slope=0.25, c=1.0)
    axes = drawn(plot_linkage(post, table)).axes[1]
    low, high = table.x.min(), table.x.max()
    u = 2 * (table.x[5:, 0] - low) / (high - low) - 1
    np.testing.assert_allclose(marked(axes), np.stack([table.y[5:, 0], 1.0 + 0.25 * u], axis=1))
    assert "varies" in axes.get_title(loc="left")


def varying_by_hand(spec, slope, c):
    """A posterior of equal draws whose linkage is c + slope x."""
    size = (2, 10)
    linkage = np.zeros((*size, 2, 2))
    linkage[..., 1, 0] = c
    sigma, corrections = np.full((*size, 2), 0.1), np.zeros((*size, *spec.design.active.shape))
    tree = make_idata(spec, *size, columns=(linkage, sigma, corrections))
    varying = xr.DataArray(np.full((*size, 1), slope), dims=("chain", "draw", "varying_term"))
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(varying=varying))
    return JointPosterior(tree)


# Corrections


def test_corrections_are_r_of_x_in_the_unit_of_the_target(magnet):
    table, post = magnet
    figure = drawn(plot_corrections(post, table))
    names = [axes.get_xlabel().split(" [")[0] for axes in figure.axes if axes.axison]
    assert names == ["T", "co", "ti"]  # by effect; other descriptors have no term
    axes = figure.axes[0]
    design = post.spec.design
    x = axes.lines[0].get_xdata()
    points = np.tile(np.nanmedian(table.x, axis=0), (len(x), 1))
    points[:, 5] = x
    r = design.scale[1] * post.draws_of("corrections")[:, 1] @ design.phi(points).T
    np.testing.assert_allclose(axes.lines[0].get_ydata(), r.mean(axis=0))
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    ends = np.quantile(r, [0.05, 0.95], axis=0)
    assert (band.min(), band.max()) == pytest.approx((ends.min(), ends.max()))
    assert axes.get_ylabel() == "R [T]"
    two = plot_corrections(post, table, most=2)
    assert "1 descriptors that change it less are left out" in two.get_suptitle()


def test_corrections_of_a_logarithm_are_a_factor(elements):
    figure = drawn(plot_corrections(elements[1], elements[0]))
    assert figure.axes[0].get_ylabel() == "R, as a factor"
    assert line_at(figure.axes[0]) == 1.0
    assert (figure.axes[0].lines[0].get_ydata() > 0).all()


def line_at(axes):
    (found,) = (one for one in axes.lines if one.get_linestyle() == ":")
    return found.get_ydata()[0]


def test_corrections_of_categories(routes):
    table, post = routes
    figure = drawn(plot_corrections(post, table))
    (axes,) = (a for a in figure.axes if a.get_xlabel() == "route")
    assert [t.get_text() for t in axes.get_xticklabels()] == ["gel", "melt"]
    y = axes.containers[0].lines[0].get_ydata()
    assert y[0] - y[1] == pytest.approx(1.0, abs=0.05)


def test_a_constant_correction_has_one_flat_panel(toy):
    (axes,) = drawn(plot_corrections(toy[1], toy[0])).axes
    assert np.ptp(axes.lines[0].get_ydata()) == 0.0


# Structure


@pytest.mark.parametrize("name", ["toy", "elements", "magnet"])
def test_edges_are_the_free_entries_and_the_zeros(name, request):
    post = request.getfixturevalue(name)[1]
    design = post.spec.design
    figure = drawn(plot_precision(post))
    sizes = {node.name: len(node.terms) for node in nodes_of(post.spec)}
    found = {"free": 0, "zero": 0}
    for one in figure.axes[0].lines:
        if one.get_gid():
            node, target = one.get_gid().split("|")
            zero = one.get_color() == "#999999"
            found["zero" if zero else "free"] += sizes[node]
            row = design.active[design.targets.index(target)]
            (terms,) = (n.terms for n in nodes_of(post.spec) if n.name == node)
            assert {bool(row[design.terms.index(t)]) for t in terms} == {not zero}
    assert found == {"free": design.active.sum(), "zero": (~design.active).sum()}
    arrows = {patch.get_gid() for patch in figure.axes[0].patches}
    assert arrows == {f"{design.targets[k]}>{design.targets[j]}" for j, k, _ in post.spec.links}
    assert f"{found['zero']} zeros" in alt_text(figure)


def test_many_terms_are_few_nodes(magnet):
    nodes = nodes_of(magnet[1].spec)
    assert len(nodes) <= 12
    assert sorted(t for node in nodes for t in node.terms) == sorted(magnet[1].spec.design.terms)
    assert len({node.name for node in nodes}) == len(nodes)


def test_missing_counts_rows_by_what_they_fill(magnet):
    table = magnet[0]
    figure = drawn(plot_missing(table))
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["60 rows", "60 rows"]
    empty = sorted(
        axes.get_xticklabels()[round(p.get_x() - 0.04 - 0.4 * (p.get_x() > 6))].get_text()
        for p in axes.patches
        if p.get_gid() == "empty"
    )
    assert empty == ["T", "m_exp (60)", "m_sim (60)"]
    assert "60 rows lack T, m_exp" in alt_text(figure)


def test_missing_of_many_rows_and_columns_stays_small():
    rng = np.random.default_rng(0)
    x, y = rng.random((2000, 20)), rng.random((2000, 6))
    x[:700, 3] = np.nan
    y[rng.random(y.shape) < 0.3] = np.nan
    table = cp.Table([f"x{i}" for i in range(20)], list("abcdef"), x, y)
    figure = drawn(plot_missing(table))
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()][:2] == ["19 descriptors", "x3"]
    kinds, counts = np.unique(np.isfinite(np.hstack([x, y])), axis=0, return_counts=True)
    shown = [int(t.get_text().split()[0]) for t in axes.get_yticklabels()]
    assert shown == sorted(counts, reverse=True)[:12]
    rest = f"{len(kinds) - 12} more kinds, {2000 - sum(shown)} rows"
    assert rest in axes.get_title(loc="left").replace("\n", " ")
    assert figure.get_size_inches()[1] < 12


# Mixtures


def test_ternary_of_two_fractions_and_the_rest(mixture):
    table, post = mixture
    figure = drawn(plot_ternary(post, ("rest", "x1", "x2"), table=table, points=6))
    axes = figure.axes[0]
    mesh = axes.collections[0]
    places = np.stack([mesh._triangulation.x, mesh._triangulation.y], axis=1)
    x2 = places[:, 1] / np.sqrt(0.75)
    fractions = np.stack([places[:, 0] - x2 / 2, x2], axis=1)
    assert len(places) == 21 and len(mesh._triangulation.triangles) == 25
    values = post.predict(fractions).mean().sel(target="gap_exp").to_numpy()
    np.testing.assert_allclose(mesh.get_array(), values)
    found = marked(axes)
    rows = table.x[np.isfinite(table.y[:, 1])]
    expected = np.stack([rows[:, 0] + rows[:, 1] / 2, np.sqrt(0.75) * rows[:, 1]], axis=1)
    np.testing.assert_allclose(found, expected)
    assert figure.axes[1].get_ylabel() == "mean of\ngap_exp [eV]"
    words = [text.get_text() for text in axes.texts]
    assert {"rest", "x1", "x2"} < set(words)
    assert f"{values.max():.3g} eV at" in alt_text(figure)


def test_ternary_of_three_fractions_leaves_out_what_is_no_mixture():
    design = cp.Design.from_bounds(dict.fromkeys("abc", (0.0, 1.0)), ["sim", "exp"])
    post = JointPosterior(make_idata(cp.JointGaussian(design), draws=50))
    x = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    table = cp.Table(["a", "b", "c"], ["sim", "exp"], x, np.ones((3, 2)))
    figure = drawn(plot_ternary(post, ["a", "b", "c"], table=table, points=5))
    np.testing.assert_allclose(marked(figure.axes[0]), [[0.55, 0.5 * np.sqrt(0.75)], [0.0, 0.0]])
    assert "1 more are no mixture" in figure.axes[0].get_title(loc="left")


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
