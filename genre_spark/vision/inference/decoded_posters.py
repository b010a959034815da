"""The posters of a part, decoded in turn or by threads while a network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.errors import InvalidInputError
from genre_spark.imaging import decode_stored
from genre_spark.imaging.process import settle_process
from genre_spark.schemas import CHANNELS, ENCODING, HEIGHT, IMAGE, MOVIE_ID, WIDTH
from genre_spark.storage.files import filesystem
from genre_spark.vision.inference.row_groups import IMAGE_COLUMNS, Part
from genre_spark.workers.gpus import cores_of_task

if TYPE_CHECKING:
    import torch  # seconds, which a task that only looks at pixels need not spend

__all__ = ["count_decoders", "read_posters"]

_SLICE = 8  # posters that a decoding thread takes at once


def count_decoders(wanted: int | None, device: torch.device) -> int:
    """Return the number of threads that decode beside a network.

    Args:
        wanted: value of `embeddings.decoders`. None: as many as the task has cores where the
            network computes on a GPU, and none on a CPU, whose cores are busy with the network.
        device: device of the network.
    """
    if wanted is not None:
        return wanted
    return cores_of_task() if device.type == "cuda" else 0


def read_posters(
    part: Part,
    *,
    batch_size: int,
    extra: Sequence[str] = (),
    decoders: int = 0,
    pinned: bool = False,
) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Yield the posters of a part, decoded, with the other columns of their rows.

    Args:
        part: part to read.
        batch_size: posters per batch at most.
        extra: columns to read beside those of the images.
        decoders: threads that decode the next batches while the caller works on one; 0: a batch is
            decoded when it is asked for.
        pinned: whether pixels lie in memory that a GPU copies from without the processor.

    Yields:
        uint8 (N, 3, H, W), RGB - all posters of a table have one size - and the rows, without the
        images.

    Raises:
        InvalidInputError: a sample has no image, or one that cannot be decoded.
    """
    system, inner = filesystem(part.file)
    with system.open(inner, "rb") as source:
        reader = pq.ParquetFile(source)
        names = [*IMAGE_COLUMNS, *extra]
        batches = reader.iter_batches(batch_size, row_groups=list(part.groups), columns=names)
        ordered = (
            pa.RecordBatch.from_arrays([batch.column(name) for name in names], names=names)
            for batch in batches
        )
        prepared = (_Decoding(rows, part.file, pinned=pinned) for rows in ordered)
        if decoders:
            prepared = _ahead(prepared, decoders, batch_size)
        with closing(prepared):  # a caller that stops early leaves no threads behind
            for batch in prepared:
                yield batch.pixels(), batch.rows.select([MOVIE_ID, *extra])


def _ahead(
    batches: Iterator[_Decoding], decoders: int, batch_size: int
) -> Generator[_Decoding, None, None]:
    """Keep as many batches in the making as give every thread a slice, and one more."""
    settle_process()
    depth = 1 + -(-decoders * _SLICE // batch_size)
    making: deque[_Decoding] = deque()
    pool = ThreadPoolExecutor(decoders, thread_name_prefix="poster-decoder")
    try:
        for batch in batches:
            batch.start(pool)
            making.append(batch)
            if len(making) > depth:
                yield making.popleft()
        while making:
            yield making.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Decoding:
    """A batch whose posters are decoded when they are asked for, or by threads before that."""

    def __init__(self, rows: pa.RecordBatch, file: str, *, pinned: bool) -> None:
        self.rows, self._file = rows, file
        self._images, self._encodings = rows.column(IMAGE), rows.column(ENCODING).to_pylist()
        self._size = self._check()
        shape = (len(rows), *self._size)
        self._out = _pinned(shape) if pinned else np.empty(shape, np.uint8)
        self._slices: list[Future[None]] | None = None

    def _check(self) -> tuple[int, int, int]:
        """Return channels, height and width, which all posters of a table share."""
        ids = self.rows.column(MOVIE_ID)
        if self._images.null_count:
            where = ids[int(np.argmax(self._images.is_null()))].as_py()
            raise InvalidInputError(
                f"{self._file}: movie {where} has no image, expected posters in every row"
            )
        if ids.null_count:
            raise InvalidInputError(
                f"{self._file}: rows without {MOVIE_ID}, expected a number in every row"
            )
        sizes = np.stack([self.rows.column(name).to_numpy() for name in (CHANNELS, HEIGHT, WIDTH)])
        others = np.flatnonzero((sizes != sizes[:, :1]).any(0))
        if len(others):
            found, first = sizes[:, others[0]], sizes[:, 0]
            raise InvalidInputError(
                f"{self._file}: movie {ids[int(others[0])].as_py()} has a poster of "
                f"{found[2]}x{found[1]} pixels in {found[0]} channels, expected {first[2]}x"
                f"{first[1]} in {first[0]} as before it: a table's posters have one size"
            )
        channels, height, width = (int(value) for value in sizes[:, 0])
        return channels, height, width

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Let threads decode."""
        count = len(self.rows)
        self._slices = [
            pool.submit(self._decode, first, min(first + _SLICE, count))
            for first in range(0, count, _SLICE)
        ]

    def pixels(self) -> np.ndarray:
        """Return the pixels, once all posters are decoded."""
        if self._slices is None:
            self._decode(0, len(self.rows))
        else:
            for part in self._slices:
                part.result()
        return self._out

    def _decode(self, first: int, last: int) -> None:
        channels, height, width = self._size
        for number in range(first, last):  # decoders take one JPEG at a time
            data, encoding = memoryview(self._images[number].as_buffer()), self._encodings[number]
            try:
                decode_stored(data, encoding, height, width, channels, out=self._out[number])
            except InvalidInputError as error:
                movie = self.rows.column(MOVIE_ID)[number].as_py()
                raise InvalidInputError(f"{self._file}: movie {movie}: {error}") from None


def _pinned(shape: tuple[int, ...]) -> np.ndarray:
    import torch  # noqa: PLC0415 - a process with a GPU has it already

    pixels: np.ndarray = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
    return pixels
