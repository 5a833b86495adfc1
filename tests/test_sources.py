"""Dask partitions and Parquet files: as all rows in one table, or an error that says where."""

import json
import logging
import os
import subprocess
import sys
from decimal import Decimal

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from fakes import content
from oracle import random_rows

from claude_pymc.errors import Notice, StatisticsError, TableError
from claude_pymc.tables import sources
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.sources import merged
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

NAN = np.nan
FRAME = pd.DataFrame({"x": [0.0, 0.25, 0.5, 1.0], "sim": [1.0, 2.0, 3.0, 4.0], "exp": [1.5] * 4})
DESIGN = Design.from_bounds({"x": (0, 1)}, ["sim", "exp"], Polynomial(degree=2))


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes; a task that kills one is not tried again."""
    settings = {"distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",  # any free port: no dashboard still has one
            silence_logs=logging.CRITICAL,
        ) as running,
    ):
        yield running


@pytest.fixture(params=["synchronous", "cluster"])
def scheduler(request):
    if request.param == "synchronous":
        with dask.config.set(scheduler="synchronous"):
            yield
    else:
        with Client(request.getfixturevalue("cluster")):
            yield


@pytest.fixture
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


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


def test_parts_in_any_order_are_all_rows(rng):
    frame, design = many()
    order, cuts = rng.permutation(len(frame)), np.sort(rng.integers(0, len(frame), 60))
    parts = [condense(frame.iloc[rows], design) for rows in np.split(order, cuts)]
    assert_equal(PatternStats.merge(parts), condense(frame, design))
    assert_equal(PatternStats.merge(reversed(parts)), condense(frame, design))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 1000])
def test_parts_keep_their_order_and_none_is_lost(n):
    assert merged((i,) for i in range(n)) == tuple(range(n))


def test_pairs_keep_digits_that_a_running_sum_loses():
    parts = [np.float32(0.1)] * 2**16
    exact = 2**16 * float(parts[0])
    assert abs(sum(parts, np.float32(0)) / exact - 1) > 1e-5
    assert merged(parts) == exact


def test_laboratories_exchange_a_design_and_statistics_without_rows(tmp_path):
    frame, design = many()
    sent = json.dumps(design.to_dict())
    for name, rows in (("a", frame[:200]), ("b", frame[200:])):
        condense(rows, Design.from_dict(json.loads(sent))).save(tmp_path / f"{name}.npz")
    both = PatternStats.merge(PatternStats.load(tmp_path / f"{name}.npz") for name in "ab")
    assert_equal(both, condense(frame, design))
    both.save(tmp_path / "both.npz")
    raw = np.concatenate(
        [frame.to_numpy().ravel(), design.to_model(frame[list(design.targets)]).ravel()]
    )
    with np.load(tmp_path / "both.npz") as file:
        assert set(file) == {"design", "present", "counts", "grams", "roots", "n_dropped"}
        assert file["grams"].shape[0] == len(file["counts"]) == 7
        for name in ("grams", "roots"):
            assert not np.isin(file[name][file[name] != 0], raw[np.isfinite(raw)]).any()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "at least one part\n +got none"),
        (["a.npz"], r"list of PatternStats\n +got one with a str[^$]*PatternStats\.load"),
        ([PatternStats.empty(DESIGN), PatternStats.empty(many()[1])], "designs that differ in"),
    ],
)
def test_what_cannot_be_merged_is_refused(parts, says):
    with pytest.raises(StatisticsError, match=says):
        PatternStats.merge(parts)


# Dask


def test_partitions_are_all_rows(scheduler):
    frame, design = many()
    collection = dd.from_pandas(frame[frame.columns[::-1]].assign(note="a"), npartitions=7)
    assert_equal(PatternStats.from_dask(collection, design), condense(frame, design))


class Stays:
    """A cell that reads as 1 and cannot leave its process."""

    def __str__(self):
        return "1"

    def __reduce__(self):
        raise AssertionError("a row travels")


def staying(i):
    return FRAME.assign(sim=[Stays() for _ in range(4)])


def test_rows_stay_where_they_are(cluster):
    with Client(cluster), dask.config.set({"dataframe.convert-string": False}):
        collection = dd.from_map(staying, range(5), meta=FRAME.assign(sim=object()).iloc[:0])
        stats = PatternStats.from_dask(collection, DESIGN)
    assert_equal(stats, condense(pd.concat([FRAME.assign(sim=1.0)] * 5)))


def test_large_partitions_are_condensed_in_chunks(synchronous, monkeypatch):
    frame, design = many()
    monkeypatch.setattr(sources, "CHUNK", 13)
    collection = dd.from_pandas(frame, npartitions=2)
    assert_equal(PatternStats.from_dask(collection, design), condense(frame, design))


def test_a_collection_may_lack_targets(synchronous):
    with pytest.warns(Notice, match=r"'sim' is missing in every row: .*\['x', 'exp'\]") as caught:
        stats = PatternStats.from_dask(dd.from_pandas(FRAME[["x", "exp"]], npartitions=2), DESIGN)
    assert [one.filename for one in caught] == [__file__]
    assert_equal(stats, condense(FRAME.assign(sim=NAN)))


def test_partitions_that_differ(synchronous):
    parts = [
        FRAME,
        FRAME.iloc[:0],
        FRAME.assign(exp=None),
        FRAME.assign(sim=["1", " 2.5", "", "1e3"], exp=[1, pd.NA, 3, None]),
        FRAME.astype({"x": "float32", "sim": "Int64", "exp": "Float64"}).replace(3, pd.NA),
        FRAME.astype({"sim": pd.ArrowDtype(pa.int32()), "exp": "category"}),
        FRAME.assign(sim=[Decimal("0.1")] * 4, x=["0", "0.5", "1", "1"]),
    ]
    whole = pd.concat([frame.astype(object) for frame in parts], ignore_index=True)
    assert_equal(PatternStats.from_dask(partitions(*parts), DESIGN), condense(whole))


def bare(n):
    return pd.DataFrame({"x": np.linspace(0, 1, n), "sim": NAN, "exp": NAN})


def test_rows_without_a_target_are_noticed_once(scheduler):
    collection = partitions(FRAME, bare(3), bare(2))
    with pytest.warns(Notice, match="^5 of 9 rows have no target and were left out$") as caught:
        stats = PatternStats.from_dask(collection, DESIGN)
    assert (len(caught), stats.n_dropped, stats.n_rows) == (1, 5, 4)
    assert caught[0].filename == __file__


def test_no_row_at_all_is_noticed(synchronous, tmp_path):
    none = FRAME.iloc[:0]
    with pytest.warns(Notice, match="there was no row"):
        stats = PatternStats.from_dask(partitions(none, none), DESIGN)
    assert_equal(stats, PatternStats.empty(DESIGN))
    with pytest.warns(Notice, match="there was no row") as caught:
        stats = PatternStats.from_parquet(write(tmp_path, a=none, b=none), DESIGN)
    assert_equal(stats, PatternStats.empty(DESIGN))
    assert (len(caught), caught[0].filename) == (1, __file__)


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


@pytest.mark.parametrize("name", BAD_PARTS)
def test_bad_partitions_are_named(name, synchronous, monkeypatch):
    part, says = BAD_PARTS[name]
    parts = [frame.assign(note="a") for frame in (FRAME, FRAME, part)]
    says = says.replace("'exp'", "'note'") if name == "no column" else says
    monkeypatch.setattr(sources, "CHUNK", 3)
    with pytest.raises(TableError, match=says.format("partition 2")):
        PatternStats.from_dask(partitions(*parts), LOG)


def test_an_error_comes_back_from_a_worker(cluster):
    with Client(cluster), pytest.raises(TableError, match="row 3 of partition 1\n"):
        PatternStats.from_dask(partitions(FRAME, BAD_PARTS["text"][0]), DESIGN)


@pytest.mark.parametrize(
    ("collection", "says"),
    [
        (FRAME, r"a Dask DataFrame\n +got a pandas DataFrame[^$]*PatternStats\.from_table"),
        (dd.from_pandas(FRAME)["x"], "a Dask DataFrame\n +got a dask Series"),
        (
            dd.from_pandas(FRAME[["sim"]]),
            "one column 'x'\n +got 0 of them .* of the Dask DataFrame",
        ),
        (dd.from_pandas(FRAME[["x"]]), r"one of the targets \['sim', 'exp'\]\n +got .*\['x'\] of"),
    ],
)
def test_collections_that_do_not_fit_are_refused(collection, says):
    with pytest.raises(TableError, match=says):
        PatternStats.from_dask(collection, DESIGN)


def die(i):
    """Read a partition whose worker runs out of luck."""
    if i == 1:
        os._exit(1)
    return FRAME


def test_a_worker_that_dies_is_said(cluster):
    collection = dd.from_map(die, range(3), meta=FRAME.iloc[:0])
    with Client(cluster), pytest.raises(StatisticsError, match="workers that live") as caught:
        PatternStats.from_dask(collection, DESIGN)
    assert "a worker that died, at the task" in caught.value.got
    assert "repartition" in caught.value.todo
    with Client(cluster):  # which goes on with another worker
        assert PatternStats.from_dask(dd.from_pandas(FRAME, npartitions=2), DESIGN).n_rows == 4


def test_a_process_that_dies_is_said():
    collection = dd.from_map(die, range(2), meta=FRAME.iloc[:0])
    settings = dask.config.set(scheduler="processes", num_workers=1)
    with settings, pytest.raises(StatisticsError, match="died, at the task 'of a process pool'"):
        PatternStats.from_dask(collection, DESIGN)


@pytest.mark.parametrize(("call", "package"), [("from_dask", "dask"), ("from_parquet", "pyarrow")])
def test_a_package_that_is_not_installed(call, package, monkeypatch, tmp_path):
    write(tmp_path, a=FRAME)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StatisticsError, match=f"the package {package}\n[^$]*pip install 'claude-"):
        getattr(PatternStats, call)(tmp_path, DESIGN)


def test_extras_are_loaded_only_where_they_are_used():
    code = (
        "import sys; from claude_pymc import PatternStats; "
        "print(*[m for m in ('dask', 'distributed', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


# Parquet


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
