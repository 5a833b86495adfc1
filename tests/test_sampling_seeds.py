"""Seeds that are none."""

import pytest
from fakes import make_idata, make_spec

import claude_pymc as cp


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_a_seed_is_a_whole_number(seed):
    spec = make_spec()
    table = cp.Table(["x"], ["sim", "exp"], [[0.0], [1.0]], [[1.0, 2.0], [2.0, 3.0]])
    post = cp.JointPosterior(make_idata(spec), spec)
    stats = cp.PatternStats.from_table(table, spec.design)
    for call in (
        lambda: cp.sample(spec, stats, seed=seed),
        lambda: cp.fit(table, seed=seed),
        lambda: post.predict([[0.5]], kind="observation", seed=seed),
    ):
        with pytest.raises(cp.SamplingError, match="a seed that is a whole number"):
            call()
