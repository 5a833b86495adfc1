"""Cells of a CSV file or a DataFrame become numbers, or an error with row, column and text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from claude_pymc.errors import TableError
from claude_pymc.tables.categories import Category, Declared, texts_of

if TYPE_CHECKING:
    import pandas as pd

MISSING = {"", "nan", "na", "n/a", "<na>", "none", "null"}
MOST_NAMED = 5  # of wrong cells, beside the first
LONGEST = 40  # characters of a cell that are told
_NUMBER = re.compile(r"[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?")


def read_cells(path: Path) -> pd.DataFrame:
    """Read a CSV file as text cells; rows in which every cell is empty are left out.

    The index of the frame is the line number in the file, for error messages.
    """
    import pandas as pd

    if not path.is_file():
        raise TableError(
            f"a CSV file at {path.name!r}",
            "no such file",
            "a typing error in the name, or another working folder",
            "check the path; it is taken relative to the folder you are in",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            "a text file in UTF-8",
            f"byte {error.start} of {path.name!r} is not UTF-8",
            "a spreadsheet (.xlsx) renamed to .csv, or another encoding",
            "export the sheet as 'CSV UTF-8'",
        ) from error
    if not text.strip():
        raise TableError(
            "a header line and rows",
            f"{path.name!r}, which is empty",
            "an export that failed",
            "export the table again",
        )
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    try:
        cells = pd.read_csv(
            path,
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            index_col=False,
            on_bad_lines="error",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise TableError(
            "a header line and rows with as many cells",
            f"{path.name!r}: {str(error).removeprefix('Error tokenizing data. C error: ').strip()}",
            "a comment line, or a decimal comma in a comma-separated file",
            "keep one header line; separate by semicolons where numbers have decimal commas",
        ) from error
    cells = cells.fillna("")
    # pandas would rename a repeated header cell: the header is read as a row.
    cells.columns = [name.strip() for name in cells.iloc[0]]
    cells.index = cells.index + 1
    cells = cells.iloc[1:]
    cells = cells[(cells.map(str.strip) != "").any(axis=1)]
    cells.attrs["decimal comma"] = separator != ","
    return cells


def _decimal_comma_to_point(cells: pd.DataFrame, source: str) -> pd.DataFrame:
    """Replace decimal commas by points, if the file has them; refuse a file that has both."""
    stripped = cells.map(str.strip)
    comma = stripped.map(lambda cell: "," in cell and bool(_NUMBER.fullmatch(cell)))
    if not comma.to_numpy().any():
        return cells
    point = stripped.map(lambda cell: bool(re.fullmatch(r"[+-]?\d*\.\d+([eE][+-]?\d+)?", cell)))
    for name in stripped.columns[(comma.any() & point.any()).to_numpy()]:
        row = point.index[point[name].to_numpy()][0]
        raise TableError(
            "one decimal sign in a column",
            f"{stripped.loc[row, name]!r} in line {row}, column {name!r} of {source}, "
            "beside decimal commas",
            "cells from two sources, or a point that separates thousands",
            "write the column with one decimal sign and no thousands separator",
        )
    return cells.where(~comma, stripped.map(lambda cell: cell.replace(",", ".")))


def with_categories(
    frame: pd.DataFrame, descriptors: tuple[str, ...], declared: Declared | None, source: str
) -> tuple[str, ...]:
    """Names of descriptors, those of text as `Category`.

    ``declared`` lists the latter, or gives their categories. Where it does not, they are those of
    the rows, in alphabetical order.
    """
    declared = {} if declared is None else declared
    known = dict(declared) if isinstance(declared, Mapping) else dict.fromkeys(declared, ())
    for name, texts in known.items():
        if name not in descriptors or isinstance(declared, str) or isinstance(texts, str):
            raise TableError(
                f"categories as a list of some of the descriptors {list(descriptors)}",
                f"{declared!r}",
                "a typing error, a target among them, or brackets that lack",
                "for example categories=['route'], or {'route': ['melt', 'sol-gel']}",
            )
    found = []
    for name in descriptors:
        if name in known:
            at = column_places(frame, (name,), source)[0]
            texts = known[name] or sorted(set(texts_of(frame.iloc[:, at])) - {""})
            name = Category(name, texts)
        found.append(name)
    return tuple(found)


def column_places(frame: pd.DataFrame, columns: tuple[str, ...], source: str) -> list[int]:
    """Positions of the named columns, each of which must be there once."""
    names = [str(name) for name in frame.columns]
    for column in columns:
        if names.count(column) != 1:
            near = difflib.get_close_matches(column, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != column else ""
            raise TableError(
                f"one column {column!r}",
                f"{names.count(column)} of them among the columns {names} of {source}",
                "a typing error in the name, a unit in the header, or a header cell that is "
                "repeated",
                f"{hint}correct the name; capitals count, and units belong in `units`",
            )
    return [names.index(column) for column in columns]


def numeric_columns(
    frame: pd.DataFrame, columns: tuple[str, ...], source: str, row: str = "line"
) -> np.ndarray:
    """Return the named columns as numbers (row, column), NaN where a cell is missing.

    A column whose name is a `Category` becomes positions among its categories. An error names
    cells by the index of the frame, which counts what ``row`` says.
    """
    raw = frame = frame.iloc[:, column_places(frame, columns, source)]
    if frame.attrs.get("decimal comma"):
        text = [cells.dtype.kind not in "fiu" for _, cells in frame.items()]
        frame = frame.copy()
        frame.loc[:, text] = _decimal_comma_to_point(frame.loc[:, text], source)
    values = np.empty((len(frame), len(columns)))
    first: TableError | None = None
    others: list[str] = []
    left = 0
    for j, column in enumerate(columns):
        cells = frame.iloc[:, j]
        if isinstance(column, Category):
            texts = texts_of(raw.iloc[:, j])  # with its commas
            values[:, j] = column.positions(texts, [f"{row} {at}" for at in frame.index], source)
            continue
        if cells.dtype.kind in "fiu":
            values[:, j] = cells.to_numpy(dtype=np.float64, na_value=np.nan)
            continue
        seen = False  # a wrong cell of this column
        for i, (at, cell) in enumerate(zip(frame.index, cells, strict=True)):
            try:
                values[i, j] = _number(cell, f"{row} {at}", column, source)
            except TableError as error:
                alone = not seen and not any(map(_is_number, cells))
                seen = True
                if first is None:
                    first = _a_column_of_text(error, column) if alone else error
                elif len(others) < MOST_NAMED:
                    others.append(f"{_short(cell)} in {row} {at}, column {column!r}")
                else:
                    left += 1
                if alone:  # one of its cells is enough
                    break
    if first is not None:
        raise _together(first, others, left)
    return values


def _short(cell: object) -> str:
    """Say what a cell holds, long texts cut."""
    text = str(cell).strip()
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]} ...")


def _a_column_of_text(error: TableError, column: str) -> TableError:
    """Return the error of a cell in a column that has no number."""
    todo = f"{error.todo}; if it is a descriptor of text, it is declared: categories=[{column!r}]"
    return TableError(error.expected, error.got, error.cause, todo)


def _together(first: TableError, others: list[str], left: int) -> TableError:
    """Return the error of the first wrong cell, which names some of the others."""
    if not others:
        return first
    more = f" and {left} more" if left else ""
    got = f"{first.got}; also {'; '.join(others)}{more}"
    todo = first.todo.replace("the cell, or leave it", "the cells, or leave them")
    return TableError(first.expected, got, first.cause, todo)


def _is_number(cell: object) -> bool:
    """Say whether a cell has a number, also one with a unit or a decimal comma."""
    return re.match(r"\s*[+-]?[.,]?\d", str(cell)) is not None


def _number(cell: object, place: str, column: str, source: str) -> float:
    """Read one cell: a number, or missing."""
    text = "" if cell is None else str(cell).strip()
    if text.lower() in MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or "_" in text:
        cause = "text, a unit or a footnote in a column of numbers"
        if _NUMBER.fullmatch(text):
            cause = "a decimal comma in a file whose cells are separated by commas"
        raise TableError(
            f"a number or an empty cell in column {column!r}",
            f"{_short(text)} in {place} of {source}",
            cause,
            "correct the cell, or leave it empty if the value was not measured",
        )
    if np.isinf(value):
        raise TableError(
            f"a finite number in column {column!r}",
            f"{_short(text)} in {place} of {source}",
            "a division by zero or an overflow upstream",
            "correct the cell, or leave it empty if the value was not measured",
        )
    return value
