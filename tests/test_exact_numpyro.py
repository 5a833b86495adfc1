"""NumPyro on the collapsed model, through the likelihood in JAX, agrees with exact draws."""

import pytest
from agreement import check_agreement, estimates
from test_exact import CASES

from claude_pymc.joint.exact import draw_exact
from claude_pymc.joint.nuts import NutsSampler

pytest.importorskip("jax")
pytest.importorskip("numpyro")


@pytest.mark.parametrize(
    "kind",
    ["shrinkage", *(pytest.param(k, marks=pytest.mark.slow) for k in ("lkj", "flat", "joint"))],
)
def test_numpyro_on_the_collapsed_model_agrees(kind, capsys):
    spec, stats = CASES[kind]
    sampler = NutsSampler(spec, "numpyro", collapse=True)
    nuts = sampler.draw(stats, draws=1000, tune=600, chains=4, seed=0)
    assert (nuts.attrs["backend"], nuts.attrs["collapsed"]) == ("numpyro", 1)
    tree, reason = draw_exact(spec, stats, draws=1000, chains=4, seed=0)
    assert reason == ""
    number, z, worst = check_agreement(estimates(tree), estimates(nuts), tests=len(CASES))
    with capsys.disabled():
        print(f"\nnumpyro, {kind}: worst of {number} is z = {z:.2f}, {worst}")
