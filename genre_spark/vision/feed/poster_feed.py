"""Samples as batches of tensors, fed by Petastorm: shuffled, sharded, the same for the same seed.

Petastorm's workers (or threads of pyarrow) read row groups ahead; rows stay as they are stored (a
JPEG is a tenth of its pixels) while they are mixed, in a local file where they can; decoding
threads then write each image straight into its place in the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from genre_spark.errors import InvalidInputError
from genre_spark.imaging.process import settle_process
from genre_spark.imaging.storing import CHANNELS
from genre_spark.schemas import HEIGHT, IMAGE, LABELS, WIDTH
from genre_spark.storage.files import filesystem
from genre_spark.vision.feed.order import (
    PlannedBatch,
    Segment,
    batch_sizes,
    plan_batches,
    plan_segments,
)
from genre_spark.vision.feed.rows import SampleReader, SampleRows
from genre_spark.vision.feed.sample_files import SampleFile, open_files, row_groups
from genre_spark.vision.feed.streams import Reading, Stream, open_stream

__all__ = ["Batch", "PosterFeed"]

_BUFFER_BYTES = 256 << 20  # of stored images that a shuffle buffer holds at most
_SLICE = 16  # images that a decoding thread takes at once


class Batch(NamedTuple):
    """Samples of one step.

    Attributes:
        images: uint8, (N, 3, H, W), RGB, 0..255.
        labels: float32, (N, L), multi-hot; L is 0 where the table has no labels.
        weights: float32, (N,); ones where the table has no weights.
        movie_ids: int64, (N,), always on the CPU.
    """

    images: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    movie_ids: torch.Tensor


class PosterFeed:
    """Batches of one process from the Parquet files of a samples table.

    With `shuffle`, an epoch visits row groups in a random order and draws each batch without
    replacement from a buffer of rows; without, samples come in the order of the files. Either way
    every sample comes exactly once per epoch over all ranks, every rank has the same number of
    batches, and the same (seed, epoch, rank, world_size) gives the same batches whatever the number
    of workers.

    Args:
        files: Parquet files, paths or URLs, in an order that is the same for all ranks.
        batch_size: samples per batch of this process.
        seed: seed of the order.
        shuffle: whether the order is random.
        rank: number of this process, 0..world_size-1.
        world_size: number of processes.
        workers: threads that read, and as many that decode.
        shuffle_buffer: rows that are mixed before a batch is drawn; fewer where they take more than
            256 MB.
        prefetch: batches kept ready.
        device: device that images, labels and weights go to; None or a CPU leaves them in memory.
        height: pixels; None for that of the first sample. Images of another size are resized.
        width: pixels; None for that of the first sample.

    Raises:
        InvalidInputError: a file is missing, truncated or not a samples table, or there are no
            samples.
        InvalidConfigError: the samples cannot be spread over the ranks in equal numbers of batches.
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
        workers: int = 2,
        shuffle_buffer: int = 2048,
        prefetch: int = 4,
        device: torch.device | None = None,
        height: int | None = None,
        width: int | None = None,
        reading: Reading = "petastorm",
    ) -> None:
        # only the files' footers are read here
        self._files = open_files(files)
        self._groups = row_groups(self._files, what="samples")
        self._sizes = [group.rows for group in self._groups]
        self._batch_sizes = batch_sizes(
            sum(self._sizes), batch_size=batch_size, rank=rank, world_size=world_size
        )
        self._seed, self._shuffle, self._rank, self._world_size = seed, shuffle, rank, world_size
        self._workers, self._prefetch = workers, prefetch
        self._buffer = min(
            shuffle_buffer, _BUFFER_BYTES // max(1, _image_bytes(self._files) // sum(self._sizes))
        )
        self._device = device if device is not None and device.type != "cpu" else None
        first_height, first_width, self.label_count = _look_at_first(
            self._files[self._groups[0].file]
        )
        self._shape = (CHANNELS, height or first_height, width or first_width)
        self._reading, self._read = reading, SampleReader(self.label_count)
        self._streams: list[Stream[SampleRows]] = []
        settle_process()
        self._decoders = ThreadPoolExecutor(workers, thread_name_prefix="poster-decoder")

    @property
    def rows(self) -> int:
        """Number of samples of an epoch on this rank."""
        return sum(self._batch_sizes)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of an epoch, the same on every rank."""
        return len(self._batch_sizes)

    def epoch(self, epoch: int, skip_batches: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch.

        Args:
            epoch: 0, 1, ...; each has another order.
            skip_batches: batches at the start that are left out, without being read.

        Raises:
            InvalidInputError: a file cannot be read or an image cannot be decoded; the text names
                it.
        """
        segments = plan_segments(
            self._sizes,
            seed=self._seed,
            epoch=epoch,
            rank=self._rank,
            world_size=self._world_size,
            shuffle=self._shuffle,
        )
        planned = plan_batches(
            segments,
            self._batch_sizes,
            seed=self._seed,
            epoch=epoch,
            rank=self._rank,
            buffer=self._buffer,
            shuffle=self._shuffle,
        )
        left = np.array([segment.stop - segment.start for segment in segments], np.int64)
        for _ in range(min(skip_batches, len(self._batch_sizes))):
            np.subtract.at(left, next(planned).segments, 1)
        yield from self._run(segments, planned, left)

    def close(self) -> None:
        """End all threads, even those of epochs that were not read to their end."""
        for stream in list(self._streams):
            stream.close()
        self._streams.clear()
        self._decoders.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> PosterFeed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(
        self, segments: Sequence[Segment], planned: Iterator[PlannedBatch], left: np.ndarray
    ) -> Iterator[Batch]:
        """Keep batches in the making while the caller works on the one it has."""
        places = np.flatnonzero(left)
        place_of = {int(segment): place for place, segment in enumerate(places)}
        groups = [self._groups[segments[segment].group] for segment in places]
        stream = open_stream(
            self._reading,
            self._files,
            groups,
            workers=self._workers,
            read=self._read,
        )
        self._streams.append(stream)
        held: dict[int, SampleRows] = {}
        making: deque[tuple[Batch, list[Future[None]]]] = deque()
        following = next(planned, None)
        try:
            while following is not None or making:
                while following is not None and len(making) < self._prefetch:
                    missing = [s for s in np.unique(following.segments).tolist() if s not in held]
                    if making and missing and not stream.has(place_of[missing[0]]):
                        break  # a batch is ready: deliver it while the stream reads on
                    for segment in missing:
                        held[segment] = stream.get(place_of[segment])
                    making.append(self._make(following, held))
                    np.subtract.at(left, following.segments, 1)
                    for segment in [s for s in held if left[s] == 0]:
                        del held[segment]
                    following = next(planned, None)
                batch, decoding = making.popleft()
                for slice_ in decoding:
                    slice_.result()
                yield self._deliver(batch)
        finally:
            for _, decoding in making:
                for slice_ in decoding:
                    slice_.cancel()
            stream.close()
            if stream in self._streams:
                self._streams.remove(stream)

    def _make(
        self, planned: PlannedBatch, held: dict[int, SampleRows]
    ) -> tuple[Batch, list[Future[None]]]:
        size = len(planned.rows)
        images = torch.empty(
            (size, *self._shape), dtype=torch.uint8, pin_memory=self._device is not None
        )
        labels = np.empty((size, self.label_count), np.float32)
        weights, movie_ids = np.empty(size, np.float32), np.empty(size, np.int64)
        sources = [held[segment] for segment in planned.segments.tolist()]
        numbers, out = planned.rows.tolist(), images.numpy()
        for place, (source, row) in enumerate(zip(sources, numbers, strict=True)):
            labels[place], weights[place] = source.labels[row], source.weights[row]
            movie_ids[place] = source.movie_ids[row]

        def decode(first: int, last: int) -> None:
            for place in range(first, last):
                sources[place].decode(numbers[place], out[place])

        starts = range(0, size, _SLICE)
        decoding = [
            self._decoders.submit(decode, start, min(start + _SLICE, size)) for start in starts
        ]
        batch = Batch(
            images, torch.from_numpy(labels), torch.from_numpy(weights), torch.from_numpy(movie_ids)
        )
        return batch, decoding

    def _deliver(self, batch: Batch) -> Batch:
        if self._device is None:
            return batch
        moved = [tensor.to(self._device, non_blocking=True) for tensor in batch[:3]]
        return Batch(moved[0], moved[1], moved[2], batch.movie_ids)


def _image_bytes(files: Sequence[SampleFile]) -> int:
    """Return the number of bytes that the images of all files take."""
    total = 0
    for file in files:
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            columns = (group.column(index) for index in range(group.num_columns))
            total += sum(
                column.total_uncompressed_size
                for column in columns
                if column.path_in_schema == IMAGE
            )
    return total


def _look_at_first(file: SampleFile) -> tuple[int, int, int]:
    """Return height and width of a file's first image, and the number of its labels."""
    names = file.metadata.schema.to_arrow_schema().names
    missing = [name for name in (IMAGE, HEIGHT, WIDTH) if name not in names]
    if missing:
        raise InvalidInputError(
            f"{file.path}: no column {', '.join(missing)}, expected a samples table with posters"
        )
    columns = [HEIGHT, WIDTH, *([LABELS] if LABELS in names else [])]
    system, inner = filesystem(file.path)
    try:
        with system.open(inner, "rb") as source:
            batch = next(pq.ParquetFile(source).iter_batches(1, columns=columns, use_threads=False))
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise InvalidInputError(f"{file.path}: not a whole Parquet file: {error}") from None
    labels = pc.list_value_length(batch.column(2))[0].as_py() if LABELS in names else 0
    return batch.column(0)[0].as_py(), batch.column(1)[0].as_py(), int(labels)
