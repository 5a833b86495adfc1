"""The posterior averaged over sets of terms: draws from all of them, in proportion.

Where a draw's set lacks a term, the coefficient is zero in that draw, so that the average is one
posterior like any other: it predicts, is saved, and is checked as such. ``included`` says which
units each draw has; its mean is the probability that a unit belongs.

Targets are chosen for one after the other where the rows of each have the cheaper ones, since
evidence and posterior factorise then (`claude_pymc.joint.primary`). Rows that lack the cheaper
value of a pair then weigh the draws (`claude_pymc.joint.incomplete`). Where hardly a row is
complete, the primary target is chosen for given everything at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.errors import SpecError
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.convergence import K_HAT
from claude_pymc.joint.draws import posterior_dataset, tree_of
from claude_pymc.joint.incomplete import Incomplete
from claude_pymc.joint.linked import LinkedPosterior
from claude_pymc.joint.noise import NORMAL
from claude_pymc.joint.pool import Pool, near_best, pooled
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.sets import Choice, Menu
from claude_pymc.joint.spec import JointGaussian, refuse_choosing
from claude_pymc.joint.stages import Explored, Given, Mode, Together, rows_of_target
from claude_pymc.notation import ROW_PARAMETERS
from claude_pymc.tables.statistics import PatternStats

Stage = Callable[[str], None]
NEARER, FEWER = 3.0, 4  # nats below the best set, and sets, where rows lack cheaper values
SHOWN = 20  # sets in the ranking that draws carry
TOGETHER = 64  # sets of all targets that are drawn from


def draw_averaged(
    spec: JointGaussian,
    stats: PatternStats,
    *,
    draws: int,
    chains: int,
    seed: int,
    stage: Stage = lambda name: None,
    modes: Sequence[Sequence[Mode]] | None = None,
) -> tuple[xr.DataTree, str]:
    """Draw from the posterior averaged over sets, and say why the draws should not be used, if so.

    Parameters
    ----------
    spec : JointGaussian
        Its design has ``corrections="auto"``: the correction sets hold what is on offer.
    stats : PatternStats
    draws, chains, seed : int
    stage : callable
        Told the name of each stage.
    modes : sequence of sequence of Mode, optional
        Sets of each target, best first, where they were looked for before.

    Returns
    -------
    DataTree, str
        Also with ``included`` (unit), where a draw has any, and ``ranking`` in the attributes: sets
        with evidence and probability, by target.
    """
    refuse_choosing(spec)
    rng = np.random.default_rng([seed, 2])
    number = draws * chains
    filled = _Filled(spec, number)
    if apart(spec, stats):
        pools = _one_by_one(spec, stats, number, rng, filled, stage, modes)
    else:
        stage("sets of terms")
        found = Explored(Together(spec, stats)).run()
        pool = pooled(found, number, rng, stage, TOGETHER)
        filled.together(pool, *pool.resample(number, rng))
        pools = {spec.design.targets[-1]: pool}
    k_hat = max(pool.k_hat for pool in pools.values())
    ess = min(1.0 / (1.0 / pool.ess + 0.25 / number) for pool in pools.values())
    evidences = np.array([pool.log_evidence for pool in pools.values()])
    attrs = {
        "seed": int(seed),
        "method": "exact",
        "k_hat": k_hat,
        "importance_ess": ess,
        "evaluations": sum(pool.evaluations for pool in pools.values()),
        "log_evidence": float(evidences[:, 0].sum()),
        "log_evidence_se": float(np.sqrt(np.square(evidences[:, 1]).sum())),
        "ranking": json.dumps(_ranking(spec, pools)),
    }
    reason = ""
    if not k_hat <= K_HAT:
        reason = f"k-hat of the importance weights is {k_hat:.2f}, above {K_HAT}"
    elif ess < 0.5 * number:
        reason = f"{ess:.0f} effective draws were found, {number} are wanted"
    return tree_of(spec, stats, filled.dataset(chains, draws), None, attrs), reason


def apart(spec: JointGaussian, stats: PatternStats) -> bool:
    """Say whether each target is chosen for given the cheaper ones.

    It is where all rows of a target have them, or at least half of the rows of a pair's second
    target, kept as rows with normal noise.
    """
    present, counts = stats.present, stats.counts
    lacking = [
        j
        for j in range(1, present.shape[1])
        if counts[present[:, j] & ~present[:, :j].all(axis=1)].any()
    ]
    if not lacking:
        return True
    complete = counts[present.all(axis=1)].sum()
    pair = present.shape[1] == 2 and stats.kept is not None and spec.noise == "normal"
    if pair and complete >= 0.5 * stats.measured(spec.design.targets[-1]):
        return True
    if spec.needs == "rows":
        raise SpecError(
            "rows that have all cheaper targets, at least half of those of a pair",
            f"{complete} of {stats.measured(spec.design.targets[-1])} rows of "
            f"{spec.design.targets[-1]!r}",
            "corrections='auto' chooses a linkage that varies, or noise by rows, where they do",
            "leave varying, noise, errors and sources out, or name the corrections",
        )
    return False


def _one_by_one(
    spec: JointGaussian,
    stats: PatternStats,
    number: int,
    rng: np.random.Generator,
    filled: _Filled,
    stage: Stage,
    given: Sequence[Sequence[Mode]] | None,
) -> dict[str, Pool]:
    """Pools of the targets, each given the cheaper ones."""
    pools: dict[str, Pool] = {}
    targets = spec.design.targets
    for j, target in enumerate(targets):
        stage(f"sets of terms for {target}")
        if given is None:
            rows, more = rows_of_target(spec, stats, j)
            modes: Sequence[Mode] = Explored(Given(spec, rows, j, more)).run()
        else:
            modes = given[j]
        rest = None
        if j == len(targets) - 1 and _lacking(stats):
            stage(f"rows of {target} without {targets[0]}")
            rest = Incomplete(spec, stats, pools[targets[0]], rng, number)
            moved = [rest.moved(mode, rng) for mode in near_best(modes, FEWER, NEARER)]
            modes = sorted(moved, key=lambda mode: -mode.score)
        stage(f"draws of {target}")
        pools[target] = pooled(modes, number, rng, stage)
        which, place = pools[target].resample(number, rng)
        filled.given(j, pools[target], which, place)
        if rest is not None:
            m = rest.cheap.centre.shape[1]
            last = np.array(
                [pools[target].entries[k][i, -m - 1 :] for k, i in zip(which, place, strict=True)]
            )
            which, place, free = rest.cheaper(last[:, :-1], last[:, -1].astype(int), rng)
            filled.given(0, pools[targets[0]], which, place)
            filled.corrections[:, 0] = free
    return pools


def _lacking(stats: PatternStats) -> bool:
    """Say whether rows of the primary target lack cheaper values."""
    present = stats.present
    return not bool(present[present[:, -1]].all())


class _Filled:
    """Draws of all columns, target by target."""

    def __init__(self, spec: JointGaussian, number: int) -> None:
        design = spec.design
        d, p = len(design.targets), len(design.terms)
        self.spec, self.place = spec, {term: b for b, term in enumerate(design.terms)}
        self.linkage, self.sigma = np.zeros((number, d, d)), np.zeros((number, d))
        self.corrections = np.zeros((number, d, p))
        self.varying = np.zeros((number, len(spec.varying)))
        self.freedom = np.full(number, NORMAL)
        self.source_sigma = np.zeros((number, len(spec.sources)))
        self.units: dict[str, np.ndarray] = {}

    def given(self, j: int, pool: Pool, which: np.ndarray, place: np.ndarray) -> None:
        """Columns of one target from its pool."""
        for k, mode in enumerate(pool.modes):
            rows = np.flatnonzero(which == k)
            density, spec = mode.density, mode.spec
            theta, entries = pool.points[k][place[rows]], pool.entries[k][place[rows]]
            if isinstance(density, LinkedPosterior):
                density = density.inner
            assert isinstance(density, PrimaryPosterior)
            sigma, nu = density.noise(theta[:, : density.dims])
            self.sigma[rows, j] = sigma[:, 0]
            links = [c for i, c, _ in spec.links if i == j]
            self.linkage[np.ix_(rows, [j], links)] = entries[:, None, : len(links)]
            first = len(links) + len(spec.varying)
            own = [self.place[term] for term in spec.design.corrections[j]]
            self.corrections[np.ix_(rows, [j], own)] = entries[:, None, first : first + len(own)]
            if spec.varying:
                self.varying[rows] = entries[:, len(links) : first]
            if spec.noise == "student":
                self.freedom[rows] = nu
            if spec.sources:
                self.source_sigma[rows] = sigma
            self._included(j, mode.choice.each[0], rows)

    def together(self, pool: Pool, which: np.ndarray, place: np.ndarray) -> None:
        """Columns of all targets from one pool."""
        for k, mode in enumerate(pool.modes):
            rows = np.flatnonzero(which == k)
            density = mode.density
            assert isinstance(density, CollapsedPosterior)
            drawn = density.columns(pool.points[k][place[rows]], pool.entries[k][place[rows]])
            self.linkage[rows], self.sigma[rows] = drawn.linkage, drawn.sigma
            self.corrections[rows] = drawn.corrections
            for j, choice in enumerate(mode.choice.each):
                self._included(j, choice, rows)

    def _included(self, j: int, choice: Choice, rows: np.ndarray) -> None:
        target = self.spec.design.targets[j]
        if self.spec.design.chosen and target not in self.spec.design.chosen:
            return
        for unit in (*choice.units, *("c(x)",) * choice.varying):
            column = self.units.setdefault(f"{target}: {unit}", np.zeros(len(self.sigma)))
            column[rows] = 1.0

    def dataset(self, chains: int, draws: int) -> xr.Dataset:
        """Name the columns, dealt out to chains."""

        def dealt(values: np.ndarray) -> np.ndarray:
            return values.reshape(chains, draws, *values.shape[1:])

        spec, others = self.spec, {}
        present = {
            "varying": bool(spec.varying),
            "freedom": spec.noise == "student",
            "source_sigma": bool(spec.sources),
        }
        for name, dims in ROW_PARAMETERS.items():
            if present[name]:
                others[name] = (dims, dealt(getattr(self, name)))
        found = posterior_dataset(
            spec, dealt(self.linkage), dealt(self.sigma), dealt(self.corrections), others
        )
        if not self.units:  # no draw has any
            return found
        names = sorted(self.units)
        included = dealt(np.stack([self.units[name] for name in names], axis=-1))
        return found.assign(
            included=xr.DataArray(included, dims=("chain", "draw", "unit"), coords={"unit": names})
        )


def _ranking(spec: JointGaussian, pools: dict[str, Pool]) -> list[dict[str, Any]]:
    """List sets of each target, best first; whatever the sets of other targets are."""
    found = []
    for j, target in enumerate(spec.design.targets):
        if spec.design.chosen and target not in spec.design.chosen:
            continue
        alone = target in pools and len(pools[target].modes[0].choice.each) == 1
        pool, place = (pools[target], 0) if alone else (pools[spec.design.targets[-1]], j)
        last = j == len(spec.design.targets) - 1
        menu = Menu.of(spec.design, j, varying=alone and last and bool(spec.varying))
        others = np.array([p.log_evidence for p in pools.values() if p is not pool]).reshape(-1, 2)
        members: dict[Choice, list[int]] = {}
        for k, mode in enumerate(pool.modes):
            members.setdefault(mode.choice.each[place], []).append(k)
        probability = {
            choice: float(pool.probability[own].sum()) for choice, own in members.items()
        }
        for choice in sorted(members, key=lambda one: -probability[one])[:SHOWN]:
            value, se = pool.evidence_of(*members[choice])
            value += float(others[:, 0].sum())
            se = float(np.sqrt(se**2 + np.square(others[:, 1]).sum()))
            first = pool.modes[members[choice][0]]
            prior = first.log_prior if alone else menu.log_prior(choice)
            found.append(
                {
                    "target": target,
                    "set": str(choice),
                    "terms": list(choice.units),
                    "log_evidence": value - prior,
                    "se": se,
                    "log_prior": prior,
                    "probability": probability[choice],
                }
            )
    return found
