r"""Which sets of terms a target may depend on, and their prior odds.

Terms of polynomials, sines and the like are chosen one by one. The constant, an offset, is in a set
or not with equal odds; k out of the K other terms have the prior probability

    P(set) = 2^-k / [(2 - 2^-K) binom(K, k)],

half as much for each further term, dealt out to the sets of that size: the more terms are on
offer, the more a further one must explain. Functions of a smooth basis
(`claude_pymc.tables.smooth`) are chosen by structure instead, since none of them means anything
alone:

    constant | + linear | + products | + kernels | + products and kernels | + kernels and
    interactions

each with the same probability, and where a correction may have a kernel over all descriptors only
those with one (`claude_pymc.joint.structures`); k interactions have the share 2^-k of the last one,
dealt out to the sets of that size. A linkage that may vary does so with probability 1/2.

Source: Scott, Berger, Ann. Stat. 38, 2587 (2010).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from claude_pymc.joint.structures import smooth_of, structures
from claude_pymc.tables.design import Design
from claude_pymc.tables.smooth import HSGP

FEW = 8  # terms of which all sets are tried
CLOSE = 8  # neighbours of a set that are looked at closely
AROUND, WITHIN = 40, 5.0  # those of the last one, and nats by which they may be behind
CONSTANT = "1"
LIKELY, MOST = 3, 4  # interactions that are looked at closely for each place, and places


@dataclass(frozen=True)
class Choice:
    """What one target depends on, given the cheaper ones.

    Parameters
    ----------
    units : tuple of str
        Names of terms, or of groups of terms, in the order of the basis.
    varying : bool
        The linkage varies.
    noise : "normal" or "student"
    """

    units: tuple[str, ...]
    varying: bool = False
    noise: str = "normal"

    def __str__(self) -> str:
        """Return the names; functions of single descriptors as one."""
        alone = [name for name in self.units if re.fullmatch("(gp|spline) [^ ]+", name)]
        names = [name for name in self.units if name not in alone]
        if alone:
            names.append(f"functions of {len(alone)} descriptors")
        more = "; c(x)" * self.varying + "; Student-t" * (self.noise == "student")
        return (", ".join(names) or "nothing") + more

    @property
    def each(self) -> tuple[Choice, ...]:
        """Choices by target: this one."""
        return (self,)


Score = Callable[[Any, Any], float]  # of a choice, given one that is near or None


@dataclass(frozen=True)
class Menu:
    """What may be chosen for a target.

    Parameters
    ----------
    units : dict of str to tuple of str
        Terms that are chosen together, by name.
    listed : tuple of Choice
        Structures; empty where terms are chosen one by one.
    interactions : tuple of str
        Units of which one may join the kernels.
    varying : bool
        The linkage may vary.
    noises : tuple of str
        "normal", "student": noise models of the structures; Student-t noise goes without functions
        of single descriptors, whose many scales it would make slow.
    """

    units: dict[str, tuple[str, ...]]
    listed: tuple[Choice, ...] = ()
    interactions: tuple[str, ...] = ()
    varying: bool = False
    noises: tuple[str, ...] = ("normal",)

    @classmethod
    def of(
        cls, design: Design, j: int, *, varying: bool, noises: tuple[str, ...] = ("normal",)
    ) -> Menu:
        """Return what target j of a design may depend on; its correction set has all of it.

        A target that is not among those chosen for keeps its set.
        """
        groups = design.basis.groups(design.descriptors)
        offered = [
            (term, group)
            for term, group in zip(design.terms, groups, strict=True)
            if term in design.corrections[j]
        ]
        fixed = bool(design.chosen) and design.targets[j] not in design.chosen
        units: dict[str, tuple[str, ...]] = {}
        if fixed or smooth_of(design) is None:
            units |= {term: (term,) for term, _ in offered}
            single = (Choice(tuple(units), varying),) if fixed else ()
            return cls(units, single, varying=varying and not fixed)
        for term, group in offered:
            units[group] = (*units.get(group, ()), term)
        listed, pairs = structures(design, units, j)
        return cls(units, tuple(map(Choice, listed)), pairs, varying and j > 0, noises)

    @property
    def odds(self) -> list[str]:
        """Prior odds in words."""
        found = []
        if self.listed:
            more = " | one of these and k interactions, 2^-k" if self.interactions else ""
            found.append("equal for " + " | ".join(map(str, self.listed)) + more)
        else:
            if CONSTANT in self.units:
                found.append("the constant is in a set or not, 1:1")
            number = len(self.units) - (CONSTANT in self.units)
            found.append(f"k of {number} terms: 2^-k, dealt out to the sets of that size")
        return [*found, *["c(x) varies or not, 1:1"] * self.varying]

    def log_prior(self, choice: Choice) -> float:
        """Log prior probability of a choice."""
        vary = -math.log(2.0) if self.varying else 0.0
        if not self.listed:
            total, size = len(self.units), len(choice.units)
            if CONSTANT in self.units:
                vary -= math.log(2.0)
                total, size = total - 1, size - (CONSTANT in choice.units)
            return vary - math.log((2.0**size) * (2.0 - 0.5**total) * math.comb(total, size))
        share = -math.log(len(self.listed) + bool(self.interactions))
        number = sum(name in self.interactions for name in choice.units)
        if number:
            share -= math.log(2**number * math.comb(len(self.interactions), number))
        return vary + share - math.log(len(self.noises))

    def terms(self, choice: Choice) -> tuple[str, ...]:
        """Terms of a choice."""
        return tuple(term for name in choice.units for term in self.units[name])

    def ordered(self, names: set[str], *, varying: bool) -> Choice:
        """Choice of units by name."""
        return Choice(tuple(name for name in self.units if name in names), varying)

    @property
    def number(self) -> int:
        """Number of choices, at least 2**9 if all are too many to try."""
        if self.listed:
            return len(self.listed) * (1 if not self.interactions else 2**FEW + 1)
        return 2 ** (min(len(self.units), FEW + 1) + self.varying)

    def every(self) -> Iterator[Choice]:
        """Yield all choices, where they are few."""
        for varying in self._linkages():
            for choice in self.listed:
                yield replace(choice, varying=varying or choice.varying)
            for size in range(0 if self.listed else len(self.units) + 1):
                for names in itertools.combinations(self.units, size):
                    yield Choice(names, varying)

    def search(self, score: Score, glance: Score) -> None:
        """Look at choices until the best are among them; ``score`` remembers what it has seen.

        ``score`` is the log evidence plus log prior of a choice, given one whose mode is near;
        ``glance`` is a cheaper stand-in.
        """
        if self._single:
            score(self.listed[0], None)
        elif self.listed:
            for part in self.parts:
                part(score, glance)
        elif len(self.units) <= FEW:
            for choice in self.every():
                score(choice, self.parent(choice))
        else:
            best = self.thinned(self.first, score, glance)
            best = climb(best, self.moves, score, glance)
            best = climb(best, self.exchanges, score, glance)
            around(climb(best, self.moves, score, glance), self.moves, score, glance)

    @property
    def parts(self) -> list[Callable[[Score, Score], None]]:
        """Parts of a search that do not need each other, those that take longest first."""
        if self._single or not self.listed:
            return [self.search]
        plain: list[Callable[[Score, Score], None]] = [
            partial(self._plain, varying=varying, noise=noise)
            for noise in reversed(self.noises)
            for varying in self._linkages()
        ]
        if not self.interactions:
            return plain
        return plain + [partial(self._joined, varying=varying) for varying in self._linkages()]

    @property
    def first(self) -> Choice:
        """Where a search begins."""
        return self.listed[0] if self.listed else Choice(())

    def moves(self, choice: Choice) -> Iterator[Choice]:
        """Yield choices that differ by a term, a structure, or a linkage that varies."""
        have = set(choice.units)
        for other in self.listed:
            yield replace(other, varying=choice.varying or other.varying)
        kernels = bool(self.interactions) and set(self._kernels().units) <= have
        for name in self.interactions if kernels else () if self.listed else self.units:
            yield self.ordered(have ^ {name}, varying=choice.varying)
        if self.varying:
            yield replace(choice, varying=not choice.varying)

    def exchanges(self, choice: Choice) -> Iterator[Choice]:
        """Yield choices with one term instead of another."""
        have = set(choice.units)
        for old in () if self.listed else choice.units:
            for new in self.units:
                if new not in have:
                    yield self.ordered(have - {old} | {new}, varying=choice.varying)

    def parent(self, choice: Choice) -> Choice | None:
        """Return a choice that comes earlier among all of them, and is near."""
        if self.listed or not choice.units:
            return None
        return replace(choice, units=choice.units[:-1])

    def thinned(self, choice: Choice, score: Score, glance: Score) -> Choice:
        """Return the better of a choice and what is left of all terms, without the least needed.

        Many weak terms may together be worth what none of them is alone, so that a climb from few
        terms would end early.
        """
        if self.listed:
            return choice
        best = replace(choice, units=tuple(self.units))
        value = score(best, None)
        while True:
            found = climb(best, self.fewer(best, glance), score, glance, steps=1)
            if found == best:
                break
            value, best = score(found, best), found
        return best if value > score(choice, None) else choice

    def fewer(self, choice: Choice, glance: Score) -> Callable[[Choice], Iterator[Choice]]:
        """Return sets without the least needed terms of a choice, one or more of them."""
        have = set(choice.units)
        alone = {
            name: glance(self.ordered(have - {name}, varying=choice.varying), choice)
            for name in choice.units
        }
        order = sorted(alone, key=lambda name: -alone[name])
        sets = [self.ordered(set(order[m:]), varying=choice.varying) for m in range(1, len(order))]
        return lambda _: iter(sets)

    def draw(self, rng: np.random.Generator) -> Choice:
        """Draw a choice from the prior."""
        varying = self.varying and bool(rng.integers(2))
        if not self.listed:
            others = [name for name in self.units if name != CONSTANT]
            share = 0.5 ** np.arange(len(others) + 1)
            size = rng.choice(len(share), p=share / share.sum())
            names = set(rng.permutation(others)[:size].tolist())
            if CONSTANT in self.units and rng.integers(2):
                names.add(CONSTANT)
            return self.ordered(names, varying=varying)
        place = int(rng.integers(len(self.listed) + bool(self.interactions)))
        if place < len(self.listed):
            return replace(self.listed[place], varying=varying or self.listed[place].varying)
        sizes = np.arange(1, len(self.interactions) + 1)
        share = 0.5**sizes
        further = rng.permutation(self.interactions)[: rng.choice(sizes, p=share / share.sum())]
        return self.ordered({*self._kernels().units, *further.tolist()}, varying=varying)

    @property
    def _single(self) -> bool:
        """There is nothing to choose."""
        ways = len(self.listed) * len(self._linkages()) * len(self.noises)
        return ways == 1 and not self.interactions

    def _linkages(self) -> tuple[bool, ...]:
        return (False, True) if self.varying else (False,)

    def _plain(self, score: Score, glance: Score, *, varying: bool, noise: str) -> None:
        """Score the structures without interactions."""
        near = None
        for choice in self.listed:
            alone = any(name.split(" ")[0] == HSGP.word for name in choice.units)
            if noise == "normal" or not alone:
                near, last = replace(choice, varying=varying, noise=noise), near
                score(near, last)

    def _joined(self, score: Score, glance: Score, *, varying: bool) -> None:
        """Add interactions to the kernels, one by one, while the score grows."""
        base, value = replace(self._kernels(), varying=varying), -math.inf
        for _ in range(MOST):
            found = self._further(base, score, glance)
            if not found or found[0] <= value:
                break
            value, base = found

    def _further(self, base: Choice, score: Score, glance: Score) -> tuple[float, Choice] | None:
        """Return the best choice with one more interaction than ``base``, and its score."""
        offered = [
            self.ordered({*base.units, name}, varying=base.varying)
            for name in self.interactions
            if name not in base.units
        ]
        offered.sort(key=lambda choice: -glance(choice, base))
        scored = [(score(choice, base), choice) for choice in offered[:LIKELY]]
        return max(scored, key=lambda pair: pair[0], default=None)

    def _kernels(self) -> Choice:
        """Return the structure that an interaction joins."""
        return max(self.listed, key=lambda c: len(c.units) - 2 * ("products" in c.units))


def climb(
    best: Any,
    moves: Callable[[Any], Iterator[Any]],
    score: Score,
    glance: Score,
    steps: int = 1000,
) -> Any:
    """Take the best of the moves that look best, while the score grows."""
    value = score(best, None)
    for _ in range(steps):
        scored = [(score(choice, best), choice) for choice in _closest(best, moves, glance)[:CLOSE]]
        top = max(scored, key=lambda pair: pair[0], default=(-math.inf, best))
        if top[0] <= value + 1e-9:
            return best
        value, best = top
    return best


def around(best: Any, moves: Callable[[Any], Iterator[Any]], score: Score, glance: Score) -> None:
    """Look closely at the neighbours of the best choice that are not far behind."""
    value = score(best, None)
    for choice in _closest(best, moves, glance)[:AROUND]:
        if glance(choice, best) > value - WITHIN:
            score(choice, best)


def _closest(best: Any, moves: Callable[[Any], Iterator[Any]], glance: Score) -> list[Any]:
    """Sort moves by how they look, best first."""
    return sorted(moves(best), key=lambda choice: -glance(choice, best))
