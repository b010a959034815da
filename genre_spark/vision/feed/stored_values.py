"""Images where they lie in a local file, read straight into their place in a batch.

pyarrow copies every image into a buffer of its own before it can be copied into a batch. Where a
column is stored plainly (neither compressed nor as a dictionary, as `posters` and `sample` write
images), the page headers say where each value begins, and the system copies it once, from its cache
into the batch. Images that wait to be drawn then take no memory of the process.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from genre_spark.vision.feed.page_headers import (
    DATA_PAGE,
    PLAIN,
    PageHeader,
    read_page_header,
)

__all__ = ["OpenFiles", "StoredValues", "find_values"]

_MOST_OPEN = 128  # files; the usual limit of a process is 1,024
_HEADER_BYTES = (256, 16_384)  # of a page; a few dozen, or with the least and greatest value
_LENGTH_BYTES = 4


class OpenFiles:
    """Files that stay open for as long as anyone has values of them."""

    def __init__(self) -> None:
        self._files: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._lock = Lock()

    def open(self, path: str) -> Any | None:
        """Return a file, or None where too many are open."""
        with self._lock:
            file = self._files.get(path)
            if file is None and len(self._files) < _MOST_OPEN:
                file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed when unused
                self._files[path] = file
            return file


class StoredValues:
    """Values of a binary column in one row group of an open file.

    Args:
        file: open, without a buffer.
        offsets: where each value begins, bytes, (N,).
        sizes: length of each value, bytes, (N,).
    """

    def __init__(
        self, file: Any, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> None:
        self._file, self._offsets, self._sizes = file, offsets.tolist(), sizes.tolist()

    def size(self, row: int) -> int:
        """Return the length of a value, bytes."""
        length: int = self._sizes[row]
        return length

    def read(self, row: int) -> npt.NDArray[np.uint8]:
        """Return a value, uint8.

        Raises:
            OSError: the file cannot be read, or ends before the value does.
        """
        value = np.empty(self._sizes[row], np.uint8)
        self.read_into(row, value)
        return value

    def read_into(self, row: int, out: npt.NDArray[np.uint8]) -> None:
        """Read a value into an array of its length, contiguous.

        Raises:
            OSError: the file cannot be read, or ends before the value does.
        """
        place, offset = out.reshape(-1).data, self._offsets[row]
        while place.nbytes:
            count = os.preadv(self._file.fileno(), [place], offset)
            if not count:
                raise OSError("the file ends within the image")
            place, offset = place[count:], offset + count


def find_values(
    files: OpenFiles, path: str, metadata: pq.FileMetaData, number: int, column: str
) -> StoredValues | None:
    """Find the values of a binary column in a row group, or None where pyarrow has to read them.

    Args:
        files: opens the file.
        path: of this machine.
        metadata: the file's footer.
        number: of the row group.
        column: name of a column that is not nested.
    """
    if not hasattr(os, "preadv"):
        return None
    group, schema = metadata.row_group(number), metadata.schema
    for index in range(group.num_columns):
        chunk = group.column(index)
        if chunk.path_in_schema != column:
            continue
        levels = schema.column(index)
        if (
            chunk.physical_type != "BYTE_ARRAY"
            or chunk.compression != "UNCOMPRESSED"
            or chunk.has_dictionary_page
            or levels.max_repetition_level
            or levels.max_definition_level > 1
        ):
            return None
        file = files.open(path)
        if file is None:
            return None
        start, stop = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
        return _walk_pages(file, start, stop, group.num_rows, bool(levels.max_definition_level))
    return None


def _walk_pages(
    file: Any, start: int, stop: int, rows: int, may_be_null: bool
) -> StoredValues | None:
    descriptor = file.fileno()
    if hasattr(os, "posix_fadvise"):  # the disk reads ahead, as one would read the row group
        os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)
    offsets, sizes = np.empty(rows, np.int64), np.empty(rows, np.int64)
    row = 0
    while start < stop:
        header = _read_header(descriptor, start)
        if header is None or (header.kind, header.encoding) != (DATA_PAGE, PLAIN):
            return None
        place = start + header.bytes
        start = place + header.page_bytes
        if may_be_null:
            place += _LENGTH_BYTES + _read_length(descriptor, place)
        for _ in range(header.values):
            if row == rows or place >= start:  # the latter: there are nulls
                return None
            sizes[row] = _read_length(descriptor, place)
            offsets[row] = place + _LENGTH_BYTES
            place += _LENGTH_BYTES + int(sizes[row])
            row += 1
        if place != start:
            return None
    return StoredValues(file, offsets, sizes) if row == rows and start == stop else None


def _read_header(descriptor: int, start: int) -> PageHeader | None:
    for count in _HEADER_BYTES:
        with suppress(ValueError):
            return read_page_header(os.pread(descriptor, count, start))
    return None


def _read_length(descriptor: int, place: int) -> int:
    return int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, place), "little")
