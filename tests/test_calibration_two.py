"""Simulation-based calibration of compiled samplers with two targets."""

import pytest
from calibration_cases import CASES, check_case, check_prior, check_wrong_sampler

pytestmark = pytest.mark.slow
HERE = [case for case in CASES if case.d == 2]


@pytest.mark.parametrize("case", HERE[::2], ids=lambda case: case.name)
def test_without_rows_the_sampler_draws_from_the_prior(case):
    check_prior(case)


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_ranks_of_the_truth_are_uniform(case):
    check_case(case)


def test_half_the_noise_is_rejected():
    check_wrong_sampler(next(case for case in HERE if case.prior == "shrinkage"))
