"""Errors say four things, and survive the way from a worker process."""

import pickle

import pytest

from claude_pymc import errors

KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, ValueError)]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_say_four_things(kind):
    error = kind("numbers", "'abc'", "a comment", "empty the cell")
    again = pickle.loads(pickle.dumps(error))
    assert issubclass(kind, errors.ClaudeError)
    assert type(again) is kind
    for e in (error, again):
        lines = [line.strip() for line in str(e).split("\n")]
        assert lines == ["expected numbers", "got 'abc'", "cause a comment", "to do empty the cell"]


def test_notices_are_warnings_and_not_errors():
    for kind in (errors.Notice, errors.PosteriorWarning):
        assert issubclass(kind, UserWarning)
        assert not issubclass(kind, errors.ClaudeError)
