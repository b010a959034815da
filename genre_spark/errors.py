"""The one tree of errors.

What a user can fix ends with exit code 2, what the program could not do with 1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

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


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded")
"""What Python, the JVM and SQLite say of a full disk."""


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


class SparkEndedError(StageFailedError):
    """Spark's JVM has ended while it was used, or has not started."""


class TrainingDivergedError(StageFailedError):
    """The loss became NaN or infinite."""


def text_of(error: BaseException) -> str:
    """Return the text of any error; Py4J asks the JVM for that of its own, which may be gone."""
    try:
        return str(error)
    except Exception:
        return str(getattr(error, "errmsg", "")).strip(" .:") or type(error).__name__


def error_chain(error: BaseException | None) -> list[BaseException]:
    """Return an error and those behind it, the first one last."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def describe_full_disk(error: BaseException | None) -> str | None:
    """Return a sentence where a disk without space is behind an error, else None."""
    for one in error_chain(error):
        number = one.errno if isinstance(one, OSError) else None
        text = text_of(one)
        if number in _FULL or any(words in text for words in _FULL_WORDS):
            return "no space left on the disk; free some and start it again"
    return None


def describe_path_error(error: BaseException) -> str | None:
    """Return a sentence for an error of a path that the user has to change, else None."""
    if not isinstance(error, OSError) or error.errno not in _USERS_ERRORS or not error.filename:
        return None
    return f"{error.filename}: {error.strerror}, expected a place that can be read and written"


@contextmanager
def explained_damage(what: str, remedy: str) -> Iterator[None]:
    """Raise InvalidInputError where something stored by this package cannot be read in the block.

    What lacks a name that this version writes is of an older version, anything else is damaged:
    zipfile, zlib and numpy fail on changed bytes in every way there is.

    Args:
        what: what is read, for the message.
        remedy: how it is made again.
    """
    try:
        yield
    except GenreSparkError:
        raise
    except KeyError as error:
        missing = str(error.args[0]).split(" ", 1)[0]
        raise InvalidInputError(
            f"{what}: of an older version of genre_spark (it has no {missing!r}); {remedy}"
        ) from None
    except Exception as error:
        raise InvalidInputError(f"{what}: damaged ({_first_line(error)}); {remedy}") from None


def _first_line(error: Exception) -> str:
    """Return what an error says first, of one of the JVM what comes after the name of the call."""
    lines = [line.lstrip(": ") for line in text_of(error).splitlines()]
    found = [line for line in lines if line and not line.startswith("An error occurred while")]
    return found[0] if found else type(error).__name__


def made_again_by(stage: str) -> str:
    """Return the command that makes a stage's results again, for a message."""
    return f"`genre-spark {stage} --config FILE --force` makes it again"
