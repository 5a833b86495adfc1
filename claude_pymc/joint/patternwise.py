"""What is not known given what is, draw by draw, for rows with the same things known at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Piece = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def conditional(
    phi: np.ndarray, w: np.ndarray, root: np.ndarray, known: np.ndarray
) -> Iterator[Piece]:
    """Yield rows, known variables, mean (sample, row, rest) and root (sample, rest, rest).

    Variables are Gaussian with mean w phi and covariance root root'. ``known`` may hold the first
    few of them alone: then only those are spoken of.

    Parameters
    ----------
    phi : array (row, term)
    w : array (sample, variable, term)
    root : array (sample, variable, variable), lower triangular
    known : array (row, variable)
        NaN where a variable is not known.
    """
    few = known.shape[1]
    w, root = w[:, :few], root[:, :few, :few]
    finite = np.isfinite(known)
    for pattern in np.unique(finite, axis=0):
        rows = np.flatnonzero((finite == pattern).all(axis=1))
        order = np.argsort(~pattern, kind="stable")
        g = int(pattern.sum())
        # Sigma in this order is L L'; L from the root itself, so that small noises keep digits.
        lower = np.swapaxes(np.linalg.qr(np.swapaxes(root[:, order], -1, -2), mode="r"), -1, -2)
        # One product for all draws, not one for each.
        flat = phi[rows] @ w[:, order].reshape(-1, w.shape[-1]).T
        mean = flat.reshape(len(rows), len(w), -1).swapaxes(0, 1)
        centre, rest = mean[:, :, g:], lower[:, g:, g:]
        if 0 < g < len(order):
            gain = np.linalg.solve(
                np.swapaxes(lower[:, :g, :g], -1, -2), np.swapaxes(lower[:, g:, :g], -1, -2)
            )
            centre = centre + (known[rows][:, order[:g]] - mean[:, :, :g]) @ gain
        yield rows, pattern, centre, rest


def noise_variance(root: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Variance (row, variable) of what is not known given what is, averaged over draws.

    Parameters
    ----------
    root : array (sample, variable, variable), lower triangular
    known : boolean array (row, variable)
    """
    patterns, back = np.unique(known, axis=0, return_inverse=True)
    found = np.zeros(patterns.shape)
    nothing = np.zeros((len(root), known.shape[1], 1))
    for i, pattern in enumerate(patterns):
        values = np.where(pattern, 0.0, np.nan)[None]
        for _, have, _, rest in conditional(np.ones((1, 1)), nothing, root, values):
            found[i, ~have] = np.square(rest).sum(axis=-1).mean(axis=0)
    return np.asarray(found[np.ravel(back)])
