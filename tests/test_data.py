"""Shipped data: what the README says, and what the script writes again."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc import datasets
from claude_pymc.simulators import perovskite, simulate

DATA = Path(__file__).parents[1] / "data"


def script():
    spec = importlib.util.spec_from_file_location("make_examples", DATA / "make_examples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_elements_have_the_rows_that_the_readme_counts():
    frame = cp.load_dataset("elements")
    assert len(frame) == 71
    assert frame["volume_exp"].notna().sum() == 58
    assert frame["volume_sim"].notna().all()
    filled = frame.loc[frame["electronegativity"].isna(), "electronegativity_filled"]
    assert np.allclose(filled, 2.6)


@pytest.mark.parametrize(
    ("name", "n_sim", "n_exp"),
    [
        ("toy_pair", 10, 5),
        ("sine_pair", 60, 15),
        ("sine_line", 20, 5),
        ("magnet", 60, 60),
        ("perovskite", 28, 11),
    ],
)
def test_examples_hold_the_counts_of_the_readme_and_share_no_row(name, n_sim, n_exp):
    measured = cp.load_dataset(name).iloc[:, -2:].notna()
    assert measured.sum().tolist() == [n_sim, n_exp]
    assert len(measured) == n_sim + n_exp
    assert not measured.all(axis=1).any()


def test_public_perovskites_name_the_source_of_each_measured_gap():
    frame = cp.load_dataset("perovskite_public")
    assert frame.columns.tolist() == ["formula", "x1", "x2", "gap_sim", "gap_exp", "exp_source"]
    assert (len(frame), frame["gap_sim"].notna().sum(), frame["gap_exp"].notna().sum()) == (5, 5, 3)
    assert (frame["exp_source"].notna() == frame["gap_exp"].notna()).all()
    assert ((frame["x1"] == 0) | (frame["x2"] == 0)).all()


def test_binary_band_gaps_have_the_rows_that_the_readme_counts():
    frame = cp.load_dataset("binary_bandgap")
    sim, exp = frame["y_sim"].notna(), frame["y_exp"].notna()
    assert ((sim & ~exp).sum(), (exp & ~sim).sum(), (sim & exp).sum()) == (828, 43, 173)
    assert frame["formula"].is_unique
    numbers = cp.formula_descriptors(frame["formula"], ["Number", "AtomicWeight"], ["mean"])
    np.testing.assert_allclose(numbers["mean_Number"], frame["mean_Z"], atol=1e-3)
    np.testing.assert_allclose(numbers["mean_AtomicWeight"], frame["mean_mass"], rtol=0.01)


def test_an_empty_cell_alone_is_missing(tmp_path, monkeypatch):
    (tmp_path / "salts.csv").write_text("formula,x,y\nNaN,1,\nNA,,2\n,3,4\n")
    monkeypatch.setattr(datasets, "folder", lambda name: tmp_path)
    frame = cp.load_dataset("salts")
    assert frame["formula"].tolist()[:2] == ["NaN", "NA"]
    assert frame.isna().to_numpy().tolist() == [
        [False, False, True],
        [False, True, False],
        [True, False, False],
    ]


def test_readme_names_every_file():
    text = (DATA / "README.md").read_text()
    for path in DATA.glob("*.csv"):
        assert f"`{path.name}`" in text


def test_unknown_data_set_names_the_known_ones():
    with pytest.raises(cp.StudyError, match="elements"):
        cp.load_dataset("element")


def test_script_writes_the_examples_again(tmp_path):
    module = script()
    module.write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(module.SEEDS)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (DATA / path.name).read_bytes()


@pytest.mark.parametrize("name", script().SEEDS)
def test_examples_are_what_the_simulators_draw(name):
    table = simulate(name, script().SEEDS[name])
    found = cp.load_dataset(name)
    assert tuple(found.columns) == table.descriptors + table.targets
    np.testing.assert_allclose(found, np.hstack([table.x, table.y]), rtol=1e-9, atol=1e-12)


def test_readme_gives_the_drawn_truth_of_the_perovskite():
    drawn = perovskite(script().SEEDS["perovskite"]).truth_parameters
    for value in dataclasses.astuple(drawn):
        assert f"= {value:.4f}" in (DATA / "README.md").read_text()
