"""The one tree of errors.

What a user can fix ends with exit code 2, what the program could not do with 1.
"""

from __future__ import annotations


class GenreSparkError(Exception):
    """Base of every error that genre_spark raises on purpose; its text is meant for the user."""

    exit_code = 1


class UserError(GenreSparkError):
    """Something the user gave is wrong; the text has the name, the value and what was expected."""

    exit_code = 2


class InvalidConfigError(UserError):
    """A configuration key is unknown, of the wrong type or out of range."""


class InvalidInputError(UserError):
    """An input file, folder, table or column cannot be used at all."""


class MissingTableError(UserError):
    """A table that a stage reads has not been written (whole) yet."""


class DamagedTableError(MissingTableError):
    """Files of a stored table or model are gone, cut off or changed since they were written."""


class MissingExtraError(UserError, ImportError):
    """A package that only some of genre_spark needs is not installed."""


class InvalidLabelsError(InvalidInputError):
    """Labels are not a multi-hot vector of the expected length."""


class StageFailedError(GenreSparkError):
    """A stage could not finish for a reason that is not in its input."""


class TrainingDivergedError(StageFailedError):
    """The loss became NaN or infinite."""
