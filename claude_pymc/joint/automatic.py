"""One call from a table to a posterior: basis, correction terms and linkage chosen by evidence."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from claude_pymc.joint.averaged import draw_averaged
from claude_pymc.joint.pool import near_best
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stages import Explored, Given, Mode
from claude_pymc.tables.design import Design
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.smooth import HSGP
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

ORDER, BOUNDARY, PAIRED = 20, 1.6, 8


def fit(
    table: Table,
    *,
    basis: HSGP | None = None,
    transforms: Mapping[str, str] | None = None,
    quantities: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: ShrinkagePrior | None = None,
    draws: int = 100,
    chains: int = 4,
    seed: int | None = None,
    progress: bool = False,
    noise: str = "normal",
) -> JointPosterior:
    n = len(table.descriptors)
    basis = basis or default_basis(n)
    every = dict.fromkeys(table.targets, ["all"])
    design = Design.from_table(
        table, basis, every, transforms=transforms, quantities=quantities, bounds=bounds
    )
    table = table.rows(np.isfinite(table.y).any(axis=1))
    prior = prior or ShrinkagePrior()
    spec = JointGaussian(design, prior, varying=("linear",), noise=noise)
    x, y = table.x, table.y
    rows = KeptRows(design.phi(x), design.to_model(y), np.full(len(y), np.nan), np.full(len(y), ""))
    modes: list[list[Mode]] = []
    for j in range(len(design.targets)):
        have = np.isfinite(y[:, : j + 1]).all(axis=1)
        part = KeptRows(
            rows.phi[have], rows.y[have][:, : j + 1], rows.sigma[have], rows.source[have]
        )
        modes.append(list(near_best(Explored(Given(spec, part, j)).run())))
    sets = [{t for mode in found for t in mode.spec.design.corrections[-1]} for found in modes]
    used = set().union(*sets, spec.varying, {"1"})
    keep = [term in used for term in design.terms]
    orders = design.basis.orders(n)
    reduced = replace(basis, interactions=(), exponents=tuple(itertools.compress(orders, keep)))
    terms = tuple(itertools.compress(design.terms, keep))
    less = replace(
        design, basis=reduced, corrections=tuple(tuple(t for t in terms if t in s) for s in sets)
    )
    small = JointGaussian(less, prior, varying=spec.varying, noise=noise)
    stats = PatternStats.from_table(table, less, rows=True)
    tree, reason = draw_averaged(
        small, stats, draws=draws, chains=chains, seed=seed or 0, modes=modes
    )
    return JointPosterior(tree, small)


def default_basis(n: int) -> HSGP:
    pairs = tuple(itertools.combinations(range(n), 2)) if n <= PAIRED else ()
    return HSGP(order=ORDER, boundary=BOUNDARY, lengths="each", products=n > 1, interactions=pairs)
