"""The one tree of errors.

What a user can fix ends with exit code 2, what the program could not do with 1.
"""

from __future__ import annotations

import errno

_USERS_ERRORS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
"""What the operating system says of paths that the user has to change: no permission, a read-only
disk, a file in the place of a folder, a name that is too long, links in a circle."""


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


def describe_path_error(error: BaseException) -> str | None:
    """Return a sentence for an error of a path that the user has to change, else None."""
    if not isinstance(error, OSError) or error.errno not in _USERS_ERRORS or not error.filename:
        return None
    return f"{error.filename}: {error.strerror}, expected a place that can be read and written"
