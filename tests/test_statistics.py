"""Sufficient statistics: they add, forget the order of rows, and can be taken away again."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import all_patterns, random_rows

import claude_pymc as cp
from claude_pymc.errors import Notice, StatisticsError, TableError
from claude_pymc.tables import gram as condensing
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured
from claude_pymc.tables.table import Table

NAN = np.nan
few = settings(max_examples=20, deadline=None, derandomize=True, database=None)
seeds, numbers = st.integers(0, 2**32 - 1), st.integers(1, 4)


def make(seed, d):
    """Random rows, two of each pattern or more, and a design that is not made from them."""
    rows = random_rows(np.random.default_rng(seed), max(20, 2 * (2**d - 1)), 1, d)
    ranges = dict.fromkeys(rows.targets, (-1.0, 3.0))
    basis = Polynomial(degree=2)
    return rows, Design.from_bounds({"x1": (-1, 1)}, rows.targets, basis, ranges=ranges)


def condense(rows, design):
    """Statistics of a part of the rows, where some targets may have no value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        return PatternStats.from_table(rows, design)


def assert_equal(a, b):
    """Equal up to the rounding of sums in another order."""
    assert a.design == b.design
    assert a.patterns == b.patterns
    assert a.n_dropped == b.n_dropped
    np.testing.assert_array_equal(a.counts, b.counts)
    atol = 1e-13 * np.abs(b.grams).max(initial=0) * b.n_rows
    np.testing.assert_allclose(a.grams, b.grams, rtol=0, atol=atol)


@few
@given(seeds, numbers)
def test_grams_are_dense_sums_over_every_pattern(seed, d):
    rows, design = make(seed, d)
    stats = PatternStats.from_table(rows, design)
    assert sorted(stats.patterns) == sorted(map(tuple, all_patterns(d).tolist()))
    for pattern, count, gram in zip(stats.patterns, stats.counts, stats.grams, strict=True):
        expected, n = np.zeros_like(gram), 0
        for phi, y in zip(design.phi(rows.x), design.to_model(rows.y), strict=True):
            if (np.isfinite(y) == pattern).all():
                z = np.append(phi, np.where(pattern, y, 0))
                expected, n = expected + np.outer(z, z), n + 1
        assert count == n
        np.testing.assert_allclose(gram, expected, rtol=0, atol=1e-13 * np.trace(gram))
        np.testing.assert_array_equal(gram, gram.T)


@few
@given(seeds, numbers)
def test_counts_agree_with_the_table(seed, d):
    rows, design = make(seed, d)
    stats = PatternStats.from_table(rows, design)
    assert stats.n_rows == len(rows)
    assert {name: stats.measured(name) for name in design.targets} == rows.counts
    present = np.isfinite(rows.y)
    assert stats.shared_rows == (present[:, -1] & present[:, :-1].any(axis=1)).sum()
    np.testing.assert_array_equal(stats.rows, stats.present * stats.counts[:, None])


@few
@given(seeds, numbers, st.integers(0, 20))
def test_parts_add_up_in_any_order_of_rows(seed, d, cut):
    rows, design = make(seed, d)
    whole = PatternStats.from_table(rows, design)
    shuffled = rows.rows(np.random.default_rng(seed + 1).permutation(len(rows)))
    parts = [condense(shuffled.rows(s), design) for s in (slice(cut), slice(cut, None))]
    assert_equal(parts[0] + parts[1], whole)
    assert_equal(parts[1] + parts[0], whole)
    assert_equal(whole + PatternStats.empty(design), whole)


@few
@given(seeds, numbers, st.integers(0, 20))
def test_what_was_added_can_be_taken_away(seed, d, cut):
    rows, design = make(seed, d)
    a, b = (condense(rows.rows(s), design) for s in (slice(cut), slice(cut, None)))
    assert_equal((a + b) - b, a)
    assert_equal((a + b) - a - b, PatternStats.empty(design))


def test_taking_away_too_much_is_refused():
    rows, design = make(0, 1)
    stats = PatternStats.from_table(rows, design)
    with pytest.raises(StatisticsError, match=r"take away 20 rows from 0 with targets \['y1'\]"):
        PatternStats.empty(design) - stats
    with pytest.raises(StatisticsError, match=r"take away 40 rows from 20"):
        stats - (stats + stats)
    stranger = Table(["x1"], ["y1"], [[0.5]], [[40.0]])
    with pytest.raises(StatisticsError, match=r"rows that are not among those with .*\['y1'\]"):
        stats - PatternStats.from_table(stranger, design)
    other = PatternStats.from_table(Table(["x1"], ["y1"], rows.x, rows.y + 1), design)
    with pytest.raises(StatisticsError, match=r"other rows than those with targets \['y1'\]"):
        stats - other


@pytest.mark.parametrize("operation", ["__add__", "__sub__"])
def test_statistics_of_two_designs_do_not_mix(operation):
    rows, design = make(0, 2)
    other = Design.from_table(rows, Polynomial(degree=2), {"y2": ["1"]})
    assert other.transforms == design.transforms
    stats = PatternStats.from_table(rows, design)
    with pytest.raises(StatisticsError, match="differ in corrections, bounds, location, scale\n"):
        getattr(stats, operation)(PatternStats.from_table(rows, other))


def test_rows_without_a_target_are_dropped_with_a_notice():
    rows, design = make(0, 2)
    bare = Table(rows.descriptors, rows.targets, [[0.0], [1.0]], np.full((2, 2), NAN))
    with pytest.warns(Notice, match="2 of 22 rows have no target"):
        stats = PatternStats.from_table(rows + bare, design)
    assert stats.n_dropped == 2
    assert (stats + stats).n_dropped == 4
    assert_equal(stats, PatternStats(**{**vars(condense(rows, design)), "n_dropped": 2}))


def test_statistics_are_shown_in_a_line():
    rows, design = make(0, 2)
    rows = rows.rows(np.isfinite(rows.y[:, 0])).without("y2", slice(5))
    n, m = rows.counts.values()
    text = f"PatternStats: {n} rows in 2 patterns, {n} of y1, {m} of y2"
    assert repr(condense(rows, design)) == text


def test_a_target_without_a_value_is_noticed_when_a_model_is_fitted():
    rows, design = make(0, 2)
    rows = rows.rows(np.isfinite(rows.y[:, 0])).without("y2", slice(None))
    stats = PatternStats.from_table(rows, design)  # one of many increments: nothing to say
    assert stats.measured("y2") == 0
    with pytest.warns(Notice, match="target 'y2' has no value yet") as caught:
        notice_unmeasured(stats)
    assert len(caught) == 1
    notice_unmeasured(PatternStats.empty(design))


def test_columns_are_matched_by_name():
    rows, design = make(0, 3)
    x, (a, b, c) = np.hstack([rows.x * 0, rows.x]), rows.y.T
    wide = Table(["x0", "x1"], ["y3", "y0", "y1", "y2"], x, np.stack([c, a * 2, a, b], axis=1))
    assert_equal(PatternStats.from_table(wide, design), PatternStats.from_table(rows, design))
    part = Table(["x1"], ["y2"], rows.x, rows.y[:, [1]])
    same = rows.without("y1", slice(None)).without("y3", slice(None))
    assert_equal(condense(part, design), condense(same, design))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (Table(["x"], ["y1"], [[0]], [[1]]), r"descriptors \['x1'\].*\n +got a table with \['x'\]"),
        (Table(["x1"], ["y"], [[0]], [[1]]), r"one of the targets \['y1', 'y2'\]\n"),
        (Table(["x1"], ["y1"], [[0], [NAN]], [[1], [2]]), "'x1' in every row .*\n.* in row 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(rows, says):
    with pytest.raises(TableError, match=says):
        PatternStats.from_table(rows, make(0, 2)[1])


def test_tables_in_other_units_are_refused():
    a, b = (Table(["x"], ["y"], [[0], [1]], [[1], [2]], units={"y": u}) for u in ("GPa", "MPa"))
    with pytest.raises(TableError, match="unit"):
        PatternStats.from_table(b, Design.from_table(a))


@pytest.mark.parametrize("size", [1, 7, 20, 21])
def test_chunks_do_not_show(monkeypatch, size):
    rows, design = make(3, 2)
    whole = PatternStats.from_table(rows, design)
    monkeypatch.setattr(condensing, "CHUNK", size)
    assert_equal(PatternStats.from_table(rows, design), whole)


def test_saved_statistics_come_back(tmp_path):
    rows, design = make(0, 3)
    bare = Table(rows.descriptors, rows.targets, [[0.0]], np.full((1, 3), NAN))
    for stats in (condense(rows + bare, design), PatternStats.empty(design)):
        stats.save(tmp_path / "stats.npz")
        again = PatternStats.load(tmp_path / "stats.npz")
        assert_equal(again, stats)
        assert again.digest == stats.digest
        np.testing.assert_array_equal(again.grams, stats.grams)


def test_the_digest_tells_what_a_fit_has_seen():
    rows, design = make(0, 2)
    stats = PatternStats.from_table(rows, design)
    others = [stats + stats, PatternStats.empty(design), condense(rows.rows(slice(5)), design)]
    assert len({s.digest for s in [stats, *others]}) == 4
    assert PatternStats.from_table(rows, design).digest == stats.digest


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"not at all",
        pytest.param(lambda raw: raw[: len(raw) // 2], id="truncated"),
        pytest.param(lambda raw: b"", id="empty"),
        pytest.param(lambda raw: raw[:80] + bytes(4) + raw[84:], id="spoilt"),
    ],
)
def test_other_files_are_refused(tmp_path, spoil):
    path = tmp_path / "stats.npz"
    PatternStats.empty(make(0, 2)[1]).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(StatisticsError, match=r"PatternStats\.save\n +got 'stats\.npz'"):
        PatternStats.load(path)


def test_files_of_another_kind_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(StatisticsError, match=r"got 'other.npz', which is not one \(KeyError\)"):
        PatternStats.load(tmp_path / "other.npz")
    with pytest.raises(StatisticsError, match=r"got no file .*none.npz'"):
        PatternStats.load(tmp_path / "none.npz")


def test_rows_instead_of_statistics(rng):
    rows, design = make(3, 2)
    stats, spec = PatternStats.from_table(rows, design), cp.JointGaussian(design)
    for wrong in (
        lambda: stats + rows,
        lambda: cp.sample(spec, rows),
        lambda: cp.Sampler(spec).draw(rows),
        lambda: cp.evidence(spec, rows),
        lambda: cp.find_map(spec, rows),
    ):
        with pytest.raises(StatisticsError, match=r"got a Table\n.*\n.*from_table"):
            wrong()
