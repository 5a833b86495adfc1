"""Twelve configurations for simulation-based calibration, and their six samplers by a method."""

import functools
from dataclasses import dataclass

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from scipy.stats import ks_2samp

import claude_pymc as cp
from claude_pymc.joint.simulate import draw_prior, named_truth

TARGETS = {2: ("sim", "exp"), 3: ("cheap", "sim", "exp")}
N_ROWS = 16
FEW: dict[str, int] = {"simulations": 30, "draws": 300, "tune": 250, "chains": 1, "seed": 1}
PRIORS = {"lkj": cp.LKJPrior(), "shrinkage": cp.ShrinkagePrior()}


@dataclass(frozen=True)
class Case:
    """Prior, likelihood, number of targets, and whether targets share rows."""

    prior: str
    likelihood: str
    d: int
    shared: bool

    @property
    def name(self) -> str:
        rows = "shared" if self.shared else "apart"
        return f"{self.prior}-{self.likelihood}-{self.d}-{rows}"

    @property
    def spec(self) -> cp.JointGaussian:
        return make_spec(self.prior, self.likelihood, self.d)

    @property
    def layout(self) -> cp.Table:
        return make_layout(self.likelihood, self.d, self.shared)

    @property
    def sampler(self) -> cp.Sampler:
        return self.by("nuts")

    def by(self, method: str) -> cp.Sampler:
        return make_sampler(self.prior, self.likelihood, self.d, method)

    @property
    def n_quantities(self) -> int:
        """Free numbers under the names of a posterior, their prior scales, and the likelihood."""
        design = self.spec.design
        links = self.d * (self.d - 1) // 2
        found = links + self.d + int(design.active.sum()) + 1
        if self.likelihood == "joint":
            n = len(design.descriptors) + self.d
            found += n + n * (n + 1) // 2
        if self.prior == "shrinkage":
            found += 2  # linear and quadratic terms of the cheapest target
        return found


@functools.cache
def make_spec(prior: str, likelihood: str, d: int) -> cp.JointGaussian:
    """A quadratic whose dearer targets differ by a constant; under "joint" everything linear."""
    conditional = likelihood == "conditional"
    design = cp.Design.from_bounds(
        {"x": (0.0, 1.0)},
        TARGETS[d],
        cp.Polynomial(degree=2 if conditional else 1),
        {target: ["1"] for target in TARGETS[d][1:]} if conditional else None,
        missing_descriptors=not conditional,
    )
    return cp.JointGaussian(design, PRIORS[prior], likelihood)


def make_layout(likelihood: str, d: int, shared: bool) -> cp.Table:
    """Which values are measured; under "joint" some descriptors are missing too."""
    rng = np.random.default_rng(2 * d + shared)
    x = rng.uniform(0.0, 1.0, (N_ROWS, 1))
    y = np.zeros((N_ROWS, d))
    turn = np.arange(N_ROWS) % d
    if shared:
        hidden = rng.uniform(size=y.shape) < 0.4
        hidden[np.arange(N_ROWS), turn] = False
    else:
        hidden = np.arange(d) != turn[:, None]
    y[hidden] = np.nan
    if likelihood == "joint":
        x[rng.permutation(N_ROWS)[:4]] = np.nan
    return cp.Table(("x",), TARGETS[d], x, y)


@functools.cache
def make_sampler(prior: str, likelihood: str, d: int, method: str = "nuts") -> cp.Sampler:
    """Compile once for both layouts."""
    return cp.Sampler(make_spec(prior, likelihood, d), method=method)


CASES = [
    Case(prior, likelihood, d, shared)
    for d in (2, 3)
    for prior, likelihood in (
        ("lkj", "conditional"),
        ("lkj", "joint"),
        ("shrinkage", "conditional"),
    )
    for shared in (True, False)
]
N_TESTS = sum(case.n_quantities for case in CASES)


@dataclass(frozen=True)
class HalvedNoise:
    """A wrong sampler: sigma of every draw is halved."""

    right: object

    def draw(self, stats, **settings) -> xr.DataTree:
        tree = self.right.draw(stats, **settings)
        tree["posterior"] = tree["posterior"].assign(sigma=0.5 * tree["posterior"]["sigma"])
        return tree


@functools.cache
def calibrated(case: Case, method: str) -> cp.Calibration:
    """Ranks of a configuration over few data sets, kept for all tests of a file."""
    return cp.calibrate(case.spec, case.layout, sampler=case.by(method), **FEW)


def check_case(case: Case, method: str = "nuts") -> None:
    """No quantity of the configuration is rejected at 1 % over all configurations together."""
    result = calibrated(case, method)
    assert len(result.quantities) == case.n_quantities
    assert result.rejected(0.01, tests=N_TESTS) == []


def check_wrong_sampler(case: Case, method: str = "nuts") -> None:
    """Half the noise is seen in sigma, with the same number of data sets."""
    wrong = HalvedNoise(case.by(method))
    result = cp.calibrate(case.spec, case.layout, sampler=wrong, **FEW)
    found = result.rejected(0.01, tests=N_TESTS)
    assert any(name.startswith("sigma[") for name in found)
    assert "linkage[1, 0]" not in found


def check_prior(case: Case) -> None:
    """Without rows the compiled sampler draws from the prior that data sets are simulated from.

    Ranks hardly see the prior of what many rows determine; this does.
    """
    rng = np.random.default_rng(1)
    direct = [named_truth(case.spec, draw_prior(case.spec, rng)) for _ in range(4000)]
    empty = cp.PatternStats.empty(case.spec.design)
    tree = case.sampler.draw(empty, draws=1500, chains=2, seed=1)
    p_values = {}
    for name, value in direct[0].items():
        sampled = tree["posterior"][name].transpose("chain", "draw", ...).to_numpy()
        for place in np.ndindex(value.shape):
            ours = sampled[(..., *place)]
            simulated = np.array([one[name][place] for one in direct])
            if not simulated.any():  # a structural zero
                assert not ours.any()
                continue
            step = int(np.ceil(2 * ours.size / array_stats.ess(ours)))
            p_values[name, place] = ks_2samp(ours[:, ::step].ravel(), simulated).pvalue
    assert len(p_values) >= case.n_quantities - 1
    assert min(p_values.values()) * len(p_values) > 0.01, p_values
