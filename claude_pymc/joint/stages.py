r"""Evidence of sets of terms by Laplace's approximation, in milliseconds each.

    log p(y) ~ log p(theta*) + (D / 2) log 2 pi - log|-d2 log p(theta*)| / 2

with theta what remains when coefficients are integrated out. It finds the sets that matter, and the
distributions from which `claude_pymc.joint.averaged` draws; the draws correct it.

`Given` is one target given the cheaper ones (`claude_pymc.joint.primary`), in the rows that have
all of them. `Together` is all targets at once (`claude_pymc.joint.collapsed`), with a choice for
each: where rows do not share targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy.special import logsumexp

from claude_pymc.joint.ascent import ascend
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.importance import Density
from claude_pymc.joint.inputs import arrays_of
from claude_pymc.joint.mixture import Mixture, Split
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.sets import Choice, Menu, Score
from claude_pymc.joint.several import Choices, Several, narrowed
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.gram import triangle
from claude_pymc.tables.kept import KeptRows
from claude_pymc.tables.statistics import PatternStats

SPAN = 0.02  # of differences of the gradient
FLAT = 0.02  # slope at which an ascent has arrived; the density is flat to its square there
SKEW, REPEATS = (0.75, 1.6), 4  # least and largest scale of one side; estimates of a density
NOISES = (0.01, 0.5)  # further starts, where no mode is near


class Offered(Protocol):
    """What may be chosen, and what is sampled for each choice."""

    @property
    def menu(self) -> Menu | Several:
        """What may be chosen."""
        ...

    def build(self, choice: Any) -> tuple[JointGaussian, Density, tuple[str, ...]]:
        """Specification of a choice, its density, and the names of its coordinates."""
        ...


@dataclass(frozen=True, eq=False)
class Mode:
    """The density of a choice near its mode.

    Parameters
    ----------
    choice : Choice or Choices
        Of one target, or of all.
    spec : JointGaussian
    density : Density
    names : tuple of str
        Of the coordinates.
    theta : array (dim)
    root : array (dim, dim)
        Lower root of the inverse of minus the Hessian.
    log_prior, log_evidence : float
        The latter by Laplace.
    """

    choice: Choice | Choices
    spec: JointGaussian
    density: Density
    names: tuple[str, ...]
    theta: np.ndarray
    root: np.ndarray
    log_prior: float
    log_evidence: float

    @property
    def score(self) -> float:
        """Log of prior probability times evidence."""
        return self.log_prior + self.log_evidence

    @property
    def mixture(self) -> Mixture:
        """Distribution that can be fitted."""
        return Mixture(np.ones(1), self.theta[None], self.root[None])

    def split(self, rng: np.random.Generator) -> Split:
        """Distribution to draw from, as skew along its axes as the density at two sds.

        A normal density falls by z^2 / 2 over z sds.
        """
        values, vectors = np.linalg.eigh(self.root @ self.root.T)
        axes = vectors * np.sqrt(values)
        points = np.concatenate([[self.theta], self.theta - 2 * axes.T, self.theta + 2 * axes.T])
        repeats = 1 if self.density.exact else REPEATS
        found = self.density.draw_entries(np.repeat(points, repeats, axis=0), rng)[0]
        top, *beside = logsumexp(found.reshape(-1, repeats), axis=1)
        fall = np.where(np.isfinite(beside), top - np.array(beside), 2.0)
        scale = np.clip(np.sqrt(2.0 / np.maximum(fall, 0.1)), *SKEW).reshape(2, -1)
        return Split(self.theta, axes, scale)


class Explored:
    """Modes of all choices that were looked at."""

    def __init__(self, offered: Offered) -> None:
        self.offered = offered
        self.modes: dict[Choice | Choices, Mode | None] = {}

    @property
    def parts(self) -> list[Callable[[Score, Score], None]]:
        """Parts of a search that do not need each other."""
        menu = self.offered.menu
        return menu.parts if isinstance(menu, Menu) else [menu.search]

    def run(self) -> list[Mode]:
        """Search, and return the modes."""
        self.offered.menu.search(self.score, self.glance)
        return self.found

    @property
    def found(self) -> list[Mode]:
        """Modes of what was looked at, as far as there are any, best first."""
        found = [mode for mode in self.modes.values() if mode is not None]
        return sorted(found, key=lambda mode: -mode.score)

    def score(self, choice: Any, near: Any) -> float:
        """Log of prior probability times evidence."""
        if choice not in self.modes:
            self.modes[choice] = self._climb(choice, near)
        mode = self.modes[choice]
        return -math.inf if mode is None else mode.score

    def glance(self, choice: Any, near: Any) -> float:
        """Guess the score from the density, and the spread, where the mode of another choice is."""
        if choice in self.modes:
            return self.score(choice, None)
        _, density, names = self.offered.build(choice)
        start, spread = self._start(density, names, near)
        value = float(density.batch(start[None])[0]) + self.offered.menu.log_prior(choice)
        if spread is not None:
            value += 0.5 * float(np.linalg.slogdet(2 * math.pi * spread)[1])
        return value if math.isfinite(value) else -math.inf

    def _start(
        self, density: Density, names: tuple[str, ...], near: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Where to climb from, and what is known of the curvature there."""
        centre = _centre(density)
        mode = self.modes.get(near) if near is not None else None
        if mode is None:
            return centre, None
        place = {name: i for i, name in enumerate(mode.names)}
        shared = [i for i, name in enumerate(names) if name in place]
        theirs = [place[names[i]] for i in shared]
        start, inverse = centre.copy(), _spread(density)
        start[shared] = mode.theta[theirs]
        known = mode.root @ mode.root.T
        inverse[np.ix_(shared, shared)] = known[np.ix_(theirs, theirs)]
        return start, inverse

    def _climb(self, choice: Any, near: Any) -> Mode | None:
        spec, density, names = self.offered.build(choice)
        start, inverse = self._start(density, names, near)
        starts = [start]
        if inverse is None:
            noise = np.array([name.startswith("noise") for name in names])
            starts += [np.where(noise, math.log(n), start) for n in NOISES]
        best = None
        for begin in starts:
            found = ascend(density.evaluate, begin, lambda theta: False, inverse, FLAT)
            if found is not None and (best is None or found[1] > best[1]):
                best = found
        if best is None:
            return None
        theta, value = best
        root = curvature(density, theta)
        value += 0.5 * density.dims * math.log(2 * math.pi)
        value += float(np.log(np.diag(root)).sum())
        prior = self.offered.menu.log_prior(choice)
        return Mode(choice, spec, density, names, theta, root, prior, value)


class Given:
    """Target ``j`` of a specification given the cheaper ones.

    Parameters
    ----------
    spec : JointGaussian
    rows : KeptRows
        That have the first j + 1 targets.
    j : int
    more : float
        Rows, less those of ``rows`` that stand for them.
    noises : tuple of str
        Noise models to choose from, beside that of the specification.
    """

    def __init__(
        self,
        spec: JointGaussian,
        rows: KeptRows,
        j: int,
        more: float = 0.0,
        noises: tuple[str, ...] = ("normal",),
    ) -> None:
        last = len(spec.design.targets) - 1
        self.spec, self.j, self.last = spec, j, j == last
        varying = self.last and bool(spec.varying)
        self.menu = Menu.of(spec.design, j, varying=varying, noises=noises)
        self.rows, self.more = rows, more

    def build(self, choice: Choice) -> tuple[JointGaussian, Density, tuple[str, ...]]:
        """Specification of this target and its cheaper ones under a choice, and its density."""
        design, j = self.spec.design, self.j
        chosen = set(self.menu.terms(choice))
        own = tuple(term for term in design.terms if term in chosen)
        varying = self.spec.varying if choice.varying else ()
        names = ("targets", "location", "scale", "transforms", "quantities")
        fewer: dict[str, Any] = {name: getattr(design, name)[: j + 1] for name in names}
        sets = ((),) * j + (own,)
        less = replace(design, corrections=sets, units=(), chosen=(), **fewer)
        rest: dict[str, Any] = {"prior": self.spec.prior, "varying": varying}
        if self.last:
            rest |= {name: getattr(self.spec, name) for name in ("noise", "errors", "sources")}
            if len(self.menu.noises) > 1:
                rest["noise"] = choice.noise
        spec = JointGaussian(less, **rest)
        cheap = Cheap.nothing(len(own), len(self.rows), j)
        density = PrimaryPosterior(spec, self.rows, cheap, self.more)
        noises = spec.sources[1:] + ("freedom",) * (spec.noise == "student")
        return spec, density, ("noise", *noises, *density.scales.groups, *density.scales.lengths)


class Together:
    """All targets of a specification at once.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
    """

    def __init__(self, spec: JointGaussian, stats: PatternStats) -> None:
        self.spec, self.stats = spec, stats
        targets = range(len(spec.design.targets))
        self.menu = Several(tuple(Menu.of(spec.design, j, varying=False) for j in targets))

    def build(self, choice: Choices) -> tuple[JointGaussian, Density, tuple[str, ...]]:
        """Specification of a choice, and its density."""
        spec = narrowed(self.spec, self.menu, choice)
        density = CollapsedPosterior(spec, **arrays_of(spec, self.stats))
        links = tuple(f"{j} <- {k}" for j, k, _ in spec.columns.links)
        noises = tuple(f"noise {name}" for name in spec.design.targets)
        assert density.scales is not None
        return spec, density, (*links, *noises, *density.scales.groups, *density.scales.lengths)


def rows_of_target(spec: JointGaussian, stats: PatternStats, j: int) -> tuple[KeptRows, float]:
    """Rows that have the first j + 1 targets, and how many more they stand for.

    Where statistics are enough, the rows of the triangular root R of the Gram matrix, R'R = sum of
    z z', give the same sums of squares as the rows themselves.
    """
    if spec.needs == "rows" and j == len(spec.design.targets) - 1:
        assert stats.kept is not None
        kept = stats.kept
        have = np.isfinite(kept.y).all(axis=1)
        return KeptRows(**{name: values[have] for name, values in kept.arrays().items()}), 0.0
    p = len(spec.design.terms)
    having = stats.present[:, : j + 1].all(axis=1)
    roots = stats.roots[having][:, :, : p + j + 1]
    width = p + j + 1
    root = triangle(roots.reshape(-1, width)) if len(roots) else np.zeros((0, width))
    n = len(root)
    rows = KeptRows(root[:, :p], root[:, p:], np.full(n, np.nan), np.full(n, ""))
    return rows, float(stats.counts[having].sum() - n)


def curvature(density: Density, mode: np.ndarray) -> np.ndarray:
    """Lower root of the inverse of minus the Hessian; at least that of the prior's sd counts."""
    n = len(mode)
    hessian = np.empty((n, n))
    for i, step in enumerate(SPAN * np.eye(n)):
        ahead, behind = density.evaluate(mode + step)[1], density.evaluate(mode - step)[1]
        hessian[i] = (behind - ahead) / (2 * SPAN)
    if not np.isfinite(hessian).all():
        return np.eye(n)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    least = (
        1.0
        if not isinstance(density.wide, Mixture)
        else (1.0 / np.square(np.diag(density.wide.roots[0])).max())
    )
    return np.linalg.cholesky((vectors / np.maximum(values, least)) @ vectors.T)


def _spread(density: Density) -> np.ndarray:
    """Covariance of the prior."""
    wide = density.wide
    assert isinstance(wide, Mixture)
    found: np.ndarray = wide.roots[0] @ wide.roots[0].T
    return found


def _centre(density: Density) -> np.ndarray:
    """Centre of the prior."""
    wide = density.wide
    assert isinstance(wide, Mixture)
    return wide.means[0].copy()
