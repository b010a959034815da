"""A DataFrame of rows that this process holds, made without a Python worker.

`createDataFrame` of a list sends pickled rows through tasks in Python workers, whenever the frame
is read. As an Arrow table the rows reach the JVM as they are, and small ones become part of the
plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyspark
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType, StructType, TimestampType, UserDefinedType

from genre_spark.spark.connect import is_connect

__all__ = ["frame_of_rows"]

_TAKES_ARROW = int(pyspark.__version__.split(".")[0]) >= 4


def frame_of_rows(
    spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: StructType | str
) -> DataFrame:
    """Return the rows as a DataFrame; they must fit this process.

    Args:
        spark: the session.
        rows: a value per column each, None for null, a dictionary for a struct; none is fine.
        schema: columns and their types, or these in Spark's words (`name string, size long`).
    """
    if is_connect(spark) or not _TAKES_ARROW:
        return spark.createDataFrame(list(rows), schema)
    parsed: Any = DataType.fromDDL(schema) if isinstance(schema, str) else schema
    # vectors; and times without a zone, which Spark takes for local ones and Arrow for UTC
    if any(isinstance(field.dataType, UserDefinedType | TimestampType) for field in parsed):
        return spark.createDataFrame(list(rows), schema)
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 - imports pandas

    wanted = to_arrow_schema(parsed)
    columns = zip(*rows, strict=True) if rows else [()] * len(wanted)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, wanted, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=wanted), parsed)
