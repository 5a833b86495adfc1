"""Legendre polynomials, splines and kernel features against SciPy, PyMC and exact processes."""

import functools
import json
import math

import numpy as np
import pymc as pm
import pytest
from scipy.interpolate import BSpline
from scipy.special import eval_legendre

import claude_pymc as cp
from claude_pymc.errors import DesignError, TableError
from claude_pymc.joint.scales import scales_of
from claude_pymc.tables.bases import basis_from_dict


def test_legendre_polynomials_are_those_of_scipy(rng):
    u = rng.uniform(-1, 1, (9, 2))
    basis = cp.Legendre(degree=5)
    expected = [eval_legendre(n, u[:, 0]) * eval_legendre(m, u[:, 1]) for n, m in basis.orders(2)]
    np.testing.assert_allclose(basis.expand(u).T, expected, atol=1e-13)
    assert basis.terms(["a", "b"])[:5] == ("1", "a", "b", "P2(a)", "a b")
    assert basis.groups(["a", "b"])[3:5] == ("quadratic", "interaction")


def test_splines_are_those_of_scipy_and_add_up_to_one(rng):
    u = rng.uniform(-1, 1, (30, 1))
    basis = cp.Spline(order=7)
    phi = basis.expand(u)
    assert phi.shape == (30, 9)
    np.testing.assert_allclose(phi[:, 2:].sum(axis=1), 1.0)
    step = 0.5
    knots = -1 + step * np.arange(-3, 8)
    for m in range(7):
        one = BSpline(knots, np.eye(7)[m], 3)
        np.testing.assert_allclose(phi[:, 2 + m], one(u[:, 0]), atol=1e-13)
    np.testing.assert_array_equal(basis.expand(np.array([[1.5]]))[0, 2:], phi_at_one(basis))


def phi_at_one(basis):
    return basis.expand(np.array([[1.0]]))[0, 2:]


@functools.cache
def scales_by(basis, names):
    design = cp.Design.from_bounds(dict.fromkeys(names, (-1.0, 1.0)), ["y"], basis)
    return scales_of(cp.JointGaussian(design))


def log_sd(basis, names, log_amplitude, log_length):
    """Prior sds of all terms of the first target, by the formula of the scales, at any length."""
    scales = scales_by(basis, tuple(names))
    found = scales.offset + log_amplitude * scales.weight.sum(axis=1)
    found += 0.5 * log_length * scales.half.sum(axis=1)
    return found - 0.25 * math.exp(2 * log_length) * scales.frequency.sum(axis=1)


def test_features_and_variances_are_those_of_pymc(rng):
    basis = cp.HSGP(order=12, boundary=2.0)
    u = np.sort(rng.uniform(-1, 1, (15, 1)), axis=0)
    with pm.Model():
        theirs = pm.gp.HSGP(m=[12], L=[2.0], cov_func=1.7**2 * pm.gp.cov.ExpQuad(1, ls=0.5))
        # PyMC centres the data on the middle of their range: give it the bounds, too.
        phi, psd = theirs.prior_linearized(np.vstack([[[-1.0]], u, [[1.0]]]))
        phi, psd = phi.eval()[1:-1], psd.eval()
    np.testing.assert_allclose(basis.expand(u)[:, 2:], phi, atol=1e-10)
    ours = np.exp(log_sd(basis, ["a"], math.log(1.7), math.log(0.5)))[2:]
    np.testing.assert_allclose(ours, psd, rtol=1e-8)


def difference(basis, n, length, seed, edge=1.0):
    """Largest errors of mean and sd of a process given rows, in units of its prior sd.

    Rows lie within -1 .. 1, candidates within -edge .. edge.
    """
    rng = np.random.default_rng(seed)
    names = ["a", "b"][:n]
    x, new = rng.uniform(-1, 1, (12, n)), edge * rng.uniform(-1, 1, (80, n))
    corners = np.array(np.meshgrid(*[[-edge, edge]] * n)).reshape(n, -1).T
    new = np.vstack([new, corners])
    used = [g.startswith("gp") for g in basis.groups(names)]
    if n == 2:  # the product alone
        used = [g == "gp a b" for g in basis.groups(names)]
    root = np.exp(log_sd(basis, names, 0.0, math.log(length)))[used]

    def exact(one, two):
        return np.exp(-0.5 * np.square((one[:, None] - two) / length).sum(axis=-1))

    def ours(one, two):
        left, right = (basis.expand(v)[:, used] * root for v in (one, two))
        return left @ right.T

    y = np.linalg.cholesky(exact(x, x) + 1e-9 * np.eye(12)) @ rng.standard_normal(12)
    y = y + 0.05 * rng.standard_normal(12)
    found = []
    for kernel in (exact, ours):
        carried = np.linalg.solve(kernel(x, x) + 0.05**2 * np.eye(12), kernel(x, new))
        rest = np.diag(kernel(new, new)) - (kernel(new, x) * carried.T).sum(axis=1)
        found.append((carried.T @ y, np.sqrt(np.maximum(rest, 0.0))))
    return [np.abs(a - b).max() for a, b in zip(*found, strict=True)]


@pytest.mark.parametrize(
    ("order", "boundary"),
    [(16, 2.0), (16, 2.5), (16, 3.0), (16, 4.0), (9, 2.5), (32, 2.0), (24, 1.3)],
)
@pytest.mark.parametrize("n", [1, 2])
def test_the_process_is_the_exact_one_within_the_range_of_lengths(n, order, boundary):
    """Mean and sd within 2 % of the prior sd from the shortest to the longest length."""
    basis = cp.HSGP(order=order, boundary=boundary, interactions=[(0, 1)] if n == 2 else [])
    for length in np.geomspace(basis.shortest, basis.longest, 4):
        errors = np.array([difference(basis, n, length, seed) for seed in range(10)])
        assert errors.max() < 0.02, (length, errors.max(axis=0))


@pytest.mark.parametrize("n", [1, 2])
def test_at_the_longest_length_few_means_are_off_by_more(n):
    basis = cp.HSGP(interactions=[(0, 1)] if n == 2 else [])
    errors = np.array([difference(basis, n, basis.longest, seed) for seed in range(300)])
    mean, sd = errors.T
    assert sd.max() < 0.02
    assert np.quantile(mean, 0.95) < 0.02
    assert mean.max() < 0.04


@pytest.mark.parametrize("n", [1, 2])
def test_beyond_the_range_of_lengths_it_is_not(n):
    basis = cp.HSGP(order=16, interactions=[(0, 1)] if n == 2 else [])
    for length in (0.6 * basis.shortest, 2.5 * basis.longest):
        errors = np.array([difference(basis, n, length, seed) for seed in range(10)])
        assert errors.max() > 0.02


@pytest.mark.parametrize("boundary", [2.0, 2.5, 3.0])
@pytest.mark.parametrize("n", [1, 2])
def test_beyond_the_bounds_the_process_is_the_exact_one_as_far_as_documented(n, boundary):
    """Within 16 % of the prior sd at the reach, and useless at twice that way to the boundary."""
    basis = cp.HSGP(order=16, boundary=boundary, interactions=[(0, 1)] if n == 2 else [])
    for edge, least, most in ((basis.reach, 0.0, 0.16), (2 * basis.reach - 1, 0.3, 1.0)):
        errors = [difference(basis, n, basis.longest, seed, edge) for seed in range(10)]
        assert least < np.max(errors) < most, (edge, np.max(errors, axis=0))


WIDE = {"x": (200.0, 600.0), "z": (0.0, 1.0)}


@pytest.mark.parametrize(
    ("basis", "most", "says"),
    [
        (cp.HSGP(order=9), 700.0, r"720 in row 1, 120 beyond the bounds or 0\.6 half widths; 1"),
        (cp.HSGP(order=12, boundary=4.0), 800.0, "840 in row 1, 240 beyond"),
        (cp.Spline(), 640.0, r"648 in row 1, 48 beyond the bounds or 0\.24 half widths; 1 of 2"),
    ],
)
def test_rows_beyond_the_reach_are_refused(basis, most, says):
    design = cp.Design.from_bounds(WIDE, ["y"], basis)
    margin = most - 600.0
    for x in (most, 200.0 - margin):
        assert np.isfinite(design.phi([[x, 0.0]])).all()
    for x in (600.0 + 1.2 * margin, 200.0 - 1.2 * margin):
        with pytest.raises(TableError, match=f"'x' between {200 - margin:g} and {most:g}, where"):
            design.phi([[200.0, 0.0], [x, 0.0]])
    with pytest.raises(TableError, match=says) as error:
        design.phi([[200.0, 0.0], [600.0 + 1.2 * margin, 0.0]])
    assert f"bounds={{'x': (200, {600 + 1.2 * margin:g})}} in Design.from_table" in str(error.value)
    wider = cp.Design.from_bounds({**WIDE, "x": (200.0, 600.0 + 1.2 * margin)}, ["y"], basis)
    assert np.isfinite(wider.phi([[600.0 + 1.2 * margin, 0.0]])).all()


def test_polynomials_and_linear_terms_reach_anywhere():
    for basis in (cp.Polynomial(degree=2), cp.Legendre(degree=4), cp.Sine(order=2)):
        assert cp.Design.from_bounds(WIDE, ["y"], basis).phi([[9000.0, -5.0]]).shape[0] == 1
    alone = cp.HSGP(order=9, exponents=[[0, 0], [1, 0], [0, 1], [0, 2]])
    design = cp.Design.from_bounds(WIDE, ["y"], alone)
    assert design.phi([[9000.0, 0.5]])[0, 1] == 43.0
    with pytest.raises(TableError, match=r"'z' between -0\.25 and 1\.25"):
        design.phi([[9000.0, 1.6]])
    assert design.phi([[np.nan, 0.5]])[0, 1] == 0.0


def test_the_row_beyond_is_named_where_it_comes_from():
    rows = cp.Table(["x"], ["y"], np.linspace(0, 1, 9)[:, None], np.ones((9, 1)))
    with pytest.raises(TableError, match="1 in row 8"):
        cp.Design.from_table(rows, cp.Spline(), bounds={"x": (0.0, 0.5)})
    design = cp.Design.from_table(rows, cp.Spline())
    later = cp.Table(["x"], ["y"], [[0.5], [2.0]], [[np.nan], [1.0]], labels=["a", "b"])
    with pytest.raises(TableError, match=r"2 in row 1 \(b\), 1 beyond the bounds"):
        cp.PatternStats.from_table(later, design)
    raw = cp.Design.from_bounds({"x": (0.0, 9.0)}, ["y"], cp.Spline(), standardize=False)
    with pytest.raises(TableError, match=r"bounds -1 \.\. 1"):
        raw.phi([[2.0]])


def test_lengths_stay_within_the_range():
    rows = cp.Table(["a"], ["y"], np.linspace(0, 1, 9)[:, None], np.sin(np.arange(9.0))[:, None])
    design = cp.Design.from_table(rows, cp.HSGP())
    idata = cp.sample(cp.JointGaussian(design), cp.PatternStats.from_table(rows, design), seed=0)
    length = idata["posterior"]["length"]
    assert length.dims == ("chain", "draw", "kernel")
    assert design.basis.shortest <= length.min() and length.max() <= design.basis.longest


@pytest.mark.parametrize(
    "basis",
    [
        cp.Legendre(degree=3),
        cp.Spline(order=5),
        cp.HSGP(order=9, boundary=2.0, lengths="each", interactions=[(0, 1)]),
    ],
)
def test_bases_round_trip(basis):
    assert basis_from_dict(json.loads(json.dumps(basis.to_dict()))) == basis


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: cp.HSGP(boundary=1.0), "boundary of at least 1.2"),
        (lambda: cp.HSGP(boundary="wide"), "boundary of at least 1.2"),
        (lambda: cp.HSGP(order=3), "an order that carries some lengths"),
        (lambda: cp.HSGP(boundary=1.3), r"more than 18\.2\n +got 16"),
        (lambda: cp.HSGP(lengths="all"), "lengths 'shared' or 'each'"),
        (lambda: cp.HSGP(interactions=[(0, 0)]), "different pairs of descriptors"),
        (lambda: cp.HSGP(interactions=[(0, 1), (1, 0)]), "different pairs of descriptors"),
        (lambda: cp.HSGP(interactions=[("a", "b")]), "different pairs of descriptors"),
        (lambda: cp.HSGP(interactions=[("a", 1)]), "different pairs of descriptors"),
        (lambda: cp.HSGP(interactions=[0, 1]), r"different pairs.*\n +got \[0, 1\]"),
        (lambda: cp.HSGP(interactions=[(0, 2)]).orders(2), r"descriptors 0 .. 1\n +got \(0, 2\)"),
        (lambda: cp.Spline(order=3), "order as a whole number of at least 4"),
        (lambda: cp.Legendre(degree=-1), "degree as a whole number"),
    ],
)
def test_what_makes_no_basis_is_refused(make, says):
    with pytest.raises(DesignError, match=says):
        make()


def test_corrections_may_name_groups():
    def chosen(*names):
        design = cp.Design.from_bounds(
            {"a": (0, 1), "b": (0, 1)}, ["sim", "exp"], cp.HSGP(order=9), {"exp": names}
        )
        return design.corrections[1]

    assert chosen("1", "linear") == ("1", "a", "b")
    assert chosen("gp b") == tuple(f"gp{m}(b)" for m in range(1, 10))
    assert chosen("all") == cp.HSGP(order=9).terms(["a", "b"])
    with pytest.raises(DesignError, match=r"'gp c'(.|\n)*groups among \['constant', 'linear'"):
        chosen("gp c")
    with pytest.raises(DesignError, match="'a' twice"):
        chosen("a", "linear")
