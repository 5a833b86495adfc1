"""Generated tables and studies, good and broken."""

from __future__ import annotations

import copy
import math
import tomllib
from itertools import chain

from generated_toml import Raw, toml
from hypothesis import strategies as st

from claude_pymc.datasets import folder

STUDIES = {path.stem: path.read_text("utf-8") for path in sorted(folder("models").glob("*.toml"))}
HEADS = {
    name: "\n".join((folder("data") / f"{file}.csv").read_text("utf-8").splitlines()[:16])
    for name, text in STUDIES.items()
    if (file := tomllib.loads(text)["data"]["file"])
}
MINIMAL = {"data": {"descriptors": ["x"], "targets": ["sim", "exp"]}}


def any_of(*parts):
    """One value of any of the lists."""
    return st.sampled_from(list(chain(*parts)))


# Tables

HEADERS = st.one_of(
    st.sampled_from(["x", "z", "sim", "exp", "x", "sim", "exp"]),
    any_of(
        "name label target 1 x^2 constant linear ratio all rank mean x.1 x=a sin1(x)".split(),
        ["a b", " x ", "", "x z", "mean_Number", "#x", 'say "x"', "größe", "漢字", "'", "x;y"],
        ["x" * 5000, "\ufeffx", "nan", "0", "x\ny", "=1+1", "\u202ex", "x\tx", "{x}", "%s"],
    ),
    st.text(max_size=5),
)
ODD = st.one_of(
    any_of(
        ["", "NaN", "NA", "n/a", "None", "null", "-", "?", "inf", "-Infinity", "1e308", "-1e308"],
        ["1e-308", "5e-324", "1e999", "-0", "0", "1" * 400, "9" * 19, "1_000", "1,000", "1,000.5"],
        ["1.000,5", "3,5", "5 %", "5%", "1.2 eV", "~3", "<0.1", "2024-01-31", "31.01.24", "0x1F"],
        ["1.2(3)", "1e5", "1E+5", "+.5", "5.", "١٢", "½", "½", "1 000", "TRUE", "#DIV/0!", "=A1"],
        ["a", "melt", 'say "hi"', "Fe2O3", "NaCl", "é", "1d5", "\u00a01", "−1", "1e", "."],
    ),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=4),
)
PLAIN = st.floats(-9, 9).map(lambda v: f"{v:.3g}")


@st.composite
def files(draw):
    """Bytes of a table, from well formed to no table at all, and names of its columns."""
    few = st.integers(1, 6)
    width = draw(st.one_of(few, few, few, st.sampled_from([1, 300])))
    if draw(st.booleans()):
        headers = ["x", "sim", "exp", "name", "z", "route"]
        width = max(width, 3)
    else:
        headers = draw(st.lists(HEADERS, min_size=min(width, 6), max_size=min(width, 6)))
    headers = [*headers, *(f"c{i}" for i in range(len(headers), width))][:width]
    n = draw(st.integers(0, 8))
    odd = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 9]))
    rows = [[f"{(3 * i + 7 * j * i) % 11}.{j % 7}" for j in range(width)] for i in range(n)]
    for _ in range(odd if n else 0):
        row = draw(st.integers(0, n - 1))
        rows[row][draw(st.integers(0, width - 1))] = draw(ODD)
    kind = draw(st.integers(0, 9))
    if n and kind < 3:
        j, cell = draw(st.integers(0, width - 1)), draw(ODD)
        for row in rows:
            row[j] = cell  # a constant or an empty column
    if n and kind == 3:
        rows = [*rows, *rows]
    return _bytes(draw, [headers, *rows]), headers


def _bytes(draw, rows):
    separator = draw(st.sampled_from(",,,,,;;\t\t|"))
    comma = draw(st.integers(0, 4)) == 0
    quotes = draw(st.integers(0, 5))
    lines = []
    for i, row in enumerate(rows):
        if comma and i:
            row = [cell.replace(".", ",") for cell in row]
        if quotes < 5:  # else as somebody wrote them by hand
            row = ['"' + c.replace('"', '""') + '"' if set(c) & set(',;\t"\n') else c for c in row]
        lines.append(separator.join(row))
    for _ in range(draw(st.sampled_from([0] * 7 + [1, 2]))):
        junk = draw(
            any_of(
                ["", "# made in 2024", separator * 2, " ", "1", '"', "\x00", "a,b,c,d,e,f,g,h,i"],
                ["\x1a", "units: nm, eV", separator.join(rows[0]), '"x', "\\"],
            )
        )
        lines.insert(draw(st.integers(0, len(lines))), junk)
    text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(lines)
    text += draw(st.sampled_from(["\n", "\n", "", "\n\n", ","]))
    coding = draw(
        st.sampled_from(["utf-8"] * 20 + ["utf-8-sig"] * 3 + ["latin-1", "utf-16", "utf-32"])
    )
    data = text.encode(coding, errors="replace")
    damage = draw(st.integers(0, 29))
    if damage == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=8)) + data[at:]
    elif damage == 1:
        data = data[: draw(st.integers(0, len(data)))]
    elif damage == 2:
        data = draw(st.binary(max_size=64))
    return data


@st.composite
def tables(draw):
    """A study that is well formed, and a file that may be anything."""
    data, headers = draw(files())
    usual = {"x", "sim", "exp"} <= set(headers)
    if draw(st.integers(0, 3)) < (3 if usual else 1):
        names = {"descriptors": ["x"], "targets": ["sim", "exp"]}
    else:
        picked = draw(st.permutations(list(dict.fromkeys(headers))[:6]))
        split = draw(st.integers(1, max(len(picked) - 1, 1)))
        names = {"descriptors": picked[:split], "targets": picked[split:] or ["exp"]}
        if draw(st.integers(0, 3)) == 0:
            names["categories"] = names["descriptors"][:1]
        if draw(st.integers(0, 3)) == 0:
            names["labels"] = draw(st.sampled_from(headers))
    content = {"data": names}
    if draw(st.integers(0, 9)) == 0:
        content["descriptors"] = {
            "formula": draw(st.sampled_from(headers)),
            "properties": ["Number"],
            "statistics": ["mean", "mode"],
        }
    return toml(content).encode("utf-8"), data


# Studies


HUGE = Raw("0x" + "f" * 5000)  # of more digits than Python writes
WRONG = st.one_of(
    any_of(
        [
            True,
            False,
            0,
            -1,
            1,
            2,
            3,
            30,
            10**6,
            10**9,
            10**18,
            10**400,
            -(10**400),
            HUGE,
            Raw("9" * 5000),
        ],
        [0.0, -0.0, 0.5, 1.5, 1e308, -1e308, 1e-308, 5e-324, math.inf, -math.inf, math.nan],
        ["", " ", "x", "exp", "sim", "auto", "all", "linear", "log", "joint", "\x00", "a" * 5000],
        ["polynomial", "hsgp", "spline", "sine", "legendre", "flat", "lkj", "../x", "漢", "1"],
        [[], [[]], [1], ["x"], [["x"]], [1, 2], [2, 1], [0, 0], [1, 2, 3], [0.0, 1.0, 5]],
        [[0.0, 1.0, 10**9], [0.0, 1.0, 10**18], [-1e308, 1e308], [1, "x"], [[0], [1]], [[0, 1]]],
        [[[10**9]], [[10**30]], [[-1]], [[0.5]], [[True]], [math.nan, 1], ["x", "x"], [[1], [1]]],
        [{}, {"x": 1}, {"exp": ["1"]}, {"x": [0, 1]}, {"exp": "auto"}, {"x": {}}, [{}], {"": 0}],
        [[0.0, 1e-300], [1e16, 1e16 + 2], ["1", "1"], [True, False], [10**400, 1], [0, 10**400]],
    ),
    st.sampled_from([tomllib.loads("d = 1979-05-27T07:32:00Z")["d"]]),
    st.sampled_from([tomllib.loads("d = 07:32:00")["d"], tomllib.loads("d = 1979-05-27")["d"]]),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
)
RIGHT = [
    ("basis", {"degree": 1}),
    ("basis", {"kind": "legendre", "degree": 3}),
    ("basis", {"kind": "spline", "order": 5}),
    ("basis", {"kind": "hsgp"}),
    ("basis", {"kind": "sine", "order": 1}),
    ("prior", {"kind": "lkj"}),
    ("prior", {"noise": 0.01, "tied": True}),
    ("corrections", {"TARGET": ["1"]}),
    ("corrections", {"TARGET": "auto"}),
    ("corrections", {}),
    ("bounds", {}),
    ("candidates", {}),
    ("transforms", {"TARGET": "identity"}),
    ("quantities", {"TARGET": "gap"}),
    ("objective", {"minimize": "TARGET"}),
    ("objective", {"reach": "TARGET", "value": 2}),
    ("wants", {"TARGET": 0}),
    ("rules", {"TARGET": "thompson"}),
    ("units", {"TARGET": ""}),
]
KEYS = st.one_of(
    st.sampled_from(
        "title description data descriptors units transforms quantities basis corrections bounds "
        "candidates prior likelihood objective wants rules file categories targets labels kind "
        "degree order exponents boundary lengths interactions products maximize reach value x "
        "exp sim noise scale eta t tied formula properties statistics".split()
    ),
    st.text(max_size=3),
)


@st.composite
def studies(draw):
    """A shipped study or a minimal one with some keys changed, and rows that fit the former."""
    name = draw(st.sampled_from(["", "", *STUDIES]))
    content = copy.deepcopy(tomllib.loads(STUDIES[name])) if name else copy.deepcopy(MINIMAL)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        _change(draw, content)
    text = toml(content)
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        junk = draw(
            st.sampled_from(['"', "[", "]", "=", "\n", "\x00", "'''", "é", "1e", "[" * 999])
        )
        text = text[:at] + junk + text[at + draw(st.integers(0, 2)) :]
    data = text.encode(draw(st.sampled_from(["utf-8"] * 9 + ["utf-16", "latin-1"])), "replace")
    rows = (
        HEADS[name] if name else "x,sim,exp\n" + "".join(f"{i},{i % 3}.5,{i}\n" for i in range(9))
    )
    return data, rows.encode("utf-8")


def _change(draw, content):
    """Change, remove or add a key, in the study or in one of its sections."""
    if draw(st.booleans()):
        section, values = draw(st.sampled_from(RIGHT))
        targets = content["data"].get("targets") if isinstance(content.get("data"), dict) else 0
        last = targets[-1] if isinstance(targets, list) and targets else "exp"
        text = toml(values).replace("TARGET", last if isinstance(last, str) else "exp")
        content[section] = tomllib.loads(text)
        return
    place = content
    sections = [key for key, value in content.items() if isinstance(value, dict)]
    if sections and draw(st.integers(0, 3)):
        place = content[draw(st.sampled_from(sections))]
    how = draw(st.integers(0, 5))
    if how == 0 and place:
        del place[draw(st.sampled_from(list(place)))]
    elif how < 4 and place:
        place[draw(st.sampled_from(list(place)))] = copy.deepcopy(draw(WRONG))
    else:
        place[draw(KEYS)] = copy.deepcopy(draw(WRONG))
