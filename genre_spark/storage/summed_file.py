"""A new file whose size and checksum are worked out while it is written."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO

from genre_spark.storage.checksums import Checksum
from genre_spark.storage.files import filesystem, is_local
from genre_spark.storage.inventory import FileState

__all__ = ["SummedFile"]


class SummedFile:
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

    def write(self, data: bytes) -> int:
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

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self._size

    def flush(self) -> None:
        """Do nothing: pieces reach the file in their order, and all when it is closed."""

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def readable(self) -> bool:
        """Return False."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False

    def __enter__(self) -> SummedFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
