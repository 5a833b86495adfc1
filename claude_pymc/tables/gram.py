"""Gram matrices of rows z = (phi(x), y), and triangular roots that keep their digits.

C = sum z z^T holds the squares of the singular values of the rows: of a basis whose terms are alike
to one part in 10^7 it holds nothing but round-off. A root R, C = R^T R, holds the values. That of
many rows comes from a Cholesky factor F of C, shifted by a little: rows z F^-1 are almost
orthogonal, so that R = chol(sum F^-T z z^T F^-1) F is as good as that of a QR decomposition of the
rows, at the price of a second pass over rows whose C is ill conditioned (Fukaya et al., SIAM J.
Sci. Comput. 42, A477 (2020)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.blas import dtrsm

from claude_pymc.tables.design import Design

CHUNK = 8192  # rows whose z stays in the cache
FEW = 1024  # rows, of one chunk, up to which their QR decomposition costs nothing
# Eigenvalues of a Gram matrix below this share of the largest are the round-off of its sums.
ROUND_OFF = 1e-13
# Least eigenvalue of C, scaled to a diagonal of one, from which its Cholesky factor will do.
WELL = 1e-8
SHIFT = 1e-13
TOLERANCE = 1e-9  # of scaled roots, when rows are taken away


def condense(
    design: Design, x: np.ndarray, y: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix (z, z) of the rows of one pattern, and its upper triangular root (z, z).

    Parameters
    ----------
    design : Design
    x, y : arrays (row, descriptor), (row, target)
        Of all rows, in their units.
    rows : int array
        Rows of the pattern, ascending. Columns of what is missing in it are zero.
    """
    source = _Rows(design, x, y, rows)
    if len(rows) <= min(FEW, CHUNK):
        z = next(source.chunks())
        return _symmetric(z @ z.T), triangle(z.T)
    gram = _symmetric(sum(z @ z.T for z in source.chunks()))
    length = np.sqrt(np.diag(gram))
    used = np.flatnonzero(length)
    length = length[used]
    scaled = gram[np.ix_(used, used)] / np.outer(length, length)
    root = np.zeros_like(gram)
    if np.linalg.eigvalsh(scaled)[0] > WELL:
        root[np.ix_(used, used)] = np.linalg.cholesky(scaled).T * length
        return gram, root
    shift = SHIFT * len(used) * np.eye(len(used))
    factor = np.linalg.cholesky(scaled + shift).T * length
    core = np.zeros_like(factor)
    for z in source.chunks():
        straight = dtrsm(1.0, factor, z[used].T, side=1, overwrite_b=True)
        core += straight.T @ straight
    root[np.ix_(used, used)] = triangle(root_of(_symmetric(core)) @ factor)
    return gram, root


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of one pattern, expanded to z chunk by chunk."""

    design: Design
    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield z (z, row) of the next rows, in memory that the one after that overwrites."""
        p, d = len(self.design.terms), len(self.design.targets)
        missing = ~np.isfinite(self.y[self.rows[0]])
        memory = np.empty((p + d) * min(CHUNK, len(self.rows)))
        for start in range(0, len(self.rows), CHUNK):
            rows: Any = self.rows[start : start + CHUNK]
            n = len(rows)
            if rows[-1] - rows[0] == n - 1:
                rows = slice(rows[0], rows[-1] + 1)  # without a copy
            z = memory[: (p + d) * n].reshape(p + d, n)
            # Column by column in memory: numpy runs along columns then, not across them.
            self.design.phi(np.asfortranarray(self.x[rows]), out=z[:p])
            z[p:] = self.design.to_model(np.asfortranarray(self.y[rows])).T
            z[p:][missing] = 0.0
            yield z


def triangle(rows: np.ndarray) -> np.ndarray:
    """Upper triangular root (column, column) of rows (row, column), its diagonal not negative."""
    root = np.zeros((rows.shape[1], rows.shape[1]))
    found = np.linalg.qr(rows, mode="r")
    root[: len(found)] = found * np.where(np.diag(found) < 0, -1.0, 1.0)[:, None]
    return root


def root_of(gram: np.ndarray) -> np.ndarray:
    """Upper triangular root of a Gram matrix, as good as its digits."""
    length = np.sqrt(np.diag(gram))
    scale = np.where(length > 0, length, 1.0)
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    values[values < ROUND_OFF * values[-1:]] = 0.0
    return triangle(np.sqrt(values)[:, None] * vectors.T * scale)


def less(root: np.ndarray, taken: np.ndarray, gram: np.ndarray) -> np.ndarray | None:
    """Root of R^T R - S^T S, or None if that has a negative eigenvalue.

    ``gram`` is the difference as it was found from Gram matrices. Where the rows that are taken
    away alone had a direction, and hardly that, it has more digits than the difference of roots.
    """
    length = np.linalg.norm(root, axis=0)
    scale = np.where(length > 0, length, 1.0)
    full, part = root / scale, taken / scale
    share = np.linalg.lstsq(full.T, part.T, rcond=ROUND_OFF)[0].T
    values, vectors = np.linalg.eigh(np.eye(len(root)) - share.T @ share)
    # As a Gram matrix: of a direction that rows hardly have, the share is not known well.
    rest = full.T @ (vectors * values) @ vectors.T @ full
    if np.abs(part - share @ full).max() > TOLERANCE or _least(rest) < -TOLERANCE:
        return None
    left = triangle(np.sqrt(np.maximum(values, 0.0))[:, None] * (vectors.T @ root))
    apart = np.abs(left.T @ left - gram) / np.outer(scale, scale)
    return left if apart.max() < TOLERANCE else root_of(gram)


def _least(gram: np.ndarray) -> float:
    """Least eigenvalue."""
    return float(np.linalg.eigvalsh(_symmetric(gram))[0])


def _symmetric(gram: np.ndarray) -> np.ndarray:
    return (gram + gram.T) / 2
