"""Posters in Parquet files: one row per poster, with its bytes or the address of a file.

Such tables are what downloaders, Spark's `binaryFile` and Hugging Face's datasets write. Listing
reads the ids alone; the bytes are read by the tasks, a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genre_spark.errors import InvalidInputError, MissingExtraError
from genre_spark.posters.archives import DAMAGED_MEMBER, PARQUET, Entry
from genre_spark.posters.delta import find_delta
from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.posters.names import NOT_AN_ID, parse_poster_name
from genre_spark.posters.rejects import TOO_MANY_BYTES, UNREADABLE, Content, ReadFailure
from genre_spark.schemas import IMAGE, MOVIE_ID
from genre_spark.storage.arrow_columns import int_column
from genre_spark.storage.files import filesystem, join

__all__ = ["WEB_LINK", "ParquetPosters", "PosterColumns", "list_rows", "poster_columns"]

NO_ID = "no id"
BROKEN_PARQUET = "not a whole Parquet file"
WEB_LINK = "a link to the web, which `genre-spark download-posters` fetches"
_IDS = (MOVIE_ID, "id")
_IMAGES = (IMAGE, "bytes", "content", "jpg", "data")
_ADDRESSES = ("uri", "path", "url", "link", "file")
_BATCH = 32  # rows whose bytes are held at once
_BUFFER = 1 << 20  # bytes read ahead per column, in place of whole column chunks
_WEB = ("http", "https", "ftp")


@dataclass(frozen=True)
class PosterColumns:
    """What a table of posters calls its columns.

    Attributes:
        ids: column of movie ids, or None where they are in the names of `addresses`.
        image: column of bytes, or of structs with `bytes` and `path` (Hugging Face's images).
        nested: whether `image` has structs.
        addresses: column of paths or URLs of files, read where there are no bytes.
    """

    ids: str | None
    image: str | None
    nested: bool
    addresses: str | None


def poster_columns(schema: pa.Schema, name: str) -> PosterColumns:
    """Return which columns have ids, bytes and addresses.

    Args:
        schema: of the Parquet file.
        name: of the file, for the error's text.

    Raises:
        InvalidInputError: there is no id, or nothing to read a poster from.
    """

    def first(names: Sequence[str], *tests: Any) -> str | None:
        for column in names:
            if column in schema.names and any(test(schema.field(column).type) for test in tests):
                return column
        return None

    texts = (pa.types.is_string, pa.types.is_large_string)
    image = first(_IMAGES, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_struct)
    nested = image is not None and pa.types.is_struct(schema.field(image).type)
    addresses = first(_ADDRESSES, *texts)
    ids = first(_IDS, pa.types.is_integer, *texts)
    if (ids is None and addresses is None) or (image is None and addresses is None):
        raise InvalidInputError(
            f"paths.posters: {name}: columns {', '.join(schema.names)}; expected {MOVIE_ID} (or "
            f"id), whole numbers, with {' or '.join(_IMAGES[:3])} (binary) or uri (text)"
        )
    return PosterColumns(ids, image, nested, addresses)


def list_rows(
    source: str, table: Entry, rejects: list[tuple[str, str, str]]
) -> Iterator[pa.RecordBatch]:
    """List the rows of a Parquet file, which are named `SHARD.parquet/ROW`.

    Args:
        source: the folder, or the file itself.
        table: the file in the folder; its name is "" where it is the source.
        rejects: (source, reason, detail) of rows that are no posters are appended.

    Yields:
        batches of LISTING_SCHEMA.

    Raises:
        InvalidInputError: the columns are not those of posters, the source is no whole file, or
            it is a file that a Delta table's log names and that is gone.
    """
    system, inner = filesystem(source)
    start = f"{table.name}/" if table.name else ""
    try:
        for ids, rows, lost in _list_ids(
            system, join(inner, table.name) if table.name else inner, table.name or source
        ):
            rejects += [(f"{start}{row}", reason, "") for row, reason in lost]
            names = pc.binary_join_element_wise(
                start, int_column(rows, pa.int64()).cast(pa.string()), ""
            )
            zeros = np.zeros(len(ids), np.int64)
            columns = [
                int_column(ids, pa.int64()),
                names,
                int_column(rows, pa.int64()),
                int_column(zeros, pa.int64()),
                int_column(zeros + PARQUET, pa.int8()),
                int_column(zeros, pa.int64()),  # how long the bytes are, reading them tells
                int_column(zeros + table.stamp, pa.int64()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=LISTING_SCHEMA)
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError):
            _reject_missing(source, table.name)
        if not _is_damage(error):
            raise
        if not table.name:
            raise InvalidInputError(
                f"paths.posters: {source}: not a whole Parquet file: {error}"
            ) from None
        rejects.append((table.name, BROKEN_PARQUET, str(error)[:200]))


def _reject_missing(source: str, name: str) -> None:
    """Refuse a Delta table where a file that is gone is one of its newest version.

    Raises:
        InvalidInputError: it is.
    """
    table = find_delta(source, name)
    if table is not None:
        raise InvalidInputError(
            f"paths.posters: {table}: a Delta table whose log names {join(source, name)}, which is "
            "not there; expected every file of its newest version: restore the file, or write the "
            "table anew"
        ) from None


def _list_ids(
    system: fsspec.AbstractFileSystem, path: str, name: str
) -> Iterator[tuple[np.ndarray, np.ndarray, list[tuple[int, str]]]]:
    """Yield, per row group, the ids of posters, their rows in the file, and rows without an id.

    Args:
        system: where the file is.
        path: in that file system.
        name: of the file, for errors.

    Raises:
        InvalidInputError: the columns are not those of posters.
        OSError, pa.ArrowException: it is no whole Parquet file.
    """
    with system.open(path, "rb") as file:
        parquet = pq.ParquetFile(file, buffer_size=_BUFFER)
        columns = poster_columns(parquet.schema_arrow, name)
        start = 0
        for batch in parquet.iter_batches(
            1 << 16, columns=[columns.ids or columns.addresses], use_threads=False
        ):
            column = batch.column(0)
            ids = _parsed_names(column) if columns.ids is None else _whole_numbers(column)
            known = ids >= 0
            lost = [
                (start + row, NO_ID if not column[row].is_valid else NOT_AN_ID)
                for row in np.flatnonzero(~known).tolist()
            ]
            yield ids[known], start + np.flatnonzero(known), lost
            start += len(column)


def _whole_numbers(column: pa.Array) -> np.ndarray:
    """Return ids, -1 where there is none."""
    if not pa.types.is_integer(column.type):
        digits = pc.match_substring_regex(column, r"^[0-9]{1,18}$")
        column = pc.if_else(digits, column, None).cast(pa.int64())
    elif column.type == pa.uint64():
        column = pc.if_else(pc.less(column, 2**63), column, None)
    found = column.cast(pa.int64()).fill_null(-1)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _parsed_names(column: pa.Array) -> np.ndarray:
    """Return the ids that files are named by (`.../1000001.jpg`), -1 where they are not."""
    names = [parse_poster_name((path or "").rpartition("/")[2]) for path in column.to_pylist()]
    return np.array([-1 if isinstance(name, str) else name for name in names], np.int64)


def _is_damage(error: Exception) -> bool:
    """Return whether Arrow found the file damaged; a network that fails has errors of its own."""
    if isinstance(error, (pa.ArrowException, StopIteration)):
        return True
    network = isinstance(error, (TimeoutError, ConnectionError))
    return isinstance(error, OSError) and error.errno is None and not network


class ParquetPosters:
    """A Parquet file of posters, read forward.

    Args:
        source: folder or file that `paths.posters` names.
        shard: name of the Parquet file below the folder, "" where the source is the file.
        max_bytes: larger posters are not read.
    """

    def __init__(self, source: str, shard: str, *, max_bytes: int) -> None:
        self._folder = source if shard else source.rpartition("/")[0]
        self._max_bytes = max_bytes
        system, inner = filesystem(source)
        self._file = system.open(join(inner, shard) if shard else inner, "rb")
        try:
            self._parquet = pq.ParquetFile(self._file, buffer_size=_BUFFER)
            self._columns = poster_columns(self._parquet.schema_arrow, shard or source)
        except BaseException:
            self._file.close()
            raise
        groups = [
            self._parquet.metadata.row_group(group).num_rows
            for group in range(self._parquet.num_row_groups)
        ]
        self._starts = np.cumsum([0, *groups])
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._group, self._first = -1, 0
        self._damage: dict[int, str] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, rows: Sequence[int]) -> list[Content]:
        """Return the posters of rows; rising rows are read in one go."""
        found: list[Content | str] = [self._row(row) for row in rows]
        addresses = [place for place, content in enumerate(found) if isinstance(content, str)]
        contents = self._read_addresses([str(found[place]) for place in addresses])
        for place, content in zip(addresses, contents, strict=True):
            found[place] = content
        return [self._bounded(content) for content in found if not isinstance(content, str)]

    def _bounded(self, content: Content) -> Content:
        if isinstance(content, ReadFailure) or len(content) <= self._max_bytes:
            return content
        return ReadFailure(TOO_MANY_BYTES, f"{len(content)} bytes, at most {self._max_bytes}")

    def _row(self, row: int) -> Content | str:
        """Return a row's bytes, or the address that they are at."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        if group in self._damage:
            return ReadFailure(DAMAGED_MEMBER, self._damage[group])
        if group >= len(self._starts) - 1:
            return ReadFailure(UNREADABLE, f"no row {row}: the file has changed")
        try:
            if group != self._group or row < self._first:
                self._open_group(group)
            while self._batch is None or row >= self._first + self._batch.num_rows:
                self._first += 0 if self._batch is None else self._batch.num_rows
                self._batch = next(self._batches)
        except (OSError, pa.ArrowException, StopIteration) as error:
            if not _is_damage(error):
                raise
            self._group = -1
            self._damage[group] = f"row group {group}: {str(error)[:200] or 'ends too early'}"
            return ReadFailure(DAMAGED_MEMBER, self._damage[group])
        return self._content(self._batch, row - self._first)

    def _open_group(self, group: int) -> None:
        names = [name for name in (self._columns.image, self._columns.addresses) if name]
        self._batches = self._parquet.iter_batches(
            _BATCH, row_groups=[group], columns=names, use_threads=False
        )
        self._group, self._first, self._batch = group, int(self._starts[group]), None

    def _content(self, batch: pa.RecordBatch, place: int) -> Content | str:
        columns = self._columns
        value = batch.column(columns.image)[place].as_py() if columns.image else None
        address = batch.column(columns.addresses)[place].as_py() if columns.addresses else None
        if columns.nested:
            value = value or {}
            address = address or value.get("path")
            value = value.get("bytes")
        if isinstance(value, bytes):
            return value
        return address or b""

    def _read_addresses(self, addresses: Sequence[str]) -> list[Content]:
        """Read files, those of one file system together."""
        found: list[Content] = [ReadFailure(UNREADABLE, "no answer")] * len(addresses)
        together: dict[int, tuple[Any, list[int], list[str]]] = {}
        for place, address in enumerate(addresses):
            if address.partition("://")[0].lower() in _WEB:
                found[place] = ReadFailure(UNREADABLE, WEB_LINK)
                continue
            relative = "://" not in address and not address.startswith(("/", "dbfs:", "file:"))
            try:
                system, inner = filesystem(join(self._folder, address) if relative else address)
            except (InvalidInputError, MissingExtraError, ImportError) as error:
                found[place] = ReadFailure(UNREADABLE, str(error))
                continue
            _, places, paths = together.setdefault(id(system), (system, [], []))
            places.append(place)
            paths.append(inner)
        for system, places, paths in together.values():
            ends = [self._max_bytes + 1] * len(paths)
            parts = system.cat_ranges(paths, [0] * len(paths), ends, on_error="return")
            for place, part in zip(places, parts, strict=True):
                if isinstance(part, (FileNotFoundError, PermissionError, IsADirectoryError)):
                    found[place] = ReadFailure(UNREADABLE, f"{type(part).__name__}: {part}")
                elif isinstance(part, Exception):
                    raise part  # a network that fails: let Spark try the task again
                else:
                    found[place] = part
        return found
