"""Keep a DataFrame for the time of a block, and never longer.

Spark keeps it in memory and on disk. Where the session has no cache (Databricks serverless), it
becomes Parquet in a folder that is removed afterwards.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from genre_spark.errors import text_of
from genre_spark.spark.connect import on_serverless
from genre_spark.spark.session import literal_path

__all__ = ["SCRATCH", "cached", "keep_in_folder", "release", "remove_scratch", "scratch_folder"]

_logger = logging.getLogger("genre_spark")
_MOST_COPIES = 39  # StorageLevel asserts replication < 40
SCRATCH = "GENRE_SPARK_SCRATCH"
"""Variable with the folder of estimators that are used alone: for data that cannot be cached, and
for Spark ML's trees on Spark Connect."""


class _Place:
    """Where data is kept; one per process, as stages are run one after another.

    Attributes:
        folder: of data that cannot be cached; None: there is none.
        serverless: whether the session has no cache; "auto" is found out.
        refused: whether a session has said that it has none.
    """

    folder: str | None = None
    serverless: bool | str = "auto"
    refused = False
    warned = False


@contextmanager
def keep_in_folder(folder: str, *, serverless: bool | str = "auto") -> Iterator[None]:
    """Name the folder for data that the session cannot cache, in this block.

    It is emptied before, where a process was killed, and removed at the end.

    Args:
        folder: path or URL that executors see.
        serverless: whether the session has no cache; "auto" finds out.
    """
    before = _Place.folder, _Place.serverless
    _Place.folder, _Place.serverless = folder, serverless
    try:
        if _without_cache():
            remove_scratch(folder)
        yield
    finally:
        if _without_cache():
            remove_scratch(folder)
        _Place.folder, _Place.serverless = before


@contextmanager
def cached(
    data: DataFrame, copies: int = 1, *, again: Callable[[DataFrame], DataFrame] | None = None
) -> Iterator[DataFrame]:
    """Yield `data` persisted in memory and, beyond that, on disk.

    Release it at the end, also after a failure.

    Args:
        data: DataFrame to keep.
        copies: number of executors that hold each partition, 1 or more; Spark knows up to 39, and
            more are not made.
        again: gives rows that were kept as Parquet the order and partitions that files do not keep.
    """
    persisted = None if _without_cache() else _persist(data, copies)
    if persisted is None:
        with _kept_as_table(data) as table:
            yield table if again is None or table is data else again(table)
        return
    try:
        yield persisted
    finally:
        persisted.unpersist()


def release(data: DataFrame) -> None:
    """Let go of what `cached` yielded before its block ends."""
    if not _without_cache():
        data.unpersist()


def _without_cache() -> bool:
    if _Place.serverless == "auto":
        return _Place.refused or on_serverless()
    return bool(_Place.serverless)


def _persist(data: DataFrame, copies: int) -> DataFrame | None:
    # MEMORY_AND_DISK_DESER, which DataFrame.persist takes by itself, with copies
    level = StorageLevel(
        useDisk=True,
        useMemory=True,
        useOffHeap=False,
        deserialized=True,
        replication=min(copies, _MOST_COPIES),
    )
    try:
        return data.persist(level)
    except Exception as error:
        if "NOT_SUPPORTED_WITH_SERVERLESS" not in text_of(error):
            raise
        _Place.refused = True
        return None


def scratch_folder() -> str | None:
    """Return the folder for what passes between the session and this process, or None."""
    if _Place.folder or SCRATCH in os.environ:
        return _Place.folder or os.environ[SCRATCH]
    # a server that this process has started shares its disk
    return tempfile.gettempdir() if "SPARK_LOCAL_REMOTE" in os.environ else None


def remove_scratch(folder: str) -> None:
    """Remove a folder of data that was kept for a while; nothing happens when it is not there."""
    if "://" not in folder:
        shutil.rmtree(folder, ignore_errors=True)
        return
    from genre_spark.storage.files import remove_folder  # noqa: PLC0415 - estimators alone have no fsspec

    remove_folder(folder)


@contextmanager
def _kept_as_table(data: DataFrame) -> Iterator[DataFrame]:
    folder = scratch_folder()
    if folder is None:
        _warn()
        yield data  # everything that is kept is worked out from its input alone
        return
    place = f"{folder.rstrip('/')}/kept-{uuid.uuid4().hex[:12]}"
    data.write.parquet(place)
    reader: Any = data.sparkSession.read
    try:
        yield reader.schema(data.schema).parquet(literal_path(place))
    finally:
        remove_scratch(place)


def _warn() -> None:
    if _Place.warned:
        return
    _Place.warned = True
    _logger.warning(
        "this session has no cache: training data is worked out again by each pass over it; set "
        "%s to a folder that executors can write",
        SCRATCH,
    )
