"""Mean and standard deviation of the training posters' channels, by Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DoubleType, LongType, StructField, StructType

from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.row_groups import Part, list_parts, map_parts
from genre_spark.vision.plans.poster_form import Normalisation
from genre_spark.workers.errors import worker_errors

__all__ = ["measure_channels"]

_MOMENTS_SCHEMA = StructType(
    [
        StructField("posters", LongType(), False),
        StructField("means", ArrayType(DoubleType(), False), False),
        StructField("squares", ArrayType(DoubleType(), False), False),
    ]
)
_ROWS_PER_TASK = 512


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
