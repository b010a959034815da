"""Several tables from one pass over rows, and small tables without a Spark job.

Spark's own writer knows one table per job, and reads the rows again for the next one. Here each
task writes a file of each table. What readers see is the same: a folder of Parquet files in each
table, which its manifest names when all of them are there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from genre_spark.storage.files import filesystem, join, whole_file
from genre_spark.storage.ownership import claimed
from genre_spark.storage.tables import Table, commit_data
from genre_spark.workers.tasks import short_task

__all__ = ["NewTable", "read_rows", "write_in_one_pass", "write_rows"]

Rows = Iterable[pa.RecordBatch]
Spread = Callable[[Rows], Iterator[tuple[int, pa.RecordBatch]]]
"""Returns rows of the tables, each batch with the number of its table."""

_HELD = 8 << 20  # bytes of a table's rows that wait for their row group
_FIRST = "part-00000.snappy.parquet"
_RECEIPT = "number int, rows long"


@dataclass(frozen=True)
class NewTable:
    """A table to write, and the JSON values that its manifest keeps."""

    table: Table
    details: Mapping[str, Any]


def write_in_one_pass(
    rows: DataFrame, spread: Spread, tables: Sequence[NewTable], *, fingerprint: str
) -> None:
    """Write a whole new version of each table from what a function makes of rows, in one job.

    Args:
        rows: what the function reads; each partition becomes a file of every table.
        spread: makes the tables' rows; it runs on executors, in batches.
        tables: what to write; each takes the old one's place when all of it is there.
        fingerprint: digest of what the content depends on.
    """
    # a name of its own for each: readers of many tables tell their rows apart by it
    names = [f"data-{fingerprint}-{uuid.uuid4().hex[:8]}" for _ in tables]
    folders = [join(new.table.path, name) for new, name in zip(tables, names, strict=True)]
    schemas = [to_arrow_schema(new.table.schema) for new in tables]

    def write(batches: Rows) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        name = f"part-{context.partitionId() if context else 0:05d}.snappy.parquet"
        parts: dict[int, _Part] = {}
        with ExitStack() as files:
            for number, batch in spread(batches):
                if not batch.num_rows:
                    continue
                if number not in parts:
                    file = files.enter_context(whole_file(join(folders[number], name)))
                    parts[number] = files.enter_context(_Part(file, schemas[number]))
                parts[number].add(batch)
        yield pa.RecordBatch.from_pydict(
            {
                "number": pa.array(list(parts), pa.int32()),
                "rows": pa.array([part.rows for part in parts.values()], pa.int64()),
            }
        )

    with claimed([new.table.path for new in tables], "writing tables"):
        receipts = rows.mapInArrow(short_task(write), _RECEIPT).groupBy("number").sum("rows")
        filled = {row[0] for row in receipts.collect()}  # one row per table
        for number, new in enumerate(tables):
            if number not in filled:
                with whole_file(join(folders[number], _FIRST)) as file:
                    pq.write_table(schemas[number].empty_table(), file)
            data = names[number]
            commit_data(new.table.path, data, fingerprint=fingerprint, details=new.details)


def write_rows(
    table: Table,
    rows: Sequence[tuple[Any, ...]],
    *,
    fingerprint: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a whole new version of a table from rows of this process, without a job.

    Args:
        table: to write.
        rows: a few thousand, values in the order of the table's columns.
        fingerprint: digest of what the content depends on.
        details: JSON values to keep in the manifest.
    """
    schema = to_arrow_schema(table.schema)
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
    data = f"data-{fingerprint}-{uuid.uuid4().hex[:8]}"
    with claimed([table.path], "writing a table"):
        with whole_file(join(table.path, data, _FIRST)) as file:
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file, store_schema=False)
        commit_data(table.path, data, fingerprint=fingerprint, details=details)


def read_rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows of a small table, without a job.

    Raises:
        MissingTableError: the table has not been written (whole) yet.
    """
    rows: list[dict[str, Any]] = []
    for file in table.files():
        system, inner = filesystem(file)
        with system.open(inner, "rb") as stored:
            rows += pq.read_table(stored).select(table.schema.fieldNames()).to_pylist()
    return rows


class _Part:
    """A task's file of one table."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="snappy", store_schema=False)
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self.rows = 0

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._write()
        self._writer.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows; a row group is written when some of them are together."""
        self._held.append(batch)
        self.rows += batch.num_rows
        if sum(held.nbytes for held in self._held) >= _HELD:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held).cast(self._schema))
        self._held = []
