"""What the checks find, and what they miss: four studies of 54 rows for each fault."""

import dataclasses

import numpy as np
import pytest
from check_cases import fitted, simulated

from claude_pymc.review.diagnostics import diagnose

STUDIES = 4
pytestmark = [
    pytest.mark.filterwarnings("ignore::claude_pymc.PosteriorWarning"),
    pytest.mark.filterwarnings("ignore::claude_pymc.Notice"),
]


def shifted(y, lone):
    """Three sds of the noise, in the eight rows of the primary target alone."""
    y[lone, 1] += 0.3


def scaled(y, lone):
    """A factor of 1.3 in six rows."""
    y[:6, 1] *= 1.3


def tenfold(y, lone):
    """A factor of ten in the rows of the primary target alone."""
    y[lone, 1] *= 10.0


def turned(y, lone):
    """The other sign in half of the shared rows."""
    y[:8, 1] *= -1.0


def exchanged(y, lone):
    """Simulation and experiment exchanged in all shared rows."""
    both = np.isfinite(y).all(axis=1)
    y[both] = y[both, ::-1]


def placeholder(y, lone):
    """-999 for two values that were not measured."""
    y[:2, 1] = -999.0


def far_out(y, lone):
    """One value, ten sds of the noise off."""
    y[4, 1] += 1.0


def found(fault):
    """In how many of the studies any check fails."""
    number = 0
    for seed in range(300, 300 + STUDIES):
        design, table, at = simulated("plane", seed)
        y, has = table.y.copy(), np.isfinite(table.y)
        fault(y, has[:, 1] & ~has[:, 0])
        rows = dataclasses.replace(table, y=y)
        number += not diagnose(fitted(design, rows), rows, candidates=at).ok
    return number


@pytest.mark.parametrize("fault", [tenfold, placeholder, far_out])
def test_found_every_time(fault):
    assert found(fault) == STUDIES


@pytest.mark.parametrize("fault", [shifted, scaled, turned, exchanged])
def test_missed_half_of_the_time_or_more(fault):
    """As the README says: where this fails because more is found, the README is out of date."""
    assert found(fault) <= STUDIES // 2
