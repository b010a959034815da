"""The central directory of a zip archive as a stream.

`zipfile` keeps half a kilobyte of objects per member, 5 GB for ten million posters. To do without
this module, let `listing._read_zip` go through `zipfile.ZipFile(file).infolist()`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from genre_spark.errors import InvalidInputError

_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_END64 = b"PK\x06\x06"
_MEMBER = b"PK\x01\x02"
LOCAL_HEADER = b"PK\x03\x04"
LOCAL_HEADER_SIZE = 30
_MEMBER_SIZE = 46
_BLOCK = 1 << 20


class ZipMember(NamedTuple):
    """A member of a zip archive.

    Attributes:
        name: with its folders.
        offset: of its local header, in the file.
        stored: bytes that its data takes.
        size: bytes of its data, uncompressed.
        method: 0 stored, 8 deflated, ...
        crc: CRC-32 of its data.
        time: DOS date and time of modification.
        encrypted: its data cannot be read without a key.
    """

    name: str
    offset: int
    stored: int
    size: int
    method: int
    crc: int
    time: int
    encrypted: bool


def read_zip_directory(file: BinaryIO) -> Iterator[ZipMember]:
    """Yield the members of a zip (or zip64) archive, in the order of its directory.

    Raises:
        InvalidInputError: the file is no zip archive, or not whole.
    """
    try:
        position, length, shift = _find_directory(file)
        file.seek(position)
        directory = io.BufferedReader(_Window(file, length), _BLOCK)
        while length > 0:
            head = directory.read(_MEMBER_SIZE)
            if head[:4] != _MEMBER:
                raise InvalidInputError(
                    f"paths.posters: a zip whose directory is damaged {length} bytes before its end"
                )
            flags, method, time, date, crc, stored, size, names, extras, comments = (
                struct.unpack_from("<HHHHIIIHHH", head, 8)
            )
            (offset,) = struct.unpack_from("<I", head, 42)
            rest = directory.read(names + extras + comments)
            name = rest[:names].decode("utf-8" if flags & 0x800 else "cp437", "replace")
            size, stored, offset = _widen(rest[names : names + extras], size, stored, offset)
            yield ZipMember(
                name, offset + shift, stored, size, method, crc, date << 16 | time, bool(flags & 1)
            )
            length -= _MEMBER_SIZE + names + extras + comments
    except (struct.error, OSError) as error:
        raise InvalidInputError(f"paths.posters: not a whole zip archive: {error}") from None


class _Window(io.RawIOBase):
    """The next `length` bytes of a file, for a BufferedReader of our own block size."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._file.read(min(len(buffer), self._left))
        buffer[: len(content)] = content
        self._left -= len(content)
        return len(content)


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Return the directory's position, its length, and how many bytes precede the archive."""
    total = file.seek(0, io.SEEK_END)
    start = max(0, total - 65_557)  # the end record is 22 bytes, its comment at most 65,535
    file.seek(start)
    tail = file.read(total - start)
    at = tail.rfind(_END)
    if at < 0:
        raise InvalidInputError(
            "paths.posters: not a zip archive, or one that is cut off: no directory at its end"
        )
    length, offset = struct.unpack_from("<II", tail, at + 12)
    end = start + at
    locator = tail[max(0, at - 20) : at]
    if locator[:4] == _END64_LOCATOR and (
        length == 0xFFFFFFFF or offset == 0xFFFFFFFF or tail[at + 10 : at + 12] == b"\xff\xff"
    ):
        (record,) = struct.unpack_from("<Q", locator, 8)
        file.seek(record)
        head = file.read(56)
        if head[:4] != _END64:
            raise InvalidInputError(
                "paths.posters: a zip64 archive whose end record is not where it should be"
            )
        length, offset = struct.unpack_from("<QQ", head, 40)
        end = record
    position = end - length
    if position < 0 or position < offset:
        raise InvalidInputError("paths.posters: a zip archive whose directory lies outside of it")
    return position, length, position - offset


def _widen(extra: bytes, size: int, stored: int, offset: int) -> tuple[int, int, int]:
    """Replace the 32-bit fields that are full by the 64-bit ones of the zip64 extra field."""
    values = [size, stored, offset]
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            inner = at + 4
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    (values[index],) = struct.unpack_from("<Q", extra, inner)
                    inner += 8
        at += 4 + length
    return values[0], values[1], values[2]
