"""What a training needs to know about the samples before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DoubleType, LongType, StructField, StructType

from genre_spark.schemas import LABELS, WEIGHT
from genre_spark.storage.files import filesystem
from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.row_groups import Part, list_parts, map_parts
from genre_spark.vision.models.architectures import Normalisation
from genre_spark.workers.errors import worker_errors

__all__ = ["SampleFacts", "count_labels", "measure_channels"]

_MOMENTS_SCHEMA = StructType(
    [
        StructField("posters", LongType(), False),
        StructField("means", ArrayType(DoubleType(), False), False),
        StructField("squares", ArrayType(DoubleType(), False), False),
    ]
)
_ROWS_PER_TASK = 512


@dataclass(frozen=True)
class SampleFacts:
    """Facts of a samples table.

    Attributes:
        rows: number of samples.
        label_counts: positives per genre.
        weight: sum of the samples' weights: the number of movies that they stand for.
        weighted_counts: sum of the weights of the positives per genre.
    """

    rows: int
    label_counts: tuple[int, ...]
    weight: float
    weighted_counts: tuple[float, ...]


def count_labels(files: Sequence[str], labels: int) -> SampleFacts:
    """Count samples and positives per genre; only labels and weights are read.

    Args:
        files: Parquet files of a samples table.
        labels: number of genres.
    """
    rows, counts, weight, weighted = 0, np.zeros(labels, np.int64), 0.0, np.zeros(labels)
    for file in files:
        system, inner = filesystem(file)
        with system.open(inner, "rb") as source:
            for batch in pq.ParquetFile(source).iter_batches(16_384, columns=[LABELS, WEIGHT]):
                held = (
                    np.asarray(pc.list_flatten(batch.column(LABELS)), np.float32).reshape(
                        -1, labels
                    )
                    > 0
                )
                weights = np.asarray(batch.column(WEIGHT), np.float64)
                rows, counts = rows + len(held), counts + held.sum(axis=0)
                weight, weighted = weight + float(weights.sum()), weighted + weights @ held
    return SampleFacts(rows, tuple(counts.tolist()), weight, tuple(weighted.tolist()))


def measure_channels(spark: SparkSession, files: Sequence[str]) -> Normalisation:
    """Return mean and standard deviation per channel over every pixel of the posters, in one pass.

    Raises:
        InvalidInputError: the files hold no posters, or a row has none.
    """

    def measure(part: Part) -> Iterator[pa.RecordBatch]:
        count, means, squares = 0, np.zeros(3), np.zeros(3)
        for images, rows in read_posters(part, batch_size=32):
            pixels = images.transpose(1, 0, 2, 3).reshape(3, -1)
            bins = (
                np.stack([np.bincount(channel, minlength=256) for channel in pixels])
                / pixels.shape[1]
            )
            count += len(rows)
            means += bins @ np.arange(256) * len(rows)
            squares += bins @ np.arange(256) ** 2 * len(rows)
        yield pa.RecordBatch.from_pydict(
            {
                "posters": pa.array([count], pa.int64()),
                "means": pa.array([means.tolist()]),
                "squares": pa.array([squares.tolist()]),
            }
        )

    parts = list_parts(files, rows=_ROWS_PER_TASK)
    with worker_errors():
        # one row of seven numbers per task of some hundred posters
        moments = sorted(map_parts(spark, parts, measure, _MOMENTS_SCHEMA).collect(), key=tuple)
    posters = sum(row["posters"] for row in moments)
    mean = np.sum([row["means"] for row in moments], axis=0) / posters
    deviation = np.sqrt(
        np.maximum(np.sum([row["squares"] for row in moments], axis=0) / posters - mean**2, 1e-6)
    )
    return Normalisation(tuple(mean.round(4).tolist()), tuple(deviation.round(4).tolist()))
