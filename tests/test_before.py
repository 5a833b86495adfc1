"""Draws from the prior, and priors from what a person can say."""

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.joint.simulate import draw_prior

BOUNDS = {"x": (0.0, 2.0), "t": (300.0, 900.0)}
BASES = {
    "polynomial": (cp.Polynomial(degree=3), {"exp": ["1"]}),
    "process": (cp.HSGP(order=8), None),
    "sine": (cp.Sine(order=2), {"exp": ["1", "linear"]}),
}


def design_of(basis="polynomial", log=False, **options):
    kind, corrections = BASES[basis]
    if basis == "sine":
        corrections = None
    targets = ["sim", "exp"]
    rules = dict.fromkeys(targets, "log") if log else None
    return cp.Design.from_bounds(BOUNDS, targets, kind, corrections, transforms=rules, **options)


def places(rng, n=60):
    return np.column_stack([rng.uniform(0, 2, n), rng.uniform(300, 900, n)])


@pytest.mark.parametrize("prob", [0.8, 0.95])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("basis", list(BASES))
def test_elicited_priors_say_what_was_said(basis, log, prob, rng):
    spec = cp.elicit(design_of(basis, log), {"exp": (1.0, 5.0)}, within=0.4, prob=prob)
    drawn = cp.sample_prior(spec, draws=3000, seed=11)
    y = drawn.predict(places(rng), "observation", seed=12).draws.to_numpy()
    sim, exp = y[..., 0], y[..., 1]
    near = np.abs(np.log(exp / sim)) <= np.log(1.4) if log else np.abs(exp - sim) <= 0.4
    inside = (exp >= 1.0) & (exp <= 5.0)
    for found in (inside, near):
        by_draw = found.mean(axis=1)  # places of one draw move together
        error = by_draw.std() / np.sqrt(len(by_draw))
        assert found.mean() == pytest.approx(prob, abs=4 * error + 4 * by_draw.std() / np.sqrt(800))
    middle = np.median(exp)
    assert 2.0 < middle < 4.0 if not log else 1.7 < middle < 3.0


def test_without_a_distance_corrections_are_wide():
    spec = cp.elicit(design_of(), {"exp": (1.0, 5.0)})
    close = cp.elicit(design_of(), {"exp": (1.0, 5.0)}, within=0.1)
    assert close.prior.correction < 0.3 * spec.prior.correction
    assert close.prior.noise < 0.3 * spec.prior.noise
    assert close.prior.correction_constant_sd < 0.3 * spec.prior.correction_constant_sd
    assert spec.prior.scale < close.prior.scale < 2.0 * spec.prior.scale


def test_the_range_of_a_quantity_is_that_of_its_dearest_target():
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)},
        ["hardness", "sim", "exp"],
        quantities={"hardness": "hardness", "sim": "gap", "exp": "gap"},
    )
    spec = cp.elicit(design, {"hardness": (0.0, 100.0), "exp": (1.0, 3.0)})
    assert spec.design.location == pytest.approx((50.0, 2.0, 2.0))
    assert spec.design.scale[1] == spec.design.scale[2] == pytest.approx(1.0 / 1.96, rel=1e-3)


def test_draws_of_the_prior_are_those_of_draw_prior():
    spec = cp.JointGaussian(design_of())
    post = cp.sample_prior(spec, draws=10, seed=3)
    rng = np.random.default_rng(3)
    first = draw_prior(spec, rng)
    assert np.array_equal(post.draws_of("linkage")[0], first["linkage"])
    assert np.array_equal(post.draws_of("corrections")[0], first["corrections"])
    assert len(post.draws_of("sigma")) == 12  # a multiple of four


@pytest.mark.parametrize("options", [{"varying": ["linear"], "noise": "student"}, {}])
def test_the_prior_predicts_and_reloads(options, tmp_path):
    spec = cp.JointGaussian(design_of("process"), **options)
    post = cp.sample_prior(spec, draws=20, seed=0)
    post.save(tmp_path / "prior.nc")
    again = cp.JointPosterior.load(tmp_path / "prior.nc")
    at = [[0.5, 400.0]]
    first = post.predict(at, "observation", seed=1).draws
    assert np.array_equal(first, again.predict(at, "observation", seed=1).draws)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (({"gap": (1, 2)},), {}, cp.DesignError, "ranges of the targets"),
        (({},), {}, cp.DesignError, "a range of 'sim' or of another target of its quantity"),
        (({"exp": (5, 1)},), {}, cp.DesignError, "low < high"),
        (({"exp": (1, np.inf)},), {}, cp.DesignError, "low < high"),
        (({"exp": (1, 5)}, 0.0), {}, cp.SpecError, "positive distance"),
        (({"exp": (1, 5)}, np.nan), {}, cp.SpecError, "positive distance"),
        (({"exp": (1, 5)}, 50.0), {}, cp.SpecError, "within the range"),
        (({"exp": (1, 5)}, 1e-7), {}, cp.SpecError, "not tiny beside the range"),
        (({"exp": (1, 5), "sim": (0, 3)},), {}, cp.DesignError, "one range for each quantity"),
        (({"exp": (1, 5)},), {"prob": 95}, cp.SpecError, "a percentage"),
    ],
)
def test_bad_input(arguments, options, error, text):
    with pytest.raises(error, match=text):
        cp.elicit(design_of(), *arguments, **options)


def test_a_distance_needs_two_targets_of_a_quantity():
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, ["exp"])
    with pytest.raises(cp.SpecError, match="a cheaper target of the quantity of 'exp'"):
        cp.elicit(design, {"exp": (1.0, 2.0)}, within=0.1)


def test_a_logarithm_needs_a_positive_range():
    with pytest.raises(cp.DesignError, match="positive"):
        cp.elicit(design_of(log=True), {"exp": (-1.0, 2.0)})


def test_a_flat_prior_has_no_draws():
    with pytest.raises(cp.SpecError, match="a proper prior to draw from"):
        cp.sample_prior(cp.JointGaussian(design_of(), cp.FlatPrior()))


def test_a_distance_where_the_first_target_is_of_another_quantity():
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)}, ["h", "sim", "exp"], quantities={"h": "h", "sim": "g", "exp": "g"}
    )
    with pytest.raises(cp.SpecError, match="a first target of the quantity of 'exp'"):
        cp.elicit(design, {"h": (0.0, 1.0), "exp": (1.0, 3.0)}, within=0.2)


def test_a_distance_is_that_to_the_nearest_of_three():
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, ["cheap", "sim", "exp"])
    spec = cp.elicit(design, {"exp": (0.0, 4.0)}, within=0.3)
    drawn = cp.sample_prior(spec, draws=3000, seed=1)
    y = drawn.predict(np.linspace(0, 1, 20)[:, None], "observation", seed=2).draws.to_numpy()
    near = (np.abs(y[..., 2] - y[..., 1]) <= 0.3).mean()
    assert near == pytest.approx(0.95, abs=0.03)
    assert (np.abs(y[..., 2] - y[..., 0]) <= 0.3).mean() < near - 0.02
