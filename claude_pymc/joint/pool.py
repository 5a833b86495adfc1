r"""One importance sample over sets of terms and what remains of each set.

Draw i belongs to set k_i and comes from q_k, a distribution around the mode of that set
(`claude_pymc.joint.stages`), M_k of M draws in all. With the prior probability P_k of the set,

    log w_i = log P_k + log p_k(theta_i) - log q_k(theta_i) - log(M_k / M),

so that the weights of a set sum up to its posterior probability, and all of them to the evidence
averaged over sets. One k-hat speaks for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from claude_pymc.joint.convergence import K_HAT
from claude_pymc.joint.importance import smoothed
from claude_pymc.joint.mixture import Defended, Distribution, Mixture, systematic
from claude_pymc.joint.stages import Mode

WINDOW, MOST_SETS = 5.0, 8  # nats below the best set, and number of sets, that are drawn from
FIRST, LEAST = 400, 60  # draws of the first round, and of each set
WIDE, POOR, ROUNDS, MOST = 0.05, 0.05, 3, 25
LAST, ENOUGH = 10, 0.85  # rounds, and effective draws of those wanted
HOPED = 0.15  # share of effective draws of a proposal that was just fitted, at least
THREADS, CHUNK = 2, 100


@dataclass(frozen=True, eq=False)
class Pool:
    """Weighted draws from several sets.

    Parameters
    ----------
    modes : tuple of Mode
        Of the sets, best first.
    which : array of int (point)
        Set of each draw.
    points, entries : tuple of arrays (point of the set, ...)
    weights : array (point)
        Pareto-smoothed, of sum one.
    ratio : array (point)
        Log weights, before.
    k_hat, ess : float
    evaluations : int
    """

    modes: tuple[Mode, ...]
    which: np.ndarray
    points: tuple[np.ndarray, ...]
    entries: tuple[np.ndarray, ...]
    weights: np.ndarray
    ratio: np.ndarray
    k_hat: float
    ess: float
    evaluations: int

    @property
    def probability(self) -> np.ndarray:
        """Posterior probability of each set."""
        return np.bincount(self.which, self.weights, len(self.modes))

    @property
    def log_evidence(self) -> tuple[float, float]:
        """Log of the evidence averaged over sets, and its Monte Carlo standard error."""
        top = self.ratio.max()
        raw = np.exp(self.ratio - top)
        se = float(raw.std(ddof=1) / raw.mean() / math.sqrt(len(raw)))
        return float(np.log(raw.mean()) + top), se

    def evidence_of(self, *members: int) -> tuple[float, float]:
        """Log of prior probability times evidence of some sets, and its Monte Carlo error."""
        found = [self.ratio[self.which == k] for k in members]
        top = max(own.max() for own in found)
        raw = [np.exp(own - top) for own in found]
        total = sum(own.sum() for own in raw)
        error = math.sqrt(sum(len(own) * own.var(ddof=1) for own in raw))
        return float(top + math.log(total / len(self.ratio))), error / total

    def resample(self, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Set of each of ``number`` draws of equal weight, and its position in that set."""
        chosen = rng.permutation(systematic(self.weights, number, rng))
        place = np.concatenate([np.arange(len(points)) for points in self.points])
        return self.which[chosen], place[chosen]


def pooled(
    modes: Sequence[Mode],
    wanted: int,
    rng: np.random.Generator,
    stage: Callable[[str], None],
    most: int = MOST_SETS,
) -> Pool:
    """Draw until about ``wanted`` effective draws are there, or say by k-hat that it failed.

    Parameters
    ----------
    modes : sequence of Mode
        Best first; those far below the best are left out.
    wanted : int
    rng : Generator
    stage : callable
        Told the name of each stage.
    most : int
        Sets that are drawn from.
    """
    kept = near_best(modes, most)
    shares = np.exp([mode.score - kept[0].score for mode in kept])
    shares /= shares.sum()
    first: list[Distribution] = [mode.split(rng) for mode in kept]
    proposals = first
    mixtures = [mode.mixture for mode in kept]
    found = _drawn(kept, proposals, shares, FIRST, rng)
    count, adapted = found.evaluations, False
    for number in range(ROUNDS):
        share = found.ess / len(found.weights)
        if share > POOR and found.k_hat < K_HAT:
            break
        stage(f"round {number + 1} of adaptation")
        adapted = True
        mixtures, proposals = _fitted(found, mixtures, proposals, first)
        shares = 0.5 * (shares + found.probability)
        found = _drawn(kept, proposals, shares, (2 + number) * FIRST, rng)
        count += found.evaluations
    # Draws are kept where no proposal was fitted to them.
    last: Pool | None = None if adapted else found
    for _ in range(LAST):
        share = max(found.ess / len(found.weights), 0.0 if last else HOPED)
        have = 0.0 if last is None else last.ess
        size = math.ceil(1.2 * (wanted - have) / share)
        size = int(np.clip(size, 200, MOST * wanted + 200))
        stage(f"last {size} draws")
        found = _drawn(kept, proposals, shares, size, rng)
        count += found.evaluations
        found = last = found if last is None else _joined(last, found)
        if found.k_hat < K_HAT and found.ess > ENOUGH * wanted:
            break
        if found.k_hat > K_HAT:  # from now on by a mixture that these draws give
            mixtures, proposals = _fitted(found, mixtures, proposals, first)
            last = None
    return replace(found, evaluations=count)


def _joined(one: Pool, other: Pool) -> Pool:
    """Both samples as one from the mixture of what they came from.

    A set's share of all draws is that of both samples together.
    """
    sets = range(len(one.modes))
    total = len(one.ratio) + len(other.ratio)
    points, entries, ratios = [], [], []
    for k in sets:
        parts = [pool.ratio[pool.which == k] for pool in (one, other)]
        # Each part has log(own draws / own total) subtracted already; now that of both together.
        own = [
            math.log(len(p) / len(pool.ratio)) for p, pool in zip(parts, (one, other), strict=True)
        ]
        both = math.log(sum(map(len, parts)) / total)
        ratios.append(np.concatenate([p + o - both for p, o in zip(parts, own, strict=True)]))
        points.append(np.concatenate([one.points[k], other.points[k]]))
        entries.append(np.concatenate([one.entries[k], other.entries[k]]))
    which = np.repeat(np.arange(len(one.modes)), [len(r) for r in ratios])
    return _weighed(one.modes, which, tuple(points), tuple(entries), np.concatenate(ratios))


def near_best(
    modes: Sequence[Mode], most: int = MOST_SETS, window: float = WINDOW
) -> tuple[Mode, ...]:
    """Return the sets that are drawn from, of modes in the order of their score."""
    return tuple(mode for mode in modes[:most] if mode.score > modes[0].score - window)


def _fitted(
    found: Pool,
    mixtures: list[Mixture],
    proposals: list[Distribution],
    first: list[Distribution],
) -> tuple[list[Mixture], list[Distribution]]:
    """Mixtures fitted to the draws of their sets, where these weigh anything.

    The first proposal stays a half of each, however often it is fitted: a fit to few effective
    draws may be too narrow, and what is fitted to its draws narrower still.
    """
    fitted, both = list(mixtures), list(proposals)
    for k, mixture in enumerate(mixtures):
        weights = found.weights[found.which == k]
        if weights.sum() < 0.01 or len(weights) < 10 * mixture.means.shape[1]:
            continue
        weights = weights / weights.sum()
        more = mixture.extended(found.points[k], weights) if len(mixture.shares) < 3 else mixture
        fitted[k] = more.fitted(found.points[k], weights)
        both[k] = Defended(fitted[k], first[k], 0.5)
    return fitted, both


def _drawn(
    modes: tuple[Mode, ...],
    proposals: list[Distribution],
    shares: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> Pool:
    """Draw from the sets in proportion to their shares, and weigh."""
    sizes = np.maximum(np.round(shares * size).astype(int), LEAST)
    points, ratios, work = [], [], []
    for k, mode in enumerate(modes):
        assert mode.density.wide is not None
        proposal = Defended(proposals[k], mode.density.wide, WIDE)
        points.append(proposal.draw(sizes[k], rng))
        share = math.log(sizes[k] / sizes.sum())
        ratios.append(mode.log_prior - proposal.log_density(points[k]) - share)
        work += [(k, part) for part in np.array_split(points[k], max(1, sizes[k] // CHUNK))]

    def run(job: tuple[int, np.ndarray], own: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return modes[job[0]].density.draw_entries(job[1], own)

    with ThreadPoolExecutor(THREADS) as pool:  # the loops let go of the interpreter
        found = list(pool.map(run, work, rng.spawn(len(work))))
    entries = []
    for k in range(len(modes)):
        own = [part for job, part in zip(work, found, strict=True) if job[0] == k]
        values = np.concatenate([values for values, _ in own])
        ratios[k] += np.where(np.isfinite(values), values, -np.inf)
        entries.append(np.concatenate([drawn for _, drawn in own]))
    which = np.repeat(np.arange(len(modes)), sizes)
    return _weighed(modes, which, tuple(points), tuple(entries), np.concatenate(ratios))


def _weighed(
    modes: tuple[Mode, ...],
    which: np.ndarray,
    points: tuple[np.ndarray, ...],
    entries: tuple[np.ndarray, ...],
    ratio: np.ndarray,
) -> Pool:
    """Pool of draws with their log weights."""
    weights, k_hat = smoothed(ratio)
    ess = float(1.0 / np.square(weights).sum())
    return Pool(modes, which, points, entries, weights, ratio, k_hat, ess, len(ratio))
