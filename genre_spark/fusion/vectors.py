"""Columns of Spark's Vectors as sparse matrices, in workers, without a loop over rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

__all__ = ["decode_lists", "decode_optional_lists", "decode_vectors", "encode_lists"]

_DENSE = 1


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
