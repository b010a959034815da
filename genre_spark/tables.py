"""Tables that appear whole or not at all, on any file system, without relying on rename.

A table is a folder: Parquet data under names that nobody else uses, and `_manifest.json`, written
last, that lists the data that counts. Data of a killed run is not in the manifest and is removed by
the next commit. Readers look at the manifest alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from genre_spark.errors import MissingTableError, StageFailedError
from genre_spark.files import filesystem, join, read_json, write_json

__all__ = [
    "Table",
    "TableManifest",
    "commit_table",
    "read_manifest",
    "table_files",
    "write_data",
    "write_table",
]

MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class TableManifest:
    """What a whole table consists of.

    Attributes:
        fingerprint: digest of everything that the table's content depends on.
        paths: files or folders of Parquet, relative to the table's folder.
        rows: number of rows.
        details: what else belongs to the table (its vocabulary, statistics), JSON values.
    """

    fingerprint: str
    paths: tuple[str, ...]
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the pipeline: where it lies, what is in it, and which stage writes it.

    Attributes:
        path: folder, a path or URL.
        schema: names and types of the columns.
        producer: name of the stage.
    """

    path: str
    schema: StructType
    producer: str

    def is_whole(self) -> bool:
        """Return whether the table has been written whole."""
        return read_manifest(self.path) is not None

    def manifest(self) -> TableManifest:
        """Return what the table consists of.

        Raises:
            MissingTableError: it has not been written (whole) yet; the text names its producer.
        """
        manifest = read_manifest(self.path)
        if manifest is None:
            raise MissingTableError(
                f"{self.path}: no such table yet; expected the output of "
                f"`genre-spark {self.producer}`"
            )
        return manifest

    def files(self) -> list[str]:
        """Return the Parquet files (paths or URLs), sorted by name.

        Raises:
            MissingTableError: the table has not been written (whole) yet.
        """
        return _list_files(self.path, self.manifest())

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the rows.

        Raises:
            MissingTableError: the table has not been written (whole) yet.
        """
        paths = [join(self.path, path) for path in self.manifest().paths]
        if not paths:
            return spark.createDataFrame([], self.schema)
        return spark.read.schema(self.schema).parquet(*paths)

    def write(
        self,
        frame: DataFrame,
        *,
        fingerprint: str,
        details: Mapping[str, Any] | None = None,
        partitions: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> TableManifest:
        """Write a whole new version; the arguments are those of `write_table`.

        Raises:
            StageFailedError: the columns are not those of the schema.
        """
        found, expected = _describe(frame.schema), _describe(self.schema)
        if found != expected:
            raise StageFailedError(f"{self.path}: columns {found}, expected {expected}")
        return write_table(
            frame,
            self.path,
            fingerprint=fingerprint,
            details=details,
            partitions=partitions,
            options=options,
        )


def _describe(schema: StructType) -> str:
    return ", ".join(f"{column.name} {column.dataType.simpleString()}" for column in schema)


def read_manifest(table: str) -> TableManifest | None:
    """Return a table's manifest, or None when the table has not been written whole."""
    value = read_json(join(table, MANIFEST))
    if value is None:
        return None
    return TableManifest(
        value["fingerprint"], tuple(value["paths"]), value["rows"], value["details"]
    )


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
    """Write rows into a table's folder, unknown to readers before `commit_table` lists them.

    Args:
        frame: what to write.
        table: folder (path or URL).
        fingerprint: digest of what the content depends on.
        partitions: number of files, or None for as many as the frame has partitions.
        options: of Spark's Parquet writer.

    Returns:
        The name of the data in the table's folder; no other writer uses it.
    """
    folder = f"data-{fingerprint}-{uuid.uuid4().hex[:8]}"
    written = frame if partitions is None else frame.coalesce(partitions)
    written.write.options(**(options or {})).parquet(join(table, folder))
    return folder


def write_table(
    frame: DataFrame,
    table: str,
    *,
    fingerprint: str,
    details: Mapping[str, Any] | None = None,
    partitions: int | None = None,
    options: Mapping[str, str] | None = None,
) -> TableManifest:
    """Write a whole new version of a table; it takes the old one's place when all of it is there.

    Args:
        frame: what to write.
        table: folder (path or URL).
        fingerprint: digest of what the content depends on.
        details: JSON values to keep in the manifest.
        partitions: number of files, or None for as many as the frame has partitions.
        options: of Spark's Parquet writer.
    """
    folder = write_data(
        frame, table, fingerprint=fingerprint, partitions=partitions, options=options
    )
    rows = frame.sparkSession.read.schema(frame.schema).parquet(join(table, folder)).count()
    manifest = TableManifest(fingerprint, (folder,), rows, details or {})
    commit_table(table, manifest)
    return manifest


def table_files(table: str) -> list[str]:
    """Return the Parquet files of the whole table in a folder (paths or URLs), sorted by name.

    Raises:
        MissingTableError: there is no whole table.
    """
    manifest = read_manifest(table)
    if manifest is None:
        raise MissingTableError(f"{table}: no such table, expected a folder with a {MANIFEST}")
    return _list_files(table, manifest)


def _list_files(table: str, manifest: TableManifest) -> list[str]:
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
