"""Tables that appear whole or not at all, on any file system, without relying on rename.

A table is a folder: Parquet data under names that nobody else uses, and `_manifest.json`, written
last, that lists the data that counts. Data of a killed run is not in the manifest and is removed by
the next commit. Readers go through `read_table` / `table_files`, which know only the manifest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.files import filesystem, join, read_json, write_json

__all__ = [
    "TableManifest",
    "commit_table",
    "read_manifest",
    "read_table",
    "require_manifest",
    "table_files",
    "write_data",
    "write_table",
]

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class TableManifest:
    """What a whole table consists of.

    Attributes:
        name: the table's name, for messages.
        fingerprint: digest of everything that the table's content depends on.
        paths: files or folders of Parquet, relative to the table's folder.
        rows: number of rows.
        details: what else belongs to the table (its vocabulary, statistics), JSON values.
    """

    name: str
    fingerprint: str
    paths: tuple[str, ...]
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


def read_manifest(table: str) -> TableManifest | None:
    """Return a table's manifest, or None when the table has not been written whole."""
    value = read_json(join(table, MANIFEST))
    if value is None:
        return None
    return TableManifest(**{**value, "paths": tuple(value["paths"])})


def require_manifest(table: str, *, made_by: str) -> TableManifest:
    """Return a table's manifest.

    Raises:
        MissingTableError: the table has not been written (whole) yet; the text names the stage that
            writes it.
    """
    manifest = read_manifest(table)
    if manifest is None:
        raise MissingTableError(
            f"{table}: no such table yet; expected the output of `genre-spark {made_by}`"
        )
    return manifest


def commit_table(table: str, manifest: TableManifest) -> None:
    """Make the manifest's data the table, then remove data that no longer belongs to it."""
    write_json(join(table, MANIFEST), asdict(manifest))
    system, inner = filesystem(table)
    keep = {path.split("/", 1)[0] for path in manifest.paths}
    for entry in system.ls(inner, detail=False):
        name = str(entry).rstrip("/").rsplit("/", 1)[-1]
        if name.startswith(("data-", ".data-")) and name not in keep:
            system.rm(entry, recursive=True)


def write_data(
    frame: DataFrame,
    table: str,
    *,
    fingerprint: str,
    partitions: int | None = None,
    options: Mapping[str, str] | None = None,
) -> str:
    """Write a DataFrame into a table's folder, under a name that no reader knows before `commit_table` lists it.

    Args:
        frame: what to write.
        table: folder (path or URL).
        fingerprint: digest of what the content depends on.
        partitions: number of files, or None for as many as the frame has partitions.
        options: of Spark's Parquet writer.

    Returns:
        The name of the data in the table's folder.
    """
    folder = f"data-{fingerprint}-{uuid.uuid4().hex[:8]}"
    written = frame if partitions is None else frame.coalesce(partitions)
    written.write.options(**(options or {})).parquet(join(table, folder))
    return folder


def write_table(
    frame: DataFrame,
    table: str,
    *,
    name: str,
    fingerprint: str,
    details: Mapping[str, Any] | None = None,
    partitions: int | None = None,
    options: Mapping[str, str] | None = None,
) -> TableManifest:
    """Write a DataFrame as a whole new version of a table, replacing the old one when all of it is there.

    Args:
        frame: what to write.
        table: folder (path or URL).
        name: the table's name, for messages.
        fingerprint: digest of what the content depends on.
        details: JSON values to keep in the manifest.
        partitions: number of files, or None for as many as the frame has partitions.
        options: of Spark's Parquet writer.
    """
    folder = write_data(
        frame, table, fingerprint=fingerprint, partitions=partitions, options=options
    )
    rows = frame.sparkSession.read.schema(frame.schema).parquet(join(table, folder)).count()
    manifest = TableManifest(name, fingerprint, (folder,), rows, details or {})
    commit_table(table, manifest)
    return manifest


def read_table(
    spark: SparkSession, table: str, schema: StructType | None = None, *, made_by: str
) -> DataFrame:
    """Return the rows of a whole table.

    Raises:
        MissingTableError: the table has not been written (whole) yet.
    """
    manifest = require_manifest(table, made_by=made_by)
    paths = [join(table, path) for path in manifest.paths]
    reader = spark.read if schema is None else spark.read.schema(schema)
    if not paths:
        if schema is None:
            raise InvalidInputError(f"{table}: the table is empty, expected at least one row")
        return spark.createDataFrame([], schema)
    return reader.parquet(*paths)


def table_files(table: str, *, made_by: str) -> list[str]:
    """Return the Parquet files of a whole table (paths or URLs), sorted by name."""
    manifest = require_manifest(table, made_by=made_by)
    return sorted(_parquet_files(join(table, path) for path in manifest.paths))


def _parquet_files(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        system, inner = filesystem(path)
        if system.isfile(inner):
            yield path
            continue
        for entry in system.ls(inner, detail=False):
            name = str(entry).rsplit("/", 1)[-1]
            if name.endswith(".parquet") and not name.startswith(("_", ".")):
                yield join(path, name)
