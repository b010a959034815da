"""The posters of a folder, archive or Parquet table: Arrow columns, not an object per file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from genre_spark.errors import InvalidInputError
from genre_spark.posters.archives import (
    BROKEN_LINK,
    BROKEN_TAR,
    LINK_OUT,
    NOT_REGULAR,
    PARQUET,
    TAR,
    TAR_ERRORS,
    Entry,
    drop_overlapping,
    read_tar,
    read_zip,
)
from genre_spark.posters.arrow_columns import LISTING_SCHEMA, int_column, text_column
from genre_spark.posters.names import parse_poster_name, readable_name
from genre_spark.posters.parquet_source import list_rows
from genre_spark.storage.files import filesystem, fingerprint, is_local, join

DIRECTORY = "a directory, not a file"
_BOOKKEEPING = "_"  # folders whose names start so hold no data, for Spark and Hadoop too

_DESCEND = "descend"
_BATCH = 20_000
_TAR = (".tar",)
_PARQUET = (".parquet", ".pq")
_IN_SHARD = r"(?i)^(.*[.](?:tar|parquet|pq))/.*$"
_COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        posters: a table of LISTING_SCHEMA, in the order of the source.
        rejects: (source, reason, detail) of files that are no posters by their name or kind.
    """

    posters: pa.Table
    rejects: list[tuple[str, str, str]] = field(default_factory=list)


def source_kind(source: str) -> str:
    """Return `folder`, `zip`, `tar` or `parquet`.

    Raises:
        InvalidInputError: there is no such source, or it is a file of another kind.
    """
    system, inner = filesystem(source)
    if not system.exists(inner):
        raise InvalidInputError(f"paths.posters: {source}: no such folder or archive")
    lower = inner.lower()
    if system.isdir(inner):
        return "folder"
    if lower.endswith(".zip"):
        return "zip"
    if lower.endswith(_TAR):
        return "tar"
    if lower.endswith(_PARQUET):
        return "parquet"
    if lower.endswith(_COMPRESSED_TAR):
        raise InvalidInputError(
            f"paths.posters: {source}: a compressed tar can only be read from its start, expected "
            ".tar or .zip"
        )
    raise InvalidInputError(
        f"paths.posters: {source}: expected a folder, a .zip or a .tar of ID.jpg files, or a "
        ".parquet file"
    )


def list_posters(source: str, *, follow_links: bool = False) -> Listing:
    """List a folder (with its subfolders, and the tars and Parquet files in them) or an archive.

    Raises:
        InvalidInputError: the source is not there or is no archive that can be read.
    """
    batches: list[pa.RecordBatch] = []
    rejects: list[tuple[str, str, str]] = []
    pending: list[tuple[int, Entry]] = []
    for entry in _entries(source, follow_links=follow_links):
        if entry.method == PARQUET:
            batches += list_rows(source, entry, rejects)
            continue
        movie_id = parse_poster_name(entry.name.rpartition("/")[2])
        if entry.flaw is not None or isinstance(movie_id, str):
            rejects.append((entry.name, entry.flaw or str(movie_id), f"{entry.size} bytes"))
            continue
        pending.append((movie_id, entry))
        if len(pending) == _BATCH:
            batches.append(_to_batch(pending))
            pending = []
    batches.append(_to_batch(pending))
    posters = pa.Table.from_batches(batches, LISTING_SCHEMA)
    if source_kind(source) == "zip":
        posters, shared = drop_overlapping(posters)
        rejects += shared
    return Listing(posters, rejects)


def shard_of(source: str) -> tuple[str, str]:
    """Cut the name of a poster in a shard of a folder, `SHARD.tar/NAME`, in two.

    The shard is a tar or a Parquet file; its name is "" where the poster is a file of its own.
    """
    shard, slash, name = source.rpartition("/")
    while slash and not shard.lower().endswith((*_TAR, *_PARQUET)):
        shard, slash, inner = shard.rpartition("/")
        name = f"{inner}/{name}"
    return (shard, name) if slash else ("", source)


def shard_names(posters: pa.Table) -> pa.ChunkedArray:
    """Return the name of the tar or Parquet file that each poster of a listing is in, or ""."""
    inside = pc.match_substring_regex(posters["source"], _IN_SHARD)
    found = pc.replace_substring_regex(posters["source"], _IN_SHARD, r"\1")
    return pc.if_else(
        pc.and_(pc.is_in(posters["method"], pa.array([TAR, PARQUET], pa.int8())), inside), found, ""
    )


def require_posters(source: str) -> None:
    """Check, without listing all of it, that a source holds at least one poster.

    Raises:
        InvalidInputError: it does not, or it is not there.
    """
    flaws = list[str]()
    for entry in _entries(source, follow_links=False):
        if entry.method == PARQUET:
            if any(batch.num_rows for batch in list_rows(source, entry, [])):
                return
            flaws[1:] = [f"{entry.name}: no row with an id"]
        elif entry.flaw is not None:
            flaws[1:] = [f"{entry.name}: {entry.flaw}"]
        elif not isinstance(parse_poster_name(entry.name.rpartition("/")[2]), str):
            return
    seen = f" ({', '.join(flaws)})" if flaws else ""
    raise InvalidInputError(
        f"paths.posters: {source}: no posters in it{seen}, expected files named like 1000001.jpg"
    )


def _entries(source: str, *, follow_links: bool) -> Iterator[Entry]:
    kind = source_kind(source)
    system, inner = filesystem(source)
    if kind == "parquet":
        info = system.info(inner)
        stamp = info.get("mtime")
        stamp = _stamp(info) if stamp is None else int(stamp * 1e6)
        yield Entry("", int(info.get("size") or 0), stamp, method=PARQUET)
        return
    if kind == "folder":
        _reject_table_formats(system, source, inner)
        for entry in (
            _walk_local(Path(inner), follow_links=follow_links)
            if is_local(system)
            else _walk_remote(system, inner)
        ):
            if _is_of_spark(entry.name.rpartition("/")[2]):
                continue
            if entry.flaw is None and entry.name.lower().endswith(_TAR):
                yield from _read_shard(system, join(inner, entry.name), entry)
            elif entry.flaw is None and entry.name.lower().endswith(_PARQUET):
                yield entry._replace(method=PARQUET)
            else:
                yield entry
        return
    with system.open(inner, "rb") as file:
        try:
            yield from read_zip(file) if kind == "zip" else read_tar(file)
        except TAR_ERRORS as error:
            raise InvalidInputError(
                f"paths.posters: {source}: not a whole tar archive: {error}"
            ) from None


def _is_of_spark(name: str) -> bool:
    """Return whether a file's name is of what Spark writes beside data."""
    return name == "_SUCCESS" or (name.startswith(".") and name.endswith(".crc"))


def _walk_local(root: Path, *, follow_links: bool) -> Iterator[Entry]:
    real_root = os.path.realpath(root)
    folders, linked = [""], list[str]()
    seen: set[str] = set()
    while folders or linked:
        # links come after all real folders, by name: the same files have the same names every time
        if not folders:
            linked.sort()
            folders.append(linked.pop(0))
        folder = folders.pop()
        place = os.path.realpath(root / folder)
        if follow_links and place in seen:
            continue  # a link to a folder above it, or to one that has been listed
        seen.add(place)
        try:
            scan = os.scandir(root / folder)
        except OSError as error:
            if not folder:
                raise InvalidInputError(f"paths.posters: {root}: {error.strerror}") from None
            yield Entry(readable_name(folder), 0, 0, flaw=f"folder: {error.strerror}")
            continue
        with scan:
            for item in scan:
                name = f"{folder}/{item.name}" if folder else item.name
                if item.name.startswith(_BOOKKEEPING) and item.is_dir():
                    continue
                try:
                    info = item.stat()
                except OSError as error:
                    flaw = BROKEN_LINK if item.is_symlink() else str(error.strerror)
                    yield Entry(readable_name(name), 0, 0, flaw=flaw)
                    continue
                found = _kind_flaw(item, info, real_root, follow_links=follow_links)
                if found is _DESCEND:
                    (linked if item.is_symlink() else folders).append(name)
                    continue
                # The permissions are part of the stamp: a file that could not be read is tried
                # again after a chmod.
                stamp = info.st_mtime_ns // 512 * 512 + (info.st_mode & 0o777)
                yield Entry(readable_name(name), info.st_size, stamp, flaw=found)


def _kind_flaw(
    item: os.DirEntry[str], info: os.stat_result, real_root: str, *, follow_links: bool
) -> str | None:
    """Return what is wrong with an entry of a folder by its kind, or _DESCEND for a subfolder."""
    is_folder = stat.S_ISDIR(info.st_mode)
    if item.is_symlink() and not follow_links:
        target = os.path.realpath(item.path)
        if os.path.commonpath([target, real_root]) != real_root or is_folder:
            return LINK_OUT
    if is_folder:
        return _DESCEND if isinstance(parse_poster_name(item.name), str) else DIRECTORY
    return None if stat.S_ISREG(info.st_mode) else NOT_REGULAR


def _walk_remote(system: fsspec.AbstractFileSystem, root: str) -> Iterator[Entry]:
    base = root.rstrip("/")
    folders = [base]
    while folders:
        folder = folders.pop()
        for info in system.ls(folder, detail=True):
            path = str(info["name"]).rstrip("/")
            if path == folder:
                continue  # object stores list a folder's own marker
            name = path[len(base) + 1 :]
            is_folder = info["type"] == "directory"
            if is_folder and path.rpartition("/")[2].startswith(_BOOKKEEPING):
                continue
            if is_folder and isinstance(parse_poster_name(path.rpartition("/")[2]), str):
                folders.append(path)
                continue
            yield Entry(
                name,
                int(info.get("size") or 0),
                _stamp(info),
                flaw=DIRECTORY if is_folder else None,
            )


def _stamp(info: dict[str, Any]) -> int:
    seen = [
        str(info.get(key))
        for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
    ]
    return int(fingerprint(seen), 16) - 2**63


def _read_shard(system: fsspec.AbstractFileSystem, path: str, shard: Entry) -> Iterator[Entry]:
    """List a tar in a folder; its members are named `SHARD.tar/NAME`."""
    try:
        with system.open(path, "rb") as file:
            for entry in read_tar(file):
                yield entry._replace(name=f"{shard.name}/{entry.name}")
    except TAR_ERRORS:
        yield shard._replace(flaw=BROKEN_TAR)


def _reject_table_formats(system: fsspec.AbstractFileSystem, source: str, folder: str) -> None:
    """Refuse a folder whose Parquet files are not all of the table: some are of earlier versions.

    Raises:
        InvalidInputError: it is a Delta or Iceberg table.
    """
    for name, mark in (("delta", "_delta_log"), ("iceberg", "metadata/version-hint.text")):
        if system.exists(join(folder, mark)):
            raise InvalidInputError(
                f"paths.posters: {source}: a table of {name.title()}, whose folder holds files of "
                f"earlier versions too; write the one wanted as Parquet: "
                f"spark.read.format('{name}').load('{source}').write.parquet(FOLDER)"
            )


def _to_batch(pending: list[tuple[int, Entry]]) -> pa.RecordBatch:
    columns = [
        int_column([movie_id for movie_id, _ in pending], pa.int64()),
        text_column([entry.name for _, entry in pending]),
        int_column([entry.offset for _, entry in pending], pa.int64()),
        int_column([entry.stored for _, entry in pending], pa.int64()),
        int_column([entry.method for _, entry in pending], pa.int8()),
        int_column([entry.size for _, entry in pending], pa.int64()),
        int_column([entry.stamp for _, entry in pending], pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LISTING_SCHEMA)
