"""Frames, files and collections of rows, and parts that do not fit."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from oracle import random_rows

from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

NAN = np.nan
FRAME = pd.DataFrame({"x": [0.0, 0.25, 0.5, 1.0], "sim": [1.0, 2.0, 3.0, 4.0], "exp": [1.5] * 4})
DESIGN = Design.from_bounds({"x": (0, 1)}, ["sim", "exp"], Polynomial(degree=2))


def condense(frame, design=DESIGN):
    """Statistics of all rows at once, with the targets that the frame has."""
    targets = [name for name in design.targets if name in frame]
    return PatternStats.from_table(Table.from_frame(frame, design.descriptors, targets), design)


def assert_equal(a, b):
    """Equal to 1e-12 of the length of the two columns of an entry."""
    assert a.design == b.design
    assert a.patterns == b.patterns
    assert a.n_dropped == b.n_dropped
    np.testing.assert_array_equal(a.counts, b.counts)
    for ours, gram in zip(a.grams, b.grams, strict=True):
        length = np.sqrt(np.diag(gram).astype(float))
        assert (np.abs(ours - gram) <= 1e-12 * np.outer(length, length)).all()


def many(n=500, d=3):
    """Rows with two descriptors in which all patterns take turns, and a design of other origin."""
    rows = random_rows(np.random.default_rng(n), n, 2, d)
    ranges = dict.fromkeys(rows.targets, (-1.0, 3.0))
    bounds = {"x1": (-1, 1), "x2": (-2, 1)}
    return rows.to_frame(), Design.from_bounds(
        bounds, rows.targets, Polynomial(degree=2), ranges=ranges
    )


def write(folder, **parts):
    """Write frames or Arrow tables to files of a folder, which is returned."""
    for name, part in parts.items():
        table = part if isinstance(part, pa.Table) else pa.Table.from_pandas(part)
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def partitions(*frames):
    """A collection of the frames as they are, each made by the worker that gets it."""
    return dd.from_map(lambda i: frames[i], range(len(frames)), meta=frames[0].iloc[:0])


# Merging


def bare(n):
    return pd.DataFrame({"x": np.linspace(0, 1, n), "sim": NAN, "exp": NAN})


def replaced(column, row, value):
    """FRAME with one cell replaced."""
    cells = FRAME[column].astype(object)
    cells[row] = value
    return FRAME.assign(**{column: cells.infer_objects()})


LOG = Design.from_bounds(
    {"x": (0, 1)}, ["sim", "exp"], transforms=dict.fromkeys(["sim", "exp"], "log")
)
# A part that does not fit, and what the error says of it; chunks have three rows.
BAD_PARTS = {
    "text": (replaced("sim", 3, "ca. 3"), "in column 'sim'\n +got 'ca. 3' in row 3 of {}\n"),
    "truth": (FRAME.assign(exp=True), "in column 'exp'\n +got 'True' in row 0 of {}\n"),
    "infinite": (
        replaced("exp", 3, -np.inf),
        "finite numbers\n +got an infinite value in row 3, column 'exp', among rows 3 to 3 of {}\n",
    ),
    "infinite text": (replaced("exp", 3, "inf"), "column 'exp'\n +got 'inf' in row 3 of {}\n"),
    "no descriptor": (
        replaced("x", 3, NAN),
        "'x' in every row .*\n +got a missing one in row 3, 1 in all, among rows 3 to 3 of {}\n",
    ),
    "no logarithm": (replaced("sim", 1, -2.0), "'sim', .*\n +got -2, among rows 0 to 2 of {}\n"),
    "no column": (FRAME.drop(columns="x"), r"column 'x'\n +got 0 of them .*'exp'\] of {}\n"),
}
