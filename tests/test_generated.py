"""Generated tables and studies give a result or one of our errors, soon and in little memory."""

import math
import time
from collections import Counter

import numpy as np
import pytest
from generated_cases import by_default, go_on, walk
from generated_files import studies, tables
from generated_pairs import pairs
from generated_toml import toml
from hypothesis import HealthCheck, event, given, settings
from pace import within

import claude_pymc as cp
from claude_pymc.acquisition import spaces
from claude_pymc.acquisition.objectives import Reach
from claude_pymc.errors import ClaudeError
from claude_pymc.study import Study
from claude_pymc.tables import memory
from claude_pymc.tables.statistics import PatternStats

SECONDS = 5.0  # of one example, of the processor: other runs take their share of the clock
GIGABYTE = 1e9
FEW = {"tables": 200, "studies": 100, "pairs": 100}  # examples in `make test`
MANY = {"tables": 3000, "studies": 2000, "pairs": 5000}  # in `make slow`
KINDS = {"tables": tables(), "studies": studies(), "pairs": pairs()}
# Shares of examples that a specification is made of; tables may be anything.
LEAST = {"tables": 0.03, "studies": 0.15, "pairs": 0.15}
FITS = 60
MOST_TERMS, MOST_ROWS, MOST_TARGETS, MOST_CANDIDATES = 6, 20, 2, 500


@pytest.fixture(autouse=True, scope="module")
def small_machine():
    """A machine of little memory: what does not fit there is refused."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (memory, spaces):
            patch.setattr(module, "available", lambda: 3 * 10**8)
        yield


def quiet(number):
    """The same examples in every run, none of them kept."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def largest_memory():
    """Bytes that this process had at most."""
    resource = pytest.importorskip("resource")
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def explore(kind, number, path):
    """Walk through examples; shares of what became of them."""
    stages, longest, before = Counter(), 0.0, largest_memory()

    @quiet(number)
    @given(KINDS[kind])
    def example(pair):
        nonlocal longest
        start = time.process_time()
        stage, _ = walk(*pair, path)
        longest = max(longest, time.process_time() - start)
        assert within(longest, SECONDS, time.process_time)
        stages[stage] += 1
        event(stage)

    example()
    assert largest_memory() - before < GIGABYTE
    return {stage: n / stages.total() for stage, n in stages.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_or_one_of_our_errors(kind, tmp_path):
    shares = explore(kind, FEW[kind], tmp_path)
    assert shares.get("done", 0.0) > LEAST[kind] / 3  # the first ones are simple


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_result_or_one_of_our_errors_of_ten_thousand(kind, tmp_path):
    assert sum(MANY.values()) == 10_000
    shares = explore(kind, MANY[kind], tmp_path)
    assert shares.get("done", 0.0) > LEAST[kind]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile what a first fit compiles: that takes longer than the fit."""
    path = tmp_path_factory.mktemp("first")
    rows = "x,sim,exp\n" + "".join(f"{i},{i % 3}.5,{i % 4 if i % 2 else ''}\n" for i in range(12))
    names = {"descriptors": ["x"], "targets": ["sim", "exp"]}
    for more in ({}, {"prior": {"kind": "lkj"}}, {"corrections": "auto"}):
        for used in (names, {**names, "targets": ["exp"]}):
            _, there = walk(toml({"data": used, **more}).encode(), rows.encode(), path)
            assert go_on(*there) and by_default(*there[:2])


@pytest.mark.slow
def test_fits_and_predictions_of_generated_tables(compiled, tmp_path):
    done, longest = Counter(), 0.0

    @quiet(60 * FITS)  # of which most are refused or too large
    @given(pairs())
    def example(pair):
        nonlocal longest
        if done["tried"] == FITS:
            return
        _, there = walk(*pair, tmp_path)
        if there is None:
            return
        found, table, spec, _, pool = there
        sizes = len(spec.design.terms), len(table), len(found.targets), len(pool)
        if any(np.greater(sizes, (MOST_TERMS, MOST_ROWS, MOST_TARGETS, MOST_CANDIDATES))):
            return
        done["tried"] += 1
        for name, call in (
            ("drawn", lambda: go_on(*there)),
            ("fitted", lambda: by_default(found, table)),
        ):
            start = time.process_time()
            done[name] += call()
            longest = max(longest, time.process_time() - start)
            assert within(longest, SECONDS, time.process_time)

    example()
    assert done["tried"] == FITS
    assert done["drawn"] > 0.7 * FITS and done["fitted"] > 0.7 * FITS


X = [0.1, 0.4, 0.2, 0.9, 0.5, 0.7]
ROWS = "x,sim,exp\n" + "".join(f"{x},{x + 0.1:g},{x * x:g}\n" for x in X)
NAMES = {"data": {"descriptors": ["x"], "targets": ["sim", "exp"]}}
LOG = {"transforms": {"sim": "log", "exp": "log"}}
SPLINE = {"basis": {"kind": "spline", "order": 10**8, "exponents": [[0], [2]]}}
ROUTES = {"data": {"descriptors": ["route"], "targets": ["exp"], "categories": ["route"]}}


def mesh(*axis):
    return {"candidates": {"x": list(axis)}}


def formulas(**more):
    content = {"data": {"descriptors": [], "targets": ["exp"]}}
    return {**content, "descriptors": {"formula": "name", "properties": ["Number"], **more}}


# what changes in the study, the rows, and what is said; each was a traceback or ate the memory
ONCE_BROKE = {
    "a value to reach of many digits": (
        {"objective": {"reach": "exp", "value": 10**400}}, ROWS, "numbers of a size up to 1e308",
    ),
    "a value to reach as wide as numbers go": (
        {"objective": {"reach": "exp", "value": 1e308}}, ROWS, "of a size up to 1e.50",
    ),
    "bounds of many digits": (
        {"bounds": {"x": [0, 10**400]}}, ROWS, "numbers of a size up to 1e308",
    ),
    "an order of many digits": (
        {"basis": {"kind": "hsgp", "order": 10**300}}, ROWS, "order as a whole number",
    ),
    "bounds as wide as numbers go": (
        {"bounds": {"x": [-1e308, 1e308]}}, ROWS, "'x' in bounds of a size up to",
    ),
    "bounds of no width": (
        {"bounds": {"x": [0.0, 1e-308]}}, ROWS, "that differ by more than",
    ),
    "a descriptor as large as numbers go": (
        {}, ROWS + "1e308,1,1\n-1e308,1,1\n", "descriptor 'x' of a size up to",
    ),
    "a row so far out that its powers overflow": (
        {"bounds": {"x": [0, 1]}, "basis": {"degree": 30}}, ROWS + "1e9,1,1\n",
        r"within 46\.4 half widths(.|\n)*power of 30",
    ),
    "a row that far out, and a basis that ends": (
        {"bounds": {"x": [0.0, 0.01]}, "basis": {"kind": "spline", "order": 4}},
        ROWS + "1e49,1,1\n", "where the functions of the basis hold",
    ),
    "a target as large as numbers go": ({}, ROWS + "1,1e308,1\n", "'sim', 'exp' of a size up to"),
    "a logarithm of almost nothing": (LOG, ROWS + "1,1e-300,1\n", "positive values of 'sim'"),
    "corrections with brackets too many": (
        {"corrections": {"exp": [[[0]]]}}, ROWS, "brackets too few or too many",
    ),
    "exponents of a typing error": ({"basis": {"exponents": [[10**9]]}}, ROWS, "up to 10000"),
    "many splines of which few are used": (SPLINE, ROWS, "order of the basis, where exponents"),
    "a mesh of a thousand million": (mesh(0, 1, 10**9), ROWS, "a mesh that fits into the memory"),
    "a mesh as wide as numbers go": (mesh(-1e308, 1e308, 3), ROWS, "whose difference is a number"),
    "no statistics of a formula": (
        formulas(statistics=[]), "name,exp\nNaCl,1\nFe,2\n", "some statistics among",
    ),
    "a formula of many digits": (
        formulas(), f"name,exp\nNaCl,1\nH{'9' * 400},2\n", "amount that is not between",
    ),
    "a prior scale whose square is no number": (
        {"prior": {"linkage_sd": 1e154}}, ROWS, r"positive number for linkage_sd(.|\n)*1e.50",
    ),
    "brackets without end": ("a = " + "[" * 5000, ROWS, "a study file in TOML"),
    "digits without end": (f"title = {'9' * 5000}", ROWS, "a study file in TOML"),
    "hexadecimal digits without end": (f"title = 0x{'f' * 5000}", ROWS, "308 digits"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE_BROKE)
def test_what_once_broke(name, tmp_path):
    change, rows, said = ONCE_BROKE[name]
    text = change if isinstance(change, str) else toml({**NAMES, **change})
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    start = time.process_time()
    with pytest.raises(ClaudeError, match=said):
        study = Study.from_toml(tmp_path / "study.toml")
        table = study.table(tmp_path / "rows.csv")
        spec = study.spec(table)
        PatternStats.from_table(table, spec.design)
        study.pool(table)
    assert within(time.process_time() - start, 1.0, time.process_time)


@pytest.mark.parametrize("kind", ["hsgp", "spline"])
def test_a_basis_that_ends_without_a_number(kind, tmp_path):
    """Text alone: there are no bounds beyond which a row could lie."""
    study = toml({**ROUTES, "basis": {"kind": kind}}).encode()
    assert walk(study, b"route,exp\na,1\nb,2\na,3\n", tmp_path)[0] == "done"


def test_rows_that_come_later_are_refused_too():
    table = cp.Table(["x"], ["exp"], np.array(X)[:, None], np.array(X)[:, None])
    design = cp.Design.from_table(table, cp.Polynomial(degree=9))
    far = cp.Table(["x"], ["exp"], [[1e9]], [[1.0]])
    with pytest.raises(ClaudeError, match=r"one .* half widths away, in row 0"):
        PatternStats.from_table(far, design)
    farther = cp.Table(["x"], ["exp"], [[1.7e308]], [[1.0]])
    for basis in (cp.Polynomial(degree=9), cp.Spline(order=4)):
        with pytest.raises(ClaudeError, match="half widths"):
            PatternStats.from_table(farther, cp.Design.from_table(table, basis))
    large = cp.Table(["x"], ["exp"], [[0.5]], [[1e60]])
    with pytest.raises(ClaudeError, match=r"'exp' within 1e.50 times the scale of the design"):
        PatternStats.from_table(large, design)
    missing = cp.Table(["x"], ["exp"], [[math.nan]], [[math.nan]])
    with pytest.warns(cp.Notice, match="row"):
        assert PatternStats.from_table(missing, design).n_rows == 0


def test_meshes_are_counted_before_they_are_made():
    with pytest.raises(ClaudeError, match=r"1e\+12 candidates"):
        spaces.mesh(**{name: np.zeros(1000) for name in "abcd"})
    with pytest.raises(ClaudeError, match=r"1e.300 candidates"):
        spaces.refuse_many({f"x{j}": 10**18 for j in range(30)})
    assert len(spaces.mesh(a=np.zeros(100), b=np.zeros(100))) == 10_000
    with pytest.raises(ClaudeError, match="a finite number to reach"):
        Reach("exp", 10**400)


# Found here, in the sampler: each was a traceback.
LKJ = {"prior": {"kind": "lkj"}}
THREE = {"descriptors": ["x"], "targets": ["sim", "mid", "exp"]}
ALIKE = "x,exp\n" + "".join(f"{x},1e15\n" for x in X)
TWICE = "x,sim,mid,exp\n0,-0.04,0.192,0.031\n1,-0.04,0.192,0.031\n"
NEVER = "x,sim,mid,exp\n" + "".join(f"{x},{x + 0.1:g},{x * x:g},\n" for x in X)
SAMPLED = {
    "one dimension along which noise is not known": (
        {"data": {"descriptors": ["x"], "targets": ["exp"]}, **LKJ},
        ALIKE,
    ),
    "two rows alike": ({"data": THREE, **LKJ, "corrections": {"exp": ["1"]}}, TWICE),
    "a primary target of three that nobody measured": (
        {"data": THREE, "basis": {"kind": "hsgp", "lengths": "each"}},
        NEVER,
    ),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_fits_that_once_broke(name, tmp_path):
    study, rows = SAMPLED[name]
    stage, there = walk(toml(study).encode(), rows.encode(), tmp_path)
    assert stage == "done"
    go_on(*there)
