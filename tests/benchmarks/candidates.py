"""Four million candidates by expected improvement and variance: time beside the bare product.

The basis is precomputed (51 terms, as for two targets of the sine pair), 500 draws, one thread.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from threadpoolctl import threadpool_limits

from claude_pymc.acquisition.scoring import CHUNK, improvement_and_variance

CANDIDATES, TERMS, DRAWS = 4_000_000, 51, 500


def product(phi: np.ndarray, w: np.ndarray) -> None:
    """Draws, chunk by chunk, which are thrown away."""
    draws = np.empty((CHUNK, len(w)), dtype=phi.dtype)
    for start in range(0, len(phi), CHUNK):
        part = phi[start : start + CHUNK]
        np.matmul(part, w.T, out=draws[: len(part)])


def main() -> None:
    """Print seconds, ratio and memory, for both precisions."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        phi = np.empty((CANDIDATES, TERMS), dtype=dtype)
        for start in range(0, CANDIDATES, 100_000):
            phi[start : start + 100_000] = rng.standard_normal((100_000, TERMS), dtype=dtype)
        w = rng.standard_normal((DRAWS, TERMS), dtype=dtype)
        improvement_and_variance(w, phi[:10], 1.0)
        ratios = []
        for _ in range(3):
            begin = time.perf_counter()
            product(phi, w)
            bare = time.perf_counter() - begin
            improvement_and_variance(w, phi, 1.0)
            ratios.append((time.perf_counter() - begin - bare) / bare)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{np.dtype(dtype).name}: product {bare:.1f} s, scores {sorted(ratios)[1]:.2f} times "
            f"that (must: at most 2), peak memory {peak:.2f} GB (must: under 2)"
        )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
