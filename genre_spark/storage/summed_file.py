"""A new file whose size and checksum are worked out while it is written."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from genre_spark.storage.checksums import Checksum
from genre_spark.storage.files import filesystem, is_local
from genre_spark.storage.inventory import FileState

__all__ = ["SummedFile"]


class SummedFile(io.RawIOBase):
    """A file that only this process writes, from its beginning to its end; Arrow can write to it.

    Args:
        path: path or URL of a file that is not there yet.
    """

    def __init__(self, path: str) -> None:
        system, inner = filesystem(path)
        # fsspec's own file of a disk would be one more call per piece
        self._file: BinaryIO = (
            open(inner, "wb") if is_local(system) else system.open(inner, "wb")  # noqa: PTH123, SIM115
        )
        self._checksum, self._size = Checksum(), 0

    def write(self, data: Any, /) -> int:
        """Add bytes, and return how many."""
        self._checksum.update(data)
        self._file.write(data)
        self._size += len(data)
        return len(data)

    def state(self, row_groups: tuple[int, ...] = ()) -> FileState:
        """Return the state of what has been written.

        Args:
            row_groups: of a Parquet file, as in `FileState`.
        """
        return FileState(self._size, self._checksum.text(), row_groups)

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Write what is left."""
        if not self.closed:
            try:
                self._file.close()
            finally:
                super().close()
