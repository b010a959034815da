"""Sums over the rows of a table, all or in groups, worked out in batches on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.bootstrap import MOST_GROUPS, count_columns, row_sums
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION
from genre_spark.workers.tasks import short_task

__all__ = ["batch_matrix", "group_sums", "sum_batches"]

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


_MOST_SUMS = 1 << 20
"""What comes to the driver at most: with 500 labels, movies fall into 697 groups."""


def group_sums(decided: DataFrame, *, labels: int) -> Matrix:
    """Return the sums that a paired bootstrap needs, of groups of movies.

    A movie's group is a hash of its id: the sums of two models on the same movies can be compared
    without a join.

    Args:
        decided: with a movie id and array columns `labels` and `prediction` (0 or 1), (L,) a row.
        labels: L.

    Returns:
        float64, (G, 3 L + 3), the columns those of `row_sums`; a group may be empty.

    Raises:
        InvalidInputError: a row has another number of labels.
    """
    columns = count_columns(labels)
    groups = min(MOST_GROUPS, _MOST_SUMS // columns)

    def count(batch: pa.RecordBatch) -> Vector:
        group = batch.column(0).to_numpy()
        truth, prediction = (batch_matrix(column, labels) for column in batch.columns[1:])
        sums = row_sums(truth, prediction)
        total: Matrix = np.empty((groups, columns))
        for place, column in enumerate(sums.T):
            total[:, place] = np.bincount(group, weights=column, minlength=groups)
        return total.ravel()

    rows = decided.select(
        F.pmod(F.xxhash64(MOVIE_ID), F.lit(groups)).alias("group"),
        F.col(LABELS).cast("array<double>"),
        F.col(PREDICTION).cast("array<double>"),
    )
    return sum_batches(rows, count, size=groups * columns).reshape(groups, columns)
