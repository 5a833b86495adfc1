r"""The cheaper targets of a specification: their model, their rows, and what the primary needs.

By the chain rule the model of all targets is that of the cheaper ones, times that of the primary
one given them. A cheaper value u that a row of the primary target lacks is Gaussian given the other
cheaper values v of the row and their parameters,

    u = G b + k + noise,   G = [T^-1]_M (x) phi - K [T^-1]_P (x) phi,   K = Sigma_MP Sigma_PP^-1,

linear in the corrections b ~ N(bhat, H^-1) of the cheaper targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.collapsed_density import log_posterior
from claude_pymc.joint.gaussian import covariance_root
from claude_pymc.joint.inputs import arrays_of
from claude_pymc.joint.primary import own_scales
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.scales import scales_of
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.tiles import padded
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats


def cheaper_spec(spec: JointGaussian) -> JointGaussian:
    """Specification of the targets before the primary one."""
    design = spec.design
    names = ("targets", "corrections", "location", "scale", "transforms", "quantities")
    fewer = {name: getattr(design, name)[:-1] for name in names}
    units = tuple((k, u) for k, u in design.units if k != design.targets[-1])
    return JointGaussian(replace(design, **fewer, units=units), spec.prior)


def cheaper_stats(stats: PatternStats, spec: JointGaussian) -> PatternStats:
    """Statistics of the same rows without the primary target, under a `cheaper_spec`."""
    found = PatternStats.empty(spec.design)
    size = len(spec.design.terms) + len(spec.design.targets)
    for pattern, count, gram, root in zip(
        stats.patterns, stats.counts, stats.grams, stats.roots, strict=True
    ):
        if any(pattern[:-1]):
            part = [values[:size, :size][None].copy() for values in (gram, root)]
            found += PatternStats(
                spec.design, (pattern[:-1],), np.array([count]), part[0], 0, part[1]
            )
    return found


@dataclass(frozen=True, eq=False)
class CheapDraws:
    """Draws of the parameters of the cheaper targets.

    Parameters
    ----------
    linkage, sigma, corrections : arrays (draw, ...)
    scale, length : arrays (draw, group), (draw, kernel)
    """

    linkage: np.ndarray
    sigma: np.ndarray
    corrections: np.ndarray
    scale: np.ndarray
    length: np.ndarray

    def chosen(self, which: np.ndarray) -> CheapDraws:
        """Return some of the draws."""
        return CheapDraws(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class Linear(NamedTuple):
    """Missing values u = centre + half z + noise, with z = L' (b - mean) ~ N(0, I)."""

    mean: np.ndarray  # (entry): bhat
    root: np.ndarray  # (entry, entry): L of H = L L'
    centre: np.ndarray  # (missing): G bhat + k
    half: np.ndarray  # (missing, entry): G L'^-1
    noise: np.ndarray  # (missing, missing): covariance


class Missing:
    """Cheaper values that rows of the primary target lack, given draws of the cheaper targets."""

    def __init__(
        self, spec: JointGaussian, stats: PatternStats, kept: KeptRows, draws: CheapDraws
    ) -> None:
        self.density = CollapsedPosterior(spec, **arrays_of(spec, stats))
        self.kept, self.draws = kept, draws
        lacks = np.isnan(kept.y[:, :-1])
        self.latent = np.where(lacks, np.cumsum(lacks).reshape(lacks.shape) - 1, -1)
        self.patterns = []
        for lack in np.unique(lacks[lacks.any(axis=1)], axis=0):
            rows = np.flatnonzero((lacks == lack).all(axis=1))
            self.patterns.append((lack, rows, self.latent[rows][:, lack].T))
        scales = scales_of(spec)
        hyper = np.zeros((len(draws.sigma), 0))
        if scales is not None:
            hyper = scales.joined(draws.scale, draws.length)
        self.theta = self.density.theta(draws.linkage, draws.sigma, hyper)

    def moments(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and lower root of the covariance of the missing values, for the first draws."""
        m = int(self.latent.max()) + 1
        centre, spread = np.zeros((number, m)), np.zeros((number, m, m))
        for g in range(number if m else 0):
            own = self._linear(g)
            centre[g] = own.centre
            spread[g] = np.linalg.cholesky(own.half @ own.half.T + own.noise)
        return centre, spread

    def corrections(
        self, values: np.ndarray, which: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Corrections of the cheaper targets given missing values (draw, missing).

        Draws of (b, u) are moved by the regression of b on u to the values that u has.
        """
        found = np.empty((len(which), self.density.q))
        problem = self.density.problem
        for i, g in enumerate(which):
            own = self._linear(g)
            z = rng.standard_normal(self.density.q)
            u = own.centre + own.half @ z
            u += np.linalg.cholesky(own.noise) @ rng.standard_normal(len(u))
            total = own.half @ own.half.T + own.noise
            moved = z + own.half.T @ np.linalg.solve(total, values[i] - u)
            found[i] = own.mean + np.linalg.solve(own.root.T, moved)
        corrections = np.zeros((len(which), *self.draws.corrections.shape[1:]))
        corrections[:, problem.owner, problem.term] = found
        return corrections

    def _linear(self, g: int) -> Linear:
        """Missing values as a function of the corrections, for draw g."""
        problem, q = self.density.problem, self.density.q
        size = padded(q)
        mean, root, nothing = np.empty(q), np.empty((size, size)), np.empty(self.density.dims)
        log_posterior(self.theta[g], problem, mean, root, nothing, False)
        lower = np.tril(root[:q, :q])
        linkage, sigma = self.draws.linkage[g], self.draws.sigma[g]
        total = np.linalg.inv(np.eye(len(sigma)) - linkage)
        cov = covariance_root(linkage[None], sigma[None])[0]
        cov = cov @ cov.T
        m = int(self.latent.max()) + 1
        along, shift, noise = np.zeros((m, q)), np.zeros(m), np.zeros((m, m))
        for lack, rows, at in self.patterns:
            gain = np.linalg.solve(cov[~lack][:, ~lack], cov[~lack][:, lack]).T
            every = total[lack] - gain @ total[~lack]
            rest = cov[lack][:, lack] - gain @ cov[~lack][:, lack]
            known = self.kept.y[rows][:, :-1][:, ~lack] @ gain.T
            for j, places in enumerate(at):
                along[places] = every[j, problem.owner] * self.kept.phi[rows][:, problem.term]
                shift[places] = known[:, j]
                for k, others in enumerate(at):
                    noise[places, others] = rest[j, k]
        half = np.linalg.solve(lower, along.T).T
        return Linear(mean, lower, shift + along @ mean, half, noise)


def cheap_part(
    spec: JointGaussian,
    kept: KeptRows,
    draws: CheapDraws | None,
    missing: Missing | None,
    most: int,
) -> Cheap:
    """Return what the primary target takes from at most ``most`` draws of the cheaper ones."""
    own, groups, lengths = own_scales(spec)
    scales = scales_of(spec)
    assert scales is not None
    entries = np.array([j == len(spec.design.targets) - 1 for j, _ in spec.columns.entries])
    offset = np.zeros((1, len(own.offset)))
    given = scales.part(entries, ~groups, ~lengths)
    if draws is not None and (given.weight.any() or given.half.any()):
        hyper = given.joined(draws.scale[:most], draws.length[:most])
        offset = given.log_sd(hyper) - given.offset
    if missing is None or not (missing.latent >= 0).any():
        n = len(kept), kept.y.shape[1] - 1
        return Cheap(offset, np.zeros((1, 0)), np.zeros((1, 0, 0)), np.full(n, -1))
    assert draws is not None
    centre, spread = missing.moments(min(most, len(draws.sigma)))
    return Cheap(offset, centre, spread, missing.latent)
