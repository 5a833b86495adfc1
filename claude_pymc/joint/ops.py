r"""The pattern-wise marginal likelihood as a pytensor Op, with its gradient.

The parameters are the target columns (C, sigma, R) of `claude_pymc.joint.gaussian`. With
T = I - C, A = T^-1 diag(sigma) and W = T^-1 R, a pattern Gamma of present targets is
y_Gamma | x ~ N(W_Gamma phi, A_G A_G'), and with E = (-W_Gamma, I) the rows enter through their Gram
matrix alone (Harashima et al. 2025, eq. 8-13):

    log p = sum_Gamma  -n/2 log|2 pi Sigma_GG| - 1/2 tr(Sigma_GG^-1 E C_Gamma E').

With the factorisation A_G = L Q (L lower triangular, Q orthonormal rows), V = L^-1 E C_Gamma and
U = L^-1 E, the trace is sum(U * V) and

    d log p / d W_G = L^-T V_x =: g_W,        d log p / d A_G = L^-T (V U' - n I) Q =: g_A,

    d log p / d R = T^-T g_W,              d log p / d sigma = diag(T^-T g_A),
    d log p / d C = T^-T (g_W W' + g_A A').

L comes from A_G itself, never from Sigma_GG: a noise that is 10^-8 of another one keeps its digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.variable import TensorVariable

from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.kernel import (
    SIGNATURE,
    SYMBOL,
    TINY,
    VERSION,
    external,
    pattern_kernel,
)

MISFIT = "rows (pattern, target) and gram (pattern, z, z) do not fit the other inputs"


def pattern_numpy(
    linkage: np.ndarray,
    sigma: np.ndarray,
    corrections: np.ndarray,
    rows: np.ndarray,
    gram: np.ndarray,
) -> tuple[Any, ...]:
    """Value and gradients with respect to C (strictly lower), sigma and R, by array algebra."""
    d, p = corrections.shape
    bad = (-np.inf, np.full((d, d), np.nan), np.full(d, np.nan), np.full((d, p), np.nan))
    if rows.shape[1] != d or gram.shape != (len(rows), p + d, p + d):
        raise ValueError(MISFIT)
    below = np.tril(linkage, -1)
    if not (np.isfinite(sigma).all() and (sigma > TINY).all() and np.isfinite(below).all()):
        return bad
    mean, root = corrections.copy(), np.diag(sigma)
    for j in range(1, d):  # substitution: a solver with pivots fails where c is huge
        mean[j] += below[j] @ mean
        root[j] += below[j] @ root
    value, g_mean, g_root = 0.0, np.zeros((d, p)), np.zeros((d, d))
    for counts, scatter in zip(rows, gram, strict=True):
        have = np.flatnonzero(counts > 0)
        if not len(have):
            continue
        n = counts[have[0]]
        if not np.isfinite(root[have]).all():
            return bad
        q, lower = np.linalg.qr(root[have].T)
        q, lower = q.T, lower.T
        if not (np.abs(np.diag(lower)) > TINY).all():
            return bad
        u = np.linalg.solve(lower, np.hstack([-mean, np.eye(d)])[have])
        v = u @ scatter
        value -= n * (0.5 * len(have) * LOG_2PI + np.log(np.abs(np.diag(lower))).sum())
        value -= 0.5 * np.sum(u * v)
        g_mean[have] += np.linalg.solve(lower.T, v[:, :p])
        g_root[have] += np.linalg.solve(lower.T, (v @ u.T - n * np.eye(len(have))) @ q)
    if not np.isfinite(value):
        return bad
    for j in range(d - 2, -1, -1):
        g_mean[j] += below[:, j] @ g_mean
        g_root[j] += below[:, j] @ g_root
    g_linkage = np.tril(g_mean @ mean.T + g_root @ root.T, -1)
    return value, g_linkage, np.diag(g_root).copy(), g_mean


class ValueAndGradients(Op):
    """An Op of parameters and data whose outputs are a value and its gradients.

    There is one gradient for each parameter; the parameters come first among the inputs.
    """

    ranks: tuple[int, ...]  # of the inputs
    parameters: int  # how many of them are differentiable

    def make_node(self, *inputs: Any) -> Apply:
        """Check ranks and make the outputs."""
        values = [pt.as_tensor(i) for i in inputs]
        ranks = tuple(v.type.ndim for v in values)
        if ranks != self.ranks:
            raise TypeError(f"expected inputs of ranks {self.ranks}, got {ranks}")
        values = [pt.cast(v, "float64") for v in values]
        ranks = (0, *ranks[: self.parameters])
        return Apply(self, values, [pt.tensor(dtype="float64", shape=(None,) * n) for n in ranks])

    def infer_shape(self, node: Apply, in_shapes: list[Any]) -> list[Any]:
        """Shapes of the value and of the gradients."""
        return [(), *in_shapes[: self.parameters]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Return the cotangent of the value times the gradients computed with it."""
        data = [disconnected_type() for _ in self.ranks[self.parameters :]]
        return [*(cotangents[0] * gradient for gradient in outputs[1:]), *data]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the value depends, differentiably, on the parameters."""
        n = self.parameters
        return [[i < n, *(False,) * n] for i in range(len(self.ranks))]


class PatternLogLikelihood(ValueAndGradients):
    """Log-likelihood of statistics by pattern, missing targets integrated out.

    Inputs are ``linkage`` (target, target), of which the strictly lower part is read, ``sigma``
    (target), ``corrections`` (target, basis), and the data ``rows`` (pattern, target), the number
    of rows of a pattern where the target is present, else 0, and ``gram`` (pattern, z, z). Outputs
    are the value and its gradients with respect to the first three. A covariance that is not
    positive definite gives -inf and NaN gradients, never an exception.
    """

    __props__ = ()
    ranks, parameters = (2, 1, 2, 2, 3), 3

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        """Evaluate with numpy."""
        with np.errstate(all="ignore"):
            results = pattern_numpy(*inputs)
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = np.asarray(result, dtype=np.float64)


@register_funcify_default_op_cache_key(PatternLogLikelihood)
def _pattern_log_likelihood_numba(op: PatternLogLikelihood, **kwargs: Any) -> tuple[Any, int]:
    kernel = external(pattern_kernel, SIGNATURE, SYMBOL)

    @numba_njit
    def pattern_log_likelihood(
        linkage: np.ndarray,
        sigma: np.ndarray,
        corrections: np.ndarray,
        rows: np.ndarray,
        gram: np.ndarray,
    ) -> tuple[np.ndarray, ...]:
        d, p = corrections.shape
        n, m = rows.shape
        if m != d or gram.shape != (n, p + d, p + d):
            raise ValueError(MISFIT)
        if linkage.shape != (d, d) or len(sigma) != d:
            raise ValueError(MISFIT)
        value = np.empty(1)
        g_linkage, g_sigma, g_corrections = np.empty((d, d)), np.empty(d), np.empty((d, p))
        kernel(
            d,
            p,
            rows.shape[0],
            np.ascontiguousarray(linkage).ctypes,
            np.ascontiguousarray(sigma).ctypes,
            np.ascontiguousarray(corrections).ctypes,
            np.ascontiguousarray(rows).ctypes,
            np.ascontiguousarray(gram).ctypes,
            value.ctypes,
            g_linkage.ctypes,
            g_sigma.ctypes,
            g_corrections.ctypes,
        )
        return np.asarray(value[0]), g_linkage, g_sigma, g_corrections

    return pattern_log_likelihood, VERSION


_pattern_log_likelihood = PatternLogLikelihood()


def pattern_log_likelihood(
    linkage: Any, sigma: Any, corrections: Any, rows: Any, gram: Any
) -> TensorVariable:
    """Symbolic log-likelihood of statistics, for use in any PyMC model.

    Parameters
    ----------
    linkage : tensor (target, target)
        C, strictly lower; other entries are not read.
    sigma : tensor (target)
        Standard deviation of each target given the cheaper ones.
    corrections : tensor (target, basis)
        R, so that y_j = sum_k c_jk y_k + R_j . phi + sigma_j eps_j.
    rows, gram : tensors (pattern, target), (pattern, z, z)
        ``rows`` and ``grams`` of :class:`PatternStats`.
    """
    outputs: Any = _pattern_log_likelihood(linkage, sigma, corrections, rows, gram)
    return outputs[0]
