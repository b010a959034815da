"""Row groups of tables of posters, read by Spark's workers: pixels do not pass through the JVM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import CHANNELS, ENCODING, HEIGHT, IMAGE, MOVIE_ID, WIDTH
from genre_spark.spark.gpu_stages import gpu_stage
from genre_spark.storage.files import filesystem
from genre_spark.storage.inventory import FileState
from genre_spark.workers.kept_memory import kept_memory
from genre_spark.workers.tasks import short_task

__all__ = ["IMAGE_COLUMNS", "Part", "list_parts", "map_parts"]

IMAGE_COLUMNS = (MOVIE_ID, IMAGE, HEIGHT, WIDTH, CHANNELS, ENCODING)


@dataclass(frozen=True)
class Part:
    """Neighbouring row groups of one file.

    Attributes:
        file: path or URL of the file.
        groups: positions of the row groups in the file.
        rows: number of rows in all of them.
    """

    file: str
    groups: tuple[int, ...]
    rows: int


def list_parts(
    files: Sequence[str],
    *,
    rows: int,
    columns: Sequence[str] = IMAGE_COLUMNS,
    states: Mapping[str, FileState] | None = None,
) -> list[Part]:
    """Cut files into parts of at least `rows` rows each, or of a whole file that has fewer.

    Args:
        files: Parquet files, paths or URLs.
        rows: rows per part.
        columns: what each row must have.
        states: file -> what its table's manifest knows of it. Of files whose row groups it has,
            the first alone is opened: those of a table have the same columns.

    Raises:
        InvalidInputError: a file lacks one of the columns, or its footer has rows without a value
            in it.
    """
    parts: list[Part] = []
    for file in files:
        state = (states or {}).get(file)
        known = () if state is None or file == files[0] else state.row_groups
        groups: list[int] = []
        count = 0
        sizes = known or _read_sizes(file, columns)
        for number, size in enumerate(sizes):
            groups.append(number)
            count += size
            if count >= rows or number + 1 == len(sizes):
                parts.append(Part(file, tuple(groups), count))
                groups, count = [], 0
    return [part for part in parts if part.rows]


def _read_sizes(file: str, columns: Sequence[str]) -> tuple[int, ...]:
    """Return the rows of a file's row groups by its footer, which is checked."""
    system, inner = filesystem(file)
    with system.open(inner, "rb") as source:
        footer = pq.ParquetFile(source)
    missing = [name for name in columns if name not in footer.schema_arrow.names]
    if missing:
        raise InvalidInputError(
            f"{file}: no column {', '.join(missing)}, expected posters (columns "
            f"{', '.join(columns)})"
        )
    _check_whole(file, footer.metadata, columns)
    return tuple(
        footer.metadata.row_group(number).num_rows for number in range(footer.num_row_groups)
    )


def _check_whole(file: str, metadata: pq.FileMetaData, columns: Sequence[str]) -> None:
    """Check by the footer that no row lacks a value, where the footer has such statistics."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            chunk = group.column(index)
            statistics = chunk.statistics if chunk.path_in_schema in columns else None
            if statistics is not None and statistics.has_null_count and statistics.null_count:
                raise InvalidInputError(
                    f"{file}: {statistics.null_count} of {group.num_rows} rows of row group "
                    f"{number} have no {chunk.path_in_schema}, expected a poster in every row "
                    "(sampling.require_poster: true)"
                )


def map_parts(
    spark: SparkSession,
    parts: Sequence[Part],
    function: Callable[[Part], Iterator[pa.RecordBatch]],
    schema: StructType,
    *,
    device: str = "cpu",
) -> DataFrame:
    """Return the rows that a function gives for each part, in one Spark task per part.

    Args:
        spark: the session.
        parts: all of them.
        function: called where the task runs.
        schema: of the rows.
        device: that the function computes on: auto, cpu or cuda; for a GPU, tasks get one each
            where Spark assigns them.
    """
    listed = list(parts)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                with kept_memory():
                    yield from function(listed[number])

    numbers = spark.range(0, len(listed), 1, max(1, len(listed)))
    return numbers.mapInArrow(short_task(run), schema, **gpu_stage(spark, device))
