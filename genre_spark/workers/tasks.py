"""Short tasks in Spark's Python workers: what they need not do between two of them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from zipimport import zipimporter

__all__ = ["short_task"]

T = TypeVar("T")
_modules_settled = 0  # how many were imported when the heap was frozen


def short_task(
    function: Callable[[Iterable[T]], Iterable[T]],
) -> Callable[[Iterable[T]], Iterator[T]]:
    """Return a mapInArrow or mapInPandas function whose worker starts the next task at once.

    Between two tasks PySpark collects garbage and forgets what it knows of the import path, which
    takes a worker with this package's imports 150 ms: as long as fitting a small model, or decoding
    300 posters.
    """

    def run(batches: Iterable[T]) -> Iterator[T]:
        yield from function(batches)
        forget_archives()
        settle_heap()

    return run


def forget_archives() -> None:
    """Spare the next task reading pyspark.zip's directory.

    Spark puts pyspark.zip on the workers' path and calls importlib.invalidate_caches() before every
    task; until Python 3.13 that reads the directory of every archive that was ever searched
    (CPython issue 103200), 60 ms a task. A finder that is gone is made anew when an import needs
    it.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            sys.path_importer_cache.pop(path, None)


def settle_heap() -> None:
    """Keep what modules hold out of the garbage collection after every task of PySpark.

    Such a collection looks at every object: 85 ms with what pyarrow, pydantic and their like bring.
    Frozen objects are still freed when nobody refers to them; only cycles among them stay.
    """
    global _modules_settled  # noqa: PLW0603 - a fact about this process
    if len(sys.modules) > _modules_settled:
        gc.collect()
        gc.freeze()
        _modules_settled = len(sys.modules)
