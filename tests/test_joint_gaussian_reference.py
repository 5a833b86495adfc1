"""The compiled package against the same model written out in plain PyMC."""

import importlib.util
from pathlib import Path

import numpy as np
import pytensor
import pytest
from arviz_stats.base import array_stats
from threadpoolctl import threadpool_limits

import claude_pymc as cp

nutpie = pytest.importorskip("nutpie")

MODEL = Path(__file__).resolve().parents[1] / "models" / "joint_gaussian.py"
NAMES = ["linkage", "sigma", "coefficients"]
DRAWS, TUNE, CHAINS, ACCEPT = 2500, 1000, 4, 0.97
LARGEST_Z = 4.0  # 18 comparisons of two independent estimates: by chance once in 900 seeds
PRIOR = cp.LKJPrior(eta=1.5, t=3.0, noise=0.3, noise_log_sd=1.0)


def study() -> cp.Table:
    """26 rows: 8 with both targets, 12 with the simulation only, 6 with the experiment only."""
    rng = np.random.default_rng(20)
    x = rng.uniform(0.0, 1.0, 26)
    sim = 1.0 + x - 1.5 * x**2 + 0.2 * rng.normal(size=26)
    exp = 0.7 * sim - 0.5 + 0.8 * x + 0.3 * rng.normal(size=26)
    sim[20:], exp[8:20] = np.nan, np.nan
    return cp.Table(["x"], ["sim", "exp"], x[:, None], np.column_stack([sim, exp]))


@pytest.fixture(scope="module")
def design() -> cp.Design:
    every = ["1", "x", "x^2"]
    return cp.Design.from_table(study(), cp.Polynomial(degree=2), {"sim": every, "exp": every})


@pytest.fixture(scope="module")
def ours(design):
    stats = cp.PatternStats.from_table(study(), design)
    assert sorted(stats.counts) == [6, 8, 12]
    sampler = cp.Sampler(cp.JointGaussian(design, PRIOR), method="nuts")
    return sampler.draw(stats, draws=DRAWS, tune=TUNE, chains=CHAINS, seed=1, target_accept=ACCEPT)


@pytest.fixture(scope="module")
def plain(design):
    spec = importlib.util.spec_from_file_location("reference_model", MODEL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = study()
    model = module.joint_gaussian(
        design.phi(rows.x),
        design.to_model(rows.y),
        PRIOR.eta,
        PRIOR.t,
        PRIOR.noise,
        PRIOR.noise_log_sd,
    )
    # The initial point is computed once, so PyTensor need not compile C code for it.
    with pytensor.config.change_flags(cxx=""), threadpool_limits(1, user_api="blas"):
        compiled = nutpie.compile_pymc_model(model, var_names=NAMES)
        return nutpie.sample(
            compiled,
            draws=DRAWS,
            tune=TUNE,
            chains=CHAINS,
            seed=2,
            target_accept=ACCEPT,
            adaptation="low_rank",
            progress_bar=False,
        )


def quantities(tree) -> dict[str, np.ndarray]:
    """Draws (chain, draw) of linkage, sigma and coefficients by name."""
    posterior = tree["posterior"]
    found = {}
    for name in NAMES:
        values = posterior[name].transpose("chain", "draw", ...).to_numpy()
        if name == "linkage" and values.ndim == 4:
            values = values[..., 1, 0]
        for place in np.ndindex(values.shape[2:]):
            found[f"{name}{list(place)}"] = values[(..., *place)]
    return found


def estimate(draws: np.ndarray, method: str) -> tuple[float, float]:
    """Posterior mean or sd, and its Monte Carlo standard error."""
    value = draws.mean() if method == "mean" else draws.std()
    return value, array_stats.mcse(draws, chain_axis=0, draw_axis=1, method=method)


def test_no_draw_diverges_and_every_chain_mixes(ours, plain):
    for tree in (ours, plain):
        assert int(tree["sample_stats"]["diverging"].sum()) == 0
        for name, draws in quantities(tree).items():
            assert draws.shape == (CHAINS, DRAWS)
            assert array_stats.rhat(draws, chain_axis=0, draw_axis=1, method="rank") < 1.01, name
            assert array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk") > 1000, name


@pytest.mark.parametrize("method", ["mean", "sd"])
def test_posterior_equals_the_reference(ours, plain, method):
    found, expected = quantities(ours), quantities(plain)
    assert found.keys() == expected.keys() and len(found) == 1 + 2 + 6
    z = {}
    for name in found:
        (a, error_a), (b, error_b) = estimate(found[name], method), estimate(expected[name], method)
        z[name] = (a - b) / np.hypot(error_a, error_b)
    assert max(map(abs, z.values())) < LARGEST_Z, z
