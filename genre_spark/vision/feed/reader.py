"""Petastorm reads the row groups of an epoch, in the order of the plan.

The only importer of petastorm; `parquet_stream` does the same without it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.extras import require

with warnings.catch_warnings():
    require("petastorm")
    warnings.simplefilter("ignore")  # petastorm imports pyarrow's old file systems, which warn
    from petastorm.fs_utils import get_filesystem_and_path_or_paths
    from petastorm.reader import Reader
    from petastorm.workers_pool import EmptyResultError
    from petastorm.workers_pool.thread_pool import ThreadPool
    from petastorm.workers_pool.ventilator import ConcurrentVentilator
    from petastorm.workers_pool.worker_base import WorkerBase
    from pyarrow.filesystem import DaskFileSystem

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem, is_local
from genre_spark.vision.feed.sample_files import AHEAD, RowGroup, SampleFile, StoredGroup

R = TypeVar("R")

__all__ = ["RowGroupStream"]

_LOOKS = 1000  # looks at petastorm's pool before its end is believed
# seconds between looks of petastorm's ventilator at its queue; its own 0.01 starves fast readers
_INTERVAL = 0.001


class RowGroupStream(Generic[R]):
    """Row groups of an epoch, read ahead by petastorm's workers, handed out in the plan's order."""

    def __init__(
        self,
        files: Sequence[SampleFile],
        groups: Sequence[RowGroup],
        *,
        workers: int,
        read: Callable[[StoredGroup], R],
    ) -> None:
        """Start reading.

        Args:
            files: all files of the table.
            groups: the row groups to read, in this order; none twice.
            workers: number of threads that read.
            read: returns the rows of a row group; called in the threads that read.
        """
        self._stash: dict[int, R] = {}
        with warnings.catch_warnings():
            # petastorm uses pyarrow 14's old file systems and dataset class
            warnings.simplefilter("ignore")
            system, paths = _petastorm_paths([file.path for file in files])
        order = [(paths[group.file], group.number) for group in groups]
        metadata = {path: file.metadata for path, file in zip(paths, files, strict=True)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._pool = ThreadPool(workers, results_queue_size=5 * workers)
            try:
                self._reader = _PlannedReader(
                    system, paths, self._pool, _WorkerMaker(metadata, read), order
                )
            except OSError as error:  # petastorm opens all files again
                raise InvalidInputError(f"the samples are not what they were: {error}") from None

    def get(self, position: int) -> R:
        """Return the row group at a position of the plan, waiting for it; once per position.

        Raises:
            InvalidInputError: its file cannot be read (any more); the text names it.
        """
        empty = 0
        while position not in self._stash:
            try:
                result = next(self._reader)
            except EmptyResultError:
                # Petastorm's pool first checks whether all workers are done and then whether all
                # items were given out; it reports the end when the last items are given out between
                # the two checks.
                empty += 1
                if empty > _LOOKS:
                    raise InvalidInputError(
                        f"row group {position} of the plan did not come"
                    ) from None
                time.sleep(_INTERVAL)
                continue
            if isinstance(result, Exception):
                raise result
            arrived, rows = result
            self._stash[arrived] = rows
        return self._stash.pop(position)

    def has(self, position: int) -> bool:
        """Return whether `get` would answer without waiting for a read that has not ended."""
        return position in self._stash or self._pool.results_qsize() > 0

    def close(self) -> None:
        """End petastorm's threads and wait for them."""
        self._reader.stop()
        self._reader.join()
        self._stash.clear()


class _FsspecFiles(DaskFileSystem):
    """Any file system of fsspec in the form of pyarrow's old ones, which petastorm asks for."""

    def isfile(self, path: str) -> bool:
        return bool(self.fs.isfile(path))

    def isdir(self, path: str) -> bool:
        return bool(self.fs.isdir(path))


def _petastorm_paths(paths: Sequence[str]) -> tuple[Any, list[str]]:
    """Return a file system for petastorm, and the files' paths on it."""
    found = [filesystem(path) for path in paths]
    inner = [str(path) for _, path in found]
    if is_local(found[0][0]):
        # Local names go in as they are: within a URL `#`, `?` and `%` would mean something else.
        return get_filesystem_and_path_or_paths(["file:///"])[0], inner
    # petastorm's own choice for URLs is rejected by the part of pyarrow that it calls
    return _FsspecFiles(found[0][0]), inner


class _Results:
    """Hands a worker's result through as it is; petastorm's readers turn tables into pandas."""

    batched_output = True

    def read_next(self, pool: ThreadPool, _schema: Any, _ngram: Any) -> Any:
        return pool.get_results()


class _RowGroupWorker(WorkerBase):
    """Reads one row group at a time, in a thread of petastorm's pool.

    Petastorm's own worker reads by pyarrow's old dataset class, copies every row (`take`) and goes
    through pandas.
    """

    def __init__(
        self, worker_id: int, publish: Any, args: tuple[Any, ...], makers: _WorkerMaker
    ) -> None:
        super().__init__(worker_id, publish, args)
        self._system, self._pieces, self._maker = args[0], args[4], makers

    def process(self, piece_index: int, position: int) -> None:
        piece = self._pieces[piece_index]
        try:
            answer: Any = position, self._maker.read(self._system, piece.path, piece.row_group)
        except (pa.ArrowException, OSError) as error:
            answer = InvalidInputError(
                f"{piece.path}: row group {piece.row_group} cannot be read: {error}"
            )
        except Exception as error:
            answer = error  # raised here, it may make petastorm's pool wait for ever: a full queue
        self.publish_func(answer)


class _WorkerMaker:
    """Makes workers that know the files' footers; petastorm takes it for a class of workers."""

    def __init__(
        self,
        metadata: dict[str, pq.FileMetaData],
        read: Callable[[StoredGroup], Any],
    ) -> None:
        self._metadata, self._read = metadata, read

    def __call__(self, worker_id: int, publish: Any, args: tuple[Any, ...]) -> _RowGroupWorker:
        return _RowGroupWorker(worker_id, publish, args, self)

    @staticmethod
    def new_results_queue_reader() -> _Results:
        return _Results()

    def read(self, system: Any, path: str, number: int) -> Any:
        local = type(system).__name__ == "LocalFileSystem"
        source = path if local else system.open(path, "rb")
        return self._read(StoredGroup(source, path, number, self._metadata[path]))


class _PlannedReader(Reader):
    """Petastorm's reader, given the order of the row groups."""

    def __init__(
        self,
        system: Any,
        paths: list[str],
        pool: ThreadPool,
        maker: _WorkerMaker,
        order: Sequence[tuple[str, int]],
    ) -> None:
        self._order = order
        self._items: list[dict[str, int]] = []
        super().__init__(
            system,
            paths,
            worker_class=maker,
            reader_pool=pool,
            shuffle_row_groups=False,
            is_batched_reader=True,
        )

    def _filter_row_groups(
        self, _dataset: Any, row_groups: list[Any], *_: Any
    ) -> tuple[list[int], None]:
        index_of = {(piece.path, piece.row_group): index for index, piece in enumerate(row_groups)}
        self._items = [
            {"piece_index": index_of[key], "position": place}
            for place, key in enumerate(self._order)
        ]
        return [item["piece_index"] for item in self._items], None

    def _create_ventilator(self, *_: Any) -> ConcurrentVentilator:
        return ConcurrentVentilator(
            self._workers_pool.ventilate,
            self._items,
            iterations=1,
            max_ventilation_queue_size=self._workers_pool.workers_count + AHEAD,
            ventilation_interval=_INTERVAL,
        )
