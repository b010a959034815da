"""Errors of other processes, raised here as what they were there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from genre_spark import errors
from genre_spark.errors import GenreSparkError

__all__ = ["find_error_class", "worker_errors"]

_OURS = re.compile(rf"{re.escape(errors.__name__)}\.(\w+): ([^\n]+)")


@contextmanager
def worker_errors() -> Iterator[None]:
    """Raise an error of ours that ended a Spark task in the block as itself, without the traces of two languages."""
    try:
        yield
    except GenreSparkError:
        raise
    except Exception as error:  # PythonException, SparkException or Py4JJavaError, by Spark's version and the action
        found = _OURS.search(str(error))
        kind = find_error_class(found[1]) if found else None
        if found is None or kind is None:
            raise
        raise kind(found[2].strip()) from error


def find_error_class(name: str) -> type[GenreSparkError] | None:
    """Return the class of an error of ours by its name, or None where it is not ours."""
    classes: list[type[GenreSparkError]] = [GenreSparkError]
    for known in classes:
        classes.extend(known.__subclasses__())
    return next((known for known in classes if known.__name__ == name), None)
