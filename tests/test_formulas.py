"""Formulas are read or refused with the place; their descriptors against hand values and loops."""

import time

import numpy as np
import pandas as pd
import pytest
from pace import within

import claude_pymc as cp
from claude_pymc.errors import TableError
from claude_pymc.tables.formulas import STATISTICS, SYMBOLS

PROPERTIES = cp.load_dataset("magpie_elements").columns[1:].tolist()


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Fe2O3", {"Fe": 2, "O": 3}),
        ("NaN", {"Na": 1, "N": 1}),
        ("Ba0.3Sr.7TiO3", {"Ba": 0.3, "Sr": 0.7, "Ti": 1, "O": 3}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("K[Fe{(CN)2}3]2.5", {"K": 1, "Fe": 2.5, "C": 15, "N": 15}),
        ("((H2))3(O)", {"H": 6, "O": 1}),
        ("CH3COOH", {"C": 2, "H": 4, "O": 2}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("MgCl2*6H2O", {"Mg": 1, "Cl": 2, "H": 12, "O": 6}),
        ("0.5Li2O·0.25SiO2", {"Li": 1, "O": 1, "Si": 0.25}),
        (" SiO₂ ", {"Si": 1, "O": 2}),
        ("Fe0O3", {"O": 3}),
        ("Na0.5(H2O)", {"Na": 0.5, "H": 2, "O": 1}),
        ("LiOH·H2O", {"Li": 1, "O": 2, "H": 3}),
    ],
)
def test_formulas_that_can_be_read(text, amounts):
    found = cp.parse_formula(text)
    assert found == amounts
    assert list(found) == list(amounts)


@pytest.mark.parametrize(
    ("text", "got", "cause"),
    [
        ("", "got ''\n", "an empty cell"),
        ("2", "got '2', at character 2, the end", "no element"),
        ("Xx2O3", "character 1 ('X')", "there is no element 'Xx'"),
        ("NACL", "character 2 ('A')", "no element 'A'"),
        ("fe2o3", "character 1 ('f')", "a symbol without its capital"),
        ("Fe2O3)", "character 6 (')')", "a bracket that was not opened"),
        ("(FeO]2", "character 5 (']')", "of another kind"),
        ("Fe()2", "character 4 (')')", "or empty"),
        ("Ca(OH", "character 3 ('(')", "not closed"),
        ("Fe3+", "character 4 ('+')", "a charge"),
        ("LaFeO3-x", "character 7 ('-')", "a variable amount"),
        ("Fe O", "character 3 (' ')", "a blank"),
        ("(2Fe)", "character 2 ('2')", "a number after no element"),
        ("CaSO4.0.5H2O", "character 8 ('.')", "a number after no element"),
        ("CuSO4.5H2O", "character 5 ('4')", "may be decimal, or the dot before water"),
        ("LiOH.2H2O", "character 5 ('.')", "may be decimal, or the dot before water"),
        ("LiOH.H2O", "character 5 ('.')", "a sign that formulas do not have"),
        ("·H2O", "character 1 ('·')", "a dot inside brackets or after nothing"),
        ("(Fe·O)", "character 4 ('·')", "a dot inside brackets"),
        ("FeO·", "character 5, the end", "nothing after a dot"),
        ("Fe0", "got 'Fe0'\n", "all amounts are zero"),
        (float("nan"), "got nan\n", "sodium nitride"),
        (None, "got None\n", "an empty cell"),
    ],
)
def test_formulas_that_cannot(text, got, cause):
    with pytest.raises(TableError) as error:
        cp.parse_formula(text)
    assert got in str(error.value)
    assert cause in error.value.cause


def test_hand_values():
    """Fe2O3: Z = 26, 8 with fractions 0.4, 0.6; electronegativities 1.83, 3.44."""
    frame = cp.formula_descriptors(["Fe2O3", "O"])
    assert frame.shape == (2, 132)
    assert frame.columns[:7].tolist() == [
        *(f"{name}_Number" for name in STATISTICS),
        "minimum_MendeleevNumber",
    ]
    number = frame.filter(regex="_Number$").to_numpy()
    np.testing.assert_allclose(number[0], [8, 26, 18, 15.2, 0.4 * 10.8 + 0.6 * 7.2, 8])
    np.testing.assert_array_equal(number[1], [8, 8, 0, 8, 0, 8])
    np.testing.assert_allclose(frame["mean_Electronegativity"][0], 0.4 * 1.83 + 0.6 * 3.44)


def test_of_the_most_frequent_elements_the_smallest_value_is_the_mode():
    """NaCl: Z = 11, 17; electronegativities 0.93, 3.16, columns 1, 17. Fractions by two ways."""
    modes = cp.formula_descriptors(["NaCl", "(Na0.1)3Cl0.3"], statistics=["mode"])
    for name, value in (("Number", 11), ("Electronegativity", 0.93), ("MeltingT", 171.6)):
        np.testing.assert_array_equal(modes[f"mode_{name}"], value)


def by_loops(text):
    """The formulas of the docstring, property by property."""
    amounts, table = cp.parse_formula(text), cp.load_dataset("magpie_elements")
    table = table.set_index("element")
    total, found = sum(amounts.values()), []
    for name in PROPERTIES:
        pairs = [(n / total, table.loc[symbol, name]) for symbol, n in amounts.items()]
        mean = sum(w * v for w, v in pairs)
        most = max(w for w, _ in pairs)
        values = [v for _, v in pairs]
        found += [min(values), max(values), max(values) - min(values), mean]
        found += [sum(w * abs(v - mean) for w, v in pairs), min(v for w, v in pairs if w == most)]
    return found


def test_descriptors_are_those_of_loops(rng):
    symbols = sorted(set(cp.load_dataset("magpie_elements")["element"]))
    texts = []
    for n in rng.integers(1, 7, 40):
        chosen = rng.choice(symbols, n, replace=False)
        texts.append("".join(f"{s}{rng.integers(1, 9)}" for s in chosen))
    expected = [by_loops(text) for text in texts]
    np.testing.assert_allclose(cp.formula_descriptors(texts), expected, rtol=1e-12, atol=1e-9)


def test_some_properties_and_statistics_under_the_index_of_the_formulas():
    formulas = pd.Series(["NaN", "Fe2O3"], index=["a", "b"])
    frame = cp.formula_descriptors(formulas, ["Row", "Number"], ["mean", "minimum"])
    assert frame.index.tolist() == ["a", "b"]
    names = ["minimum_Number", "mean_Number", "minimum_Row", "mean_Row"]
    assert frame.columns.tolist() == names
    assert frame.loc["a"].tolist() == [7, 9, 2, 2.5]
    assert cp.formula_descriptors([]).shape == (0, 132)
    for options, near in (
        ({"properties": ["number"]}, "Number"),
        ({"statistics": ["median"]}, "mean"),
    ):
        with pytest.raises(TableError, match=f"did you mean '{near}"):
            cp.formula_descriptors(["Fe"], **options)


def test_errors_name_the_row():
    formulas = pd.Series(["Fe2O3", "Fe2O3", "Fe2o3"], index=[2, 3, 7])
    with pytest.raises(TableError, match=r"'Fe2o3' in row 7 of the formulas, at character 4 \('o'"):
        cp.formula_descriptors(formulas)
    with pytest.raises(TableError, match=r"'Fe2o3' in line 7 of a\.csv"):
        cp.formula_descriptors(formulas, source="a.csv", row="line")
    with pytest.raises(TableError, match=r"from H to Lr(.|\n)*'Rf' of 'RfO2' in row 1"):
        cp.formula_descriptors(["Fe", "RfO2"])
    with pytest.raises(TableError, match=r"nan in row 1 of the formulas\n(.|\n)*keep_default_na"):
        cp.formula_descriptors(["Fe", np.nan])


def test_sodium_nitride_is_no_missing_value(tmp_path):
    (tmp_path / "rows.csv").write_text("formula,x,y\nNaN,1,2\nNaCl,2,3\n")
    table = cp.Table.from_csv(tmp_path / "rows.csv", ["x"], ["y"], labels="formula")
    assert table.labels == ("NaN", "NaCl")
    assert cp.formula_descriptors(table.labels, ["Number"])["maximum_Number"].tolist() == [11, 17]
    table.to_frame().to_csv(tmp_path / "again.csv", index=False)
    again = cp.Table.from_csv(tmp_path / "again.csv", ["x"], ["y"], labels="label")
    assert again.labels == table.labels
    kinds = cp.Table.from_csv(tmp_path / "rows.csv", ["formula"], ["y"], categories=["formula"])
    assert kinds.descriptors[0].categories == ("NaCl", "NaN")


def test_the_table_of_elements_is_complete():
    frame = cp.load_dataset("magpie_elements")
    assert frame.shape == (103, 23)
    assert np.isfinite(frame[PROPERTIES].to_numpy()).all()
    assert set(frame["element"]) < SYMBOLS
    assert len(SYMBOLS) == 118
    assert frame["Number"].tolist() == list(range(1, 104))


@pytest.mark.speed
def test_six_thousand_formulas_take_a_second(rng):
    symbols = sorted(set(cp.load_dataset("magpie_elements")["element"]))
    texts = ["".join(f"{s}{i % 97 + 1}" for s in rng.choice(symbols, 4)) for i in range(6000)]
    start = time.perf_counter()
    cp.formula_descriptors(texts)
    assert within(time.perf_counter() - start, 2.0)
