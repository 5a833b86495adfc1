"""What is free in the columns of a model, and along which terms a linkage varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_pymc.errors import DesignError, SpecError
from claude_pymc.tables.corrections import correction_sets
from claude_pymc.tables.design import Design


@dataclass(frozen=True)
class Columns:
    """What is free in the columns (C, sigma, R) of the variables that the likelihood sees.

    ``conditional``: the variables are the targets and R holds all basis terms. ``joint``: the
    descriptors precede the targets as variables, R holds the constant alone, and the linear terms
    of a target are its linkages to the descriptors.

    Parameters
    ----------
    variables, terms : tuple of str
    links : tuple of (variable, earlier variable, prior mean)
        Free entries of C.
    entries : tuple of (variable, term)
        Free entries of R.
    """

    variables: tuple[str, ...]
    terms: tuple[str, ...]
    links: tuple[tuple[int, int, float], ...]
    entries: tuple[tuple[int, int], ...]

    def sizes(self) -> tuple[int, ...]:
        """Count the free entries of C and R in the column of each variable."""
        found = [0] * len(self.variables)
        for j in [link[0] for link in self.links] + [entry[0] for entry in self.entries]:
            found[j] += 1
        return tuple(found)


def varied_terms(design: Design, names: Sequence[str]) -> tuple[str, ...]:
    """Terms by name, in the order of the basis, from names of terms or groups."""
    if not names:
        return ()
    primary = design.targets[-1]
    try:
        found = correction_sets(design.basis, design.descriptors, design.targets, {primary: names})
    except DesignError as error:
        raise SpecError(
            f"varying as terms or groups of the basis {list(design.terms[:6])} ...",
            error.got,
            "a typing error, or a term that the basis does not have",
            "name terms of the basis, for example varying=['linear']",
        ) from error
    return found[-1]
