"""What the feeds need of a stream of row groups, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from genre_spark.vision.feed.sample_files import RowGroup, SampleFile, StoredGroup

__all__ = ["Reading", "Stream", "open_stream"]

Reading = Literal["petastorm", "parquet"]
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Stream(Protocol[R_co]):
    """The row groups of an epoch, read ahead, handed out in the plan's order."""

    def get(self, position: int) -> R_co:
        """Return the row group at a position of the plan, waiting for it; once per position."""
        ...

    def has(self, position: int) -> bool:
        """Return whether `get` would answer without waiting."""
        ...

    def close(self) -> None:
        """End its threads."""
        ...


def open_stream(
    reading: Reading,
    files: Sequence[SampleFile],
    groups: Sequence[RowGroup],
    *,
    workers: int,
    read: Callable[[StoredGroup], R],
) -> Stream[R]:
    """Return a stream that has begun to read.

    Args:
        reading: who reads: petastorm, or pyarrow alone.
        files: all files of the table.
        groups: the row groups to read, in this order; none twice.
        workers: number of threads that read.
        read: returns the rows of a row group; called in the threads that read.
    """
    # Petastorm takes one second to import, and need not be installed
    if reading == "petastorm":
        from genre_spark.vision.feed.reader import RowGroupStream  # noqa: PLC0415

        return RowGroupStream(files, groups, workers=workers, read=read)
    from genre_spark.vision.feed.parquet_stream import ParquetStream  # noqa: PLC0415

    return ParquetStream(files, groups, workers=workers, read=read)
