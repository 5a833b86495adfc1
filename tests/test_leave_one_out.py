"""Leave-one-value-out by importance weights against refits in closed form."""

import arviz as az
import numpy as np
from row_cases import dense, fit_of, make_draws, make_rows, make_spec, make_truth
from scipy.stats import norm

from claude_pymc.joint.rows import attach_rows


def exact_case(rng, draws=4000):
    """Rows, exact draws of R with C and sigma fixed, and the density of each value given the rest.

    R ~ N(0, 1) in its free entries: all values are jointly Gaussian, y = A b + e.
    """
    spec = make_spec("conditional", 2)
    truth = make_truth(spec, rng)
    rows = make_rows(spec, truth, rng, n=40)
    y, _, sigma = dense(spec, truth, rows)
    t = np.linalg.inv(np.eye(2) - truth["linkage"])
    entries = spec.columns.entries
    places = np.argwhere(np.isfinite(y))
    phi = spec.design.phi(rows.x)
    linear = np.array([[t[j, k] * phi[i, b] for k, b in entries] for i, j in places])
    noise = np.array([[sigma[j, m] * (i == k) for k, m in places] for i, j in places])
    values = y[tuple(places.T)]
    inverse = np.linalg.inv(noise)
    precision = np.eye(len(entries)) + linear.T @ inverse @ linear
    centre = np.linalg.solve(precision, linear.T @ inverse @ values)
    root = np.linalg.inv(np.linalg.cholesky(precision))
    found = []
    for b in centre + rng.standard_normal((draws, len(entries))) @ root:
        terms = np.zeros_like(truth["corrections"])
        terms[tuple(np.array(entries).T)] = b
        found.append({**truth, "corrections": terms})
    exact = np.empty(len(places))
    for m, (_, j) in enumerate(places):  # a refit without value m, then its predictive density
        rest = np.arange(len(places)) != m
        cov = noise + linear @ linear.T
        gain = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, m])
        sd = np.sqrt(cov[m, m] - gain @ cov[rest, m])
        exact[m] = norm.logpdf(values[m], gain @ values[rest], sd) - np.log(spec.design.scale[j])
    densities = {t: exact[places[:, 1] == j] for j, t in enumerate(spec.design.targets)}
    return rows, fit_of(make_draws(spec, found), rows), densities


def test_leaving_a_value_out_agrees_with_refits(rng):
    rows, idata, exact = exact_case(rng)
    attach_rows(idata, rows, seed=0)
    for name, expected in exact.items():
        weight = np.exp(-idata["log_likelihood"][name].stack(s=("chain", "draw")).to_numpy())
        plain = -np.log(weight.mean(axis=1))
        error = weight.std(axis=1) / weight.mean(axis=1) / np.sqrt(weight.shape[1])
        loo = az.loo(idata, var_name=name, pointwise=True)
        smoothed = loo.elpd_i.to_numpy()
        assert loo.pareto_k.max() < 0.7
        assert np.abs(plain - expected).max() < 0.2
        assert (np.abs(plain - expected) / error).max() < 5
        np.testing.assert_allclose(smoothed, plain, atol=5 * error.max())
        within = idata["log_likelihood"][name].mean().item() * len(expected)
        assert abs(loo.elpd - expected.sum()) < 0.2 * abs(within - expected.sum())
    az.loo(idata, var_name="rows")
