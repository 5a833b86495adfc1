"""Exact draws, NUTS on the collapsed and on the full model: one posterior, in every moment."""

import functools
import math

import numpy as np
import pytest
from agreement import check_agreement, estimates
from oracle import random_rows
from scipy.special import logsumexp
from scipy.stats import norm

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.exact import draw_exact
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.nuts import NutsSampler
from claude_pymc.joint.simulate import draw_prior
from claude_pymc.notation import CHAIN, DRAW

pytestmark = pytest.mark.slow
TESTS = 10  # comparisons of this file


def shipped(name):
    """Specification and statistics of a study of models/."""
    study = cp.Study.named(name)
    table = study.table()
    spec = study.spec(table)
    return spec, cp.PatternStats.from_table(table, spec.design)


def three_targets():
    """Three linked targets with all seven patterns."""
    rng = np.random.default_rng(3)
    layout = random_rows(rng, 63, 1, 3)
    cheap = 1 + layout.x[:, 0] - 0.5 * layout.x[:, 0] ** 2 + 0.2 * rng.normal(size=63)
    middle = 0.8 * cheap + 0.3 * layout.x[:, 0] + 0.2 * rng.normal(size=63)
    dear = 0.5 * middle + 0.4 * cheap - 0.2 + 0.1 * rng.normal(size=63)
    y = np.where(np.isfinite(layout.y), np.column_stack([cheap, middle, dear]), np.nan)
    table = cp.Table(layout.descriptors, layout.targets, layout.x, y)
    design = cp.Design.from_bounds(
        {"x1": (-1.0, 1.0)}, table.targets, cp.Polynomial(degree=2), {"y3": ["1"]}
    )
    stats = cp.PatternStats.from_table(table, design)
    assert len(stats.patterns) == 7
    return cp.JointGaussian(design), stats


def two_modes():
    """No shared row: exp = c sim without a correction, and hardly a value of sim to say its sign.

    exp is 2 x. Either sim rises and c is positive, or sim falls and c is negative.
    """
    x = np.array([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0, -0.5, 0.5])
    y = np.full((8, 2), np.nan)
    y[:6, 1] = 2 * x[:6] + np.array([0.05, -0.1, 0.02, 0.08, -0.04, -0.03])
    y[6:, 0] = [0.45, 0.55]
    design = cp.Design.from_bounds(
        {"x": (-1.0, 1.0)},
        ["sim", "exp"],
        cp.Polynomial(degree=1),
        {"exp": []},
        quantities={"sim": "a", "exp": "b"},
    )
    prior = cp.ShrinkagePrior(noise=0.05, noise_log_sd=0.5, linkage_sd=2.0, scale=1.0)
    spec = cp.JointGaussian(design, prior)
    table = cp.Table(["x"], ["sim", "exp"], x[:, None], y)
    return spec, cp.PatternStats.from_table(table, design)


MAKERS = {
    "sine_pair": functools.partial(shipped, "sine_pair"),
    "elements_volume": functools.partial(shipped, "elements_volume"),
    "three_targets": three_targets,
    "two_modes": two_modes,
}


@functools.cache
def exact_draws(name):
    spec, stats = MAKERS[name]()
    tree, reason = draw_exact(spec, stats, draws=2000, chains=4, seed=1)
    assert reason == ""
    return spec, stats, tree


def nuts_draws(spec, stats, collapse, chains=4, draws=1500):
    tree = NutsSampler(spec, collapse=collapse).draw(
        stats, draws=draws, tune=1000, chains=chains, seed=2
    )
    assert tree["sample_stats"]["diverging"].mean() < 1e-3
    return tree


def report(capsys, what, found):
    number, z, worst = found
    with capsys.disabled():
        print(f"\n{what}: worst of {number} is z = {z:.2f}, {worst}")


both = pytest.mark.parametrize("collapse", [True, False], ids=["collapsed", "full"])


@both
def test_the_published_example(reference, collapse, capsys):
    case = reference["readme_sample"]
    rows = cp.Table(["x"], ["sim", "exp"], case["x"], np.array(case["y"], dtype=float))
    basis = cp.Polynomial(exponents=case["exponents"])
    design = cp.Design.from_table(rows, basis, {"exp": [[0]]})
    spec, stats = cp.JointGaussian(design), cp.PatternStats.from_table(rows, design)
    tree, reason = draw_exact(spec, stats, draws=2000, chains=4, seed=1)
    assert reason == ""
    found = estimates(nuts_draws(spec, stats, collapse))
    report(capsys, "readme_sample", check_agreement(estimates(tree), found, TESTS))


@both
@pytest.mark.parametrize("name", ["sine_pair", "elements_volume", "three_targets"])
def test_means_and_sds_agree(name, collapse, capsys):
    spec, stats, tree = exact_draws(name)
    found = estimates(nuts_draws(spec, stats, collapse))
    report(capsys, name, check_agreement(estimates(tree), found, TESTS))


def positive(tree):
    """Draws (chain, draw) of positive linkage."""
    return tree["posterior"]["linkage"].transpose(CHAIN, DRAW, ...).to_numpy()[..., 1, 0] > 0


@both
def test_each_of_two_modes(collapse, capsys):
    """Chains stay in the mode in which they start, so that their number says nothing of its weight.

    Each mode is compared with the chains that never left it; of sixteen, at least two for each.
    The weights are those of the next test.
    """
    spec, stats, tree = exact_draws("two_modes")
    nuts, ours = nuts_draws(spec, stats, collapse, chains=16, draws=1000), positive(tree)
    theirs = positive(nuts)
    for here, there in ((ours, theirs), (~ours, ~theirs)):
        assert there.all(axis=1).sum() >= 2
        found = check_agreement(estimates(tree, here), estimates(nuts, there), TESTS)
        report(capsys, f"two modes, {there.all(axis=1).sum()} chains", found)


def test_weights_of_two_modes_are_those_of_draws_from_the_prior(capsys):
    """Weighed by their likelihood: no ascent, no proposal, and the evidence as well."""
    spec, stats, tree = exact_draws("two_modes")
    density = CollapsedPosterior(spec, **data_of(spec, stats))
    rng, prior = np.random.default_rng(0), spec.prior
    # The prior is Gaussian in theta; checked against `draw_prior` by its moments.
    centre = np.array([0.0, *[math.log(prior.noise)] * 2, math.log(prior.scale)])
    sds = np.array([prior.linkage_sd, *[prior.noise_log_sd] * 2, prior.scale_log_sd])
    drawn = [draw_prior(spec, rng) for _ in range(2000)]
    linkage, sigma, scale = (
        np.stack([one[n] for one in drawn]) for n in ("linkage", "sigma", "scale")
    )
    z = (density.theta(linkage, sigma, np.log(scale)) - centre) / sds
    assert np.abs(z.mean(axis=0)).max() < 5 / math.sqrt(2000)
    points = centre + sds * rng.standard_normal((2_000_000, 4))
    logs = density.batch(points) - norm.logpdf(points, centre, sds).sum(axis=1)
    weights = np.exp(logs - logsumexp(logs))
    log_evidence = logsumexp(logs) - math.log(len(logs))
    share = weights[points[:, 0] > 0].sum()
    error = np.sqrt(np.square(weights * ((points[:, 0] > 0) - share)).sum())
    ours = positive(tree).mean()
    own = math.sqrt(1.25 * ours * (1 - ours) / tree.attrs["importance_ess"])
    with capsys.disabled():
        print(f"\npositive: {ours:.3f} +- {own:.3f}, from the prior {share:.3f} +- {error:.3f}")
    assert 0.05 < share < 0.95 and error < 0.02
    assert abs(ours - share) < 4 * math.hypot(own, error)
    relative = math.sqrt(np.square(weights).sum())
    difference = tree.attrs["log_evidence"] - log_evidence
    assert abs(difference) < 4 * math.hypot(relative, tree.attrs["log_evidence_se"])
