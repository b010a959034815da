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
from genre_spark.transforms.raw_columns import strip_blanks

__all__ = ["rejected_metadata"]

_RAW = "_raw"


def rejected_metadata(spark: SparkSession, folder: str) -> DataFrame:
    """Return source (the file's name), reason and content of what `read_metadata` leaves out.

    Of a row whose id is no number nothing is used; of several rows of a movie in movies.csv one is.
    A malformed row, with too few or too many fields, is used as far as it goes, and a number that
    cannot be read counts as unknown.

    Args:
        spark: the session.
        folder: of the CSV files; see `read_metadata`.
    """
    parts = []
    for name, path in metadata_files(folder).items():
        place = F.lit(path.rsplit("/", 1)[-1]).alias(SOURCE)  # not the folder: it may be moved
        columns = METADATA_CSVS[name]
        rows = read_text_csv(spark, path, columns, raw=_RAW).withColumn(MOVIE_ID, movie_id())
        line = F.coalesce(
            _RAW, F.concat_ws(",", *[F.coalesce(column, F.lit("")) for column in columns])
        )
        flaws = [
            _flaw(F.col(MOVIE_ID).isNull(), "id is not a number", line),
            _flaw(F.col(_RAW).isNotNull(), "malformed row", line),
        ]
        if name == "movies":
            flaws += [
                _flaw(
                    (strip_blanks(F.col(source)) != "") & read(F.col(source)).isNull(),
                    f"{known} is not a number",
                    line,
                )
                for known, (source, read) in READ_NUMBERS.items()
            ]
            ids = read_text_csv(spark, path, ("id",)).select(
                movie_id()
            )  # a pass of its own, without the texts
            parts.append(_repeated(ids).select(place, REASON, CONTENT))
        found = rows.select(F.explode(F.array_compact(F.array(*flaws))).alias("flaw"))
        parts.append(found.select(place, "flaw.*"))
    return reduce(DataFrame.unionAll, parts)


def _flaw(condition: Column, reason: str, content: Column) -> Column:
    return F.when(
        condition,
        F.struct(
            F.lit(reason).alias(REASON), F.substring(content, 1, CONTENT_CHARS).alias(CONTENT)
        ),
    )


def _repeated(ids: DataFrame) -> DataFrame:
    """Return a row for each row of a movie that is one too many."""
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
