"""Rows in Parquet files become statistics, chunk by chunk."""

from decimal import Decimal

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fakes import content
from source_cases import (
    BAD_PARTS,
    DESIGN,
    FRAME,
    LOG,
    NAN,
    assert_equal,
    bare,
    condense,
    many,
    replaced,
    write,
)

from claude_pymc.errors import Notice, TableError
from claude_pymc.tables import sources
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table


@pytest.mark.parametrize("size", [9, 500])
def test_files_are_all_rows(tmp_path, monkeypatch, size):
    frame, design = many()
    (tmp_path / "deep").mkdir()
    parts = {"a": frame[:200], "b": frame[200:201], "deep/a": frame[201:].assign(note="a")}
    write(tmp_path, **parts)
    for name in ("_metadata.parquet", ".hidden.parquet", "notes.txt"):
        (tmp_path / name).write_text("not rows")
    monkeypatch.setattr(sources, "CHUNK", size)
    files = [tmp_path / f"{name}.parquet" for name in parts]
    for paths in (
        tmp_path,
        f"{tmp_path}/**/[ab].parquet",
        iter(files),
        [*files[:2], str(tmp_path / "deep"), tmp_path / "deep/../a.parquet", f"{tmp_path}/b*"],
    ):
        assert_equal(PatternStats.from_parquet(paths, design), condense(frame, design))
    assert_equal(PatternStats.from_parquet(str(files[1]), design), condense(frame[200:201], design))


def test_files_that_differ(tmp_path):
    columns = [
        pa.array([1, None, 3, 4], pa.int16()),
        pa.array([1, None, NAN, 4], pa.float32()),
        pa.array([Decimal("0.10"), None, Decimal("3.25"), None], pa.decimal128(5, 2)),
        pa.array(["1.5", "", None, " 1e-3 "], pa.string()),
        pa.array(["1", "2", None, "1"]).dictionary_encode(),
        pa.array([1.5, 2.0, None, 1.5]).dictionary_encode(),
        pa.nulls(4),
        pa.chunked_array([[0.1], [None, 0.2, 0.3]]),
    ]
    x, y = [0.0, 0.25, 0.5, 1.0], [1.0] * 4
    parts = {f"p{i}": pa.table({"x": x, "sim": c, "exp": y}) for i, c in enumerate(columns)}
    parts["int"] = FRAME.astype({"sim": "Int64", "exp": "Float64"}).replace(3, pd.NA)
    parts["index"] = FRAME.set_index("x")
    parts["empty"] = FRAME.iloc[:0].astype(str)
    write(tmp_path, **parts)
    frames = [p.to_pandas() if isinstance(p, pa.Table) else p.reset_index() for p in parts.values()]
    whole = pd.concat([f[["x", "sim", "exp"]].astype(object) for f in frames], ignore_index=True)
    assert_equal(PatternStats.from_parquet(tmp_path, DESIGN), condense(whole))


def test_files_may_lack_targets_together(tmp_path):
    folder = write(tmp_path, a=FRAME[["x", "exp"]], b=FRAME[["exp", "x"]])
    both = condense(FRAME.assign(sim=NAN))
    with pytest.warns(Notice, match=r"'sim' is missing in every row: .* in a.parquet") as caught:
        assert_equal(PatternStats.from_parquet(folder, DESIGN), both + both)
    assert [one.filename for one in caught] == [__file__]


def test_a_reader_that_finds_no_column(tmp_path, synchronous):
    folder = write(tmp_path, a=FRAME, b=FRAME.drop(columns="exp"))
    with pytest.raises(TableError, match="from_parquet names the file"):
        PatternStats.from_dask(dd.read_parquet(folder, dtype_backend=None), DESIGN)


def test_rows_of_files_without_a_target_are_noticed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 2)
    folder = write(tmp_path, a=bare(3), b=FRAME, c=bare(2))
    with pytest.warns(Notice, match="^5 of 9 rows have no target and were left out$") as caught:
        stats = PatternStats.from_parquet(folder, DESIGN)
    assert (len(caught), stats.n_dropped, caught[0].filename) == (1, 5, __file__)


@pytest.mark.parametrize("name", BAD_PARTS)
def test_bad_files_are_named(name, tmp_path, monkeypatch):
    part, says = BAD_PARTS[name]
    if name == "text":
        part = part.astype({"sim": str})
    elif name == "infinite text":
        part = part.astype({"exp": str})
    monkeypatch.setattr(sources, "CHUNK", 3)
    before = content(write(tmp_path, a=FRAME, b=part, c=FRAME))
    with pytest.raises(TableError, match=says.format(r"b\.parquet")):
        PatternStats.from_parquet(tmp_path, LOG)
    assert content(tmp_path) == before


def test_a_target_that_one_file_lacks_is_named(tmp_path):
    write(tmp_path, a=FRAME, b=FRAME.rename(columns={"exp": "Exp"}))
    with pytest.raises(TableError, match=r"'exp' in every file.*\n +got none in b\.parquet"):
        PatternStats.from_parquet(tmp_path, DESIGN)
    write(tmp_path, b=FRAME[["x"]])
    with pytest.raises(TableError, match=r"one of the targets .*\n +got .* of b\.parquet"):
        PatternStats.from_parquet(tmp_path, DESIGN)
    twice = pa.table([[0.5], [1.0], [2.0]], names=["x", "sim", "sim"])
    with pytest.raises(TableError, match=r"one column 'sim'\n +got 2 of them .* of b\.parquet"):
        PatternStats.from_parquet(write(tmp_path, b=twice), DESIGN)


def test_files_of_one_name_are_told_apart(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, a=FRAME if folder == "one" else replaced("x", 2, NAN))
    with pytest.raises(TableError, match=r"row 2, .* of .*/two/a\.parquet\n"):
        PatternStats.from_parquet(tmp_path, DESIGN)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"x,sim,exp\n0,1,2\n",
        pytest.param(lambda raw: raw[: len(raw) // 2], id="truncated"),
        pytest.param(lambda raw: b"", id="empty"),
        pytest.param(lambda raw: raw[:4] + bytes(60) + raw[64:], id="spoilt"),
    ],
)
def test_files_that_are_not_parquet_are_named(tmp_path, spoil):
    path = write(tmp_path, a=FRAME, b=FRAME) / "b.parquet"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TableError, match=r"a Parquet file\n +got 'b\.parquet': \w"):
        PatternStats.from_parquet(tmp_path, DESIGN)


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ("", r"Parquet files at .*\n +got a folder without \*\.parquet"),
        ("none.parquet", r"none\.parquet'\n +got no such file"),
        ("*/rows.parquet", r"rows\.parquet'\n +got no such file"),
        ("notes.txt", r"a Parquet file\n +got 'notes\.txt'"),
    ],
)
def test_paths_without_parquet_files(tmp_path, paths, says):
    (tmp_path / "notes.txt").write_text("no rows")
    with pytest.raises(TableError, match=says):
        PatternStats.from_parquet(tmp_path / paths, DESIGN)
    with pytest.raises(TableError, match=r"Parquet files\n +got an empty list"):
        PatternStats.from_parquet([], DESIGN)


def test_memory_is_bounded(tmp_path, monkeypatch):
    n, seen, condense = 1_000_000, [], PatternStats._condense
    rows = np.random.default_rng(0).uniform(size=(n, 3))  # 24 MB in one row group
    path = write(tmp_path, a=pa.table(dict(zip(["x", "sim", "exp"], rows.T, strict=True))))

    def spy(table, design):
        seen.append(pa.total_allocated_bytes())
        return condense(table, design)

    monkeypatch.setattr(PatternStats, "_condense", spy)
    monkeypatch.setattr(sources, "CHUNK", 4096)
    assert PatternStats.from_parquet(path, DESIGN).n_rows == n
    assert max(seen) - seen[0] < 15e6


def test_progress_counts_rows(tmp_path, monkeypatch):
    from rich.progress import Progress

    seen, advance = [], Progress.advance

    def spy(bar, task, rows):
        advance(bar, task, rows)
        seen.append((rows, bar.tasks[0].completed, bar.tasks[0].total))

    monkeypatch.setattr(Progress, "advance", spy)
    monkeypatch.setattr(sources, "CHUNK", 3)
    write(tmp_path, a=FRAME, b=FRAME)
    silent = PatternStats.from_parquet(tmp_path, DESIGN)
    assert not seen
    assert_equal(PatternStats.from_parquet(tmp_path, DESIGN, progress=True), silent)
    assert seen == [(3, 3, 8), (1, 4, 8), (3, 7, 8), (1, 8, 8)]


# Scales


@pytest.mark.parametrize("scaled", [True, False])
def test_columns_whose_scales_are_far_apart(tmp_path, rng, scaled):
    x = rng.uniform(size=(3000, 2)) * [1e-6, 1e6]
    u = x / [1e-6, 1e6]
    y = np.stack([u @ [1, 2] + u[:, 0] * u[:, 1], u @ [3, -1]], 1) + 0.1 * rng.normal(size=u.shape)
    y *= [1e6, 1e-6]
    frame = pd.DataFrame(np.hstack([x, y]), columns=["a", "b", "sim", "exp"])
    names = {"sim": "volume", "exp": "gap"}
    table = Table.from_frame(frame, ["a", "b"], ["sim", "exp"])
    basis, bounds = Polynomial(degree=2), {"a": (0.0, 1e-6), "b": (0.0, 1e6)}
    design = Design.from_table(table, basis, quantities=names)
    if not scaled:
        design = Design.from_bounds(bounds, ["sim", "exp"], basis, quantities=names)
    stats = PatternStats.from_parquet(write(tmp_path, a=frame[:1000], b=frame[1000:]), design)

    low, high = np.array(design.bounds, dtype=np.longdouble).T
    v = 2 * (x.astype(np.longdouble) - low) / (high - low) - 1
    phi = [np.prod(v**order, axis=1) for order in np.array(basis.orders(2))]
    t = (y.astype(np.longdouble) - np.longdouble(design.location)) / np.longdouble(design.scale)
    z = np.stack([*phi, *t.T], axis=1)
    exact = PatternStats(design, ((True, True),), np.array([3000]), (z.T @ z)[None].astype(float))
    assert_equal(stats, exact)
    p = len(phi)
    ours = np.linalg.solve(stats.grams[0, :p, :p], stats.grams[0, :p, p:])
    q, r = np.linalg.qr(z[:, :p].astype(float))
    coefficients = np.linalg.solve(r, q.T @ z[:, p:].astype(float))
    scale = np.abs(coefficients).max(axis=0)
    np.testing.assert_allclose(ours / scale, coefficients / scale, rtol=0, atol=1e-11)
