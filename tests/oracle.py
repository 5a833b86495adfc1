"""Slow, dense truths beside the fast paths, written differently from the package."""

import itertools
import math
from fractions import Fraction

import numpy as np
from scipy.stats import multivariate_normal

from claude_pymc.tables.table import Table


def dense_log_likelihood(precision, phi, y):
    """Sum over rows of log N(y_G; W_G phi, Sigma_GG), with Sigma and W formed explicitly."""
    p = phi.shape[1]
    sigma = np.linalg.inv(precision[p:, p:])
    w = -sigma @ precision[p:, :p]
    total = 0.0
    for f, row in zip(phi, y, strict=True):
        have = np.isfinite(row)
        if have.any():
            normal = multivariate_normal((w @ f)[have], sigma[np.ix_(have, have)])
            total += normal.logpdf(row[have])
    return total


def exact_log_likelihood(linkage, sigma, corrections, phi, y):
    """The same from the columns (C, sigma, R) in rational arithmetic: no digit is lost."""
    d, p = corrections.shape
    c, s, r, phi = (_fractions(a) for a in (linkage, sigma, corrections, phi))
    # y_j = sum_a root_ja eps_a + sum_b mean_jb phi_b, by substitution from the cheapest target on.
    root = [[s[j] if a == j else Fraction(0) for a in range(d)] for j in range(d)]
    mean = [list(row) for row in r]
    for j, k in itertools.combinations(range(d), 2):
        for into, size in ((root, d), (mean, p)):
            for a in range(size):
                into[k][a] += c[k][j] * into[j][a]
    total = 0.0
    for f, row in zip(phi, y, strict=True):
        have = np.flatnonzero(np.isfinite(row))
        rest = [
            Fraction(float(row[j])) - sum(m * v for m, v in zip(mean[j], f, strict=True))
            for j in have
        ]
        cov = [[sum(root[i][a] * root[j][a] for a in range(d)) for j in have] for i in have]
        determinant, square = _eliminate(cov, rest)
        total -= 0.5 * (len(have) * math.log(2 * math.pi) + math.log(determinant) + float(square))
    return total


def _fractions(values):
    if np.ndim(values) == 0:
        return Fraction(float(values))
    return [_fractions(v) for v in values]


def _eliminate(matrix, vector):
    """Determinant, and vector' matrix^-1 vector."""
    determinant, square = Fraction(1), Fraction(0)
    matrix, vector = [list(row) for row in matrix], list(vector)
    for j in range(len(vector)):
        pivot = matrix[j][j]
        determinant *= pivot
        square += vector[j] ** 2 / pivot
        for i in range(j + 1, len(vector)):
            factor = matrix[i][j] / pivot
            vector[i] -= factor * vector[j]
            for k in range(j, len(vector)):
                matrix[i][k] -= factor * matrix[j][k]
    return determinant, square


def all_patterns(d):
    """Every pattern of at least one present target, as a boolean array (pattern, target)."""
    return np.array([p for p in itertools.product((True, False), repeat=d) if any(p)])


def random_precision(rng, p, d):
    """A precision (basis..., targets...) with a positive definite target block."""
    root = rng.normal(size=(d, d + 3))
    precision = np.zeros((p + d, p + d))
    precision[p:, p:] = root @ root.T + 0.1 * np.eye(d)
    precision[p:, :p] = rng.normal(size=(d, p))
    precision[:p, p:] = precision[p:, :p].T
    return precision


def random_columns(rng, p, d):
    """Columns (C, sigma, R)."""
    linkage = np.tril(rng.normal(size=(d, d)), -1)
    return linkage, np.exp(rng.normal(scale=0.5, size=d)), rng.normal(size=(d, p))


def random_rows(rng, n, n_descriptors=1, d=2):
    """A table of n random rows in which all patterns take turns."""
    y = rng.normal(size=(n, d))
    y[~np.resize(all_patterns(d), (n, d))] = np.nan
    order = rng.permutation(n)
    descriptors = [f"x{i + 1}" for i in range(n_descriptors)]
    targets = [f"y{j + 1}" for j in range(d)]
    return Table(descriptors, targets, rng.uniform(-1, 1, (n, n_descriptors)), y[order])
