r"""Lengths of a kernel over all descriptors, one for each, from a few rows.

Rows v of descriptors u are taken as v = a + b . u + f(u) + noise with a Gaussian process f of
squared-exponential or Matern 5/2 covariance; amplitude, noise and lengths are those of highest
posterior density,

    log p(v | l, s, t) - sum_j (log l_j - log m)^2 / (2 w^2) - (log s - log 0.7)^2 / 2 - ...,

lengths in units of half the range of a descriptor, m = 1 and w = 1, for the rough kernel m = 2 and
w = 1.25. They shape features
(`claude_pymc.tables.landmarks`), whose amplitude and scale the model itself learns or averages
over.

Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), sec. 4.2, 5.4.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_solve

from claude_pymc.joint.ascent import ascend
from claude_pymc.tables.landmarks import CORRELATIONS

LENGTH = {"smooth": (1.0, 1.0), "rough": (2.0, 1.25)}  # median, log sd
AMPLITUDE, NOISE = (0.7, 1.0), (0.1, 1.5)  # median, log sd
LINEAR, CONSTANT = 0.5, 2.0  # prior sds
MOST = 200  # rows
FLAT = 0.03


def lengths_of(
    u: np.ndarray, v: np.ndarray, rng: np.random.Generator, kind: str = "smooth"
) -> tuple[float, ...]:
    """Length of each descriptor.

    Parameters
    ----------
    u : array (row, descriptor)
        Where the bounds of a descriptor are at -1 and 1.
    v : array (row)
        Values; they are standardised here.
    rng : Generator
        Chooses among more than 200 rows.
    kind : "smooth" or "rough"
        Kernel, squared-exponential or Matern 5/2.

    Examples
    --------
    >>> u = np.linspace(-1.0, 1.0, 30)[:, None]
    >>> short, = lengths_of(u, np.sin(9.0 * u[:, 0]), np.random.default_rng(0))
    >>> short < 0.5
    True
    """
    if len(v) > MOST:
        some = rng.choice(len(v), MOST, replace=False)
        u, v = u[some], v[some]
    scale = v.std()
    v = (v - v.mean()) / (scale if scale > 0 else 1.0)
    p = u.shape[1]
    squares = np.square(u[:, None] - u[None]).transpose(2, 0, 1)
    steady = CONSTANT**2 + LINEAR**2 * u @ u.T
    mean = np.log([*(LENGTH[kind][0],) * p, AMPLITUDE[0], NOISE[0]])
    sd = np.array([*(LENGTH[kind][1],) * p, AMPLITUDE[1], NOISE[1]])

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        rate = np.exp(-2.0 * theta[:p])
        found, steep = CORRELATIONS[kind](np.tensordot(rate, squares, 1))
        amplitude = math.exp(2.0 * theta[p])
        kernel = amplitude * found
        noise = math.exp(2.0 * theta[p + 1]) + 1e-6
        try:
            root = np.linalg.cholesky(steady + kernel + noise * np.eye(len(v)))
        except np.linalg.LinAlgError:  # steps far out
            return -np.inf, np.full(p + 2, np.nan)
        white = cho_solve((root, True), v)
        pull = np.outer(white, white) - cho_solve((root, True), np.eye(len(v)))
        slope = np.empty(p + 2)
        slope[:p] = 0.5 * amplitude * rate * np.tensordot(squares, pull * steep, 2)
        slope[p] = (pull * kernel).sum()
        slope[p + 1] = (noise - 1e-6) * np.trace(pull)
        z = (theta - mean) / sd
        value = -0.5 * v @ white - np.log(np.diag(root)).sum() - 0.5 * z @ z
        return float(value), slope - z / sd

    best: tuple[np.ndarray, float] | None = None
    for start in (mean, mean + np.log(0.5) * (np.arange(p + 2) < p)):
        found = ascend(evaluate, start, lambda theta: False, flat=FLAT)
        if found is not None and (best is None or found[1] > best[1]):
            best = found
    theta = mean if best is None else best[0]
    return tuple(float(length) for length in np.exp(theta[:p]))
