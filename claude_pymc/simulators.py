"""Simulators of the synthetic studies: rows with noise, and the truth without it.

Sources: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), arXiv:2408.08539 ("the paper"),
and its authors' slides. A row holds a simulated or a measured value, never both; noise is normal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from claude_pymc.errors import StudyError
from claude_pymc.tables.reading import numeric_columns
from claude_pymc.tables.table import Table

Rng = np.random.Generator
Seed = int | Rng
Pair = tuple[float, float]

# Weights w_nm of phi_n(x1) phi_m(x2).
LINE_S = {(n, 0): w for n, w in enumerate([2.0, 0.2, 0.3, -0.2, 0.1, -0.3, 0.2])}
SINE_S = {(n, 0): w for n, w in enumerate([4.0, 0.2, 0.3, -0.2, 0.1, -0.3, 0.2])}
SINE_S |= {(0, m): w for m, w in enumerate([-0.1, 0.4, 0.1, -0.1, 0.1, -0.2], start=1)}
SINE_S |= {(1, 1): 0.4, (1, 2): -0.2, (3, 5): -0.3}
LINE_E, SINE_E = (s | {(0, 0): 0.0, (1, 0): -0.4} for s in (LINE_S, SINE_S))

FRACTIONS = (0.3, 0.5, 0.3, 0.1, 0.1)  # highest zr, y, co, ti, v; the lowest is 0
HELD_OUT = np.array([[0.25, 0.5], [0.5, 0.25], [1 / 3, 1 / 3]])


@dataclass(frozen=True)
class PerovskiteTruth:
    """Parameters, in eV but for c, of :func:`perovskite`; the defaults are the centres of draws."""

    c: float = 1.0
    r00: float = 1.4
    r10: float = 0.0
    r11: float = 0.0


@dataclass(frozen=True, eq=False)
class Perovskite:
    """Rows to fit, measured rows held out inside the triangle, and the drawn truth of both."""

    table: Table
    heldout: Table
    truth_parameters: PerovskiteTruth


def toy_pair(
    seed: Seed = 0,
    *,
    n_sim: int = 10,
    n_exp: int = 5,
    sim_range: Pair = (0.0, 1.0),
    exp_range: Pair = (0.0, 0.5),
    noise: Pair = (0.03, 0.1),
) -> Table:
    """Draw the pair of cubics of the paper's eq. (14), (15), without units, at uniform x.

    sim = 2 - x + 5 (x - 0.7)^2 + 20 (x - 0.5)^3 and exp = sim - 1.5. The rows that figure 2 adds
    are those of ``n_exp=0, sim_range=(0.7, 1.0)``.

    Parameters
    ----------
    seed : int or Generator
    n_sim, n_exp : int
        Numbers of rows.
    sim_range, exp_range : (float, float)
        Ranges of x.
    noise : (float, float)
        Standard deviations of sim and exp.
    """
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.uniform(*sim_range, n_sim), rng.uniform(*exp_range, n_exp)])
    return _rows("toy_pair", x[:, None], n_sim, rng, noise)


def sine_line(
    seed: Seed = 0, *, n_sim: int = 20, n_exp: int = 5, noise: Pair = (0.02, 0.02)
) -> Table:
    """Draw the slides' pair of sums of sines in one variable, without units, at uniform x.

    sim = 2 phi_0 + 0.2 phi_1 + 0.3 phi_2 - 0.2 phi_3 + 0.1 phi_4 - 0.3 phi_5 + 0.2 phi_6 and
    exp = sim - 2 phi_0 - 0.6 phi_1, with phi_0 = 1, phi_n = sin(2 pi n x). Numbers of rows and
    noise are not the slides', which give none. Parameters as in :func:`toy_pair`.
    """
    rng = np.random.default_rng(seed)
    return _rows("sine_line", rng.uniform(size=(n_sim + n_exp, 1)), n_sim, rng, noise)


def sine_pair(
    seed: Seed = 0, *, n_sim: int = 60, n_exp: int = 15, mesh: int = 31, noise: Pair = (0.02, 0.02)
) -> Table:
    """Draw models S and E of the paper's eq. (16), (17) and table I, without units.

    Rows lie on different points of a ``mesh`` x ``mesh`` grid of [0, 1]^2, 31 in the paper, which
    names no noise. Other parameters as in :func:`toy_pair`.
    """
    rng = np.random.default_rng(seed)
    points = rng.choice(mesh**2, n_sim + n_exp, replace=False)
    x = np.linspace(0.0, 1.0, mesh)[np.column_stack(np.divmod(points, mesh))]
    return _rows("sine_pair", x, n_sim, rng, noise)


def magnet(
    seed: Seed = 0,
    *,
    n_sim: int = 60,
    n_compositions: int = 30,
    n_temperatures: int = 2,
    noise: Pair = (0.003, 0.01),
) -> Table:
    """Draw a synthetic study of the shape of the slides' (R,R')(Fe,Co,M)12 magnets.

    Descriptors are the site fractions zr (0-0.3), y (0-0.5), co (0-0.3), ti and v (0-0.1) and the
    temperature T (0-600 K). m_sim is the saturation polarisation at 0 K, in tesla, by a simulation
    without temperature: T is NaN in its rows. m_exp is measured at T. With tau = T / 1000 K::

        m_sim = 1.75 - 0.25 zr - 0.10 y - 0.16 co - 0.9 ti - 0.8 v - 0.35 co^2
                + 0.1 zr y - 0.2 zr co - 0.3 co ti - 0.5 ti v
        m_exp = 0.95 m_sim + 0.05 - 0.25 tau - 0.35 tau^2 + 0.475 co tau - 0.2 ti tau

    The slides' data are not public. These numbers are invented, so that the best co is zero in the
    cold and finite above :func:`magnet_onset`, as there.

    Parameters
    ----------
    seed : int or Generator
    n_sim, n_compositions, n_temperatures : int
        Numbers of simulated and of measured compositions, none shared, and of temperatures at
        which each is measured, one in each of as many equal parts of 0-600 K.
    noise : (float, float)
        Standard deviations of m_sim and m_exp, in tesla.
    """
    rng = np.random.default_rng(seed)
    site = np.round(rng.uniform(0.0, FRACTIONS, (n_sim + n_compositions, len(FRACTIONS))), 3)
    part = np.arange(n_temperatures) + rng.uniform(size=(n_compositions, n_temperatures))
    kelvin = np.round(part * 600.0 / max(n_temperatures, 1)).ravel()
    site = np.concatenate([site[:n_sim], np.repeat(site[n_sim:], n_temperatures, axis=0)])
    x = np.column_stack([site, np.concatenate([np.full(n_sim, np.nan), kelvin])])
    return _rows("magnet", x, n_sim, rng, noise)


def magnet_onset() -> float:
    """Return the temperature in K above which the best co of :func:`magnet` is finite.

    There -0.95 * 0.16 + 0.475 tau, the slope of m_exp in co where all fractions are zero, is zero.
    """
    return 320.0


def perovskite(
    seed: Seed = 0, *, steps: int = 6, n_edge: int = 6, noise: Pair = (0.03, 0.05)
) -> Perovskite:
    """Draw band gaps of (Sr,La,Na)(Ti,Ga,Ta)O3, in eV; the numbers are synthetic.

    x1 is the fraction of LaGaO3, x2 that of NaTaO3, the rest is SrTiO3. As in the paper's section
    IV, simulations cover the triangle x1 + x2 <= 1, measurements its edges x2 = 0 and x1 = 0, and
    the terms are those of eq. (22)::

        gap_sim = 1.82 + 0.28 x1 + 0.19 x2 + 1.2 x1^2 + 0.2 x1 x2 + 0.7 x2^2
        gap_exp = c gap_sim + r00 + r10 x1 + r11 x1 x2

    gap_sim is convex downward, with 1.82, 3.30 and 2.71 at the corners, near public PBE values.
    **The truth is drawn too**, first: c ~ N(1, 0.15), r00 ~ N(1.4, 0.2), r10 ~ N(0, 0.3) and
    r11 ~ N(0, 0.5), as N(mean, standard deviation). Rows on the edges say nothing about r11, so
    that coverage in the interior is a question over many truths. Held out, as in the paper, are
    measured values at (0.25, 0.5), (0.5, 0.25) and (1/3, 1/3).

    Parameters
    ----------
    seed : int or Generator
    steps, n_edge : int
        Steps of the mesh of simulations along an edge, (steps + 1)(steps + 2) / 2 rows, and number
        of measurements on an edge; SrTiO3 is on both edges and is one row.
    noise : (float, float)
        Standard deviations of gap_sim and gap_exp, in eV.
    """
    rng = np.random.default_rng(seed)
    drawn = PerovskiteTruth(*rng.normal([1.0, 1.4, 0.0, 0.0], [0.15, 0.2, 0.3, 0.5]).tolist())
    triangle = [(i / steps, j / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]
    edge = np.linspace(0.0, 1.0, n_edge)
    x = np.array([*triangle, *((a, 0.0) for a in edge), *((0.0, a) for a in edge[1:])])
    table = _rows("perovskite", x, len(triangle), rng, noise, drawn)
    inside = _rows("perovskite", HELD_OUT, 0, rng, noise, drawn)
    heldout = Table(inside.descriptors, ("gap_exp",), inside.x, inside.y[:, 1:], (), inside.units)
    return Perovskite(table, heldout, drawn)


def simulate(name: str, seed: Seed = 0, **sizes: Any) -> Table:
    """Draw the rows of "toy_pair", "sine_line", "sine_pair", "magnet" or "perovskite".

    ``sizes`` are the keywords of the function of that name.

    Examples
    --------
    >>> simulate("sine_pair", seed=1, n_sim=5).counts
    {'sim': 5, 'exp': 15}
    """
    found = _study(name).draw(seed, **sizes)
    return found.table if isinstance(found, Perovskite) else found


def truth(name: str, x: Any, parameters: PerovskiteTruth | None = None) -> np.ndarray:
    """Return the targets of a synthetic study without noise, (row, target).

    ``x`` is a Table, a DataFrame with the descriptors, or an array (row, descriptor). What is
    measured of a magnet is NaN where T is. ``parameters`` are a perovskite's, which each seed draws
    anew (``perovskite(seed).truth_parameters``): without them what is measured is NaN.

    Examples
    --------
    >>> truth("toy_pair", [[0.5]]).round(9).tolist()
    [[1.7, 0.2]]
    """
    study = _study(name)
    x = x.to_frame() if isinstance(x, Table) else x
    x = numeric_columns(x, study.descriptors, "the rows") if hasattr(x, "columns") else x
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(study.descriptors):
        raise StudyError(
            f"the descriptors {list(study.descriptors)} of {name!r}, (row, descriptor)",
            f"an array of shape {values.shape}",
            "the rows are those of another study",
            "give one column for each descriptor",
        )
    found = study.truth(values, parameters or PerovskiteTruth())
    if name == "perovskite" and parameters is None:
        found[:, 1] = np.nan
    return found


def _toy_truth(x: np.ndarray, _: PerovskiteTruth) -> np.ndarray:
    sim = 2 - x[:, 0] + 5 * (x[:, 0] - 0.7) ** 2 + 20 * (x[:, 0] - 0.5) ** 3
    return np.column_stack([sim, sim - 1.5])


def _sines_truth(x: np.ndarray, _: PerovskiteTruth) -> np.ndarray:
    pair = (LINE_S, LINE_E) if x.shape[1] == 1 else (SINE_S, SINE_E)
    y = np.zeros((len(x), 2))
    for column, weights in zip(y.T, pair, strict=True):
        for orders, weight in weights.items():
            waves = [np.sin(2 * np.pi * n * u) for n, u in zip(orders, x.T, strict=False) if n]
            column += weight * np.prod(waves, axis=0)
    return y


def _magnet_truth(x: np.ndarray, _: PerovskiteTruth) -> np.ndarray:
    zr, y, co, ti, v, kelvin = x.T
    tau = kelvin / 1000
    sim = 1.75 - 0.25 * zr - 0.10 * y - 0.16 * co - 0.9 * ti - 0.8 * v - 0.35 * co**2
    sim += 0.1 * zr * y - 0.2 * zr * co - 0.3 * co * ti - 0.5 * ti * v
    warm = 0.05 - 0.25 * tau - 0.35 * tau**2 + 0.475 * co * tau - 0.2 * ti * tau
    return np.column_stack([sim, 0.95 * sim + warm])


def _perovskite_truth(x: np.ndarray, at: PerovskiteTruth) -> np.ndarray:
    x1, x2 = x.T
    sim = 1.82 + 0.28 * x1 + 0.19 * x2 + 1.2 * x1**2 + 0.2 * x1 * x2 + 0.7 * x2**2
    return np.column_stack([sim, at.c * sim + at.r00 + at.r10 * x1 + at.r11 * x1 * x2])


class _Study(NamedTuple):
    draw: Callable[..., Table | Perovskite]
    truth: Callable[[np.ndarray, PerovskiteTruth], np.ndarray]
    descriptors: tuple[str, ...]
    targets: tuple[str, str] = ("sim", "exp")
    units: Mapping[str, str] | None = None


_SITES, _M = ("zr", "y", "co", "ti", "v", "T"), ("m_sim", "m_exp")
_X, _GAPS = ("x1", "x2"), ("gap_sim", "gap_exp")
_STUDIES = {
    "toy_pair": _Study(toy_pair, _toy_truth, ("x",)),
    "sine_line": _Study(sine_line, _sines_truth, ("x",)),
    "sine_pair": _Study(sine_pair, _sines_truth, _X),
    "magnet": _Study(magnet, _magnet_truth, _SITES, _M, {"T": "K", "m_sim": "T", "m_exp": "T"}),
    "perovskite": _Study(perovskite, _perovskite_truth, _X, _GAPS, dict.fromkeys(_GAPS, "eV")),
}


def _study(name: str) -> _Study:
    """Find a study, or say which there are."""
    if name not in _STUDIES:
        raise StudyError(
            f"a synthetic study among {list(_STUDIES)}",
            f"{name!r}",
            "a typing error, or a study of real data",
            "choose one of the known names",
        )
    return _STUDIES[name]


def _rows(name: str, x: np.ndarray, n: int, rng: Rng, noise: Pair, *at: PerovskiteTruth) -> Table:
    """Return rows with noise: the first ``n`` simulated only, the others measured only."""
    study, y = _study(name), truth(name, x, *at)
    y[:n, 0] += rng.normal(0.0, noise[0], n)
    y[n:, 1] += rng.normal(0.0, noise[1], len(x) - n)
    y[:n, 1] = y[n:, 0] = np.nan
    return Table(study.descriptors, study.targets, x, y, (), study.units or {})
