"""Rows of genres.csv: which of them can be used, and why the others cannot."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.schemas import CONTENT, CONTENT_CHARS, MOVIE_ID, REASON
from genre_spark.transforms.csv import LINE, CsvLayout, split_fields

__all__ = ["GENRE", "IS_LAST", "REPEATED_HEADER", "check_rows", "reject_cut_row"]

GENRE = "genre"
IS_LAST = "is_last"
REPEATED_HEADER = "repeated header"
CUT_OFF = "cut off at the end of the file"
_INVALID = "\ufffd"  # what invalid UTF-8 is read as


def check_rows(lines: DataFrame, layout: CsvLayout) -> DataFrame:
    """Turn lines of genres.csv into (movie_id, genre), or a reason why a line cannot be used.

    Args:
        lines: with the column `value`, as `spark.read.text` gives them, the header among them.
        layout: of the file.

    Returns:
        One row per line: movie_id, genre as the cell has it, reason (null where the row is good),
        content (the line's first 200 characters), is_last (the line is the file's last and has no
        line break at its end).
    """
    split = split_fields(lines, layout, columns=("id", GENRE))
    number = r"[0-9]+"
    reason = (
        # The reader of text files drops a byte order mark, on file systems that go through Hadoop.
        F.when(F.col(LINE).isin(layout.header, "\ufeff" + layout.header), REPEATED_HEADER)
        .when(F.btrim(LINE) == "", "empty line")
        .when(F.col(GENRE).isNull(), "malformed row")
        .when(F.col(MOVIE_ID).isNull() & (F.col("id") == ""), "empty id")
        .when(F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(f"^{number}$")), "id above 2^63-1")
        .when(
            (F.col(MOVIE_ID) < 0)
            | (F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^-{number}(\.[0-9]*)?$"))),
            "negative id",
        )
        .when(F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^{number}\.[0-9]*$")), "decimal id")
        .when(F.col(MOVIE_ID).isNull(), "id is not a number")
        .when(F.col(GENRE) == "", "empty genre")
        # Spark keeps invalid bytes; its regular expressions see them as the replacement character.
        .when(F.rlike(GENRE, F.lit(_INVALID)), "invalid UTF-8")
    )
    checked = split.withColumn(MOVIE_ID, F.expr("try_cast(id AS bigint)")).withColumn(
        REASON, reason
    )
    # Replaced by itself, the replacement character takes the place of invalid bytes, which other
    # readers of Parquet reject.
    content = F.regexp_replace(F.substring(LINE, 1, CONTENT_CHARS), _INVALID, _INVALID)
    return checked.select(
        MOVIE_ID,
        GENRE,
        REASON,
        content.alias(CONTENT),
        (F.lit(False) if layout.last_line is None else F.col(LINE) == layout.last_line).alias(
            IS_LAST
        ),
    )


def reject_cut_row(rows: DataFrame, layout: CsvLayout, *, genre: str) -> DataFrame:
    """Give the file's last row, whose genre was cut off, a reason and its content.

    Args:
        rows: of `check_rows`.
        layout: of the file.
        genre: what is left of the genre.
    """
    cut = F.col(IS_LAST) & (F.col(GENRE) == genre)
    last = (layout.last_line or "")[:CONTENT_CHARS]
    return rows.withColumns(
        {
            REASON: F.when(cut, CUT_OFF).otherwise(F.col(REASON)),
            CONTENT: F.when(cut, last).otherwise(F.col(CONTENT)),
        }
    )
