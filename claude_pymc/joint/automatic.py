"""One call from a table to a posterior: basis, correction terms, linkage and noise by evidence."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from claude_pymc.joint.averaged import draw_averaged
from claude_pymc.joint.lengths import lengths_of
from claude_pymc.joint.pool import near_best
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stages import Explored, Given, Mode
from claude_pymc.tables.design import Design
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.landmarks import Landmarks
from claude_pymc.tables.smooth import HSGP
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

ORDER, BOUNDARY = 20, 1.6
# Corrections are a small part of what a target varies by, and experiments scatter by some percent.
PRIOR = ShrinkagePrior(noise_log_sd=0.5, correction=0.05, correction_log_sd=1.0)
FACTORS = (0.7, 1.0, 1.5)  # of the lengths of a kernel over all descriptors
MOST_LANDMARKS, LEAST_SHARED = 200, 20


def fit(
    table: Table,
    *,
    transforms: Mapping[str, str] | None = None,
    quantities: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: ShrinkagePrior | None = None,
    draws: int = 100,
    chains: int = 4,
    seed: int | None = None,
    progress: bool = False,
    order: int = ORDER, boundary: float = BOUNDARY, lengths: str = "each", factors=FACTORS, noises=("normal", "student"),
) -> JointPosterior:
    rng = np.random.default_rng(seed)
    prior = prior or PRIOR
    inner = HSGP(order=order, boundary=boundary, lengths=lengths, products=len(table.descriptors) > 1)
    plain = Design.from_table(
        table, inner, transforms=transforms, quantities=quantities, bounds=bounds
    )
    basis = landmarks_for(table, plain, rng, factors)
    every = dict.fromkeys(table.targets, ["all"])
    design = Design.from_table(
        table, basis, every, transforms=transforms, quantities=quantities, bounds=bounds
    )
    table = table.rows(np.isfinite(table.y).any(axis=1))
    nested = not (np.isfinite(table.y[:, -1]) & ~np.isfinite(table.y[:, :-1]).all(axis=1)).any()
    spec = JointGaussian(design, prior, varying=("linear",))
    noises = noises if nested else ("normal",)
    modes = [list(near_best(Explored(g).run())) for g in offered(spec, table, noises)]
    small = reduced(spec, modes)
    again = offered(small, table, noises)
    modes = [[rebuilt(m, g) for m in ms] for ms, g in zip(modes, again, strict=True)]
    stats = PatternStats.from_table(table, small.design, rows=True)
    tree, reason = draw_averaged(
        small, stats, draws=draws, chains=chains, seed=seed or 0, modes=modes
    )
    return JointPosterior(tree, small)


def landmarks_for(
    table: Table, design: Design, rng: np.random.Generator, factors: Sequence[float] = FACTORS
) -> Landmarks:
    """Landmarks at the rows, and lengths of the first target and of what others add to it."""
    n = len(table.descriptors)
    low, high = np.array(design.bounds).T
    u = -1.0 + 2.0 * (table.x - low) / (high - low)
    y = design.to_model(table.y)
    kernels = []
    for j, target in enumerate(design.targets):
        have = np.isfinite(y[:, j]) if j == 0 else np.isfinite(y[:, [j - 1, j]]).all(axis=1)
        if j and have.sum() < LEAST_SHARED:
            continue
        values = y[have, j] - (y[have, j - 1] if j else 0.0)
        found = np.array(lengths_of(u[have], values, rng))
        kernels += [(f"{target} x{f:g}", tuple(map(float, f * found))) for f in factors]
    places = np.unique(u, axis=0)
    if len(places) > MOST_LANDMARKS:
        places = spread_out(places, MOST_LANDMARKS, rng)
    del n
    return Landmarks(
        basis=design.basis,
        landmarks=tuple(tuple(map(float, place)) for place in places),
        kernels=tuple(kernels),
    )


def spread_out(places: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of clusters of places."""
    from scipy.cluster.vq import kmeans2

    return np.asarray(kmeans2(places, number, minit="++", seed=rng, missing="warn")[0])


def offered(spec: JointGaussian, table: Table, noises: tuple[str, ...]) -> list[Given]:
    """What each target may depend on, given the cheaper ones."""
    design, (x, y) = spec.design, (table.x, table.y)
    phi, values = design.phi(x), design.to_model(y)
    found = []
    last = len(design.targets) - 1
    for j in range(len(design.targets)):
        have = np.isfinite(y[:, : j + 1]).all(axis=1)
        n = int(have.sum())
        rows = KeptRows(phi[have], values[have][:, : j + 1], np.full(n, np.nan), np.full(n, ""))
        found.append(Given(spec, rows, j, noises=noises if j == last else ("normal",)))
    return found


def rebuilt(mode: Mode, given: Given) -> Mode:
    """Return the same mode for another design that has its terms."""
    spec, density, _ = given.build(mode.choice)
    return replace(mode, spec=spec, density=density)


def reduced(spec: JointGaussian, modes: Sequence[Sequence[Mode]]) -> JointGaussian:
    """Specification without the terms that no set has."""
    design, basis = spec.design, spec.design.basis
    assert isinstance(basis, Landmarks) and isinstance(basis.basis, HSGP)
    sets = [{t for mode in found for t in mode.spec.design.corrections[-1]} for found in modes]
    used = set().union(*sets, spec.varying, {"1"})
    n = len(design.descriptors)
    keep = [term in used for term in design.terms]
    inner = basis.basis.orders(n)
    groups = set(itertools.compress(design.basis.groups(design.descriptors), keep))
    kernels = tuple(k for k in basis.kernels if f"kernel {k[0]}" in groups)
    less: HSGP | Landmarks = replace(
        basis.basis, interactions=(), exponents=tuple(itertools.compress(inner, keep))
    )
    if kernels:
        less = replace(basis, basis=less, kernels=kernels)
    terms = less.terms(design.descriptors)
    corrections = tuple(tuple(t for t in terms if t in s) for s in sets)
    noise = "student" if any(m.choice.noise == "student" for m in modes[-1]) else "normal"
    small = replace(design, basis=less, corrections=corrections)
    return JointGaussian(small, spec.prior, varying=spec.varying, noise=noise)
