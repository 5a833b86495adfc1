"""Each check fires on a case made to fail it, and is quiet on healthy simulated studies."""

import collections
import warnings

import numpy as np
import pytest
from check_cases import KINDS, fitted, healthy, simulated
from fakes import make_idata, make_spec

import claude_pymc as cp
from claude_pymc import run
from claude_pymc.joint.convergence import WATCHED
from claude_pymc.review.diagnostics import diagnose

pytestmark = pytest.mark.filterwarnings("ignore::claude_pymc.Notice")
EACH = 4  # healthy studies of each of five kinds: twenty
MOST = 1  # false alarms in twenty


def changed(table, y=None, x=None):
    """The same table with other values."""
    return cp.Table(
        table.descriptors, table.targets, table.x if x is None else x, table.y if y is None else y
    )


def alone(table):
    """Rows with the primary target alone."""
    has = np.isfinite(table.y)
    return has[:, -1] & ~has[:, :-1].any(axis=1)


def with_draws(**changes):
    """Draws by hand, of a healthy posterior, some of them changed in place."""
    idata = make_idata(make_spec(2), draws=500)
    for name, change in changes.items():
        group = "posterior" if name in WATCHED else "sample_stats"
        change(idata[group].dataset[name].to_numpy())
    return idata


def shift(values):
    values[0] += 1.0


def walk(values):
    rng = np.random.default_rng(1)
    steps = rng.normal(size=values.shape)
    values[:] = 1.0 + 0.01 * np.cumsum(steps, axis=1)


def heavy(values):
    """One quantity that jumps to one side in long, rare runs: its upper tail is hardly sampled."""
    values[:, :, 0] = np.random.default_rng(2).normal(1.0, 0.1, values.shape[:2])
    values[0, 100:160, 0] += 5.0


def diverged(values):
    values[0, 0] = True


def slow_energy(values):
    values[0] = np.cumsum(np.random.default_rng(3).normal(size=values.shape[1]))


def exact(**attrs):
    """Draws by importance sampling, with other attributes."""
    post, _, _ = healthy("cubic", 0)
    post.idata.attrs.update(attrs)
    return diagnose(post)


def stuck():
    post, _, _ = healthy("cubic", 0)
    post.idata["posterior"]["sigma"].to_numpy()[..., 0] = 0.1
    return diagnose(post.idata)


def other_rows():
    """One value that was changed after the fit."""
    post, table, at = healthy("cubic", 0)
    y = table.y.copy()
    y[0, 1] += 1.0
    return diagnose(post, changed(table, y), candidates=at)


def other_site():
    """Rows of the primary target alone are from a site whose values are too high."""
    design, table, at = simulated("cubic", 0)
    y = table.y + 0.6 * alone(table)[:, None]
    return diagnose(fitted(design, changed(table, y)), table=changed(table, y), candidates=at)


def other_noise():
    """Rows of the primary target alone are far noisier."""
    design, table, at = simulated("cubic", 1, shared=20, alone=10)
    rng = np.random.default_rng(0)
    y = table.y + (alone(table) * rng.normal(0.0, 1.0, len(table)))[:, None]
    return diagnose(fitted(design, changed(table, y)), changed(table, y), candidates=at)


def far_value():
    """One value, ten of its sds off."""
    design, table, at = simulated("plane", 3)
    y = table.y.copy()
    y[3, 1] += 1.0
    return diagnose(fitted(design, changed(table, y)), changed(table, y), candidates=at)


def far_rows():
    """Values far from the others, where the prior holds the noise for known."""
    design, table, at = simulated("cubic", 2, shared=8, alone=0, cheap=4)
    y = table.y.copy()
    y[[0, 1, 2], 0] += [2.0, -2.0, 2.0]
    post = fitted(design, changed(table, y), cp.ShrinkagePrior(noise=0.1, noise_log_sd=0.1))
    return diagnose(post, changed(table, y), candidates=at)


def too_sure():
    """Draws whose noise is a third of what it is."""
    post, table, at = healthy("cubic", 3)
    post.idata["posterior"]["sigma"].to_numpy()[:] /= 3.0
    return diagnose(post.idata, table, candidates=at)


def two_heaps():
    """Noise that is never near zero: two heaps, one on each side."""
    design, table, at = simulated("cubic", 4, shared=50, alone=0, cheap=30)
    rng = np.random.default_rng(0)
    y = table.y + 0.6 * rng.choice([-1.0, 1.0], table.y.shape)
    return diagnose(fitted(design, changed(table, y)), changed(table, y), candidates=at)


def other_unit():
    """Values in meV where the design expects eV."""
    design, table, at = simulated("cubic", 5)
    large = changed(table, 1000.0 * table.y)
    return diagnose(fitted(design, large), large, candidates=at)


def hardly_measured():
    """Three noisy values of the primary target, none at a simulated point."""
    design, table, at = simulated("cubic", 6, shared=0, alone=3, cheap=20)
    return diagnose(fitted(design, table), table, candidates=at)


def sure_of_the_linkage():
    """A prior that holds the linkage for one, where values do not carry over."""
    design, table, at = simulated("cubic", 7, shared=6, alone=6)
    rng = np.random.default_rng(0)
    y = table.y.copy()
    y[:, -1] = np.where(np.isnan(y[:, -1]), np.nan, rng.normal(0.0, 0.1, len(y)))
    post = fitted(design, changed(table, y), cp.ShrinkagePrior(linkage_sd=0.1))
    return diagnose(post, changed(table, y), candidates=at)


def two_linkages():
    """Rows of the primary target alone follow the simulation the other way round."""
    design, table, at = simulated("cubic", 8, shared=12, alone=12, cheap=40)
    rng, y = np.random.default_rng(0), table.y.copy()
    x = table.x[:, 0]
    curve = np.sin(6.0 * x)
    noise = rng.normal(0.0, 0.05, y.shape)
    values = np.column_stack([curve, np.where(alone(table), -curve, curve)]) + noise
    y = np.where(np.isnan(table.y), np.nan, values)
    return diagnose(fitted(design, changed(table, y)), changed(table, y), candidates=at)


def far_away():
    """Candidates outside of the rows."""
    post, table, _ = healthy("plane", 9)
    return diagnose(post, table, candidates=np.array([[1.5, 0.5], [0.5, 0.5], [-1.0, 2.0]]))


def corner():
    """A candidate inside of both ranges, beyond the rows all the same."""
    design, table, _ = simulated("plane", 10)
    x = table.x.copy()
    x[:, 1] = x[:, 0] + 0.02 * (x[:, 1] - 0.5)
    table = changed(table, x=x)
    return diagnose(fitted(design, table), table, candidates=np.array([[0.9, 0.1], [0.5, 0.5]]))


# check -> cases that are made to fail it
CASES = {
    "R-hat, largest": [lambda: diagnose(with_draws(sigma=shift))],
    "ESS bulk, least": [lambda: diagnose(with_draws(sigma=walk))],
    "ESS tail, least": [lambda: diagnose(with_draws(sigma=heavy))],
    "divergences": [lambda: diagnose(with_draws(diverging=diverged))],
    "E-BFMI, least chain": [lambda: diagnose(with_draws(energy=slow_energy))],
    "k-hat": [lambda: exact(k_hat=0.9)],
    "ESS of the weights": [lambda: exact(importance_ess=100.0)],
    "draws vary": [stuck],
    "rows are those of the fit": [other_rows],
    "predictive p-value, 8 rows with exp": [other_site],
    "predictive p-value, 10 rows with exp": [other_noise],
    "furthest value, left out": [far_value],
    "values with a high Pareto k": [far_rows],
    "leave-one-out coverage, sim": [too_sure],
    "leave-one-out PIT, sim": [two_heaps],
    "prior-data conflict": [other_unit],
    "sensitivity to the prior": [sure_of_the_linkage],
    "contraction of the linkage of exp on sim": [hardly_measured],
    "linkage of exp from shared rows and from surfaces": [two_linkages],
    "noise of exp away from zero": [hardly_measured],
    "what predictions rest on": [hardly_measured],
    "extrapolation, candidates": [far_away, corner],
}


@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(n, c, id=n) for n, cases in CASES.items() for c in cases]
)
def test_fires(name, case):
    found = case()
    check = {check.name: check for check in found.checks}[name]
    assert check.passed is False, str(check)
    assert check.advice and not found.ok and str(check) in str(found)


@pytest.fixture(scope="module")
def twenty():
    """Checks of twenty healthy studies."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            for seed in range(EACH):
                post, table, candidates = healthy(kind, seed)
                found.append(diagnose(post, table, candidates=candidates))
    return found


def kind_of(name):
    """A check by what is the same for all patterns and targets."""
    for start in ("predictive p-value", "leave-one-out coverage", "leave-one-out PIT"):
        if name.startswith(start):
            return start
    if name.startswith("noise of"):
        return "noise away from zero"
    return "contraction" if name.startswith("contraction") else name


def test_quiet_on_healthy_studies(twenty):
    alarms = collections.Counter()
    for found in twenty:
        alarms.update({kind_of(check.name) for check in found.failed})
    assert len(twenty) == 20
    assert all(count <= MOST for count in alarms.values()), alarms


def test_every_check_of_a_study_has_a_case(twenty):
    seen = {kind_of(check.name) for found in twenty for check in found.checks if check.passed}
    assert seen <= {kind_of(name) for name in CASES}


def test_in_order_of_what_they_are_about(twenty):
    for found in twenty:
        about = [check.about for check in found.checks]
        assert about == sorted(about, key=["draws", "model", "prior", "linkage", "use"].index)


def test_the_advice_of_the_checks_is_worth_following():
    """Elements: a value far out, intervals too wide for the others; Student-t noise, as advised."""
    fits = {}
    for name in ("elements_volume", "elements_volume_student"):
        study = cp.Study.named(name)
        fits[name] = run.fit(study, study.table(), seed=0)
    plain, heavy = fits.values()
    failed = {check.name: check for check in plain.checks.failed}
    assert {"furthest value, left out", "leave-one-out PIT, volume_exp"} <= set(failed)
    assert "volume_exp of row S" in failed["furthest value, left out"].value
    assert all('noise = "student"' in failed[name].advice for name in list(failed)[:1])
    assert heavy.checks.ok, str(heavy.checks)
    assert heavy.validation.log_density > plain.validation.log_density + 0.4
    hidden = [fit.validation.frame for fit in (plain, heavy)]
    width = [np.median(np.log(frame["upper"] / frame["lower"])) for frame in hidden]
    assert width[1] < 0.5 * width[0]
    middle = np.log(hidden[1]["mean"] / hidden[1]["measured"])
    assert np.abs(middle).max() < 0.7  # a median: the exponential of a Student-t has no mean
    assert list(heavy.predictions).count("volume_exp_median") == 1
    assert heavy.predictions["volume_exp_median"].max() < 200
    assert 0.8 < heavy.validation.coverage <= 1.0


@pytest.mark.slow
def test_rates_of_false_alarms():
    """Two hundred more healthy studies: no check fails in more than one of twenty."""
    alarms, studies = collections.Counter(), 0
    for kind in KINDS:
        for seed in range(100, 140):
            post, table, candidates = healthy(kind, seed)
            found = diagnose(post, table, candidates=candidates)
            alarms.update({kind_of(check.name) for check in found.failed})
            studies += 1
    assert all(count <= studies // 20 for count in alarms.values()), alarms
