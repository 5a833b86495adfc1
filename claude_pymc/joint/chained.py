r"""Each measured value of a row given the cheaper ones of the row, draw by draw.

By the chain rule the density of a row is the product of

    p(y_j | y_k measured, k < j, x, theta),        j = 1 .. d measured,

each normal, or for the primary target perhaps Student-t, about a mean m_j(theta). Given theta the
normal scores

    z_j = Phi^-1( P(Y_j <= y_j | y_k, k < j, x, theta) ),        (y_j - m_j) / s_j if it is normal,

are independent and standard normal, whatever was measured: what checks of the model rely on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtri, ndtri_exp
from scipy.stats import t as student_t

from claude_pymc.joint.asked import RowNoise, noise_of
from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.noise import NODES, NORMAL, grid
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.rows import modelled
from claude_pymc.joint.stepwise import log_density_draws, primary_given
from claude_pymc.tables.table import Table

MOST = 4_000_000  # numbers in each array, beyond which every k-th draw is used
FEWEST = 400  # draws that are used at least


@dataclass(frozen=True, eq=False)
class Chained:
    """Values of rows given the cheaper ones; arrays (draw, row, target), NaN if not measured.

    Parameters
    ----------
    post : JointPosterior
        With the draws that were used.
    score : array
        Normal scores z.
    log_density : array
        On the modelled scale.
    centre, sd : array
        Centre of the conditional distribution, on the modelled scale; 1 / sd^2 is what the value
        tells about it (its Fisher information; sd is the standard deviation of normal noise).
    """

    post: JointPosterior
    score: np.ndarray
    log_density: np.ndarray
    centre: np.ndarray
    sd: np.ndarray

    @property
    def targets(self) -> tuple[str, ...]:
        """Names, cheapest first."""
        return self.post.targets

    @property
    def measured(self) -> np.ndarray:
        """Boolean (row, target)."""
        return np.isfinite(self.score[0])

    def log_from(self, j: int) -> np.ndarray:
        """Log density (draw, row) of target j and of the dearer ones, given the cheaper ones."""
        total: np.ndarray = np.nansum(self.log_density[:, :, j:], axis=-1)
        return total


def chained(post: JointPosterior, table: Table, shift: np.ndarray | None = None) -> Chained:
    """Condition the values of each row on its cheaper ones.

    Parameters
    ----------
    post : JointPosterior
    table : Table
        Rows, those of the fit or others.
    shift : array (target), optional
        Added to all values, on the modelled scale.
    """
    spec = post.spec
    x, y = modelled(post, table)
    y = y if shift is None else y + shift
    post = post.thinned(max(FEWEST, MOST // max(y.size, 1)))
    noise = noise_of(table, spec, len(table))
    used = np.arange(len(post.draws_of("root")))
    score = np.full((len(used), *y.shape), np.nan)
    log_density, centre, sd = (np.full_like(score, np.nan) for _ in range(3))
    for j in range(y.shape[1]):
        at = np.flatnonzero(np.isfinite(y[:, j]))
        known = y[at].copy()
        known[:, j:] = np.nan
        if spec.needs == "rows" and j == y.shape[1] - 1:
            found = _primary(post, x[at], known, y[at, j], RowNoise(*(v[at] for v in noise)))
            for array, values in zip((score, log_density, centre, sd), found, strict=True):
                array[:, at, j] = values
            continue
        width = y.shape[1] - (spec.needs == "rows")
        for rows, have, mean, root in post.conditional(x[at], known[:, :width], used):
            i = int((~have)[: len(have) - width + j].sum())
            own = np.sqrt(np.square(root[:, i]).sum(axis=-1))[:, None]
            z = (y[at[rows], j] - mean[:, :, i]) / own
            score[:, at[rows], j], centre[:, at[rows], j] = z, mean[:, :, i]
            sd[:, at[rows], j] = own
            log_density[:, at[rows], j] = -0.5 * (z**2 + LOG_2PI) - np.log(own)
    return Chained(post, score, log_density, centre, sd)


def _primary(
    post: JointPosterior, x: np.ndarray, known: np.ndarray, y: np.ndarray, noise: RowNoise
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Score, log density, centre and sd of the primary target where its rows are needed."""
    mean, sigma, further, nu = primary_given(post, x, known, y, noise)
    density = log_density_draws(post, x, known, y, noise)
    sd = np.hypot(sigma, further)
    score = (y - mean) / sd
    for s in np.flatnonzero((nu > 0.0) & (nu < NORMAL)):
        residual, n = y - mean[s], float(nu[s])
        score[s] = _student_scores(residual, sigma[s], further[s], n)
        sd[s] = np.hypot(np.sqrt((n * sigma[s] ** 2 + residual**2) / (n + 1.0)), further[s])
    return score, density, mean, sd


def _student_scores(
    residual: np.ndarray, sigma: np.ndarray, further: np.ndarray, nu: float
) -> np.ndarray:
    """Score residuals of Student-t noise with a normal one beside it (row)."""
    size = np.abs(residual)  # by the lower tail, which keeps its digits
    score = -ndtri(student_t.sf(size / sigma, nu))
    both = np.flatnonzero(further > 0.0)
    if len(both):
        rate, log_weight = np.empty(NODES), np.empty(NODES)
        grid(nu, rate, log_weight)
        sd = np.hypot(sigma[both, None] / np.sqrt(rate), further[both, None])
        tail = logsumexp(log_weight + log_ndtr(-size[both, None] / sd), axis=1)
        score[both] = -ndtri_exp(tail)
    found: np.ndarray = np.sign(residual) * np.minimum(score, 40.0)
    return found
