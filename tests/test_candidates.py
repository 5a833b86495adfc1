"""Candidates: meshes, tables, and which of them are one point."""

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.candidates import Candidates
from claude_pymc.acquisition.spaces import mesh
from claude_pymc.errors import CandidateError, TableError
from claude_pymc.tables.table import Table

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "exp": [np.nan, 7.0]})


def read(frame, descriptors=("a", "b"), targets=("sim", "exp")):
    return Candidates.read(frame, descriptors, targets)


def test_a_mesh_has_all_combinations():
    found = mesh(a=[0, 1, 2], b=np.array([5.0, 6.0]), c=3)
    assert list(found) == ["a", "b", "c"]
    expected = [[a, b, 3.0] for a in (0, 1, 2) for b in (5, 6)]
    assert found.to_numpy().tolist() == expected


@pytest.mark.parametrize("axes", [{}, {"a": []}, {"a": [1.0], "b": []}])
def test_an_empty_mesh(axes):
    with pytest.raises(CandidateError, match="an empty range"):
        mesh(**axes)


def test_values_of_targets_are_taken_along():
    found = read(FRAME)
    assert found.frame.to_numpy().tolist() == [[1.0, 3.0], [2.0, 4.0]]
    np.testing.assert_equal(found.values, [[np.nan, np.nan], [np.nan, 7.0]])
    assert found.labels == []


def test_order_of_columns_is_that_of_the_descriptors():
    assert read(FRAME, ("b", "a")).frame.to_numpy().tolist() == [[3.0, 1.0], [4.0, 2.0]]


def test_a_table_brings_its_labels():
    table = Table(["a", "b"], ["exp"], FRAME[["a", "b"]], FRAME[["exp"]], labels=["p", "q"])
    found = read(table)
    assert found.labels == ["p", "q"]
    np.testing.assert_equal(found.values[:, 1], [np.nan, 7.0])


@pytest.mark.parametrize(
    ("frame", "error", "word"),
    [
        (FRAME.to_numpy(), CandidateError, "got ndarray"),
        (FRAME.drop(columns="b"), CandidateError, "'b' is missing"),
        (FRAME.iloc[:0], CandidateError, "an empty table"),
        (FRAME.assign(b=[3.0, np.nan]), CandidateError, "'b'.*\n.*empty cell in row 1"),
        (FRAME.assign(b=["3", "four"]), TableError, "'four' in line 1"),
        (FRAME.assign(b=["3", "-inf"]), TableError, "a finite number in column 'b'"),
        (FRAME.assign(exp=["", "?"]), TableError, r"'\?' in line 1"),
    ],
)
def test_errors(frame, error, word):
    with pytest.raises(error, match=word):
        read(frame)


ALL = np.ones(1, dtype=bool)


def keys(*values):
    return [key.tobytes() for key in read(pd.DataFrame({"a": values}), ("a",), ()).keys_of(ALL)]


def test_keys_of_equal_points_are_equal():
    one, two, three = keys(0.3, 0.1 + 0.2, 0.3 + 1e-8)
    assert one == two
    assert one != three
    assert len(set(keys(0.0, -0.0))) == 1
    assert len(set(keys(1e30, 1e30 * (1 + 1e-15), -1e30))) == 2
    assert len(set(keys(2e-12, 2e-12 * (1 + 1e-15), 3e-12))) == 2


def test_keys_hold_through_a_csv(tmp_path, rng):
    x = pd.DataFrame({"a": rng.normal(size=300) * 10.0 ** rng.integers(-6, 6, 300)})
    x.to_csv(tmp_path / "x.csv", index=False, float_format="%.14g")
    again = pd.read_csv(tmp_path / "x.csv")
    assert (read(x, ("a",), ()).keys_of(ALL) == read(again, ("a",), ()).keys_of(ALL)).all()
