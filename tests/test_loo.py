"""Leave-one-out and weights of sources, from draws, beside fits that are made anew."""

import dataclasses

import numpy as np
import pytest
from check_cases import fitted, simulated
from scipy.special import ndtr
from scipy.stats import multivariate_normal
from scipy.stats import t as student_t

import claude_pymc as cp
from claude_pymc.joint.chained import _student_scores, chained
from claude_pymc.joint.left_out import left_out
from claude_pymc.joint.rows import attach_rows
from claude_pymc.joint.scales import scales_of
from claude_pymc.review.against_rows import leave_one_out
from claude_pymc.review.diagnostics import diagnose

DRAWS = 4000


def posterior(design, table, prior=None, **options):
    """Many draws, so that importance weights are the only approximation."""
    spec = cp.JointGaussian(design, prior or cp.ShrinkagePrior(), **options)
    stats = cp.PatternStats.from_table(table, design, rows=spec.needs == "rows")
    return cp.JointPosterior(cp.sample(spec, stats, seed=0, draws=DRAWS))


@pytest.fixture(scope="module")
def study():
    design, table, _ = simulated("cubic", 3, shared=10, alone=5, cheap=10)
    return design, table, posterior(design, table)


@pytest.mark.parametrize("closed", [False, True])
def test_pit_is_that_of_a_fit_without_the_value(study, closed):
    design, table, post = study
    loo = leave_one_out(chained(post, table), left_out(post, table) if closed else None)
    for i, j in [(0, 1), (3, 1), (9, 1), (12, 1), (2, 0), (20, 0), (24, 0)]:
        y = table.y.copy()
        y[i, j:] = np.nan  # the value, and the dearer ones of its row
        again = posterior(design, dataclasses.replace(table, y=y).rows(np.isfinite(y).any(axis=1)))
        known = {"sim": y[[i], 0]} if j else None
        drawn = again.predict(table.x[[i]], "observation", known, seed=1).draws.to_numpy()
        below = (drawn[:, 0, j] < table.y[i, j]).mean()
        error = np.sqrt(below * (1 - below) / len(drawn)) + 0.5 / len(drawn)
        assert loo.pit[i, j] == pytest.approx(below, abs=4 * error + 0.01), (i, j)


@pytest.mark.parametrize("kind", ["three", "process", "lkj", "cubic"])
def test_closed_form_is_the_dense_gaussian_of_all_values(kind):
    """Corrections integrated out: all values are one Gaussian, conditioned by blocks."""
    design, table, _ = simulated(kind, 1, shared=5, alone=3, cheap=4)
    y = table.y.copy()
    y[0, 0] = np.nan  # one more pattern
    table = dataclasses.replace(table, y=y)
    post = fitted(design, table, cp.LKJPrior() if kind == "lkj" else None)
    found = left_out(post, table)
    few = post.thinned(1000)
    assert len(found.score) == len(few.draws_of("sigma"))
    scales = scales_of(post.spec)
    values, phi, at = design.to_model(table.y), design.phi(table.x), np.isfinite(table.y)
    for s in (0, 17):
        linkage, sigma = few.draws_of("linkage")[s], few.draws_of("sigma")[s]
        if kind == "lkj":
            sd = 10.0 * sigma[[j for j, _ in post.spec.columns.entries]]
        else:
            names = [n for n in ("scale", "length") if n in few.idata["posterior"]]
            parts = [
                few.idata["posterior"][n]
                .to_numpy()
                .reshape(-1, few.idata["posterior"][n].shape[-1])
                for n in names
            ]
            parts += [np.zeros((len(parts[0]), 0))] * (2 - len(parts))
            sd = np.exp(scales.log_sd(scales.joined(*parts)))[s]
        d = len(design.targets)
        inverse = np.linalg.inv(np.eye(d) - linkage)
        carried = np.zeros((len(phi), d, len(sd)))
        for e, (j, b) in enumerate(post.spec.columns.entries):
            carried[:, :, e] = phi[:, b, None] * inverse[:, j]
        big = carried.reshape(-1, len(sd))
        noise = inverse @ np.diag(sigma**2) @ inverse.T
        whole = (big * sd**2) @ big.T + np.kron(np.eye(len(phi)), noise)
        flat, present = values.ravel(), at.ravel()
        for i, j in np.argwhere(at):
            block = np.array([i * d + k for k in range(j, d) if at[i, k]])
            rest = np.setdiff1d(np.flatnonzero(present), block)
            gain = np.linalg.solve(whole[np.ix_(rest, rest)], whole[np.ix_(rest, block)])
            residual = flat[block] - flat[rest] @ gain
            left = whole[np.ix_(block, block)] - whole[np.ix_(block, rest)] @ gain
            assert found.score[s, i, j] == pytest.approx(residual[0] / np.sqrt(left[0, 0]), 1e-5)
            density = multivariate_normal.logpdf(residual, cov=left)
            assert found.log_density[s, i, j] == pytest.approx(density, 1e-5, 1e-5)


def test_weights_are_more_even_without_the_coefficients():
    study = cp.Study.named("sine_pair")
    table = study.table()
    post = fitted(study.spec(table).design, table)
    chain = chained(post, table)
    with_them = leave_one_out(chain).pareto_k
    without = leave_one_out(chain, left_out(post, table)).pareto_k
    measured = np.isfinite(table.y)
    assert (with_them[measured] > 0.7).mean() > 0.3
    assert (without[measured] > 0.7).mean() < 0.03


def test_no_closed_form_where_rows_are_needed():
    design, table, _ = simulated("cubic", 0)
    spec = cp.JointGaussian(design, noise="student")
    assert left_out(cp.sample_prior(spec, draws=8, seed=0), table) is None


def test_rows_are_the_product_of_the_chain(study):
    _, table, post = study
    found = chained(post, table).log_from(0)
    tree = attach_rows(post.idata.copy(), table)
    rows = tree["log_likelihood"]["rows"].transpose("chain", "draw", ...).to_numpy()
    assert np.allclose(found, rows.reshape(-1, rows.shape[-1]))


def test_scores_of_simulated_rows_are_standard_normal():
    """At the truth scores are N(0, 1): Student-t noise and a linkage that varies, too."""
    design, table, _ = simulated("cubic", 0, shared=300, alone=100, cheap=100)
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(), varying=["x"], noise="student")
    prior = cp.sample_prior(spec, draws=8, seed=1)
    from claude_pymc.joint.simulate import simulate_rows

    post = prior.idata["posterior"].dataset.isel(chain=0, draw=0)
    truth = {name: post[name].to_numpy() for name in ("linkage", "sigma", "corrections")}
    truth |= {name: post[name].to_numpy() for name in ("varying", "freedom")}
    rows = simulate_rows(spec, truth, table, np.random.default_rng(0))
    z = chained(prior, rows).score[0]
    for j in range(2):
        values = z[:, j][np.isfinite(z[:, j])]
        n = len(values)
        assert abs(values.mean()) < 4 / np.sqrt(n)
        assert abs(np.square(values).mean() - 1.0) < 4 * np.sqrt(2 / n)


@pytest.mark.parametrize("further", [0.0, 0.3])
def test_scores_of_student_noise(further, rng):
    residual = np.array([-30.0, -2.0, -0.1, 0.0, 0.5, 3.0, 200.0])
    sigma, nu = np.full(7, 0.5), 4.0
    score = _student_scores(residual, sigma, np.full(7, further), nu)
    draws = 0.5 * rng.standard_t(nu, 400_000) + further * rng.standard_normal(400_000)
    below = (draws < residual[:, None]).mean(axis=1)
    assert ndtr(score) == pytest.approx(below, abs=0.004)
    assert (np.diff(score) > 0).all()
    if not further:
        assert ndtr(score[:5]) == pytest.approx(student_t.cdf(residual[:5] / 0.5, nu), rel=1e-9)


def test_weights_are_the_slopes_of_fits_with_changed_values():
    design, table, _ = simulated("cubic", 5, shared=6, alone=3, cheap=6)
    at = np.array([[0.3], [0.7]])

    def mean(changed):
        found = posterior(design, changed).predict(at).draws.sel(target="exp")
        return found.mean("sample").to_numpy()

    total = np.zeros((2, 2))
    step = 0.03
    for i, j in np.argwhere(np.isfinite(table.y)):
        up, down = table.y.copy(), table.y.copy()
        up[i, j] += step
        down[i, j] -= step
        moved = mean(dataclasses.replace(table, y=up)) - mean(dataclasses.replace(table, y=down))
        total[:, j] += np.abs(moved) / (2 * step)
    weights = total / total.sum(axis=1, keepdims=True)
    shares = diagnose(posterior(design, table), table, candidates=at).shares
    assert shares[["rows of sim", "rows of exp"]].to_numpy() == pytest.approx(weights, abs=0.08)
    assert (shares["values known there"] == 0).all()


def test_share_of_the_prior_is_what_rows_leave():
    """One target, known noise, a constant: the variance is 1 / (1 / tau^2 + n / sigma^2)."""
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)}, ["exp"], cp.Polynomial(exponents=[[0]]), {"exp": ["1"]}
    )
    rng = np.random.default_rng(0)
    prior = cp.ShrinkagePrior(noise=1.0, noise_log_sd=0.001, constant_sd=0.5)
    for n in (4, 40):
        rows = cp.Table(["x"], ["exp"], rng.uniform(size=(n, 1)), rng.normal(size=(n, 1)))
        post = posterior(design, rows, prior)
        shares = diagnose(post, rows, candidates=[[0.5]]).shares
        assert shares["prior"].iloc[0] == pytest.approx(4.0 / (4.0 + n), abs=0.03)
        assert shares["rows of exp"].iloc[0] == 1.0


def test_a_value_known_at_the_place_has_its_weight():
    """The slope in it is the linkage, beside the slopes in the rows."""
    design, table, _ = simulated("cubic", 6, shared=10, alone=0, cheap=4)
    post = posterior(design, table)
    surface = float(post.predict([[0.5]]).mean().sel(target="sim").item())
    at = cp.Table(["x"], ["sim"], [[0.5]], [[surface]])
    shares = diagnose(post, table, candidates=at).shares.iloc[0]
    c = abs(post.linkage.to_numpy()[..., 1, 0].mean())
    slopes = 0.0
    for i, j in np.argwhere(np.isfinite(table.y)):
        means = []
        for step in (-0.03, 0.03):
            y = table.y.copy()
            y[i, j] += step
            found = posterior(design, dataclasses.replace(table, y=y))
            draws = found.predict([[0.5]], given={"sim": [surface]}).draws
            means.append(float(draws.sel(target="exp").mean()))
        slopes += abs(means[1] - means[0]) / 0.06
    assert shares["values known there"] == pytest.approx(c / (c + slopes), rel=0.15)
    assert shares.drop("prior").sum() == pytest.approx(1.0)
