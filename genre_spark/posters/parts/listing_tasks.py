"""The listing of a large source as a table, written by many tasks.

A task lists a folder, or one shard (a tar or a Parquet file), as a stream. Where folders have
folders, the tree is listed level by level until it is wide enough to keep a cluster busy. Every
poster gets a slot, a hash that says which part of the table plans it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.posters.archives import FILE, FOLDER, SHARD, Entry
from genre_spark.posters.folders import list_folder, list_shard
from genre_spark.posters.listing import list_batches, list_posters, source_kind, stream_posters
from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.posters.parts.slots import hash_name, slots
from genre_spark.schemas import REASON, SOURCE
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path
from genre_spark.storage.arrow_columns import int_column, text_column
from genre_spark.storage.files import join
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["LISTED", "list_in_tasks"]

LISTED = (
    "movie_id long, source string, offset long, stored long, method byte, size long, stamp long, "
    "slot long, reason string, detail string"
)
"""A row of the listing: a poster, a reject with its reason, or what is still to be listed."""
_SCHEMA = pa.schema(
    [
        *LISTING_SCHEMA,
        pa.field("slot", pa.int64(), False),
        pa.field(REASON, pa.string(), False),  # why it is no poster, or ""
        pa.field("detail", pa.string(), False),
    ]
)
_WIDE = 64  # folders and shards at once that need not become more
_LEVELS = 4
_TASKS = 512
_REJECTS_PER_BATCH = 20_000
Reject = tuple[str, str, str]


def list_in_tasks(
    spark: SparkSession, source: str, folder: str, *, follow_links: bool = False
) -> DataFrame:
    """List a source; return its posters and rejects, rows of LISTED, as they were written.

    Args:
        spark: the session.
        source: folder, archive or Parquet file.
        folder: empty folder (path or URL) for the listing.
        follow_links: follow symbolic links that lead out of the source; one task lists it then,
            since links may lead anywhere.

    Raises:
        InvalidInputError: the source cannot be listed.
    """
    whole = follow_links or source_kind(source) != "folder"
    first = (-1, "", -1, 0, SHARD if whole else FOLDER, 0, 0, 0, "", "")
    units, count = frame_of_rows(spark, [first], LISTED), 1
    levels: list[str] = []
    while count:
        deep = count >= _WIDE or len(levels) + 1 >= _LEVELS
        levels.append(join(folder, f"level-{len(levels)}"))
        run = functools.partial(_list_units, source, deep, follow_links)
        with worker_errors():
            tasks = units.repartition(min(count, _TASKS))
            tasks.mapInArrow(short_task(run), LISTED).write.parquet(levels[-1])
        units = _read(spark, levels[-1:]).filter(F.col("method") >= FOLDER)
        count = units.count()
    return _read(spark, levels).filter(F.col("method") < FOLDER)


def _read(spark: SparkSession, places: list[str]) -> DataFrame:
    return spark.read.schema(LISTED).parquet(*[literal_path(place) for place in places])


def _list_units(
    source: str, deep: bool, follow_links: bool, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for unit in batch.select([SOURCE, "size", "stamp", "method"]).to_pylist():
            rejects: list[Reject] = []
            found: list[Entry] = []
            if unit["method"] == SHARD and not unit[SOURCE]:
                listed = _list_whole(source, rejects, follow_links=follow_links)
            else:
                entries = _entries(source, unit, deep=deep)
                listed = list_batches(source, _set_aside(entries, found), rejects)
            for posters in listed:
                yield _rows(posters)
                yield from _drain(rejects, _REJECTS_PER_BATCH)
            yield from _drain(rejects, 1)
            if found:
                yield _units(found)


def _list_whole(
    source: str, rejects: list[Reject], *, follow_links: bool
) -> Iterator[pa.RecordBatch]:
    """List a source as one stream; a zip's members must be seen together."""
    if source_kind(source) != "zip":
        yield from stream_posters(source, rejects, follow_links=follow_links)
        return
    listing = list_posters(source)
    rejects += listing.rejects
    yield from listing.posters.to_batches()


def _entries(source: str, unit: dict[str, Any], *, deep: bool) -> Iterator[Entry]:
    name = unit[SOURCE]
    if unit["method"] == SHARD:
        yield from list_shard(source, Entry(name, unit["size"], unit["stamp"]))
        return
    for entry in list_folder(source, name, deep=deep):
        if entry.method == SHARD and deep:
            yield from list_shard(source, entry)
        else:
            yield entry


def _set_aside(entries: Iterable[Entry], found: list[Entry]) -> Iterator[Entry]:
    """Yield the posters; folders and shards that are tasks of their own are appended."""
    for entry in entries:
        if entry.method >= FOLDER:
            found.append(entry)
        else:
            yield entry


def _rows(posters: pa.RecordBatch) -> pa.RecordBatch:
    blank = text_column([""] * posters.num_rows)
    slot = int_column(slots(pa.Table.from_batches([posters])), pa.int64())
    return pa.RecordBatch.from_arrays([*posters.columns, slot, blank, blank], schema=_SCHEMA)


def _drain(rejects: list[Reject], least: int) -> Iterator[pa.RecordBatch]:
    """Yield the rejects as rows, where there are that many, and forget them."""
    if len(rejects) >= least:
        names, reasons, details = zip(*rejects, strict=True)
        hashes = np.array([hash_name(name) >> 1 for name in names], np.int64)
        yield _other_rows(list(names), [FILE] * len(names), hashes, list(reasons), list(details))
        rejects.clear()


def _units(found: list[Entry]) -> pa.RecordBatch:
    blank = [""] * len(found)
    rows = _other_rows(
        [entry.name for entry in found],
        [entry.method for entry in found],
        np.zeros(len(found), np.int64),
        blank,
        blank,
    )
    for name in ("size", "stamp"):
        column = int_column([getattr(entry, name) for entry in found], pa.int64())
        place = _SCHEMA.get_field_index(name)
        columns = [*rows.columns[:place], column, *rows.columns[place + 1 :]]
        rows = pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
    return rows


def _other_rows(
    names: list[str],
    methods: list[int],
    hashes: npt.NDArray[np.int64],
    reasons: list[str],
    details: list[str],
) -> pa.RecordBatch:
    zeros = int_column(np.zeros(len(names), np.int64), pa.int64())
    return pa.RecordBatch.from_arrays(
        [
            int_column(np.full(len(names), -1), pa.int64()),
            text_column(names),
            zeros,
            zeros,
            int_column(methods, pa.int8()),
            zeros,
            zeros,
            int_column(hashes, pa.int64()),
            text_column(reasons),
            text_column(details),
        ],
        schema=_SCHEMA,
    )
