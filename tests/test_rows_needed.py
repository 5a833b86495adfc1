"""Specifications that need rows: against the joint density, closed forms, and differences."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

import claude_pymc as cp
from claude_pymc.errors import CandidateError, SpecError, StatisticsError, TableError
from claude_pymc.joint import exact
from claude_pymc.joint.chain import COUPLED, named_columns
from claude_pymc.joint.cheaper import CheapDraws
from claude_pymc.joint.draws import posterior_dataset
from claude_pymc.joint.noise import NODES, grid, row_density
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.simulate import draw_prior
from claude_pymc.notation import ROW_PARAMETERS

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
    size = 1e-3 if density.student else 1e-4
    step = size * np.eye(density.dims)
    ends = [[density.evaluate(theta + sign * s)[0] for s in step] for sign in (1, -1)]
    near = 0.01 if density.student else 1e-5  # sweeps over the sites end, and nodes are few
    np.testing.assert_allclose(slope, np.subtract(*ends) / (2 * size), rtol=near, atol=near)
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


def chain_and_joint(spec, stats, monkeypatch):
    """Draws of one target after the other, and of all at once; they have one evidence."""
    found = []
    for chained in (True, False):
        monkeypatch.setattr(exact, "chained", lambda *_, chained=chained: chained)
        tree, reason = exact.draw_exact(spec, stats, draws=1000, chains=4, seed=1)
        assert not reason
        found.append(tree)
    chain, joint = found
    se = np.hypot(*(tree.attrs["log_evidence_se"] for tree in found))
    assert abs(chain.attrs["log_evidence"] - joint.attrs["log_evidence"]) < 4 * se
    assert chain.attrs["importance_ess"] <= COUPLED  # that many draws of the simulation
    return found


def check_moments(chain, joint):
    """Means and sds agree within five standard errors."""
    least = min(tree.attrs["importance_ess"] for tree in (chain, joint))
    for name in ("linkage", "sigma", "corrections"):
        one, other = (tree["posterior"][name] for tree in (chain, joint))
        sd = other.std(("chain", "draw"))
        sd = sd.where(sd > 0)
        shift = (one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd
        assert float(np.abs(shift).max()) < 5 * np.sqrt(2 / least)
        assert float(np.abs(one.std(("chain", "draw")) / sd - 1).max()) < 5 * np.sqrt(1 / least)


@pytest.mark.parametrize("tied", [False, True])
def test_the_chain_is_the_joint_posterior(rows, design, tied, monkeypatch):
    """One target after the other, with rows that lack the simulation, or all at once."""
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(tied=tied))
    check_moments(*chain_and_joint(spec, stats_of(rows, design), monkeypatch))


def test_measurements_speak_of_the_simulation(monkeypatch):
    """Ten of fourteen lack it, and differ from it by little: they say most about its noise."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (22, 1))
    sim = 1 + 2 * x[:, 0] + 0.3 * rng.standard_normal(22)
    exp = sim + 0.1 * rng.standard_normal(22)
    exp[:8], sim[12:] = np.nan, np.nan
    rows = cp.Table(["x"], TARGETS, x, np.column_stack([sim, exp]))
    design = cp.Design.from_table(rows, cp.Polynomial(), {"exp": []})
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(linkage_sd=0.1))
    check_moments(*chain_and_joint(spec, stats_of(rows, design), monkeypatch))


def test_draws_are_read_where_they_stand(rows, design, rng):
    spec = cp.JointGaussian(design, **EVERY)
    density = density_of(rows, design, **EVERY)
    number, terms = 5, len(design.terms)
    theta = rng.standard_normal((number, density.dims))
    entries = rng.standard_normal((number, density.q + 1))
    own = [j == 1 for j, _ in spec.groups]
    values = [rng.uniform(size=(number, n)) for n in (own.count(False), len(spec.lengths))]
    sim = rng.uniform(size=(number, 1, terms))
    cheap = CheapDraws(np.zeros((number, 1, 1)), np.ones((number, 1)), sim, *values)
    found = named_columns(spec, density, theta, entries, cheap)
    np.testing.assert_allclose(found["source_sigma"], FLOOR + np.exp(theta[:, :2]))
    np.testing.assert_array_equal(found["sigma"][:, 1], found["source_sigma"][:, 0])
    np.testing.assert_allclose(found["freedom"], np.exp(theta[:, 2]))
    np.testing.assert_allclose(found["scale"][:, own], np.exp(theta[:, 3:]))
    np.testing.assert_array_equal(found["scale"][:, np.invert(own)], values[0])
    np.testing.assert_array_equal(found["length"], values[1])
    np.testing.assert_array_equal(found["linkage"][:, 1, 0], entries[:, 0])
    np.testing.assert_array_equal(found["varying"], entries[:, 1:3])
    np.testing.assert_array_equal(found["corrections"][:, 1, design.active[1]], entries[:, 3:-1])
    np.testing.assert_array_equal(found["corrections"][:, 0], sim[:, 0])


def test_student_noise_is_integrated_exactly(rows, design):
    """Estimates with draws agree in their mean, and the approximation is close."""
    density = density_of(rows, design, noise="student")
    theta = np.repeat(density.layout.mean[None], 4000, axis=0)
    values, _ = density.draw_entries(theta, np.random.default_rng(0))
    weight = np.exp(values - values.max())
    value = np.log(weight.mean()) + values.max()
    se = weight.std() / weight.mean() / np.sqrt(len(weight))
    assert se < 0.01
    assert density.evaluate(theta[0])[0] == pytest.approx(value, abs=0.05)


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


def posterior_of(spec, rng):
    """Posterior of one draw, from the prior."""
    truth = {name: values[None, None] for name, values in draw_prior(spec, rng).items()}
    others = {name: (ROW_PARAMETERS[name], truth[name]) for name in truth if name in ROW_PARAMETERS}
    columns = (truth[name] for name in ("linkage", "sigma", "corrections"))
    tree = xr.DataTree.from_dict({"posterior": posterior_dataset(spec, *columns, others)})
    return cp.JointPosterior(tree, spec)


CANDIDATES = {"sources": ["north", "south", "", "south"], "sigma": [0.3, 0.2, np.nan, np.nan]}


@pytest.mark.parametrize("switches", [{"errors": True}, {"sources": ["north", "south"]}, EVERY])
def test_observations_and_densities_have_the_noise_of_their_rows(rows, design, switches, rng):
    """The distribution function of the density, at draws of observations, is uniform."""
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(noise=0.2, noise_log_sd=1.0), **switches)
    post = posterior_of(spec, rng)
    grid_y = np.sinh(np.linspace(-9, 9, 3001))
    for i in range(4):
        row = {name: values[i] for name, values in CANDIDATES.items()}
        known = {"sigma": [row["sigma"]], "sources": [row["sources"]]}
        one = cp.Table(("a", "b"), ("exp",), rows.x[i : i + 1], [[0.0]], **known)
        many = one.rows(np.zeros(len(grid_y), dtype=int))
        many = replace(many, y=grid_y[:, None])
        given = {"sim": [0.4]} if i % 2 else {}
        draws = post.predict(one, "observation", given, seed=i).draws.sel(target="exp")
        given = {name: np.full(len(grid_y), v) for name, v in given.items()}
        density = np.exp(post.log_predictive_density(many, "exp", given))
        below = integrate.cumulative_trapezoid(density, grid_y, initial=0.0)
        at = np.interp(draws.to_numpy().ravel(), grid_y, below)
        assert stats.kstest(at, "uniform").pvalue > 1e-3


def test_noise_of_a_row_is_that_of_its_source_and_its_error(rows, design, rng):
    spec = cp.JointGaussian(design, errors=True, sources=["north", "south"])
    post = posterior_of(spec, rng)
    sigma = post.draws_of("source_sigma")[0, [0, 1, 0, 1]] * design.scale[1]
    expected = np.hypot(sigma, np.nan_to_num(CANDIDATES["sigma"]))
    x, y = rows.x[:4], np.ones((4, 1))
    table = cp.Table(("a", "b"), ("exp",), x, y, **CANDIDATES)
    given = {"sim": np.ones(4)}
    found = post.predict(table, "observation", given, seed=0).std().sel(target="exp")
    np.testing.assert_allclose(found, expected, rtol=5 / np.sqrt(2 * 2000))
    mean = post.predict(table, given=given).mean().sel(target="exp")
    told = stats.norm(mean, expected).logpdf(1.0)
    np.testing.assert_allclose(post.log_predictive_density(table, "exp", given), told)
    plain = post.predict(x, "observation", given, seed=0).std().sel(target="exp")
    np.testing.assert_allclose(plain, sigma[[0] * 4], rtol=5 / np.sqrt(2 * 2000))
    strange = replace(table, sources=("north", "east", "", ""))
    for ask in (post.predict, post.log_predictive_density):
        with pytest.raises(CandidateError, match="'east' in row 1"):
            ask(strange, "observation" if ask == post.predict else "exp", given)


def test_errors_of_a_logarithm_are_relative(rows, rng):
    positive = replace(rows, y=np.exp(rows.y))
    transforms = {"sim": "log", "exp": "log"}
    design = cp.Design.from_table(positive, cp.Polynomial(), transforms=transforms)
    post = posterior_of(cp.JointGaussian(design, cp.ShrinkagePrior(noise=0.05), errors=True), rng)
    given, x = {"sim": [1.5]}, rows.x[:1]
    mean = post.predict(x, given=given).mean().sel(target="exp").item()
    table = cp.Table(("a", "b"), ("exp",), x, [[mean]], sigma=[0.2 * mean])
    expected = np.hypot(post.draws_of("sigma")[0, 1] * design.scale[1], 0.2)
    draws = post.predict(table, "observation", given, seed=0).draws.sel(target="exp")
    assert float(np.log(draws).std()) == pytest.approx(expected, rel=5 / np.sqrt(4000))
    told = stats.norm(0.0, expected).logpdf(0.0)
    assert post.log_predictive_density(table, "exp", given)[0] == pytest.approx(told)


def test_hidden_rows_are_predicted_with_the_noise_of_their_source(rng):
    """Intervals and densities of cross-validation agree with how far the rows lie off."""
    x, sources = rng.uniform(0, 1, (60, 1)), ("north", "south") * 30
    spread = np.where(np.arange(60) % 2, 0.6, 0.1)
    sigma = rng.uniform(0.05, 0.3, 60)
    sim = 3 * x[:, 0]
    exp = sim + 0.5 + np.hypot(spread, sigma) * rng.standard_normal(60)
    table = cp.Table(["x"], TARGETS, x, np.column_stack([sim, exp]), sources=sources, sigma=sigma)
    design = cp.Design.from_table(table, cp.Polynomial(), {"exp": ["1"]})
    spec = cp.JointGaussian(design, errors=True, sources=["north", "south"])
    found = cp.cross_validate(cp.Sampler(spec), table, folds=3, draws=250)
    frame = found.frame.sort_values("label")
    width = (frame["upper"] - frame["lower"]).to_numpy() / (2 * stats.norm.ppf(0.95))
    assert np.abs(np.log(width / np.hypot(spread, sigma))).max() < 0.5
    told = stats.norm(frame["mean"], width).logpdf(frame["measured"])
    assert found.log_density == pytest.approx(told.mean(), abs=0.1)
    assert abs(found.covered - 54) < 4 * np.sqrt(60 * 0.9 * 0.1)


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
