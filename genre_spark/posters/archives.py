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
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from genre_spark.errors import InvalidInputError
from genre_spark.posters.names import readable_name
from genre_spark.posters.zip_directory import LOCAL_HEADER_SIZE, ZipMember, read_zip_directory
from genre_spark.schemas import SOURCE

if TYPE_CHECKING:
    from typing_extensions import Self

FILE, TAR, ZIP_STORED, ZIP_DEFLATED, PARQUET = range(5)
FOLDER, SHARD = 5, 6  # not posters: what is still to be listed
LINK_OUT = "link out of the folder"
BROKEN_LINK = "broken link"
NOT_REGULAR = "not a regular file"
ENCRYPTED = "encrypted"
COMPRESSION = "unknown compression"
BROKEN_TAR = "not a whole tar archive"
DAMAGED_MEMBER = "damaged archive member"
DAMAGED_DIRECTORY = "damaged archive directory"
OVERLAPPING = "overlapping archive members"
TAR_ERRORS = (tarfile.TarError, EOFError, OverflowError, ValueError)
_LARGEST = _LATEST = 2**62
_LARGEST_RECORD = 1 << 20  # bytes of a long name or a set of attributes in a tar
_RECORDS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
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
        InvalidInputError: the file is no zip archive, or its directory is damaged from its start.
    """
    total = file.seek(0, io.SEEK_END)
    found = 0
    try:
        for member in read_zip_directory(file):
            found += 1
            entry = _zip_entry(member, total)
            if not entry.name.endswith("/"):
                yield entry
    except InvalidInputError:
        if not found:
            raise
        # where the next entry of the directory begins is not known
        yield Entry(f"(after {found} entries)", 0, 0, flaw=DAMAGED_DIRECTORY)


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
    What comes after damage cannot be found, and is one entry with a flaw.

    Raises:
        TarError or another of TAR_ERRORS: there is not even a first member.
    """
    total = file.seek(0, io.SEEK_END)
    links: dict[str, list[Entry]] = {}
    broken: list[int] = []
    for member in _members(file, total, broken):
        entry = _tar_entry(member, total)
        target = _link_target(member)
        if target is not None:
            links.setdefault(target, []).append(entry)
        elif not member.isdir():
            yield entry
    for position in broken:
        yield Entry(f"(at byte {position})", 0, 0, flaw=DAMAGED_MEMBER)
    if links:
        yield from _resolve(file, total, links)


class _Member(tarfile.TarInfo):
    """A member whose names and other records are not read beyond a bound."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _RECORDS and found.size > _LARGEST_RECORD:
            raise tarfile.HeaderError(f"a record of {found.size} bytes")
        return found


def _members(file: BinaryIO, total: int, broken: list[int]) -> Iterator[tarfile.TarInfo]:
    """Yield the members as far as they can be found.

    Args:
        file: the archive.
        total: bytes of it.
        broken: the position of a header that cannot be read is appended; `tarfile` would take it
            for the end.
    """
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as archive:
        try:
            for member in archive:
                # it would keep an object for every member
                archive.members = []  # type: ignore[attr-defined]
                yield member
                if _is_cut_off(member, total):
                    return
                if archive.offset <= member.offset:
                    raise tarfile.HeaderError("a size that leads back")
        except TAR_ERRORS:
            pass
        position = int(archive.offset)
    if position < total:
        file.seek(position)
        if any(file.read(tarfile.BLOCKSIZE)):
            broken.append(position)


def _is_cut_off(member: tarfile.TarInfo, total: int) -> bool:
    """Whether a member's data cannot lie in the archive; what comes after it cannot be found."""
    has_data = member.isreg() or member.type not in tarfile.SUPPORTED_TYPES
    if not has_data or member.issparse():  # whose size is that of the file that it stands for
        return False
    return not 0 <= member.size <= total - member.offset_data


def _tar_entry(member: tarfile.TarInfo, total: int) -> Entry:
    regular = member.isreg() and not member.issparse()
    flaw = None if regular else LINK_OUT if member.issym() else NOT_REGULAR
    if _is_cut_off(member, total):
        flaw = DAMAGED_MEMBER
    name = readable_name(member.name.removeprefix("./"))
    size = member.size if regular and flaw is None else 0
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
    for member in _members(file, total, []):
        found = links.pop(posixpath.normpath(member.name), ())
        if found and member.isreg() and not member.issparse():
            target = _tar_entry(member, total)
            for link in found:
                yield target._replace(name=link.name)
        elif found:
            yield from (link._replace(flaw=BROKEN_LINK) for link in found)
        if not links:
            return
    for left in links.values():
        yield from (link._replace(flaw=BROKEN_LINK) for link in left)
