"""Columns of Spark's Vectors as sparse matrices, in workers, without a loop over rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID

__all__ = [
    "decode_lists",
    "decode_optional_lists",
    "decode_vectors",
    "encode_lists",
    "gather_rows",
    "in_one_task",
]

_DENSE = 1
_MOST_VALUES = 5 * 10**8
"""Feature values of one fit, without zeros: about 8 GB in the task that fits."""


def decode_vectors(column: pa.StructArray, *, size: int) -> sparse.csr_matrix:
    """Return unwrapped Vectors (type, size, indices, values), sparse and dense ones mixed, as CSR.

    Args:
        column: none of the vectors is null.
        size: their length.
    """
    values, indices = column.field("values"), column.field("indices")
    if isinstance(column, pa.ChunkedArray):  # pragma: no cover - batches have arrays
        raise TypeError("expected one array")
    dense = column.field("type").to_numpy(zero_copy_only=False) == _DENSE
    counts = np.asarray(values.value_lengths().fill_null(0))
    starts = np.concatenate([[0], np.cumsum(counts)])
    data = values.flatten().to_numpy(zero_copy_only=False)
    where = np.arange(len(data)) - np.repeat(starts[:-1], counts)
    given = indices.flatten().to_numpy(zero_copy_only=False)
    where[~np.repeat(dense, counts)] = given
    return sparse.csr_matrix((data, where, starts), shape=(len(column), size))


def decode_lists(column: pa.ListArray) -> np.ndarray:
    """Return lists of numbers of one length as a matrix, float64 (rows, length)."""
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return flat.reshape(len(column), -1)


def decode_optional_lists(column: pa.ListArray, length: int) -> np.ndarray:
    """Return lists of numbers as a matrix, float64 (rows, length); rows without a list are NaN."""
    found = np.full((len(column), length), np.nan)
    given = column.is_valid().to_numpy(zero_copy_only=False)
    if given.any():
        found[given] = decode_lists(column.drop_null())
    return found


def encode_lists(values: np.ndarray) -> pa.ListArray:
    """Return a matrix as lists of float32."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    offsets = np.arange(0, values.size + 1, max(1, values.shape[1]), dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, flat)


def in_one_task(rows: DataFrame, *more: str) -> DataFrame:
    """Return features (unwrapped), labels and further columns in one partition, sorted by movie.

    Args:
        rows: movie_id, features, labels and the further columns.
        more: names of the further columns.
    """
    return (
        rows.select(MOVIE_ID, F.unwrap_udt(FEATURES).alias(FEATURES), LABELS, *more)
        .repartition(1)
        .sortWithinPartitions(MOVIE_ID)
        .select(FEATURES, LABELS, *more)
    )


def gather_rows(
    batches: Iterable[pa.RecordBatch], *, size: int, stage: str, advice: str
) -> tuple[sparse.csr_matrix, list[np.ndarray]]:
    """Return the features of a task's rows, and their further columns as matrices.

    Args:
        batches: of `in_one_task`; each column after the features is a list or a number per row.
        size: length of the feature vector.
        stage: name that errors begin with.
        advice: what to do about too many values.

    Raises:
        InvalidInputError: there is no row, or more feature values than a task can hold.
    """
    features: list[sparse.csr_matrix] = []
    others: list[list[np.ndarray]] = []
    held = 0
    for batch in batches:
        features.append(decode_vectors(batch.column(0), size=size))
        held += features[-1].nnz
        if held > _MOST_VALUES:
            raise InvalidInputError(
                f"{stage}: more than {_MOST_VALUES:,} feature values in training, expected "
                f"fewer; {advice}"
            )
        others.append([_column(column) for column in batch.columns[1:]])
    if not features:
        raise InvalidInputError(f"{stage}: no training movie with features, expected some")
    whole = sparse.vstack(features, format="csr")
    return whole, [np.concatenate(parts) for parts in zip(*others, strict=True)]


def _column(column: pa.Array) -> np.ndarray:
    if pa.types.is_list(column.type):
        return decode_lists(column)
    return np.asarray(column.to_numpy(zero_copy_only=False))
