"""Write the two synthetic examples, `toy_pair.csv` and `sine_pair.csv`, beside this file.

The functions are those of Harashima et al., Phys. Rev. Materials 9, 093803 (2025): a cubic of one
variable with a constant offset, and a sum of sines of two variables of which two coefficients
differ between simulation S and experiment E. Rows and noise are drawn anew, with fixed seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

MESH = 31
SINE_S = {
    (0, 0): 4.0,
    (1, 0): 0.2,
    (2, 0): 0.3,
    (3, 0): -0.2,
    (4, 0): 0.1,
    (5, 0): -0.3,
    (6, 0): 0.2,
    (0, 1): -0.1,
    (0, 2): 0.4,
    (0, 3): 0.1,
    (0, 4): -0.1,
    (0, 5): 0.1,
    (0, 6): -0.2,
    (1, 1): 0.4,
    (1, 2): -0.2,
    (3, 5): -0.3,
}
SINE_E = SINE_S | {(0, 0): 0.0, (1, 0): -0.4}

Columns = dict[str, np.ndarray]


def toy_sim(x: np.ndarray) -> np.ndarray:
    """Return model (i) of the toy pair."""
    return 2 - x + 5 * (x - 0.7) ** 2 + 20 * (x - 0.5) ** 3


def toy_exp(x: np.ndarray) -> np.ndarray:
    """Return model (ii) of the toy pair: the same, 1.5 lower."""
    return toy_sim(x) - 1.5


def sine(x1: np.ndarray, x2: np.ndarray, weights: dict[tuple[int, int], float]) -> np.ndarray:
    """Return sum w_nm phi_n(x1) phi_m(x2), with phi_0 = 1 and phi_n(x) = sin(2 pi n x)."""

    def phi(n: int, x: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * n * x) if n else np.ones_like(x)

    return sum((w * phi(n, x1) * phi(m, x2) for (n, m), w in weights.items()), np.zeros_like(x1))


def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Return x1 and x2 of the 31 x 31 mesh of [0, 1]^2, indexed [i, j]."""
    side = np.linspace(0.0, 1.0, MESH)
    x1, x2 = np.meshgrid(side, side, indexing="ij")
    return x1, x2


def toy_pair() -> Columns:
    """Return 10 rows of (i) in [0, 1] and 5 rows of (ii) in [0, 0.5], none shared."""
    rng = np.random.default_rng(20250903)
    x_sim, x_exp = rng.uniform(0.0, 1.0, 10), rng.uniform(0.0, 0.5, 5)
    sim = toy_sim(x_sim) + rng.normal(0.0, 0.03, 10)
    exp = toy_exp(x_exp) + rng.normal(0.0, 0.1, 5)
    return {"x": np.concatenate([x_sim, x_exp]), **_none_shared(sim, exp)}


def sine_pair() -> Columns:
    """Return 60 rows of S and 15 rows of E at 75 different points of the mesh, noise sd 0.02."""
    rng = np.random.default_rng(20250917)
    points = rng.choice(MESH**2, 75, replace=False)
    x1, x2 = (x.ravel()[points] for x in mesh())
    sim = sine(x1[:60], x2[:60], SINE_S) + rng.normal(0.0, 0.02, 60)
    exp = sine(x1[60:], x2[60:], SINE_E) + rng.normal(0.0, 0.02, 15)
    return {"x1": x1, "x2": x2, **_none_shared(sim, exp)}


def write(folder: Path) -> None:
    """Write both tables into a folder; ten digits, an empty cell where nothing was measured."""
    for name, columns in (("toy_pair.csv", toy_pair()), ("sine_pair.csv", sine_pair())):
        rows = [
            ",".join("" if np.isnan(v) else f"{v:.10g}" for v in row)
            for row in zip(*columns.values(), strict=True)
        ]
        text = "\n".join([",".join(columns), *rows, ""])
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _none_shared(sim: np.ndarray, exp: np.ndarray) -> Columns:
    """Place rows with only the simulation before rows with only the experiment."""
    return {
        "sim": np.concatenate([sim, np.full(len(exp), np.nan)]),
        "exp": np.concatenate([np.full(len(sim), np.nan), exp]),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
