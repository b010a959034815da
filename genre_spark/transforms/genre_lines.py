"""Genres as lines of `id,genre` in UTF-8, whatever the file or table that they come from."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.schemas import GENRES_CSV
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.storage.tables import read_manifest
from genre_spark.transforms.csv import LINE, CsvLayout, read_layout, read_lines
from genre_spark.transforms.metadata import read_text_csv

__all__ = ["open_genres"]

_RAW = "_raw"
_FIRST = 5_000  # lines that show what the genres look like


def open_genres(spark: SparkSession, path: str) -> tuple[DataFrame, CsvLayout]:
    """Return the lines of a file of genres, header included, and their layout.

    A file that is UTF-8 with commas is read as it stands. The rows of others, and of a table with
    columns id and genre, are written as lines first.

    Raises:
        InvalidInputError: the file is missing or cannot be used.
    """
    is_table = read_manifest(path) is not None
    if not is_table:
        layout = read_layout(path, GENRES_CSV)
        if layout.form.is_plain:
            return read_lines(spark, path), layout
    rows = read_text_csv(spark, path, GENRES_CSV, raw=_RAW)
    line = F.concat_ws(",", *[_quoted(name) for name in GENRES_CSV])
    # an unpaired quote keeps a malformed row malformed
    lines = rows.select(F.coalesce(F.concat(F.lit('"'), F.col(_RAW)), line).alias(LINE))
    header = ",".join(GENRES_CSV)
    first = tuple(row[LINE] for row in lines.limit(_FIRST).collect())
    form = {} if is_table else {"form": layout.form}
    known = CsvLayout(path, header, GENRES_CSV, None, first, **form)
    return frame_of_rows(spark, [(header,)], f"{LINE} string").unionAll(lines), known


def _quoted(name: str) -> Column:
    text = F.regexp_replace(F.coalesce(name, F.lit("")), "[\\r\\n]+", " ")
    marked = F.concat(F.lit('"'), F.replace(text, F.lit('"'), F.lit('""')), F.lit('"'))
    return F.when(F.rlike(text, F.lit('[",]')), marked).otherwise(text)
