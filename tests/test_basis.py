"""Bases: names, terms and values against scikit-learn and against the paper's formula."""

import itertools
import json

import numpy as np
import pytest
from sklearn.preprocessing import PolynomialFeatures

from claude_pymc.errors import DesignError
from claude_pymc.tables import basis as bases
from claude_pymc.tables.bases import basis_from_dict
from claude_pymc.tables.basis import Factored, Polynomial, Sine
from claude_pymc.tables.expansion import Basis


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomials_are_those_of_scikit_learn(rng, degree, n):
    x = rng.uniform(-1, 1, (7, n))
    theirs = PolynomialFeatures(degree).fit(x)
    ours = Polynomial(degree=degree)
    names = [f"d{j}" for j in range(n)]
    assert list(ours.terms(names)) == theirs.get_feature_names_out(names).tolist()
    np.testing.assert_array_equal(ours.orders(n), theirs.powers_)
    np.testing.assert_allclose(ours.expand(x), theirs.transform(x), rtol=1e-13)


def test_sines_are_those_of_the_paper(rng):
    x = rng.uniform(0, 1, (5, 2))
    order = 6

    def f(k, v):  # eq. 17
        return np.ones_like(v) if k == 0 else np.sin(2 * np.pi * k * v)

    pairs = itertools.product(range(order + 1), repeat=2)  # eq. 16
    expected = np.stack([f(n, x[:, 0]) * f(m, x[:, 1]) for n, m in pairs], axis=1)
    sine = Sine(order=order)
    assert expected.shape == (5, 49)
    np.testing.assert_allclose(sine.expand(x), expected, rtol=0, atol=1e-13)
    assert sine.terms(["a", "b"])[:9:4] == ("1", "sin4(b)", "sin1(a) sin1(b)")


@pytest.mark.parametrize("basis", [Polynomial, Sine])
def test_exponents_choose_columns_of_the_whole_basis(rng, basis):
    x = rng.uniform(0, 1, (4, 2))
    whole = basis(exponents=list(itertools.product(range(3), repeat=2)))
    some = basis(exponents=[[2, 0], [0, 0], [1, 2]])
    index = [whole.orders(2).index(o) for o in some.orders(2)]
    np.testing.assert_allclose(some.expand(x), whole.expand(x)[:, index], rtol=1e-14)
    assert some.terms(["a", "b"]) == tuple(whole.terms(["a", "b"])[i] for i in index)


@pytest.mark.parametrize(
    ("basis", "groups"),
    [
        (Polynomial(degree=2), "constant linear linear quadratic interaction quadratic"),
        (Polynomial(exponents=[[3, 0], [0, 4]]), "cubic degree-4"),
        (Sine(order=1), "constant main main interaction"),
    ],
)
def test_groups_share_a_prior_scale(basis, groups):
    assert basis.groups(["a", "b"]) == tuple(g.replace("-", " ") for g in groups.split())


@pytest.mark.parametrize(
    ("exponents", "says"),
    [
        ([0, 1], "one pair of brackets too few"),
        ([[0.5]], "lists of whole numbers"),
        ([[-1]], "lists of whole numbers"),
        ([["x"]], "lists of whole numbers"),
        (2, "lists of whole numbers"),
        ([], "no term at all"),
        ([[0], [1], [0]], r"got \[0\] twice"),
    ],
)
@pytest.mark.parametrize("basis", [Polynomial, Sine])
def test_broken_exponents_are_refused(basis, exponents, says):
    with pytest.raises(DesignError, match=says):
        basis(exponents=exponents)


def test_infinite_exponents_are_refused():
    with pytest.raises(DesignError, match="lists of whole numbers"):
        Polynomial(exponents=[[np.inf]])


def test_exponents_for_other_descriptors_are_refused():
    with pytest.raises(DesignError, match=r"terms with 3 exponents.*\n +got \[0, 1\]"):
        Polynomial(exponents=[[0, 0, 0], [0, 1]]).terms(["a", "b", "c"])


@pytest.mark.parametrize("value", [-1, 1.5, "2", True, None])
@pytest.mark.parametrize(("basis", "name"), [(Polynomial, "degree"), (Sine, "order")])
def test_broken_degrees_are_refused(basis, name, value):
    with pytest.raises(DesignError, match=f"{name} as a whole number of at least 0"):
        basis(**{name: value})


@pytest.mark.parametrize(
    "basis",
    [Polynomial(degree=3), Polynomial(exponents=[[0], [2]]), Sine(order=2), Sine(exponents=[[1]])],
)
def test_bases_round_trip(basis):
    assert basis_from_dict(json.loads(json.dumps(basis.to_dict()))) == basis


def test_an_unknown_kind_is_refused():
    with pytest.raises(DesignError, match=r"kind \['hsgp', .*'spline'\]\n +got 'wavelet'"):
        basis_from_dict({"kind": "wavelet"})


@pytest.mark.parametrize("n", [10, bases.MANY])
def test_sines_of_few_and_of_many_rows(n):
    rng = np.random.default_rng(0)
    turns = np.concatenate([rng.uniform(-3, 3, n - 9), np.arange(-4, 5) / 8])[:, None]
    exact = turns.astype(np.longdouble) * 2 * np.arctan2(np.longdouble(0), np.longdouble(-1))
    expected = [np.sin(order * exact[:, 0]) for order in range(1, 7)]
    phi = Sine(order=6).expand(turns)
    np.testing.assert_allclose(phi[:, 0], 1.0, rtol=0)
    # The recursion for order n loses about n^2 of the round-off of the first.
    np.testing.assert_allclose(phi[:, 1:].T, expected, rtol=0, atol=4e-14)
    np.testing.assert_allclose(phi[:, 1], expected[0], rtol=0, atol=3e-15)


@pytest.mark.parametrize("basis", [Basis, Factored])
def test_what_lacks_terms_is_no_basis(basis):
    with pytest.raises(TypeError, match="abstract"):
        basis()
