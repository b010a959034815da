"""Rows of numbers as batches of tensors, fed by Petastorm in the same order as posters are."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from genre_spark.schemas import FEATURES, LABELS, WEIGHT
from genre_spark.vision.feed.memory_feed import MemoryBatch
from genre_spark.vision.feed.order import PlannedBatch, batch_sizes, plan_batches, plan_segments
from genre_spark.vision.feed.sample_files import StoredGroup, open_files, read_row_group, row_groups
from genre_spark.vision.feed.streams import Reading, open_stream

__all__ = ["VectorFeed"]

Floats = npt.NDArray[np.float32]
_COLUMNS = (FEATURES, LABELS, WEIGHT)


@dataclass(frozen=True)
class _Rows:
    """The rows of a row group: features (N, D), labels (N, L) and weights (N,)."""

    features: Floats
    labels: Floats
    weights: Floats

    @classmethod
    def read(cls, group: StoredGroup) -> _Rows:
        table = read_row_group(group, _COLUMNS)
        return cls(
            _matrix(table[FEATURES]),
            _matrix(table[LABELS]),
            table[WEIGHT].to_numpy().astype(np.float32),
        )


class VectorFeed:
    """Batches of a table with features, labels and weight; see `PosterFeed` for their order.

    Args:
        files: Parquet files, in an order that is the same for all processes.
        batch_size: rows per batch of this process.
        seed: seed of the order.
        shuffle: whether the order is random.
        rank: number of this process.
        world_size: number of processes.
        workers: threads that read.
        shuffle_buffer: rows that are mixed before a batch is drawn.
        device: device that batches go to; None leaves them in memory.
        reading: who reads the row groups: petastorm, or pyarrow alone.

    Raises:
        InvalidInputError: a file is missing or truncated, or there are no rows.
    """

    def __init__(
        self,
        files: Sequence[str],
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 1,
        shuffle_buffer: int = 8192,
        device: torch.device | None = None,
        reading: Reading = "petastorm",
    ) -> None:
        self._files = open_files(files)
        self._groups = row_groups(self._files, what="rows")
        self._batch_sizes = batch_sizes(
            sum(group.rows for group in self._groups),
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
        )
        self._seed, self._shuffle, self._rank, self._world_size = seed, shuffle, rank, world_size
        self._workers, self._buffer, self._device = workers, shuffle_buffer, device
        self._reading = reading

    @property
    def rows(self) -> int:
        """Number of rows of an epoch on this process."""
        return sum(self._batch_sizes)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of an epoch, the same on every process."""
        return len(self._batch_sizes)

    def epoch(self, epoch: int, skip_batches: int = 0) -> Generator[MemoryBatch, None, None]:
        """Yield the batches of an epoch, from the given one on; closing it stops its readers."""
        sizes = [group.rows for group in self._groups]
        where = {"seed": self._seed, "epoch": epoch, "rank": self._rank}
        segments = plan_segments(sizes, world_size=self._world_size, shuffle=self._shuffle, **where)
        planned = list(
            plan_batches(
                segments, self._batch_sizes, buffer=self._buffer, shuffle=self._shuffle, **where
            )
        )[skip_batches:]
        left = np.zeros(len(segments), np.int64)
        for batch in planned:
            np.add.at(left, batch.segments, 1)
        places = np.flatnonzero(left)
        place_of = {int(segment): place for place, segment in enumerate(places)}
        stream = open_stream(
            self._reading,
            self._files,
            [self._groups[segments[segment].group] for segment in places],
            workers=self._workers,
            read=_Rows.read,
        )
        held: dict[int, _Rows] = {}
        try:
            for batch in planned:
                for segment in np.unique(batch.segments).tolist():
                    if segment not in held:
                        held[segment] = stream.get(place_of[segment])
                yield self._make(batch, held)
                np.subtract.at(left, batch.segments, 1)
                for segment in [segment for segment in held if left[segment] == 0]:
                    del held[segment]
        finally:
            stream.close()

    def _make(self, batch: PlannedBatch, held: dict[int, _Rows]) -> MemoryBatch:
        first = held[int(batch.segments[0])]
        size = len(batch.rows)
        parts = (
            np.empty((size, first.features.shape[1]), np.float32),
            np.empty((size, first.labels.shape[1]), np.float32),
            np.empty(size, np.float32),
        )
        for segment in np.unique(batch.segments).tolist():
            here, rows = np.flatnonzero(batch.segments == segment), held[segment]
            chosen = batch.rows[here]
            for target, source in zip(
                parts, (rows.features, rows.labels, rows.weights), strict=True
            ):
                target[here] = source[chosen]
        tensors = [torch.from_numpy(part) for part in parts]
        if self._device is not None and self._device.type != "cpu":
            tensors = [tensor.to(self._device) for tensor in tensors]
        return MemoryBatch(*tensors)


def _matrix(column: pa.ChunkedArray) -> Floats:
    values = pc.list_flatten(column).to_numpy().astype(np.float32, copy=False)
    return values.reshape(len(column), -1)
