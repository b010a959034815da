"""From DataFrame columns to numpy blocks: vectors of features, multi-hot labels, weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.feature import VectorAssembler, VectorSizeHint
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType

from genre_spark.errors import InvalidInputError, InvalidLabelsError

__all__ = [
    "EXPECTED_FINITE",
    "Labels",
    "append_links",
    "array_column",
    "check_features",
    "check_labels",
    "decode_arrays",
    "decode_vector_struct",
    "decode_vectors",
    "feature_names",
    "number_column",
    "pack_labels",
    "require_column",
    "unpack_labels",
    "vector_column",
]

Matrix = NDArray[np.float64]
Labels = NDArray[np.uint8]

EXPECTED_FINITE = (
    "expected finite numbers: impute them (pyspark.ml.feature.Imputer) or set handleInvalid='keep' "
    "for a classifier that takes them"
)
_DENSE = 1  # type of a dense Vector in Spark's VectorUDT


def require_column(data: DataFrame, name: str, role: str) -> None:
    """Check that a DataFrame has a column.

    Raises:
        InvalidInputError: it has not; the message has the columns that are there.
    """
    if name not in data.columns:
        raise InvalidInputError(f"{role}: no column {name!r}, the data has {data.columns}")


def array_column(data: DataFrame, name: str, role: str) -> Column:
    """Return a column of Vectors or of arrays of numbers as array<double>."""
    require_column(data, name, role)
    found = data.schema[name].dataType
    if isinstance(found, VectorUDT):
        return vector_to_array(F.col(f"`{name}`"), "float64")
    if isinstance(found, ArrayType) and isinstance(found.elementType, NumericType):
        return F.col(f"`{name}`").cast("array<double>")
    raise InvalidInputError(
        f"{role} {name!r}: type {found.simpleString()}, expected a Vector or an array of numbers"
    )


def vector_column(data: DataFrame, name: str, role: str) -> Column:
    """Return a column of Vectors as the struct behind them: type, size, indices, values."""
    require_column(data, name, role)
    found = data.schema[name].dataType
    if not isinstance(found, VectorUDT):
        raise InvalidInputError(
            f"{role} {name!r}: type {found.simpleString()}, expected a Vector (VectorAssembler)"
        )
    return F.unwrap_udt(F.col(f"`{name}`"))


def number_column(data: DataFrame, name: str | None, role: str) -> Column:
    """Return a column of numbers as double, or the constant 1 where no column is named."""
    if name is None:
        return F.lit(1.0)
    require_column(data, name, role)
    found = data.schema[name].dataType
    if not isinstance(found, NumericType):
        raise InvalidInputError(f"{role} {name!r}: type {found.simpleString()}, expected a number")
    return F.col(f"`{name}`").cast("double")


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


def decode_vector_struct(column: pa.StructArray, role: str, size: int | None = None) -> Matrix:
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
    names = ("type", "size", "indices", "values")
    return decode_vectors(
        {name: column.field(name).to_pandas().to_numpy() for name in names}, role, size
    )


def decode_vectors(
    parts: Mapping[str, NDArray] | pd.DataFrame, role: str, size: int | None = None
) -> Matrix:
    """Return unwrapped Vectors, dense or sparse in any mixture, as a matrix.

    Args:
        parts: `type` (1 dense, 0 sparse), `size` (of a sparse one), `indices` and `values`: one
            object per row.
        role: name of the column in messages.
        size: the length that the vectors must have; None takes that of the first.

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
    lengths = np.where(
        dense,
        [len(row) for row in values],
        np.nan_to_num(np.asarray(parts["size"], dtype=np.float64)),
    )
    expected = int(lengths[0]) if size is None else size
    if (lengths != expected).any():
        wrong = int(lengths[lengths != expected][0])
        raise InvalidInputError(f"{role}: a vector of length {wrong}, expected {expected}")
    if dense.all():
        return (
            np.concatenate(list(values))
            .astype(np.float64, copy=False)
            .reshape(len(kinds), expected)
        )
    matrix = np.zeros((len(kinds), expected))
    if dense.any():
        matrix[dense] = np.stack(list(values[dense]))
    sparse = np.flatnonzero(~dense)
    indices = np.asarray(parts["indices"], dtype=object)[sparse]
    counts = [len(row) for row in indices]
    columns = np.concatenate(list(indices)).astype(np.intp)
    matrix[np.repeat(sparse, counts), columns] = np.concatenate(list(values[sparse]))
    return matrix


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


def check_features(features: Matrix, role: str, names: list[str] | None = None) -> None:
    """Check that features are finite.

    Raises:
        InvalidInputError: one is not; the message has the first such feature, by name where the
            column's metadata has names.
    """
    # A sum is finite only without NaN and infinity; it is cheaper than a mask.
    if np.isfinite(features.sum()):
        return
    wrong = ~np.isfinite(features)
    if not wrong.any():
        return  # finite numbers whose sum is too large
    row, column = (int(part[0]) for part in np.nonzero(wrong))
    name = f" ({names[column]})" if names and column < len(names) else ""
    raise InvalidInputError(
        f"{role}: {features[row, column]} in feature {column}{name}, {EXPECTED_FINITE}"
    )


def pack_labels(labels: Matrix) -> bytes:
    """Return labels, 0 or 1, (rows, labels), as one bit each."""
    return np.packbits(labels.astype(np.uint8)).tobytes()


def unpack_labels(packed: bytes, n_rows: int, n_labels: int) -> Labels:
    """Return the labels that `pack_labels` packed, (n_rows, n_labels)."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=n_rows * n_labels)
    return bits.reshape(n_rows, n_labels)


def feature_names(data: DataFrame, column: str) -> list[str] | None:
    """Return the names that VectorAssembler left in the metadata of a features column."""
    if column not in data.columns:  # reported where the column is read
        return None
    groups = data.schema[column].metadata.get("ml_attr", {}).get("attrs", {})
    attributes = sorted(
        (item for group in groups.values() for item in group), key=lambda item: item["idx"]
    )
    names = [str(item.get("name", item["idx"])) for item in attributes]
    return names or None


def append_links(
    data: DataFrame, links: Mapping[str, Column], *, inputs: str, output: str, size: int
) -> DataFrame:
    """Return the data with a column of the features followed by the links' numbers.

    Args:
        data: with a Vector column `inputs`.
        links: name and value of each number.
        inputs: name of the features column.
        output: name of the new column.
        size: length of the feature vectors.
    """
    # With NaN features VectorAssembler needs the sizes, which the column's metadata may lack.
    hint = VectorSizeHint(inputCol=inputs, size=size, handleInvalid="optimistic")
    assembler = VectorAssembler(inputCols=[inputs, *links], outputCol=output, handleInvalid="keep")
    return assembler.transform(hint.transform(data.withColumns(dict(links))))
