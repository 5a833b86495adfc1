r"""The joint Gaussian in numpy: the paper's likelihood, and the two ways to write its precision.

With targets 1 (cheapest) .. d (primary) the model is, row by row,

    y_j = sum_{k<j} c_jk y_k + R_j . phi + sigma_j eps_j,      T = I - C,  D = diag(sigma^2),

    Lambda_yy = T' D^-1 T,  Lambda_yx = -T' D^-1 R,  Sigma = T^-1 D T^-T,  W = T^-1 R.
"""

from __future__ import annotations

import numpy as np

from claude_pymc.errors import SpecError, StatisticsError
from claude_pymc.tables.statistics import PatternStats

LOG_2PI = float(np.log(2 * np.pi))


def log_likelihood(precision: np.ndarray, stats: PatternStats) -> float:
    r"""Log-likelihood of a precision matrix, missing targets integrated out.

    .. math:: \sum_\Gamma \tfrac{n_\Gamma}{2} \log|\bar\Lambda_{\Gamma\Gamma}|
              - \tfrac{n_\Gamma d_\Gamma}{2} \log 2\pi
              - \tfrac12 \mathrm{tr}(C_\Gamma \bar\Lambda^0_\Gamma)

    with the Schur complement :math:`\bar\Lambda` of the missing targets.
    Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (8)-(13).

    Parameters
    ----------
    precision : array (basis + target, basis + target)
        Lambda on the modelled scale of the design, in (basis..., targets...) order; its basis-basis
        block is not used.
    stats : PatternStats

    Returns
    -------
    float
        Natural logarithm of the density of the standardised targets; -inf where Lambda_yy is not
        positive definite.

    Raises
    ------
    SpecError
        If the precision has another size than basis and targets together.
    StatisticsError
        If rows lack descriptors.

    Examples
    --------
    >>> from claude_pymc.tables.table import Table
    >>> from claude_pymc.tables.design import Design
    >>> rows = Table(["x"], ["y"], [[0.0], [1.0]], [[0.0], [0.0]])
    >>> design = Design.from_table(rows, standardize=False)
    >>> round(log_likelihood(np.eye(3), PatternStats.from_table(rows, design)), 4)
    -1.8379
    """
    precision = np.asarray(precision, dtype=np.float64)
    d = len(stats.design.targets)
    p = len(stats.design.terms)
    if precision.shape != (p + d, p + d):
        raise SpecError(
            f"a precision of shape {(p + d, p + d)}, basis terms first, then targets",
            f"shape {precision.shape}",
            "the precision belongs to another design",
            "order rows and columns as design.terms + design.targets",
        )
    if not stats.described.all():
        raise StatisticsError(
            "statistics of rows that have every descriptor",
            f"{int(stats.counts[~stats.described.all(axis=1)].sum())} rows that lack one",
            "this is the likelihood of the targets given the descriptors",
            "use find_map or sample with likelihood='joint'",
        )
    yy, yx = precision[p:, p:], precision[p:, :p]
    if not (np.isfinite(precision[p:]).all() and np.linalg.eigvalsh(yy)[0] > 0):
        return -np.inf
    total = 0.0
    for present, n, gram in zip(stats.present, stats.counts, stats.grams, strict=True):
        have, lack = np.flatnonzero(present), np.flatnonzero(~present)
        bar_yy, bar_yx = yy[np.ix_(have, have)], yx[have]
        if len(lack):
            carry = np.linalg.solve(yy[np.ix_(lack, lack)], yy[np.ix_(lack, have)]).T
            bar_yy = bar_yy - carry @ yy[np.ix_(lack, have)]
            bar_yx = bar_yx - carry @ yx[lack]
        sign, logdet = np.linalg.slogdet(bar_yy)
        if sign <= 0:
            return -np.inf
        bar_0 = np.block([[bar_yx.T @ np.linalg.solve(bar_yy, bar_yx), bar_yx.T], [bar_yx, bar_yy]])
        index = np.concatenate([np.arange(p), p + have])
        trace = np.sum(gram[np.ix_(index, index)] * bar_0)
        total += 0.5 * (n * logdet - n * len(have) * LOG_2PI - trace)
    return float(total)


def derived(
    linkage: np.ndarray, sigma: np.ndarray, corrections: np.ndarray
) -> dict[str, np.ndarray]:
    """Coefficients, covariance and precision from the target columns; leading axes are kept.

    Parameters
    ----------
    linkage : array (..., target, target), strictly lower
    sigma : array (..., target)
    corrections : array (..., target, basis)

    Returns
    -------
    dict
        ``coefficients`` W = T^-1 R, ``covariance`` Sigma = T^-1 D T^-T, ``precision_yy`` T' D^-1 T
        and ``precision_yx`` -T' D^-1 R, with T = I - C and D = diag(sigma^2).

    Examples
    --------
    >>> derived(np.zeros((1, 1)), np.array([2.0]), np.array([[3.0]]))["precision_yx"]
    array([[-0.75]])
    """
    unit = np.eye(linkage.shape[-1]) - linkage
    weighted = np.swapaxes(unit, -1, -2) / sigma[..., None, :] ** 2
    root = covariance_root(linkage, sigma)
    return {
        "coefficients": np.linalg.solve(unit, corrections),
        "covariance": root @ np.swapaxes(root, -1, -2),
        "precision_yy": weighted @ unit,
        "precision_yx": -weighted @ corrections,
    }


def covariance_root(linkage: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Lower root A = T^-1 D^(1/2) of the covariance, Sigma = A A', (..., target, target)."""
    d = linkage.shape[-1]
    return np.linalg.solve(np.eye(d) - linkage, sigma[..., None] * np.eye(d))


def precision_from_columns(
    linkage: np.ndarray, sigma: np.ndarray, corrections: np.ndarray
) -> np.ndarray:
    """Precision in (basis..., targets...) order from (C, sigma, R); the basis block is zero."""
    d, p = corrections.shape
    found = derived(linkage, sigma, corrections)
    precision = np.zeros((p + d, p + d))
    precision[p:, p:] = found["precision_yy"]
    precision[p:, :p] = found["precision_yx"]
    precision[:p, p:] = found["precision_yx"].T
    return precision


def columns_from_precision(
    precision: np.ndarray, n_targets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (C, sigma, R) of a precision in (basis..., targets...) order.

    Lambda_yy = U U' with U upper triangular is the Cholesky factorisation with the primary target
    first; U = T' D^(-1/2).
    """
    d = n_targets
    yy, yx = precision[-d:, -d:], precision[-d:, :-d]
    upper = np.linalg.cholesky(yy[::-1, ::-1])[::-1, ::-1]
    sigma = 1.0 / np.diag(upper)
    t = (upper * sigma).T
    return np.eye(d) - t, sigma, -np.linalg.solve(upper, yx) * sigma[:, None]


def split_joint(
    linkage: np.ndarray, sigma: np.ndarray, constant: np.ndarray, n_descriptors: int
) -> dict[str, np.ndarray]:
    """Columns of the targets, and mean and covariance of (x, y), from the columns of (x, y).

    Parameters
    ----------
    linkage : array (..., variable, variable), strictly lower, descriptors first
    sigma, constant : array (..., variable)
    n_descriptors : int

    Returns
    -------
    dict
        ``linkage``, ``sigma`` and ``corrections`` of y given x, the terms being the constant and
        the descriptors; ``joint_mean`` and ``joint_covariance``.
    """
    n = n_descriptors
    root = covariance_root(linkage, sigma)
    unit = np.eye(linkage.shape[-1]) - linkage
    return {
        "linkage": linkage[..., n:, n:],
        "sigma": sigma[..., n:],
        "corrections": np.concatenate([constant[..., n:, None], linkage[..., n:, :n]], axis=-1),
        "joint_mean": np.linalg.solve(unit, constant[..., None])[..., 0],
        "joint_covariance": root @ np.swapaxes(root, -1, -2),
    }
