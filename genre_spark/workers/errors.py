"""The one way for an error to leave a Python worker of Spark: raised there, and raised again here.

A worker raises an error of ours as any code does. Spark repeats the task as often as
`spark.task.maxFailures` says and then puts the worker's traceback, as text, into an exception of
its own. Around an action of this package, `worker_errors` finds our error in that text and raises
it as what it was. On an action of the user's own (`scored.show()`), Spark's exception has the same
text. A message that travels has one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import Column
from pyspark.sql import functions as F

from genre_spark import errors
from genre_spark.errors import GenreSparkError, text_of

__all__ = ["describe_error", "find_error_class", "raise_on_executor", "worker_errors"]

_OURS = re.compile(rf"{re.escape(errors.__name__)}\.(\w+): ([^\n]+)")


@contextmanager
def worker_errors() -> Iterator[None]:
    """Raise an error of ours that ended a Spark task in the block as itself.

    Its traceback is that of this process alone; Spark's exception is its `__context__`.
    """
    try:
        yield
    except GenreSparkError:
        raise
    except Exception as error:  # PythonException, SparkException or Py4JJavaError, by the action
        found = _find_error(text_of(error))
        if found is None:
            raise
        raise found from None


def _find_error(text: str) -> GenreSparkError | None:
    """Return the last error of ours in a text: what a traceback ends with."""
    for name, message in reversed(_OURS.findall(text)):
        kind = find_error_class(name)
        if kind is not None:
            return kind(message.strip())
    return None


def find_error_class(name: str) -> type[GenreSparkError] | None:
    """Return the class of an error of ours by its name, or None where it is not ours."""
    classes: list[type[GenreSparkError]] = [GenreSparkError]
    for known in classes:
        classes.extend(known.__subclasses__())
    return next((known for known in classes if known.__name__ == name), None)


def describe_error(error: BaseException) -> str:
    """Return the type and the message of any error in one line, for a message that travels."""
    return f"{type(error).__name__}: {' '.join(text_of(error).split())}"


def raise_on_executor(kind: type[GenreSparkError], message: Column) -> Column:
    """Return a column that raises an error of ours where Spark evaluates it."""
    # The line ends before what Spark appends (SQLSTATE).
    return F.raise_error(
        F.concat(F.lit(f"{kind.__module__}.{kind.__name__}: "), message, F.lit("\n"))
    )
