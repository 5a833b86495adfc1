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


@pytest.fixture(scope="module")
def layout():
    """Sixteen rows; half the dear values stand beside cheap ones."""
    rng = np.random.default_rng(0)
    y = np.zeros((16, 2))
    y[:10, 1] = np.nan
    y[13:, 0] = np.nan
    return cp.Table(["x"], TARGETS, rng.uniform(0, 1, (16, 1)), y)


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
