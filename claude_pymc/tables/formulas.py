"""Descriptors of a chemical formula: six statistics of properties of its elements.

With atomic fractions w_i of the elements of a formula and a property v_i of theirs,

    minimum, maximum, range = maximum - minimum, mean = sum_i w_i v_i,
    avg_dev = sum_i w_i |v_i - mean|, mode = v of the element with the largest w_i,

of several such elements the smallest v. The 22 properties are those of Magpie: Ward et al., npj
Comput. Mater. 2, 16028 (2016); `data/README.md` has their source.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from claude_pymc.datasets import load_dataset
from claude_pymc.errors import TableError

if TYPE_CHECKING:
    import pandas as pd

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
LEAST, LARGEST = 1e-30, 1e30  # amounts of which fractions can be taken
TIE = 1e-9  # relative difference of fractions that are equal
SYMBOLS = frozenset(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy "
    "Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf "
    "Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og".split()
)
DOTS = "·•∙⋅*"
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
_TOKEN = re.compile(
    rf"(?P<element>[A-Z][a-z]?)|(?P<number>{_NUMBER.pattern})|(?P<dot>[{DOTS}])"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
)
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class _Fault(Exception):
    """What is wrong in a formula: its place, counted from 0, the cause and what to do."""


def parse_formula(text: str) -> dict[str, float]:
    """Amounts of the elements of a formula, in the order in which they first appear.

    Brackets (), [] and {} may be nested, amounts may be decimal, and water of crystallisation
    follows a raised dot or an asterisk. A point is a decimal point. Elements of amount zero are
    left out.

    Raises
    ------
    TableError
        With the place in the text where it cannot be read.

    Examples
    --------
    >>> parse_formula("Ba0.5Sr0.5(TiO3)2")
    {'Ba': 0.5, 'Sr': 0.5, 'Ti': 2.0, 'O': 6.0}
    >>> parse_formula("CuSO4·5H2O")
    {'Cu': 1.0, 'S': 1.0, 'O': 9.0, 'H': 10.0}
    """
    return _parsed(text, "")


def formula_descriptors(
    formulas: Iterable[Any],
    properties: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    *,
    source: str = "the formulas",
    row: str = "row",
) -> pd.DataFrame:
    """Describe formulas by statistics of the properties of their elements.

    Parameters
    ----------
    formulas : Series or list of str
    properties : list of str, optional
        Among the columns of ``load_dataset("magpie_elements")``, in their order; default: all 22.
    statistics : list of str, optional
        Among "minimum", "maximum", "range", "mean", "avg_dev" and "mode"; default: all six.
    source, row : str
        Where the formulas are from and what their index counts, for errors.

    Returns
    -------
    DataFrame (formula, property x statistic)
        Columns such as "mean_Electronegativity", property by property, under the index of
        ``formulas``.

    Raises
    ------
    TableError
        For a formula that cannot be read, with its row, the text and the place in it, and for an
        element without properties (they go from H to Lr).

    Examples
    --------
    >>> formula_descriptors(["Fe2O3", "NaCl"], ["Number"], ["mean", "mode"]).to_numpy().tolist()
    [[15.2, 8.0], [14.0, 11.0]]
    """
    import pandas as pd

    position, names, table = _elements()
    chosen = _known(properties, names, "properties")
    wanted = _known(statistics, STATISTICS, "statistics")
    texts = formulas if isinstance(formulas, pd.Series) else pd.Series(list(formulas), dtype=object)
    read: dict[Any, tuple[list[int], list[float]]] = {}
    for at, text in texts.items():
        if not isinstance(text, str) or text not in read:
            where = f" in {row} {at} of {source}"
            amounts = _parsed(text, where)
            read[text] = [_place(s, position, text, where) for s in amounts], [*amounts.values()]
    found = [read[text] for text in texts]
    counts = np.array([len(part) for part, _ in found], dtype=np.intp)
    starts, of = np.cumsum(counts) - counts, np.repeat(np.arange(len(found)), counts)
    amount = np.array([a for _, part in found for a in part], dtype=np.float64)
    element = np.array([i for part, _ in found for i in part], dtype=np.intp)
    v = table[np.ix_(element, [names.index(name) for name in chosen])]
    w = (amount / np.add.reduceat(amount, starts)[of] if len(found) else amount)[:, None]
    low, high = (f.reduceat(v, starts, axis=0) for f in (np.minimum, np.maximum))
    mean = np.add.reduceat(w * v, starts, axis=0)
    largest = w >= (1 - TIE) * np.maximum.reduceat(w, starts, axis=0)[of]
    values = {
        "minimum": low,
        "maximum": high,
        "range": high - low,
        "mean": mean,
        "avg_dev": np.add.reduceat(w * np.abs(v - mean[of]), starts, axis=0),
        "mode": np.minimum.reduceat(np.where(largest, v, np.inf), starts, axis=0),
    }
    columns = [f"{statistic}_{name}" for name in chosen for statistic in wanted]
    stacked = np.stack([values[name] for name in wanted], axis=-1)
    return pd.DataFrame(stacked.reshape(-1, len(columns)), index=texts.index, columns=columns)


def _parsed(text: Any, where: str) -> dict[str, float]:
    """Read a formula; ``where`` says where it stands."""
    try:
        if not isinstance(text, str) or not text.strip():
            raise _Fault(
                None,
                "an empty cell, or the formula NaN (sodium nitride) read as a missing value",
                "fill the cell, or leave the row out; read CSV files with Table.from_csv, or with "
                "pd.read_csv(path, keep_default_na=False, na_values=[''])",
            )
        return _amounts(text.translate(_SUBSCRIPTS))
    except _Fault as fault:
        place, cause, todo = fault.args
        at = ""
        if place is not None:
            sign = f" ({text[place]!r})" if place < len(text) else ", the end"
            at = f", at character {place + 1}{sign}"
        raise TableError(
            "a chemical formula such as 'Ca(OH)2' or 'Ba0.5Sr0.5TiO3'",
            f"{text!r}{where}{at}",
            cause,
            todo,
        ) from None


def _amounts(text: str) -> dict[str, float]:
    """Amounts of the elements, by a stack of open brackets."""
    end = len(text.rstrip())
    at = start = len(text) - len(text.lstrip())
    total: dict[str, float] = {}
    factor = 1.0  # of this part of the formula, where dots separate parts
    stack: list[dict[str, float]] = [{}]  # amounts in this part, then in each open bracket
    open_at: list[int] = []
    while at < end:
        token = _TOKEN.match(text, at, end)
        kind, word = (token.lastgroup, token[0]) if token else ("", "")
        after = at + len(word)
        if kind == "element":
            _refuse_unknown(word, at)
            n, after = _number(text, after, end)
            _add(stack[-1], {word: 1.0}, n)
        elif kind == "open":
            stack.append({})
            open_at.append(at)
        elif kind == "close" and open_at and _CLOSING[text[open_at[-1]]] == word and stack[-1]:
            n, after = _number(text, after, end)
            open_at.pop()
            inside = stack.pop()
            _add(stack[-1], inside, n)
        elif kind == "number" and (at == start or text[at - 1] in DOTS) and len(stack) == 1:
            factor = float(word)
        elif kind == "dot" and len(stack) == 1 and stack[0]:
            _add(total, stack[0], factor)
            stack, factor = [{}], 1.0
        else:
            raise _Fault(at, *_why(text, at, kind))
        at = after
    if open_at:
        raise _Fault(open_at[-1], "a bracket that is not closed", "close it")
    if not stack[0]:
        raise _Fault(end, "no element, or nothing after a dot", "complete the formula")
    _add(total, stack[0], factor)
    total = {name: n for name, n in total.items() if n}
    if not total:
        raise _Fault(None, "all amounts are zero", "correct the amounts")
    if not all(LEAST < n < LARGEST for n in total.values()):
        raise _Fault(None, f"an amount that is not between {LEAST:g} and {LARGEST:g}", "correct it")
    return total


def _number(text: str, at: int, end: int) -> tuple[float, int]:
    """Amount that follows an element or a bracket, one if none does, and where it ends."""
    found = _NUMBER.match(text, at, end)
    if found is None:
        return 1.0, at
    if "." in found[0][:-1] and text[found.end() : end] == "H2O":
        raise _Fault(
            at,
            f"the point in {found[0]} may be decimal, or the dot before water of crystallisation",
            f"write {found[0].replace('.', '·')}H2O, or {found[0]}(H2O) if it is decimal",
        )
    return float(found[0]), found.end()


def _add(total: dict[str, float], part: dict[str, float], factor: float) -> None:
    for name, n in part.items():
        total[name] = total.get(name, 0.0) + factor * n


def _refuse_unknown(symbol: str, at: int) -> None:
    if symbol not in SYMBOLS:
        raise _Fault(
            at,
            f"there is no element {symbol!r}",
            "correct the symbol: a capital, and a small letter if there are two (D and T are H)",
        )


def _why(text: str, at: int, kind: str | None) -> tuple[str, str]:
    """Return the cause of a fault, and what to do."""
    if kind == "close":
        why = "a bracket that was not opened, of another kind, or empty"
        return why, "write brackets in pairs, with elements inside"
    if kind == "number":
        todo = "write amounts after their elements, and water of crystallisation after a dot (·)"
        return "a number after no element or bracket", todo
    if kind == "dot":
        return "a dot inside brackets or after nothing", "separate whole formulas by dots"
    if text[at].islower():
        return "a symbol without its capital", "write symbols with a capital, such as Fe2O3"
    return (
        "a sign that formulas do not have: a charge, a blank, a variable amount",
        "write elements, amounts and brackets alone",
    )


def _place(symbol: str, position: dict[str, int], text: str, where: str) -> int:
    if symbol not in position:
        raise TableError(
            "elements from H to Lr, whose properties are known",
            f"{symbol!r} of {text!r}{where}",
            "an element that is too heavy to have been measured",
            "leave the row out",
        )
    return position[symbol]


def _known(given: Sequence[str] | None, known: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the known names that were asked for, in their own order."""
    chosen = list(known) if given is None else [given] if isinstance(given, str) else list(given)
    if not chosen:
        raise TableError(
            f"some {name} among {list(known)}", "none", "an empty list", f"leave {name} out for all"
        )
    for item in chosen:
        if item not in known:
            near = difflib.get_close_matches(str(item), known, n=1, cutoff=0.0)
            raise TableError(
                f"{name} among {list(known)}",
                f"{item!r}",
                "a typing error; capitals count",
                f"did you mean {near[0]!r}?",
            )
    return tuple(item for item in known if item in chosen)


@cache
def _elements() -> tuple[dict[str, int], tuple[str, ...], np.ndarray]:
    """Row of each element, names of the properties, and their values (element, property)."""
    frame = load_dataset("magpie_elements").set_index("element")
    values = frame.to_numpy(dtype=np.float64)
    return {str(s): i for i, s in enumerate(frame.index)}, tuple(map(str, frame.columns)), values
