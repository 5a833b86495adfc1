"""Parts of a design in words, for `JointGaussian.describe`."""

from __future__ import annotations

from claude_pymc.joint.sets import Menu
from claude_pymc.tables.categories import Category
from claude_pymc.tables.design import Design

MANY_DESCRIPTORS, SOME_DESCRIPTORS = 12, 5  # beyond so many, so many are described one by one


def choices_in_words(design: Design, *, varying: bool) -> list[str]:
    """Say which targets have their terms chosen by evidence, and the prior odds."""
    lines = ["Terms chosen by evidence, predictions averaged over the sets; prior odds"]
    for target in design.chosen:
        j = design.targets.index(target)
        menu = Menu.of(design, j, varying=varying and j == len(design.targets) - 1)
        lines += [f"  {target}: {line}" for line in menu.odds]
    return lines if design.chosen else []


def descriptors_in_words(design: Design) -> list[str]:
    """Say how descriptors are mapped to the domain of the basis, and what their categories are."""
    start, end = design.basis.domain
    found = [
        f"{name}: {low:g} .. {high:g} mapped to {start:g} .. {end:g}"
        for name, (low, high) in zip(design.descriptors, design.bounds, strict=False)
    ]
    if len(found) > MANY_DESCRIPTORS:
        more = len(found) - SOME_DESCRIPTORS
        found = [*found[:SOME_DESCRIPTORS], f"... and {more} more, each mapped from its range"]
    named = [name for name in design.descriptors if isinstance(name, Category)]
    return found + [f"{name}: categories {name.listed}" for name in named]
