"""Generated tables and studies, good and broken, and what a person does with a pair of them."""

from __future__ import annotations

import copy
import math
import string
import tomllib
import warnings
from itertools import chain

import numpy as np
from hypothesis import strategies as st

import claude_pymc as cp
from claude_pymc.datasets import folder
from claude_pymc.errors import CandidateError, ClaudeError, Notice, PosteriorWarning
from claude_pymc.study import Study
from claude_pymc.tables.statistics import PatternStats

STAGES = ("study", "table", "spec", "pool", "done")
STUDIES = {path.stem: path.read_text("utf-8") for path in sorted(folder("models").glob("*.toml"))}
HEADS = {
    name: "\n".join((folder("data") / f"{file}.csv").read_text("utf-8").splitlines()[:16])
    for name, text in STUDIES.items()
    if (file := tomllib.loads(text)["data"]["file"])
}
MINIMAL = {"data": {"descriptors": ["x"], "targets": ["sim", "exp"]}}


# --- what a person does --------------------------------------------------------------------------


def walk(study: bytes, rows: bytes, path):
    """Read both files and go on to the pool; the stage that refused them, and what was made."""
    (path / "study.toml").write_bytes(study)
    (path / "rows.csv").write_bytes(rows)
    stage = "study"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            found = Study.from_toml(path / "study.toml")
            stage = "table"
            table = found.table(path / "rows.csv")
            stage = "spec"
            spec = found.spec(table)
            stats = PatternStats.from_table(table, spec.design)
            assert np.isfinite(stats.grams).all()
            assert spec.describe()
            stage = "pool"
            pool = found.pool(table)
            assert len(pool) >= 0
    except ClaudeError as error:
        assert_says(error)
        return stage, None
    return "done", (found, table, spec, stats, pool)


def go_on(found, table, spec, stats, pool):
    """Sample, predict and propose; True if nothing was refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            warnings.simplefilter("ignore", PosteriorWarning)
            tree = cp.sample(spec, stats, method="exact", draws=25, chains=2, seed=1)
            ask(cp.JointPosterior(tree, spec), found, table, pool)
    except ClaudeError as error:
        assert_says(error)
        return False
    return True


def by_default(found, table):
    """Fit by the automatic default and predict; True if nothing was refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            warnings.simplefilter("ignore", PosteriorWarning)
            post = cp.fit(table, draws=25, chains=2, seed=1, transforms=found.transforms)
            ask(post, found, table, table)
    except ClaudeError as error:
        assert_says(error)
        return False
    return True


def ask(post, found, table, pool):
    """Predict the rows and propose from the pool; often nothing is left to be proposed."""
    mean = post.predict(table, seed=1).to_frame(0.9)
    assert np.isfinite(mean.to_numpy(dtype=float)).all()
    try:
        chosen = cp.propose(
            post, pool, found.objective, found.wants, rules=found.rules, observed=table, seed=1
        )
    except CandidateError as error:
        assert_says(error)
        return
    assert len(chosen) <= sum(found.wants.values())


def assert_says(error):
    """One of our errors says four things, in text that can be written to a file."""
    for part in (error.expected, error.got, error.cause, error.todo):
        assert isinstance(part, str) and part.strip()
    text = str(error)
    assert f"to do {error.todo}" in text
    text.encode("utf-8")


def any_of(*parts):
    """One value of any of the lists."""
    return st.sampled_from(list(chain(*parts)))


# --- tables --------------------------------------------------------------------------------------

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


# --- studies -------------------------------------------------------------------------------------


class Raw(str):
    """Text of a value that is written as it is."""


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


# --- studies and tables that fit -----------------------------------------------------------------

EXTREME = st.sampled_from([1e-308, 1e-12, 1e-3, 0.1, 1, 10, 1e3, 1e12, 1e154, 1e308, 0, -1])
SCALES = ("noise", "noise_log_sd", "linkage_sd", "constant_sd", "scale", "scale_log_sd")
SCALES += ("correction", "correction_log_sd", "ratio", "ratio_log_sd")
ENDS = any_of(
    [[1.0, 0.0], [0, 0], [-1e308, 1e308], [0.0, 1e-308], [1e16, 1e16 + 2], [5.0, 6.0]],
    [[-1e154, 1e154], [-1e99, 1e99], [0.0, 0.01], [1e5, 1e6]],
)
PAIRED = st.sampled_from([[], [[0, 1]], [[1, 0], [0, 1]], [[0, 10**9]], [[0, 0]], [[0, 9]]])
GOOD = {
    "names": st.just(("x", "z", "w")),
    "basis": st.one_of(
        st.just({}),
        st.fixed_dictionaries({"degree": st.integers(1, 4)}),
        st.fixed_dictionaries({"kind": st.just("legendre"), "degree": st.integers(1, 9)}),
        st.fixed_dictionaries({"kind": st.just("sine"), "order": st.integers(1, 3)}),
        st.fixed_dictionaries({"kind": st.just("spline"), "order": st.integers(4, 9)}),
        st.fixed_dictionaries(
            {"kind": st.just("hsgp"), "order": st.integers(8, 20)},
            optional={
                "boundary": st.sampled_from([1.5, 2.5, 3]),
                "lengths": st.sampled_from(["shared", "each"]),
                "products": st.booleans(),
            },
        ),
    ),
    "prior": st.sampled_from(
        [{}, {}, {"kind": "lkj"}, {"kind": "flat"}, {"tied": True}, {"noise": 0.05}]
    ),
    "spread": st.sampled_from([(1.0, 0.0), (1.0, 0.0), (100.0, 300.0), (1e-9, 1e-8), (1e20, 0.0)]),
    "kinds": st.sampled_from([["a", "b"], ["a", "b", ""], list("abcdefgh"), ["1", "2,5"]]),
    "labels": st.just("name"),
    "properties": st.sampled_from([["Number"], ["Number", "Row"]]),
    "statistics": st.sampled_from([["mean"], ["mean", "range", "mode"]]),
    "ends": st.sampled_from([[-1.0, 1.0], [-10, 10], [-1, 1.5]]),
    "number": st.sampled_from([1, 2, 5, 20]),
    "texts": st.sampled_from([["a"], ["a", "b"], []]),
    "rule": st.sampled_from("log_ei ei pi ucb thompson std covariance".split()),
    "want": st.sampled_from([0, 1, 2, 3]),
    "value": st.sampled_from([0.0, 1, -3.5]),
    "likelihood": st.just("conditional"),
}
ODD_ONES = {
    "names": any_of(
        [("x", "x^2", "w"), ("1", "z", "w"), ("a b", "a", "b"), ("sim2", "label", "w"), ("x",) * 3],
        [("constant", "linear", "all"), ("T (K)", "é", "漢"), ("x", "gp1(x)", "x z"), ("", " ")],
        [("route", "x", "z"), ("sim", "z", "w"), ("std", "rank", "mean"), ("{}", "%s", "x=a")],
    ),
    "basis": st.one_of(
        st.fixed_dictionaries(
            {
                "degree": st.sampled_from([0, 5, 8, 12, 30, 100, 3000, 10**6, 10**18, 2.0, "2"]),
                "kind": st.sampled_from(["polynomial", "legendre"]),
            }
        ),
        st.fixed_dictionaries(
            {
                "order": st.sampled_from([0, 1, 4, 40, 200, 1500, 10**4, 10**8, 10**9, 10**400]),
                "kind": st.sampled_from(["sine", "spline", "hsgp"]),
            }
        ),
        st.fixed_dictionaries(
            {"kind": st.just("hsgp")},
            optional={
                "order": st.sampled_from([1, 8, 16, 300]),
                "boundary": st.sampled_from([1.2, 1.2001, 100, 1e9, 1e308, 0, -1, math.nan]),
                "lengths": st.sampled_from(["shared", "each", "both"]),
                "interactions": PAIRED,
            },
        ),
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["polynomial", "legendre", "sine", "hsgp", "spline"]),
                "exponents": any_of(
                    [[[0], [1]], [[0], [2]], [[1]], [[0, 0], [1, 1]], [[10**9]], [[0], [40]], [[]]],
                    [[[0, 0], [0, 1], [10**5, 0]], [[0], [10**30]], [[0, 0, 0]], [[0], [0]], []],
                    [[[0]], [[2000]], [[9999], [1]], [[0, 0], [0, 1], [1, 0]], [[0, 0, 1]]],
                ),
            },
            optional={"order": st.sampled_from([4, 5, 10**8, 3000])},
        ),
        st.fixed_dictionaries(
            {"kind": st.just("spline"), "order": st.integers(4, 6), "interactions": PAIRED}
        ),
    ),
    "prior": st.one_of(
        st.fixed_dictionaries(
            {"kind": st.just("lkj")},
            optional=dict.fromkeys(("eta", "t", "noise", "noise_log_sd"), EXTREME),
        ),
        st.dictionaries(st.sampled_from(SCALES), EXTREME, min_size=1, max_size=2),
        st.sampled_from([{"kind": "lasso"}, {"tied": 1}, {"kind": "flat", "eta": 1}]),
    ),
    "spread": st.tuples(
        st.sampled_from([1.0, 1e6, 1e-6, 1e90, 1e150, 1e300, 1e-90, 1e-300, 1e-160, 0.0]),
        st.sampled_from([0.0, 1.0, 1e6, 1e15, -1e99, -1e300, 1.7e308]),
    ),
    "kinds": st.sampled_from([["a"], [""], ["1", "x"], ["NaN", "a"], ['"a"', "a"]]),
    "labels": st.sampled_from(["route", "exp", "nome", "x", ""]),
    "properties": st.sampled_from([["Nmber"], [], ["Number", "Number"]]),
    "statistics": st.sampled_from([[], ["mode"], ["median"]]),
    "ends": ENDS,
    "number": st.sampled_from([0, -1, 10**4, 10**9, 10**18, 2.0, True]),
    "texts": st.sampled_from([["zz"], ["a", "a"], [""], [0.0, 1.0, 2]]),
    "rule": st.sampled_from(["best", "max_value", ""]),
    "want": st.sampled_from([1.5, -1, 10**9, 10**18, True, "1"]),
    "value": st.sampled_from([1e308, -1e308, 5e-324, math.nan, math.inf, 10**400, "1", [1]]),
    "likelihood": st.sampled_from(["joint", "joint", "both", ""]),
    "outlier": st.sampled_from([1e9, 1e99, 1e101, 1e300, -1.7e308, 1e-300, "inf", "", "-"]),
    "corrections": st.nothing(),
}


@st.composite
def pairs(draw):
    """A study and a table that fit each other, but for two things at most."""
    odd = draw(st.sets(st.sampled_from(sorted(ODD_ONES)), max_size=2))

    def some(what):
        return draw((ODD_ONES if what in odd else GOOD)[what])

    def rarely(what=None, often=3):
        return what in odd or draw(st.integers(0, often)) == 0

    k, d = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    names, targets = list(some("names"))[:k], ["sim", "mid", "exp"][3 - d :]
    text = ["route"] if rarely("kinds") or "texts" in odd else []
    rows = _rows(draw, some, odd, names, targets, text)
    data = {"descriptors": [*names, *text], "targets": targets}
    content = {"data": data, "basis": dict(some("basis")), "prior": dict(some("prior"))}
    if text:
        kinds = {"route": list("abcdefgh")}
        data["categories"] = draw(st.sampled_from([["route"], ["route"], kinds]))
    if rarely("labels"):
        data["labels"] = some("labels")
    if rarely("properties", 9) or "statistics" in odd:
        content["descriptors"] = {"formula": "name", "properties": some("properties")}
        content["descriptors"]["statistics"] = some("statistics")
        if not rarely():
            names = []
            data["descriptors"] = text
    content["corrections"] = _corrections(draw, "corrections" in odd, targets, k)
    if rarely("ends"):
        content["bounds"] = {name: some("ends") for name in names}
    if rarely("number") or "texts" in odd:
        axes = {name: [*some("ends"), some("number")] for name in names}
        content["candidates"] = axes | {name: some("texts") for name in text}
    if rarely():
        content["transforms"] = dict.fromkeys(targets, "log")
    if rarely():
        several = [{t: t for t in targets}, {targets[0]: "gap"}, {targets[-1]: ""}]
        content["quantities"] = draw(st.sampled_from(several))
    if "likelihood" in odd:
        content |= {"likelihood": some("likelihood"), "basis": {}, "prior": {"kind": "lkj"}}
        if rarely():
            content["prior"] = {"kind": "flat"}
    aims = [{"maximize": targets[-1]}, {"minimize": targets[0]}, {}]
    content["objective"] = draw(st.sampled_from(aims))
    if rarely("value"):
        content["objective"] = {"reach": targets[-1], "value": some("value")}
    if rarely("want"):
        content["wants"] = {t: some("want") for t in targets}
    if rarely("rule"):
        content["rules"] = {t: some("rule") for t in targets}
    if rarely(often=9):
        units = [{targets[-1]: "eV"}, {targets[0]: "", targets[-1]: "K"}]
        content["units"] = draw(st.sampled_from(units))
    return toml(content).encode("utf-8"), rows.encode("utf-8")


def _corrections(draw, odd, targets, k):
    """What the corrections of a study say."""
    last, first = targets[-1], targets[0]
    if odd:
        strange = [["cubic"], [], ["all"], [[0] * k], [[1, "x"]], [[[0]]], ["1", "1"], [[0.5]]]
        some = [{last: terms} for terms in strange] + [
            {first: []},
            {t: ["linear"] for t in targets},
        ]
        return draw(st.sampled_from(some))
    return draw(
        any_of(
            [{}, {}, {last: ["1"]}, {first: ["1"]}, {last: ["1", "all"][:1]}, {last: ["all"]}],
            ["auto", {last: "auto"}],
        )
    )


def _rows(draw, some, odd, names, targets, text):
    """Text of a table."""
    n = draw(st.sampled_from([1, 3, 5, 8, 12, 12, 12, 16, 20, 30]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.uniform(-1, 1, (n, len(names)))
    x = np.round(x, 0 if draw(st.integers(0, 7)) == 0 else 3)
    y = np.round(x.sum(axis=1)[:, None] + rng.normal(0, 0.3, (n, len(targets))), 3)
    if draw(st.booleans()):
        most = draw(st.sampled_from([0.3, 0.6, 1.0]))
        y[rng.uniform(size=y.shape) < np.linspace(0, most, len(targets))] = np.nan
    if draw(st.booleans()):
        y = np.abs(y) + 0.1  # so that it has logarithms
    if draw(st.integers(0, 3)) == 0 or "spread" in odd:
        scale, shift = some("spread")
        y = y * scale + shift
    if "spread" in odd and draw(st.booleans()):
        scale, shift = some("spread")
        x = x * scale + shift
    if draw(st.integers(0, 9)) == 0:
        x[:, -1] = x[:, 0]
    if draw(st.integers(0, 9)) == 0:
        x, y = np.vstack([x, x]), np.vstack([y, y])
    kinds = some("kinds")
    formulas = ["Fe2O3", "NaCl", "TiO2", "SrTiO3", "H2O", "Fe", "GaAs", "U", "CuSO4·5H2O"]
    if draw(st.integers(0, 15)) == 0:
        bad = ["", "Xx", "NaN", "Fe2O", "Og", "fe", "(", "1", "H" + "9" * 400, "Fe1e5", "H0"]
        formulas = [*formulas, draw(st.sampled_from(bad))]
    table = [[*names, *targets, *text, "name"]]
    for i, values in enumerate(np.hstack([x, y])):
        cells = ["" if np.isnan(v) else repr(float(v)) for v in values]
        table.append([*cells, *(kinds[i % len(kinds)] for _ in text), formulas[i % len(formulas)]])
    if "outlier" in odd:
        row, column = draw(st.integers(1, n)), draw(st.integers(0, len(names) + len(targets) - 1))
        table[row][column] = str(some("outlier"))
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in table]
    return "\n".join(map(",".join, quoted)) + "\n"


# --- TOML ----------------------------------------------------------------------------------------

BARE = set(string.ascii_letters + string.digits + "-_")


def toml(content):
    """Write plain values as TOML: sections as such, what is nested in them inline."""
    plain = {k: v for k, v in content.items() if not isinstance(v, dict)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for name, section in content.items():
        if isinstance(section, dict):
            lines += [f"[{_key(name)}]", *(f"{_key(k)} = {_value(v)}" for k, v in section.items())]
    return "\n".join(lines) + "\n"


def _key(key):
    return key if key and set(key) <= BARE else _text(key)


def _text(text):
    escaped = "".join(f"\\U{ord(c):08X}" if c in '"\\\x7f' or ord(c) < 32 else c for c in text)
    return f'"{escaped}"'


def _value(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Raw):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return value.isoformat()
