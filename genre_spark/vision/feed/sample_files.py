"""Parquet files of samples and their row groups."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem

__all__ = [
    "AHEAD",
    "RowGroup",
    "SampleFile",
    "StoredGroup",
    "open_file",
    "open_files",
    "read_row_group",
    "row_groups",
]

_AT_ONCE = 16  # footers
AHEAD = 2  # row groups read before they are asked for, beyond one per worker


@dataclass(frozen=True)
class SampleFile:
    """A Parquet file of samples.

    Attributes:
        path: path or URL.
        metadata: its footer.
    """

    path: str
    metadata: pq.FileMetaData


@dataclass(frozen=True)
class RowGroup:
    """A row group of a file.

    Attributes:
        file: position of the file.
        number: position of the row group in the file.
        rows: number of samples.
    """

    file: int
    number: int
    rows: int


@dataclass(frozen=True)
class StoredGroup:
    """A row group where it lies, for those who read it.

    Attributes:
        source: path of this machine, whose file is mapped, or an open file.
        name: the file's name, for messages.
        number: of the row group.
        metadata: the file's footer.
    """

    source: Any
    name: str
    number: int
    metadata: pq.FileMetaData


def open_file(path: str) -> SampleFile:
    """Read a file's footer.

    Raises:
        InvalidInputError: the file is missing, truncated or no Parquet; the text names it.
    """
    system, inner = filesystem(path)
    try:
        with system.open(inner, "rb") as file:
            return SampleFile(path, pq.read_metadata(file))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path}: not a whole Parquet file: {error}") from None


def open_files(paths: Sequence[str]) -> list[SampleFile]:
    """Read the files' footers, some at once: on an object store each waits for an answer.

    Raises:
        InvalidInputError: a file is missing, truncated or no Parquet; the text names it.
    """
    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(paths)))) as pool:
        return list(pool.map(open_file, paths))


def row_groups(files: Sequence[SampleFile], *, what: str) -> list[RowGroup]:
    """Return the row groups of files that have rows.

    Args:
        files: opened, in an order that is the same for all processes.
        what: word for the rows in the error's text.

    Raises:
        InvalidInputError: there is no row.
    """
    groups = [
        RowGroup(position, number, file.metadata.row_group(number).num_rows)
        for position, file in enumerate(files)
        for number in range(file.metadata.num_row_groups)
        if file.metadata.row_group(number).num_rows
    ]
    if not groups:
        name = files[0].path if files else "feed"
        raise InvalidInputError(f"{name}: no {what}, expected at least one")
    return groups


def read_row_group(group: StoredGroup, columns: Sequence[str]) -> pa.Table:
    """Read the columns that a file has, of one row group."""
    present = set(group.metadata.schema.to_arrow_schema().names)
    names = [name for name in columns if name in present]
    # Mapped, a page is copied once, from the system's cache into Arrow's buffer.
    mapped = isinstance(group.source, str)
    with pq.ParquetFile(group.source, metadata=group.metadata, memory_map=mapped) as file:
        return file.read_row_group(group.number, columns=names, use_threads=False)
