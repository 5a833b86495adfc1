"""Tables are frozen, add up, and remember what they hold."""

import numpy as np
import pandas as pd
import pytest

from claude_pymc.errors import TableError
from claude_pymc.tables.table import Table

NAN = np.nan


def table(x, y, targets=("sim", "exp"), descriptors=("x",), **options):
    return Table(descriptors, targets, x, y, **options)


ROWS = table([[0], [1], [2]], [[1, NAN], [2, 3], [NAN, NAN]], labels=["a", "b", "c"])


def test_counts_are_of_measured_values():
    assert len(ROWS) == 3
    assert ROWS.counts == {"sim": 2, "exp": 1}


def test_arrays_are_copied_and_frozen():
    x = np.zeros((1, 1))
    rows = table(x, [[1, 2]])
    x[0, 0] = 5
    assert rows.x[0, 0] == 0
    for values in (rows.x, rows.y):
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (dict(x=[[0]], y=[[1]]), r"y of shape \(row, 2\)"),
        (dict(x=[0], y=[[1, 2]]), r"x of shape \(row, 1\)"),
        (dict(x=[[0], [1]], y=[[1, 2]]), "got 2, 1 and 0"),
        (dict(x=[[0]], y=[[1, 2]], labels=["a", "b"]), "got 1, 1 and 2"),
        (dict(x=[[0]], y=[[1, np.inf]]), "infinite value in row 0, column 'exp'"),
        (dict(x=[[np.inf]], y=[[1, 2]]), "infinite value in row 0, column 'x'"),
        (dict(x=[[0]], y=[[1, 2]], targets=("sim", "sim")), "each named once"),
        (dict(x=[[0]], y=[[1, 2]], targets=("x", "exp")), "each named once"),
        (dict(x=[[0]], y=np.zeros((1, 0)), targets=()), "at least one descriptor and one target"),
    ],
)
def test_what_is_not_a_table_is_refused(arguments, says):
    with pytest.raises(TableError, match=says):
        table(**arguments)


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (("sim", "exp"), ("sim", "exp"), ("sim", "exp")),
        (("sim", "exp"), ("exp",), ("sim", "exp")),
        (("exp",), ("sim", "exp"), ("sim", "exp")),
        (("sim", "exp"), ("mid", "exp"), ("sim", "mid", "exp")),
        (("sim",), ("exp",), ("sim", "exp")),
        (("b", "d"), ("a", "b", "c", "d", "e"), ("a", "b", "c", "d", "e")),
    ],
)
def test_tables_add(first, second, merged):
    a = table([[0], [1]], np.arange(2.0 * len(first)).reshape(2, -1), first)
    b = table([[2]], -1 - np.arange(1.0 * len(second))[None], second)
    total = a + b
    assert total.targets == merged
    frames = pd.concat([a.to_frame(), b.to_frame()], ignore_index=True)[["x", *merged]]
    pd.testing.assert_frame_equal(total.to_frame(), frames)


def test_sums_match_descriptors_by_name():
    a = table([[0, 10]], [[1, 2]], descriptors=("p", "q"), units={"p": "K"})
    b = table([[20, 5]], [[3, 4]], descriptors=("q", "p"), units={"sim": "T"}, labels=["b"])
    total = a + b
    np.testing.assert_array_equal(total.x, [[0, 10], [5, 20]])
    assert total.labels == ("", "b")
    assert total.units == {"p": "K", "sim": "T"}


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (dict(descriptors=("z",)), r"descriptors \['x'\]\n +got descriptors \['z'\]"),
        (dict(units={"exp": "MPa"}), r"one unit for 'exp'\n +got 'GPa' and 'MPa'"),
        (dict(targets=("exp", "sim")), r"order \['sim', 'exp'\]\n +got \['exp', 'sim'\]"),
    ],
)
def test_tables_that_clash_do_not_add(other, says):
    with pytest.raises(TableError, match=says):
        table([[0]], [[1, 2]], units={"exp": "GPa"}) + table([[0]], [[1, 2]], **other)


@pytest.mark.parametrize("index", [[True, False, True], [0, 2], slice(None, None, 2)])
def test_rows_selects(index):
    chosen = ROWS.rows(np.array(index) if isinstance(index, list) else index)
    assert chosen.labels == ("a", "c")
    np.testing.assert_array_equal(chosen.x, [[0], [2]])
    np.testing.assert_array_equal(chosen.y, [[1, NAN], [NAN, NAN]])


def test_without_hides_a_target_and_leaves_the_table_alone():
    hidden = ROWS.without("sim", [1])
    np.testing.assert_array_equal(hidden.y, [[1, NAN], [NAN, 3], [NAN, NAN]])
    assert ROWS.counts["sim"] == 2


def test_digest_is_of_names_and_values():
    same = table([[-0.0], [1], [2]], [[1, NAN], [2, 3], [NAN, NAN]])
    assert same.digest == ROWS.digest
    others = [
        table(same.x, same.y, ("sim", "test")),
        table(same.x, same.y, descriptors=("z",)),
        same.rows([1, 0, 2]),
        same.without("exp", [1]),
        table(same.x + 1e-15, same.y),
    ]
    assert len({ROWS.digest, *(other.digest for other in others)}) == 6


def test_digest_knows_one_kind_of_missing():
    assert table([[0]], [[1, NAN]]).digest == table([[0]], [[1, -NAN]]).digest


def test_frames_round_trip():
    frame = ROWS.to_frame()
    again = Table.from_frame(frame, ["x"], ["sim", "exp"], labels="label")
    assert again.digest == ROWS.digest
    assert again.labels == ROWS.labels
    assert list(frame.columns) == ["label", "x", "sim", "exp"]
