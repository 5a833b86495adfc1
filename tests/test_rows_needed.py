"""Specifications that need rows: against the joint density, closed forms, and differences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

import claude_pymc as cp
from claude_pymc.errors import CandidateError, SpecError, StatisticsError, TableError
from claude_pymc.joint import exact
from claude_pymc.joint.chain import COUPLED
from claude_pymc.joint.noise import NODES, grid, row_density
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap

TARGETS = ("sim", "exp")


@pytest.fixture(scope="module")
def rows():
    """Forty simulations, twenty measurements; six rows were not simulated."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (40, 2))
    sim = np.sin(5 * x[:, 0]) + x[:, 1] + 0.05 * rng.standard_normal(40)
    exp = (1 + 0.3 * x[:, 0]) * sim + 0.2 + 0.1 * rng.standard_normal(40)
    exp[20:], sim[14:20] = np.nan, np.nan
    y = np.column_stack([sim, exp])
    sigma, sources = rng.uniform(0.05, 0.2, 40), ("north", "south") * 20
    return cp.Table(("a", "b"), TARGETS, x, y, sigma=sigma, sources=sources)


@pytest.fixture(scope="module")
def design(rows):
    return cp.Design.from_table(rows, cp.HSGP(order=9), {"exp": ["1", "linear"]})


def stats_of(rows, design):
    return cp.PatternStats.from_table(rows, design, rows=True)


def density_of(rows, design, **switches):
    """Density of the primary target given complete rows."""
    spec = cp.JointGaussian(design, **switches)
    complete = rows.rows(np.isfinite(rows.y).all(axis=1))
    own = sum(j == 1 for j, _ in spec.columns.entries)
    nothing = np.zeros((1, own)), np.zeros((1, 0)), np.zeros((1, 0, 0))
    cheap = Cheap(*nothing, np.full((len(complete), 1), -1))
    return PrimaryPosterior(spec, stats_of(complete, design).kept, cheap)


EVERY = {"noise": "student", "errors": True, "sources": ["north", "south"], "varying": ["linear"]}


@pytest.mark.parametrize(
    "switches",
    [{}, {"varying": ["linear"]}, {"noise": "student"}, {"errors": True}, EVERY],
)
def test_gradients_agree_with_differences(rows, design, switches, rng):
    density = density_of(rows, design, **switches)
    theta = density.layout.mean + 0.3 * rng.standard_normal(density.dims)
    value, slope = density.evaluate(theta)
    step = 1e-4 * np.eye(density.dims)
    ends = [[density.evaluate(theta + sign * s)[0] for s in step] for sign in (1, -1)]
    np.testing.assert_allclose(slope, np.subtract(*ends) / 2e-4, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(density.batch(theta[None]), value, rtol=1e-12)


def test_fewer_rows_than_coefficients_make_no_difference(rows):
    design = cp.Design.from_table(rows, cp.HSGP(order=12), {"exp": ["all"]})
    density = density_of(rows, design)
    base = density.rows.base
    assert len(base) < base.shape[1]
    theta = density.layout.mean + 0.2
    short = density.evaluate(theta)
    free = density.draw_entries(np.repeat(theta[None], 20000, axis=0), np.random.default_rng(1))[1]
    density.rows = density.complete = density.rows._replace(gram=base.T @ base)
    value, slope = density.evaluate(theta)
    assert value == pytest.approx(short[0], rel=1e-12)
    np.testing.assert_allclose(slope, short[1], rtol=1e-9)
    other = density.draw_entries(np.repeat(theta[None], 20000, axis=0), np.random.default_rng(2))[1]
    sd = other[:, :-1].std(axis=0)
    # Five standard errors of a difference of means, and of an sd.
    assert (np.abs(free.mean(axis=0) - other.mean(axis=0))[:-1] <= 5 * sd * 1e-2).all()
    np.testing.assert_allclose(free[:, :-1].std(axis=0), sd, rtol=0.04)


@pytest.mark.parametrize("noise", ["normal", "student"])
def test_walkers_explore_where_they_can_be_afforded(rows, noise):
    found = []
    for order in (9, 30):
        design = cp.Design.from_table(rows, cp.HSGP(order=order), {"exp": ["all"]})
        found.append(density_of(rows, design, noise=noise).exploring)
    assert found == [True, noise == "normal"]


@pytest.mark.parametrize("tied", [False, True])
def test_the_chain_is_the_joint_posterior(rows, design, tied, monkeypatch):
    """One target after the other, with rows that lack the simulation, or all at once."""
    spec, found = cp.JointGaussian(design, cp.ShrinkagePrior(tied=tied)), []
    for chained in (True, False):
        monkeypatch.setattr(exact, "chained", lambda *_, chained=chained: chained)
        tree, reason = exact.draw_exact(spec, stats_of(rows, design), draws=1000, chains=4, seed=1)
        assert not reason
        found.append(tree)
    chain, joint = found
    se = np.hypot(*(tree.attrs["log_evidence_se"] for tree in found))
    assert abs(chain.attrs["log_evidence"] - joint.attrs["log_evidence"]) < 4 * se
    assert chain.attrs["importance_ess"] <= COUPLED  # that many draws of the simulation
    least = min(tree.attrs["importance_ess"] for tree in found)
    for name in ("linkage", "sigma", "corrections"):
        one, other = (tree["posterior"][name] for tree in found)
        sd = other.std(("chain", "draw"))
        shift = (one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd.where(sd > 0)
        assert float(np.abs(shift).max()) < 5 * np.sqrt(2 / least)


def test_student_noise_is_integrated_exactly(rows, design):
    """Estimates with draws agree whatever their number, and Laplace is close."""
    density = density_of(rows, design, noise="student")
    theta = np.repeat(density.layout.mean[None], 4000, axis=0)
    values, _ = density.draw_entries(theta, np.random.default_rng(0))
    weight = np.exp(values - values.max())
    value = np.log(weight.mean()) + values.max()
    se = weight.std() / weight.mean() / np.sqrt(len(weight))
    assert se < 0.01
    assert density.evaluate(theta[0])[0] == pytest.approx(value, abs=0.3)


@pytest.mark.parametrize(
    ("nu", "error"), [(0.0, 0.0), (0.0, 0.4), (3.0, 0.0), (3.0, 0.4), (40.0, 2.0)]
)
def test_density_of_a_row_is_a_convolution(nu, error):
    sigma, r = 0.7, 0.9
    rate, weight = np.empty(NODES), np.empty(NODES)
    if nu:
        grid(nu, rate, weight)
    inner = stats.t(nu, scale=sigma) if nu else stats.norm(scale=sigma)
    expected = inner.pdf(r)
    if error:
        outer = stats.norm(scale=error)
        expected = integrate.quad(lambda e: inner.pdf(r - e) * outer.pdf(e), -20, 20, limit=200)[0]
    assert row_density(r, sigma, error, nu, rate, weight)[0] == pytest.approx(
        np.log(expected), abs=1e-5
    )


@pytest.mark.parametrize("switches", [{"varying": ["linear"]}, {"noise": "student"}, EVERY])
def test_predictions_have_the_density_that_is_told(rows, design, switches):
    """Densities integrate to one, and observations are drawn from them."""
    spec = cp.JointGaussian(design, **switches)
    post = cp.JointPosterior(cp.sample(spec, stats_of(rows, design), seed=0, draws=250))
    grid_y = np.sinh(np.linspace(-9, 9, 3001))  # fine in the middle, far in the tails
    x = np.repeat(rows.x[:1], len(grid_y), axis=0)
    for given in (None, {"sim": np.full(len(grid_y), 1.1)}):
        table = cp.Table(("a", "b"), ("exp",), x, grid_y[:, None])
        density = np.exp(post.log_predictive_density(table, "exp", given))
        assert np.trapezoid(density, grid_y) == pytest.approx(1.0, abs=0.01)
        one = None if given is None else {"sim": [1.1]}
        mean = post.predict(x[:1], given=one).mean().sel(target="exp").item()
        middle = np.trapezoid(density * np.clip(grid_y, mean - 3, mean + 3), grid_y)
        assert middle == pytest.approx(mean, abs=0.1)


def test_saved_statistics_keep_the_rows(rows, design, tmp_path):
    whole = stats_of(rows, design)
    parts = [stats_of(rows.rows(part), design) for part in (slice(15), slice(15, None))]
    joined = parts[0] + parts[1]
    assert sorted(map(str, joined.kept.keys())) == sorted(map(str, whole.kept.keys()))
    np.testing.assert_array_equal((whole - parts[1]).kept.y, parts[0].kept.y)
    whole.save(tmp_path / "stats.npz")
    assert cp.PatternStats.load(tmp_path / "stats.npz").digest == whole.digest
    with pytest.raises(StatisticsError, match="two statistics with rows"):
        whole + cp.PatternStats.from_table(rows, design)
    with pytest.raises(StatisticsError, match="a row of the primary target"):
        whole - stats_of(replace(rows, sources=("south", "north") * 20), design)


def test_specifications_say_what_they_need_and_cost(design):
    spec = cp.JointGaussian(design, **EVERY)
    assert (spec.needs, cp.JointGaussian(design).needs) == ("rows", "statistics")
    text = spec.describe()
    for words in ("c(x) * sim", "varies with a, b", "Student-t", "north, south", "cost of a fit"):
        assert words in text
    assert cp.JointGaussian.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("switches", "says"),
    [
        ({"noise": "cauchy"}, "a noise among"),
        ({"varying": ["1"]}, "varying without the constant"),
        ({"varying": ["quadratic"]}, "varying as terms or groups"),
        ({"sources": ["north"]}, "two and more"),
        ({"noise": "student", "prior": cp.LKJPrior()}, "a ShrinkagePrior, if"),
    ],
)
def test_what_does_not_exist_is_refused(design, switches, says):
    with pytest.raises(SpecError, match=says):
        cp.JointGaussian(design, **switches)


def test_rows_that_lack_what_is_needed_are_refused(rows, design):
    bare = cp.Table(rows.descriptors, rows.targets, rows.x, rows.y)
    for table, switches, says in (
        (bare, {"errors": True}, "a measurement error for each"),
        (rows, {"sources": ["north", "east"]}, "rows from the sources"),
    ):
        with pytest.raises(StatisticsError, match=says):
            cp.sample(cp.JointGaussian(design, **switches), stats_of(table, design))
    with pytest.raises(StatisticsError, match="the rows of 'exp'"):
        spec = cp.JointGaussian(design, noise="student")
        cp.sample(spec, cp.PatternStats.from_table(rows, design))


@pytest.mark.parametrize("wrong", [0.0, -0.1, np.inf])
def test_errors_of_measurement_are_positive(rows, wrong):
    with pytest.raises(TableError, match="a positive measurement error"):
        cp.Table(("a", "b"), TARGETS, rows.x, rows.y, sigma=np.full(40, wrong))


def test_a_cheaper_value_is_not_inferred_backwards(rows, design):
    spec = cp.JointGaussian(design, noise="student")
    post = cp.JointPosterior(cp.sample(spec, stats_of(rows, design), seed=0, draws=250))
    with pytest.raises(CandidateError, match="followed forwards alone"):
        post.predict(rows.x[:2], given={"exp": [1.0, 2.0]})
