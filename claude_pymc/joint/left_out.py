r"""Values left out in closed form: given linkage, noise and scales, corrections are Gaussian.

Each measured value given the cheaper ones of its row is one observation, linear in the free entries
b of R (K, e and s by linkage and noise alone, different for each pattern),

    y_j | y_G ~ N(K y_G + e R phi, s^2),    K = Sigma_jG Sigma_GG^-1,  e = (T^-1)_j - K (T^-1)_G,

so that with a prior precision P0 and rows a of a design, H = P0 + sum a a' / s^2. Leaving out a
block B of observations, of residuals r from the posterior mean, noise S = diag(s^2) and
V = A_B H^-1 A_B', leaves

    y_B | rest ~ N(y_B - S (S - V)^-1 r, S (S - V)^-1 S).

What is left for importance weights to do are linkage, noise and scales: the weights are far more
even than with the coefficients among the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior
from claude_pymc.joint.rows import modelled
from claude_pymc.joint.scales import scales_of
from claude_pymc.notation import CHAIN, DRAW
from claude_pymc.tables.patterns import by_pattern
from claude_pymc.tables.table import Table

MOST_WORK = 5e9  # multiplications
MOST, FEWEST = 1000, 200  # draws that are used, and with fewer of which it is not done


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Values of a row left out together with its dearer ones; arrays (draw, row, target).

    Parameters
    ----------
    score : array
        Normal score of the value in its prediction from the rest, NaN if not measured.
    log_density : array
        Of the value and the dearer ones of its row, given the rest.
    """

    score: np.ndarray
    log_density: np.ndarray


def left_out(post: JointPosterior, table: Table) -> LeftOut | None:
    """Leave out each value of the rows, draw by draw; None where there is no closed form.

    There is one where statistics are enough and the draws hold the prior scales of all terms, and
    it is done where that does not take long.

    Parameters
    ----------
    post : JointPosterior
    table : Table
        The rows of the fit.
    """
    spec = post.spec
    x, y = modelled(post, table)
    n, q = int(np.isfinite(y).sum()), len(spec.columns.entries)
    if spec.likelihood != "conditional" or spec.needs == "rows" or spec.design.chosen or not q:
        return None
    work = float(n) * q * (q + 10.0)
    if work * FEWEST > MOST_WORK:
        return None
    post = post.thinned(min(MOST, int(MOST_WORK / work)))
    log_sd = _log_sd(post)
    if log_sd is None:
        return None
    observed = _Observed(post, x, y)
    score = np.full((len(log_sd), *y.shape), np.nan)
    log_density = np.full_like(score, np.nan)
    for s in range(len(log_sd)):
        observed.leave_out(s, np.exp(-2.0 * log_sd[s]), score[s], log_density[s])
    return LeftOut(score, log_density)


def _log_sd(post: JointPosterior) -> np.ndarray | None:
    """Log prior sd (draw, entry) of the free entries, None if the draws do not say."""
    spec, sigma = post.spec, post.draws_of("sigma")
    values: np.ndarray
    if isinstance(spec.prior, LKJPrior):
        owner = [j for j, _ in spec.columns.entries]
        return np.asarray(np.log(spec.prior.t * sigma[:, owner]))
    scales = scales_of(spec)
    if not isinstance(spec.prior, ShrinkagePrior) or scales is None:
        return None
    posterior, parts = post.idata["posterior"].dataset, []
    for name, wanted in (("scale", scales.groups), ("length", scales.lengths)):
        values = np.zeros((len(sigma), 0))
        if name in posterior:
            values = posterior[name].transpose(CHAIN, DRAW, ...).to_numpy()
            values = values.reshape(len(sigma), -1)
        if values.shape[1] != len(wanted):
            return None
        parts.append(values)
    return scales.log_sd(scales.joined(*parts))


class _Observed:
    """Measured values as observations of the free entries of R, pattern by pattern."""

    def __init__(self, post: JointPosterior, x: np.ndarray, y: np.ndarray) -> None:
        self.y = y
        self.entries = np.array(post.spec.columns.entries, dtype=int)
        self.phi = post.spec.design.phi(x)[:, self.entries[:, 1]]
        self.patterns = [
            (np.flatnonzero(pattern), rows) for pattern, rows in by_pattern(np.isfinite(y)).items()
        ]
        linkage, root = post.draws_of("linkage"), post.draws_of("root")
        self.inverse = np.linalg.inv(np.eye(y.shape[1]) - linkage)
        self.covariance = root @ np.swapaxes(root, -1, -2)

    def leave_out(
        self, s: int, precision: np.ndarray, score: np.ndarray, log_density: np.ndarray
    ) -> None:
        """Fill in score and log density (row, target) of draw s."""
        inverse, covariance = self.inverse[s], self.covariance[s]
        parts, hessian = [], np.diag(precision)
        pull = np.zeros(len(precision))
        for have, rows in self.patterns:
            designs: list[np.ndarray] = []
            values: list[np.ndarray] = []
            noise: list[float] = []
            for at, j in enumerate(have):
                cheaper = have[:at]
                gain = np.linalg.solve(covariance[np.ix_(cheaper, cheaper)], covariance[cheaper, j])
                carried = inverse[j] - gain @ inverse[cheaper]
                designs.append(self.phi[rows] * carried[self.entries[:, 0]])
                values.append(self.y[rows, j] - self.y[np.ix_(rows, cheaper)] @ gain)
                noise.append(covariance[j, j] - gain @ covariance[cheaper, j])
            for a, value, s2 in zip(designs, values, noise, strict=True):
                hessian += a.T @ a / s2
                pull += a.T @ value / s2
            parts.append((have, rows, designs, values, noise))
        root = np.linalg.cholesky(hessian)
        centre = solve_triangular(root.T, solve_triangular(root, pull, lower=True))
        for have, rows, designs, values, noise in parts:
            half = [solve_triangular(root, a.T, lower=True) for a in designs]  # each (entry, row)
            moved = np.array([np.einsum("en,en->n", a, b) for a in half for b in half])
            v = moved.reshape(len(have), len(have), len(rows)).transpose(2, 0, 1)
            r = np.stack(values, axis=1) - np.stack([a @ centre for a in designs], axis=1)
            for at, j in enumerate(have):
                block, own = slice(at, None), np.array(noise[at:])
                # S (S - V)^-1, of each row
                factor = np.linalg.inv(np.eye(len(own)) - v[:, block, block] / own)
                residual = np.einsum("nij,nj->ni", factor, r[:, block])
                whole = factor * own
                whole = 0.5 * (whole + np.swapaxes(whole, 1, 2))
                lower = np.linalg.cholesky(whole)
                white = np.linalg.solve(lower, residual[:, :, None])[:, :, 0]
                log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
                score[rows, j] = residual[:, 0] / np.sqrt(whole[:, 0, 0])
                log_density[rows, j] = -0.5 * (np.square(white).sum(axis=1) + len(own) * LOG_2PI)
                log_density[rows, j] -= log_det
