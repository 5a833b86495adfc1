"""Simulation-based calibration of compiled samplers with three targets."""

import pytest
from calibration_cases import CASES, check_case, check_prior

pytestmark = pytest.mark.slow
HERE = [case for case in CASES if case.d == 3]


@pytest.mark.parametrize("case", HERE[::2], ids=lambda case: case.name)
def test_without_rows_the_sampler_draws_from_the_prior(case):
    check_prior(case)


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_ranks_of_the_truth_are_uniform(case):
    check_case(case)
