"""How fast this machine is, beside the one of the README's tables.

Limits of tests are seconds there. A slower machine, or one with others at work on it, needs more
for everything: a fixed piece of work that is none of ours is timed, and a limit grows by how many
times longer it took than there. A faster machine gets no stricter limit, and nothing here depends
on our own code.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import linalg

# What `reference` takes on the machine of the README's tables: median of 45, seconds.
THERE = 0.042
SLOWEST = 5.0  # what is slower still is no machine to judge speed on


def reference(clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds for small factorisations, a loop of Python, and long vectors."""
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((60, 49)) for _ in range(10)]
    start = clock()
    for _ in range(60):
        for block in blocks:
            root = linalg.cholesky(block.T @ block + np.eye(49), lower=True)
            linalg.solve_triangular(root, block.T, lower=True)
    counts: dict[int, float] = {}
    for i in range(60_000):
        counts[i % 977] = counts.get(i % 977, 0.0) + 0.5 * i
    np.exp(rng.standard_normal(500_000)).sum()
    np.sort(rng.standard_normal(300_000))
    return clock() - start


def pace(clock: Callable[[], float] = time.perf_counter) -> float:
    """How many times slower than there this machine is now; 1 where it is faster."""
    slower = statistics.median(reference(clock) for _ in range(5)) / THERE
    return min(max(1.0, slower), SLOWEST)


def within(seconds: float, most: float, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Whether a time by that clock is below a limit; looks at the machine only where it is not."""
    return seconds < most or seconds < most * pace(clock)
