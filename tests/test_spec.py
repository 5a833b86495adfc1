"""Specifications: what they say, what they refuse, and their JSON."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

from claude_pymc.errors import SpecError
from claude_pymc.joint.priors import LKJPrior, ShrinkagePrior
from claude_pymc.joint.spec import FORMAT, JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.categories import Category
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

DESIGN = Design.from_bounds(
    {"x": (0, 10)},
    ["cheap", "sim", "exp"],
    Polynomial(degree=2),
    {"sim": ["1", "x"], "exp": []},
    ranges={"exp": (1.0, 5.0)},
    quantities={"cheap": "other"},
    units={"exp": "GPa"},
)


def test_describe_says_model_zeros_scaling_and_prior():
    lines = JointGaussian(DESIGN).describe().split("\n")
    for line in (
        "  cheap = R(1, x, x^2) + noise",
        "  sim = c[sim, cheap] * cheap + R(1, x) + noise",
        "  exp = c[exp, cheap] * cheap + c[exp, sim] * sim + noise",
        "  cheap: none",
        "  sim: x^2",
        "  exp: 1, x, x^2",
        "  (exp [GPa] - 0) / 2.5",
        "  x: 0 .. 10 mapped to -1 .. 1",
    ):
        assert lines.count(line) == 1, line
    assert any("shrinkage" in line for line in lines)
    assert lines.index("  sim: x^2") > next(i for i, t in enumerate(lines) if "zeros" in t)


def test_describe_names_logarithms_and_the_prior():
    design = Design.from_bounds({"x": (0, 1)}, ["y"], transforms={"y": "log"}, standardize=False)
    text = JointGaussian(design, LKJPrior(eta=2.5)).describe()
    assert "(log y - 0) / 1" in text
    assert "mapped to" not in text
    assert "LKJ(eta = 2.5)" in text


def test_describe_names_categories_and_the_first_of_many_descriptors():
    rows = Table(
        [Category("route", ["melt", "sol-gel"]), *(f"x{i}" for i in range(12))],
        ["y"],
        np.random.default_rng(0).integers(2, size=(40, 13)),
        np.zeros((40, 1)),
    )
    lines = JointGaussian(Design.from_table(rows)).describe().split("\n")
    assert lines.count("  route: categories 'melt', 'sol-gel'") == 1
    assert sum("mapped to" in line for line in lines) == 12
    rows = replace(
        rows,
        descriptors=(*rows.descriptors, "x12"),
        x=np.column_stack([rows.x, np.arange(40)]),
    )
    lines = JointGaussian(Design.from_table(rows)).describe().split("\n")
    assert sum("mapped to" in line for line in lines) == 5
    assert lines.count("  ... and 8 more, each mapped from its range") == 1


@pytest.mark.parametrize(
    ("quantities", "ones"),
    [
        ("aaa", {(1, 0), (2, 1)}),
        ("aba", {(2, 0)}),
        ("abb", {(2, 1)}),
        ("aab", {(1, 0)}),
        ("abc", set()),
        ("a", set()),
    ],
)
def test_links_centre_on_the_nearest_cheaper_target_of_the_quantity(quantities, ones):
    names = [f"y{j}" for j in range(len(quantities))]
    given = dict(zip(names, quantities, strict=True))
    links = JointGaussian(Design.from_bounds({"x": (0, 1)}, names, quantities=given)).links
    assert [(j, k) for j, k, _ in links] == [(j, k) for j in range(len(names)) for k in range(j)]
    assert {(j, k) for j, k, mean in links if mean == 1} == ones
    assert {mean for *_, mean in links} <= {0, 1}


@pytest.mark.parametrize("prior", [ShrinkagePrior(noise=0.3), LKJPrior(eta=2, t=3.5)])
def test_specifications_round_trip(prior):
    spec = JointGaussian(DESIGN, prior)
    assert JointGaussian.from_json(spec.to_json()) == spec
    assert JointGaussian.from_json(spec.to_json()).describe() == spec.describe()
    assert spec != JointGaussian(DESIGN, LKJPrior())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dict(format=FORMAT + 1), rf"format {FORMAT} or older\n +got format {FORMAT + 1}"),
        (dict(format="1"), "written by JointGaussian"),
        (dict(likelihood="both"), "likelihood among .*\n +got 'both'"),
        (dict(prior={"kind": "jeffreys"}), r"kind \['flat', 'lkj', 'shrinkage'\]\n +got 'jeff"),
        (dict(prior={"kind": "lkj", "nu": 1}), "fields .*'eta'.*\n +got 'nu'"),
        (dict(prior={"kind": "lkj", "eta": -1}), "positive number for eta\n +got -1"),
        (dict(design={**DESIGN.to_dict(), "extra": 1}), "written by JointGaussian"),
        (dict(design={}), "written by JointGaussian"),
        (dict(design=3), "written by JointGaussian"),
        (dict(prior="lkj"), "written by JointGaussian"),
    ],
)
def test_broken_json_is_refused(changes, says):
    data = {**json.loads(JointGaussian(DESIGN).to_json()), **changes}
    with pytest.raises(SpecError, match=says):
        JointGaussian.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3", "null"])
def test_other_text_is_refused(text):
    with pytest.raises(SpecError, match="JSON written by JointGaussian"):
        JointGaussian.from_json(text)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, "1", None, True])
@pytest.mark.parametrize(
    ("prior", "name"),
    [
        (prior, field.name)
        for prior in (ShrinkagePrior, LKJPrior)
        for field in fields(prior)
        if field.name != "tied"
    ],
)
def test_priors_need_positive_numbers(prior, name, value):
    if value is None and getattr(prior(), name) is None:
        pytest.skip("none means that of the other targets")
    with pytest.raises(SpecError, match=rf"a positive number for {name}\n"):
        prior(**{name: value})


@pytest.mark.parametrize("prior", [ShrinkagePrior, None, "lkj"])
def test_a_prior_is_an_instance(prior):
    with pytest.raises(SpecError, match="a ShrinkagePrior, an LKJPrior or a FlatPrior"):
        JointGaussian(DESIGN, prior)
