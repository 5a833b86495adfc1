"""Prior sds of the corrections against sds written out by hand; their slopes; their inverse."""

import math

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.joint.scales import scales_of

PLAIN = cp.ShrinkagePrior(constant_sd=3.0)
TIED = cp.ShrinkagePrior(constant_sd=3.0, tied=True)


def scales(prior, names, targets, basis, corrections):
    design = cp.Design.from_bounds(dict.fromkeys(names, (-1.0, 1.0)), targets, basis, corrections)
    return scales_of(cp.JointGaussian(design, prior))


def polynomials():
    sets = {"exp": ["1", "a b", "a"]}
    return scales(PLAIN, ["a", "b"], ["sim", "exp"], cp.Polynomial(degree=2), sets)


def tied():
    sets = {"cheap": ["1", "a", "a^2"], "mid": ["1", "a"], "exp": ["a^2", "a^3"]}
    return scales(TIED, ["a"], ["cheap", "mid", "exp"], cp.Polynomial(degree=3), sets)


def kernels(lengths, products=False, prior=PLAIN):
    """1, a, gp1(a), gp2(a), gp1(b), gp2(b), and perhaps gp1(a) gp1(b), gp2(a) gp1(b)."""
    exponents = [[0, 0], [1, 0], [2, 0], [3, 0], [0, 2], [0, 3]] + products * [[2, 2], [3, 2]]
    basis = cp.HSGP(exponents=exponents, order=16, boundary=2.0, lengths=lengths)
    sets = {"exp": ["1", "a", "gp2(b)"]}
    return scales(prior, ["a", "b"], ["sim", "exp"], basis, sets)


CASES = {
    "polynomials": polynomials,
    "tied": tied,
    "shared": lambda: kernels("shared"),
    "each": lambda: kernels("each"),
    "products, shared": lambda: kernels("shared", products=True),
    "products, each": lambda: kernels("each", products=True),
    "tied kernels": lambda: kernels("each", prior=TIED),
}


def sds(found, scale, length=None):
    """Prior sds at scales and lengths by name; no name may be missing or left over."""
    length = length or {}
    assert set(found.groups) == set(scale)
    assert set(found.lengths) == set(length)
    t, ell = (
        [of[n] for n in names] for names, of in ((found.groups, scale), (found.lengths, length))
    )
    return np.exp(found.log_sd(found.joined(np.array(t), np.array(ell, dtype=float))))


def root(m, length):
    """Square root of the spectral density of exp(-r^2 / 2 length^2) at m half waves in [-2, 2]."""
    frequency = m * math.pi / 4
    return math.sqrt(math.sqrt(2 * math.pi) * length / math.exp((length * frequency) ** 2 / 2))


def test_plain_groups_have_a_scale_for_each_target():
    linear, quadratic, both = 0.7, 0.2, 0.4
    scale = {"sim: linear": linear, "sim: quadratic": quadratic, "sim: interaction": both}
    found = sds(polynomials(), {**scale, "exp: linear": 0.11, "exp: interaction": 0.13})
    sim = [3.0, linear, linear, quadratic, both, quadratic]  # 1, a, b, a^2, a b, b^2
    np.testing.assert_allclose(found, [*sim, 3.0, 0.11, 0.13])


def test_tied_scales_are_those_of_the_first_target_times_a_ratio():
    scale = {"cheap: linear": 0.7, "cheap: quadratic": 0.2, "mid: ratio": 0.5, "exp: ratio": 1.5}
    found = sds(tied(), {**scale, "exp: cubic": 0.9})  # the first target has no cubic term
    cheap, mid, exp = [3.0, 0.7, 0.2], [3.0, 0.5 * 0.7], [1.5 * 0.2, 0.9]
    np.testing.assert_allclose(found, cheap + mid + exp)


AMPLITUDES = {"sim: linear": 0.3, "sim: gp a": 0.7, "sim: gp b": 0.2}
OWN = {"exp: linear": 0.6, "exp: gp b": 1.1}


def test_a_shared_length_serves_both_descriptors_of_a_target():
    length = {"sim: length": 0.5, "exp: length": 0.4}
    found = sds(kernels("shared"), AMPLITUDES | OWN, length)
    sim = [0.7 * root(1, 0.5), 0.7 * root(2, 0.5), 0.2 * root(1, 0.5), 0.2 * root(2, 0.5)]
    np.testing.assert_allclose(found, [3.0, 0.3, *sim, 3.0, 0.6, 1.1 * root(2, 0.4)])


LENGTHS = {"sim: length a": 0.36, "sim: length b": 0.64}
SIM = [0.7 * root(1, 0.36), 0.7 * root(2, 0.36), 0.2 * root(1, 0.64), 0.2 * root(2, 0.64)]


def test_each_descriptor_has_a_length():
    found = sds(kernels("each"), AMPLITUDES | OWN, {**LENGTHS, "exp: length b": 0.4})
    np.testing.assert_allclose(found, [3.0, 0.3, *SIM, 3.0, 0.6, 1.1 * root(2, 0.4)])


def test_tied_features_have_the_lengths_of_the_first_target():
    found = sds(kernels("each", prior=TIED), AMPLITUDES | {"exp: ratio": 0.25}, LENGTHS)
    np.testing.assert_allclose(found, [3.0, 0.3, *SIM, 3.0, 0.25 * 0.3, 0.25 * SIM[3]])


@pytest.mark.parametrize(("lengths", "a", "b"), [("shared", 0.5, 0.5), ("each", 0.36, 0.64)])
def test_a_product_has_one_amplitude_and_the_lengths_of_its_factors(lengths, a, b):
    length = {"sim: length": a, "exp: length": 0.4}
    if lengths == "each":
        length = {**LENGTHS, "exp: length b": 0.4}
    found = sds(kernels(lengths, products=True), {**AMPLITUDES, **OWN, "sim: gp a b": 0.8}, length)
    np.testing.assert_allclose(found[6], 0.8 * root(1, a) * root(1, b))
    np.testing.assert_allclose(found[7], 0.8 * root(2, a) * root(1, b))
    np.testing.assert_allclose(found[2:4], [0.7 * root(1, a), 0.7 * root(2, a)])


@pytest.mark.parametrize("name", CASES)
def test_gradients_pulled_back_are_central_differences(name, rng):
    found, h = CASES[name](), 1e-5
    hyper = rng.standard_normal(len(found.mean))
    slope = rng.standard_normal(len(found.offset))
    expected = [
        slope @ (found.log_sd(hyper + step) - found.log_sd(hyper - step)) / (2 * h)
        for step in h * np.eye(len(hyper))
    ]
    np.testing.assert_allclose(found.pulled(hyper, slope), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_joined_gives_back_what_was_split(name, rng):
    found = CASES[name]()
    hyper = rng.standard_normal((4, len(found.mean)))
    scale, length = found.split(hyper)
    assert scale.shape == (4, len(found.groups))
    assert ((np.exp(found.low) < length) & (length < np.exp(found.high))).all()
    np.testing.assert_allclose(found.joined(scale, length), hyper, rtol=1e-9)
