"""The header of an image file: format, size and orientation, without decoding.

A decoder allocates what the header asks for, so the header is read here, by bounds-checked slicing,
and checked before any decoder gets the file.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

from genre_spark.imaging.rejected import EMPTY, NOT_AN_IMAGE, TRUNCATED, RejectedImage

__all__ = ["ImageFormat", "ImageHeader", "read_header", "without_texts"]

ImageFormat = Literal["jpeg", "png", "webp", "gif"]

_STANDALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers of JPEG without a length
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ORIENTATION = 0x0112
_WHOLE_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i"}  # kinds of TIFF: SHORT, LONG, signed ones


class ImageHeader(NamedTuple):
    """The header of an image file.

    Attributes:
        format: format by content, whatever the file's name says.
        height: height in pixels, before orientation is applied.
        width: width in pixels, before orientation is applied.
        channels: channels of a JPEG: 1 gray, 3 colour, 4 CMYK; other formats: 0, as only decoding
            shows them.
        orientation: EXIF orientation of a JPEG, 1..8; 1 is upright. Other formats: 1.
        scan_start: offset of a JPEG's first scan; other formats: 0.
        progressive: whether a JPEG comes in several scans.
    """

    format: ImageFormat
    height: int
    width: int
    channels: int = 0
    orientation: int = 1
    scan_start: int = 0
    progressive: bool = False


def read_header(data: bytes) -> ImageHeader:
    """Read format and size of a JPEG, PNG, WebP or GIF file.

    Raises:
        RejectedImage: the file is empty, of no known format, or ends within its header.
    """
    if not data:
        raise RejectedImage(EMPTY, "0 bytes")
    try:
        if data[:2] == b"\xff\xd8":
            return _read_jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _read_png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _read_webp(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", data, 6)
            return ImageHeader("gif", height, width)
    except (struct.error, IndexError):
        raise RejectedImage(TRUNCATED, f"ends within its header, after {len(data)} bytes") from None
    raise RejectedImage(NOT_AN_IMAGE, f"{len(data)} bytes that start with {data[:16]!r}")


def _read_jpeg(data: bytes) -> ImageHeader:
    position, progressive = 2, False
    orientation: int | None = None  # the first EXIF block decides, as in Pillow and OpenCV
    size: tuple[int, int, int] | None = None
    while True:
        if data[position] != 0xFF:
            raise RejectedImage(NOT_AN_IMAGE, f"JPEG without a marker at byte {position}")
        marker = data[position + 1]
        position += 1 if marker == 0xFF else 2  # any number of fill bytes may precede a marker
        if marker == 0xFF or marker in _STANDALONE:
            continue
        if marker == 0xD9:
            raise RejectedImage(NOT_AN_IMAGE, "JPEG that ends before its picture")
        length = data[position] << 8 | data[position + 1]
        if length < 2:
            raise RejectedImage(NOT_AN_IMAGE, f"JPEG segment of {length} bytes at byte {position}")
        if marker in _START_OF_FRAME:
            size = struct.unpack_from(">HHB", data, position + 3)
            progressive = marker & 3 == 2
        elif (
            marker == 0xE1
            and orientation is None
            and data[position + 2 : position + 8] == b"Exif\0\0"
        ):
            orientation = _read_orientation(data[position + 8 : position + length])
        elif marker == 0xDA:
            if size is None:
                raise RejectedImage(NOT_AN_IMAGE, "JPEG with a scan before its frame header")
            return ImageHeader("jpeg", *size, orientation or 1, position, progressive)
        position += length


def _read_orientation(tiff: bytes) -> int:
    """Return the orientation in a TIFF block, or 1 when it has no valid one."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is None:
            return 1
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, offset)
        for entry in range(min(entries, 512)):
            place = offset + 2 + 12 * entry
            tag, kind, count = struct.unpack_from(order + "HHI", tiff, place)
            if tag == _ORIENTATION:
                if kind not in _WHOLE_NUMBERS or count != 1:
                    return 1
                (value,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], tiff, place + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _read_png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        if len(data) < 16:
            raise IndexError
        raise RejectedImage(NOT_AN_IMAGE, "PNG without IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    return ImageHeader("png", height, width)


def without_texts(data: bytes) -> bytes:
    """Return a PNG file without its colour profile and its texts."""
    kept, position = [data[:8]], 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if data[position + 4 : position + 8] not in (b"iCCP", b"tEXt", b"zTXt", b"iTXt"):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def _read_webp(data: bytes) -> ImageHeader:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("webp", height & 0x3FFF, width & 0x3FFF)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("webp", (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    if kind == b"VP8X":
        head = data[24:30]
        if len(head) < 6:
            raise IndexError
        return ImageHeader(
            "webp", int.from_bytes(head[3:6], "little") + 1, int.from_bytes(head[0:3], "little") + 1
        )
    if len(data) < 16:
        raise IndexError
    raise RejectedImage(NOT_AN_IMAGE, f"WebP with a first chunk {kind!r}")
