"""Simulation-based calibration where the set of terms is drawn, too."""

import dataclasses

import numpy as np
import pytest

import claude_pymc as cp
from claude_pymc.joint.simulate import draw_prior, simulate_rows
from claude_pymc.review.uniformity import uniformity_p_value

TARGETS = ("sim", "exp")
KINDS = ("complete", "apart")


def make_case(kind):
    """A parabola in one descriptor: eight sets, all of which are tried."""
    bounds, basis = {"x": (-1.0, 1.0)}, cp.Polynomial(degree=2)
    design = cp.Design.from_bounds(bounds, TARGETS, basis, "auto")
    x, y = np.linspace(-1, 1, 18)[:, None], np.zeros((18, 2))
    y[np.arange(18) % 3 > 0, 1] = np.nan
    if kind == "apart":
        y[np.arange(18) % 3 == 0, 0] = np.nan
    return cp.JointGaussian(design), cp.Table(["x"], TARGETS, x, y)


@dataclasses.dataclass(frozen=True)
class Forgetful:
    """A wrong sampler: the constant of the primary target is halved."""

    right: cp.Sampler

    def draw(self, stats, **settings):
        tree = self.right.draw(stats, **settings)
        wrong = tree["posterior"]["corrections"].copy()
        wrong.loc[{"target": "exp"}] *= 0.5
        tree["posterior"] = tree["posterior"].assign(corrections=wrong)
        return tree


def ranks_of(kind, simulations, sampler=None):
    spec, layout = make_case(kind)
    settings = {"simulations": simulations, "draws": 200, "chains": 1, "seed": 7}
    return cp.calibrate(spec, layout, sampler=sampler, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_of_thirty_data_sets(kind):
    assert ranks_of(kind, 30).rejected(0.001) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ranks_of_many_data_sets(kind):
    found = ranks_of(kind, 300)
    names = [f"sigma[{j}]" for j in range(2)] + ["linkage[1, 0]", "log_likelihood"]
    names += [f"corrections[1, {b}]" for b in range(3)]
    assert set(names) <= set(found.quantities) and found.rejected(0.01) == []


@pytest.mark.slow
def test_a_wrong_constant_is_seen():
    found = ranks_of("apart", 300, Forgetful(cp.Sampler(make_case("apart")[0])))
    assert "corrections[1, 0]" in found.rejected(0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* has a root mean square:claude_pymc.Notice")
def test_ranks_of_a_prediction():
    """The noise-free primary value outside the rows, with its set drawn from the prior."""
    spec, layout = make_case("apart")
    phi, ranks = spec.design.phi([[0.95]])[0], []
    for seed in range(300):
        rng = np.random.default_rng([seed, 1])
        truth = draw_prior(spec, rng)
        rows = simulate_rows(spec, truth, layout, rng)
        stats = cp.PatternStats.from_table(rows, spec.design)
        tree = cp.Sampler(spec).draw(stats, draws=99, chains=1, seed=seed)
        sim, exp = truth["corrections"] @ phi
        value = exp + truth["linkage"][1, 0] * sim
        drawn = cp.JointPosterior(tree, spec).predict([[0.95]]).draws.sel(target="exp").to_numpy()
        ranks.append(((drawn < value).sum() + rng.uniform()) / 100)
    assert uniformity_p_value(np.array(ranks)) > 0.01
