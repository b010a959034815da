"""Threads read the row groups of an epoch with pyarrow alone, in the order of the plan.

For environments without Petastorm, whose newest release holds pyarrow and numpy back. The batches
are the same: their order is the plan's, whoever reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Generic, TypeVar

import pyarrow as pa

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem, is_local
from genre_spark.vision.feed.sample_files import AHEAD, RowGroup, SampleFile, StoredGroup

__all__ = ["ParquetStream"]

R = TypeVar("R")


class ParquetStream(Generic[R]):
    """Row groups of an epoch, read ahead by threads, handed out in the plan's order."""

    def __init__(
        self,
        files: Sequence[SampleFile],
        groups: Sequence[RowGroup],
        *,
        workers: int,
        read: Callable[[StoredGroup], R],
    ) -> None:
        """Start reading; the arguments are those of `streams.open_stream`."""
        self._files, self._groups, self._read_rows = files, groups, read
        self._limit = workers + AHEAD  # row groups that wait or are being read
        self._reads: dict[int, Future[R]] = {}
        self._next = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="parquet-reader")
        self._read_ahead()

    def get(self, position: int) -> R:
        """Return the row group at a position of the plan, waiting for it; once per position.

        Raises:
            InvalidInputError: its file cannot be read (any more); the text names it.
        """
        while position >= self._next:
            self._submit()
        rows = self._reads.pop(position).result()
        self._read_ahead()
        return rows

    def has(self, position: int) -> bool:
        """Return whether `get` would answer without waiting for a read that has not ended."""
        found = self._reads.get(position)
        return found is not None and found.done()

    def close(self) -> None:
        """End the threads and wait for them."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reads.clear()

    def _read_ahead(self) -> None:
        while self._next < len(self._groups) and len(self._reads) < self._limit:
            self._submit()

    def _submit(self) -> None:
        group = self._groups[self._next]
        self._reads[self._next] = self._pool.submit(self._read, self._files[group.file], group)
        self._next += 1

    def _read(self, file: SampleFile, group: RowGroup) -> R:
        system, inner = filesystem(file.path)
        try:
            with ExitStack() as stack:
                source: Any = inner
                if not is_local(system):
                    source = stack.enter_context(system.open(inner, "rb"))
                return self._read_rows(StoredGroup(source, inner, group.number, file.metadata))
        except (pa.ArrowException, OSError) as error:
            raise InvalidInputError(
                f"{file.path}: row group {group.number} cannot be read: {error}"
            ) from None
