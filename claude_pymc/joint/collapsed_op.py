"""The likelihood with the corrections integrated out, as a pytensor Op with its gradient.

The formulas are those of `claude_pymc.joint.collapsed_kernel`. As for the pattern-wise likelihood,
the loops are compiled once into a C function, cached on disk and called through its symbol, so that
a model that uses them compiles no longer than one that does not.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from pytensor.graph.basic import Apply
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.variable import TensorVariable

from claude_pymc.joint.collapsed_kernel import collapsed
from claude_pymc.joint.columns import Columns
from claude_pymc.joint.kernel import FLOATS, SIZE, WHOLES, external, version_of
from claude_pymc.joint.ops import MISFIT, ValueAndGradients
from claude_pymc.joint.tiles import padded

VERSION = version_of("collapsed_kernel.py", "collapsed_op.py", "kernel.py", "tiles.py")
SYMBOL = f"claude_pymc_collapsed_kernel_{VERSION}"
SIGNATURE = types.void(*(SIZE,) * 4, *(FLOATS,) * 3, *(WHOLES,) * 2, *(FLOATS,) * 6)


class CollapsedLogLikelihood(ValueAndGradients):
    """Log marginal likelihood of statistics given linkage, noise and prior sds of the corrections.

    Inputs are ``linkage`` (target, target), strictly lower, ``sigma`` (target), ``sd`` (entry), the
    prior sds of the free entries of R, infinite for a flat prior, and the data ``rows`` and
    ``gram`` of the pattern-wise likelihood. Outputs are the value and its gradients with respect to
    the first three. What is not positive definite gives -inf and NaN, never an exception.

    Parameters
    ----------
    entries : tuple of (target, term)
        Free entries of R, ordered by target.
    """

    __props__ = ("entries",)
    ranks, parameters = (2, 1, 1, 2, 3), 3

    def __init__(self, entries: tuple[tuple[int, int], ...]) -> None:
        self.entries = entries

    def places(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        """First entry of each of the ``d`` targets (d + 1), and the term of each entry."""
        entries = np.array(self.entries, dtype=np.int64).reshape(-1, 2)
        start = np.searchsorted(entries[:, 0], np.arange(d + 1)).astype(np.int64)
        return start, np.ascontiguousarray(entries[:, 1])

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        """Evaluate with the compiled loops."""
        linkage, sigma, sd, rows, gram = (np.ascontiguousarray(v) for v in inputs)
        self.check(linkage.shape, len(sigma), len(sd), rows.shape, gram.shape)
        q = len(sd)
        gradients = np.empty_like(linkage), np.empty_like(sigma), np.empty_like(sd)
        spent = np.empty(q), np.empty((padded(q), padded(q)))
        places = self.places(len(sigma))
        value = collapsed(linkage, sigma, sd, *places, rows, gram, *spent, *gradients, True)
        for storage, result in zip(output_storage, (np.asarray(value), *gradients), strict=True):
            storage[0] = result

    def check(
        self,
        linkage: tuple[int, ...],
        d: int,
        q: int,
        rows: tuple[int, ...],
        gram: tuple[int, ...],
    ) -> None:
        """Refuse arrays that do not fit each other, or the entries."""
        n, size = rows[0], gram[-1]
        if q != len(self.entries) or (linkage, rows, gram) != ((d, d), (n, d), (n, size, size)):
            raise ValueError(MISFIT)
        least_d, least_p = self.least
        if d < least_d or size - d < least_p:
            raise ValueError(MISFIT)

    @property
    def least(self) -> tuple[int, int]:
        """Least number of targets and of basis terms that the entries speak of."""
        targets, terms = (max((e[i] + 1 for e in self.entries), default=0) for i in (0, 1))
        return targets, terms


def _kernel(
    d: int,
    p: int,
    q: int,
    n_patterns: int,
    linkage: Any,
    sigma: Any,
    sd: Any,
    start: Any,
    term: Any,
    rows: Any,
    gram: Any,
    value: Any,
    g_linkage: Any,
    g_sigma: Any,
    g_sd: Any,
) -> None:
    """`collapsed` as a C function of pointers."""
    value[0] = collapsed(
        numba.carray(linkage, (d, d)),
        numba.carray(sigma, d),
        numba.carray(sd, q),
        numba.carray(start, d + 1),
        numba.carray(term, q),
        numba.carray(rows, (n_patterns, d)),
        numba.carray(gram, (n_patterns, p + d, p + d)),
        np.empty(q),
        np.empty((padded(q), padded(q))),
        numba.carray(g_linkage, (d, d)),
        numba.carray(g_sigma, d),
        numba.carray(g_sd, q),
        True,
    )


@register_funcify_default_op_cache_key(CollapsedLogLikelihood)
def _collapsed_log_likelihood_numba(op: CollapsedLogLikelihood, **kwargs: Any) -> tuple[Any, int]:
    kernel = external(_kernel, SIGNATURE, SYMBOL)
    entries = np.array(op.entries, dtype=np.int64).reshape(-1, 2)
    owner, term = np.ascontiguousarray(entries[:, 0]), np.ascontiguousarray(entries[:, 1])
    least_d, least_p = op.least

    @numba_njit
    def collapsed_log_likelihood(
        linkage: np.ndarray, sigma: np.ndarray, sd: np.ndarray, rows: np.ndarray, gram: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        d, q, n = len(sigma), len(sd), len(rows)
        p = gram.shape[1] - d
        if q != len(term) or rows.shape[1] != d or gram.shape != (n, p + d, p + d):
            raise ValueError(MISFIT)
        if linkage.shape != (d, d) or d < least_d or p < least_p:
            raise ValueError(MISFIT)
        start, terms = np.searchsorted(owner, np.arange(d + 1)), term.copy()
        value = np.empty(1)
        g_linkage, g_sigma, g_sd = np.empty((d, d)), np.empty(d), np.empty(q)
        kernel(
            d,
            p,
            q,
            n,
            np.ascontiguousarray(linkage).ctypes,
            np.ascontiguousarray(sigma).ctypes,
            np.ascontiguousarray(sd).ctypes,
            start.ctypes,
            terms.ctypes,
            np.ascontiguousarray(rows).ctypes,
            np.ascontiguousarray(gram).ctypes,
            value.ctypes,
            g_linkage.ctypes,
            g_sigma.ctypes,
            g_sd.ctypes,
        )
        return np.asarray(value[0]), g_linkage, g_sigma, g_sd

    return collapsed_log_likelihood, VERSION


def collapsed_log_likelihood(
    columns: Columns, linkage: Any, sigma: Any, sd: Any, rows: Any, gram: Any
) -> TensorVariable:
    """Symbolic log marginal likelihood, for use in any PyMC model.

    Parameters
    ----------
    columns : Columns
        ``spec.columns``: which entries of R are free.
    linkage, sigma : tensors (target, target), (target)
    sd : tensor (entry)
        Prior sd of each free entry of R; infinite for a flat prior.
    rows, gram : tensors (pattern, target), (pattern, z, z)
    """
    op: Any = CollapsedLogLikelihood(columns.entries)
    return op(linkage, sigma, sd, rows, gram)[0]
