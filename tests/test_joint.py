"""The Gaussian of descriptors and targets together, where descriptors may be missing too."""

import numpy as np
import pytensor
import pytest
from joint_cases import FULL, PRIOR, XS, YS, make_design, make_rows
from oracle import all_patterns, random_columns
from scipy.stats import multivariate_normal

import claude_pymc as cp
from claude_pymc.joint.gaussian import precision_from_columns, split_joint
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.model import build_model
from claude_pymc.joint.ops import pattern_numpy
from claude_pymc.notation import JOINT_COLUMNS

NAN = np.nan


def modelled(design, rows):
    """Descriptors and targets on the modelled scale, NaN where missing."""
    low, high = np.transpose(design.bounds)
    return np.hstack([2 * (rows.x - low) / (high - low) - 1, design.to_model(rows.y)])


def dense(mean, covariance, z):
    """Log density of the present entries of all rows."""
    total = 0.0
    for row in z:
        have = np.isfinite(row)
        if have.any():
            normal = multivariate_normal(mean[have], covariance[np.ix_(have, have)])
            total += normal.logpdf(row[have])
    return total


# The likelihood.


def test_likelihood_of_every_pattern(rng):
    design = make_design()
    spec = cp.JointGaussian(design, PRIOR, "joint")
    rows = make_rows(rng, 45, 0.0)
    every = np.resize(all_patterns(4), (45, 4))
    rows = cp.Table(
        XS, YS, np.where(every[:, :2], rows.x, NAN), np.where(every[:, 2:], rows.y, NAN)
    )
    stats = cp.PatternStats.from_table(rows, design)
    assert len(stats.patterns) == 15 and stats.n_rows == 45
    model = build_model(spec, stats)
    data = data_of(spec, stats)
    for name, values in data.items():
        np.testing.assert_array_equal(model[name].get_value(), values)
    names = [*JOINT_COLUMNS, "joint_mean", "joint_covariance", "log_likelihood"]
    outputs = model.replace_rvs_by_values([model[n] for n in names])
    with pytensor.config.change_flags(cxx=""):
        compiled = model.compile_fn(outputs, mode="FAST_COMPILE")
    for _ in range(3):
        point = {k: rng.normal(size=v.shape) for k, v in model.initial_point().items()}
        c, sigma, r, mean, covariance, value = compiled(point)
        expected = dense(mean, covariance, modelled(design, rows))
        assert pattern_numpy(c, sigma, r[:, None], **data)[0] == pytest.approx(expected, rel=1e-9)
        assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("corrections", [FULL, {"sim": ["1", "a"], "exp": ["b"]}])
def test_complete_rows_are_descriptors_times_targets_given_them(corrections, rng):
    design, rows = make_design(corrections), make_rows(rng, 30, 0.0)
    spec = cp.JointGaussian(design, PRIOR, "joint")
    data = data_of(spec, cp.PatternStats.from_table(rows, design))
    for _ in range(3):
        free = np.zeros((4, 4))
        for j, k, _ in spec.columns.links:
            free[j, k] = rng.normal()
        _, sigma, r = random_columns(rng, 1, 4)
        r *= [[(j, 0) in spec.columns.entries] for j in range(4)]
        found = split_joint(free, sigma, r[:, 0], 2)
        assert ((found["corrections"] != 0) == design.active).all()
        plain = make_design(corrections, missing=False)
        columns = (found[n] for n in ("linkage", "sigma", "corrections"))
        given = cp.log_likelihood(
            precision_from_columns(*columns), cp.PatternStats.from_table(rows, plain)
        )
        mean, covariance = found["joint_mean"][:2], found["joint_covariance"][:2, :2]
        described = dense(mean, covariance, modelled(design, rows)[:, :2])
        value = pattern_numpy(free, sigma, r, **data)[0]
        assert value == pytest.approx(given + described, rel=1e-9)


# The specification.


def test_columns_follow_the_corrections():
    spec = cp.JointGaussian(make_design(), PRIOR, "joint")
    assert (spec.columns.variables, spec.columns.terms) == (("a", "b", "sim", "exp"), ("1",))
    assert [link[:2] for link in spec.columns.links] == list(
        zip(*np.tril_indices(4, -1), strict=True)
    )
    assert spec.columns.entries == ((0, 0), (1, 0), (2, 0), (3, 0))
    assert spec.columns.sizes() == (1, 2, 3, 4)
    spec = cp.JointGaussian(make_design({"sim": ["1", "a"], "exp": ["b"]}), PRIOR, "joint")
    assert [link[:2] for link in spec.columns.links] == [(1, 0), (2, 0), (3, 1), (3, 2)]
    assert spec.columns.entries == ((0, 0), (1, 0), (2, 0))
    assert spec.columns.sizes() == (1, 2, 2, 2)
    model = build_model(spec)
    assert list(model.coords["link"]) == ["b <- a", "sim <- a", "exp <- b", "exp <- sim"]
    assert list(model.coords["correction"]) == ["a: 1", "b: 1", "sim: 1"]


def test_description_and_json():
    spec = cp.JointGaussian(make_design({"exp": ["1"]}), PRIOR, "joint")
    lines = spec.describe().split("\n")
    assert "  (a, b) ~ Gaussian with free mean and covariance; may be missing" in lines
    assert "  sim = R(1, a, b) + noise" in lines and "  exp = c * sim + R(1) + noise" in lines
    again = cp.JointGaussian.from_json(spec.to_json())
    assert again == spec and again.design.missing_descriptors and again.likelihood == "joint"
    assert "may be missing" not in cp.JointGaussian(make_design(missing=False)).describe()


@pytest.mark.parametrize(
    ("basis", "prior", "likelihood", "missing", "says"),
    [
        (2, PRIOR, "joint", False, r"linear in them(.|\n)*to do use likelihood='conditional'"),
        (1, cp.ShrinkagePrior(), "joint", True, r"LKJPrior or a FlatPrior(.|\n)*cp.LKJPrior\(\)"),
        (1, PRIOR, "conditional", True, r"missing_descriptors=True(.|\n)*'conditional' and True"),
        (1, PRIOR, "joint", False, r"missing_descriptors=True(.|\n)*got 'joint' and False"),
        (1, PRIOR, "both", False, r"\['conditional', 'joint'\]\n +got 'both'"),
    ],
)
def test_what_does_not_go_together_is_refused(basis, prior, likelihood, missing, says):
    design = cp.Design.from_bounds(
        dict.fromkeys(XS, (0, 1)), YS, cp.Polynomial(degree=basis), missing_descriptors=missing
    )
    with pytest.raises(cp.SpecError, match=says):
        cp.JointGaussian(design, prior, likelihood)


@pytest.mark.parametrize(
    "basis", [cp.Polynomial(degree=2), cp.Sine(order=1), cp.Polynomial(degree=0)]
)
def test_missing_descriptors_need_linear_terms(basis, rng):
    with pytest.raises(cp.DesignError, match=r"linearly\n(.|\n)*use Polynomial\(degree=1\)"):
        cp.Design.from_table(make_rows(rng, 20), basis, missing_descriptors=True)


# Statistics.


def assert_equal(one, two):
    assert (one.design, one.patterns, one.n_dropped) == (two.design, two.patterns, two.n_dropped)
    np.testing.assert_array_equal(one.counts, two.counts)
    np.testing.assert_allclose(one.grams, two.grams, rtol=0, atol=1e-11)


def test_statistics_with_missing_descriptors(rng, tmp_path):
    design, rows = make_design(), make_rows(rng, 80)
    whole = cp.PatternStats.from_table(rows, design)
    assert whole.n_rows == len(rows) and len(whole.patterns) > 10
    present = np.isfinite(np.hstack([rows.x, rows.y]))
    for pattern, count in zip(whole.patterns, whole.counts, strict=True):
        assert count == (present == pattern).all(axis=1).sum()
    assert (whole.described.sum(axis=0) < len(whole.patterns)).all()
    for pattern, gram in zip(whole.patterns, whole.grams, strict=True):
        assert (gram[~np.array([True, *pattern])] == 0).all()
    shuffled = rows.rows(rng.permutation(len(rows)))
    one, two = (
        cp.PatternStats.from_table(shuffled.rows(s), design) for s in (slice(35), slice(35, None))
    )
    assert_equal(one + two, whole)
    assert_equal(whole - two, one)
    assert_equal(whole - one - two, cp.PatternStats.empty(design))
    with pytest.raises(cp.StatisticsError, match="take away"):
        one - whole
    whole.save(tmp_path / "stats.npz")
    again = cp.PatternStats.load(tmp_path / "stats.npz")
    assert_equal(again, whole)
    assert again.digest == whole.digest != one.digest
    with pytest.raises(cp.StatisticsError, match="differ in missing_descriptors"):
        whole + cp.PatternStats.empty(make_design(missing=False))


def test_only_empty_rows_are_dropped(rng):
    design, rows = make_design(), make_rows(rng, 30)
    bare = cp.Table(XS, YS, [[NAN, NAN], [0.5, NAN]], np.full((2, 2), NAN))
    with pytest.warns(cp.Notice, match=f"^1 of {len(rows) + 2} rows have no value"):
        stats = cp.PatternStats.from_table(rows + bare, design)
    assert (stats.n_dropped, stats.n_rows) == (1, len(rows) + 1)


# Conditional likelihood: a simulation that does not use a descriptor may lack it.


def test_a_simulation_may_lack_what_it_does_not_use(rng):
    x = np.column_stack([rng.uniform(-1, 1, 24), rng.uniform(0, 600, 24)])
    sim = 1 + x[:, 0] + 0.1 * rng.normal(size=24)
    exp = sim - 0.002 * x[:, 1] + 0.1 * rng.normal(size=24)
    sim[18:], exp[:12] = NAN, NAN
    y = np.column_stack([sim, exp])
    sets = {"sim": ["1", "co", "co^2"], "exp": ["1", "T", "co T"]}
    x[:12, 1] = NAN
    rows = cp.Table(["co", "T"], YS, x, y)
    design = cp.Design.from_table(rows, cp.Polynomial(degree=2), sets)
    assert design.bounds[1] == (x[12:, 1].min(), x[12:, 1].max())
    stats = cp.PatternStats.from_table(rows, design)
    spec = cp.JointGaussian(design)
    precision = precision_from_columns(
        *(
            m * (design.active if m.ndim == 2 and m.shape[1] == 6 else 1)
            for m in random_columns(rng, 6, 2)
        )
    )
    point = cp.find_map(spec, stats, starts=2)
    for value in (300.0, -7000.0):
        filled = cp.Table(["co", "T"], YS, np.where(np.isnan(x), value, x), y)
        other = cp.PatternStats.from_table(filled, design)
        assert cp.log_likelihood(precision, other) == pytest.approx(
            cp.log_likelihood(precision, stats), rel=1e-12
        )
        again = cp.find_map(spec, other, starts=2)
        assert again.log_posterior == pytest.approx(point.log_posterior, abs=1e-7)
    for row in (15, 20):  # the first has the simulation too
        broken = x.copy()
        broken[row, 1] = NAN
        table = cp.Table(["co", "T"], YS, broken, y, [f"r{i}" for i in range(24)])
        for refuse in (cp.Design.from_table, lambda t, *_: cp.PatternStats.from_table(t, design)):
            with pytest.raises(
                cp.TableError, match=rf"missing one in row {row} \(r{row}\), 1 in all"
            ):
                refuse(table, cp.Polynomial(degree=2), sets)
