"""Sums over all rows of a table, worked out in batches on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.workers import short_task

__all__ = ["batch_matrix", "sum_batches"]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Measure = Callable[[pa.RecordBatch], Vector]

_SUMS = "position int, value double"


def sum_batches(rows: DataFrame, measure: Measure, *, size: int) -> Vector:
    """Add up what a function counts in each batch of rows.

    What comes back to the driver are at most `size` numbers, whatever the number of rows.

    Args:
        rows: the columns that the function reads.
        measure: returns the sums of a batch, (size,); it runs on executors.
        size: number of sums.

    Returns:
        float64, (size,).
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total = np.zeros(size)
        for batch in batches:
            if batch.num_rows:
                total += measure(batch)
        filled = np.flatnonzero(total)
        yield pa.RecordBatch.from_arrays(
            [pa.array(filled.astype(np.int32)), pa.array(total[filled])],
            names=["position", "value"],
        )

    sums = (
        rows.mapInArrow(short_task(add_up), _SUMS)
        .groupBy("position")
        .agg(F.sum("value").alias("value"))
    )
    total = np.zeros(size)
    for row in sums.collect():  # no more rows than `total` has entries
        total[row["position"]] = row["value"]
    return total


def batch_matrix(column: pa.Array, labels: int) -> Matrix:
    """Return a column of lists as a matrix (N, L) without a copy.

    Raises:
        InvalidInputError: a row has another number of labels.
    """
    lengths = np.diff(column.offsets.to_numpy())
    if column.null_count or (lengths != labels).any():
        raise InvalidInputError(
            f"predictions: a row with {lengths.min()} labels, expected {labels} in every row"
        )
    values: Vector = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, labels)
