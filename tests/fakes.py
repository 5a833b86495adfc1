"""Posteriors made by hand, so that most tests need no sampler."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from claude_pymc.cli import main
from claude_pymc.joint.crossvalidation import CrossValidation
from claude_pymc.joint.prediction import Prediction
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW, PARAMETERS, TARGET, TARGET_BIS
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design

NAMES = {1: ["exp"], 2: ["sim", "exp"], 3: ["cheap", "sim", "exp"]}


def make_spec(d=2, log=False, corrections=None):
    """A cubic in one descriptor on [0, 2], d targets between 1 and 9 of some unit."""
    targets = NAMES[d]
    design = Design.from_bounds(
        {"x": (0.0, 2.0)},
        targets,
        Polynomial(degree=3),
        corrections,
        ranges=dict.fromkeys(targets, (1.0, 9.0)),
        transforms=dict.fromkeys(targets, "log") if log else None,
        units={targets[-1]: "eV", "x": "nm"},
    )
    return JointGaussian(design)


def make_idata(spec, chains=4, draws=250, seed=0, columns=None):
    """Independent draws of (C, sigma, R), or the given ones, in the layout of `cp.sample`."""
    rng = np.random.default_rng(seed)
    d, p = spec.design.active.shape
    size = (chains, draws)
    if columns is None:
        linkage = np.tril(rng.normal(0.7, 0.2, (*size, d, d)), -1)
        sigma = np.exp(rng.normal(-1.5, 0.2, (*size, d)))
        corrections = rng.normal(0.0, 0.5, (*size, d, p)) * spec.design.active
        columns = linkage, sigma, corrections
    names = ("linkage", "sigma", "corrections")
    posterior = xr.Dataset(
        {
            name: ((CHAIN, DRAW, *PARAMETERS[name]), values)
            for name, values in zip(names, columns, strict=True)
        },
        coords={
            CHAIN: np.arange(chains),
            DRAW: np.arange(draws),
            TARGET: list(spec.design.targets),
            TARGET_BIS: list(spec.design.targets),
            "basis": list(spec.design.terms),
        },
    )
    stats = xr.Dataset(
        {
            "diverging": ((CHAIN, DRAW), np.zeros(size, dtype=bool)),
            "energy": ((CHAIN, DRAW), rng.normal(size=size)),
        },
        coords={CHAIN: np.arange(chains), DRAW: np.arange(draws)},
    )
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
    tree.attrs = {
        "spec": spec.to_json(),
        "data_hash": "0" * 64,
        "n_rows": 15,
        "shared_rows": 4,
        "seed": seed,
        "method": "nuts",
        "backend": "nutpie",
        "tune": 800,
        "target_accept": 0.95,
        "created": "2025-01-01T00:00:00+00:00",
        "versions": json.dumps({"pymc": "6"}),
    }
    return tree


@dataclass
class FakeSampler:
    """Stands for a compiled model: remembers what it was given, draws by hand."""

    spec: JointGaussian
    calls: list = field(default_factory=list)

    def draw(self, stats, **options):
        self.calls.append((stats, options))
        return make_idata(self.spec, seed=options.get("seed") or 0)


@dataclass
class FakePredictive:
    """A model known by its surfaces alone: line s of target j is a + b x, noise has sd 0.1."""

    targets: tuple = ("sim", "exp")
    descriptors: tuple = ("x",)
    units: dict = field(default_factory=dict)
    samples: int = 400
    scale: dict = field(default_factory=dict)
    given: list = field(default_factory=list)

    def predict(self, frame, kind="mean", given=None, seed=None):
        self.given.append(given)
        x = frame["x"].to_numpy()
        rng = np.random.default_rng(5)
        values = np.empty((self.samples, len(x), len(self.targets)))
        for j, target in enumerate(self.targets):
            a, b = rng.normal(size=(2, self.samples, 1)) * self.scale.get(target, 1.0)
            values[:, :, j] = a + b * x + 2.0 * j * x
        if kind == "observation":
            values += 0.1 * np.random.default_rng(seed).normal(size=values.shape)
        known = np.full((len(x), len(self.targets)), np.nan)
        for target, column in (given or {}).items():
            known[:, self.targets.index(target)] = column
        values = np.where(np.isfinite(known), known, values)
        coords = {TARGET: list(self.targets)}
        array = xr.DataArray(values, dims=("sample", "candidate", TARGET), coords=coords)
        return Prediction(array, kind, self.units)


def make_validation(n=20, outside=2):
    """A cross-validation in which the first ``outside`` values are missed."""
    measured = np.linspace(1.0, 10.0, n)
    mean = measured + np.where(np.arange(n) < outside, 3.0, 0.2)
    return CrossValidation(
        "exp",
        0.9,
        pd.DataFrame(
            {
                "label": [f"row{i}" for i in range(n)],
                "fold": np.arange(n) % 5,
                "measured": measured,
                "mean": mean,
                "lower": mean - 1.0,
                "upper": mean + 1.0,
                "error": mean - measured,
                "log_density": -np.square(mean - measured),
            }
        ),
    )


def call(*arguments):
    """Run the command in this process: exit code, and what it wrote to the two streams."""
    out, err, before, code = io.StringIO(), io.StringIO(), sys.argv, 0
    sys.argv = ["claude-pymc", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def content(folder):
    """Every file and folder below a folder, hidden ones too, with the bytes of the files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


STUDY = """title = "Small"

[data]
descriptors = ["x"]
targets = ["sim", "exp"]
labels = "name"

[units]
exp = "eV"

[basis]
degree = 2

[corrections]
exp = ["1"]

[wants]
exp = 1
sim = 1
"""


def small_csv(n=15, measured=11):
    """A table of n rows; the first four lack the experiment, the last but one the simulation."""
    lines = ["name,x,sim,exp"]
    for i in range(n):
        x = i / (n - 1)
        sim = "" if i == n - 2 else f"{1 + x - 2 * x * x + 0.01 * (i % 3):.4f}"
        exp = f"{1.5 + x - 2 * x * x + 0.02 * (i % 4):.4f}" if i >= n - measured else ""
        lines.append(f"s{i:02d},{x:.4f},{sim},{exp}")
    return "\n".join(lines) + "\n"
