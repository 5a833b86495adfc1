"""The flat prior is refused where rows leave its posterior without a finite mass."""

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.joint.propriety import refuse_improper, shortfalls

NAN = np.nan


def rows_of(rng, *counts, targets=("sim", "exp")):
    """Random rows: ``counts`` are (pattern as text, number), as in ("11", 3)."""
    present = np.array([[c == "1" for c in word] for word, n in counts for _ in range(n)])
    y = np.where(present, rng.normal(size=present.shape), NAN)
    x = rng.permutation(np.linspace(-1, 1, len(y)))
    return cp.Table(["x"], targets, x[:, None], y)


def short(rows, degree, likelihood="conditional", **corrections):
    basis = cp.Polynomial(degree=degree)
    bounds = dict.fromkeys(rows.descriptors, (-1, 1))
    design = cp.Design.from_bounds(
        bounds, rows.targets, basis, corrections, missing_descriptors=likelihood == "joint"
    )
    spec = cp.JointGaussian(design, cp.FlatPrior(), likelihood)
    stats = cp.PatternStats.from_table(rows, design)
    found = shortfalls(spec, stats)
    if found:
        with pytest.raises(cp.SamplingError, match=f"{found[0][0]!r}: {found[0][1]} rows"):
            refuse_improper(spec, stats)
    else:
        refuse_improper(spec, stats)
    assert shortfalls(spec, stats + stats) == [(v, 2 * n, rank, m) for v, n, rank, m in found]
    refuse_improper(cp.JointGaussian(design, cp.LKJPrior(), likelihood), stats)
    return found


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([("11", 3), ("10", 2)], []),
        ([("11", 3), ("10", 1)], [("sim", 4, 4, 5)]),
        ([("11", 2), ("10", 3)], [("exp", 2, 2, 3)]),
        ([("11", 2), ("10", 3), ("01", 9)], [("exp", 2, 2, 3)]),
        ([("11", 3), ("10", 1), ("01", 9)], [("sim", 4, 4, 5)]),
        ([("10", 4), ("01", 9)], [("sim", 4, 4, 5), ("exp", 0, 0, 3)]),
        ([("11", 5)], []),
        ([("11", 4)], [("sim", 4, 4, 5)]),
    ],
)
def test_thresholds_of_two_targets(counts, expected, rng):
    """Four terms, of which the experiment has one: p + 1 = 5 and |K| + 2 = 3 rows, not one less."""
    assert short(rows_of(rng, *counts), 3, exp=["1"]) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([("111", 4), ("110", 1), ("100", 1)], []),
        ([("111", 3), ("110", 2), ("100", 1)], [("c", 3, 3, 4)]),
        ([("111", 4), ("110", 0), ("100", 2)], [("b", 4, 4, 5)]),
        ([("111", 4), ("110", 1), ("100", 0)], [("a", 5, 5, 6)]),
        ([("011", 9), ("110", 5), ("100", 1)], [("c", 0, 0, 4)]),
    ],
)
def test_thresholds_of_three_targets(counts, expected, rng):
    """Five, three and one terms: six rows with a, five with a and b, four with all."""
    rows = rows_of(rng, *counts, targets=("a", "b", "c"))
    assert short(rows, 4, b=["1", "x", "x^2"], c=["1"]) == expected


def test_thresholds_of_the_joint_likelihood(rng):
    """Ranks are of [1, x1], [1, x1, x2] and [1, x1, x2, y]; whatever is missing does not count."""
    z = rng.normal(size=(9, 3))
    z[4:6, 0], z[6:, 2] = NAN, NAN
    rows = cp.Table(["x1", "x2"], ["y"], z[:, :2], z[:, 2:])
    assert short(rows, 1, "joint") == []
    assert short(rows.rows(slice(1, None)), 1, "joint") == [("y", 3, 3, 4)]
    assert short(rows.rows([0, 4, 5]), 1, "joint") == [
        ("x1", 1, 1, 2),
        ("x2", 1, 1, 3),
        ("y", 1, 1, 4),
    ]


def test_equal_rows_and_exact_values_do_not_count(rng):
    rows = rows_of(rng, ("11", 20))
    assert short(rows, 3, exp=["1"]) == []
    few = rows.rows([0, 1, 2, 3] * 5)
    assert short(few, 3, exp=["1"]) == [("sim", 20, 4, 5)]
    exact = 1 + 2 * rows.x[:, 0] - rows.x[:, 0] ** 3
    same = cp.Table(["x"], rows.targets, rows.x, np.column_stack([exact, rows.y[:, 1]]))
    assert short(same, 3, exp=["1"]) == [("sim", 20, 4, 5)]
    shifted = cp.Table(["x"], rows.targets, rows.x, rows.y[:, [0]] + [0.0, 0.5])
    assert short(shifted, 3, exp=["1"]) == [("exp", 20, 2, 3)]


def test_the_paper_s_toy_is_refused_before_a_draw(monkeypatch):
    rows = cp.simulate("toy_pair")
    design = cp.Design.from_table(rows, cp.Polynomial(degree=3), {"exp": ["1"]})
    stats = cp.PatternStats.from_table(rows, design)
    sampler = cp.Sampler(cp.JointGaussian(design, cp.FlatPrior()), backend="pymc")
    monkeypatch.setattr(sampler.nuts, "_pymc", lambda *args: pytest.fail("sampling began"))
    says = r"'exp': 0 rows together with \['sim'\] of rank 0, 3 short of 3\n(.|\n)*find_map"
    with pytest.raises(cp.SamplingError, match=says):
        sampler.draw(stats)
