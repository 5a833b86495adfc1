"""Features at landmarks against the process whose kernel they carry; their files; bad input."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import claude_pymc as cp
from claude_pymc.joint.sets import Menu
from claude_pymc.tables.bases import basis_from_dict
from claude_pymc.tables.landmarks import Landmarks, between

LENGTHS = (0.5, 0.9)
LOST = 0.02  # eigenvalues that are left out, of which each direction at a landmark has a share


def basis(places, lengths=LENGTHS):
    kernels = (
        ("short", lengths, "smooth"),
        ("long", tuple(3.0 * length for length in lengths), "rough"),
    )
    return Landmarks(
        basis=cp.Polynomial(degree=1), landmarks=tuple(map(tuple, places)), kernels=kernels
    )


def features(both, u, name):
    groups = np.array(both.groups(["a", "b"]))
    return both.expand(u)[:, groups == f"kernel {name}"]


@pytest.mark.parametrize(("name", "factor"), [("short", 1.0), ("long", 3.0)])
def test_their_prior_covariance_is_the_kernel_at_landmarks(rng, name, factor):
    kind = {"short": "smooth", "long": "rough"}[name]
    places = rng.uniform(-1.0, 1.0, (60, 2))
    phi = features(basis(places), places, name)
    scaled = places / (factor * np.array(LENGTHS))
    missing = between(scaled, scaled, kind) - phi @ phi.T
    assert np.abs(missing).max() < LOST
    assert np.linalg.eigvalsh(missing)[0] > -1e-9
    assert phi.shape[1] < 60, "directions that hardly vary are left out"


def test_elsewhere_they_vary_less_and_never_more(rng):
    places = rng.uniform(-1.0, 0.0, (40, 2))
    far = rng.uniform(-1.0, 1.0, (200, 2))
    variance = np.square(features(basis(places), far, "short")).sum(axis=1)
    assert (variance < 1.0 + 1e-9).all()
    near = far[:, :].max(axis=1) < -0.2
    assert variance[near].min() > 0.8
    assert variance[(far > 0.9).all(axis=1)].max(initial=0.0) < 0.05


def test_given_rows_they_predict_as_the_exact_process(rng):
    places = rng.uniform(-1.0, 1.0, (80, 2))
    rows, noise = places[:30], 0.1
    values = np.sin(3.0 * rows[:, 0]) * rows[:, 1] + noise * rng.standard_normal(30)
    both = basis(places)
    seen, asked = (features(both, u, "short") for u in (rows, places))
    precision = np.eye(seen.shape[1]) + seen.T @ seen / noise**2
    mean = asked @ np.linalg.solve(precision, seen.T @ values / noise**2)
    sd = np.sqrt(np.einsum("ij,ij->i", asked, np.linalg.solve(precision, asked.T).T))
    near, every = (
        between(places / LENGTHS, u / np.array(LENGTHS), "smooth") for u in (rows, places)
    )
    inner = between(rows / np.array(LENGTHS), rows / np.array(LENGTHS), "smooth")
    gain = np.linalg.solve(inner + noise**2 * np.eye(30), near.T).T
    exact_sd = np.sqrt(np.diag(every - gain @ near.T))
    assert np.abs(mean - gain @ values).max() < 0.05
    assert np.abs(sd - exact_sd).max() < 0.05


def test_a_design_has_them_beside_other_terms_and_text(rng):
    x = np.column_stack([rng.uniform(0.0, 5.0, (12, 2)), rng.integers(0, 2, 12)])
    route = np.where(x[:, 2] > 0, "melt", "sol-gel")
    frame = {"a": x[:, 0], "b": x[:, 1], "route": route, "y": rng.normal(size=12)}
    columns = ["a", "b", "route"]
    table = cp.Table.from_frame(pd.DataFrame(frame), columns, ["y"], categories=["route"])
    design = cp.Design.from_table(table, basis(rng.uniform(-1, 1, (9, 2))))
    assert design.phi(table.x).shape == (12, len(design.terms))
    assert {"kernel short", "kernel long", "route"} <= set(design.basis.groups(design.descriptors))
    again = cp.Design.from_dict(json.loads(json.dumps(design.to_dict())))
    assert again == design
    np.testing.assert_array_equal(again.phi(table.x), design.phi(table.x))
    assert basis_from_dict(design.basis.to_dict()) == design.basis


@pytest.mark.parametrize(
    ("places", "kernels"),
    [
        (((0.0, 0.0),), (("k", (1.0,), "smooth"),)),
        (((0.0,), (0.0, 1.0)), (("k", (1.0,), "smooth"),)),
        (((0.0,),), (("k", (0.0,), "smooth"),)),
        (((0.0,),), (("k", (1.0,), "smooth"), ("k", (2.0,), "smooth"))),
    ],
)
def test_lengths_and_landmarks_must_fit(places, kernels):
    with pytest.raises(cp.DesignError, match="smooth or rough kernels"):
        Landmarks(basis=cp.Polynomial(degree=1), landmarks=places, kernels=kernels)


def test_features_of_another_machine_are_refused(rng):
    written = basis(rng.uniform(-1.0, 1.0, (20, 2))).to_dict()
    assert basis_from_dict(json.loads(json.dumps(written))).to_dict() == written
    written["proof"][3] *= -1.0
    with pytest.raises(cp.DesignError, match="fit again on this machine"):
        basis_from_dict(written)


@pytest.mark.parametrize("number", [1, 2])
def test_corrections_have_a_kernel_and_linkage_and_noise_are_chosen(rng, number):
    places = rng.uniform(-1, 1, (9, 2))
    inner = replace(basis(places), basis=cp.HSGP(order=8), kernels=basis(places).kernels[:number])
    design = cp.Design.from_bounds(
        {"a": (-1.0, 1.0), "b": (-1.0, 1.0)}, ["sim", "exp"], inner, "auto"
    )
    menu = Menu.of(design, 1, varying=True, noises=("normal", "student"))
    seen = []

    def score(choice, near):
        seen.append(choice)
        return 0.0

    menu.search(score, score)
    assert len(set(seen)) == 4 * number
    assert all(any(name.startswith("kernel ") for name in choice.units) for choice in seen)
    assert sum(np.exp(menu.log_prior(choice)) for choice in set(seen)) == pytest.approx(1.0)
