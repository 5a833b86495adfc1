"""When the flat prior has a posterior, and when it has not.

Under a prior flat in Lambda the integral over column j of (C, sigma, R) exists if the rows that
have variable j and all it depends on, directly or through others, leave a residual: the free
regressors of the column and the variable itself must be linearly independent over those rows,

    rank [phi_Kj, y_1 .. y_(j-1), y_j] = m_j + 1,      m_j the number of free entries of the column.

For two targets that is rank p + 1 of [phi, y_sim] over the rows with y_sim, and rank |K| + 2 of
[phi_K, y_sim, y_exp] over the rows with both. It is necessary for two targets and for patterns in
which whoever has a target has all cheaper ones; for other patterns it is sufficient.
"""

from __future__ import annotations

import numpy as np

from claude_pymc.errors import SamplingError
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.statistics import PatternStats, refuse_other

# Singular values of the scaled Gram matrix below this share of the largest count as zero.
RANK_TOLERANCE = 1e-12


def shortfalls(spec: JointGaussian, stats: PatternStats) -> list[tuple[str, int, int, int]]:
    """Columns that rows do not determine, as (variable, rows, rank, rank needed)."""
    columns = spec.columns
    present = np.hstack([stats.described, stats.present])[:, -len(columns.variables) :]
    p, found = len(columns.terms), []
    for j, name in enumerate(columns.variables):
        rows = present[:, sorted(_ancestors(j, columns.links))].all(axis=1)
        regressors = [b for i, b in columns.entries if i == j]
        regressors += [p + k for i, k, _ in columns.links if i == j]
        chosen = [*regressors, p + j]
        gram = stats.grams[rows].sum(axis=0)[np.ix_(chosen, chosen)]
        rank = _rank(gram)
        if rank < len(chosen):
            found.append((name, int(stats.counts[rows].sum()), rank, len(chosen)))
    return found


def _ancestors(j: int, links: tuple[tuple[int, int, float], ...]) -> set[int]:
    """Return variable j and whatever it depends on, directly or through others."""
    found = {j}
    for i, k, _ in sorted(links, reverse=True):
        if i in found:
            found.add(k)
    return found


def refuse_improper(spec: JointGaussian, stats: PatternStats) -> None:
    """Refuse to sample from a posterior that has no finite mass.

    Raises
    ------
    SamplingError
        If the prior is flat and the rows do not determine a column, with the counts.
    """
    refuse_other(stats)
    short = [] if spec.prior.proper else shortfalls(spec, stats)
    if not short:
        return
    names = spec.columns.variables
    got = []
    for name, rows, rank, needed in short:
        before = sorted(_ancestors(names.index(name), spec.columns.links))[:-1]
        others = f" together with {[names[k] for k in before]}" if before else ""
        got.append(
            f"{name!r}: {rows} rows{others} of rank {rank}, {needed - rank} short of {needed}"
        )
    raise SamplingError(
        "rows that determine every column, as the flat prior does not",
        "; ".join(got),
        "too few rows in which these values were measured together, or values that a column "
        "reproduces exactly, or terms so alike that an unscaled design hides their difference; the "
        "posterior under the flat prior has no finite mass",
        "use a proper prior (ShrinkagePrior, LKJPrior), add shared rows, or take the maximum of "
        "the likelihood by find_map",
    )


def _rank(gram: np.ndarray) -> int:
    """Rank of rows from their Gram matrix, each column scaled to unit length."""
    length = np.sqrt(np.diag(gram))
    scale = np.where(length > 0, length, 1.0)
    values = np.linalg.eigvalsh(gram / np.outer(scale, scale))
    return int((values > RANK_TOLERANCE * max(values[-1], 1.0)).sum())
