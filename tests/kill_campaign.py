"""Two processes ask and tell without end, and are killed: what is left of what they were told?

Run as a script: ROUNDS SEED FOLDER. Each round two children write into one ledger and acknowledge
through a pipe what was returned to them; after a random time they are killed at once. Then the
ledger must open, hold all that was acknowledged once, and nothing twice.
"""

import json
import os
import signal
import sqlite3
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from claude_pymc.acquisition.objectives import Maximize
from claude_pymc.acquisition.spaces import mesh
from claude_pymc.campaign.loop import Campaign
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.design import Design


def begin(path: Path) -> None:
    """Begin a campaign with a few rows, so that each question fits a model."""
    ranges = {"sim": (-1.5, 1.5)}
    design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"], ranges=ranges)
    pool = mesh(x=np.linspace(0.0, 1.0, 2001))
    one = Campaign.open(path, JointGaussian(design), pool, Maximize("exp"), draws=1000)
    one.tell(pd.DataFrame({"x": [0.2, 0.4, 0.9], "sim": [0.1, 0.2, 0.4], "exp": [0.0, 0.3, 0.2]}))


def work(path: Path, pipe: int, seed: int, who: int) -> None:
    """Ask, answer, and tell values from elsewhere, until the end."""
    rng = np.random.default_rng([seed, who])
    one = Campaign.open(path)

    def say(*what: object) -> None:
        os.write(pipe, (json.dumps(what) + "\n").encode())

    while True:
        if rng.uniform() < 0.3:
            asked = one.ask({"exp": 1, "sim": 1})
            numbers = [int(n) for n in asked["proposal"]]
            say("asked", numbers)
            values = rng.normal(size=2).tolist()
            one.tell(asked.assign(value=values))
            say("told", [[n, v] for n, v in zip(numbers, values, strict=True)])
        else:
            x, value = float(rng.uniform(1.0, 2.0)), float(rng.normal())
            one.tell(pd.DataFrame({"x": [x], "exp": [value]}))
            say("external", x, value)


def check(path: Path, said: list[list]) -> int:
    """Compare the ledger with what was acknowledged; the number of things that were."""
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    one = Campaign.open(path)
    proposals, told = one.proposals, one.observations
    assert proposals["id"].is_unique and told["id"].is_unique
    answered = told[told["proposal"].notna()]
    assert answered["proposal"].is_unique, "a proposal has two values"
    outside = told[told["x"] > 1.0]
    assert outside["x"].is_unique, "a value was taken up twice"
    done = set(proposals.loc[proposals["state"] == "done", "id"])
    assert done == set(answered["proposal"]), "a state does not go with its value"
    for what, *detail in said:
        if what == "asked":
            assert set(detail[0]) <= set(proposals["id"]), "a proposal was lost"
        elif what == "told":
            values = answered.set_index("proposal")["value"]
            assert all(values[n] == v for n, v in detail[0]), "a result was lost"
        else:
            assert (outside["value"][outside["x"] == detail[0]] == detail[1]).sum() == 1
    return len(said)


def main(rounds: int, seed: int, folder: Path) -> None:
    """Kill and check, many times."""
    path, rng = folder / "killed.db", np.random.default_rng(seed)
    begin(path)
    Campaign.open(path).ask({"exp": 1})  # numba's loops are loaded before the children are made
    acknowledged, journals = [], 0
    for number in range(rounds):
        read, write = os.pipe()
        children = []
        for who in range(2):
            child = os.fork()
            if child == 0:
                os.close(read)
                work(path, write, 1000 * seed + number, who)
            children.append(child)
        os.close(write)
        time.sleep(rng.uniform(0.0, 0.7))
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status), "a child ended by itself"
        with os.fdopen(read) as pipe:
            acknowledged += [json.loads(line) for line in pipe if line.endswith("\n")]
        journals += path.with_name(path.name + "-journal").exists()
        check(path, acknowledged)
    print(
        f"{rounds} rounds, {len(acknowledged)} acknowledged, none lost, none doubled; "
        f"{journals} times a transaction was cut short and rolled back"
    )


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=UserWarning)  # the model fits noise
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # fork beside threads
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
