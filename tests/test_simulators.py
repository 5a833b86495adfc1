"""Simulators: truths against formulas typed anew, rows around them, and the studies they feed."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest

from claude_pymc.errors import StudyError, TableError
from claude_pymc.simulators import (
    PerovskiteTruth,
    magnet,
    magnet_onset,
    perovskite,
    simulate,
    sine_line,
    sine_pair,
    toy_pair,
    truth,
)
from claude_pymc.study import Study
from claude_pymc.tables.table import Table

NAMES = ["toy_pair", "sine_line", "sine_pair", "magnet", "perovskite"]
FUNCTIONS = dict(zip(NAMES, [toy_pair, sine_line, sine_pair, magnet, perovskite], strict=True))
SITES = ["zr", "y", "co", "ti", "v", "T"]

# Table I of the paper, row n, column m; model E differs in the first column only.
TABLE_I = np.zeros((7, 7))
TABLE_I[:, 0] = 4.0, 0.2, 0.3, -0.2, 0.1, -0.3, 0.2
TABLE_I[0, 1:] = -0.1, 0.4, 0.1, -0.1, 0.1, -0.2
TABLE_I[1, 1], TABLE_I[1, 2], TABLE_I[3, 5] = 0.4, -0.2, -0.3


def grid(n=31):
    return pd.DataFrame([(a / (n - 1), b / (n - 1)) for a in range(n) for b in range(n)]).set_axis(
        ["x1", "x2"], axis=1
    )


def pure(co, kelvin):
    """A magnet whose other fractions are zero."""
    return np.array([[0.0, 0.0, co, 0.0, 0.0, kelvin]])


def measured(co, kelvin):
    return truth("magnet", pure(co, kelvin))[0, 1]


def test_toy_truth_is_equations_14_and_15():
    # expanded by hand: 20 x^3 - 25 x^2 + 7 x + 1.95
    x = np.linspace(-0.2, 1.2, 15)
    expected = np.polyval([20.0, -25.0, 7.0, 1.95], x)
    np.testing.assert_allclose(truth("toy_pair", x[:, None]).T, [expected, expected - 1.5])


def test_line_truth_is_the_slides():
    x = np.linspace(0, 1, 101)
    y1 = 2 + 0.2 * np.sin(2 * np.pi * x) + 0.3 * np.sin(4 * np.pi * x)
    y1 += -0.2 * np.sin(6 * np.pi * x) + 0.1 * np.sin(8 * np.pi * x)
    y1 += -0.3 * np.sin(10 * np.pi * x) + 0.2 * np.sin(12 * np.pi * x)
    y2 = y1 - 2 - 0.6 * np.sin(2 * np.pi * x)
    np.testing.assert_allclose(truth("sine_line", x[:, None]).T, [y1, y2], atol=1e-13)


def test_sine_truth_is_table_i_and_its_maximum_the_papers():
    x = np.arange(31) / 30
    phi = np.array([np.ones(31)] + [np.sin(2 * np.pi * n * x) for n in range(1, 7)])
    cheap = phi.T @ TABLE_I @ phi
    dear = cheap - 4.0 - 0.6 * phi[1][:, None]
    found = truth("sine_pair", grid())
    np.testing.assert_allclose(found.T.reshape(2, 31, 31), [cheap, dear], atol=1e-13)
    assert round(found[:, 1].max(), 4) == 2.2125
    assert divmod(found[:, 1].argmax(), 31) == (17, 19)


def test_magnet_truth_is_its_formula(rng):
    x = rng.uniform(size=(50, 6)) * [0.3, 0.5, 0.3, 0.1, 0.1, 600]
    expected = []
    for zr, y, co, ti, v, kelvin in x:
        cold = 1.75 - zr / 4 - y / 10 - 4 * co / 25 - 9 * ti / 10 - 4 * v / 5 - 7 * co * co / 20
        cold += zr * y / 10 - zr * co / 5 - 3 * co * ti / 10 - ti * v / 2
        tau = kelvin / 1000
        hot = 0.95 * cold + 0.05 - tau / 4 - 7 * tau * tau / 20 + 19 * co * tau / 40 - ti * tau / 5
        expected.append([cold, hot])
    np.testing.assert_allclose(truth("magnet", x), expected, rtol=1e-13)
    frame = pd.DataFrame(x, columns=SITES)[SITES[::-1]].assign(name="text")
    np.testing.assert_array_equal(truth("magnet", frame), truth("magnet", x))


def test_magnet_truth_without_temperature_has_the_simulated_value_only():
    found = truth("magnet", pure(0.1, np.nan))
    assert found[0, 0] == pytest.approx(1.75 - 0.016 - 0.0035)
    assert np.isnan(found[0, 1])


def slope(kelvin, step=1e-4):
    return (measured(step, kelvin) - measured(-step, kelvin)) / (2 * step)


def test_the_slope_in_cobalt_changes_sign_at_320_kelvin():
    assert magnet_onset() == 320.0
    assert abs(slope(magnet_onset())) < 1e-10
    assert slope(magnet_onset() - 1) == pytest.approx(-0.475e-3)
    assert slope(magnet_onset() + 1) == pytest.approx(0.475e-3)


@pytest.mark.parametrize(
    ("kelvin", "best"), [(0, 0.0), (300, 0.0), (320, 0.0), (360, 0.0285714), (600, 0.2)]
)
def test_the_best_cobalt_is_zero_in_the_cold_and_finite_above(kelvin, best):
    co = np.linspace(0, 0.3, 3001)
    x = np.repeat(pure(0.0, kelvin), len(co), axis=0)
    x[:, 2] = co
    assert co[truth("magnet", x)[:, 1].argmax()] == pytest.approx(best, abs=1e-4)


def test_the_magnet_has_the_shape_of_the_slides():
    rows = magnet(seed=4)
    assert (rows.descriptors, rows.targets) == (tuple(SITES), ("m_sim", "m_exp"))
    assert rows.units == {"T": "K", "m_sim": "T", "m_exp": "T"}
    assert np.isnan(rows.x[:60, 5]).all()
    assert np.isfinite(rows.x[60:]).all()
    assert (rows.x[:, :5] >= 0).all()
    assert (rows.x[:, :5] <= [0.3, 0.5, 0.3, 0.1, 0.1]).all()
    pairs = rows.x[60:].reshape(30, 2, 6)
    assert (pairs[:, 0, :5] == pairs[:, 1, :5]).all()
    assert (0 <= pairs[:, 0, 5]).all()
    assert (pairs[:, 0, 5] <= 300).all()
    assert (300 <= pairs[:, 1, 5]).all()
    assert (pairs[:, 1, 5] <= 600).all()
    assert len(np.unique(rows.x[:, :5], axis=0)) == 90  # no composition in both


def test_simulated_gaps_have_their_corners_and_are_convex():
    corners = truth("perovskite", [[0, 0], [1, 0], [0, 1]])[:, 0]
    np.testing.assert_allclose(corners, [1.82, 3.3, 2.71])
    at, step = np.array([0.3, 0.4]), 1e-3
    hessian = np.zeros((2, 2))
    for i, a in enumerate(np.eye(2) * step):
        for j, b in enumerate(np.eye(2) * step):
            four = truth("perovskite", [at + a + b, at + a - b, at - a + b, at - a - b])[:, 0]
            hessian[i, j] = four @ [1, -1, -1, 1] / (4 * step**2)
    np.testing.assert_allclose(hessian, [[2.4, 0.2], [0.2, 1.4]], atol=1e-6)
    assert (np.linalg.eigvalsh(hessian) > 0).all()
    for edge in ([0, 1], [1, 0]):  # rising along both axes
        line = np.linspace(0, 1, 50)[:, None] * edge
        assert (np.diff(truth("perovskite", line)[:, 0]) > 0).all()


def test_measured_gaps_are_the_simulated_ones_corrected():
    x = grid(7).to_numpy()
    drawn = PerovskiteTruth(c=1.2, r00=1.0, r10=-0.4, r11=0.7)
    sim, exp = truth("perovskite", x, drawn).T
    np.testing.assert_allclose(exp, 1.2 * sim + 1 - 0.4 * x[:, 0] + 0.7 * x[:, 0] * x[:, 1])
    assert np.isnan(truth("perovskite", x)[:, 1]).all()  # each seed has parameters of its own
    sim, exp = truth("perovskite", x, PerovskiteTruth()).T
    np.testing.assert_allclose(exp, sim + 1.4)


def test_perovskite_rows_lie_where_the_papers_do():
    found = perovskite(seed=8)
    assert found.table.descriptors == found.heldout.descriptors == ("x1", "x2")
    assert (found.table.targets, found.heldout.targets) == (("gap_sim", "gap_exp"), ("gap_exp",))
    assert set(found.table.units.values()) == {"eV"}
    assert found.table.counts == {"gap_sim": 28, "gap_exp": 11}
    x, exp = found.table.x, found.table.x[28:]
    assert (x >= 0).all()
    assert (x.sum(axis=1) <= 1 + 1e-12).all()
    assert (exp.min(axis=1) == 0).all()
    assert (exp == 0).all(axis=1).sum() == 1  # SrTiO3 once
    assert ((exp[:, 0] > 0).sum(), (exp[:, 1] > 0).sum()) == (5, 5)
    np.testing.assert_allclose(found.heldout.x, [[0.25, 0.5], [0.5, 0.25], [1 / 3, 1 / 3]])
    error = found.heldout.y[:, 0] - truth("perovskite", found.heldout, found.truth_parameters)[:, 1]
    assert (np.abs(error) < 0.25).all()
    assert np.abs(error).min() > 0


def test_the_truth_of_the_perovskite_is_drawn_before_its_rows():
    draws = [dataclasses.astuple(perovskite(s).truth_parameters) for s in range(400)]
    mean, sd = np.mean(draws, axis=0), np.std(draws, axis=0)
    wanted = np.array([0.15, 0.2, 0.3, 0.5])
    assert (np.abs(mean - [1.0, 1.4, 0.0, 0.0]) < 4 * wanted / 20).all()
    assert (np.abs(sd / wanted - 1) < 4 / np.sqrt(800)).all()
    other = perovskite(3, steps=10, n_edge=9)
    assert other.truth_parameters == perovskite(3).truth_parameters
    assert other.table.counts == {"gap_sim": 66, "gap_exp": 17}


@pytest.mark.parametrize("name", NAMES)
def test_rows_reproduce_and_none_is_shared(name):
    rows, again, other = simulate(name, 5), simulate(name, 5), simulate(name, 6)
    assert rows.digest == again.digest == simulate(name, np.random.default_rng(5)).digest
    assert rows.digest != other.digest
    assert (np.isfinite(rows.y).sum(axis=1) == 1).all()
    assert simulate(name).digest == simulate(name, 0).digest
    rng = np.random.default_rng(5)
    assert simulate(name, rng).digest != simulate(name, rng).digest  # a generator moves on
    drawn = FUNCTIONS[name](5)
    assert (drawn if isinstance(drawn, Table) else drawn.table).digest == rows.digest
    assert "noise" in inspect.signature(FUNCTIONS[name]).parameters


@pytest.mark.parametrize(
    ("name", "sizes", "noise"),
    [
        ("toy_pair", {"n_sim": 4000, "n_exp": 4000}, (0.03, 0.1)),
        ("sine_line", {"n_sim": 4000, "n_exp": 4000}, (0.02, 0.02)),
        ("sine_pair", {"n_sim": 4000, "n_exp": 4000, "mesh": 90}, (0.02, 0.02)),
        ("magnet", {"n_sim": 4000, "n_compositions": 2000}, (0.003, 0.01)),
        ("perovskite", {"steps": 88, "n_edge": 2000}, (0.03, 0.05)),
    ],
)
def test_rows_scatter_around_the_truth_by_the_noise(name, sizes, noise):
    rows = simulate(name, 2, **sizes)
    drawn = (perovskite(2, **sizes).truth_parameters,) if name == "perovskite" else ()
    error = rows.y - truth(name, rows, *drawn)
    for column, sd, n in zip(error.T, noise, rows.counts.values(), strict=True):
        assert n > 3900
        assert abs(np.nanmean(column)) < 4 * sd / np.sqrt(n)
        assert np.nanstd(column) == pytest.approx(sd, rel=4 / np.sqrt(2 * n))
    quiet = simulate(name, 2, **sizes, noise=(0.0, 0.0))
    known = np.isfinite(quiet.y)
    np.testing.assert_array_equal(quiet.y[known], truth(name, quiet, *drawn)[known])


def test_ranges_of_the_toy_pair():
    rows = toy_pair(seed=1)
    assert (rows.x[:10].max(), rows.x[10:].max()) < (1.0, 0.5)
    more = toy_pair(seed=1, n_exp=0, sim_range=(0.7, 1.0))
    assert more.counts == {"sim": 10, "exp": 0}
    assert (more.x >= 0.7).all()
    assert (rows + more).counts == {"sim": 20, "exp": 5}
    assert toy_pair(seed=1, n_sim=0, exp_range=(2, 3)).x.min() >= 2


def test_points_of_the_sine_pair_differ_and_lie_on_the_mesh():
    rows = sine_pair(seed=1, n_sim=900, n_exp=61)
    assert len(np.unique(rows.x, axis=0)) == 961
    np.testing.assert_allclose(rows.x * 30, np.round(rows.x * 30), atol=1e-12)


def test_unknown_names_and_wrong_columns():
    for call in (lambda: simulate("toy_pear"), lambda: truth("elements", [[0.0]])):
        with pytest.raises(StudyError, match=r"'toy_pair', 'sine_line', 'sine_pair', 'magnet'"):
            call()
    with pytest.raises(StudyError, match=r"\['x1', 'x2'\] of 'sine_pair'.*\n.*\(1, 3\)"):
        truth("sine_pair", [[0.0, 1.0, 2.0]])
    with pytest.raises(StudyError, match=r"shape \(2,\)"):
        truth("toy_pair", [0.0, 1.0])
    with pytest.raises(TableError, match="x2"):
        truth("sine_pair", pd.DataFrame({"x1": [0.0]}))


@pytest.mark.parametrize("name", [*NAMES, "perovskite_public"])
def test_shipped_studies_read_the_rows(name):
    study = Study.named(name)
    rows = study.table()
    assert study.file == name
    assert all(n > 0 for n in rows.counts.values())
    if name in NAMES:
        drawn = simulate(name)
        assert (rows.descriptors, rows.targets) == (drawn.descriptors, drawn.targets)
        assert rows.units == drawn.units


def test_the_studies_hold_their_truth():
    line, gap, iron = (Study.named(n) for n in ("sine_line", "perovskite", "magnet"))
    assert line.corrections == {"exp": [[0], [1]]}
    assert gap.corrections == {"gap_exp": ["1", "x1", "x1 x2"]}
    assert gap.bounds == Study.named("perovskite_public").bounds == {"x1": (-1, 1), "x2": (-1, 1)}
    assert iron.corrections["m_exp"] == ["1", "T", "T^2", "co T", "ti T"]
    assert len(iron.corrections["m_sim"]) == len(set(iron.corrections["m_sim"])) == 21
    assert not any("T" in term for term in iron.corrections["m_sim"])
    # "co T" without "co" is closed under a shift of co, not of T
    assert iron.bounds["T"] == (-600.0, 600.0)


def test_truths_lie_inside_the_models_of_their_studies():
    for name in ("sine_line", "sine_pair", "toy_pair", "perovskite"):
        rows = simulate(name, 1, noise=(0.0, 0.0))
        design = Study.named(name).spec(rows).design
        x = np.random.default_rng(3).uniform(size=(200, len(rows.descriptors)))
        drawn = (perovskite(1).truth_parameters,) if name == "perovskite" else ()
        y = design.to_model(truth(name, x, *drawn))
        phi = design.phi(x)
        cheap = np.linalg.lstsq(phi[:, design.active[0]], y[:, 0])
        given = np.column_stack([y[:, :1], phi[:, design.active[1]]])
        dear = np.linalg.lstsq(given, y[:, 1])
        for matrix, fit, target in (
            (phi[:, design.active[0]], cheap, y[:, 0]),
            (given, dear, y[:, 1]),
        ):
            np.testing.assert_allclose(matrix @ fit[0], target, atol=1e-9)
