"""Descriptors that hold text, such as a synthesis route: names that know their categories.

Tables and designs name such a column by a `Category`, a string with the categories in a fixed
order. In x stands the position 0, 1, ... of a row's category, NaN where the cell is empty, so that
x stays an array of numbers; whoever reads a column by that name gets positions, and an error for a
category that is not among them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from claude_pymc.errors import TableError

Names = tuple[str, ...]
Declared = Sequence[str] | Mapping[str, Sequence[str]]
SHOWN = 20  # categories that are listed


class Category(str):
    """Name of a descriptor that holds text, with its categories in the order of their positions.

    It is the name to everybody who does not ask: equal to the plain string, and printed as it.

    Parameters
    ----------
    name : str
    categories : sequence of str

    Examples
    --------
    >>> route = Category("route", ["melt", "sol-gel"])
    >>> route, route == "route", route.categories
    ('route', True, ('melt', 'sol-gel'))
    """

    categories: Names

    def __new__(cls, name: str, categories: Iterable[str]) -> Category:
        """Make the name, and check its categories."""
        self = super().__new__(cls, name)
        self.categories = tuple(str(text).strip() for text in categories)
        repeated = [c for i, c in enumerate(self.categories) if c in self.categories[:i]]
        if repeated or "" in self.categories:
            raise TableError(
                f"different categories of {name!r}, none of them empty",
                f"{list(self.categories)}",
                "a name was listed twice, or an empty cell counts as a category",
                "list each category once; empty cells are missing values",
            )
        return self

    def __reduce__(self) -> tuple[type[Category], tuple[str, Names]]:
        """Travel to workers with the categories."""
        return Category, (str(self), self.categories)

    @property
    def listed(self) -> str:
        """Categories in words, the first of many."""
        more = len(self.categories) - SHOWN
        return ", ".join(map(repr, self.categories[:SHOWN])) + f" and {more} more" * (more > 0)

    def positions(self, texts: Sequence[str], places: Iterable[Any], source: str) -> np.ndarray:
        """Positions (row) of text cells, NaN where a cell is empty.

        ``places`` say where each cell stands, for the error about an unknown category.
        """
        known = {"": np.nan, **{name: float(i) for i, name in enumerate(self.categories)}}
        found = np.array([known.get(text, -1.0) for text in texts], dtype=np.float64)
        for text, place in zip(texts, places, strict=True) if (found < 0).any() else ():
            if text not in known:
                raise self._unknown(text, f"{place} of {source}")
        return found

    def texts(self, positions: np.ndarray) -> list[Any]:
        """Cells of positions (row): text, or NaN where there is none."""
        return [self.categories[int(v)] if v == v else np.nan for v in positions]

    def _unknown(self, text: str, where: str) -> TableError:
        near = difflib.get_close_matches(text, self.categories, n=1)
        return TableError(
            f"a known category of {str(self)!r}: {self.listed}",
            f"{text!r} in {where}",
            "a typing error" if near else "a category that no row of the design had",
            (f"did you mean {near[0]!r}? " if near else "")
            + "correct the cell, or make the design from rows that have it, or declare it: "
            f"categories={{{str(self)!r}: [..., {text!r}]}}",
        )


def texts_of(cells: Any) -> list[str]:
    """Cells of a column as text without blanks around it; "" where a cell is missing or empty.

    Whole numbers are written without a point, as a file has them: 1.0 is "1".
    """
    found = []
    for cell, missing in zip(cells, cells.isna(), strict=True):
        whole = isinstance(cell, float) and cell.is_integer()
        found.append("" if missing else str(int(cell) if whole else cell).strip())
    return found


def categories_of(descriptors: Iterable[str]) -> dict[str, Names]:
    """Categories by name, of the descriptors that have any."""
    return {str(d): d.categories for d in descriptors if isinstance(d, Category)}


def numbers_first(descriptors: Names, x: np.ndarray) -> tuple[Names, np.ndarray]:
    """Descriptors and their columns x (row, descriptor), those that hold text last."""
    order = sorted(range(len(descriptors)), key=lambda j: isinstance(descriptors[j], Category))
    return tuple(descriptors[j] for j in order), x[:, order]


def stacked(
    first: Names, x_first: np.ndarray, second: Names, x_second: np.ndarray
) -> tuple[Names, np.ndarray]:
    """Rows of both, under the descriptors of the first with the categories that either has."""
    names, columns = [], []
    for j, name in enumerate(first):
        at = second.index(name)
        other, below = second[at], x_second[:, at]
        if isinstance(name, Category) and isinstance(other, Category):
            new = [text for text in other.categories if text not in name.categories]
            name = Category(name, [*name.categories, *new])
            below = name.positions(["" if v != v else v for v in other.texts(below)], (), "")
        elif isinstance(name, Category) or isinstance(other, Category):
            raise TableError(
                f"{str(name)!r} as text in both tables, or as numbers in both",
                "one of each",
                "one of them was read without categories=[...]",
                "read both in the same way",
            )
        names.append(name)
        columns.append(np.concatenate([x_first[:, j], below]))
    return tuple(names), np.stack(columns, axis=1)


def refuse_other_categories(table: Names, design: Names) -> None:
    """Refuse a table whose positions count other categories than those of the design."""
    found, wanted = categories_of(table), categories_of(design)
    for name in {**wanted, **found}:
        if name in design and found.get(name) != wanted.get(name):
            raise TableError(
                f"{name!r} with the categories of the design, {list(wanted.get(name, ()))}",
                f"{list(found.get(name, ()))}",
                "the table was read by itself, so that its categories are those of its rows",
                "read it with the names that the design has: "
                "Table.from_frame(frame, design.descriptors, design.targets)",
            )
