"""Prior draws and simulated rows against the distributions they should have."""

import numpy as np
import pytest
from calibration_cases import TARGETS, make_layout
from scipy import stats as st

import claude_pymc as cp
from claude_pymc.joint.gaussian import derived
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.simulate import draw_prior, named_truth, simulate_rows
from claude_pymc.tables.categories import Category

LKJ = cp.LKJPrior(eta=1.3, t=0.7, noise=0.4, noise_log_sd=0.2)
SHRINKAGE = cp.ShrinkagePrior(noise=0.3, noise_log_sd=0.4, linkage_sd=0.1, constant_sd=2.0)
N = 4000


def make_spec(prior, d, quantities=None):
    """A quadratic on [0, 1]; the second target may have a linear correction, the others none."""
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)},
        TARGETS[d],
        cp.Polynomial(degree=2),
        {TARGETS[d][1]: ["1", "x"], TARGETS[d][-1]: ["1"]},
        ranges=dict.fromkeys(TARGETS[d], (0.0, 8.0)),
        quantities=quantities,
    )
    return cp.JointGaussian(design, prior)


def draws_of(spec, rng):
    """Prior draws, stacked by name."""
    found = [draw_prior(spec, rng) for _ in range(N)]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def assert_follow(pairs):
    """Samples follow their distributions, at 1 % over all of them."""
    p = [st.kstest(values, distribution.cdf).pvalue for values, distribution in pairs]
    assert min(p) * len(p) > 0.01, p


@pytest.mark.parametrize("d", [2, 3])
def test_lkj(d, rng):
    spec = make_spec(LKJ, d)
    draws = draws_of(spec, rng)
    assert set(draws) == {"linkage", "sigma", "corrections"}
    precision = derived(draws["linkage"], draws["sigma"], draws["corrections"])["precision_yy"]
    s = np.sqrt(np.diagonal(precision, axis1=1, axis2=2))
    k = precision / s[:, :, None] / s[:, None, :]
    size = len(spec.design.terms) + d
    a = LKJ.eta + (size - 2) / 2  # any correlation of LKJ_D(eta)
    pairs = [((np.log(s[:, j]) + np.log(LKJ.noise)) / 0.2, st.norm) for j in range(d)]
    for i, j in zip(*np.tril_indices(d, -1), strict=True):
        pairs.append((k[:, i, j], st.beta(a, a, -1, 2)))
        assert abs(st.spearmanr(s[:, i], s[:, j]).statistic) < 4 / np.sqrt(N)
    # det K of LKJ_d(eta + p/2): a product of independent Betas, one for each partial correlation.
    free = [LKJ.beta_shape(j, size - d, d) for j in range(1, d) for _ in range(j, d)]
    det = np.prod([1 - (2 * rng.beta(b, b, N) - 1) ** 2 for b in free], axis=0)
    assert st.ks_2samp(np.linalg.det(k), det).pvalue > 0.001
    scaled = draws["corrections"] / draws["sigma"][:, :, None] / LKJ.t
    pairs += [(scaled[:, j, b], st.norm) for j, b in spec.columns.entries]
    assert not scaled[:, ~spec.design.active].any()
    assert_follow(pairs)


@pytest.mark.parametrize("d", [2, 3])
def test_shrinkage(d, rng):
    spec = make_spec(SHRINKAGE, d)
    draws = draws_of(spec, rng)
    noise = np.log(draws["sigma"] - FLOOR)
    pairs = [(noise[:, j], st.norm(np.log(0.3), 0.4)) for j in range(d)]
    for j, k in zip(*np.tril_indices(d, -1), strict=True):
        mean = 1.0 if k == j - 1 else 0.0  # all targets are of one quantity
        pairs.append((draws["linkage"][:, j, k], st.norm(mean, 0.1)))
    assert draws["scale"].shape == (N, 2 + (d == 3))  # linear, quadratic; linear of the second
    learned = [(0, 1), (0, 2), (1, 1)] if d == 3 else [(0, 1), (0, 2)]
    for g, (j, b) in enumerate(learned):
        t = draws["scale"][:, g]
        pairs.append((np.log(t), st.norm(np.log(SHRINKAGE.scale), SHRINKAGE.scale_log_sd)))
        pairs.append((draws["corrections"][:, j, b] / t, st.norm))
    pairs += [(draws["corrections"][:, j, 0], st.norm(0, 2.0)) for j in range(d)]
    assert not draws["corrections"][:, ~spec.design.active].any()
    assert_follow(pairs)


def test_linkage_to_another_quantity_is_centred_at_zero(rng):
    spec = make_spec(SHRINKAGE, 2, {"sim": "energy", "exp": "length"})
    assert_follow([(draws_of(spec, rng)["linkage"][:, 1, 0], st.norm(0.0, 0.1))])


@pytest.mark.parametrize("d", [2, 3])
def test_simulated_rows_have_the_moments_of_the_model(d, rng):
    spec = make_spec(LKJ, d)
    truth = draw_prior(spec, rng)
    x = np.repeat([[0.0], [0.7]], N, axis=0)
    rows = simulate_rows(spec, truth, cp.Table(["x"], TARGETS[d], x, np.zeros((2 * N, d))), rng)
    t = np.linalg.inv(np.eye(d) - truth["linkage"])
    root = t @ np.diag(truth["sigma"])
    u = 2 * x - 1  # the domain of the basis
    mean = np.hstack([u**0, u, u**2]) @ (t @ truth["corrections"]).T
    white = np.linalg.solve(root, ((rows.y - 4.0) / 2.0 - mean).T)  # ranges 0 .. 8
    assert_follow([(part, st.norm) for one in white for part in (one[:N], one[N:])])
    pairs = np.corrcoef(white)[np.tril_indices(d, -1)]
    assert np.abs(pairs).max() < 4 / np.sqrt(2 * N)


def test_simulated_rows_are_measured_where_the_layout_says(rng):
    spec = make_spec(LKJ, 2)
    layout = make_layout("conditional", 2, True)
    one = cp.Table(["x"], ["exp"], layout.x, layout.y[:, 1:])
    truth = draw_prior(spec, rng)
    rows = simulate_rows(spec, truth, layout, rng)
    assert (np.isfinite(rows.y) == np.isfinite(layout.y)).all()
    assert (rows.x == layout.x).all()
    assert simulate_rows(spec, truth, one, rng).counts == {"sim": 0, "exp": rows.counts["exp"]}
    assert named_truth(spec, truth) is truth


def test_no_scale_without_a_group(rng):
    design = cp.Design.from_bounds({"x": (0, 1)}, ["exp"], cp.Polynomial(exponents=[[0]]))
    assert set(draw_prior(cp.JointGaussian(design), rng)) == {"linkage", "sigma", "corrections"}


def test_a_flat_prior_has_no_draws(rng):
    with pytest.raises(cp.SpecError, match="a proper prior to draw from"):
        draw_prior(make_spec(cp.FlatPrior(), 2), rng)


def test_errors_of_a_logarithm_are_not_simulated(rng):
    design = cp.Design.from_bounds({"x": (0, 1)}, ["exp"], transforms={"exp": "log"})
    spec = cp.JointGaussian(design, errors=True)
    layout = cp.Table(["x"], ["exp"], [[0.5]], [[1.0]], sigma=[0.1])
    with pytest.raises(cp.SpecError, match="modelled as it is"):
        simulate_rows(spec, draw_prior(spec, rng), layout, rng)


def test_a_layout_with_other_categories_is_refused(rng):
    rows = [
        cp.Table([Category("route", names)], ["exp"], [[0.0], [1.0]], [[1.0], [2.0]])
        for names in (["melt", "sol-gel"], ["sol-gel", "melt"])
    ]
    spec = cp.JointGaussian(cp.Design.from_table(rows[0]))
    truth = draw_prior(spec, rng)
    assert len(simulate_rows(spec, truth, rows[0], rng)) == 2
    with pytest.raises(cp.TableError, match="categories of the design"):
        simulate_rows(spec, truth, rows[1], rng)
