r"""Which sets of terms a target may depend on, and their prior odds.

Terms of polynomials, sines and the like are chosen one by one. A set of k out of K has the prior
probability

    P(set) = 1 / [(K + 1) binom(K, k)],

the same for each size, dealt out to the sets of that size: the more terms are on offer, the more
a further one must explain. Functions of a smooth basis (`claude_pymc.tables.smooth`) are chosen by
structure instead, since none of them means anything alone:

    constant | + linear | + products | + kernels | + products and kernels | + kernels and
    interactions

each with the same probability; k interactions have the share 2^-k of the last one, dealt out to the
sets of that size. A linkage that may vary
does so with probability 1/2.

Source: Scott, Berger, Ann. Stat. 38, 2587 (2010).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from claude_pymc.joint.structures import smooth_of, structures
from claude_pymc.tables.design import Design
from claude_pymc.tables.smooth import HSGP

FEW = 8  # terms of which all sets are tried
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


Score = Callable[[Choice, Choice | None], float]


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
        """Return what target j of a design may depend on; its correction set has all of it."""
        groups = design.basis.groups(design.descriptors)
        offered = [
            (term, group)
            for term, group in zip(design.terms, groups, strict=True)
            if term in design.corrections[j]
        ]
        if smooth_of(design) is None:
            terms: dict[str, tuple[str, ...]] = {term: (term,) for term, _ in offered}
            if j == 0:
                return cls(terms, (Choice(tuple(terms)),))
            return cls(terms, varying=varying)
        units: dict[str, tuple[str, ...]] = {}
        for term, group in offered:
            units[group] = (*units.get(group, ()), term)
        listed, pairs = structures(design, units, j)
        return cls(units, tuple(map(Choice, listed)), pairs, varying and j > 0, noises)

    def log_prior(self, choice: Choice) -> float:
        """Log prior probability of a choice."""
        vary = -math.log(2.0) if self.varying else 0.0
        if not self.listed:
            total, size = len(self.units), len(choice.units)
            return vary - math.log((total + 1) * math.comb(total, size))
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

    def search(self, score: Score, glance: Score) -> None:
        """Look at choices until the best are among them; ``score`` remembers what it has seen.

        ``score`` is the log evidence plus log prior of a choice, given one whose mode is near;
        ``glance`` is a cheaper stand-in.
        """
        if self.listed:
            self._structures(score, glance)
        elif len(self.units) <= FEW:
            for size in range(len(self.units) + 1):
                for names in itertools.combinations(self.units, size):
                    for varying in self._linkages():
                        score(Choice(names, varying), None)
        else:
            self._stepwise(score)

    def _linkages(self) -> tuple[bool, ...]:
        return (False, True) if self.varying else (False,)

    def _structures(self, score: Score, glance: Score) -> None:
        for varying in self._linkages():
            for noise in self.noises:
                self._plain(score, varying=varying, noise=noise)
            base = replace(self._kernels(), varying=varying)
            value = -math.inf
            for _ in range(MOST if self.interactions else 0):
                found = self._further(base, score, glance)
                if not found or found[0] <= value:
                    break
                value, base = found

    def _plain(self, score: Score, *, varying: bool, noise: str) -> None:
        """Score the structures without interactions."""
        near = None
        for choice in self.listed:
            alone = any(name.split(" ")[0] == HSGP.word for name in choice.units)
            if noise == "normal" or not alone:
                near, last = replace(choice, varying=varying, noise=noise), near
                score(near, last)

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

    def _stepwise(self, score: Score) -> None:
        """Add, drop and exchange terms while the score grows, from the empty set and the best."""
        best = Choice(())
        value = score(best, None)
        while True:
            moves = [(score(choice, best), choice) for choice in self._moves(best)]
            top = max(moves, key=lambda move: move[0])
            if top[0] <= value + 1e-9:
                return
            value, best = top

    def _moves(self, choice: Choice) -> Iterator[Choice]:
        have = set(choice.units)
        for name in self.units:
            yield self.ordered(have ^ {name}, varying=choice.varying)
        if self.varying:
            yield replace(choice, varying=not choice.varying)
