"""The pace by which limits in seconds grow."""

import pace
import pytest


@pytest.mark.parametrize(("took", "expected"), [(0.5, 1.0), (1.0, 1.0), (2.0, 2.0), (9.0, 5.0)])
def test_limits_grow_where_the_machine_is_slower(monkeypatch, took, expected):
    monkeypatch.setattr(pace, "reference", lambda clock: took * pace.THERE)
    assert pace.pace() == pytest.approx(expected)
    assert pace.within(0.99 * expected, 1.0)
    assert not pace.within(1.01 * expected, 1.0)
