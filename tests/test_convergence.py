"""Each check fires on draws that were made to fail it, and only then."""

import arviz as az
import numpy as np
import pytest
import xarray as xr
from fakes import make_idata, make_spec

from claude_pymc.errors import SamplingError
from claude_pymc.joint.convergence import convergence

NAMES = ["R-hat, largest", "ESS bulk, least", "ESS tail, least", "divergences"]
NAMES = [*NAMES, "E-BFMI, least chain"]


@pytest.fixture
def idata():
    return make_idata(make_spec(2), chains=4, draws=500)


def sigma_of(idata):
    """The array of sigma itself, to be broken in place."""
    return idata["posterior"].dataset["sigma"].to_numpy()


def failed(idata):
    return [check.name for check in convergence(idata) if not check.passed]


def walk(rng, shape, keep):
    """An autoregressive series of unit variance along the last axis."""
    steps = rng.normal(size=shape) * np.sqrt(1 - keep**2)
    steps[..., 0] /= np.sqrt(1 - keep**2)
    for t in range(1, shape[-1]):
        steps[..., t] += keep * steps[..., t - 1]
    return steps


def test_healthy_draws_pass(idata):
    checks = convergence(idata)
    assert [check.name for check in checks] == NAMES
    assert failed(idata) == []
    assert all(str(check).startswith("passed") for check in checks)


def test_figures_are_those_of_arviz(idata, rng):
    sigma_of(idata)[...] *= np.exp(0.3 * walk(rng, (4, 2, 500), 0.9).transpose(0, 2, 1))
    found = {check.name: check.value.split(" for ")[0] for check in convergence(idata)}
    posterior = idata["posterior"].to_dataset()
    for name, function, options, worst in (
        (NAMES[0], az.rhat, {}, np.nanmax),
        (NAMES[1], az.ess, {"method": "bulk"}, np.nanmin),
        (NAMES[2], az.ess, {"method": "tail", "prob": (0.05, 0.95)}, np.nanmin),
    ):
        figures = [
            function(posterior[v].to_numpy()[..., i, j].copy(), **options)
            if posterior[v].ndim == 4
            else function(posterior[v].to_numpy()[..., i].copy(), **options)
            for v, i, j in free_entries(posterior)
        ]
        expected = worst(figures)
        assert found[name] == (f"{expected:.3f}" if function is az.rhat else f"{expected:.0f}")
    bfmi = az.bfmi(idata["sample_stats"]["energy"].to_numpy())
    assert found[NAMES[4]] == f"{np.min(bfmi):.2f}"


def free_entries(posterior):
    for name in ("sigma", "linkage", "corrections"):
        for place in np.ndindex(posterior[name].shape[2:]):
            if np.ptp(posterior[name].to_numpy()[(slice(None), slice(None), *place)]) > 0:
                yield (name, *place, *([0] if len(place) == 1 else []))


def test_a_shifted_chain(idata):
    sigma_of(idata)[2, :, 1] += 1.0
    check = convergence(idata)[0]
    assert not check.passed
    assert check.value.endswith("for sigma[exp]")
    assert float(check.value.split()[0]) > 1.5
    assert "draw more" in str(check)


def test_a_stuck_chain(idata):
    sigma_of(idata)[0, :, 0] = 0.3
    assert "R-hat, largest" in failed(idata)


def test_few_independent_draws_in_the_bulk(idata, rng):
    sigma_of(idata)[:, :, 0] = walk(rng, (4, 500), 0.9)
    check = convergence(idata)[1]
    assert not check.passed
    assert check.value.endswith("for sigma[sim]")
    assert float(check.value.split()[0]) < 400


def test_few_independent_draws_in_the_tails_alone(idata, rng):
    # Independent signs, slowly moving size: the middle is well known, the tails are not.
    size = np.exp(2.0 * walk(rng, (4, 500), 0.98))
    sigma_of(idata)[:, :, 0] = rng.normal(size=(4, 500)) * size
    bulk, tail = convergence(idata)[1:3]
    assert bulk.passed
    assert not tail.passed
    assert tail.value.endswith("for sigma[sim]")


def test_a_divergence(idata):
    idata["sample_stats"].dataset["diverging"].to_numpy()[1, 7] = True
    check = convergence(idata)[3]
    assert failed(idata) == ["divergences"]
    assert check.value == "1 of 2000 draws"
    assert "target_accept" in str(check)


def test_low_energy_exchange_of_one_chain(idata, rng):
    energy = idata["sample_stats"].dataset["energy"].to_numpy()
    energy[3] = walk(rng, (500,), 0.95)
    assert failed(idata) == ["E-BFMI, least chain"]


def test_a_single_chain_cannot_be_judged():
    checks = convergence(make_idata(make_spec(2), chains=1, draws=2000))
    assert not checks[0].passed
    assert checks[0].value == "not computable"
    assert "four chains" in checks[0].advice


def test_not_a_number_fails(idata):
    sigma_of(idata)[0, 0, 0] = np.nan
    assert {"R-hat, largest", "ESS bulk, least", "ESS tail, least"} <= set(failed(idata))


def test_structural_zeros_are_not_judged():
    idata = make_idata(make_spec(3, corrections={"exp": ["1"]}), draws=500)
    assert np.ptp(idata["posterior"]["corrections"].to_numpy()[:, :, 2, 1:]) == 0.0
    assert failed(idata) == []


def test_constant_draws(idata):
    posterior = idata["posterior"].dataset
    for name in posterior.data_vars:
        posterior[name].to_numpy()[...] = 1.0
    with pytest.raises(SamplingError, match="never moved"):
        convergence(idata)


def test_draws_without_sampler_statistics(idata):
    del idata["sample_stats"]
    assert [check.name for check in convergence(idata)] == NAMES[:3]


@pytest.mark.parametrize("draws", [xr.DataTree(), xr.Dataset(), {}])
def test_no_posterior(draws):
    with pytest.raises(SamplingError, match="group 'posterior'"):
        convergence(draws)


def exact(idata, k_hat=0.2, ess=2000.0):
    """The same draws, said to be exact."""
    found = idata.copy()
    del found["sample_stats"]
    found.attrs |= {"k_hat": k_hat, "importance_ess": ess}
    return found


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        ({}, None),
        ({"k_hat": 0.71}, "k-hat"),
        ({"k_hat": np.nan}, "k-hat"),
        ({"ess": 399.0}, "ESS of the weights"),
    ],
)
def test_exact_draws_are_judged_by_their_weights(idata, verdict, name):
    sigma_of(idata)[0] += 10.0  # no chain has to agree with another: they were dealt out
    assert "R-hat, largest" in failed(idata)
    assert failed(exact(idata, **verdict)) == ([name] if name else [])


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_exact_draws_that_are_stuck(idata, value):
    sigma_of(idata)[..., 1] = value
    (check,) = [check for check in convergence(exact(idata)) if not check.passed]
    assert "sigma" in str(check) and "does not" in str(check)
