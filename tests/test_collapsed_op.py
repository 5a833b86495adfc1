"""The collapsed Op alike under every linker, in JAX too, and the collapsed PyMC model."""

from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from collapsed_cases import SETS, SPECS, entries_of, evaluate, make_columns, make_posterior
from collapsed_cases import make_rows as rows_of_all_patterns
from pytensor.compile.mode import Mode, get_mode
from pytensor.gradient import DisconnectedInputError
from test_density import slopes
from test_ops import NEEDS_CXX

from claude_pymc.joint.collapsed_op import CollapsedLogLikelihood
from claude_pymc.joint.model import build_model
from claude_pymc.joint.ops import MISFIT
from claude_pymc.notation import JOINT_COLUMNS

LINKERS = ["NUMBA", "FAST_COMPILE", pytest.param("CVM", marks=NEEDS_CXX), "JAX"]
every_linker = pytest.mark.parametrize("linker", LINKERS)
SOME = ["gaps-1", "none-2", "first-empty-2", "whole-3", "mixed-3"]


def symbols():
    return [pt.matrix("c"), pt.vector("sigma"), pt.vector("sd"), pt.matrix("n"), pt.tensor3("g")]


@cache
def compiled(linker, entries):
    """Value and gradients, all of them by pytensor.grad."""
    if linker == "JAX":
        pytest.importorskip("claude_pymc.joint.jax_op")  # registers the Op
    inputs = symbols()
    value = CollapsedLogLikelihood(entries)(*inputs)[0]
    mode = Mode(linker="py", optimizer="fast_compile") if linker == "py" else get_mode(linker)
    return pytensor.function(inputs, [value, *pt.grad(value, inputs[:3])], mode=mode)


def case(rng, name):
    d, entries = int(name[-1]), entries_of(name)
    _, _, *data = rows_of_all_patterns(rng, d)
    return entries, (*make_columns(rng, d, entries), *data)


def agree(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        atol = 1e-10 * np.abs(other).max(initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=atol)


@every_linker
@pytest.mark.parametrize("name", SOME)
def test_linkers_agree_with_the_compiled_loops(linker, name, rng):
    for flat in (False, True):
        entries, inputs = case(rng, name)
        if flat:
            inputs[2][::2] = np.inf
        agree(compiled(linker, entries)(*inputs), evaluate(entries, *inputs))


@pytest.mark.parametrize("name", SETS)
def test_jax_agrees_for_every_set_and_size(name, rng):
    jax = pytest.importorskip("jax")
    from claude_pymc.joint.jax_op import collapsed_log_likelihood

    entries, inputs = case(rng, name)
    inputs[2][1::3] = np.inf
    function = jax.jit(jax.value_and_grad(collapsed_log_likelihood, (1, 2, 3)), static_argnums=0)
    value, gradients = function(entries, *inputs)
    assert value.dtype == np.float64
    agree([value, *gradients], evaluate(entries, *inputs))


def test_jax_keeps_digits_where_noise_is_small(rng):
    pytest.importorskip("jax")
    entries, inputs = case(rng, "gaps-2")
    inputs[1][:] = [1e-4, 3e-5]
    inputs[4][:] *= np.where(np.arange(6) < 4, 1.0, 1e-2)[:, None]
    inputs[4][:] *= np.where(np.arange(6) < 4, 1.0, 1e-2)
    ours, theirs = compiled("JAX", entries)(*inputs), evaluate(entries, *inputs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-7 * np.abs(other).max())


def test_jax_derives_it_forwards_and_twice(rng):
    jax = pytest.importorskip("jax")
    from claude_pymc.joint.jax_op import collapsed_log_likelihood

    entries, (c, sigma, sd, *data) = case(rng, "gaps-2")
    sd[0] = np.inf
    along = rng.normal(size=2)

    def value(sigma):
        return collapsed_log_likelihood(entries, c, sigma, sd, *data)

    slope = jax.jit(lambda s: jax.jvp(value, (s,), (along,))[1])(sigma)
    assert slope == pytest.approx(evaluate(entries, c, sigma, sd, *data)[2] @ along, rel=1e-10)
    second = jax.jit(jax.hessian(value))(sigma) @ along
    moved = [evaluate(entries, c, sigma + h * along, sd, *data)[2] for h in (1e-5, -1e-5)]
    np.testing.assert_allclose(second, (moved[0] - moved[1]) / 2e-5, rtol=1e-6)


@every_linker
@pytest.mark.parametrize(
    ("place", "number"),
    [
        *((0, v) for v in (np.nan, np.inf, 1e200)),
        *((1, v) for v in (0.0, -1.0, np.inf, np.nan, 1e-200)),
        *((2, v) for v in (0.0, -1.0, -np.inf, np.nan, 1e-200)),
    ],
)
def test_broken_parameters_have_no_density(linker, place, number, rng):
    entries, inputs = case(rng, "mixed-3")
    inputs[place][(1, 0) if place == 0 else 1] = number
    value, *gradients = compiled(linker, entries)(*inputs)
    assert value == -np.inf
    assert np.isnan(gradients[0][np.tril_indices(3, -1)]).all()
    assert np.isnan(gradients[1]).all() and np.isnan(gradients[2]).all()


@every_linker
def test_flat_corrections_without_rows_have_no_density(linker, rng):
    entries, (c, sigma, sd, *_) = case(rng, "whole-3")
    nothing = np.zeros((0, 3)), np.zeros((0, 7, 7))
    value, *gradients = compiled(linker, entries)(c, sigma, sd, *nothing)
    assert value == pytest.approx(0.0, abs=1e-12)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0.0, atol=1e-11)
    sd[3] = np.inf
    value, *gradients = compiled(linker, entries)(c, sigma, sd, *nothing)
    assert value == -np.inf
    assert np.isnan(gradients[1]).all()


@every_linker
def test_empty_patterns_say_nothing_and_inputs_are_not_changed(linker, rng):
    entries, (*columns, rows, gram) = case(rng, "gaps-3")
    plain = compiled(linker, entries)(*columns, rows, gram)
    more = [np.insert(rows, 1, 0.0, axis=0), np.insert(gram, 1, 0.0, axis=0)]
    strided = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (*columns, *more)]
    copies = [a.copy() for a in strided]
    agree(compiled(linker, entries)(*strided), plain)
    for before, after in zip(copies, strided, strict=True):
        np.testing.assert_array_equal(before, after)


@every_linker
@pytest.mark.parametrize("place", range(5))
def test_arrays_that_do_not_fit_are_refused(linker, place, rng):
    """The loops would read past the end of the arrays."""
    entries, inputs = case(rng, "gaps-2")
    for change in (lambda a: np.concatenate([a, a]), lambda a: a[:-1]):
        broken = list(inputs)
        broken[place] = change(broken[place])
        with pytest.raises(ValueError) as caught:
            compiled(linker, entries)(*broken)
        assert MISFIT in str(caught.value)
    if place == 4:  # no fifth term, no third target
        for more in ((1, 4), (2, 0)):
            others = *entries[:-1], more
            with pytest.raises(ValueError) as caught:
                compiled(linker, others)(*inputs)
            assert MISFIT in str(caught.value)


def test_wrong_ranks_are_refused():
    for place in range(5):
        inputs = symbols()
        inputs[place] = inputs[place][None]
        with pytest.raises(TypeError, match=r"ranks \(2, 1, 1, 2, 3\), got"):
            CollapsedLogLikelihood(((0, 0),))(*inputs)


def test_shapes_are_known_without_the_values():
    inputs = symbols()
    outputs = CollapsedLogLikelihood(((0, 0), (1, 1)))(*inputs)
    shapes = pytensor.function(inputs, [o.shape for o in outputs], mode="FAST_COMPILE")
    nodes = shapes.maker.fgraph.toposort()
    assert not any(isinstance(node.op, CollapsedLogLikelihood) for node in nodes)
    found = shapes(np.zeros((2, 2)), np.ones(2), np.ones(2), np.zeros((4, 2)), np.zeros((4, 5, 5)))
    assert [tuple(s) for s in found] == [(), (2, 2), (2,), (2,)]


def test_data_have_no_gradient_and_second_derivatives_are_refused():
    inputs = symbols()
    value = CollapsedLogLikelihood(((0, 0),))(*inputs)[0]
    with pytest.raises(DisconnectedInputError):
        pt.grad(value, inputs[4])
    with pytest.raises(DisconnectedInputError):
        pt.grad(pt.grad(value, inputs[1]).sum(), inputs[1])


@pytest.mark.parametrize("name", SPECS)
def test_the_model_has_the_density_of_the_collapsed_posterior(name, rng):
    """In other coordinates: the difference is the Jacobian of the map between them."""
    posterior, *_ = make_posterior(name, rng)
    spec, problem, d = posterior.spec, posterior.problem, posterior.d
    model = build_model(spec, collapse=True)
    model.set_data("rows", problem.rows)
    model.set_data("gram", problem.gram)
    joint = spec.likelihood == "joint"
    names = list(JOINT_COLUMNS)[:2] if joint else ["linkage", "sigma"]
    scales = posterior.scales
    learned = [] if scales is None else [("scale", scales.groups), ("length", scales.lengths)]
    names += [n for n, v in learned if v]
    outputs = model.replace_rvs_by_values([model[n] for n in names])
    with pytensor.config.change_flags(cxx=""):
        function = model.compile_fn(
            [*outputs, model.logp(), *pt.grad(model.logp(), model.value_vars)],
            inputs=model.value_vars,
            mode="FAST_COMPILE",
            point_fn=False,
        )
    start = [model.initial_point()[v.name] for v in model.value_vars]
    cuts = np.cumsum([v.size for v in start])[:-1]

    def theta(free):
        linkage, sigma, *found = function(*np.split(free, cuts))[: len(names)]
        found = [*found, np.zeros(0), np.zeros(0)][:2]
        hyper = np.zeros(0) if scales is None else scales.joined(*found)
        return posterior.theta(linkage, sigma, hyper)

    for _ in range(3):
        free = rng.normal(scale=0.5, size=sum(v.size for v in start))
        point, jacobian = theta(free), slopes(theta, free)
        value, *parts = function(*np.split(free, cuts))[len(names) :]
        expected = posterior.evaluate(point)
        change = np.linalg.slogdet(jacobian)[1] if posterior.dims else 0.0
        assert float(value) == pytest.approx(expected[0] + change, abs=1e-6)
        if spec.prior.kind != "lkj" and not (
            scales and scales.lengths
        ):  # both use the same coordinates
            order = np.argmax(np.abs(jacobian), axis=0)
            np.testing.assert_allclose(jacobian, np.eye(len(point))[:, order], atol=1e-6)
            found = np.concatenate([np.ravel(p) for p in parts])
            np.testing.assert_allclose(found, expected[1][order], rtol=1e-6, atol=1e-7)
    assert [v.name for v in model.free_RVs].count("correction_free") == 0
    assert d == len(spec.columns.variables)
