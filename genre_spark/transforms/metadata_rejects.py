"""What the metadata's CSV files hold that cannot be used, row by row, with a reason."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.schemas import (
    CONTENT,
    CONTENT_CHARS,
    METADATA_CSVS,
    MOVIE_ID,
    REASON,
    SOURCE,
)
from genre_spark.transforms.metadata import READ_NUMBERS, metadata_files, movie_id, read_text_csv
from genre_spark.transforms.raw_columns import read_number, strip_blanks

__all__ = [
    "FLAW",
    "NO_NUMBER_AS_ID",
    "RAW",
    "flaw_where",
    "flaws_of_rows",
    "rejected_metadata",
    "repeated_ids",
]

RAW = "_raw"
FLAW = "flaw"
NO_NUMBER_AS_ID = "id is not a number"


def rejected_metadata(spark: SparkSession, folder: str, imported: str | None = None) -> DataFrame:
    """Return source (the file's name), reason and content of what `read_metadata` leaves out.

    Of a row whose id is no number nothing is used; of several rows of a movie in movies.csv one is.
    A malformed row, with too few or too many fields, is used as far as it goes, and a number that
    cannot be read counts as unknown.

    Args:
        spark: the session.
        folder: of the CSV files; see `read_metadata`.
        imported: folder of tables that import-metadata made of them, whose rejects have the rest.
    """
    parts = []
    for name, path in metadata_files(folder, imported).items():
        place = F.lit(path.rsplit("/", 1)[-1]).alias(SOURCE)  # not the folder: it may be moved
        columns = METADATA_CSVS[name]
        rows = read_text_csv(spark, path, columns, raw=RAW).withColumn(MOVIE_ID, movie_id())
        if name == "movies":
            ids = read_text_csv(spark, path, ("id",)).select(
                movie_id()
            )  # a pass of its own, without the texts
            parts.append(repeated_ids(ids).select(place, REASON, CONTENT))
        flaws = F.array_compact(F.array(*flaws_of_rows(name)))
        found = rows.select(F.explode(flaws).alias(FLAW))
        parts.append(found.select(place, f"{FLAW}.*"))
    return reduce(DataFrame.unionAll, parts)


def flaws_of_rows(name: str, *, every_number: bool = False) -> list[Column]:
    """Return a struct of reason and content for each flaw that a row may have, null without it.

    Args:
        name: of the file, of `METADATA_CSVS`; the rows have its columns as text, `RAW` and
            movie_id.
        every_number: also those of the numbers of numbers.csv.
    """
    columns = METADATA_CSVS[name]
    line = F.coalesce(RAW, F.concat_ws(",", *[F.coalesce(column, F.lit("")) for column in columns]))
    flaws = [
        flaw_where(F.col(MOVIE_ID).isNull(), NO_NUMBER_AS_ID, line),
        flaw_where(F.col(RAW).isNotNull(), "malformed row", line),
    ]
    numbers = {}
    if name == "movies":
        numbers = READ_NUMBERS
    elif name == "numbers" and every_number:
        numbers = {column: (column, read_number) for column in columns[1:]}
    return flaws + [
        flaw_where(
            (strip_blanks(F.col(source)) != "") & read(F.col(source)).isNull(),
            f"{known} is not a number",
            line,
        )
        for known, (source, read) in numbers.items()
    ]


def flaw_where(condition: Column, reason: str, content: Column) -> Column:
    """Return a struct of reason and content, cut to its length, where a condition holds."""
    return F.when(
        condition,
        F.struct(
            F.lit(reason).alias(REASON), F.substring(content, 1, CONTENT_CHARS).alias(CONTENT)
        ),
    )


def repeated_ids(ids: DataFrame) -> DataFrame:
    """Return reason and content for each row of a movie that is one too many."""
    counted = (
        ids.where(F.col(MOVIE_ID).isNotNull()).groupBy(MOVIE_ID).count().where(F.col("count") > 1)
    )
    content = F.concat(
        F.lit("movie "), F.col(MOVIE_ID), F.lit(": "), F.col("count"), F.lit(" rows")
    )
    extra = counted.withColumn(CONTENT, content).withColumn(
        "copy", F.explode(F.expr("sequence(2L, count)"))
    )
    return extra.select(F.lit("repeated id").alias(REASON), CONTENT)
