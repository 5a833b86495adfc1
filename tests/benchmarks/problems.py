"""Data sets of the benchmarks, each with its specification and statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import claude_pymc as cp


@dataclass(frozen=True)
class Problem:
    """Rows, specification and statistics."""

    table: cp.Table
    spec: cp.JointGaussian

    @property
    def stats(self) -> cp.PatternStats:
        return cp.PatternStats.from_table(self.table, self.spec.design)


def apart(n: int = 60, degree: int = 3, seed: int = 0) -> Problem:
    """Two descriptors, ten cubic terms, two targets of which each row has one."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, (n, 2))
    surface = 1.0 + x[:, 0] - 0.7 * x[:, 1] + 0.8 * x[:, 0] * x[:, 1] - 0.5 * x[:, 0] ** 3
    y = np.column_stack([surface, 0.9 * surface + 0.3]) + 0.1 * rng.standard_normal((n, 2))
    exp = np.arange(n) % 3 == 0
    y[exp, 0], y[~exp, 1] = np.nan, np.nan
    table = cp.Table(["x1", "x2"], ["sim", "exp"], x, y)
    basis = cp.Polynomial(degree=degree)
    return Problem(table, cp.JointGaussian(cp.Design.from_table(table, basis, {"exp": ["1"]})))


def sine_pair() -> Problem:
    """The sine pair of the paper: 60 and 15 rows, 49 terms."""
    study = cp.Study.named("sine_pair")
    table = study.table()
    return Problem(table, study.spec(table))


def wide(n: int = 700, order: int = 15, seed: int = 0) -> Problem:
    """Five hundred free entries: 256 terms of the simulation, 244 of the correction."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 2))
    surface = np.sin(5 * x[:, 0]) * np.cos(3 * x[:, 1])
    y = np.column_stack([surface, surface + 0.2]) + 0.02 * rng.standard_normal((n, 2))
    y[: 5 * n // 7, 1] = np.nan
    y[5 * n // 7 : -n // 14, 0] = np.nan
    table = cp.Table(["x1", "x2"], ["sim", "exp"], x, y)
    pairs = [[i, j] for i in range(order + 1) for j in range(order + 1)][:244]
    design = cp.Design.from_table(table, cp.Sine(order=order), {"exp": pairs})
    return Problem(table, cp.JointGaussian(design))


def million(n: int = 10**6, seed: int = 0) -> Problem:
    """A million rows in 49 sine terms, three patterns."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 2))
    surface = 2.0 + np.sin(2 * np.pi * x[:, 0]) - np.sin(4 * np.pi * x[:, 1])
    y = np.column_stack([surface, surface - 0.5]) + 0.1 * rng.standard_normal((n, 2))
    y[9 * n // 10 :, 0] = np.nan
    y[: 8 * n // 10, 1] = np.nan
    table = cp.Table(["x1", "x2"], ["sim", "exp"], x, y)
    design = cp.Design.from_bounds(
        {"x1": (0.0, 1.0), "x2": (0.0, 1.0)},
        ["sim", "exp"],
        cp.Sine(order=6),
        {"exp": [[0, 0], [1, 0]]},
        ranges={"sim": (-1.0, 5.0)},
    )
    return Problem(table, cp.JointGaussian(design))


def collinear(n: int = 10**6, seed: int = 0) -> Problem:
    """A million rows in which two descriptors are the same to two parts in ten million."""
    rng = np.random.default_rng(seed)
    a, c, noise = rng.uniform(-1, 1, (3, n))
    x = np.column_stack([a, a + 1.8e-7 * noise, c])
    y = 1 + a - 2 * c + 0.5 * a * c + 0.1 * rng.standard_normal(n)
    terms = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 2]]
    bounds = dict.fromkeys("abc", (-1.0, 1.0))
    design = cp.Design.from_bounds(bounds, ["y"], cp.Polynomial(exponents=terms))
    table = cp.Table(list("abc"), ["y"], x, y[:, None])
    return Problem(table, cp.JointGaussian(design, prior=cp.FlatPrior()))
