"""A row group of samples; images stay where they are until they are decoded."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre_spark.errors import InvalidInputError
from genre_spark.imaging import decode_stored
from genre_spark.imaging.storing import CHANNELS
from genre_spark.schemas import CHANNELS as CHANNELS_COLUMN
from genre_spark.schemas import ENCODING, HEIGHT, IMAGE, LABELS, MOVIE_ID, WEIGHT, WIDTH
from genre_spark.vision.feed.sample_files import StoredGroup, read_row_group
from genre_spark.vision.feed.stored_values import OpenFiles, find_values

__all__ = ["SampleReader", "SampleRows"]

_COLUMNS = (MOVIE_ID, LABELS, WEIGHT, HEIGHT, WIDTH, CHANNELS_COLUMN, ENCODING)


class Images(Protocol):
    """The stored images of a row group."""

    def size(self, row: int) -> int:
        """Return the length of an image, bytes."""
        ...

    def read(self, row: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of an image, uint8."""
        ...

    def read_into(self, row: int, out: npt.NDArray[np.uint8]) -> None:
        """Copy the bytes of an image into an array of that length, contiguous."""
        ...


class SampleReader:
    """Reads row groups of samples; images that lie plainly in a local file are left there.

    Args:
        label_count: number of labels of a sample; 0 where the table has none.
    """

    def __init__(self, label_count: int) -> None:
        self._label_count, self._open_files = label_count, OpenFiles()

    def __call__(self, group: StoredGroup) -> SampleRows:
        """Return the samples of a row group."""
        images: Images | None = None
        if isinstance(group.source, str):
            images = find_values(
                self._open_files, group.source, group.metadata, group.number, IMAGE
            )
        table = read_row_group(group, _COLUMNS if images is not None else (*_COLUMNS, IMAGE))
        if images is None:
            images = _HeldImages(table[IMAGE], group.name)
        return SampleRows(table, images, group.name, label_count=self._label_count)


class SampleRows:
    """The samples of a row group.

    Attributes:
        file: the file that they come from, for messages.
        movie_ids: int64, (N,).
        labels: float32, (N, L); L is 0 where the table has no labels.
        weights: float32, (N,); ones where the table has no weights.
    """

    def __init__(self, table: pa.Table, images: Images, file: str, *, label_count: int) -> None:
        self.file, self._images = file, images
        self.movie_ids = _numbers(table, MOVIE_ID, np.int64, file)
        rows = len(self.movie_ids)
        self.labels = (
            _labels(table[LABELS], label_count, file)
            if label_count
            else np.zeros((rows, 0), np.float32)
        )
        has_weights = WEIGHT in table.column_names
        self.weights = (
            _numbers(table, WEIGHT, np.float32, file) if has_weights else np.ones(rows, np.float32)
        )
        self._heights, self._widths = (
            _numbers(table, HEIGHT, np.int64, file),
            _numbers(table, WIDTH, np.int64, file),
        )
        self._channels = _numbers(table, CHANNELS_COLUMN, np.int64, file)
        self._encodings = table[ENCODING].to_pylist()

    def decode(self, row: int, out: npt.NDArray[np.uint8]) -> None:
        """Decode an image into its place in a batch.

        Args:
            row: position in the row group.
            out: the place, uint8, (3, H, W), RGB, contiguous; an image of another size is resized.

        Raises:
            InvalidInputError: the image cannot be decoded; the text names the file and the movie.
        """
        height, width = int(self._heights[row]), int(self._widths[row])
        same = out.shape == (CHANNELS, height, width)
        try:
            if same and self._encodings[row] == "raw" and self._images.size(row) == out.size:
                self._images.read_into(row, out)
                return
            pixels = decode_stored(
                self._images.read(row),
                self._encodings[row],
                height,
                width,
                int(self._channels[row]),
                out if same else None,
            )
        except (InvalidInputError, OSError, cv2.error) as error:
            raise InvalidInputError(f"{self.file}: movie {self.movie_ids[row]}: {error}") from None
        if not same:
            size = out.shape[2], out.shape[1]
            shrink = height * width > size[0] * size[1]
            for plane, target in zip(pixels, out, strict=True):
                cv2.resize(
                    plane,
                    size,
                    dst=target,
                    interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR,
                )


def _numbers(table: pa.Table, name: str, kind: type, file: str) -> npt.NDArray:
    column = table[name]
    if column.null_count:  # NaN as an integer would be the smallest one
        raise InvalidInputError(
            f"{file}: {column.null_count} of {len(column)} rows have no {name}, expected a number "
            "in every row"
        )
    return column.to_numpy().astype(kind, copy=False)


def _labels(column: pa.ChunkedArray, count: int, file: str) -> npt.NDArray[np.float32]:
    values = pc.list_flatten(column).to_numpy().astype(np.float32, copy=False)
    lengths = pc.list_value_length(column)
    if pc.min(lengths).as_py() != count or pc.max(lengths).as_py() != count:
        raise InvalidInputError(
            f"{file}: labels of {pc.min(lengths)} to {pc.max(lengths)} values, expected {count}"
        )
    return values.reshape(-1, count)


class _HeldImages:
    """Images in Arrow's buffers, of which `read` returns views."""

    def __init__(self, column: pa.ChunkedArray, file: str) -> None:
        self._data, offsets = _buffers(column, file)
        self._offsets = offsets.tolist()

    def size(self, row: int) -> int:
        length: int = self._offsets[row + 1] - self._offsets[row]
        return length

    def read(self, row: int) -> npt.NDArray[np.uint8]:
        return self._data[self._offsets[row] : self._offsets[row + 1]]

    def read_into(self, row: int, out: npt.NDArray[np.uint8]) -> None:
        np.copyto(out.reshape(-1), self.read(row))


def _buffers(
    column: pa.ChunkedArray, file: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the bytes of all images, one after the other, and where each starts."""
    if column.null_count:
        raise InvalidInputError(
            f"{file}: {column.null_count} samples without an image, expected one for each"
        )
    chunk = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    rows = len(chunk)
    if pa.types.is_fixed_size_binary(chunk.type):
        width = chunk.type.byte_width
        return np.frombuffer(chunk.buffers()[1], np.uint8), (
            np.arange(rows + 1) + chunk.offset
        ) * width
    kind = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
    offsets = np.frombuffer(chunk.buffers()[1], kind)[
        chunk.offset : chunk.offset + rows + 1
    ].astype(np.int64)
    data = chunk.buffers()[2]
    return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), offsets
