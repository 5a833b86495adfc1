"""Where rows are needed: exact draws and NUTS on the model with all its unknowns agree."""

import numpy as np
import pytest
from agreement import check_agreement, estimates

import claude_pymc as cp
from claude_pymc.joint.exact import draw_exact

pytestmark = pytest.mark.slow
SWITCHES = {"varying": {"varying": ["x"]}, "student": {"noise": "student"}}


@pytest.fixture(scope="module")
def rows():
    """Eight rows with both values, four measurements without a simulation, four the other way."""
    rng = np.random.default_rng(4)
    x = np.concatenate([np.linspace(0, 1, 8), rng.uniform(0, 1, 8)])
    sim = 1 + 2 * x + 0.2 * rng.standard_normal(16)
    exp = (0.8 + 0.6 * x) * sim + 0.2 * rng.standard_normal(16)
    exp[3] += 1.5  # far from the others
    sim[8:12], exp[12:] = np.nan, np.nan
    return cp.Table(["x"], ["sim", "exp"], x[:, None], np.column_stack([sim, exp]))


@pytest.mark.parametrize("name", SWITCHES)
def test_means_and_sds_agree_where_rows_lack_the_cheaper_value(rows, name, capsys):
    design = cp.Design.from_table(rows, cp.Polynomial(degree=1), {"exp": ["1"]})
    spec = cp.JointGaussian(design, **SWITCHES[name])
    stats = cp.PatternStats.from_table(rows, design, rows=True)
    exact, reason = draw_exact(spec, stats, draws=2000, chains=4, seed=1)
    assert reason == ""
    sampler = cp.Sampler(spec, method="nuts")
    nuts = sampler.draw(stats, draws=2000, tune=1000, chains=4, seed=2)
    assert nuts["sample_stats"]["diverging"].mean() < 1e-3
    found = check_agreement(estimates(exact), estimates(nuts), len(SWITCHES))
    with capsys.disabled():
        number, z, worst = found
        ess = exact.attrs["importance_ess"]
        print(f"\n{name}: worst of {number} is z = {z:.2f}, {worst}; {ess:.0f} effective draws")
