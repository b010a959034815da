"""Sums over the rows of a table, all or in groups, worked out in batches on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.bootstrap import MOST_GROUPS, count_columns, row_sums
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION
from genre_spark.workers.groups import gather_in_one_task, split_gathered, split_groups
from genre_spark.workers.tasks import short_task

__all__ = [
    "batch_matrix",
    "bootstrap_groups",
    "count_groups",
    "group_sums",
    "sum_batches",
    "sum_groups",
]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Measure = Callable[[pa.RecordBatch], Vector]
GroupMeasure = Callable[[int, pa.RecordBatch], Vector]

_SUMS = "grp int, position int, value double"
_PACKED = "grp int, positions binary, sums binary"


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
    numbered = rows.select(F.lit(0).alias("grp"), *[F.col(name) for name in rows.columns])
    found = sum_groups(numbered, lambda _, batch: measure(batch), sizes={0: size})
    return found[0]


def sum_groups(
    rows: DataFrame,
    measure: GroupMeasure,
    *,
    sizes: Mapping[int, int],
    in_one_task: bool = False,
) -> dict[int, Vector]:
    """Add up what a function counts in each batch of each group of rows, in one job.

    Args:
        rows: the number of a row's group, then the columns that the function reads.
        measure: returns the sums of a batch of a group, (size,); it runs on executors.
        sizes: group -> its number of sums.
        in_one_task: whether one task reads all rows; for a few of them that is faster.

    Returns:
        Group -> float64, (size,); zeros for a group without rows.
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        totals: dict[int, Vector] = {}
        for group, batch in (split_gathered if in_one_task else split_groups)(batches):
            found = measure(group, batch)
            totals[group] = totals[group] + found if group in totals else found
        for group, total in totals.items():
            filled = np.flatnonzero(total)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(np.full(len(filled), group, np.int32)),
                    pa.array(filled.astype(np.int32)),
                    pa.array(total[filled]),
                ],
                names=["grp", "position", "value"],
            )

    if in_one_task:
        packed = short_task(lambda batches: _pack(add_up(batches)))
        sums = gather_in_one_task(rows).mapInArrow(packed, _PACKED)
    else:
        sums = (
            rows.mapInArrow(short_task(add_up), _SUMS)
            .groupBy("grp", "position")
            .agg(F.sum("value").alias("value"))
            .mapInArrow(short_task(_pack), _PACKED)
        )
    totals = {group: np.zeros(size) for group, size in sizes.items()}
    for row in sums.collect():  # no more numbers than `totals` has entries
        places = np.frombuffer(row["positions"], np.int32)
        totals[row["grp"]][places] = np.frombuffer(row["sums"], np.float64)
    return totals


def _pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put the sums of a task into one row per group: a million rows would take Py4J seconds."""
    whole = [batch for batch in batches if batch.num_rows]
    if not whole:
        return
    columns = pa.Table.from_batches(whole).columns
    group, position, value = (column.to_numpy() for column in columns)
    for number in np.unique(group):
        mine = group == number
        yield pa.RecordBatch.from_pydict(
            {
                "grp": pa.array([int(number)], pa.int32()),
                "positions": pa.array([position[mine].tobytes()]),
                "sums": pa.array([value[mine].tobytes()]),
            }
        )


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


def bootstrap_groups(labels: int) -> int:
    """Return into how many groups a bootstrap's movies fall."""
    return min(MOST_GROUPS, _MOST_SUMS // count_columns(labels))


def count_groups(group: npt.NDArray[np.int64], truth: Matrix, prediction: Matrix) -> Vector:
    """Return the sums that a paired bootstrap needs of some rows, (groups x columns,).

    Args:
        group: the bootstrap group of each row, (N,).
        truth: 0 or 1, (N, L).
        prediction: 0 or 1, (N, L).
    """
    groups = bootstrap_groups(truth.shape[1])
    total: Matrix = np.empty((groups, count_columns(truth.shape[1])))
    for place, column in enumerate(row_sums(truth, prediction).T):
        total[:, place] = np.bincount(group, weights=column, minlength=groups)
    return total.ravel()


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
    groups, columns = bootstrap_groups(labels), count_columns(labels)

    def count(batch: pa.RecordBatch) -> Vector:
        truth, prediction = (batch_matrix(column, labels) for column in batch.columns[1:])
        return count_groups(batch.column(0).to_numpy(), truth, prediction)

    rows = decided.select(
        F.pmod(F.xxhash64(MOVIE_ID), F.lit(groups)).alias("group"),
        F.col(LABELS).cast("array<double>"),
        F.col(PREDICTION).cast("array<double>"),
    )
    return sum_batches(rows, count, size=groups * columns).reshape(groups, columns)
