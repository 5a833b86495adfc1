"""One call from a table to a posterior: basis, correction terms, linkage and noise by evidence."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from claude_pymc.errors import (
    DesignError,
    Notice,
    PosteriorWarning,
    SamplingError,
    TableError,
)
from claude_pymc.joint.averaged import draw_averaged
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.lengths import lengths_of
from claude_pymc.joint.pool import THREADS, near_best
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.progress import shown
from claude_pymc.joint.settings import refuse_seed
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stages import Explored, Given, Mode
from claude_pymc.tables.categories import Category, numbers_first
from claude_pymc.tables.design import Design
from claude_pymc.tables.expansion import Basis
from claude_pymc.tables.indicators import Indicated
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.landmarks import WORD, Landmarks
from claude_pymc.tables.smooth import HSGP
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured
from claude_pymc.tables.table import Table

ORDER, BOUNDARY = 20, 1.6
KINDS = ("smooth", "rough")  # kernels over all descriptors
MOST_LANDMARKS, LEAST_SHARED = 200, 20  # places, and rows with both targets that have own lengths
LEAST = 5  # rows of which some may be far
# Corrections are a small part of what a target varies by, a simulation carries over by about one,
# and experiments scatter by some percent or tens of them.
PRIOR = ShrinkagePrior(
    noise=0.2,
    noise_log_sd=0.8,
    linkage_sd=0.25,
    varying=0.1,
    correction=0.05,
    correction_log_sd=1.0,
)


@threadpool_limits.wrap(1, user_api="blas")
def fit(
    table: Table,
    *,
    transforms: Mapping[str, str] | None = None,
    quantities: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: ShrinkagePrior = PRIOR,
    draws: int = 150,
    chains: int = 4,
    seed: int | None = None,
    progress: bool = False,
) -> JointPosterior:
    r"""Fit a table by the automatic default.

    Each target is a sum of what the cheaper ones carry over, with a linkage that may vary linearly
    with x, and of a function of x: linear terms and a smooth or rough process over all descriptors.
    The first target may have a function of each descriptor too, or products of pairs instead of the
    process (`claude_pymc.joint.structures`; where no process has lengths, simpler ones). The
    primary target's noise is normal or, where each of its rows has the cheaper values, perhaps
    Student-t. All combinations are compared by their evidence, equal odds before, and the posterior
    is averaged over them.

    Lengths of the processes over all descriptors are found before, from the values of the first
    target and from what others add to it (`claude_pymc.joint.lengths`); everything else is learned.
    A smooth process is squared-exponential, a rough one Matern 5/2.

    Parameters
    ----------
    table : Table
        Rows without any value are candidates: they count for the ranges of the descriptors.
    transforms, quantities, bounds
        As in :meth:`Design.from_table`.
    prior : ShrinkagePrior
        By default narrower than that of a specification: corrections are expected to be small
        beside what a target varies by (median 5 %, log sd 1), linkages within 0.25 of 1.
    draws, chains : int
        Independent draws are dealt out to ``chains``.
    seed : int, optional
    progress : bool
        Show the stage of what takes longer than a second.

    Returns
    -------
    JointPosterior
        Its ``ranking`` lists the structures with evidence and probability.

    Raises
    ------
    TableError
        If it is given something else than a table.
    DesignError
        If transforms are not a mapping, or as :meth:`Design.from_table` raises it.
    SamplingError
        If no draws are asked for.

    Warns
    -----
    PosteriorWarning
        If the draws failed a check.
    Notice
        Of what the table has and this fit does not use: known errors, sources.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 12)[:, None]
    >>> sim = np.sin(4.0 * x[:, 0])
    >>> rows = Table(["x"], ["sim", "exp"], x, np.column_stack([sim, sim + 0.5]))
    >>> post = fit(rows, seed=0)
    >>> bool(abs(post.predict([[0.52]], seed=0).mean().sel(target="exp") - 1.37) < 0.1)
    True
    """
    _refuse(table, transforms, draws, chains)
    refuse_seed(seed)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    scaling: dict[str, Any] = {"transforms": transforms, "quantities": quantities, "bounds": bounds}
    rows = table.rows(np.isfinite(table.y).any(axis=1))
    several = len(numbers_of(table)) > 1
    inner = HSGP(order=ORDER, boundary=BOUNDARY, lengths="each", products=several)
    with shown("fit", progress=progress) as stage:
        if linked(table.y):
            plain = Design.from_table(table, inner, **scaling)
            stage("lengths")
            basis = landmarks_for(table, plain, inner, np.random.default_rng([seed, 3]))
            every = {target: ["all"] for target in table.targets}
            design = Design.from_table(table, basis, every, **scaling)
            stage("structures")
            spec, modes = structured(design, prior, rows)
        else:
            design = Design.from_table(table, inner, "auto", **scaling)
            spec, modes = JointGaussian(design, prior), None
        stats = PatternStats.from_table(rows, spec.design, rows=modes is not None)
        notice_unmeasured(stats)
        tree, _ = draw_averaged(
            spec, stats, draws=draws, chains=chains, seed=seed, stage=stage, modes=modes
        )
    failed = [str(check) for check in convergence(tree) if not check.passed]
    if failed:
        warnings.warn("\n".join(failed), PosteriorWarning, stacklevel=2)
    return JointPosterior(tree, spec)


def _refuse(table: Any, transforms: Any, draws: int, chains: int) -> None:
    """Refuse what is no table or no number of draws; say what is not used."""
    if not isinstance(table, Table):
        raise TableError(
            "a table",
            type(table).__name__,
            "a data frame does not say which columns are descriptors and which targets",
            "make one: Table.from_frame(frame, descriptors, targets)",
        )
    if transforms is not None and not isinstance(transforms, Mapping):
        raise DesignError(
            "a mapping of targets to transforms",
            f"{transforms!r}",
            "one transform for all targets",
            f"name them: transforms={dict.fromkeys(map(str, table.targets), 'log')}",
        )
    if draws < 1 or chains < 1:
        raise SamplingError(
            "at least one draw and one chain",
            f"draws={draws}, chains={chains}",
            "a zero",
            "leave them out",
        )
    known = table.sigma is not None and bool(np.isfinite(table.sigma).any())
    used = {"known errors (sigma)": known, "sources": any(table.sources or ())}
    for what in (name for name, has in used.items() if has):
        warnings.warn(
            f"the automatic default does not use {what}; a specification does: "
            "JointGaussian(design, errors=True, sources=[...])",
            Notice,
            stacklevel=4,
        )


def numbers_of(table: Table) -> list[str]:
    """Names of the descriptors that are numbers."""
    return [name for name in table.descriptors if not isinstance(name, Category)]


def linked(y: np.ndarray) -> bool:
    """Say whether rows (row, target) show what targets add to the cheaper ones.

    They do where each row of a target has them, or at least half of the rows of a pair's second
    target. Else all targets are fitted together, with a linkage that does not vary.
    """
    present = np.isfinite(y)
    lacks = [present[:, j] & ~present[:, :j].all(axis=1) for j in range(1, y.shape[1])]
    if not any(lacking.any() for lacking in lacks):
        return True
    return y.shape[1] == 2 and bool(lacks[0].sum() <= 0.5 * present[:, 1].sum())


def structured(
    design: Design, prior: ShrinkagePrior, rows: Table
) -> tuple[JointGaussian, list[list[Mode]]]:
    """Compare the structures of each target; a specification with the terms that these need."""
    varying = ("linear",) if len(design.targets) > 1 else ()
    spec = JointGaussian(design, prior, varying=varying)
    explored = [Explored(given) for given in offered(spec, rows)]
    jobs = [(one, part) for one in reversed(explored) for part in one.parts]
    with ThreadPoolExecutor(THREADS) as pool:  # the densities let go of the interpreter
        list(pool.map(lambda job: job[1](job[0].score, job[0].glance), jobs))
    modes = [list(near_best(one.found)) for one in explored]
    small = reduced(spec, modes)
    again = zip(modes, offered(small, rows), strict=True)
    return small, [[rebuilt(mode, given) for mode in each] for each, given in again]


def landmarks_for(
    table: Table, design: Design, inner: HSGP, rng: np.random.Generator
) -> HSGP | Landmarks:
    """Landmarks at the rows, and lengths of the first target and of what others add to it."""
    u, y = scaled(table, design), design.to_model(table.y)
    jobs = []
    for j, target in enumerate(design.targets):
        have = np.isfinite(y[:, max(j - 1, 0) : j + 1]).all(axis=1)
        if u.shape[1] and have.sum() >= (LEAST_SHARED if j else 2):
            values = y[have, j] - (y[have, j - 1] if j else 0.0)
            jobs += [
                (target, kind, u[have], values, own)
                for kind, own in zip(KINDS, rng.spawn(len(KINDS)), strict=True)
            ]
    with ThreadPoolExecutor(THREADS) as pool:  # matrices let go of the interpreter
        lengths = list(pool.map(lambda job: lengths_of(job[2], job[3], job[4], job[1]), jobs))
    kernels = [
        (f"{target}, {kind}", found, kind)
        for (target, kind, *_), found in zip(jobs, lengths, strict=True)
    ]
    if not kernels:
        return inner
    places = np.unique(u, axis=0)
    if len(places) > MOST_LANDMARKS:
        places = spread_out(places, MOST_LANDMARKS, rng)
    return Landmarks(
        basis=inner,
        landmarks=tuple(tuple(map(float, place)) for place in places),
        kernels=tuple(kernels),
    )


def scaled(table: Table, design: Design) -> np.ndarray:
    """Descriptors that are numbers, with their bounds at -1 and 1."""
    _, x = numbers_first(table.descriptors, table.x)
    low, high = np.array(design.bounds).reshape(-1, 2).T
    return np.asarray(-1.0 + 2.0 * (x[:, : len(low)] - low) / (high - low))


def spread_out(places: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of clusters of places."""
    from scipy.cluster.vq import kmeans2

    return np.asarray(kmeans2(places, number, minit="++", rng=rng, missing="warn")[0])


def offered(spec: JointGaussian, table: Table) -> list[Given]:
    """Offer each target what it may depend on, given the cheaper ones in its rows."""
    design, y = spec.design, table.y
    _, x = numbers_first(table.descriptors, table.x)
    phi, values = design.phi(x), design.to_model(y)
    primary = np.isfinite(y[:, -1])
    nested = bool(np.isfinite(y[primary]).all())
    found = []
    for j in range(len(design.targets)):
        have = np.isfinite(y[:, : j + 1]).all(axis=1)
        n = int(have.sum())
        rows = KeptRows(phi[have], values[have][:, : j + 1], np.full(n, np.nan), np.full(n, ""))
        last = j == len(design.targets) - 1
        noises = ("normal", "student") if last and nested and n >= LEAST else ("normal",)
        found.append(Given(spec, rows, j, noises=noises))
    return found


def rebuilt(mode: Mode, given: Given) -> Mode:
    """Return the same mode for another design that has its terms."""
    (choice,) = mode.choice.each
    spec, density, _ = given.build(choice)
    assert isinstance(density, PrimaryPosterior) and isinstance(mode.density, PrimaryPosterior)
    return replace(mode, spec=spec, density=density.warmed(mode.density))


def reduced(spec: JointGaussian, modes: list[list[Mode]]) -> JointGaussian:
    """Specification without the terms that no set has."""
    design = spec.design
    text = design.basis if isinstance(design.basis, Indicated) else None
    basis = design.basis if text is None else text.basis
    if not isinstance(basis, Landmarks):
        return spec
    assert isinstance(basis.basis, HSGP)
    numbers = design.descriptors[: len(design.descriptors) - len(design.categories)]
    sets = [{t for mode in found for t in mode.spec.design.corrections[-1]} for found in modes]
    used = set().union(*sets, spec.varying, {"1"})
    keep = [term in used for term in basis.terms(numbers)]
    groups = set(itertools.compress(basis.groups(numbers), keep))
    inner = itertools.compress(basis.basis.orders(len(numbers)), keep)
    less: Basis = replace(basis.basis, exponents=tuple(inner))
    kernels = tuple(kernel for kernel in basis.kernels if f"{WORD} {kernel[0]}" in groups)
    if kernels:
        less = replace(basis, basis=less, kernels=kernels)
    if text is not None:
        less = replace(text, basis=less)
    terms = less.terms(design.descriptors)
    corrections = tuple(tuple(t for t in terms if t in s) for s in sets)
    noise = "student" if any(m.choice.each[0].noise == "student" for m in modes[-1]) else "normal"
    small = replace(design, basis=less, corrections=corrections, chosen=design.targets)
    return JointGaussian(small, spec.prior, varying=spec.varying, noise=noise)
