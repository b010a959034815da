"""Rows that Spark's CSV reader takes apart: the odd ones of a range, or all of a file."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType

from genre_spark.adapters.csv_tables.range_tasks import ODD_COLUMNS
from genre_spark.adapters.csv_tables.sources import CsvSource
from genre_spark.schemas import MOVIE_ID, SOURCE, typed_schema
from genre_spark.spark.session import literal_path
from genre_spark.transforms.metadata import movie_id, read_text_csv
from genre_spark.transforms.metadata_rejects import FLAW, RAW, flaws_of_rows
from genre_spark.transforms.raw_columns import read_id, read_number

__all__ = ["read_odd_rows", "read_whole_file", "rejected_rows", "typed_rows"]

_PLACE = "_place"


def read_odd_rows(spark: SparkSession, paths: Sequence[str], source: CsvSource) -> DataFrame:
    """Take apart odd rows as Spark's reader of files does.

    Returns:
        the columns of the file as text, `RAW` as `read_text_csv` has it, and where the row begins.
    """
    rows = spark.read.schema(ODD_COLUMNS).parquet(*map(literal_path, paths))
    placed = [f"_{position}" for position in range(len(source.names))]
    schema = ", ".join(f"`{name}` string" for name in [*placed, RAW])
    options = {
        "sep": source.delimiter,
        "quote": '"',
        "escape": '"',
        "lineSep": "\n",
        "columnNameOfCorruptRecord": RAW,
    }
    fields = rows.select("place", F.from_csv("text", schema, options).alias("row"))
    found = [
        F.col(f"row.{placed[source.names.index(name)]}").alias(name) for name in source.columns
    ]
    return fields.select(F.col("place").alias(_PLACE), *found, F.col(f"row.{RAW}").alias(RAW))


def read_whole_file(spark: SparkSession, source: CsvSource) -> DataFrame:
    """Read a file that cannot be cut; the columns are those of `read_odd_rows`."""
    rows = read_text_csv(spark, source.path, source.columns, raw=RAW)
    return rows.withColumn(_PLACE, F.lit(None).cast("bigint"))


def typed_rows(rows: DataFrame, source: CsvSource) -> DataFrame:
    """Return the rows whose id is a number, as rows of the table."""
    columns: list[Column] = []
    for field in typed_schema(source.columns).fields:
        text = F.col(field.name)
        if isinstance(field.dataType, LongType):
            text = read_id(text)
        elif isinstance(field.dataType, DoubleType):
            text = read_number(text)
        columns.append(text.alias(field.name))
    return rows.select(*columns).where(F.col("id").isNotNull())


def rejected_rows(rows: DataFrame, source: CsvSource) -> DataFrame:
    """Return what in the rows cannot be used, as rows of REJECTS_SCHEMA."""
    place = F.concat(F.lit(f"{source.file}, byte "), F.col(_PLACE))
    known = F.coalesce(place, F.lit(source.file)).alias(SOURCE)
    flawed = rows.withColumn(MOVIE_ID, movie_id())
    flaws = F.array_compact(F.array(*flaws_of_rows(source.name, every_number=True)))
    return flawed.select(known, F.explode(flaws).alias(FLAW)).select(SOURCE, f"{FLAW}.*")
