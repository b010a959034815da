"""Contents of listed posters, read where they lie: files of a folder, members of an archive."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from genre_spark.errors import InvalidInputError
from genre_spark.posters.archives import DAMAGED_MEMBER, PARQUET, TAR, ZIP_DEFLATED
from genre_spark.posters.folders import shard_of
from genre_spark.posters.listing import source_kind
from genre_spark.posters.names import file_name
from genre_spark.posters.parquet_source import ParquetPosters
from genre_spark.posters.rejects import TOO_MANY_BYTES, UNREADABLE, Content, ReadFailure
from genre_spark.posters.zip_directory import LOCAL_HEADER, LOCAL_HEADER_SIZE
from genre_spark.schemas import SOURCE
from genre_spark.storage.files import filesystem, is_local, join

_TOGETHER = 32  # files asked for at once where each request has a latency


Row = Mapping[str, Any]


def read_posters(source: str, rows: Sequence[Row], *, max_bytes: int) -> Iterator[Content]:
    """Yield the content of each row of a listing, in order.

    Args:
        source: the folder, archive or Parquet file.
        rows: name -> value of LISTING_SCHEMA.
        max_bytes: larger files are not read.
    """
    for in_tables, some in groupby(rows, lambda row: row["method"] == PARQUET):
        read = _read_tables if in_tables else _read_files
        yield from read(source, list(some), max_bytes)


def _read_tables(source: str, rows: Sequence[Row], max_bytes: int) -> Iterator[Content]:
    alone = source_kind(source) == "parquet"
    for shard, some in groupby(rows, lambda row: "" if alone else shard_of(row[SOURCE])[0]):
        numbers = [row["offset"] for row in some]
        try:
            posters = ParquetPosters(source, shard, max_bytes=max_bytes)
        except (pa.ArrowException, FileNotFoundError, PermissionError, InvalidInputError) as error:
            yield from [ReadFailure(UNREADABLE, f"{shard or source}: {error}")] * len(numbers)
            continue
        with closing(posters):
            for start in range(0, len(numbers), _TOGETHER):
                yield from posters.read(numbers[start : start + _TOGETHER])


def _read_files(source: str, rows: Sequence[Row], max_bytes: int) -> Iterator[Content]:
    system, inner = filesystem(source)
    if source_kind(source) != "folder":
        with system.open(inner, "rb") as archive:
            for row in rows:
                yield _too_large(row, max_bytes) or _guarded(_read_member, archive, row)
    elif is_local(system):
        yield from _read_local(Path(inner), rows, max_bytes)
    else:
        for start in range(0, len(rows), _TOGETHER):
            yield from _read_remote(system, inner, rows[start : start + _TOGETHER], max_bytes)


def _read_local(root: Path, rows: Sequence[Row], max_bytes: int) -> Iterator[Content]:
    with ExitStack() as stack:
        opened, shard = "", None  # posters of one tar come one after the other
        for row in rows:
            if row["method"] != TAR:
                yield _too_large(row, max_bytes) or _guarded(_read_file, root, row)
                continue
            name, _ = shard_of(row[SOURCE])
            try:
                if name != opened:
                    stack.close()
                    opened = ""
                    shard, opened = stack.enter_context(_open(f"{root}/{name}")), name
            except OSError as error:
                yield ReadFailure(UNREADABLE, f"{name}: {error.strerror or error}")
                continue
            yield _too_large(row, max_bytes) or _guarded(_read_member, shard, row)


def _too_large(row: Row, max_bytes: int) -> ReadFailure | None:
    if row["size"] <= max_bytes:
        return None
    return ReadFailure(TOO_MANY_BYTES, f"{row['size']} bytes, at most {max_bytes}")


def _guarded(read: Any, place: Any, row: Row) -> Content:
    try:
        return read(place, row)
    except OSError as error:
        return ReadFailure(UNREADABLE, f"{type(error).__name__}: {error.strerror or error}")


def _read_file(root: Path, row: Row) -> Content:
    with _open(f"{root}/{row[SOURCE]}", buffering=0) as file:
        # it may have grown since it was listed
        content = file.read(row["size"] + 1)
    if len(content) > row["size"]:
        return ReadFailure(UNREADABLE, f"it has grown beyond {row['size']} bytes while it was read")
    return content


def _open(path: str, *, buffering: int = -1) -> BinaryIO:
    """Open a file by its readable name; Path costs as much as the read."""
    try:
        return open(path, "rb", buffering=buffering)  # noqa: PTH123
    except FileNotFoundError:
        if "\\x" not in path:
            raise
        name = file_name(path)  # whose bytes are no UTF-8
        return open(name, "rb", buffering=buffering)  # noqa: PTH123


def _read_remote(system: Any, root: str, rows: Sequence[Row], max_bytes: int) -> Iterator[Content]:
    wanted = [row for row in rows if row["size"] <= max_bytes]
    files = [row for row in wanted if row["method"] != TAR]
    members = [row for row in wanted if row["method"] == TAR]
    contents = {}
    if files:
        paths = [join(root, row[SOURCE]) for row in files]
        found = system.cat(paths, on_error="return")
        contents = {row[SOURCE]: found.get(path) for row, path in zip(files, paths, strict=True)}
    if members:
        ranges = system.cat_ranges(
            [join(root, shard_of(row[SOURCE])[0]) for row in members],
            [row["offset"] for row in members],
            [row["offset"] + row["stored"] for row in members],
            on_error="return",
        )
        contents |= {row[SOURCE]: part for row, part in zip(members, ranges, strict=True)}
    for row in rows:
        content = contents.get(row[SOURCE])
        if content is None:
            yield _too_large(row, max_bytes) or ReadFailure(UNREADABLE, "no answer")
        elif isinstance(content, (FileNotFoundError, PermissionError)):
            yield ReadFailure(UNREADABLE, f"{type(content).__name__}: {content}")
        elif isinstance(content, Exception):
            # a network that fails is no flaw of the poster: let Spark try the task again
            raise content
        else:
            yield content


def _read_member(archive: BinaryIO, row: Row) -> Content:
    offset, stored, method = row["offset"], row["stored"], row["method"]
    if method == TAR:
        archive.seek(offset)
        content = archive.read(stored)
        return (
            content
            if len(content) == stored
            else ReadFailure(DAMAGED_MEMBER, "the archive ends within it")
        )
    archive.seek(offset)
    head = archive.read(LOCAL_HEADER_SIZE)
    if len(head) < LOCAL_HEADER_SIZE or head[:4] != LOCAL_HEADER:
        return ReadFailure(DAMAGED_MEMBER, f"no local header at byte {offset}")
    names, extras = struct.unpack_from("<HH", head, 26)
    archive.seek(names + extras, 1)
    content = archive.read(stored)
    if method == ZIP_DEFLATED:
        try:
            content = zlib.decompressobj(-15).decompress(content, row["size"] + 1)
        except zlib.error as error:
            return ReadFailure(DAMAGED_MEMBER, str(error))
    if len(content) != row["size"]:
        return ReadFailure(
            DAMAGED_MEMBER, f"{len(content)} bytes, its directory says {row['size']}"
        )
    return content
