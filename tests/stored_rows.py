"""Tables of a few rows, written as stages leave them and read back, without a Spark job."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from genre_spark.storage.tables import TableManifest, commit_table, table_files


def store_rows(
    folder: str,
    schema: StructType,
    rows: Sequence[Sequence[Any]],
    *,
    fingerprint: str,
    details: Mapping[str, Any] | None = None,
    files: int = 1,
) -> TableManifest:
    """Make rows a whole table, as `write_table` does with a DataFrame.

    Args:
        folder: of the table.
        schema: its columns.
        rows: values in the order of the columns.
        fingerprint: digest of what the content depends on.
        details: what else is in the manifest.
        files: in how many files the rows are dealt.
    """
    data, arrow = f"data-{fingerprint}-{uuid.uuid4().hex[:8]}", to_arrow_schema(schema)
    (Path(folder) / data).mkdir(parents=True)
    for number in range(files):
        columns = zip(*rows[number::files], strict=True)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, arrow, strict=True)]
        part = Path(folder) / data / f"part-{number:05}.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, schema=arrow), part)
    manifest = TableManifest(fingerprint, (data,), len(rows), details or {})
    return commit_table(folder, manifest)


def read_rows(folder: str) -> list[dict[str, Any]]:
    """Return the rows of a whole table, column -> value, in the order of its files."""
    return [row for file in table_files(folder) for row in pq.ParquetFile(file).read().to_pylist()]
