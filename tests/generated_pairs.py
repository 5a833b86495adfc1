"""Generated studies and tables that fit each other, but for two things at most."""

from __future__ import annotations

import math

import numpy as np
from generated_files import any_of
from generated_toml import toml
from hypothesis import strategies as st

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
