"""Errors and notices: each says what was expected, what came, the likely cause and what to do."""

from __future__ import annotations


class ClaudeError(ValueError):
    """Base of all errors of this package.

    Parameters
    ----------
    expected, got, cause, todo : str
        What was expected, what was found, the likely cause, and what to do about it.

    Examples
    --------
    >>> print(TableError("numbers", "'abc' in row 3", "a comment in the file", "empty the cell"))
    expected numbers
         got 'abc' in row 3
       cause a comment in the file
       to do empty the cell
    """

    def __init__(self, expected: str, got: str, cause: str, todo: str) -> None:
        self.expected, self.got, self.cause, self.todo = expected, got, cause, todo
        super().__init__(expected, got, cause, todo)

    def __str__(self) -> str:
        """Return the four lines that a person reads."""
        return (
            f"expected {self.expected}\n     got {self.got}\n"
            f"   cause {self.cause}\n   to do {self.todo}"
        )


class TableError(ClaudeError):
    """A table of rows cannot be read or does not fit."""


class DesignError(ClaudeError):
    """Descriptors, basis, corrections and targets do not make a design."""


class StatisticsError(ClaudeError):
    """Sufficient statistics cannot be formed, added, subtracted or read."""


class SpecError(ClaudeError):
    """A model specification or a prior is not usable."""


class SamplingError(ClaudeError):
    """A posterior cannot be sampled or its draws cannot be read."""


class CandidateError(ClaudeError):
    """Candidates, objectives or wishes of a proposal do not fit."""


class StudyError(ClaudeError):
    """A study file or an output folder is not usable."""


class CampaignError(ClaudeError):
    """A campaign cannot be opened, asked or told."""


class Notice(UserWarning):
    """Something a person should know, though the result is right."""


class PosteriorWarning(UserWarning):
    """A posterior failed one of its convergence checks: do not trust its numbers yet."""
