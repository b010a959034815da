"""Keep a DataFrame for the time of a block, and never longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame

__all__ = ["cached"]

_MOST_COPIES = 39  # StorageLevel asserts replication < 40


@contextmanager
def cached(data: DataFrame, copies: int = 1) -> Iterator[DataFrame]:
    """Yield `data` persisted in memory and, beyond that, on disk.

    Release it at the end, also after a failure.

    Args:
        data: DataFrame to keep.
        copies: number of executors that hold each partition, 1 or more; Spark knows up to 39, and
            more are not made.
    """
    # MEMORY_AND_DISK_DESER, which DataFrame.persist takes by itself, with copies
    level = StorageLevel(
        useDisk=True,
        useMemory=True,
        useOffHeap=False,
        deserialized=True,
        replication=min(copies, _MOST_COPIES),
    )
    persisted = data.persist(level)
    try:
        yield persisted
    finally:
        persisted.unpersist()
