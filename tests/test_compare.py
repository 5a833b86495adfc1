"""Specifications compared by evidence: the table, averages, and what cannot be compared."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

import claude_pymc as cp
from claude_pymc.joint.averaged_prediction import allotted

TARGETS = ("sim", "exp")


@pytest.fixture(scope="module")
def table():
    """Thirty complete rows of a parabola; two measurements are far off."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (30, 1))
    sim = x[:, 0] + 2 * x[:, 0] ** 2 + 0.05 * rng.standard_normal(30)
    exp = 0.9 * sim - 0.3 + 0.05 * rng.standard_normal(30)
    exp[:2] += 1.5
    return cp.Table(["x"], TARGETS, x, np.column_stack([sim, exp]))


@pytest.fixture(scope="module")
def specs(table):
    def design(degree, corrections=("1",)):
        return cp.Design.from_table(table, cp.Polynomial(degree=degree), {"exp": corrections})

    square = design(2)
    return {
        "line": cp.JointGaussian(design(1)),
        "square": cp.JointGaussian(square),
        "student": cp.JointGaussian(square, noise="student"),
        "varying": cp.JointGaussian(square, varying=["x"]),
        "auto": cp.JointGaussian(design(2, "auto")),
    }


@pytest.fixture(scope="module")
def found(specs, table):
    return cp.compare(specs, table=table, draws=250, seed=1)


def test_probabilities_follow_from_evidence_and_odds(found, specs, table):
    score = found.table.log_evidence
    np.testing.assert_allclose(found.table.probability, np.exp(score - logsumexp(score)))
    assert list(found.table.probability) == sorted(found.table.probability, reverse=True)
    assert found.table.index[0] == "student"
    for name, spec in specs.items():
        stats = cp.PatternStats.from_table(table, spec.design, rows=True)
        alone = cp.evidence(spec, stats, seed=2)
        assert abs(score[name] - alone.log_evidence) < 5 * np.hypot(alone.se, found.table.se[name])


def test_left_out_values_prefer_the_same(found):
    elpd = found.table.elpd
    assert np.isfinite(elpd).all() and (found.table.elpd_se > 0).all()
    assert elpd["student"] > elpd["square"] and elpd["square"] > elpd["line"] - 30
    assert found.table.elpd_warning.dtype == bool


def test_prior_odds_shift_the_probabilities(specs, table):
    two = {name: specs[name] for name in ("square", "auto")}
    even = cp.compare(two, table=table, draws=250, seed=1).table
    odd = cp.compare(two, table=table, draws=250, seed=1, prior_odds={"auto": 20.0}).table
    ratio = [t.probability["auto"] / t.probability["square"] for t in (even, odd)]
    assert ratio[1] == pytest.approx(20 * ratio[0])


def test_it_prints_the_table(found):
    lines = str(found).splitlines()
    assert lines[0].split()[:4] == ["log_evidence", "se", "prior_odds", "probability"]
    assert lines[1].startswith("student") and repr(found) == str(found)


def test_predictions_are_mixed_in_proportion(found):
    post = found.posterior
    assert (post.targets, post.descriptors, post.uses("exp")) == (TARGETS, ("x",), ("x",))
    even = dataclasses.replace(post, probabilities=(0.5, 0.3, 0.2, 0.0, 0.0))
    new = np.array([[-0.5], [0.7]])
    parts = list(even.posteriors.values())
    mean = sum(
        p * one.predict(new).mean().to_numpy()
        for p, one in zip(even.probabilities, parts, strict=True)
    )
    ours = even.predict(new)
    assert ours.draws.sizes["sample"] == 1000
    np.testing.assert_allclose(ours.mean(), mean, atol=0.02)
    seen = even.predict(new, kind="observation", seed=1)
    again = even.predict(new, kind="observation", seed=1)
    assert seen.draws.equals(again.draws) and (seen.std() > ours.std()).all()


def test_densities_are_mixed_in_proportion(found, table):
    post = dataclasses.replace(found.posterior, probabilities=(0.5, 0.3, 0.2, 0.0, 0.0))
    each = [one.log_predictive_density(table, "exp") for one in post.posteriors.values()]
    expected = np.log(0.5 * np.exp(each[0]) + 0.3 * np.exp(each[1]) + 0.2 * np.exp(each[2]))
    np.testing.assert_allclose(post.log_predictive_density(table, "exp"), expected)


def test_it_may_propose(found, table):
    new = cp.mesh(x=np.linspace(-0.9, 0.9, 5))
    proposed = cp.propose(found.posterior, new, cp.Maximize("exp"), {"exp": 1}, observed=table)
    assert len(proposed) == 1


def test_parts_are_in_proportion():
    assert allotted((0.5, 0.3, 0.2), 7).tolist() == [4, 2, 1]
    assert allotted((1.0, 0.0), 10).tolist() == [10, 0]


def test_what_cannot_be_compared_is_refused(specs, table):
    square, stats = specs["square"], cp.PatternStats.from_table(table, specs["square"].design)
    other = cp.Design.from_bounds({"x": (-1.0, 1.0)}, TARGETS, cp.Polynomial(degree=2))
    fewer = cp.Design.from_table(cp.Table(["x"], ["exp"], table.x, table.y[:, 1:]))
    cases = [
        ({}, "specifications by name"),
        ([square], "specifications by name"),
        ({"a": square, "b": cp.JointGaussian(other)}, "the same location"),
        ({"a": square, "b": cp.JointGaussian(fewer)}, "the same targets"),
        ({"a": square, "b": cp.JointGaussian(square.design, cp.FlatPrior())}, "proper priors"),
        ({"a": square, "b": specs["line"]}, "statistics of the design of 'b'"),
        ({"a": square, "b": specs["student"]}, "with its rows"),
    ]
    for wrong, text in cases:
        with pytest.raises(cp.SpecError, match=text):
            cp.compare(wrong, stats)
    with pytest.raises(cp.SpecError, match="positive prior odds"):
        cp.compare({"a": square}, stats, prior_odds={"b": 1.0})
    part = cp.PatternStats.from_table(table.rows(slice(20)), square.design)
    with pytest.raises(cp.SpecError, match="statistics of the same rows"):
        cp.compare({"a": square, "b": square}, {"a": stats, "b": part})


def test_the_example_of_the_pages_runs(capsys):
    text = (Path(__file__).parents[1] / "notebooks/pages/studies.md").read_text(encoding="utf-8")
    blocks = [b.split("```")[0] for b in text.split("```python\n")[1:] if "cp.compare(" in b]
    exec(compile(blocks[0], "notebooks/pages/studies.md", "exec"), {})
    said = capsys.readouterr().out
    assert "1, sin1(x1)" in said.splitlines()[1] and "probability" in said
