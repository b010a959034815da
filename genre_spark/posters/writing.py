"""A Parquet file of posters, written by the Python worker that made them, not by the JVM."""

from __future__ import annotations

import uuid
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.imaging.storing import CHANNELS
from genre_spark.schemas import CHANNELS as CHANNELS_COLUMN
from genre_spark.schemas import ENCODING, HEIGHT, IMAGE, MOVIE_ID, SOURCE, WIDTH
from genre_spark.storage.arrow_columns import bytes_column, int_column, text_column
from genre_spark.storage.files import join
from genre_spark.storage.inventory import FileState
from genre_spark.storage.summed_file import SummedFile

# Readers shuffle row groups and hold a few of them: small enough to mix, large enough to read fast.
ROW_GROUP_BYTES = 8 << 20
_PAGE_BYTES = 1 << 20

PART_SCHEMA = pa.schema(
    [
        pa.field(MOVIE_ID, pa.int64(), False),
        pa.field(IMAGE, pa.binary(), False),
        pa.field(HEIGHT, pa.int32(), False),
        pa.field(WIDTH, pa.int32(), False),
        pa.field(CHANNELS_COLUMN, pa.int32(), False),
        pa.field(ENCODING, pa.string(), False),
        pa.field(SOURCE, pa.string(), False),
    ]
)


class PartWriter:
    """Writes posters of one size and encoding into one new file, one row group after the other.

    Attributes:
        name: the file's name in the table's folder; no other writer uses it.
        rows: number of posters added.
    """

    def __init__(self, table: str, chunk: str, *, height: int, width: int, encoding: str) -> None:
        self.name = f"data-{chunk}-{uuid.uuid4().hex[:8]}.parquet"
        self.rows = 0
        self._shape = (height, width)
        self._encoding = encoding
        self._ids: list[int] = []
        self._sources: list[str] = []
        self._images: list[bytes | memoryview] = []
        self._pending = 0
        self._slab: npt.NDArray[np.uint8] | None = None
        if encoding == "raw":  # pixels are written where Arrow will read them
            pixels = CHANNELS * height * width
            self._slab = np.empty(
                (-(-ROW_GROUP_BYTES // pixels), CHANNELS, height, width), np.uint8
            )
        self._groups: list[int] = []
        self._file = SummedFile(join(table, self.name))  # the name counts once there is a receipt
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._file, "w"),
            PART_SCHEMA,
            compression={
                field.name: "none" if field.name == IMAGE else "snappy" for field in PART_SCHEMA
            },
            use_dictionary=[HEIGHT, WIDTH, CHANNELS_COLUMN, ENCODING],
            write_statistics=[MOVIE_ID],
            data_page_size=_PAGE_BYTES,
            # Pages are cut between batches of values: the usual 1,024 would make pages of 30 MB and
            # more, and Arrow fills a page by growing it. With raw pixels a value is a page.
            write_batch_size=1 if encoding == "raw" else 32,
            store_schema=False,
        )

    def slot(self) -> npt.NDArray[np.uint8] | None:
        """Return where the next poster's pixels go, uint8 (3, height, width).

        None unless pixels are stored raw.
        """
        return None if self._slab is None else self._slab[len(self._ids)]

    def add(self, movie_id: int, source: str, image: bytes | memoryview) -> None:
        """Add a poster: encoded, or raw pixels (those of `slot` itself need no copy)."""
        if self._slab is None:
            self._images.append(image)
        elif not (isinstance(image, memoryview) and _is_of(image, self._slab)):
            self._slab[len(self._ids)].reshape(-1)[:] = np.frombuffer(image, np.uint8)
        self._ids.append(movie_id)
        self._sources.append(source)
        self._pending += len(image)
        self.rows += 1
        if self._pending >= ROW_GROUP_BYTES:
            self._flush()

    def state(self) -> FileState:
        """Return the state of the file, once it is closed."""
        return self._file.state(tuple(self._groups))

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._flush()
            self._writer.close()  # after an error too: it would try when it is forgotten

    def _flush(self) -> None:
        rows = len(self._ids)
        if not rows:
            return
        columns = [
            int_column(self._ids, pa.int64()),
            bytes_column(self._images) if self._slab is None else _raw_column(self._slab, rows),
            int_column(_constant(self._shape[0], rows), pa.int32()),
            int_column(_constant(self._shape[1], rows), pa.int32()),
            int_column(_constant(CHANNELS, rows), pa.int32()),
            text_column([self._encoding] * rows),
            text_column(self._sources),
        ]
        self._writer.write_table(
            pa.Table.from_arrays(columns, schema=PART_SCHEMA), row_group_size=rows
        )
        self._groups.append(rows)
        self._ids, self._sources, self._images, self._pending = [], [], [], 0


def _is_of(image: memoryview, slab: npt.NDArray[np.uint8]) -> bool:
    """Return whether bytes are those of an array's part, the slot that was given out last."""
    return isinstance(image.obj, np.ndarray) and image.obj.base is slab


def _raw_column(slab: npt.NDArray[np.uint8], rows: int) -> pa.Array:
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(slab[0].size)
    return pa.Array.from_buffers(
        pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(slab)]
    )


def _constant(value: int, rows: int) -> npt.NDArray[np.int32]:
    return np.full(rows, value, np.int32)
