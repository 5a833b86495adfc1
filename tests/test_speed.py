"""What a person waits for: drawing once compiled, and a first fit from a warm cache.

Limits are seconds on the machine of the README's tables; `pace` says how much slower
this one is.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from accuracy_cases import CASES
from pace import pace

import claude_pymc as cp
from claude_pymc.joint.sampling import Sampler
from claude_pymc.study import Study
from claude_pymc.tables.statistics import PatternStats

FIRST_FIT = """
import claude_pymc as cp
study = cp.Study.named("elements_volume")
table = study.table()
spec = study.spec(table)
stats = cp.PatternStats.from_table(table, spec.design)
print(cp.sample(spec, stats, seed=0).attrs["n_rows"])
"""


pytestmark = pytest.mark.speed


class Watch:
    """Times pieces of work; seconds as they were, and as they would be there."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.there: list[float] = []

    def time(self, work: Callable):
        before = pace()
        start = time.perf_counter()
        result = work()
        self.seconds.append(time.perf_counter() - start)
        self.there.append(self.seconds[-1] / (0.5 * (before + pace())))
        return result

    def __str__(self) -> str:
        here, there = ([round(s, 2) for s in x] for x in (self.seconds, self.there))
        return f"{here} s; at the pace of the README's machine {there} s"


@pytest.fixture
def watch(capsys, request):
    watch = Watch()
    yield watch
    with capsys.disabled():
        print(f"\n{request.node.name}: {watch}")


@pytest.fixture(autouse=True)
def quiet_machine():
    """Seconds mean nothing on a machine that has more to do than it has cores."""
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(f"the machine is busy: load {os.getloadavg()[0]:.1f}")


def test_a_compiled_model_draws_quickly(watch):
    study = Study.named("elements_volume")
    table = study.table()
    spec = study.spec(table)
    stats = PatternStats.from_table(table, spec.design)
    sampler = Sampler(spec, method="nuts")
    for seed in range(3):
        watch.time(lambda seed=seed: sampler.draw(stats, seed=seed))
    assert statistics.median(watch.there) < 1.5, str(watch)


def test_a_first_fit_in_a_fresh_process(watch):
    pytest.importorskip("nutpie")
    command = [sys.executable, "-c", FIRST_FIT]
    for _ in range(2):  # the first fills the caches on the disk
        run = watch.time(
            lambda: subprocess.run(command, capture_output=True, text=True, check=True)
        )
        assert run.stdout.strip() == "71"
    assert watch.there[1] < 10, str(watch)


@pytest.mark.parametrize(("case", "most"), [("elV", 1.0), ("elB", 1.0), ("binary", 10.0)])
@pytest.mark.filterwarnings("ignore::claude_pymc.errors.PosteriorWarning")
def test_the_automatic_default_is_quick_once_compiled(case, most, watch):
    """Medians; `make bench` writes them into a table."""
    table = CASES[case].table
    for seed in range(6):
        watch.time(lambda seed=seed: cp.fit(table, seed=seed))
    assert statistics.median(watch.there[1:]) < most, str(watch)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_campaign_answers_in_half_a_second(tmp_path, noise, watch):
    """49 terms, 961 candidates, a batch of four; median of seven questions on a growing table."""
    at = np.linspace(0.0, 1.0, 31)
    pool, rng = cp.mesh(x1=at, x2=at), np.random.default_rng(0)
    truth = pd.DataFrame(cp.truth("sine_pair", pool), columns=["sim", "exp"])
    design = cp.Design.from_bounds(
        {"x1": (0, 1), "x2": (0, 1)},
        ["sim", "exp"],
        cp.Sine(order=6),
        {"exp": [[0, 0], [1, 0]]},
        ranges={"sim": (-2, 5)},
    )
    campaign = cp.Campaign.open(
        tmp_path / "a.db", cp.JointGaussian(design), pool, cp.Maximize("exp")
    )
    asked = campaign.ask({"exp": 5, "sim": 10})
    for _ in range(8):
        values = [
            truth.loc[i, t] + noise * rng.standard_normal()
            for i, t in zip(asked["candidate"], asked["target"], strict=True)
        ]
        campaign.tell(asked.assign(value=values))
        asked = watch.time(lambda: campaign.ask({"exp": 1, "sim": 3}))
    assert statistics.median(watch.there[1:]) < 0.5, str(watch)
