"""Ranks, their uniformity, and calibration of samplers whose posterior is exact: no compilation."""

import warnings

import numpy as np
import pytest
import xarray as xr
from calibration_cases import CASES, N_TESTS, HalvedNoise, make_layout, make_spec
from scipy.stats import binom, binomtest, kstest, norm

import claude_pymc as cp
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.simulate import draw_prior, named_truth
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.review import calibration, uniformity
from claude_pymc.review.uniformity import band, holm, uniformity_p_value

LEVELS = (0.01, 0.05, 0.1)


# Uniformity.


def null_p_values(n, samples, rng):
    """p-values of uniform samples, many at once."""
    null = uniformity._null(n)
    bins = uniformity._bins(n)
    counts = rng.multinomial(n, np.full(bins, 1 / bins), samples)
    gamma = uniformity._gamma(counts, n)
    return (1 + np.searchsorted(null, gamma * (1 + 1e-9), side="right")) / (1 + len(null))


def test_p_values_of_uniform_samples_are_uniform(rng):
    p_values = {
        30: np.array([uniformity_p_value(rng.uniform(size=30)) for _ in range(2000)]),
        300: null_p_values(300, 2000, rng),
    }
    for found in p_values.values():
        for level in LEVELS:
            assert binomtest(int((found <= level).sum()), 2000, level).pvalue > 0.001


def test_p_value_is_the_share_of_uniform_samples_that_deviate_as_much(rng):
    n = 30
    z = np.arange(1, n) / n
    tails = 2 * np.minimum(
        binom.cdf(np.arange(n + 1)[:, None], n, z),
        1 - binom.cdf(np.arange(n + 1)[:, None] - 1, n, z),
    )

    def gamma(values):
        below = (values[:, :, None] < z).sum(axis=1)
        return tails[below, np.arange(n - 1)].min(axis=1)

    null = gamma(rng.uniform(size=(20000, n)))
    for shape in (0.5, 1.0, 1.5, 2.0):
        values = rng.beta(shape, shape, size=n)
        share = (null <= gamma(values[None])[0] + 1e-9).mean()
        error = 5 * np.sqrt(max(share * (1 - share), 1e-4) / 20000)
        assert uniformity_p_value(values) == pytest.approx(share, abs=error)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda rng, n: rng.beta(2, 2, n), id="too wide"),
        pytest.param(lambda rng, n: rng.beta(0.5, 0.5, n), id="too narrow"),
        pytest.param(lambda rng, n: norm.cdf(rng.normal(0.5, 1, n)), id="shifted up"),
        pytest.param(lambda rng, n: norm.cdf(rng.normal(-0.5, 1, n)), id="shifted down"),
    ],
)
def test_deviations_are_found(rng, draw):
    many = [uniformity_p_value(draw(rng, 300)) for _ in range(50)]
    assert np.mean(np.array(many) < 0.01) > 0.9
    few = [uniformity_p_value(draw(rng, 30)) for _ in range(200)]
    assert np.mean(np.array(few) < 0.05) > 0.1


@pytest.mark.parametrize("n", [10, 30, 300])
def test_band_holds_the_level_of_uniform_samples(rng, n):
    z, low, high = band(n, 0.95)
    assert ((low <= z) & (z <= high)).all()
    shares = [(np.sort(s).searchsorted(z, side="right")) / n for s in rng.uniform(size=(5000, n))]
    inside = ((low <= shares) & (shares <= high)).all(axis=1)
    assert binomtest(int(inside.sum()), 5000, 0.95).pvalue > 0.001 or inside.mean() > 0.95
    assert inside.mean() < 0.97
    wide = band(n, 0.99)
    assert ((wide[1] <= low) & (wide[2] >= high)).all()


def test_values_that_are_no_ranks_are_refused():
    for values in ([], [[0.5]], [0.5, 1.2], [0.5, -0.1], [np.nan]):
        with pytest.raises(cp.ClaudeError, match="values between 0 and 1"):
            uniformity_p_value(np.array(values))


def test_holm(rng):
    # 0.01 x 4; 0.02 x 3; 0.03 x 2, not below the one before; 0.4 x 1.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.4, 0.02])), [0.06, 0.04, 0.4, 0.06])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
    for p in rng.uniform(0, 0.05, size=(20, 6)):
        for level in (0.01, 0.05, 0.1):
            rejected = np.zeros(6, dtype=bool)  # step down, until one is not rejected
            for k, i in enumerate(np.argsort(p)):
                if p[i] * (6 - k) >= level:
                    break
                rejected[i] = True
            assert ((holm(p) < level) == rejected).all()


# Ranks.


def test_rank_breaks_ties_at_random(rng):
    draws = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    for value, places in ((0.0, [0]), (1.5, [1]), (2.0, [1, 2, 3, 4]), (9.0, [5])):
        found = np.array([calibration._rank(draws, value, rng) for _ in range(2000)])
        low, high = places[0] / 6, (places[-1] + 1) / 6
        assert kstest(found, "uniform", (low, high - low)).pvalue > 0.001


NARROW = {"sigma[0]": (0.3, 0.3), "linkage[1, 0]": (0.3, 0.3)}


def fake(n, rng, wrong=()):
    """A result over twelve quantities; ranks of the wrong ones are drawn from the given Beta."""
    names = [f"corrections[{j}, {b}]" for j in range(3) for b in range(3)]
    names += ["sigma[0]", "linkage[1, 0]", "log_likelihood"]
    columns = [rng.beta(*dict(wrong).get(name, (1, 1)), n) for name in names]
    ranks = xr.DataArray(np.column_stack(columns), {"quantity": names}, ("simulation", "quantity"))
    return cp.Calibration(ranks, 3)


def test_result(rng, tmp_path):
    result = fake(100, rng, NARROW)
    frame = result.uniformity()
    assert set(frame.index[:2]) == set(NARROW)
    for name, row in frame.iterrows():
        expected = uniformity_p_value(result.ranks.sel(quantity=name).to_numpy())
        assert row["p_value"] == expected
    np.testing.assert_allclose(frame["p_holm"], holm(frame["p_value"].to_numpy()))
    assert set(result.rejected()) == set(NARROW)
    assert result.rejected(tests=10**9) == []
    largest = frame["p_value"].max()
    assert len(result.rejected(1.01 * largest * 7, tests=7)) == 12
    assert len(result.rejected(largest * 7, tests=7)) == 11
    result.save(tmp_path / "ranks.nc")
    again = cp.Calibration.load(tmp_path / "ranks.nc")
    assert again.divergent == 3
    assert (again.ranks.to_numpy() == result.ranks.to_numpy()).all()
    assert again.quantities == result.quantities
    xr.testing.assert_equal(again.ranks, result.ranks)


def named(axes):
    """Quantities in the legend of a picture, in order."""
    legend = axes.get_legend()
    texts = [] if legend is None else [text.get_text() for text in legend.get_texts()]
    return [text.split(", p =")[0] for text in texts]


def test_picture_names_what_leaves_the_band(rng):
    low, high = {"sigma[0]": (1, 4)}, {"linkage[1, 0]": (4, 1)}
    more = {"corrections[0, 0]": (1.3, 1), "corrections[1, 1]": (1, 9)}
    for wrong in ({}, low, high, low | high | more):
        result = fake(200, rng, wrong)
        p = result.uniformity()["p_value"]
        axes = result.plot().axes[0]
        outside = int(axes.get_title(loc="left").split(": ")[1].split()[0])
        assert "12 quantities, 200 simulated data sets" in axes.get_title(loc="left")
        assert outside == (p < 0.05).sum() >= len(wrong)
        assert len(named(axes)) == min(outside, 3)
        assert max(p[named(axes)], default=0) <= p.drop(named(axes)).min()
        drawn = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 2]
        z = np.arange(1, 40) / 40
        expected = [(v[:, None] <= z).mean(axis=0) - z for v in result.ranks.to_numpy().T]
        assert len(drawn) == 12
        assert all(any(np.allclose(line, curve) for line in drawn) for curve in expected)


# Calibration of exact samplers.


class Exact:
    """The posterior of one constant target: sigma from a fine grid, R given sigma."""

    def __init__(self, spec):
        self.spec = spec

    def draw(self, stats, *, seed, draws, tune, chains):
        rng, prior, size = np.random.default_rng(seed), self.spec.prior, (chains, draws)
        z = np.linspace(-6, 6, 4001)
        sigma = prior.noise * np.exp(prior.noise_log_sd * z)
        if prior.kind == "shrinkage":
            sigma, prior_sd = sigma + FLOOR, prior.constant_sd
        else:
            prior_sd = prior.t * sigma
        gram = stats.grams.sum(axis=0)
        precision = prior_sd**-2.0 + gram[0, 0] / sigma**2
        mean = gram[0, 1] / sigma**2 / precision
        log_p = -0.5 * z**2 - gram[0, 0] * np.log(sigma) - 0.5 * gram[1, 1] / sigma**2
        log_p += 0.5 * precision * mean**2 - 0.5 * np.log(precision) - np.log(prior_sd + 0 * z)
        weight = np.exp(log_p - log_p.max())
        place = rng.choice(len(z), size, p=weight / weight.sum())
        terms = mean[place] + rng.normal(size=size) / np.sqrt(precision[place])
        posterior = {
            "linkage": ((CHAIN, DRAW, "target", "target_bis"), np.zeros((*size, 1, 1))),
            "sigma": ((DRAW, CHAIN, "target"), sigma[place].T[..., None]),  # order of dims is free
            "corrections": ((CHAIN, DRAW, "target", "basis"), terms[..., None, None]),
        }
        diverging = xr.Dataset({"diverging": ((CHAIN, DRAW), np.full(size, seed % 2 == 0))})
        groups = {"posterior": xr.Dataset(posterior), "sample_stats": diverging}
        return xr.DataTree.from_dict(groups)


class Ignorant:
    """Draws from the prior, whatever the rows say."""

    def __init__(self, spec):
        self.spec = spec

    def draw(self, stats, *, seed, draws, tune, chains):
        rng = np.random.default_rng(seed)
        found = [
            named_truth(self.spec, draw_prior(self.spec, rng)) for _ in range(calibration.RANKS)
        ]
        posterior = {
            name: ((CHAIN, DRAW, *(f"{name}_{i}" for i in range(value.ndim))), values[None])
            for name, value in found[0].items()
            for values in [np.stack([f[name] for f in found])]
        }
        return xr.DataTree.from_dict({"posterior": xr.Dataset(posterior)})


PRIORS = [cp.LKJPrior(t=2.0, noise=0.5, noise_log_sd=1.0), cp.ShrinkagePrior(noise=0.5)]


def constant(prior):
    """One target that is constant, and six rows of which one has no value."""
    basis = cp.Polynomial(exponents=[[0]])
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, ["exp"], basis)
    rows = cp.Table(["x"], ["exp"], np.linspace(0, 1, 6)[:, None], [[0.0]] * 5 + [[np.nan]])
    return cp.JointGaussian(design, prior), rows


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_an_exact_sampler_passes(prior):
    spec, layout = constant(prior)
    result = cp.calibrate(spec, layout, sampler=Exact(spec), simulations=150, seed=1)
    assert result.quantities == ["sigma[0]", "corrections[0, 0]", "log_likelihood"]
    assert result.ranks.shape == (150, 3)
    assert result.rejected() == []
    assert binomtest(result.divergent, 150, 0.5).pvalue > 0.001
    p = result.uniformity()["p_value"]
    assert repr(result).startswith(
        f"Calibration: 150 simulated data sets, 3 quantities, least p-value {p.min():.2g} ("
    )
    with pytest.warns(cp.Notice, match="3 simulated data sets can hardly reject anything"):
        again = cp.calibrate(spec, layout, sampler=Exact(spec), simulations=3, seed=1)
    assert (again.ranks.to_numpy() == result.ranks.to_numpy()[:3]).all()


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
def test_half_the_noise_is_rejected(prior):
    spec, layout = constant(prior)
    result = cp.calibrate(spec, layout, sampler=HalvedNoise(Exact(spec)), simulations=40, seed=1)
    assert {"sigma[0]", "log_likelihood"} <= set(result.rejected())


@pytest.mark.parametrize("case", CASES[::2], ids=lambda case: case.name)
def test_without_rows_the_posterior_is_the_prior(case):
    layout = case.layout.rows(slice(0))
    result = cp.calibrate(case.spec, layout, sampler=Ignorant(case.spec), simulations=30)
    assert len(result.quantities) == case.n_quantities
    assert result.rejected(0.01, tests=N_TESTS) == []


@pytest.mark.parametrize("case", CASES[1:6:2], ids=lambda case: case.name)
def test_a_sampler_that_ignores_the_rows_is_seen_in_the_likelihood_alone(case):
    result = cp.calibrate(case.spec, case.layout, sampler=Ignorant(case.spec), simulations=30)
    assert result.rejected(0.01, tests=N_TESTS) == ["log_likelihood"]


def test_columns_of_a_joint_gaussian_come_back(rng):
    spec = make_spec("lkj", "joint", 3)
    truth = draw_prior(spec, rng)
    found = calibration._columns(spec, named_truth(spec, truth))
    expected = truth["linkage"], truth["sigma"], truth["corrections"]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * np.abs(b).max())


def test_errors(monkeypatch):
    spec = make_spec("lkj", "conditional", 2)
    layout = make_layout("conditional", 2, True)
    for settings in ({"draws": 49}, {"draws": 98, "chains": 1}, {"simulations": 0}):
        with pytest.raises(cp.SamplingError, match="at least 99 draws and one simulation"):
            cp.calibrate(spec, layout, sampler=Exact(spec), **settings)
    flat = cp.JointGaussian(spec.design, cp.FlatPrior())
    monkeypatch.setattr(calibration, "Sampler", None)  # refused before anything is compiled
    with pytest.raises(cp.SpecError, match="a proper prior to draw from"):
        cp.calibrate(flat, layout)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cp.calibrate(spec, layout, sampler=Ignorant(spec), simulations=20, progress=True)
