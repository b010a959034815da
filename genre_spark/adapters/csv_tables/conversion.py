"""CSV files of the Letterboxd layout become typed tables, by many tasks.

The driver sees a number per block, a receipt per range, and no row.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from genre_spark.adapters.csv_tables.boundaries import BlockScan, row_starts
from genre_spark.adapters.csv_tables.range_tasks import Range, RangeJob, convert_range, scan_range
from genre_spark.adapters.csv_tables.sources import CsvSource
from genre_spark.adapters.csv_tables.spark_rows import (
    read_odd_rows,
    read_whole_file,
    rejected_rows,
    typed_rows,
)
from genre_spark.progress import counting
from genre_spark.schemas import REASON, REJECTS_SCHEMA, typed_schema
from genre_spark.spark.session import count_task_slots, literal_path
from genre_spark.storage.arrow_columns import text_column
from genre_spark.storage.files import fingerprint, join
from genre_spark.storage.inventory import FileState
from genre_spark.storage.tables import TableManifest, commit_table, write_data
from genre_spark.transforms.metadata import IMPORTED_FROM, SCHEMA
from genre_spark.workers.tasks import short_task

__all__ = ["Converted", "commit_source", "convert_sources"]

_FORMAT = 1  # of the tables; another one makes all of them anew
_LONGEST_RANGE = 4  # blocks: the files that readers get are some tens of megabytes


@dataclass
class Converted:
    """What was made of a file; nothing of it counts before it is committed.

    Attributes:
        source: the file.
        in_ranges: whether many tasks have read it.
        parts: data of its table, name -> state where that is known.
        rejects: data of the rejects table, the same.
        rows: number of rows of the table.
        reasons: reason -> number of rejects.
    """

    source: CsvSource
    in_ranges: bool
    parts: dict[str, FileState | None] = field(default_factory=dict)
    rejects: dict[str, FileState | None] = field(default_factory=dict)
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def convert_sources(
    spark: SparkSession,
    sources: Sequence[CsvSource],
    *,
    tables: Mapping[str, str],
    rejects: str,
    block: int,
) -> list[Converted]:
    """Read files and write the data of their tables and of the rejects table.

    Args:
        spark: the session.
        sources: the files.
        tables: name of a source -> folder of its table.
        rejects: folder of the rejects table.
        block: bytes that a task holds at a time.
    """
    job = RangeJob(tuple(sources), tuple(tables[source.name] for source in sources), rejects)
    ranges = _plan_ranges(spark, sources, block)
    found = [Converted(source, in_ranges=number in ranges) for number, source in enumerate(sources)]
    todo = [part for parts in ranges.values() for part in parts]
    odd: dict[int, list[str]] = {}
    with counting("ranges of metadata files", len(todo), by_tasks=True):
        receipts = _run(spark, todo, functools.partial(convert_range, job))
    for receipt in receipts:
        _add(found[receipt["source"]], receipt)
        if receipt["odd"]:
            table = job.tables[receipt["source"]]
            odd.setdefault(receipt["source"], []).append(join(table, receipt["odd"]))
    for number, paths in odd.items():
        rows = read_odd_rows(spark, paths, sources[number])
        _add_rows(found[number], rows, table=job.tables[number], rejects=rejects)
    for number, converted in enumerate(found):
        if not converted.in_ranges:
            rows = read_whole_file(spark, converted.source)
            _add_rows(converted, rows, table=job.tables[number], rejects=rejects)
    return found


def commit_source(converted: Converted, table: str) -> TableManifest:
    """Make what was read of a file its table."""
    source = converted.source
    details = {
        IMPORTED_FROM: source.digest,
        SCHEMA: ", ".join(
            f"{field.name} {field.dataType.simpleString()}"
            for field in typed_schema(source.columns).fields
        ),
        "file": source.file,
        "bytes": source.size,
        "in_ranges": converted.in_ranges,
        "rejected": dict(sorted(converted.reasons.items())),
    }
    known = {name: state for name, state in converted.parts.items() if state is not None}
    manifest = TableManifest(_digest(source), tuple(converted.parts), converted.rows, details)
    return commit_table(table, manifest, known=known)


def _digest(source: CsvSource) -> str:
    return fingerprint("metadata", _FORMAT, source.digest, source.columns)


def _plan_ranges(
    spark: SparkSession, sources: Sequence[CsvSource], block: int
) -> dict[int, list[Range]]:
    """Return number -> ranges of the files that can be cut, after a first pass where it needs one.

    Each block of a file whose fields may span lines gives the number of its quotes.
    """
    blocks = {
        number: _cut(source.body, source.size, block)
        for number, source in enumerate(sources)
        if source.body >= 0
    }
    spanning = {number: own for number, own in blocks.items() if sources[number].spans_lines}
    scanned = [(number, *one) for number, own in spanning.items() for one in own]
    with counting("blocks of metadata files", len(scanned), by_tasks=True):
        scans = _run(spark, scanned, functools.partial(_scan, tuple(sources)))
    edges: dict[int, list[int]] = {}
    for number, own in blocks.items():
        if not sources[number].spans_lines:
            edges[number] = [start for start, _ in own]
            continue
        answers = [BlockScan(*scan) for of, scan in scans if of == number]
        starts = row_starts(own, answers)
        if starts is not None:
            edges[number] = [start for start in starts if start < sources[number].size]
    slots = count_task_slots(spark)
    total = sum(map(len, edges.values()))
    step = min(_LONGEST_RANGE, max(1, total // (2 * slots)))
    return {
        number: [
            Range(number, tuple([*starts, sources[number].size][first : first + step + 1]))
            for first in range(0, len(starts), step)
        ]
        for number, starts in edges.items()
    }


def _cut(start: int, stop: int, block: int) -> list[tuple[int, int]]:
    """Return blocks of about the same size, none where there is nothing."""
    parts = -(-(stop - start) // block)
    edges = [start + (stop - start) * part // parts for part in range(parts + 1)] if parts else []
    return list(pairwise(edges))


def _scan(sources: tuple[CsvSource, ...], block: tuple[int, int, int]) -> tuple[int, BlockScan]:
    number, start, stop = block
    return number, scan_range(sources[number], start, stop)


def _run(spark: SparkSession, todo: Sequence[Any], function: Callable[[Any], Any]) -> list[Any]:
    """Call a function in a task for each value, and return what it returns, as JSON, in order."""
    if not todo:
        return []
    run = functools.partial(_answer, list(todo), function)
    rows = spark.range(0, len(todo), 1, len(todo)).mapInArrow(short_task(run), "answer string")
    answers = dict(json.loads(row[0]) for row in rows.collect())
    return [answers[number] for number in range(len(todo))]


def _answer(
    todo: Sequence[Any], function: Callable[[Any], Any], batches: Iterable[pa.RecordBatch]
) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        for number in batch.column(0).to_numpy().tolist():
            answer = text_column([json.dumps((number, function(todo[number])))])
            yield pa.RecordBatch.from_arrays([answer], names=["answer"])


def _add(converted: Converted, receipt: Mapping[str, Any]) -> None:
    if receipt["part"]:
        converted.parts[receipt["part"]] = FileState(*receipt["part_state"])
    if receipt["rejects"]:
        converted.rejects[receipt["rejects"]] = FileState(*receipt["rejects_state"])
    converted.rows += receipt["rows"]
    converted.reasons.update(receipt["reasons"])


def _add_rows(converted: Converted, rows: DataFrame, *, table: str, rejects: str) -> None:
    """Write rows that Spark has read, and what of them cannot be used."""
    spark, source = rows.sparkSession, converted.source
    part = write_data(typed_rows(rows, source), table, fingerprint=_digest(source))
    flaws = write_data(rejected_rows(rows, source), rejects, fingerprint=_digest(source))
    converted.parts[part] = converted.rejects[flaws] = None
    written = spark.read.schema(typed_schema(source.columns))
    converted.rows += written.parquet(literal_path(join(table, part))).count()
    flawed = spark.read.schema(REJECTS_SCHEMA).parquet(literal_path(join(rejects, flaws)))
    for row in flawed.groupBy(REASON).count().collect():
        converted.reasons[row[REASON]] += row["count"]
