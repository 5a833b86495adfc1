"""Millions of candidates: the scores are right, and cost little beyond the matrix product."""

import resource
import statistics
import time

import numpy as np
import pytest

from claude_pymc.acquisition.functions import expected_improvement
from claude_pymc.acquisition.scoring import CHUNK, improvement_and_variance


@pytest.mark.parametrize("n", [1, 7, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores(n, dtype, rng):
    w, phi = rng.normal(size=(300, 6)) + 5.0, rng.normal(size=(n, 6)).astype(dtype)
    draws = w @ phi.T.astype(float)
    gain, spread = improvement_and_variance(w, phi, 1.0)
    rtol = 1e-12 if dtype is np.float64 else 1e-4
    np.testing.assert_allclose(gain, expected_improvement(draws, 1.0), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(spread, draws.var(axis=0), rtol=rtol)


def test_a_small_variance_around_a_large_value(rng):
    phi = np.ones((3, 1))
    w = 1e6 + 1e-3 * rng.normal(size=(500, 1))
    _, spread = improvement_and_variance(w, phi, 0.0)
    np.testing.assert_allclose(spread, w.var(), rtol=1e-4)


@pytest.mark.speed
def test_the_reduction_costs_less_than_the_product(rng):
    """At most twice the bare chunked product, with 500 draws and 51 terms."""
    from threadpoolctl import threadpool_limits

    phi, w = rng.normal(size=(200_000, 51)), rng.normal(size=(500, 51))
    draws = np.empty((CHUNK, 500))

    def product():
        for start in range(0, len(phi), CHUNK):
            part = phi[start : start + CHUNK]
            np.matmul(part, w.T, out=draws[: len(part)])

    ratios = []
    with threadpool_limits(1):
        improvement_and_variance(w, phi[:10], 0.0)
        for _ in range(7):
            begin = time.perf_counter()
            product()
            bare = time.perf_counter() - begin
            improvement_and_variance(w, phi, 1.0)
            ratios.append((time.perf_counter() - begin - bare) / bare)
    assert statistics.median(ratios) < 2.0, ratios
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2e6  # kB, with the tests' imports
