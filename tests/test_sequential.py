"""Sequential updating as the paper means it: rows are condensed, forgotten, and new ones added.

Statistics of a first part are saved, its rows deleted, and the rest is added row by row, in random
order; a wrong row is added and taken away again. What is left equals the statistics of all rows at
once up to the rounding of sums in another order. So the digest may differ; it is the same where the
sums are exact, and then the draws of a sampler are the same too. (The command line reads rows, not
statistics: there is nothing to compare.)
"""

import warnings

import numpy as np
import pytest
from calibration_cases import make_sampler
from oracle import all_patterns, random_columns, random_precision, random_rows

import claude_pymc as cp
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.ops import pattern_numpy

DESIGNS = ["conditional 2", "conditional 3", "missing_descriptors 2", "missing_descriptors 3"]


def make_rows(rng, n, d, missing):
    """Random rows with all patterns of targets, and of descriptors if they may be missing."""
    rows = random_rows(rng, n, 2, d)
    if not missing:
        return rows
    x = rows.x.copy()
    x[~np.resize(all_patterns(2), (n, 2))[rng.permutation(n)]] = np.nan
    x[0], y = np.nan, rows.y.copy()
    y[1], x[1] = np.nan, 0.5  # descriptors alone: in the joint Gaussian they are data
    return cp.Table(rows.descriptors, rows.targets, x, y)


def make_spec(d, missing):
    """A design that is not made from the rows, with a location and a scale."""
    targets = [f"y{j + 1}" for j in range(d)]
    design = cp.Design.from_bounds(
        {"x1": (-1.0, 1.0), "x2": (-2.0, 1.0)},
        targets,
        cp.Polynomial(degree=1 if missing else 3),
        ranges=dict.fromkeys(targets, (-3.0, 5.0)),
        missing_descriptors=missing,
    )
    likelihood = "joint" if missing else "conditional"
    return cp.JointGaussian(design, cp.LKJPrior(), likelihood)


def condense(rows, design):
    """Statistics of a few rows, where some targets may have no value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cp.Notice)
        return cp.PatternStats.from_table(rows, design)


def one_by_one(rows, design, rng, path, wrong=None):
    """Save a first part, forget its rows, add the others singly; a wrong row comes and goes."""
    order = rng.permutation(len(rows))
    condense(rows.rows(order[: len(rows) // 3]), design).save(path)
    rest = rows.rows(order[len(rows) // 3 :])
    del rows
    stats = cp.PatternStats.load(path)
    for i in range(len(rest)):
        stats = stats + condense(rest.rows([i]), design)
        if wrong is not None and i == len(rest) // 2:
            stats = stats + condense(wrong, design)
        if i % 7 == 0:  # and between sessions it lives in the file
            stats.save(path)
            stats = cp.PatternStats.load(path)
    return stats if wrong is None else stats - condense(wrong, design)


@pytest.fixture(params=DESIGNS)
def case(request, rng, tmp_path):
    """Specification, all rows at once, and the same rows in sequence."""
    missing, d = request.param.startswith("missing"), int(request.param[-1])
    spec = make_spec(d, missing)
    rows = make_rows(rng, 120, d, missing)
    x = [[0.3, np.nan]] if missing else [[0.3, 0.1]]
    wrong = cp.Table(rows.descriptors, rows.targets, x, np.full((1, d), 41.0))  # for 4.1
    batch = condense(rows, spec.design)
    sequence = one_by_one(rows, spec.design, rng, tmp_path / "stats.npz", wrong)
    return spec, batch, sequence


def test_counts_and_grams_are_those_of_all_rows_at_once(case):
    spec, batch, sequence = case
    assert sequence.design == batch.design == spec.design
    assert sequence.patterns == batch.patterns
    np.testing.assert_array_equal(sequence.counts, batch.counts)
    assert (sequence.n_rows, sequence.shared_rows) == (batch.n_rows, batch.shared_rows)
    atol = 1e-10 * np.abs(batch.grams).max()
    np.testing.assert_allclose(sequence.grams, batch.grams, rtol=0, atol=atol)


def test_likelihoods_are_those_of_all_rows_at_once(case, rng):
    spec, batch, sequence = case
    d, p = len(spec.design.targets), len(spec.design.terms)
    for _ in range(20):
        if spec.likelihood == "conditional":
            precision = random_precision(rng, p, d)
            one, two = (cp.log_likelihood(precision, stats) for stats in (sequence, batch))
            assert one == pytest.approx(two, rel=1e-10)
        variables = len(spec.columns.variables)
        columns = random_columns(rng, len(spec.columns.terms), variables)
        one, two = (pattern_numpy(*columns, **data_of(spec, s)) for s in (sequence, batch))
        for a, b in zip(one, two, strict=True):  # value and gradients
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())


def test_a_row_that_was_never_added_is_refused(case):
    spec, _, sequence = case
    d = len(spec.design.targets)
    x = [[0.3, np.nan]] if spec.likelihood == "joint" else [[0.3, 0.1]]
    stranger = cp.Table(("x1", "x2"), spec.design.targets, x, np.full((1, d), 41.0))
    with pytest.raises(cp.StatisticsError, match=r"not among those|rows from 0"):
        sequence - condense(stranger, spec.design)


def dyadic(rng, n, d):
    """Rows of multiples of 1/64: their sums of products are exact in any order."""
    rows = random_rows(rng, n, 1, d)
    x, y = (np.round(64 * a) / 64 for a in (np.abs(rows.x), rows.y))
    return cp.Table(["x"], ["sim", "exp"], x, y)


def test_digest_and_draws_are_the_same_where_sums_are_exact(rng, tmp_path):
    sampler = make_sampler("shrinkage", "conditional", 2)
    design = sampler.spec.design
    rows = dyadic(rng, 40, 2)
    wrong = cp.Table(rows.descriptors, rows.targets, [[0.5]], [[4096.0, 4096.0]])
    batch = condense(rows, design)
    sequence = one_by_one(rows, design, rng, tmp_path / "stats.npz", wrong)
    assert (sequence.grams == batch.grams).all()
    assert sequence.digest == batch.digest
    settings = {"draws": 50, "tune": 100, "chains": 1, "seed": 3, "target_accept": 0.8}
    one, two = (sampler.draw(stats, **settings) for stats in (sequence, batch))
    assert one.attrs["data_hash"] == two.attrs["data_hash"] == batch.digest
    for name, values in two["posterior"].data_vars.items():
        assert (one["posterior"][name] == values).all()


def test_digest_may_differ_where_sums_are_rounded(rng):
    """The digest is one of bytes: a person who compares it should know."""
    spec = make_spec(2, False)
    rows = make_rows(rng, 120, 2, False)
    batch = condense(rows, spec.design)
    digests = {condense(rows.rows(rng.permutation(120)), spec.design).digest for _ in range(10)}
    assert digests != {batch.digest}
    assert condense(rows, spec.design).digest == batch.digest


def test_it_remembers_no_row(rng, tmp_path):
    """The size of the file does not grow with the rows, and the values are not in it."""
    spec = make_spec(2, False)
    sizes = []
    for n in (60, 6000):
        condense(make_rows(rng, n, 2, False), spec.design).save(tmp_path / "stats.npz")
        sizes.append((tmp_path / "stats.npz").stat().st_size)
    assert sizes[1] < 1.2 * sizes[0]
    with np.load(tmp_path / "stats.npz") as file:
        assert max(values.size for values in file.values()) == 3 * 12 * 12
