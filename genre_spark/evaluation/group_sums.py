"""What a bootstrap draws from, of a table of any size: sums over groups of movies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.evaluation.batch_sums import batch_matrix, sum_batches
from genre_spark.evaluation.bootstrap import MOST_GROUPS, count_columns, row_sums
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION

__all__ = ["group_sums"]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

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
