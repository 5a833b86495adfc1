"""Descriptors that hold text: from cells to terms, draws, predictions and proposals."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from fakes import call

import claude_pymc as cp
from claude_pymc.errors import DesignError, StatisticsError, StudyError, TableError
from claude_pymc.tables.categories import Category

NAN = np.nan
OFFSETS = {"melt": 0.0, "sol-gel": 0.6, "sputter": -0.4}  # of the experiment, by route
NAMES = sorted(OFFSETS)


def make_frame(n=60, seed=0, routes=NAMES):
    """A line in x, simulated in every row; measured in two of three, with an offset by route."""
    rng = np.random.default_rng(seed)
    x, route = rng.uniform(-1, 1, n), rng.choice(routes, n)
    sim = 1.0 + 0.8 * x + 0.02 * rng.standard_normal(n)
    exp = sim + np.array([OFFSETS[r] for r in route]) + 0.05 * rng.standard_normal(n)
    exp[::3] = NAN
    return pd.DataFrame({"route": route, "x": x, "sim": sim, "exp": exp})


def make_table(frame=None, **options):
    frame = make_frame() if frame is None else frame
    options = {"categories": ["route"], **options}
    return cp.Table.from_frame(frame, ["route", "x"], ["sim", "exp"], **options)


def make_design(table=None, basis=None, corrections=None, **options):
    table = make_table() if table is None else table
    corrections = {"sim": ["1", "x"], "exp": ["1", "route"], **(corrections or {})}
    return cp.Design.from_table(table, basis, corrections, **options)


@pytest.fixture(scope="module")
def fitted():
    """Exact draws without standardisation, so that offsets are in the units of the targets."""
    table = make_table()
    design = make_design(table, standardize=False)
    idata = cp.sample(
        cp.JointGaussian(design),
        cp.PatternStats.from_table(table, design),
        method="exact",
        seed=1,
    )
    return table, cp.JointPosterior(idata)


def test_a_name_with_categories_is_the_name_to_everybody_else():
    route = Category("route", ["melt", " sol-gel "])
    assert (route, [route], json.dumps([route])) == ("route", ["route"], '["route"]')
    for other in (copy.deepcopy(route), pickle.loads(pickle.dumps(route))):
        assert (other, other.categories) == ("route", ("melt", "sol-gel"))
    for broken in (["a", "a"], ["a", ""]):
        with pytest.raises(TableError, match="different categories of 'route'"):
            Category("route", broken)


@pytest.mark.parametrize(
    ("cells", "categories", "x"),
    [
        (["b", " a ", "b"], ("a", "b"), [1, 0, 1]),
        (["b", "", None], ("b",), [0, NAN, NAN]),
        (["none", "NA", "a,b"], ("NA", "a,b", "none"), [2, 0, 1]),  # text as it stands
        ([2, 10, 2], ("10", "2"), [1, 0, 1]),
        ([2.0, 10.0, NAN], ("10", "2"), [1, 0, NAN]),
        (pd.Categorical(["b", "a", "b"]), ("a", "b"), [1, 0, 1]),
        (pd.array(["b", pd.NA, "b"], dtype="string"), ("b",), [0, NAN, 0]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
    ],
)
def test_cells_become_positions(cells, categories, x):
    frame = pd.DataFrame({"route": cells, "y": 1.0})
    table = cp.Table.from_frame(frame, ["route"], ["y"], categories=["route"])
    assert table.descriptors[0].categories == categories
    np.testing.assert_array_equal(table.x[:, 0], x)


def test_files_with_decimal_commas(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("route;x;sim;exp\n1,5;1,5;2;\nmelt;2,5;;3\n;3;1;2\n")
    table = cp.Table.from_csv(path, ["route", "x"], ["sim", "exp"], categories=["route"])
    assert table.descriptors[0].categories == ("1,5", "melt")
    np.testing.assert_array_equal(table.x, [[0, 1.5], [1, 2.5], [NAN, 3]])
    frame = table.to_frame()
    assert frame["route"].tolist()[:2] == ["1,5", "melt"]
    assert frame["route"].isna().tolist() == [False, False, True]


def test_categories_may_be_declared_before_any_row_has_them():
    declared = {"route": ["sputter", "melt", "spark"]}
    table = make_table(make_frame(routes=["melt", "sputter"]), categories=declared)
    design = make_design(table)
    assert design.categories == {"route": ("sputter", "melt", "spark")}
    assert design.terms == ("1", "x", "route=sputter", "route=melt", "route=spark")
    with pytest.raises(TableError, match=r"known category of 'route'.*\n +got 'sol-gel' in line"):
        make_table(categories=declared)


def test_text_that_is_not_declared_is_refused_with_a_hint():
    with pytest.raises(TableError, match=r"a number(.|\n)*declared: categories=\['route'\]"):
        make_table(categories=None)
    mixed = pd.DataFrame({"x": ["0.1", "abc"], "y": [1.0, 2.0]})
    with pytest.raises(TableError, match=r"got 'abc' in line 1(.|\n)*was not measured$"):
        cp.Table.from_frame(mixed, ["x"], ["y"])


@pytest.mark.parametrize("categories", ["route", ["rout"], ["exp"], {"route": "melt"}])
def test_declarations_that_do_not_fit(categories):
    with pytest.raises(TableError, match="categories as a list of some of the descriptors"):
        make_table(categories=categories)


def test_terms_are_one_indicator_for_each_category():
    design = make_design(basis=cp.Polynomial(degree=2))
    assert design.descriptors == ("x", "route")
    assert len(design.bounds) == 1
    assert design.terms == ("1", "x", "x^2", *(f"route={name}" for name in NAMES))
    assert design.basis.groups(design.descriptors)[3:] == ("route",) * 3
    assert design.corrections[1] == ("1", *design.terms[3:])
    phi = design.phi([[0.1, 2], [0.2, 0], [0.3, NAN]])
    np.testing.assert_array_equal(phi[:, 3:], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(phi[:, 2], phi[:, 1] ** 2)


@pytest.mark.parametrize(
    "basis", [cp.Polynomial(degree=2), cp.Legendre(degree=3), cp.Sine(order=2), cp.Spline(),
              cp.HSGP(order=9, lengths="each", interactions=[(0, 1)])],
)  # fmt: skip
def test_they_add_to_any_basis(basis, rng):
    x = np.hstack([rng.uniform(0, 1, (9, 1)), np.arange(9)[:, None] % 2, rng.uniform(0, 1, (9, 1))])
    names = ("a", Category("c", ["u", "v"]), "b")
    both = cp.Design.from_table(cp.Table(names, ["y"], x, np.ones((9, 1))), basis)
    alone = cp.Design.from_table(cp.Table(["a", "b"], ["y"], x[:, ::2], np.ones((9, 1))), basis)
    phi = both.phi(x[:, [0, 2, 1]])
    p = len(alone.terms)
    np.testing.assert_array_equal(phi[:, :p], alone.phi(x[:, ::2]))
    np.testing.assert_array_equal(phi[:, p:], np.eye(2)[x[:, 1].astype(int)])
    assert both.terms == (*alone.terms, "c=u", "c=v")
    kernels = [d.basis.kernel(d.descriptors) for d in (both, alone)]
    np.testing.assert_array_equal(kernels[0].half[:p], kernels[1].half)
    assert not kernels[0].half[p:].any()
    np.testing.assert_array_equal(np.array(both.basis.orders(3))[:p, :2], alone.basis.orders(2))


def test_categories_alone_are_descriptors_enough():
    table = cp.Table.from_frame(make_frame(), ["route"], ["exp"], categories=["route"])
    design = cp.Design.from_table(table)
    assert (design.terms[0], design.bounds) == ("1", ())
    np.testing.assert_array_equal(design.phi([[1.0]]), [[1, 0, 1, 0]])


def test_other_targets_have_them_by_default():
    design = cp.Design.from_table(make_table(), cp.Polynomial(degree=2))
    assert design.corrections[1] == ("1", "x", *(f"route={name}" for name in NAMES))


def test_a_simulation_may_know_no_route():
    frame = make_frame()
    frame.loc[frame["exp"].isna(), "route"] = None
    design = make_design(make_table(frame))
    assert cp.PatternStats.from_table(make_table(frame), design).n_rows == 60
    with pytest.raises(TableError, match="'route' in every row whose targets use it"):
        make_design(make_table(frame), corrections={"sim": ["1", "x", "route"]})


def test_designs_round_trip():
    design = make_design(basis=cp.HSGP(order=9))
    again = cp.Design.from_dict(json.loads(json.dumps(design.to_dict())))
    assert (again, again.digest, again.categories) == (design, design.digest, design.categories)
    spec = cp.JointGaussian(design)
    assert cp.JointGaussian.from_json(spec.to_json()) == spec
    assert "sim: route=melt" not in spec.describe()
    assert "route=melt, route=sol-gel, route=sputter" in spec.describe()


def test_designs_before_any_row():
    bounds = {"route": ["melt", "spark"], "x": (0.0, 2.0)}
    design = cp.Design.from_bounds(bounds, ["exp"])
    assert design.descriptors == ("x", "route")
    assert (design.bounds, design.categories) == (((0.0, 2.0),), {"route": ("melt", "spark")})
    np.testing.assert_array_equal(design.phi([[2.0, 1.0]]), [[1, 1, 0, 1]])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: make_design(make_table(make_frame(routes=["melt"]))), "at least two categories"),
        (lambda: make_design(bounds={"route": (0, 1)}), r"\['x'\]\n.*'route'"),
        (lambda: make_design(missing_descriptors=True), "each descriptor entering linearly"),
        (
            lambda: cp.Design.from_bounds({"linear": ["a", "b"], "x": (0, 1)}, ["y"]),
            "not those of groups",
        ),
    ],
)
def test_what_makes_no_design(make, says):
    with pytest.raises(DesignError, match=says):
        make()


def test_positions_that_are_none_are_refused():
    for position in (3.0, 0.5, -1.0):
        with pytest.raises(TableError, match=r"positions 0 \.\. 2 of the categories of 'route'"):
            make_design().phi([[0.0, position]])


def test_tables_add_with_the_categories_of_both():
    first = make_table(make_frame(routes=["sol-gel", "sputter"]))
    second = make_table(make_frame(10, 1, ["melt", "sputter"]))
    total = first + second
    assert total.descriptors[0].categories == ("sol-gel", "sputter", "melt")
    frames = pd.concat([first.to_frame(), second.to_frame()], ignore_index=True)
    pd.testing.assert_frame_equal(total.to_frame(), frames)
    swapped = cp.Table.from_frame(frames, ["x", "route"], ["exp"], categories=["route"])
    both = second + swapped
    assert both.to_frame()["route"].tolist()[10:] == frames["route"].tolist()
    numbers = cp.Table(["x", "route"], ["exp"], [[0, 1]], [[1]])
    with pytest.raises(TableError, match="'route' as text in both tables"):
        first + numbers


def test_the_digest_is_of_the_categories_too():
    table = make_table()
    renamed = Category("route", ["a", "b", "c"])
    other = cp.Table((renamed, "x"), table.targets, table.x, table.y)
    assert other.digest != table.digest
    assert make_table().digest == table.digest


def test_statistics_merge_only_with_the_same_categories():
    frames = [make_frame(seed=s, routes=r) for s, r in ((0, NAMES), (1, ["melt", "sputter"]))]
    table, fewer = map(make_table, frames)
    design = make_design(table)
    stats = cp.PatternStats.from_table(table, design)
    with pytest.raises(TableError, match=r"categories of the design(.|\n)*design\.descriptors"):
        cp.PatternStats.from_table(fewer, design)
    again = cp.Table.from_frame(frames[1], design.descriptors, design.targets)
    assert (stats + cp.PatternStats.from_table(again, design)).n_rows == 120
    part = table.rows(slice(0, 10))
    assert (stats - cp.PatternStats.from_table(part, design)).n_rows == 50
    three = make_design(make_table(categories={"route": NAMES[::-1]}))
    other = cp.PatternStats.from_table(make_table(categories={"route": NAMES[::-1]}), three)
    with pytest.raises(StatisticsError, match=r"designs that differ in .*categories"):
        stats + other


def test_statistics_and_sources_keep_them(tmp_path, synchronous):
    dask = pytest.importorskip("dask.dataframe")
    frame, design = make_frame(), make_design()
    stats = cp.PatternStats.from_table(make_table(), design)
    stats.save(tmp_path / "stats.npz")
    assert cp.PatternStats.load(tmp_path / "stats.npz").design == design
    frame.to_parquet(tmp_path / "rows.parquet")
    found = [
        cp.PatternStats.from_parquet(tmp_path, design),
        cp.PatternStats.from_dask(dask.from_pandas(frame, npartitions=3), design),
    ]
    for other in found:
        np.testing.assert_allclose(other.grams, stats.grams, atol=1e-12)
    frame.loc[7, "route"] = "spark"
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(TableError, match=r"'spark' in row 7 of rows\.parquet"):
        cp.PatternStats.from_parquet(tmp_path, design)


def test_offsets_by_route_are_recovered(fitted):
    """Differences to the first route, which the constant does not touch."""
    _, post = fitted
    at = pd.DataFrame({"x": 0.0, "route": NAMES})
    draws = post.predict(at).draws.sel(target="exp").to_numpy()
    for name, values in zip(NAMES[1:], (draws - draws[:, :1]).T[1:], strict=True):
        true = OFFSETS[name] - OFFSETS[NAMES[0]]
        assert abs(values.mean() - true) < 3 * values.std()
        assert 0.01 < values.std() < 0.04  # 0.05 sqrt(2 / 13)
    names = list(post.idata["posterior"].coords["group"].to_numpy())
    assert names == ["sim: linear", "exp: route"]


def test_predictions_read_text(fitted):
    table, post = fitted
    at = pd.DataFrame({"route": ["melt", "sputter"], "x": [0.5, 0.5]})
    expected = post.predict([[0.5, 0], [0.5, 2]]).draws
    np.testing.assert_array_equal(post.predict(at).draws, expected)
    np.testing.assert_array_equal(
        post.predict(table, seed=0).draws, post.predict(table.to_frame(), seed=0).draws
    )


def test_an_unseen_category_is_named_with_the_nearest_known_one(fitted):
    at = pd.DataFrame({"x": [0.0, 0.0], "route": ["melt", "sputer"]})
    with pytest.raises(TableError) as error:
        fitted[1].predict(at)
    text = str(error.value)
    for part in ("'route': 'melt', 'sol-gel'", "'sputer' in line 1", "did you mean 'sputter'?"):
        assert part in text


def test_leave_one_out_and_validation_go_through(fitted):
    table, post = fitted
    tree = cp.attach_rows(post.idata, table, post.spec, seed=0)
    assert tree["log_likelihood"]["exp"].shape[-1] == table.counts["exp"]


def test_proposals_name_the_route(fitted):
    _, post = fitted
    pool = cp.mesh(x=[0.0, 0.5], route=NAMES)
    found = cp.propose(post, pool, cp.Maximize("exp"), {"exp": 2, "sim": 1})
    # The second point is what adds most to the batch: it may be another route.
    assert (found["route"][0], found["x"][0]) == ("sol-gel", 0.5)
    assert found["route"][1] in NAMES
    assert pd.isna(found["route"][2])  # a simulation has none
    measured = pool.assign(exp=[NAN, NAN, NAN, NAN, 1.0, NAN])
    again = cp.propose(post, measured, cp.Maximize("exp"))
    assert (again["x"][0], again["route"][0]) == (0.0, "sol-gel")


STUDY = """title = "Routes"
[data]
descriptors = ["x", "route"]
categories = ["route"]
targets = ["sim", "exp"]
[corrections]
sim = ["1", "x"]
exp = ["1", "route"]
"""


def test_a_study_from_rows_to_proposals(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY + "[candidates]\nx = [-1, 1, 3]\n")
    make_frame().to_csv(tmp_path / "rows.csv", index=False)
    study, out = tmp_path / "study.toml", tmp_path / "out"
    code, text, err = call("fit", tmp_path / "rows.csv", "--study", study, "--out", out)
    assert code == 0, text + err
    assert pd.read_csv(out / "predictions.csv")["route"].isin(NAMES).all()
    assert pd.read_csv(out / "proposals.csv")["route"].tolist() == ["sol-gel"]
    (tmp_path / "at.csv").write_text("route,x\nsol-gel,0\nspark,1\n")
    code, _, err = call("predict", out, "--at", tmp_path / "at.csv")
    assert code == 2
    assert "'spark' in line 3 of at.csv" in err
    (tmp_path / "at.csv").write_text("route,x\nsol-gel,0\nmelt,1\n")
    assert call("predict", out, "--at", tmp_path / "at.csv")[0] == 0


def test_what_a_study_says_of_categories(tmp_path):
    def read(*pair):
        path = tmp_path / "study.toml"
        path.write_text((STUDY + "[candidates]\nx = [0, 1, 2]\n").replace(*pair))
        return cp.Study.from_toml(path)

    some = read("x = [0, 1, 2]", 'x = [0, 1, 2]\nroute = ["melt"]').pool(make_table())
    assert some["route"].tolist() == ["melt", "melt"]
    assert len(read("a", "a").pool(make_table())) == 6
    found = read('categories = ["route"]', 'categories = {route = ["b", "a"]}')
    assert found.categories == {"route": ("b", "a")}
    for text, says in (
        ('"route"', "a list of descriptors that hold text"),
        ("[1]", "a list of descriptors that hold text"),
        ('["rout"]', "did you mean 'route'"),
        ("{route = 3}", r"a list of categories for route in \[data\.categories\]"),
    ):
        with pytest.raises(StudyError, match=says):
            read('categories = ["route"]', f"categories = {text}")
    with pytest.raises(StudyError, match=r"a list of categories for route in \[candidates\]"):
        read("x = [0, 1, 2]", "route = [0, 1, 2]")
