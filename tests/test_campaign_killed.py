"""A campaign that is killed at any moment loses nothing that was acknowledged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_campaign.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")


def killed(rounds, seed, folder):
    command = [sys.executable, str(SCRIPT), str(rounds), str(seed), str(folder)]
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env={**os.environ, **threads}
    )
    assert found.returncode == 0, found.stderr
    print(found.stdout)
    return found.stdout


def test_killed_twenty_times(tmp_path):
    assert "none lost, none doubled" in killed(20, 1, tmp_path)


@pytest.mark.slow
def test_killed_two_hundred_times(tmp_path):
    assert "200 rounds" in killed(200, 2, tmp_path)
