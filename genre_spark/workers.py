"""What Python workers of Spark have to be told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from zipimport import zipimporter

__all__ = ["short_task"]

T = TypeVar("T")


def short_task(function: Callable[[Iterable[T]], Iterable[T]]) -> Callable[[Iterable[T]], Iterator[T]]:
    """Return the function of a mapInArrow or mapInPandas so that its worker's next task starts at once."""

    def run(batches: Iterable[T]) -> Iterator[T]:
        yield from function(batches)
        forget_archives()

    return run


def forget_archives() -> None:
    """Let a Spark worker's next task start without reading pyspark.zip's directory again.

    Spark puts pyspark.zip on the workers' path and calls importlib.invalidate_caches() before every task; until Python
    3.13 that reads the directory of every archive that was ever searched (CPython issue 103200), 60 ms a task: most of
    the time of a task that fits one small model. A finder that is gone is made anew when an import needs it. Call this
    in functions that run as many short tasks, after their imports.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            sys.path_importer_cache.pop(path, None)
