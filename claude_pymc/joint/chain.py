"""Draws where rows are needed: the cheaper targets first, the primary one given them.

The log evidence is the sum of both. See `claude_pymc.joint.primary` for the mathematics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.joint.cheaper import (
    CheapDraws,
    Missing,
    cheap_part,
    cheaper_spec,
    cheaper_stats,
)
from claude_pymc.joint.draws import posterior_dataset, tree_of
from claude_pymc.joint.importance import Weighted, importance_sample
from claude_pymc.joint.linked import LinkedPosterior
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW, ROW_PARAMETERS
from claude_pymc.tables.gram import triangle
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats

STARTS, COUPLED = 100, 1000
LEARNED: dict[str, tuple[str, ...]] = {"scale": ("group",), "length": ("kernel",)}

DrawCheaper = Callable[[JointGaussian, PatternStats], tuple[xr.DataTree, str]]


def draw_chain(
    spec: JointGaussian,
    stats: PatternStats,
    draw_cheaper: DrawCheaper,
    *,
    draws: int,
    chains: int,
    seed: int,
    stage: Callable[[str], None] = lambda name: None,
) -> tuple[xr.DataTree, Weighted, str]:
    """Draw from the posterior of a specification that needs rows.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
        With the rows of the primary target.
    draw_cheaper : callable
        Draws the cheaper targets given their specification and statistics, ``draws`` times
        ``chains`` in all, and says why they should not be used, if so.
    draws, chains, seed : int
    stage : callable
        Told the name of each stage.

    Returns
    -------
    DataTree, Weighted, str
        The weighted draws of the primary target say how far they can be trusted, the text why
        those of the cheaper ones cannot.
    """
    kept, more = rows_for(spec, stats)
    rng = np.random.default_rng([seed, 1])
    number, d = draws * chains, len(spec.design.targets)
    cheap_draws, missing, attrs, reason = None, None, {}, ""
    if d > 1:
        cheap = cheaper_spec(spec)
        less = cheaper_stats(stats, cheap)
        tree, reason = draw_cheaper(cheap, less)
        cheap_draws, attrs = _stacked(tree, rng), tree.attrs
        if np.isnan(kept.y[:, :-1]).any():
            missing = Missing(cheap, less, kept, cheap_draws)
    part = cheap_part(spec, kept, cheap_draws, missing, min(COUPLED, number))
    density = PrimaryPosterior(spec, kept, part, more)
    sampled: Any = density
    if density.m and spec.noise == "normal":
        sampled = LinkedPosterior(spec, kept, part)
    found = importance_sample(sampled, sampled.starts(STARTS, rng), number, rng, stage)
    theta, entries = found.resample(number, rng)
    theta = theta[:, : density.dims]
    which = entries[:, -1].astype(int) if part.coupled else np.arange(number)
    if cheap_draws is not None:
        cheap_draws = cheap_draws.chosen(which)
    columns = named_columns(spec, density, theta, entries, cheap_draws)
    if missing is not None:
        stage("cheaper targets given what rows lack")
        values = entries[:, density.q : -1]
        columns["corrections"][:, :-1] = missing.corrections(values, which, rng)
    posterior = _dataset(spec, columns, chains, draws)
    # Few draws of the cheaper targets stand behind many points, whose weights they share.
    judged = found.clustered(found.entries[:, -1]) if part.coupled else found
    said = {
        "seed": int(seed),
        "method": "exact",
        "k_hat": max(found.k_hat, attrs.get("k_hat", -np.inf)),
        "importance_ess": min(judged.ess_of(number), attrs.get("importance_ess", np.inf)),
        "evaluations": found.evaluations + attrs.get("evaluations", 0),
    }
    if d == 1 or "log_evidence" in attrs:
        said["log_evidence"] = found.log_evidence + attrs.get("log_evidence", 0.0)
        said["log_evidence_se"] = float(
            np.hypot(judged.log_evidence_se, attrs.get("log_evidence_se", 0.0))
        )
    return tree_of(spec, stats, posterior, None, said), found, reason


def nested(stats: PatternStats) -> bool:
    """Say whether each row of the primary target has all cheaper ones."""
    present = stats.present
    return bool(present[present[:, -1]].all())


def rows_for(spec: JointGaussian, stats: PatternStats) -> tuple[KeptRows, float]:
    """Rows of the primary target, and how many more they stand for.

    Where statistics are enough, the rows of the triangular root R of the Gram matrix, R'R = sum of
    z z', give the same sums of squares as the rows themselves.
    """
    if spec.needs == "rows" or not nested(stats):
        assert stats.kept is not None
        return stats.kept, 0.0
    p, d = len(spec.design.terms), len(spec.design.targets)
    with_primary = stats.present[:, -1]
    roots = stats.roots[with_primary]
    root = triangle(roots.reshape(-1, roots.shape[-1])) if len(roots) else np.zeros((0, p + d))
    n = len(root)
    found = KeptRows(root[:, :p], root[:, p:], np.full(n, np.nan), np.full(n, ""))
    return found, float(stats.counts[with_primary].sum() - n)


def _stacked(tree: xr.DataTree, rng: np.random.Generator) -> CheapDraws:
    """Draws of the cheaper targets in one random order."""
    posterior = tree["posterior"].dataset
    size = posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    order = rng.permutation(size)

    def values(name: str) -> np.ndarray:
        if name not in posterior:
            return np.zeros((size, 0))
        array = posterior[name].transpose(CHAIN, DRAW, ...).to_numpy()
        return np.asarray(array.reshape(size, *array.shape[2:])[order])

    names = ("linkage", "sigma", "corrections", "scale", "length")
    return CheapDraws(*(values(name) for name in names))


def named_columns(
    spec: JointGaussian,
    density: PrimaryPosterior,
    theta: np.ndarray,
    entries: np.ndarray,
    cheap: CheapDraws | None,
) -> dict[str, np.ndarray]:
    """Columns of all targets, scales and what is peculiar to rows, by name (draw, ...)."""
    design, number = spec.design, len(theta)
    d, last = len(design.targets), len(design.targets) - 1
    linkage, sigma = np.zeros((number, d, d)), np.zeros((number, d))
    corrections = np.zeros((number, d, len(design.terms)))
    if cheap is not None:
        linkage[:, :last, :last], sigma[:, :last] = cheap.linkage, cheap.sigma
        corrections[:, :last] = cheap.corrections
    by_source, nu = density.noise(theta)
    sigma[:, last] = by_source[:, 0]
    n_links, n_varied = density.n_links, len(spec.varying)
    for i, k in enumerate(k for j, k, _ in spec.links if j == last):
        linkage[:, last, k] = entries[:, i]
    terms = [b for j, b in spec.columns.entries if j == last]
    first = n_links + n_varied
    corrections[:, last, terms] = entries[:, first : first + len(terms)]
    own = density.scales.split(theta[:, density.n_sources + density.student :])
    found = {"linkage": linkage, "sigma": sigma, "corrections": corrections}
    names = spec.groups, spec.lengths
    for name, which, ours, theirs in zip(
        ("scale", "length"),
        names,
        own,
        (None, None) if cheap is None else (cheap.scale, cheap.length),
        strict=True,
    ):
        values = np.empty((number, len(which)))
        mine = np.array([j == last for j, _ in which], dtype=bool)
        values[:, mine] = ours
        if theirs is not None:
            values[:, ~mine] = theirs
        found[name] = values
    if n_varied:
        found["varying"] = entries[:, n_links:first]
    if spec.noise == "student":
        found["freedom"] = nu
    if spec.sources:
        found["source_sigma"] = by_source
    return found


def _dataset(
    spec: JointGaussian, columns: dict[str, np.ndarray], chains: int, draws: int
) -> xr.Dataset:
    """Name the columns, dealt out to chains."""
    dealt = {name: v.reshape(chains, draws, *v.shape[1:]) for name, v in columns.items()}
    others = {
        name: (dims, dealt[name])
        for name, dims in (LEARNED | ROW_PARAMETERS).items()
        if name in dealt and (not dims or dealt[name].shape[-1])
    }
    return posterior_dataset(spec, dealt["linkage"], dealt["sigma"], dealt["corrections"], others)
