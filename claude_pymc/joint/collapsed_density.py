"""Log density of linkage, noise and scales at many points: loops for numba.

Coordinates are those of `claude_pymc.joint.collapsed`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from claude_pymc.joint.collapsed_kernel import collapsed
from claude_pymc.joint.density import LOG_2PI, lkj_loops
from claude_pymc.joint.tiles import padded, solve_transposed

SHRINKAGE, LKJ, FLAT = range(3)


class Problem(NamedTuple):
    """Specification and statistics as the loops take them."""

    kind: int
    floor: float
    links: np.ndarray  # (link, 2): variable, earlier variable
    link_mean: np.ndarray
    link_sd: float
    noise_mean: float
    noise_sd: float
    hyper_mean: np.ndarray  # (hyper)
    hyper_sd: np.ndarray
    low: np.ndarray  # (length)
    high: np.ndarray
    offset: np.ndarray  # (entry)
    weight: np.ndarray  # (entry, group)
    half: np.ndarray  # (entry, length)
    frequency: np.ndarray  # (entry, length)
    t: float
    linked: np.ndarray
    shape: np.ndarray
    power: np.ndarray  # flat prior: the density is prod sigma_j^-power_j in log sigma
    start: np.ndarray
    term: np.ndarray
    owner: np.ndarray  # (entry): variable
    rows: np.ndarray
    gram: np.ndarray


@njit(cache=True, error_model="numpy")
def _unpack(
    theta: np.ndarray,
    problem: Problem,
    linkage: np.ndarray,
    sigma: np.ndarray,
    sd: np.ndarray,
    log_length: np.ndarray,
) -> None:
    """C, sigma, the prior sds of the entries and the log lengths at theta."""
    n, d = len(problem.links), len(sigma)
    for i in range(n):
        linkage[problem.links[i, 0], problem.links[i, 1]] = theta[i]
    for j in range(d):
        sigma[j] = problem.floor + np.exp(theta[n + j])
    groups, lengths = problem.weight.shape[1], len(log_length)
    for i in range(lengths):
        share = 0.5 * (1.0 + math.erf(theta[n + d + groups + i] / math.sqrt(2.0)))
        log_length[i] = problem.low[i] + (problem.high[i] - problem.low[i]) * share
    for e in range(len(sd)):
        if problem.kind == SHRINKAGE:
            log_sd = problem.offset[e]
            for g in range(groups):
                log_sd += problem.weight[e, g] * theta[n + d + g]
            for i in range(lengths):
                square = np.exp(2.0 * log_length[i])
                log_sd += 0.5 * problem.half[e, i] * log_length[i]
                log_sd -= 0.25 * problem.frequency[e, i] * square
            sd[e] = np.exp(log_sd)
            if sd[e] == np.inf:  # too large a number, not a flat prior
                sd[e] = np.nan
        elif problem.kind == LKJ:
            sd[e] = problem.t * sigma[problem.owner[e]]
        else:
            sd[e] = np.inf


@njit(cache=True, error_model="numpy")
def _normal(x: float, mean: float, sd: float) -> float:
    """Log density of a normal distribution."""
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * LOG_2PI


@njit(cache=True, error_model="numpy")
def log_posterior(
    theta: np.ndarray,
    problem: Problem,
    mean: np.ndarray,
    root: np.ndarray,
    gradient: np.ndarray,
    want: bool,
) -> float:
    """Log density at theta; fill bhat, L and, if wanted, the gradient."""
    d, q, n = problem.rows.shape[1], len(problem.term), len(problem.links)
    linkage, sigma, sd = np.zeros((d, d)), np.empty(d), np.empty(q)
    g_linkage, g_sigma, g_sd = np.zeros((d, d)), np.zeros(d), np.empty(q)
    log_length = np.empty(len(problem.low))
    _unpack(theta, problem, linkage, sigma, sd, log_length)
    value = collapsed(
        linkage,
        sigma,
        sd,
        problem.start,
        problem.term,
        problem.rows,
        problem.gram,
        mean,
        root,
        g_linkage,
        g_sigma,
        g_sd,
        want,
    )
    if not value > -np.inf:
        gradient[:] = np.nan
        return -np.inf
    if want:
        for i in range(n):
            gradient[i] = g_linkage[problem.links[i, 0], problem.links[i, 1]]
        for j in range(d):
            gradient[n + j] = g_sigma[j]
        gradient[n + d :] = 0.0
        groups = problem.weight.shape[1]
        for e in range(q):
            if problem.kind == LKJ:
                gradient[n + problem.owner[e]] += problem.t * g_sd[e]
            elif problem.kind == SHRINKAGE:
                slope = sd[e] * g_sd[e]
                for g in range(groups):
                    gradient[n + d + g] += problem.weight[e, g] * slope
                for i in range(len(log_length)):
                    square = np.exp(2.0 * log_length[i])
                    steep = problem.half[e, i] - problem.frequency[e, i] * square
                    gradient[n + d + groups + i] += 0.5 * steep * slope
        for i in range(len(log_length)):  # d log length / d z
            z = theta[n + d + groups + i]
            steep = (problem.high[i] - problem.low[i]) * np.exp(-0.5 * (z * z + LOG_2PI))
            gradient[n + d + groups + i] *= steep
        for j in range(d):
            gradient[n + j] *= sigma[j] - problem.floor
    if problem.kind == SHRINKAGE:
        for i in range(n):
            value += _normal(theta[i], problem.link_mean[i], problem.link_sd)
            gradient[i] -= (theta[i] - problem.link_mean[i]) / problem.link_sd**2
        for j in range(n, n + d):
            value += _normal(theta[j], problem.noise_mean, problem.noise_sd)
            gradient[j] -= (theta[j] - problem.noise_mean) / problem.noise_sd**2
        for g in range(len(problem.hyper_mean)):
            at, mean_g, sd_g = n + d + g, problem.hyper_mean[g], problem.hyper_sd[g]
            value += _normal(theta[at], mean_g, sd_g)
            gradient[at] -= (theta[at] - mean_g) / sd_g**2
    elif problem.kind == LKJ:
        g_linkage[:], g_sigma[:] = 0.0, 0.0
        value += lkj_loops(
            linkage,
            sigma,
            problem.linked,
            problem.shape,
            problem.noise_mean,
            problem.noise_sd,
            g_linkage,
            g_sigma,
        )
        for i in range(n):
            gradient[i] += g_linkage[problem.links[i, 0], problem.links[i, 1]]
        for j in range(d):
            gradient[n + j] += g_sigma[j]
    else:
        for j in range(d):
            value -= problem.power[j] * theta[n + j]
            gradient[n + j] -= problem.power[j]
    if not value > -np.inf:
        gradient[:] = np.nan
        return -np.inf
    return value


@njit(cache=True, error_model="numpy", nogil=True)
def evaluate(
    points: np.ndarray,
    problem: Problem,
    values: np.ndarray,
    gradient: np.ndarray,
    free: np.ndarray,
) -> None:
    """Log density of points; the gradient of the last one and draws of b, unless empty.

    One entry for everything, because each would be compiled with all it calls. Without the lock of
    the interpreter, so that a progress display goes on. ``free`` holds
    standard normal numbers, and afterwards draws of b.
    """
    q = len(problem.term)
    size = padded(q)
    mean, root, slope = np.empty(q), np.empty((size, size)), np.empty(points.shape[1])
    want = len(gradient) > 0
    for i in range(len(points)):
        values[i] = log_posterior(points[i], problem, mean, root, slope, want)
        if want:
            gradient[:] = slope
        if len(free) > 0:
            solve_transposed(root, free[i])
            for e in range(q):
                free[i, e] += mean[e]
