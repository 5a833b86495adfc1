"""Sets of terms of several targets at once, where rows do not share targets.

The value that a cheaper target would have had in a row of the primary one is known through its
terms alone. So the sets of all targets are looked for together: target by target while the score
grows, until it grows for none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from claude_pymc.joint.sets import FEW, Choice, Menu, Score, around, climb
from claude_pymc.joint.spec import JointGaussian


@dataclass(frozen=True)
class Choices:
    """What each target depends on, given the cheaper ones.

    Parameters
    ----------
    each : tuple of Choice
        In the order of the targets.
    """

    each: tuple[Choice, ...]

    def __str__(self) -> str:
        """Return the names, target by target."""
        return " | ".join(map(str, self.each))

    def but(self, j: int, choice: Choice) -> Choices:
        """Return these with another choice for target j."""
        return Choices((*self.each[:j], choice, *self.each[j + 1 :]))


@dataclass(frozen=True)
class Several:
    """What may be chosen for each of several targets.

    Parameters
    ----------
    menus : tuple of Menu
        In the order of the targets.
    """

    menus: tuple[Menu, ...]

    def log_prior(self, choice: Choices) -> float:
        """Log prior probability: targets are chosen for independently."""
        return sum(m.log_prior(c) for m, c in zip(self.menus, choice.each, strict=True))

    def draw(self, rng: np.random.Generator) -> Choices:
        """Draw a choice from the prior."""
        return Choices(tuple(menu.draw(rng) for menu in self.menus))

    def search(self, score: Score, glance: Score) -> None:
        """Look at choices until the best are among them, as `Menu.search` does."""
        if math.prod(menu.number for menu in self.menus) <= 2**FEW:
            for each in itertools.product(*(menu.every() for menu in self.menus)):
                score(Choices(each), self._parent(each))
            return
        best = Choices(tuple(menu.first for menu in self.menus))
        for j, menu in enumerate(self.menus):
            best = self._thinned(best, j, menu, score, glance)
        value, before = score(best, None), -math.inf
        while value > before + 1e-9:
            before = value
            for exchange in (False, True):
                for j in range(len(self.menus)):
                    best = climb(best, _Moves(self.menus[j], j, exchange), score, glance)
            value = score(best, None)
        for j, menu in enumerate(self.menus):
            around(best, _Moves(menu, j, False), score, glance)

    def _parent(self, each: tuple[Choice, ...]) -> Choices | None:
        """Return choices that come earlier among all of them, and are near."""
        for j in reversed(range(len(each))):
            parent = self.menus[j].parent(each[j])
            if parent is not None:
                return Choices(each).but(j, parent)
        return None

    def _thinned(self, best: Choices, j: int, menu: Menu, score: Score, glance: Score) -> Choices:
        """Start with what is left of all terms of target j, if that is better."""

        def of(choice: Choice | None) -> Choices | None:
            return None if choice is None else best.but(j, choice)

        found = menu.thinned(
            best.each[j],
            lambda choice, near: score(of(choice), of(near)),
            lambda choice, near: glance(of(choice), of(near)),
        )
        return best.but(j, found)


@dataclass(frozen=True)
class _Moves:
    """Moves of one target."""

    menu: Menu
    j: int
    exchange: bool

    def __call__(self, choice: Choices) -> Iterator[Choices]:
        moves = self.menu.exchanges if self.exchange else self.menu.moves
        return (choice.but(self.j, other) for other in moves(choice.each[self.j]))


def narrowed(spec: JointGaussian, menu: Several, choice: Choices) -> JointGaussian:
    """Specification with the sets of a choice, nothing left to choose."""
    design, sets = spec.design, []
    for one, part in zip(menu.menus, choice.each, strict=True):
        chosen = set(one.terms(part))
        sets.append(tuple(term for term in design.terms if term in chosen))
    varying = spec.varying if choice.each[-1].varying else ()
    return replace(
        spec, design=replace(design, corrections=tuple(sets), chosen=()), varying=varying
    )
