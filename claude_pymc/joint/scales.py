r"""Prior scales of the corrections, as one formula for every sampler.

Under `ShrinkagePrior` each free entry e of R is N(0, s_e^2) with

    log s_e = o_e + sum_g D_eg log t_g + sum_l [ 1/2 H_el log lambda_l - 1/4 F_el lambda_l^2 ],

t_g learned scales (and ratios between targets), lambda_l learned lengths of a kernel. D, H and F
follow from the basis: a kernel term is an eigenfunction of frequency F^(1/2), whose variance is the
spectral density of the kernel there; all other terms have H = F = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.spec import VARYING, JointGaussian


@dataclass(frozen=True, eq=False)
class Scales:
    """What the formula needs, by entry.

    All that is learned is one vector ``hyper``: log t_g, then z_l ~ N(0, 1), where the logarithm of
    a length is low + (high - low) Phi(z_l), uniform between both.

    Parameters
    ----------
    groups, lengths : tuple of str
        Names of the scales t_g and of the lengths.
    mean, sd : arrays (hyper)
        Of their normal priors.
    low, high : arrays (length)
    offset : array (entry)
    weight : array (entry, group)
    half, frequency : arrays (entry, length)
    """

    groups: tuple[str, ...]
    lengths: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    half: np.ndarray
    frequency: np.ndarray

    def split(self, hyper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scales (..., group) and lengths (..., length)."""
        n = len(self.groups)
        span = self.high - self.low
        return np.exp(hyper[..., :n]), np.exp(self.low + span * ndtr(hyper[..., n:]))

    def joined(self, scale: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return ``hyper`` (..., hyper), the inverse of :meth:`split`."""
        share = (np.log(length) - self.low) / (self.high - self.low)
        return np.concatenate([np.log(scale), ndtri(share)], axis=-1)

    def log_sd(self, hyper: np.ndarray) -> np.ndarray:
        """Log prior sd of each entry (..., entry)."""
        scale, length = self.split(hyper)
        found = self.offset + np.log(scale) @ self.weight.T
        return found + 0.5 * np.log(length) @ self.half.T - 0.25 * length**2 @ self.frequency.T

    def part(self, entries: np.ndarray, groups: np.ndarray, lengths: np.ndarray) -> Scales:
        """Scales of some entries, of which some groups and lengths are learned (booleans)."""
        learned = np.append(groups, lengths)
        return Scales(
            tuple(np.array(self.groups, dtype=object)[groups]),
            tuple(np.array(self.lengths, dtype=object)[lengths]),
            self.mean[learned],
            self.sd[learned],
            self.low[lengths],
            self.high[lengths],
            self.offset[entries],
            self.weight[entries][:, groups],
            self.half[entries][:, lengths],
            self.frequency[entries][:, lengths],
        )

    def pulled(self, hyper: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Gradient in ``hyper`` from that in the log prior sds (entry)."""
        _, length = self.split(hyper)
        z = hyper[len(self.groups) :]
        steep = (self.high - self.low) * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        by_length = 0.5 * slope @ self.half - 0.5 * length**2 * (slope @ self.frequency)
        return np.concatenate([slope @ self.weight, by_length * steep])


def no_scales(entries: int) -> Scales:
    """Scales that learn nothing, for priors that have none."""
    one, two = np.zeros(0), np.zeros((entries, 0))
    return Scales((), (), one, one, one, one, np.zeros(entries), two, two, two)


@lru_cache(64)
def scales_of(spec: JointGaussian) -> Scales | None:
    """Scales of a specification under `ShrinkagePrior`; None under another prior."""
    prior, design = spec.prior, spec.design
    if not isinstance(prior, ShrinkagePrior):
        return None
    n = len(spec.columns.entries)
    names = design.basis.groups(design.descriptors)
    kernel = design.basis.kernel(design.descriptors)
    groups, lengths = spec.groups, spec.lengths
    position = {pair: i for i, pair in enumerate(groups)}
    place = {pair: i for i, pair in enumerate(lengths)}
    offset, weight = np.zeros(n), np.zeros((n, len(groups)))
    half, frequency = np.zeros((n, len(lengths))), np.zeros((n, len(lengths)))
    begin = 0.25 * math.log(2 * math.pi) * kernel.half.sum(axis=1)
    used: dict[int, list[int]] = {}
    for b, i in zip(*kernel.half.nonzero(), strict=True):
        used.setdefault(int(b), []).append(int(i))
    for e, (j, b) in enumerate(spec.columns.entries):
        if names[b] == "constant":
            offset[e] = math.log(prior.constant_of(j))
            continue
        owner = j if (j, names[b]) in position else 0
        weight[e, position[owner, names[b]]] = 1.0
        if owner != j:
            weight[e, position[j, "ratio"]] = 1.0
        for at in used.get(b, ()):
            length = place.get((owner, kernel.lengths[at]))
            if length is not None:
                half[e, length] = kernel.half[b, at]
                frequency[e, length] = kernel.frequency[b, at]
        offset[e] += begin[b]
    medians = {"ratio": prior.ratio, VARYING: prior.varying}
    usual = {False: (prior.scale, prior.scale_log_sd), True: prior.of_corrections}
    mean = np.log([medians.get(g, usual[j > 0][0]) for j, g in groups])
    log_sds = {"ratio": prior.ratio_log_sd, VARYING: prior.scale_log_sd}
    sd = np.array([log_sds.get(g, usual[j > 0][1]) for j, g in groups])
    return Scales(
        tuple(f"{design.targets[j]}: {g}" for j, g in groups),
        tuple(f"{design.targets[j]}: {name}" for j, name in lengths),
        np.append(mean, np.zeros(len(lengths))),
        np.append(sd, np.ones(len(lengths))),
        np.full(len(lengths), math.log(kernel.shortest)),
        np.full(len(lengths), math.log(kernel.longest)),
        offset,
        weight,
        half,
        frequency,
    )
