"""Simulation-based calibration of exact draws under each switch of the default prior."""

import numpy as np
import pytest

import claude_pymc as cp

pytestmark = pytest.mark.slow
TARGETS = ("sim", "exp")
PAIR = {"exp": ["1", "x", "P2(x)"]}
SWITCHES = {
    "legendre": (cp.Legendre(degree=3), PAIR, {}),
    "legendre-tied": (cp.Legendre(degree=3), PAIR, {"tied": True}),
    "spline": (cp.Spline(order=4), {"exp": ["1", "spline2(x)", "spline3(x)"]}, {}),
    "hsgp": (cp.HSGP(order=9), {"exp": ["1", "x", "gp1(x)", "gp2(x)", "gp3(x)"]}, {}),
    "hsgp-tied": (cp.HSGP(order=9), {"exp": ["x", "gp1(x)", "gp2(x)"]}, {"tied": True}),
}


ROWS = {
    "varying": {"varying": ["x"]},
    "student": {"noise": "student"},
    "errors": {"errors": True},
    "sources": {"sources": ["north", "south"]},
    "every-switch": {
        "varying": ["linear"],
        "noise": "student",
        "errors": True,
        "sources": ["north", "south"],
    },
}


@pytest.fixture(scope="module")
def layout():
    """Sixteen rows; half the dear values stand beside cheap ones."""
    rng = np.random.default_rng(0)
    y = np.zeros((16, 2))
    y[:10, 1] = np.nan
    y[13:, 0] = np.nan
    sources = ("north", "south") * 8
    sigma = rng.uniform(0.05, 0.5, 16)
    x = rng.uniform(0, 1, (16, 1))
    return cp.Table(["x"], TARGETS, x, y, sigma=sigma, sources=sources)


@pytest.mark.parametrize("name", SWITCHES)
def test_ranks_of_the_truth_are_uniform(name, layout):
    basis, corrections, switches = SWITCHES[name]
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, TARGETS, basis, corrections)
    spec = cp.JointGaussian(design, cp.ShrinkagePrior(**switches))
    result = cp.calibrate(spec, layout, simulations=60, draws=200, chains=1, seed=3)
    kinds = {quantity.split("[")[0] for quantity in result.quantities}
    assert {"scale", "sigma", "linkage", "corrections"} <= kinds
    assert ("length" in kinds) == name.startswith("hsgp")
    assert result.rejected(0.01) == []


@pytest.mark.parametrize("name", ROWS)
def test_ranks_are_uniform_where_rows_are_needed(name, layout):
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, TARGETS, cp.Legendre(degree=3), PAIR)
    spec = cp.JointGaussian(design, **ROWS[name])
    result = cp.calibrate(spec, layout, simulations=60, draws=200, chains=1, seed=3)
    kinds = {quantity.split("[")[0] for quantity in result.quantities}
    peculiar = {"varying": "varying", "student": "freedom", "sources": "source_sigma"}
    assert all(peculiar[key] in kinds for key in ROWS[name] if key in peculiar)
    assert result.rejected(0.01) == []


@pytest.mark.parametrize("name", ["student", "every-switch"])
def test_ranks_are_uniform_where_rows_are_complete(name, layout):
    """Each dear value stands beside a cheap one: Student-t noise by expectation propagation."""
    y = np.zeros((16, 2))
    y[8:, 1] = np.nan
    rows = cp.Table(["x"], TARGETS, layout.x, y, sigma=layout.sigma, sources=layout.sources)
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, TARGETS, cp.Legendre(degree=3), PAIR)
    spec = cp.JointGaussian(design, **ROWS[name])
    result = cp.calibrate(spec, rows, simulations=60, draws=200, chains=1, seed=4)
    assert {"freedom", "linkage"} <= {quantity.split("[")[0] for quantity in result.quantities}
    assert result.rejected(0.01) == []
