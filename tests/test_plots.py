"""The three pictures show what they should, with units, and are not blank."""

import numpy as np
import pytest
from fakes import make_idata, make_spec, make_validation
from matplotlib.image import imread

import claude_pymc as cp
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.review.plots import axis_label, plot_parameters, plot_predictions, plot_ranks

UNITS = {"exp": "eV"}


@pytest.fixture(scope="module")
def post():
    return JointPosterior(make_idata(make_spec(3, corrections={"exp": ["1", "x"]}), draws=100))


def ink(figure, path):
    """Share of pixels that are not white, in the whole picture and in each of its quarters."""
    figure.savefig(path)
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) > 300
    dark = (image < 0.9).any(axis=-1)
    half = [n // 2 for n in dark.shape]
    return [
        part[:, c].mean()
        for part in (dark[: half[0]], dark[half[0] :])
        for c in (slice(None, half[1]), slice(half[1], None))
    ]


def test_axis_label():
    assert axis_label("exp", UNITS) == "exp [eV]"
    assert axis_label("sim", UNITS) == "sim"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("outside", [0, 2])
def test_predictions(tmp_path, log, outside):
    validation = make_validation(20, outside)
    figure = plot_predictions(validation, UNITS, log)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "measured exp [eV]"
    assert axes.get_ylabel() == "predicted exp [eV]"
    assert axes.get_xscale() == axes.get_yscale() == ("log" if log else "linear")
    inside, missed = (c.lines[0].get_xydata() for c in axes.containers)
    assert (len(inside), len(missed)) == (20 - outside, outside)
    frame = validation.frame[["measured", "mean"]].to_numpy()
    np.testing.assert_array_equal(np.vstack([missed, inside]), frame)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [w.rsplit(" ", 1)[1] for w in words] == [f"({20 - outside})", f"({outside})"]
    assert all("90 %" in w for w in words)
    assert [t.get_text() for t in axes.texts] == [f"row{i}" for i in range(outside)]
    assert f"{20 - outside} of 20 inside" in axes.get_title(loc="left")
    assert min(ink(figure, tmp_path / "predictions.png")) > 0.005


def test_parameters_have_one_line_each(post, tmp_path):
    figure = plot_parameters(post)
    rows = [[t.get_text() for t in axes.get_yticklabels()] for axes in figure.axes]
    assert rows == [
        ["exp on sim", "exp on cheap", "sim on cheap"],
        ["x", "1"],
        ["exp: 0.449 eV", "sim: 0.445", "cheap: 0.443"],  # medians in their units
    ]
    for axes, names in zip(figure.axes, rows, strict=True):
        drawn = [line for line in axes.lines if line.get_marker() == "o"]
        assert [float(line.get_ydata()[0]) for line in drawn] == list(range(len(names)))
    sigma = post.idata["posterior"]["sigma"].to_numpy().reshape(-1, 3)
    noise = [line for line in figure.axes[2].lines if line.get_marker() == "o"]
    medians = [float(line.get_xdata()[0]) for line in noise]
    np.testing.assert_allclose(medians, np.median(sigma, axis=0)[::-1])
    thin = figure.axes[2].lines[-3].get_xdata()
    np.testing.assert_allclose(thin, np.quantile(sigma[:, 0], [0.05, 0.95]))
    assert "90 %" in figure.get_supxlabel()
    assert min(ink(figure, tmp_path / "parameters.png")) > 0.005


def test_nothing_is_cut_off_however_long_the_names():
    names = ["long_name_of_a_simulated_target", "long_name_of_a_measured_target"]
    spec = cp.JointGaussian(cp.Design.from_bounds({"x": (0.0, 1.0)}, names))
    figure = plot_parameters(JointPosterior(make_idata(spec, draws=50)))
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert 0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height


@pytest.mark.parametrize("quantities", [None, {"sim": "sim"}, {"cheap": "a", "sim": "b"}])
def test_one_is_marked_for_targets_of_the_same_quantity(quantities):
    ranges = dict.fromkeys(["cheap", "sim", "exp"], (1.0, 9.0))
    design = cp.Design.from_bounds(
        {"x": (0.0, 2.0)}, list(ranges), ranges=ranges, quantities=quantities
    )
    spec = cp.JointGaussian(design)
    axes = plot_parameters(JointPosterior(make_idata(spec, draws=50))).axes[0]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    places = [round(float(np.mean(line.get_ydata()))) for line in dotted]
    assert all((line.get_xdata() == 1.0).all() for line in dotted)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    shown = {labels[place] for place in places}
    same = {None: {"sim on cheap", "exp on sim"}, "sim": {"exp on cheap"}}
    expected = same.get(next(iter(quantities or [None])), set())
    assert shown == expected
    assert ("carries over" in axes.get_title(loc="left")) == bool(expected)


def test_one_target_has_no_panel_of_links():
    figure = plot_parameters(JointPosterior(make_idata(make_spec(1), draws=50)))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == 2
    assert not any("Linkage" in title for title in titles)


def test_ranks_of_every_chain(post, tmp_path):
    figure = plot_ranks(post)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "c: sim on cheap",
        "c: exp on cheap",
        "c: exp on sim",
        "sigma: cheap",
        "sigma: sim",
        "sigma: exp",
    ]
    for axes in figure.axes:
        counts = np.array([patch.get_data().values for patch in axes.patches[1:]])
        assert counts.shape == (4, 20)
        assert (counts.sum(axis=1) == 100).all()
        assert (counts.sum(axis=0) == 20).all()
    assert min(ink(figure, tmp_path / "ranks.png")) > 0.005


def test_a_shifted_chain_is_seen_in_the_ranks():
    idata = make_idata(make_spec(1), draws=100)
    idata["posterior"].dataset["sigma"].to_numpy()[3] += 10.0
    axes = plot_ranks(JointPosterior(idata)).axes[0]
    counts = np.array([patch.get_data().values for patch in axes.patches[1:]])
    assert (counts[3, -5:] == 20).all()
    assert (counts[:3, -5:] == 0).all()
