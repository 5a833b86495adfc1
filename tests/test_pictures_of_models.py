"""Pictures of linkage, corrections, structure and mixtures: they draw the numbers they say."""

import numpy as np
import pytest
import xarray as xr
from fakes import make_idata, make_spec
from picture_cases import drawn, line, marked

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.review.linkage import plot_corrections, plot_linkage
from claude_pymc.review.structure import nodes_of, plot_missing, plot_precision
from claude_pymc.review.style import alt_text
from claude_pymc.review.ternary import plot_ternary

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
