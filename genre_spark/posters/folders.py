"""Folders of posters, on disks and on object stores: their entries, one after the other."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from genre_spark.errors import InvalidInputError
from genre_spark.posters.archives import (
    BROKEN_LINK,
    BROKEN_TAR,
    FILE,
    FOLDER,
    LINK_OUT,
    NOT_REGULAR,
    PARQUET,
    SHARD,
    TAR,
    TAR_ERRORS,
    Entry,
    read_tar,
)
from genre_spark.posters.delta import LOG, is_delta, list_delta
from genre_spark.posters.names import file_name, parse_poster_name, readable_name
from genre_spark.storage.files import filesystem, fingerprint, is_local, join

__all__ = [
    "DIRECTORY",
    "PARQUETS",
    "TARS",
    "list_folder",
    "list_shard",
    "reject_iceberg",
    "remote_stamp",
    "shard_names",
    "shard_of",
]

DIRECTORY = "a directory, not a file"
TARS = (".tar",)
PARQUETS = (".parquet", ".pq")
_BOOKKEEPING = "_"  # folders whose names start so hold no data, for Spark and Hadoop too
_IN_SHARD = r"(?i)^(.*[.](?:tar|parquet|pq))/.*$"
_DESCEND = "descend"
_ICEBERG = "/metadata/version-hint.text"  # below the folder of a table of Iceberg


def list_folder(
    source: str, folder: str, *, deep: bool, follow_links: bool = False
) -> Iterator[Entry]:
    """Yield what a folder of the source holds; its shards, tar or Parquet files, are not opened.

    Of a Delta table, the source itself or a folder below it, those are the files of its newest
    version.

    Args:
        source: the folder that `paths.posters` names.
        folder: name of a folder below it, "" for itself.
        deep: list its subfolders too; otherwise these are entries (FOLDER).
        follow_links: follow symbolic links that lead out of the source.

    Raises:
        MissingExtraError: there is a Delta table, and deltalake is not installed.
        InvalidInputError: a Delta table cannot be read, or there is an Iceberg table.
    """
    system, inner = filesystem(source)
    if not folder and is_delta(source):
        yield from list_delta(source)
        return
    for entry in (
        _walk_local(source, Path(inner), folder, deep=deep, follow_links=follow_links)
        if is_local(system)
        else _walk_remote(source, system, inner, folder, deep=deep)
    ):
        if f"/{entry.name}".endswith(_ICEBERG):
            raise _iceberg(join(source, entry.name).removesuffix(_ICEBERG))
        if _is_of_spark(entry.name.rpartition("/")[2]):
            continue
        is_shard = entry.flaw is None and entry.name.lower().endswith((*TARS, *PARQUETS))
        yield entry._replace(method=SHARD) if is_shard and entry.method != FOLDER else entry


def list_shard(source: str, shard: Entry) -> Iterator[Entry]:
    """Yield the members of a tar in a folder, or the Parquet file itself as an entry of its own."""
    if shard.name.lower().endswith(PARQUETS):
        yield shard._replace(method=PARQUET)
    else:
        system, inner = filesystem(source)
        yield from _read_shard(system, join(inner, shard.name), shard._replace(method=FILE))


def _is_of_spark(name: str) -> bool:
    """Return whether a file's name is of what Spark writes beside data."""
    return name == "_SUCCESS" or (name.startswith(".") and name.endswith(".crc"))


def _list_table(source: str, folder: str) -> Iterator[Entry]:
    """Yield the files of the newest version of a Delta table below the source."""
    for entry in list_delta(join(source, folder)):
        yield entry._replace(name=f"{readable_name(folder)}/{entry.name}")


def _walk_local(
    source: str, root: Path, start: str, *, deep: bool, follow_links: bool
) -> Iterator[Entry]:
    real_root = os.path.realpath(root)
    start = start if (root / start).is_dir() else file_name(start)
    folders, linked = [start], list[str]()
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
        # unlike Path's, this one is no error where the folder may not be entered
        if folder and os.path.isdir(f"{place}/{LOG}"):  # noqa: PTH112
            yield from _list_table(source, folder)
            continue
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
                if found is _DESCEND and deep:
                    (linked if item.is_symlink() else folders).append(name)
                    continue
                if found is _DESCEND:
                    yield Entry(readable_name(name), 0, 0, method=FOLDER)
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


def _walk_remote(
    source: str, system: fsspec.AbstractFileSystem, root: str, start: str, *, deep: bool
) -> Iterator[Entry]:
    base = root.rstrip("/")
    folders = [f"{base}/{start}" if start else base]
    while folders:
        folder = folders.pop()
        infos = system.ls(folder, detail=True)
        if folder != base and any(
            info["type"] == "directory" and str(info["name"]).rstrip("/") == f"{folder}/{LOG}"
            for info in infos
        ):
            yield from _list_table(source, folder[len(base) + 1 :])
            continue
        for info in infos:
            path = str(info["name"]).rstrip("/")
            if path == folder:
                continue  # object stores list a folder's own marker
            name = path[len(base) + 1 :]
            is_folder = info["type"] == "directory"
            if is_folder and path.rpartition("/")[2].startswith(_BOOKKEEPING):
                continue
            if is_folder and isinstance(parse_poster_name(path.rpartition("/")[2]), str):
                if deep:
                    folders.append(path)
                else:
                    yield Entry(name, 0, 0, method=FOLDER)
                continue
            yield Entry(
                name,
                int(info.get("size") or 0),
                remote_stamp(info),
                flaw=DIRECTORY if is_folder else None,
            )


def remote_stamp(info: dict[str, Any]) -> int:
    """Return a number that changes when a remote file does."""
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


def reject_iceberg(system: fsspec.AbstractFileSystem, source: str, folder: str) -> None:
    """Refuse a folder whose Parquet files are not all of the table: some are of earlier versions.

    Raises:
        InvalidInputError: it is an Iceberg table.
    """
    if system.exists(folder.rstrip("/") + _ICEBERG):
        raise _iceberg(source)


def _iceberg(table: str) -> InvalidInputError:
    return InvalidInputError(
        f"paths.posters: {table}: a table of Iceberg, whose folder holds files of earlier "
        "versions too; write the one wanted as Parquet: "
        f"spark.read.format('iceberg').load('{table}').write.parquet(FOLDER)"
    )


def shard_of(source: str) -> tuple[str, str]:
    """Cut the name of a poster in a shard of a folder, `SHARD.tar/NAME`, in two.

    The shard is a tar or a Parquet file; its name is "" where the poster is a file of its own.
    """
    shard, slash, name = source.rpartition("/")
    while slash and not shard.lower().endswith((*TARS, *PARQUETS)):
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
