"""Vectors, labels and weights as numpy: decoded from Arrow, checked, packed. No Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from genre_spark.errors import InvalidInputError, InvalidLabelsError

__all__ = [
    "EXPECTED_FINITE",
    "AnyMatrix",
    "Features",
    "Labels",
    "Matrix",
    "as_matrix",
    "check_features",
    "check_labels",
    "decode_arrays",
    "decode_vector_struct",
    "decode_vectors",
    "is_sparse",
    "pack_labels",
    "unpack_labels",
]

Matrix = NDArray[np.float64]
Labels = NDArray[np.uint8]
AnyMatrix: TypeAlias = NDArray[np.float64] | csr_matrix
Features: TypeAlias = Any  # a vector, a matrix (scipy's sparse ones too) or a pandas frame

EXPECTED_FINITE = (
    "expected finite numbers: impute them (pyspark.ml.feature.Imputer) or set handleInvalid='keep' "
    "for a classifier that takes them"
)
_DENSE = 1  # type of a dense Vector in Spark's VectorUDT
_MANY = 256  # features from which on sparse rows stay sparse
_SPARSE = 8  # a dense matrix of more cells per stored value is not made


def as_matrix(features: Features) -> AnyMatrix:
    """Return features as they were given by a user, (rows, features), sparse ones as csr.

    Raises:
        InvalidInputError: they are no matrix of numbers.
    """
    if issparse(features):
        return csr_matrix(features, dtype=np.float64)
    try:
        matrix = np.atleast_2d(np.asarray(features, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"features: {error}, expected a matrix of numbers") from None
    if matrix.ndim != 2:
        raise InvalidInputError(f"features: shape {matrix.shape}, expected (rows, features)")
    return matrix


def decode_arrays(column: pa.Array, role: str) -> Matrix:
    """Return an Arrow column of lists of doubles as a matrix, (rows, length).

    Raises:
        InvalidInputError: a row or an element is null, or rows differ in length.
    """
    if column.null_count:
        raise InvalidInputError(f"{role}: null in {column.null_count} rows")
    rows = len(column)
    values = column.flatten()
    if values.null_count:
        raise InvalidInputError(f"{role}: a null element, expected numbers")
    lengths = np.diff(column.offsets.to_numpy(zero_copy_only=False))
    if rows == 0:
        return np.empty((0, 0))
    if (lengths != lengths[0]).any():
        raise InvalidInputError(
            f"{role}: vectors of length {lengths.min()} and {lengths.max()}, expected one length"
        )
    return values.to_numpy(zero_copy_only=False).reshape(rows, int(lengths[0]))


def decode_vector_struct(column: pa.StructArray, role: str, size: int | None = None) -> AnyMatrix:
    """Return an Arrow column of unwrapped Vectors as a matrix, (rows, size).

    Where all are dense, no row is copied by itself.

    Raises:
        InvalidInputError: a row is null or the lengths differ.
    """
    if column.null_count:
        raise InvalidInputError(f"{role}: null in {column.null_count} rows")
    kinds = column.field("type").to_numpy(zero_copy_only=False)
    if len(kinds) and (kinds == _DENSE).all():
        matrix = decode_arrays(column.field("values"), role)
        if size is not None and matrix.shape[1] != size:
            raise InvalidInputError(
                f"{role}: a vector of length {matrix.shape[1]}, expected {size}"
            )
        return matrix
    if len(kinds) and (kinds != _DENSE).all():
        return _decode_sparse(column, role, size)
    names = ("type", "size", "indices", "values")
    return decode_vectors(
        {name: column.field(name).to_pandas().to_numpy() for name in names}, role, size
    )


def _decode_sparse(column: pa.StructArray, role: str, size: int | None) -> AnyMatrix:
    """Return a column of sparse Vectors as a matrix; no row is copied by itself."""
    lengths = column.field("size").to_numpy(zero_copy_only=False)
    expected = int(lengths[0]) if size is None else size
    _check_lengths(lengths, expected, role)
    counts = column.field("values").value_lengths().to_numpy(zero_copy_only=False)
    values = column.field("values").flatten().to_numpy(zero_copy_only=False)
    columns = column.field("indices").flatten().to_numpy(zero_copy_only=False)
    return _from_stored(values, columns, counts, expected)


def _check_lengths(lengths: NDArray[Any], expected: int, role: str) -> None:
    if (lengths != expected).any():
        wrong = int(lengths[lengths != expected][0])
        raise InvalidInputError(f"{role}: a vector of length {wrong}, expected {expected}")


def _from_stored(
    values: NDArray[np.float64], columns: NDArray[Any], counts: NDArray[Any], n_features: int
) -> AnyMatrix:
    """Return rows of which each stores some features, csr or dense."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    parts = (values, columns.astype(np.int32, copy=False), starts)
    matrix = csr_matrix(parts, shape=(len(counts), n_features))
    return matrix if is_sparse(len(values), *matrix.shape) else matrix.toarray()


def decode_vectors(
    parts: Mapping[str, NDArray] | pd.DataFrame, role: str, size: int | None = None
) -> AnyMatrix:
    """Return unwrapped Vectors, dense or sparse in any mixture, as a matrix.

    Args:
        parts: `type` (1 dense, 0 sparse), `size` (of a sparse one), `indices` and `values`: one
            object per row.
        role: name of the column in messages.
        size: the length that the vectors must have; None takes that of the first.

    Returns:
        (rows, size): csr where a dense matrix would be many times larger (`is_sparse`).

    Raises:
        InvalidInputError: a row is null or the lengths differ.
    """
    kinds = np.asarray(parts["type"])
    if len(kinds) == 0:
        return np.empty((0, size or 0))
    if pd.isna(kinds).any():
        raise InvalidInputError(f"{role}: null in {int(pd.isna(kinds).sum())} rows")
    values = np.asarray(parts["values"], dtype=object)
    dense = kinds == _DENSE
    counts = np.array([len(row) for row in values])
    lengths = np.where(dense, counts, np.nan_to_num(np.asarray(parts["size"], dtype=np.float64)))
    expected = int(lengths[0]) if size is None else size
    _check_lengths(lengths, expected, role)
    flat = np.concatenate(list(values)).astype(np.float64, copy=False)
    if dense.all():
        return flat.reshape(len(kinds), expected)
    every = np.arange(expected, dtype=np.int32)
    indices = [every if whole else row for whole, row in zip(dense, parts["indices"], strict=True)]
    return _from_stored(flat, np.concatenate(indices), counts, expected)


def is_sparse(n_values: int, n_rows: int, n_features: int) -> bool:
    """Return whether rows are kept as csr: with many features of which few are stored.

    A stored value takes 12 bytes, and each step of a computation on it a few times as long as on a
    dense one.
    """
    return n_features >= _MANY and n_values * _SPARSE < n_rows * n_features


def check_labels(labels: Matrix, role: str) -> None:
    """Check that labels are 0 or 1.

    Raises:
        InvalidLabelsError: one is not; the message has the first such value and its position.
    """
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        row, label = (int(part[0]) for part in np.nonzero(wrong))
        raise InvalidLabelsError(
            f"{role}: value {labels[row, label]:g} of label {label}, expected 0 or 1"
        )


def check_features(features: AnyMatrix, role: str, names: list[str] | None = None) -> None:
    """Check that features are finite.

    Raises:
        InvalidInputError: one is not; the message has the first such feature, by name where the
            column's metadata has names.
    """
    stored = features.data if isinstance(features, csr_matrix) else features
    # A sum is finite only without NaN and infinity; it is cheaper than a mask.
    if np.isfinite(stored.sum()):
        return
    wrong = np.flatnonzero(~np.isfinite(stored))
    if not len(wrong):
        return  # finite numbers whose sum is too large
    first = int(wrong[0])
    columns = features.indices if isinstance(features, csr_matrix) else None
    column = first % features.shape[1] if columns is None else int(columns[first])
    name = f" ({names[column]})" if names and column < len(names) else ""
    raise InvalidInputError(
        f"{role}: {stored.flat[first]} in feature {column}{name}, {EXPECTED_FINITE}"
    )


def pack_labels(labels: Matrix) -> bytes:
    """Return labels, 0 or 1, (rows, labels), as one bit each."""
    return np.packbits(labels.astype(np.uint8)).tobytes()


def unpack_labels(packed: bytes, n_rows: int, n_labels: int) -> Labels:
    """Return the labels that `pack_labels` packed, (n_rows, n_labels)."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=n_rows * n_labels)
    return bits.reshape(n_rows, n_labels)
