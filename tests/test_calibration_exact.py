"""Simulation-based calibration of exact draws, few data sets for each prior."""

import pytest
from calibration_cases import CASES, calibrated, check_case, check_wrong_sampler

HERE = [case for case in CASES if case.d == 2 and case.shared]


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_ranks_of_the_truth_are_uniform(case):
    check_case(case, "exact")
    assert calibrated(case, "exact").divergent == 0


def test_half_the_noise_is_rejected():
    check_wrong_sampler(next(case for case in HERE if case.prior == "shrinkage"), "exact")
