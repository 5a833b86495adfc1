"""Statistics merged in pairs, and rows in Dask collections."""

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
import pytest
from distributed import Client, LocalCluster
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
    partitions,
    write,
)

from claude_pymc.errors import Notice, StatisticsError, TableError
from claude_pymc.tables import sources
from claude_pymc.tables.design import Design
from claude_pymc.tables.sources import merged
from claude_pymc.tables.statistics import PatternStats


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
        kept = {"format", "design", "present", "counts", "grams", "roots", "n_dropped"}
        assert set(file) == kept
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
    with pytest.raises(StatisticsError, match=rf"the package {package}\n[^$]*pip install '\.\["):
        getattr(PatternStats, call)(tmp_path, DESIGN)


def test_extras_are_loaded_only_where_they_are_used():
    code = (
        "import sys; from claude_pymc import PatternStats; "
        "print(*[m for m in ('dask', 'distributed', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
