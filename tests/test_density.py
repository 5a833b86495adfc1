"""Prior densities of the columns in closed form, against the PyMC model and differences."""

import numpy as np
import pytensor
import pytest
from scipy.stats import norm

import claude_pymc as cp
from claude_pymc.joint.density import entry_sd, log_prior
from claude_pymc.joint.model import build_model
from claude_pymc.joint.priors import FLOOR
from claude_pymc.joint.scales import scales_of
from claude_pymc.notation import JOINT_COLUMNS

SHRINKAGE = cp.ShrinkagePrior(noise=0.2, linkage_sd=0.4, constant_sd=2.0, scale=0.6)
TIED = cp.ShrinkagePrior(noise=0.2, scale=0.6, tied=True, ratio=0.5)
LKJ = cp.LKJPrior(eta=1.4, t=3.0, noise=0.3, noise_log_sd=0.8)


def make_spec(prior, d, joint=False, corrections=None, basis=None):
    names = ["y1", "y2", "y3"][:d]
    bounds = {"a": (-1, 1), "b": (-1, 1)} if joint else {"a": (-1, 1)}
    basis = basis or cp.Polynomial(degree=1 if joint else 2)
    quantities = dict(zip(names, ["q", "other", "q"], strict=False))
    design = cp.Design.from_bounds(
        bounds, names, basis, corrections, quantities=quantities, missing_descriptors=joint
    )
    return cp.JointGaussian(design, prior, "joint" if joint else "conditional")


SPECS = {
    **{f"{p.kind}-{d}": make_spec(p, d) for p in (SHRINKAGE, LKJ) for d in (1, 2, 3)},
    "tied-3": make_spec(TIED, 3, False, {"y3": ["a^2"]}),
    "kernel-2": make_spec(SHRINKAGE, 2, False, {"y2": ["gp1(a)"]}, cp.HSGP(order=9)),
    "kernel-tied-2": make_spec(TIED, 2, False, {"y2": ["a", "gp1(a)"]}, cp.HSGP(order=9)),
    "shrinkage-none": make_spec(SHRINKAGE, 2, False, {"y2": []}),
    "lkj-none": make_spec(LKJ, 2, False, {"y2": []}),
    "joint-1": make_spec(LKJ, 1, True),
    "joint-zeros": make_spec(LKJ, 2, True, {"y1": ["1", "a"], "y2": ["b"]}),
    "joint-3": make_spec(LKJ, 3, True, {"y1": ["1", "b"], "y2": ["1"], "y3": ["a", "b"]}),
}


def slopes(function, x, h=1e-3):
    """Derivatives by central differences of order h^6, (..., x)."""
    weights = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}
    step = h * np.eye(len(x))
    return np.stack(
        [
            sum(w * (function(x + k * e) - function(x - k * e)) for k, w in weights.items()) / h
            for e in step
        ],
        axis=-1,
    )


@pytest.mark.parametrize("name", SPECS)
def test_prior_density_is_that_of_the_model(name, rng):
    spec = SPECS[name]
    model = build_model(spec)
    names = (
        list(JOINT_COLUMNS) if spec.likelihood == "joint" else ["linkage", "sigma", "corrections"]
    )
    scales = scales_of(spec)
    learned = [] if scales is None else [("scale", scales.groups), ("length", scales.lengths)]
    names += [n for n, v in learned if v]
    outputs = model.replace_rvs_by_values([model[n] for n in names])
    outputs.append(model.logp(vars=model.free_RVs))
    with pytensor.config.change_flags(cxx=""):
        compiled = model.compile_fn(
            outputs, inputs=model.value_vars, mode="FAST_COMPILE", point_fn=False
        )
    start = [model.initial_point()[v.name] for v in model.value_vars]
    cuts = np.cumsum([v.size for v in start])[:-1]
    entries, floor = spec.columns.entries, FLOOR if spec.prior.kind == "shrinkage" else 0.0
    links = [link[:2] for link in spec.columns.links]

    def columns(free):
        linkage, sigma, r, *learned, _ = compiled(*np.split(free, cuts))
        r = r.reshape(len(sigma), -1)
        parts = [linkage[place] for place in links], np.log(sigma - floor), [r[e] for e in entries]
        if scales is not None:
            learned = [*learned, np.zeros(0), np.zeros(0)][:2]
            parts = *parts, scales.joined(*learned)
        return np.concatenate(parts)

    for _ in range(3):
        free = rng.normal(scale=0.7, size=sum(v.size for v in start))
        here, n = columns(free), len(links)
        linkage, d = np.zeros((len(spec.columns.variables),) * 2), len(spec.columns.variables)
        linkage[tuple(np.transpose(links or [(0, 0)]))] = here[:n] if n else 0.0
        log_sigma, r, hyper = np.split(here[n:], [d, d + len(entries)])
        sd = entry_sd(spec, np.exp(log_sigma) + floor, hyper)
        ours = log_prior(spec, linkage, log_sigma, hyper)[0] + norm.logpdf(r, 0, sd).sum()
        jacobian = np.linalg.slogdet(slopes(columns, free))[1]
        theirs = float(compiled(*np.split(free, cuts))[-1]) - jacobian
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_gradients_of_the_prior_density(name, rng):
    spec = SPECS[name]
    d, links = len(spec.columns.variables), [link[:2] for link in spec.columns.links]
    scales = scales_of(spec)
    size = [len(links), d, 0 if scales is None else len(scales.mean)]

    def evaluate(point):
        free, log_sigma, hyper = np.split(point, np.cumsum(size)[:-1])
        linkage = np.zeros((d, d))
        for place, value in zip(links, free, strict=True):
            linkage[place] = value
        return log_prior(spec, linkage, log_sigma, hyper)

    for _ in range(3):
        point = rng.normal(size=sum(size))
        _, g_linkage, g_sigma, g_scale = evaluate(point)
        found = np.concatenate([[g_linkage[place] for place in links], g_sigma, g_scale])
        expected = slopes(lambda v: np.float64(evaluate(v)[0]), point)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        assert np.count_nonzero(g_linkage) == len(links)
