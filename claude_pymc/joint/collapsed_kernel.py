r"""The likelihood with the corrections integrated out: loops for numba.

Given linkage C, noise sigma and prior sds s_e of the free entries b_e of R, where e = (j, beta) is
target j and basis term beta, everything is Gaussian in b. With A = T^-1, T = I - C, and for a
pattern G

    M_G = A_G' Sigma_GG^-1 A_G,      N_G = A_G' Sigma_GG^-1,

    H[e, f] = sum_G M_G[j, k] C_G[beta, gamma] + delta_ef / s_e^2,    f = (k, gamma)
    h[e]    = sum_G sum_i N_G[j, i] C_G[beta, y_i],                    bhat = H^-1 h

    log p(y) = log p(y | bhat) - 1/2 sum_e bhat_e^2 / s_e^2 - sum_e log s_e - 1/2 log|H|

and b | y ~ N(bhat, H^-1). An infinite s_e is a flat prior: its two terms become + 1/2 log 2 pi.

The gradient is the mean of the gradient of log p(y, b) over b | y (Fisher's identity). In C and
sigma, log p(y | b) sees b only through the d surfaces mu_j = R_j . phi, whose second moments

    sum mu_j mu_k = sum_{e in j, f in k} (bhat_e bhat_f + H^-1[e, f]) C_G[beta, gamma]

take the place of a basis: it is the pattern-wise likelihood again, with d terms and R = I.

H is kept as its Cholesky factor, padded to whole tiles (`claude_pymc.joint.tiles`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.kernel import TINY, pattern_loops
from claude_pymc.joint.tiles import factorise, inverse_from, pad, solve_lower, solve_transposed

EPSILON = 2.0**-52
# Of the bound on round-off in a log density; beyond, digits of the Gram matrix would speak: a basis
# of collinear terms, at a noise of 1e-5 of the values, once gained 10^9 by them.
MOST_ROUNDING = 1.0


@njit(cache=True, error_model="numpy", inline="never")
def axpy(target: np.ndarray, factor: float, source: np.ndarray) -> None:
    """Target += factor * source, in a loop that is vectorised."""
    for i in range(len(target)):
        target[i] += factor * source[i]


@njit(cache=True, error_model="numpy")
def whiten(
    linkage: np.ndarray,
    sigma: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray,
    carry: np.ndarray,
) -> bool:
    """Fill M_G and N_G of each pattern (pattern, d, d), zero before; False where that fails.

    With A = T^-1, its patterns are whitened: U_G = L^-1 A_G and E_G = L^-1 (columns of the targets
    that are present), M = U'U and N = U'E.
    """
    d, n_patterns = len(sigma), len(rows)
    inverse = np.zeros((d, d))
    for j in range(d):
        if not (sigma[j] > TINY and sigma[j] < np.inf):
            return False
        inverse[j, j] = 1.0
        for k in range(j):
            if not np.isfinite(linkage[j, k]):
                return False
            for i in range(k + 1):
                inverse[j, i] += linkage[j, k] * inverse[k, i]
    orthogonal, white, unit = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    for m in range(n_patterns):
        size = 0
        for j in range(d):
            if not rows[m, j] > 0.0:
                continue
            for i in range(d):
                white[size, i] = inverse[j, i]
                orthogonal[size, i] = inverse[j, i] * sigma[i]
                unit[size, i] = 1.0 if i == j else 0.0
            for k in range(size):
                dot = 0.0
                for i in range(d):
                    dot += orthogonal[size, i] * orthogonal[k, i]
                for i in range(d):
                    orthogonal[size, i] -= dot * orthogonal[k, i]
                    white[size, i] -= dot * white[k, i]
                    unit[size, i] -= dot * unit[k, i]
            square = 0.0
            for i in range(d):
                square += orthogonal[size, i] ** 2
            length = np.sqrt(square)
            if not (length > TINY and length < np.inf):
                return False
            for i in range(d):
                orthogonal[size, i] /= length
                white[size, i] /= length
                unit[size, i] /= length
            size += 1
        for j in range(d):
            for k in range(d):
                for i in range(size):
                    weight[m, j, k] += white[i, j] * white[i, k]
                    carry[m, j, k] += white[i, j] * unit[i, k]
    return True


@njit(cache=True, error_model="numpy")
def assemble(
    weight: np.ndarray,
    carry: np.ndarray,
    start: np.ndarray,
    term: np.ndarray,
    gram: np.ndarray,
    h: np.ndarray,
    root: np.ndarray,
) -> None:
    """Fill h, and the lower triangle of H without its prior, of the entries of R.

    Both may be longer than there are such entries: what is beyond is set to zero, and the diagonal
    beyond h to one.
    """
    d, n_patterns = len(start) - 1, len(gram)
    p, q = gram.shape[1] - d, len(h)
    for e in range(q):
        h[e] = 0.0
        for f in range(e + 1):
            root[e, f] = 0.0
    pad(root, q)
    for j in range(d):
        for m in range(n_patterns):
            for i in range(d):
                factor = carry[m, j, i]
                if factor != 0.0:
                    for e in range(start[j], start[j + 1]):
                        h[e] += factor * gram[m, p + i, term[e]]
        for k in range(j + 1):
            first, last = start[k], start[k + 1]
            solid = last > first and term[last - 1] - term[first] == last - 1 - first
            for m in range(n_patterns):
                factor = weight[m, j, k]
                if factor == 0.0:
                    continue
                for e in range(start[j], start[j + 1]):
                    row, end = gram[m, term[e]], min(last, e + 1)
                    if solid:
                        shift = term[first] - first
                        axpy(root[e, first:end], factor, row[first + shift : end + shift])
                    else:
                        for f in range(first, end):
                            root[e, f] += factor * row[term[f]]


@njit(cache=True, error_model="numpy")
def moments_of_surfaces(
    b: np.ndarray, start: np.ndarray, term: np.ndarray, gram: np.ndarray, d: int
) -> np.ndarray:
    """Gram matrices of the d surfaces mu_j = R_j . phi and the targets (pattern, 2 d, 2 d)."""
    n_patterns, p = len(gram), gram.shape[1] - d
    surfaces = np.zeros((n_patterns, 2 * d, 2 * d))
    product = np.zeros((d, p + d))
    for m in range(n_patterns):
        for j in range(d):
            for z in range(p + d):
                product[j, z] = 0.0
            for e in range(start[j], start[j + 1]):
                axpy(product[j], b[e], gram[m, term[e]])
        for j in range(d):
            for k in range(d):
                for f in range(start[k], start[k + 1]):
                    surfaces[m, j, k] += product[j, term[f]] * b[f]
                surfaces[m, j, d + k] = product[j, p + k]
                surfaces[m, d + k, j] = product[j, p + k]
                surfaces[m, d + j, d + k] = gram[m, p + j, p + k]
    return surfaces


@njit(cache=True, error_model="numpy")
def rounding(
    b: np.ndarray,
    sigma: np.ndarray,
    start: np.ndarray,
    term: np.ndarray,
    rows: np.ndarray,
    gram: np.ndarray,
) -> float:
    """Bound on what round-off in sums of squares does to the log density.

    A residual is what two large sums leave: with s_j = sum_e |b_e| |phi_e| + |y_j| the sums of
    target j are at most s_j^2, of which the last digit counts 1 / sigma_j^2.
    """
    d = len(sigma)
    p, lost = gram.shape[1] - d, 0.0
    for j in range(d):
        size = 0.0
        for m in range(len(gram)):
            if rows[m, j] > 0.0:
                part = np.sqrt(gram[m, p + j, p + j])
                for e in range(start[j], start[j + 1]):
                    part += abs(b[e]) * np.sqrt(gram[m, term[e], term[e]])
                size += part**2
        lost += EPSILON * size / sigma[j] ** 2
    return lost


@njit(cache=True, error_model="numpy")
def collapsed(
    linkage: np.ndarray,
    sigma: np.ndarray,
    sd: np.ndarray,
    start: np.ndarray,
    term: np.ndarray,
    rows: np.ndarray,
    gram: np.ndarray,
    mean: np.ndarray,
    root: np.ndarray,
    g_linkage: np.ndarray,
    g_sigma: np.ndarray,
    g_sd: np.ndarray,
    want_gradient: bool,
) -> float:
    """Log marginal likelihood; fill bhat, L and, if wanted, the gradients.

    Parameters
    ----------
    linkage, sigma : arrays (d, d) strictly lower, (d)
    sd : array (q)
        Prior sd of the free entries of R, infinite for a flat prior.
    start, term : int arrays (d + 1), (q)
        Entries start[j] .. start[j + 1] - 1 belong to target j; term is the basis term of each.
    rows, gram : arrays (pattern, d), (pattern, p + d, p + d)
    mean, root : arrays (q), (padded(q), padded(q)), filled
    g_linkage, g_sigma, g_sd : arrays (d, d), (d), (q), filled with gradients, NaN on failure
    """
    d, q, n_patterns = len(sigma), len(sd), len(rows)
    for j in range(d):
        g_sigma[j] = np.nan
        for k in range(d):
            g_linkage[j, k] = np.nan
    g_sd[:] = np.nan
    for e in range(q):
        if not sd[e] > TINY:
            return -np.inf
    weight, carry = np.zeros((n_patterns, d, d)), np.zeros((n_patterns, d, d))
    if not whiten(linkage, sigma, rows, weight, carry):
        return -np.inf
    assemble(weight, carry, start, term, gram, mean, root)
    logs = 0.0
    for e in range(q):
        if sd[e] < np.inf:
            root[e, e] += 1.0 / sd[e] ** 2
            logs -= np.log(sd[e])
        else:
            logs += 0.5 * LOG_2PI
    if not factorise(root):
        return -np.inf
    solve_lower(root, mean)
    solve_transposed(root, mean)
    for e in range(q):
        logs -= np.log(root[e, e]) + (0.5 * (mean[e] / sd[e]) ** 2 if sd[e] < np.inf else 0.0)
    if not rounding(mean, sigma, start, term, rows, gram) < MOST_ROUNDING:
        return -np.inf
    surfaces = moments_of_surfaces(mean, start, term, gram, d)
    identity, spent = np.eye(d), np.zeros((d, d))
    value = pattern_loops(linkage, sigma, identity, rows, surfaces, g_linkage, g_sigma, spent)
    if want_gradient and value > -np.inf:
        inverse_h = inverse_from(root)
        for m in range(n_patterns):
            for j in range(d):
                for k in range(j, d):
                    if weight[m, j, k] == 0.0 and weight[m, k, k] == 0.0:
                        continue
                    total = 0.0
                    for e in range(start[j], start[j + 1]):
                        for f in range(start[k], start[k + 1]):
                            total += inverse_h[e, f] * gram[m, term[e], term[f]]
                    surfaces[m, j, k] += total
                    if k > j:
                        surfaces[m, k, j] += total
        pattern_loops(linkage, sigma, identity, rows, surfaces, g_linkage, g_sigma, spent)
        for e in range(q):
            g_sd[e] = 0.0
            if sd[e] < np.inf:
                g_sd[e] = ((mean[e] / sd[e]) ** 2 + inverse_h[e, e] / sd[e] ** 2 - 1.0) / sd[e]
    return value + logs
