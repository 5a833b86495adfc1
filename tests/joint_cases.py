"""Two descriptors and two linked targets for the tests of the joint likelihood."""

import numpy as np

import claude_pymc as cp

XS, YS = ["a", "b"], ["sim", "exp"]
PRIOR = cp.LKJPrior(eta=1.5, t=3.0, noise=0.5, noise_log_sd=0.8)
FULL = {name: ["1", *XS] for name in YS}


def make_design(corrections=FULL, missing=True):
    ranges = {"exp": (-2.0, 4.0)}
    bounds = dict.fromkeys(XS, (-3.0, 3.0))
    return cp.Design.from_bounds(
        bounds, YS, corrections=corrections, ranges=ranges, missing_descriptors=missing
    )


def make_rows(rng, n=60, share=0.3):
    """Linked rows of all patterns, but never an empty one."""
    x = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    sim = 1 + x @ [0.8, -0.5] + 0.3 * rng.normal(size=n)
    exp = 0.7 * sim + x @ [0.0, 0.4] - 0.3 + 0.3 * rng.normal(size=n)
    z = np.column_stack([x, sim, exp])
    z[rng.uniform(size=z.shape) < share] = np.nan
    z = z[np.isfinite(z).any(axis=1)]
    return cp.Table(XS, YS, z[:, :2], z[:, 2:])
