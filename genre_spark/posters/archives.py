"""The files in zip and tar archives: where their data lies, and what is wrong with them.

Nothing that an archive says of itself is believed: sizes and offsets may lie outside of it, members
may share their data, times may be no numbers, names may be in any encoding.
"""

from __future__ import annotations

import io
import math
import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from genre_spark.posters.names import readable_name
from genre_spark.posters.zip_directory import LOCAL_HEADER_SIZE, ZipMember, read_zip_directory
from genre_spark.schemas import SOURCE

FILE, TAR, ZIP_STORED, ZIP_DEFLATED = range(4)
LINK_OUT = "link out of the folder"
BROKEN_LINK = "broken link"
NOT_REGULAR = "not a regular file"
ENCRYPTED = "encrypted"
COMPRESSION = "unknown compression"
BROKEN_TAR = "not a whole tar archive"
DAMAGED_MEMBER = "damaged archive member"
OVERLAPPING = "overlapping archive members"
TAR_ERRORS = (tarfile.TarError, EOFError, OverflowError, ValueError)
_LARGEST = _LATEST = 2**62
_SLACK = 1 << 16  # bytes, beside one percent, by which deflated data may exceed what it holds


class Entry(NamedTuple):
    """A file in a source: its name and what LISTING_SCHEMA has of it."""

    name: str
    size: int
    stamp: int
    offset: int = -1
    stored: int = 0
    method: int = FILE
    flaw: str | None = None


def read_zip(file: BinaryIO) -> Iterator[Entry]:
    """Yield the files of a zip archive, in the order of its directory.

    Raises:
        InvalidInputError: the file is no zip archive, or not whole.
    """
    total = file.seek(0, io.SEEK_END)
    for member in read_zip_directory(file):
        entry = _zip_entry(member, total)
        if not entry.name.endswith("/"):
            yield entry


def _zip_entry(member: ZipMember, total: int) -> Entry:
    method = {0: ZIP_STORED, 8: ZIP_DEFLATED}.get(member.method)
    flaw = ENCRYPTED if member.encrypted else None if method is not None else COMPRESSION
    longest = member.size
    if method == ZIP_DEFLATED:
        longest += member.size // 100 + _SLACK
    outside = member.offset < 0 or member.offset + LOCAL_HEADER_SIZE + member.stored > total
    if outside or member.size > _LARGEST:
        flaw = DAMAGED_MEMBER
    elif method is not None and member.stored > longest:
        flaw = flaw or DAMAGED_MEMBER
    stamp = (member.crc << 31) ^ member.time
    # the separator of old Windows programs; a zip's names have slashes
    name = member.name.replace("\\", "/")
    return Entry(name, member.size, stamp, member.offset, member.stored, method or ZIP_STORED, flaw)


def drop_overlapping(posters: pa.Table) -> tuple[pa.Table, list[tuple[str, str, str]]]:
    """Return the members of a zip that share no byte with an earlier one, and rejects.

    Otherwise a few bytes could stand for any number of posters.

    Args:
        posters: listed members.
    """
    starts = posters["offset"].to_numpy()
    ends = starts + LOCAL_HEADER_SIZE + posters["stored"].to_numpy()
    order = np.argsort(starts, kind="stable")
    overlap = np.zeros(len(starts), bool)
    overlap[order[1:]] = starts[order[1:]] < np.maximum.accumulate(ends[order])[:-1]
    if not overlap.any():
        return posters, []
    names = posters.filter(pa.array(overlap))[SOURCE].to_pylist()
    at = starts[overlap].tolist()
    rejects = [
        (name, OVERLAPPING, f"at byte {start}") for name, start in zip(names, at, strict=True)
    ]
    return posters.filter(pa.array(~overlap)), rejects


def read_tar(file: BinaryIO) -> Iterator[Entry]:
    """Yield the files of a tar archive, in its order; links to other members of it come last.

    A link is read where its data lies. A second pass finds the data of links, where there are any.

    Raises:
        TarError or another of TAR_ERRORS: the archive cannot be read, or ends in a member.
    """
    total = file.seek(0, io.SEEK_END)
    links: dict[str, list[Entry]] = {}
    for member in _members(file):
        entry = _tar_entry(member, total)
        target = _link_target(member)
        if target is not None:
            links.setdefault(target, []).append(entry)
        elif not member.isdir():
            yield entry
        if entry.flaw == DAMAGED_MEMBER:
            break  # where the next member begins is not known
    if links:
        yield from _resolve(file, total, links)


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            # it would keep an object for every member
            archive.members = []  # type: ignore[attr-defined]
            yield member


def _tar_entry(member: tarfile.TarInfo, total: int) -> Entry:
    flaw = None if member.isreg() else LINK_OUT if member.issym() else NOT_REGULAR
    # an archive that is cut off in this member also says so: tarfile then raises an error
    if not 0 <= member.size <= total:
        flaw = DAMAGED_MEMBER
    name = readable_name(member.name.removeprefix("./"))
    size = member.size if flaw != DAMAGED_MEMBER else 0
    return Entry(name, size, _stamp(member.mtime), member.offset_data, size, TAR, flaw)


def _stamp(time: float) -> int:
    """Return a number that changes with a time, which may be anything in a tar."""
    return int(max(-_LATEST, min(_LATEST, time * 1000))) if math.isfinite(time) else 0


def _link_target(member: tarfile.TarInfo) -> str | None:
    """Return the member that a link leads to, or None where it is no link within the archive."""
    if member.islnk():
        return posixpath.normpath(member.linkname)
    if not member.issym() or member.linkname.startswith("/"):
        return None
    target = posixpath.normpath(f"{posixpath.dirname(member.name)}/{member.linkname}".lstrip("/"))
    return None if target.startswith("..") else target


def _resolve(file: BinaryIO, total: int, links: dict[str, list[Entry]]) -> Iterator[Entry]:
    for member in _members(file):
        found = links.pop(posixpath.normpath(member.name), ())
        if found and member.isreg():
            target = _tar_entry(member, total)
            for link in found:
                yield target._replace(name=link.name)
        elif found:
            yield from (link._replace(flaw=BROKEN_LINK) for link in found)
        if not links:
            return
    for left in links.values():
        yield from (link._replace(flaw=BROKEN_LINK) for link in left)
