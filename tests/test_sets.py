"""Terms chosen by evidence: each set against a fit of its own, averages, and what is refused."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.special import logsumexp

import claude_pymc as cp
from claude_pymc.joint.averaged import draw_averaged
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.sets import Menu
from claude_pymc.joint.several import Choices, Several
from claude_pymc.joint.simulate import draw_prior

TARGETS = ("sim", "exp")
unidentified = pytest.mark.filterwarnings("ignore:the linkage of 'exp':claude_pymc.Notice")
TERMS = ("1", "x", "x^2")


def make_rows(kind):
    """Twenty rows of a parabola and of one that lies lower; every second measured, or none."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (20, 1))
    sim = x[:, 0] + x[:, 0] ** 2 + 0.1 * rng.standard_normal(20)
    exp = sim - 0.5 + 0.25 * x[:, 0] + 0.2 * rng.standard_normal(20)
    exp[::2] = np.nan
    if kind == "apart":
        sim[1::2] = np.nan
    return cp.Table(["x"], TARGETS, x, np.column_stack([sim, exp]))


def make_case(kind, corrections="auto"):
    design = cp.Design.from_bounds(
        {"x": (-1.0, 1.0)}, TARGETS, cp.Polynomial(degree=2), corrections
    )
    spec = cp.JointGaussian(design)
    return spec, cp.PatternStats.from_table(make_rows(kind), design)


def subsets(terms=TERMS):
    return [s for k in range(len(terms) + 1) for s in itertools.combinations(terms, k)]


@pytest.fixture(scope="module", params=["complete", "apart"])
def fits(request):
    """The posterior averaged over sets, and fits of each set alone."""
    spec, stats = make_case(request.param)
    tree = cp.sample(spec, stats, draws=2000, seed=1)
    alone = {}
    for chosen in subsets():
        fixed = make_case(request.param, {"exp": list(chosen)})
        alone[", ".join(chosen) or "nothing"] = fixed
    return cp.JointPosterior(tree), alone


@unidentified
def test_evidence_of_each_set_is_that_of_the_set_alone(fits):
    post, alone = fits
    ranking = post.ranking.set_index("set")
    assert len(ranking) >= 4 and set(ranking.target) == {"exp"}
    for name, row in ranking.iterrows():
        if row.probability > 1e-3:
            fixed = cp.evidence(*alone[name], seed=2)
            assert abs(row.log_evidence - fixed.log_evidence) < 5 * np.hypot(row.se, fixed.se)


@unidentified
def test_probabilities_are_prior_odds_times_evidence(fits):
    post, alone = fits
    fixed = {name: cp.evidence(*case, draws=8000, seed=3) for name, case in alone.items()}
    menu = Menu.of(post.spec.design, 1, varying=False)
    prior = {str(choice): menu.log_prior(choice) for choice in menu.every()}
    score = {name: prior[name] + found.log_evidence for name, found in fixed.items()}
    total = logsumexp(list(score.values()))
    for _, row in post.ranking.iterrows():
        assert row.log_prior == pytest.approx(prior[row.set])
        assert row.probability == pytest.approx(np.exp(score[row.set] - total), abs=0.03)
    assert post.idata.attrs["log_evidence"] == pytest.approx(total, abs=0.1)
    averaged = cp.evidence(post.spec, make_case("complete")[1], seed=4)
    if post.idata.attrs["shared_rows"]:
        assert averaged.log_evidence == pytest.approx(total, abs=0.1)


@unidentified
def test_predictions_are_the_weighted_means_of_those_of_the_sets(fits):
    post, alone = fits
    new = np.array([[-0.8], [0.1], [0.9]])
    found, weight = 0.0, 0.0
    for _, row in post.ranking.iterrows():
        spec, stats = alone[row.set]
        one = cp.JointPosterior(cp.sample(spec, stats, seed=5), spec)
        found = found + row.probability * one.predict(new).mean().to_numpy()
        weight += row.probability
    ours = post.predict(new)
    assert weight == pytest.approx(1.0)
    np.testing.assert_allclose(ours.mean(), found, atol=0.05 * ours.std().to_numpy().max() + 0.02)


def test_draws_say_which_terms_they_have(fits):
    post, _ = fits
    posterior = post.idata["posterior"]
    included = posterior["included"]
    coefficient = posterior["corrections"].sel(target="exp")
    for unit in included["unit"].to_numpy():
        term = str(unit).removeprefix("exp: ")
        np.testing.assert_array_equal(
            included.sel(unit=unit) == 1.0, coefficient.sel(basis=term) != 0.0
        )
    best = post.ranking.iloc[0]
    assert "scale" not in posterior and best.probability == post.ranking.probability.max()


def test_a_file_keeps_ranking_and_choice(fits, tmp_path):
    post, _ = fits
    post.save(tmp_path / "post.nc")
    again = cp.JointPosterior.load(tmp_path / "post.nc")
    assert again.ranking.equals(post.ranking) and again.spec.design.chosen == ("exp",)
    assert all(check.passed for check in convergence(again.idata))


def test_description_states_the_prior_odds():
    text = make_case("apart")[0].describe()
    assert "exp = c * sim + R(chosen by evidence among 1, x, x^2) + noise" in text
    assert "the constant is in a set or not, 1:1" in text
    assert "k of 2 terms: 2^-k, dealt out to the sets of that size" in text


@pytest.mark.parametrize(
    ("corrections", "chosen", "first"),
    [
        ("auto", ("exp",), TERMS),
        ({"exp": "auto"}, ("exp",), TERMS),
        ({"sim": "auto", "exp": ["1"]}, ("sim",), TERMS),
        ({"sim": ["1"], "exp": "auto"}, ("exp",), ("1",)),
        (None, (), TERMS),
    ],
)
def test_which_targets_are_chosen_for(corrections, chosen, first):
    design = make_case("apart", corrections)[0].design
    assert (design.chosen, design.corrections[0]) == (chosen, first)
    assert ("chosen" in design.to_dict()) == bool(chosen)
    assert cp.Design.from_dict(design.to_dict()) == design


def test_smooth_bases_are_chosen_for_in_every_target_and_one_target_is_too():
    bounds = {"x": (0.0, 1.0)}
    smooth = cp.Design.from_bounds(bounds, TARGETS, cp.HSGP(order=8), "auto")
    alone = cp.Design.from_bounds(bounds, ["y"], cp.Polynomial(degree=2), "auto")
    assert (smooth.chosen, alone.chosen) == (TARGETS, ("y",))


def test_both_targets_may_be_chosen_for_and_fixed_ones_keep_their_sets():
    spec, stats = make_case("apart", {"sim": "auto", "exp": "auto"})
    tree, _ = draw_averaged(spec, stats, draws=100, chains=2, seed=1)
    ranking = cp.JointPosterior(tree, spec).ranking
    for _, rows in ranking.groupby("target"):
        assert rows.probability.sum() == pytest.approx(1.0)
    assert set(ranking.target) == set(TARGETS)
    spec, stats = make_case("complete", {"sim": ["1", "x"], "exp": "auto"})
    tree, _ = draw_averaged(spec, stats, draws=100, chains=2, seed=1)
    sim = tree["posterior"]["corrections"].sel(target="sim")
    assert (sim.sel(basis="x^2") == 0).all() and (sim.sel(basis="x") != 0).all()


@pytest.mark.parametrize("number", [2, 5])
def test_prior_odds_sum_to_one_and_are_those_of_draws(number, rng):
    basis = cp.Polynomial(degree=number)
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, TARGETS, basis, "auto")
    menu = Menu.of(design, 1, varying=False)
    prior = {choice: np.exp(menu.log_prior(choice)) for choice in menu.every()}
    assert len(prior) == 2 ** (number + 1) and sum(prior.values()) == pytest.approx(1.0)
    seen = Counter(menu.draw(rng) for _ in range(8000))
    for choice, share in prior.items():
        assert abs(seen[choice] - 8000 * share) < 5 * np.sqrt(8000 * share) + 1


def test_a_search_finds_what_trying_all_sets_finds(rng):
    """A made-up score of twelve terms, with a pair of which each alone is worth nothing."""
    basis = cp.Polynomial(degree=11)
    design = cp.Design.from_bounds({"x": (0.0, 1.0)}, TARGETS, basis, {"sim": ["1"], "exp": "auto"})
    menu = Several(tuple(Menu.of(design, j, varying=False) for j in range(2)))
    gain = dict(zip(design.terms, rng.normal(-2.0, 2.0, 12), strict=True))

    def score(choice, near):
        units = choice.each[1].units
        value = sum(gain[name] for name in units)
        return value + 9.0 * ({"x", "x^7"} <= set(units))

    seen = {}
    menu.search(lambda c, near: seen.setdefault(c, score(c, near)), score)
    first, second = menu.menus[0].first, menu.menus[1]
    every = [Choices((first, second.ordered(set(s), varying=False))) for s in subsets(design.terms)]
    assert len(seen) < len(every) / 4
    assert max(seen, key=seen.get) == max(every, key=lambda choice: score(choice, None))


def test_what_cannot_be_chosen_by_evidence_is_refused():
    spec, stats = make_case("apart")
    with pytest.raises(cp.DesignError, match="a mapping of target to terms"):
        make_case("apart", "automatic")
    with pytest.raises(cp.DesignError, match="as a list of terms"):
        make_case("apart", {"exp": "1"})
    for prior in (cp.LKJPrior(), cp.FlatPrior(), cp.ShrinkagePrior(tied=True)):
        with pytest.raises(cp.SpecError, match="untied ShrinkagePrior"):
            cp.JointGaussian(spec.design, prior)
    for settings in ({"method": "nuts"}, {"backend": "pymc"}):
        with pytest.raises(cp.SpecError, match=r"use cp\.sample"):
            cp.sample(spec, stats, **settings)
    with pytest.raises(cp.SpecError, match="for one PyMC model"):
        cp.build_model(spec, stats)
    with pytest.raises(cp.SpecError, match="for a maximum"):
        cp.find_map(spec, stats)
    fixed = make_case("apart", {"exp": ["1"]})
    with pytest.raises(cp.SamplingError, match="chosen by evidence"):
        _ = cp.JointPosterior(cp.sample(*fixed, seed=1)).ranking


def test_no_term_at_all_may_be_the_best():
    x, y = np.linspace(-1, 1, 60)[:, None], np.random.default_rng(1).standard_normal((60, 2))
    y[:, 1] = y[:, 0] + 0.001 * np.random.default_rng(2).standard_normal(60)
    design = make_case("complete", {"exp": "auto"})[0].design
    stats = cp.PatternStats.from_table(cp.Table(["x"], TARGETS, x, y), design)
    tree = cp.sample(cp.JointGaussian(design), stats, seed=1)
    assert cp.JointPosterior(tree).ranking["set"].iloc[0] == "nothing"


def test_a_draw_from_the_prior_has_the_terms_of_its_set(rng):
    spec, _ = make_case("apart")
    found = [draw_prior(spec, rng)["corrections"] for _ in range(400)]
    present = np.mean([c[1] != 0.0 for c in found], axis=0)
    assert all((c[0] != 0.0).all() for c in found)
    expected = [0.5, 2 / 7 * 0.5 + 1 / 7, 2 / 7 * 0.5 + 1 / 7]
    np.testing.assert_allclose(present, expected, atol=0.12)


def test_a_study_may_say_auto():
    content = {
        "data": {"descriptors": ["x"], "targets": list(TARGETS)},
        "basis": {"degree": 2},
        "corrections": "auto",
    }
    assert cp.Study.from_dict(content).spec(make_rows("apart")).design.chosen == ("exp",)
    content["corrections"] = {"exp": "auto"}
    assert cp.Study.from_dict(content).spec(make_rows("apart")).design.chosen == ("exp",)
    for wrong in ("all", ["auto"], {"exp": "all"}):
        with pytest.raises(cp.StudyError, match=r"auto|section"):
            cp.Study.from_dict(content | {"corrections": wrong})
