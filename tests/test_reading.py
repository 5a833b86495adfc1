"""CSV files and frames: what is understood, and errors that name line, column and text."""

import numpy as np
import pandas as pd
import pytest

from claude_pymc.errors import TableError
from claude_pymc.tables.table import Table

NAN = np.nan


@pytest.fixture
def read(tmp_path):
    def from_text(text, encoding="utf-8", **options):
        path = tmp_path / "rows.csv"
        path.write_bytes(text.encode(encoding))
        return Table.from_csv(path, descriptors=["x"], targets=["sim", "exp"], **options)

    return from_text


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("x,sim,exp\n1,2,3\n", [1], [[2, 3]]),
        ("exp,note,x,sim\n3,a,1,2\n", [1], [[2, 3]]),
        ("x,sim,exp\n1,,NaN\n2,NA,n/a\n3,null,None\n", [1, 2, 3], [[NAN, NAN]] * 3),
        ("\ufeffx,sim,exp\n1,2,3\n", [1], [[2, 3]]),
        ("x;sim;exp\n1,5;-2,25;3\n2;,5;1,5e-3\n", [1.5, 2], [[-2.25, 3], [0.5, 1.5e-3]]),
        ("x;sim;exp\n1.5;2;3\n", [1.5], [[2, 3]]),
        ("x;sim;exp\n1,5;2.5;3\n", [1.5], [[2.5, 3]]),
        ("x\tsim\texp\n1\t\t3\n1,5\t2\t3\n", [1, 1.5], [[NAN, 3], [2, 3]]),
        ("x,sim,exp\r\n1,2,3\r\n", [1], [[2, 3]]),
        (" x , sim,exp\n 1, 2 ,3\n", [1], [[2, 3]]),
        ("x,sim,exp\n1,2,3\n\n,,\n4,5,6\n\n \n", [1, 4], [[2, 3], [5, 6]]),
        ("x,sim,exp\n1,2,3\n1,2,3\n", [1, 1], [[2, 3], [2, 3]]),
        ("x,sim,exp,\n1,2,3,\n", [1], [[2, 3]]),
        ('"x",sim,exp\n"1",2,3\n', [1], [[2, 3]]),
        ("x,sim,exp\n", np.zeros(0), np.zeros((0, 2))),
    ],
)
def test_what_is_understood(read, text, x, y):
    table = read(text)
    np.testing.assert_array_equal(table.x[:, 0], x)
    np.testing.assert_array_equal(table.y, y)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x,sim\n1,2\n", r"expected one column 'exp'\n +got 0 of them among .*'sim'.* rows\.csv"),
        ("x,sim,sim,exp\n1,2,3,4\n", "got 2 of them"),
        ("x,sim,exp\n1,2,3\n\n2,abc,4\n", r"column 'sim'\n +got 'abc' in line 4 of rows\.csv"),
        ("x,sim,exp\n1,2,3 GPa\n", r"column 'exp'\n +got '3 GPa' in line 2"),
        ("x,sim,exp\n1,2,1_000\n", r"column 'exp'\n +got '1_000' in line 2"),
        (
            'x,sim,exp\n1,"2,5",3\n',
            r"column 'sim'\n +got '2,5' in line 2[^$]*cause a decimal comma",
        ),
        ("x,sim,exp\n1,2,5,3\n", "cause .* a decimal comma in a comma-separated file"),
        ("x,sim,exp\n1,2,3\n1,2,5,3\n", "line 3[^$]*cause .* a decimal comma"),
        ("x;sim;exp\n1,5;2;3\n2.5;1;2\n", r"one decimal sign [^$]*'2\.5' in line 3, column 'x'"),
        ("x;sim;exp\n1.234,5;2;3\n", r"column 'x'\n +got '1\.234,5' in line 2"),
        ("x,sim,exp\n1,2,inf\n", r"finite number in column 'exp'\n +got 'inf' in line 2"),
        ("x,sim,exp\n1,-1e999,3\n", r"finite number in column 'sim'\n +got '-1e999' in line 2"),
        ("# made by\nx,sim,exp\n1,2,3\n", "a header line [^$]*cause a comment line"),
        ("", "a header line [^$]*cause an export that failed"),
    ],
)
def test_what_is_refused(read, text, says):
    with pytest.raises(TableError, match=says):
        read(text)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused(read, encoding):
    with pytest.raises(TableError, match=r"text file in UTF-8[^$]*export the sheet as 'CSV UTF-8'"):
        read("x,sim,exp\n1,2,é\n", encoding)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"a CSV file at 'none\.csv'\n +got no such file"):
        Table.from_csv(tmp_path / "none.csv", ["x"], ["sim"])


def test_labels_are_text_as_it_stands(read):
    assert read("n,x,sim,exp\nNA,1,2,3\n007,1,2,3\n", labels="n").labels == ("NA", "007")
    with pytest.raises(TableError, match="a column 'm' for the labels"):
        read("n,x,sim,exp\na,1,2,3\n", labels="m")


def test_labels_keep_their_commas(read):
    assert read("n;x;sim;exp\n1,2;1,5;2;3\n", labels="n").labels == ("1,2",)


def test_columns_that_are_not_asked_for_may_hold_anything(read):
    assert len(read("x;sim;exp;date\n1;2;3;1,5\n2;3;4;1.5\n")) == 2


@pytest.mark.parametrize(
    "column",
    [
        [1, 2, 3],
        [1.0, None, 3.0],
        pd.array([1, None, 3], dtype="Int64"),
        pd.array([1.5, None, 3], dtype="Float64"),
        np.array([1, 2, 3], dtype=np.float32),
        ["1", " 2.5 ", ""],
        [1, pd.NA, "3"],
    ],
)
def test_frames_of_any_numeric_dtype(column):
    table = Table.from_frame(pd.DataFrame({"x": [0, 1, 2], "y": column}), ["x"], ["y"])
    expected = pd.to_numeric(pd.Series(column).replace("", None)).astype("Float64")
    np.testing.assert_array_equal(table.y[:, 0], expected.to_numpy(np.float64, na_value=np.nan))


@pytest.mark.parametrize("value", [True, "abc", pd.Timestamp(2024, 1, 1)])
def test_frames_with_other_values_are_refused(value):
    with pytest.raises(TableError, match="a number or an empty cell in column 'y'"):
        Table.from_frame(pd.DataFrame({"x": [0], "y": [value]}), ["x"], ["y"])


def test_other_wrong_cells_are_named_with_the_first_one(read):
    rows = [f"{i},{'?' if i > 2 else i},{'n.d.' if i == 3 else 1}" for i in range(1, 10)]
    with pytest.raises(TableError) as caught:
        read("x,sim,exp\n" + "\n".join(rows) + "\n")
    text = str(caught.value)
    assert "'?' in line 4 of rows.csv; also '?' in line 5, column 'sim'; " in text
    assert text.count("'?'") == 6
    assert " and 2 more" in text
    assert "correct the cells, or leave them empty" in text


def test_six_wrong_cells_are_all_named_and_long_ones_cut(read):
    rows = [f"{i},{'a' * 60 if i > 3 else i},1" for i in range(1, 10)]
    with pytest.raises(TableError) as caught:
        read("x,sim,exp\n" + "\n".join(rows) + "\n")
    text = str(caught.value)
    assert text.count("'" + "a" * 40 + " ...'") == 6
    assert "more" not in text


def test_wrong_cells_beside_a_column_of_text_are_told(read):
    with pytest.raises(TableError) as caught:
        read("x,sim,exp\n1,?,red\n2,3,blue\n3,n.d.,green\n")
    assert "'?' in line 2" in str(caught.value) and "blue" not in str(caught.value)
    assert "'n.d.' in line 4, column 'sim'; 'red' in line 2, column 'exp'" in str(caught.value)
