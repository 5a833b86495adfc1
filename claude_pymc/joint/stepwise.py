r"""Predictions of a primary target whose linkage varies, or whose noise is not one Gaussian.

Draw by draw the cheaper targets v at a candidate are Gaussian; the primary one follows them,

    y | v ~ sum_k c_k(x) v_k + R . phi(x) + noise,    c_near(x) = c_near + sum_m gamma_m psi_m(x),

so that its mean is that of v carried over, and its density one of `claude_pymc.joint.noise` with
the variance of what is not known of v in the place of a measurement error. A known measurement
error e of a target that is modelled by its logarithm is one of e / y there, to first order: about
the mean of an observation to be drawn, at the value whose density is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numba import njit

from claude_pymc.errors import CandidateError
from claude_pymc.joint.asked import RowNoise
from claude_pymc.joint.noise import NODES, grid, row_density
from claude_pymc.joint.spec import JointGaussian


class Drawn(Protocol):
    """Draws of a joint Gaussian."""

    spec: JointGaussian

    @property
    def targets(self) -> tuple[str, ...]:
        """Names, cheapest first."""
        ...

    def draws_of(self, name: str) -> np.ndarray:
        """Draws (sample, ...) of a quantity."""
        ...

    def conditional(
        self, x: np.ndarray, known: np.ndarray, used: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield rows, known variables, mean and root of the others."""
        ...


def linkage_at(post: Drawn, phi: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Linkages of the primary target at candidates (sample, candidate, cheaper target)."""
    spec = post.spec
    constant = post.draws_of("linkage")[used, -1, :-1]
    found = np.repeat(constant[:, None], len(phi), axis=1)
    if spec.varying:
        at = [spec.design.terms.index(term) for term in spec.varying]
        found[:, :, spec.nearest] += post.draws_of("varying")[used] @ phi[:, at].T
    return found


def predict_draws(
    post: Drawn,
    x: np.ndarray,
    known: np.ndarray,
    used: np.ndarray,
    observed: tuple[np.random.Generator, RowNoise] | None,
) -> np.ndarray:
    """Draws of all targets (sample, candidate, target); of observations, if ``observed`` is given.

    Observations have the noise of the candidate's source, and its known measurement error.
    """
    refuse_backwards(post, known)
    d = len(post.targets)
    phi = post.spec.design.phi(x)
    draws = np.empty((len(used), len(x), d))
    for rows, have, mean, root in post.conditional(x, known[:, :-1], used):
        if observed is not None:
            mean = mean + observed[0].standard_normal(mean.shape) @ np.swapaxes(root, -1, -2)
        values = np.broadcast_to(known[rows, :-1], (len(used), len(rows), d - 1)).copy()
        values[:, :, ~have] = mean
        draws[:, rows, :-1] = values
    corrections = post.draws_of("corrections")[used, -1]
    draws[:, :, -1] = corrections @ phi.T
    draws[:, :, -1] += np.einsum("snk,snk->sn", linkage_at(post, phi, used), draws[:, :, :-1])
    if observed is not None:
        draws[:, :, -1] += _noise(post, used, draws[:, :, -1], *observed)
    measured = np.isfinite(known[:, -1])
    draws[:, measured, -1] = known[measured, -1]
    return draws


def _noise(
    post: Drawn, used: np.ndarray, mean: np.ndarray, rng: np.random.Generator, given: RowNoise
) -> np.ndarray:
    """Noise of the primary target about its mean (sample, candidate), measurement errors too."""
    noise = rng.standard_normal(mean.shape)
    if post.spec.noise == "student":
        nu = post.draws_of("freedom")[used][:, None]
        noise /= np.sqrt(rng.chisquare(nu, mean.shape) / nu)
    noise *= sigma_at(post, given.source)[used]
    if given.error.any():
        further = errors_at(post, given.error, mean)
        noise += further * rng.standard_normal(mean.shape)
    return noise


def sigma_at(post: Drawn, source: np.ndarray) -> np.ndarray:
    """Learned noise of the primary target at candidates (sample, candidate)."""
    if post.spec.sources:
        return post.draws_of("source_sigma")[:, source]
    return np.repeat(post.draws_of("sigma")[:, -1:], len(source), axis=1)


def errors_at(post: Drawn, error: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Known errors of the primary target (candidate) on the modelled scale, at its values y."""
    design = post.spec.design
    scaled: np.ndarray = error / design.scale[-1]
    if design.transforms[-1] == "log":
        scaled = scaled * np.exp(-(design.location[-1] + design.scale[-1] * y))
    return scaled


def log_density_draws(
    post: Drawn, x: np.ndarray, known: np.ndarray, y: np.ndarray, given: RowNoise
) -> np.ndarray:
    """Log density of values y of the primary target (sample, candidate), on the modelled scale."""
    mean, sigma, error, nu = primary_given(post, x, known, y, given)
    found = np.empty(mean.shape)
    _densities(y - mean, sigma, error, nu, found)
    return found


def primary_given(
    post: Drawn, x: np.ndarray, known: np.ndarray, y: np.ndarray, given: RowNoise
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sigma and further sd (sample, candidate) of the primary target, freedom (sample).

    Given the cheaper values that are known; the further sd is that of a known error and of the
    cheaper values that are not known. The freedom is zero where noise is normal.
    """
    used = np.arange(len(post.draws_of("root")))
    phi = post.spec.design.phi(x)
    link = linkage_at(post, phi, used)
    mean = post.draws_of("corrections")[:, -1] @ phi.T
    variance = np.zeros(mean.shape)
    for rows, have, rest, root in post.conditional(x, known[:, :-1], used):
        part = link[:, rows]
        mean[:, rows] += np.einsum("snk,nk->sn", part[:, :, have], known[rows, :-1][:, have])
        mean[:, rows] += np.einsum("snk,snk->sn", part[:, :, ~have], rest)
        variance[:, rows] = np.square(part[:, :, ~have] @ root).sum(axis=-1)
    sigma, error = sigma_at(post, given.source), errors_at(post, given.error, y)
    student = post.spec.noise == "student"
    nu = post.draws_of("freedom") if student else np.zeros(len(sigma))
    return mean, sigma, np.sqrt(variance + error**2), nu


def refuse_backwards(post: Drawn, known: np.ndarray) -> None:
    """Refuse to infer a cheaper value from a measured one of the primary target."""
    backwards = np.isfinite(known[:, -1]) & ~np.isfinite(known[:, :-1]).all(axis=1)
    if backwards.any():
        raise CandidateError(
            f"values of {post.targets[-1]!r} only where the cheaper targets are given, too",
            f"candidate {int(np.flatnonzero(backwards)[0])} without some of them",
            "a linkage that varies, or noise that is not one Gaussian, is followed forwards alone",
            f"leave {post.targets[-1]!r} out of given",
        )


@njit(cache=True, error_model="numpy", nogil=True)
def _densities(
    residual: np.ndarray, sigma: np.ndarray, error: np.ndarray, nu: np.ndarray, found: np.ndarray
) -> None:
    """Log densities of residuals (sample, row)."""
    rate, log_weight = np.empty(NODES), np.empty(NODES)
    for s in range(len(residual)):
        if nu[s] > 0.0:
            grid(nu[s], rate, log_weight)
        for i in range(residual.shape[1]):
            found[s, i] = row_density(
                residual[s, i], sigma[s, i], error[s, i], nu[s], rate, log_weight
            )[0]
