r"""One target given the cheaper ones, for many sets of terms: evidence by Laplace at the mode.

    log p(y_j | y_<j) ~ log p(theta*) + (D / 2) log 2 pi - log|-d2 log p(theta*)| / 2

with theta what remains when coefficients are integrated out (`claude_pymc.joint.primary`). It
compares sets of terms in milliseconds; what is kept is judged again by importance sampling.
Rows that lack a cheaper value are left out here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from claude_pymc.joint.ascent import ascend
from claude_pymc.joint.primary import PrimaryPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.row_arrays import Cheap
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Factored
from claude_pymc.tables.design import Design
from claude_pymc.tables.kept import KeptRows

SPAN = 1e-3  # of differences of the gradient


@dataclass(frozen=True)
class Choice:
    """What a target depends on, given the cheaper ones.

    Parameters
    ----------
    groups : tuple of str
        Groups of terms of R.
    varying : tuple of str
        Groups of terms along which the linkage varies.
    """

    groups: tuple[str, ...]
    varying: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the groups, and what varies the linkage."""
        text = ", ".join(self.groups) or "nothing"
        return f"{text}; c({', '.join(self.varying)})" if self.varying else text


class Stage:
    """Target ``j`` of a design given the cheaper ones.

    Parameters
    ----------
    design : Design
        Whose basis has all terms that may be chosen.
    rows : KeptRows
        Of all targets.
    j : int
    prior : ShrinkagePrior
    """

    def __init__(self, design: Design, rows: KeptRows, j: int, prior: ShrinkagePrior) -> None:
        keep = np.isfinite(rows.y[:, : j + 1]).all(axis=1)
        self.rows = KeptRows(
            rows.phi[keep], rows.y[keep][:, : j + 1], rows.sigma[keep], rows.source[keep]
        )
        self.design, self.j, self.prior = design, j, prior
        names = ("targets", "location", "scale", "transforms", "quantities")
        self.fewer = {name: getattr(design, name)[: j + 1] for name in names}
        self.groups = np.array(design.basis.groups(design.descriptors))
        self.orders = np.array(design.basis.orders(len(design.descriptors)))
        self.modes: dict[Choice, dict[str, float]] = {}
        self.found: dict[Choice, float] = {}

    def spec(self, choice: Choice) -> tuple[JointGaussian, np.ndarray]:
        """Specification of this target under a choice, and the terms of the basis it keeps."""
        wanted = (*choice.groups, *choice.varying, "constant")
        kept = np.flatnonzero(np.isin(self.groups, wanted))
        assert isinstance(self.design.basis, Factored)
        exponents = tuple(tuple(map(int, orders)) for orders in self.orders[kept])
        basis = replace(self.design.basis, exponents=exponents)
        terms = basis.terms(self.design.descriptors)
        own = tuple(t for t, g in zip(terms, self.groups[kept], strict=True) if g in choice.groups)
        corrections = (*((terms,) * self.j), own)
        design = replace(self.design, basis=basis, corrections=corrections, units=(), **self.fewer)
        return JointGaussian(design, self.prior, varying=choice.varying), kept

    def evidence(self, choice: Choice, near: Choice | None = None) -> float:
        """Log evidence of a choice; ``near`` is one whose mode is a good start."""
        if choice in self.found:
            return self.found[choice]
        spec, kept = self.spec(choice)
        rows = replace(self.rows, phi=np.ascontiguousarray(self.rows.phi[:, kept]))
        n_own = sum(owner == self.j for owner, _ in spec.columns.entries)
        nothing = np.zeros((1, n_own)), np.zeros((1, 0)), np.zeros((1, 0, 0))
        latent = np.full((len(rows), self.j), -1)
        density = PrimaryPosterior(spec, rows, Cheap(*nothing, latent))
        names = ["noise", *density.scales.groups, *density.scales.lengths]
        known = self.modes.get(near, {}) if near is not None else {}
        centre = density.layout.mean
        start = np.array([known.get(n, m) for n, m in zip(names, centre, strict=True)])
        best = None
        for begin in (start,) if known else (start, *self._starts(centre)):
            found = ascend(density.evaluate, begin, lambda theta: False)
            if found is not None and (best is None or found[1] > best[1]):
                best = found
        value = -math.inf
        if best is not None:
            self.modes[choice] = dict(zip(names, map(float, best[0]), strict=True))
            value = best[1] + 0.5 * density.dims * math.log(2 * math.pi)
            value -= 0.5 * _log_curvature(density, best[0])
        self.found[choice] = value
        return value

    @staticmethod
    def _starts(centre: np.ndarray) -> list[np.ndarray]:
        """Further starts: little and much noise."""
        return [np.append(math.log(noise), centre[1:]) for noise in (0.01, 0.5)]


def _log_curvature(density: PrimaryPosterior, mode: np.ndarray) -> float:
    """Log determinant of minus the Hessian; directions without a maximum count as the prior's."""
    n = len(mode)
    hessian = np.empty((n, n))
    for i, step in enumerate(SPAN * np.eye(n)):
        ahead, behind = density.evaluate(mode + step)[1], density.evaluate(mode - step)[1]
        hessian[i] = (behind - ahead) / (2 * SPAN)
    values = np.linalg.eigvalsh(0.5 * (hessian + hessian.T))
    least = 1.0 / np.square(density.layout.sd).max()
    return float(np.log(np.maximum(values, least)).sum())


def search(
    stage: Stage, start: Choice, moves: list[str], *, linear: bool, toll: float
) -> tuple[Choice, dict[Choice, float]]:
    """Add and drop groups while the evidence, less ``toll`` for each group, grows.

    ``linear`` says whether the linkage may vary with the linear terms.
    """

    def score(choice: Choice, near: Choice | None) -> float:
        return stage.evidence(choice, near) - toll * (len(choice.groups) + len(choice.varying))

    best, value = start, score(start, None)
    while True:
        options = []
        for group in moves:
            if group in best.groups:
                options.append(replace(best, groups=tuple(g for g in best.groups if g != group)))
            elif _may(group, best.groups):
                order = [*best.groups, group]
                options.append(replace(best, groups=tuple(g for g in moves if g in order)))
        if linear:
            options.append(replace(best, varying=() if best.varying else ("linear",)))
        scored = [(score(option, best), option) for option in options if option not in (best,)]
        top = max(scored, key=lambda pair: pair[0], default=(-math.inf, best))
        if top[0] <= value + 1e-6:
            return best, stage.found
        value, best = top


def _may(group: str, have: tuple[str, ...]) -> bool:
    """Say whether a group may join: an interaction needs both of its kernels."""
    words = group.split(" ")
    if words[0] != "gp" or len(words) < 3:
        return True
    return all(any(g == f"gp {name}" for g in have) for name in words[1:])
