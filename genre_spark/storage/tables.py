"""Tables that appear whole or not at all, on any file system, without relying on rename.

A table is a folder: Parquet data under names that nobody else uses, and `_manifest.json`, written
last, that lists the data that counts, each file with its size and checksum. Data of a killed run is
not in the manifest and is removed by the next commit. Readers look at the manifest alone, and at
the files' sizes, so that what was deleted or cut off is found before Spark reads it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from genre_spark.errors import DamagedTableError, MissingTableError, StageFailedError
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import (
    MANIFEST,
    filesystem,
    join,
    read_checked_json,
    write_checked_json,
)
from genre_spark.storage.inventories import read_inventories
from genre_spark.storage.inventory import (
    FileState,
    count_rows,
    find_damage,
    find_flaws,
    list_files,
    read_states,
    take_inventory,
)
from genre_spark.storage.ownership import claimed

__all__ = [
    "Table",
    "TableManifest",
    "commit_data",
    "commit_table",
    "read_manifest",
    "read_summary",
    "remove_damaged",
    "table_damage",
    "table_files",
    "write_data",
    "write_table",
]


@dataclass(frozen=True)
class TableManifest:
    """What a whole table consists of.

    Attributes:
        fingerprint: digest of everything that the table's content depends on.
        paths: files or folders of Parquet, relative to the table's folder.
        rows: number of rows.
        details: what else belongs to the table (its vocabulary, statistics), JSON values.
        files: name -> size and checksum of every file that the paths stand for; `commit_table`
            fills it in. Empty in tables of earlier versions.
        inventories: name -> size and checksum of the files that list what a table of very many
            files consists of, one per folder of it; such a manifest is stored without paths and
            files, and `read_manifest` finds them.
    """

    fingerprint: str
    paths: tuple[str, ...]
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileState] = field(default_factory=dict, compare=False)
    inventories: Mapping[str, FileState] = field(default_factory=dict)


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
        """Return whether the table has been written whole, and its files have their sizes."""
        manifest = read_manifest(self.path)
        return manifest is not None and not table_damage(self.path, manifest)

    def damage(self, *, full: bool = False) -> list[str]:
        """Return a sentence per file that is not what was written; none where there is no table.

        Args:
            full: compare checksums too, which reads every byte; otherwise sizes only.
        """
        manifest = read_manifest(self.path)
        return [] if manifest is None else table_damage(self.path, manifest, full=full)

    def manifest(self) -> TableManifest:
        """Return what the table consists of.

        Raises:
            MissingTableError: it has not been written (whole) yet; the text names its producer.
            DamagedTableError: files are missing or have other sizes than when they were written.
        """
        manifest = read_manifest(self.path)
        if manifest is None:
            raise MissingTableError(
                f"{self.path}: no such table yet; expected the output of "
                f"`genre-spark {self.producer}`"
            )
        if damage := table_damage(self.path, manifest):
            more = f" (and {len(damage) - 1:,} more files)" if len(damage) > 1 else ""
            raise DamagedTableError(
                f"{damage[0]}{more}; `genre-spark {self.producer}` makes the table again"
            )
        return manifest

    def files(self) -> list[str]:
        """Return the Parquet files (paths or URLs), sorted by name.

        Raises:
            MissingTableError: the table has not been written (whole) yet.
        """
        return _list_files(self.path, self.manifest())

    def states(self) -> dict[str, FileState]:
        """Return file (a path or URL) -> size and checksum of when it was written.

        Raises:
            MissingTableError: the table has not been written (whole) yet.
        """
        return {join(self.path, name): state for name, state in self.manifest().files.items()}

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the rows.

        Raises:
            MissingTableError: the table has not been written (whole) yet.
        """
        paths = [literal_path(join(self.path, path)) for path in self.manifest().paths]
        if not paths:
            return frame_of_rows(spark, [], self.schema)
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
    found = read_summary(table)
    if found is None or not found.inventories:
        return found
    files = read_inventories(table, found.inventories)
    if files is None:
        return None
    paths = tuple(sorted(name for name in files if name not in found.inventories))
    return replace(found, paths=paths, files=files)


def read_summary(table: str) -> TableManifest | None:
    """Return a table's manifest as it is stored: without what its inventories list."""
    value = read_checked_json(join(table, MANIFEST)) or {}
    try:
        return TableManifest(
            value["fingerprint"],
            tuple(value["paths"]),
            value["rows"],
            value["details"],
            read_states(value.get("files")),
            read_states(value.get("inventories")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def table_damage(table: str, manifest: TableManifest, *, full: bool = False) -> list[str]:
    """Return a sentence per file of a table that is not what was written, sorted by name.

    Args:
        table: folder (path or URL).
        manifest: of the table; in one of an earlier version only missing data is found.
        full: compare checksums too, which reads every byte; otherwise sizes only.
    """
    if manifest.files or not manifest.paths:
        return find_damage(table, manifest.files, full=full)
    system, _ = filesystem(table)
    places = [join(table, path) for path in manifest.paths]
    return [f"{place}: missing" for place in places if not system.exists(filesystem(place)[1])]


def remove_damaged(table: str) -> None:
    """Remove files that have other sizes than when they were written.

    Incremental stages then make them again, as they make what was never there.
    """
    manifest = read_manifest(table)
    for name in find_flaws(table, {} if manifest is None else manifest.files):
        system, inner = filesystem(join(table, name))
        if system.exists(inner):
            system.rm(inner)


def commit_table(
    table: str, manifest: TableManifest, *, known: Mapping[str, FileState] | None = None
) -> TableManifest:
    """Make the manifest's data the table, then remove data that no longer belongs to it.

    Args:
        table: folder (path or URL).
        manifest: of the new version; with inventories it has neither paths nor files.
        known: sizes and checksums that those who wrote the files have worked out; the others are
            worked out here.

    Returns:
        The manifest with the sizes and checksums of its files.
    """
    states = take_inventory(table, manifest.paths, {**manifest.files, **(known or {})})
    whole = replace(manifest, files=states)
    value = asdict(whole)
    if not manifest.inventories:
        del value["inventories"]
    write_checked_json(join(table, MANIFEST), value)
    system, inner = filesystem(table)
    keep = {path.split("/", 1)[0] for path in [*manifest.paths, *manifest.inventories]}
    for entry in system.ls(inner, detail=False):
        name = str(entry).rstrip("/").rsplit("/", 1)[-1]
        if name.startswith(("data-", ".data-")) and name not in keep:
            system.rm(entry, recursive=True)
    return whole


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
    with claimed([table], "writing a table"):  # a commit removes what it does not know
        folder = write_data(
            frame, table, fingerprint=fingerprint, partitions=partitions, options=options
        )
        return commit_data(table, folder, fingerprint=fingerprint, details=details)


def commit_data(
    table: str, folder: str, *, fingerprint: str, details: Mapping[str, Any] | None
) -> TableManifest:
    """Make the Parquet files of a folder in a table's folder the table."""
    states = take_inventory(table, (folder,), {})
    rows = count_rows(table, states)
    manifest = TableManifest(fingerprint, (folder,), rows, details or {})
    return commit_table(table, manifest, known=states)


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
    names = manifest.files or list_files(table, manifest.paths)
    return sorted(join(table, name) for name in names if name.endswith(".parquet"))
