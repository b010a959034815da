"""Keep a DataFrame for the time of a block, and never longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame

__all__ = ["cached"]


@contextmanager
def cached(data: DataFrame) -> Iterator[DataFrame]:
    """Yield `data` persisted in memory and, beyond that, on disk; release it at the end, also after a failure."""
    persisted = data.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield persisted
    finally:
        persisted.unpersist()
