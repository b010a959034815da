"""Columns of a DataFrame that stages read and append: found by name, checked by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.ml.feature import VectorAssembler, VectorSizeHint
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StructField, StructType

from genre_spark.errors import InvalidInputError

__all__ = [
    "append_columns",
    "append_links",
    "array_column",
    "as_column",
    "check_new_column",
    "feature_names",
    "find_column",
    "label_metadata",
    "nullable_array",
    "number_column",
    "quote",
    "stored_label_names",
    "vector_column",
]


def quote(name: str) -> str:
    """Return a column's name as Spark reads it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def find_column(data: DataFrame, name: str, role: str) -> tuple[Column, StructField]:
    """Return a column and its field; `s.features` is a field of the struct `s`.

    Raises:
        InvalidInputError: it is not there, the message has the columns that are; or it is there
            twice.
    """
    found = [field for field in data.schema.fields if field.name == name]
    if len(found) > 1:
        raise InvalidInputError(
            f"{role}: {len(found)} columns {name!r}, expected one (rename or drop the others)"
        )
    if found:
        return F.col(quote(name)), found[0]
    nested = _find_nested(data.schema, name.split("."))
    if nested is None:
        raise InvalidInputError(f"{role}: no column {name!r}, the data has {data.columns}")
    return F.col(".".join(map(quote, name.split(".")))), nested


def _find_nested(schema: StructType, path: Sequence[str]) -> StructField | None:
    found = [field for field in schema.fields if field.name == path[0]]
    if len(found) != 1 or len(path) == 1:
        return found[0] if len(found) == 1 else None
    inner = found[0].dataType
    return _find_nested(inner, path[1:]) if isinstance(inner, StructType) else None


def check_new_column(data: DataFrame, name: str, role: str) -> None:
    """Check that a DataFrame has no column of an output's name.

    Raises:
        InvalidInputError: it has.
    """
    # Spark, which does not look at case, would replace it
    if name.lower() in (column.lower() for column in data.columns):
        raise InvalidInputError(f"{role}: column {name!r} exists already, set another name")


def append_columns(data: DataFrame, *columns: Column) -> DataFrame:
    """Return the data with new columns behind its own, with the metadata of their aliases.

    `withColumn` loses it on Spark Connect (4.0 to 4.3): the server gives the column an empty one.
    """
    return data.select("*", *columns)


def array_column(data: DataFrame, name: str, role: str) -> Column:
    """Return a column of Vectors or of arrays of numbers as array<double>, null where it is."""
    column, field = find_column(data, name, role)
    kind = field.dataType
    if isinstance(kind, VectorUDT):
        return nullable_array(column)
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        return column.cast("array<double>")
    raise InvalidInputError(
        f"{role} {name!r}: type {kind.simpleString()}, expected a Vector or an array of numbers"
    )


def nullable_array(column: Column) -> Column:
    """Return a column of Vectors as array<double>; null stays null."""
    # vector_to_array itself stops at a null with an error that names no column
    return F.when(column.isNotNull(), vector_to_array(column, "float64"))


def as_column(column: Column | str) -> Column:
    """Return a column that is given by name or as it is."""
    return F.col(column) if isinstance(column, str) else column


def vector_column(data: DataFrame, name: str, role: str) -> Column:
    """Return a column of Vectors as the struct behind them: type, size, indices, values."""
    column, field = find_column(data, name, role)
    if not isinstance(field.dataType, VectorUDT):
        raise InvalidInputError(
            f"{role} {name!r}: type {field.dataType.simpleString()}, expected a Vector "
            "(VectorAssembler)"
        )
    return F.unwrap_udt(column)


def number_column(data: DataFrame, name: str | None, role: str) -> Column:
    """Return a column of numbers as double, or the constant 1 where no column is named."""
    if name is None:
        return F.lit(1.0)
    column, field = find_column(data, name, role)
    if not isinstance(field.dataType, NumericType):
        raise InvalidInputError(
            f"{role} {name!r}: type {field.dataType.simpleString()}, expected a number"
        )
    return column.cast("double")


def feature_names(data: DataFrame, column: str) -> list[str] | None:
    """Return the names that VectorAssembler left in the metadata of a features column."""
    names = [str(item.get("name", item["idx"])) for item in _attributes(data, column)]
    return names or None


def stored_label_names(data: DataFrame, column: str) -> list[str] | None:
    """Return the names of the labels in a column's metadata, None where any is missing."""
    names = [item.get("name") for item in _attributes(data, column)]
    return [str(name) for name in names] if names and None not in names else None


def label_metadata(names: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a vector of labels.

    Their names are where VectorAssembler leaves those of features, and VectorSlicer looks for them.
    """
    attributes = [{"idx": index, "name": name} for index, name in enumerate(names)]
    return {"ml_attr": {"attrs": {"numeric": attributes}, "num_attrs": len(names)}}


def _attributes(data: DataFrame, column: str) -> list[dict[str, Any]]:
    field = _find_nested(data.schema, [column]) or _find_nested(data.schema, column.split("."))
    if field is None:  # reported where the column is read
        return []
    groups = field.metadata.get("ml_attr", {}).get("attrs", {})
    return sorted((item for group in groups.values() for item in group), key=lambda i: i["idx"])


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
