"""Ranked movies as the tables of the Letterboxd layout."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.adapters.movies import FLAWS, LIST_TABLES, RANK, SOURCE_ID
from genre_spark.schemas import (
    CONTENT,
    LIST_CSVS,
    MOVIE_ID,
    MOVIES_CSV,
    NUMBERS_CSV,
    REASON,
    SOURCE,
    typed_schema,
)

__all__ = ["TABLES", "layout_table", "rejected_rows"]

_COLUMNS = {
    "movies": MOVIES_CSV,
    "numbers": NUMBERS_CSV,
    "genres": ("id", "genre"),
    **LIST_CSVS,
    "ids": ("id", SOURCE_ID, "imdb_id"),
    "posters": ("id", "link"),
}
TABLES = {name: typed_schema(columns) for name, columns in _COLUMNS.items()}
"""Table -> its columns: the files of the Letterboxd layout, with ids as numbers."""


def layout_table(ranked: DataFrame, name: str) -> DataFrame:
    """Return the rows of a table of `TABLES`.

    Args:
        ranked: of `movies.rank_rows`.
        name: of the table.
    """
    used = ranked.where(F.col(RANK) == 1).withColumnRenamed(MOVIE_ID, "id")
    if name in LIST_TABLES:
        *roles, value = TABLES[name].fieldNames()[1:]
        item = F.explode(name).alias("item")
        kept: list[Column] = [F.col("id")]
        kept += [F.coalesce("item.role", F.lit("")).alias(role) for role in roles]
        return used.select("id", item).select(*kept, F.col("item.name").alias(value))
    if name == "posters":
        return used.select("id", F.col("poster").alias("link")).where(F.col("link").isNotNull())
    if name == "numbers":
        some = F.coalesce(*[F.col(number) for number in NUMBERS_CSV[1:]])
        return used.where(some.isNotNull()).select(*NUMBERS_CSV)
    return used.select(*TABLES[name].fieldNames())


def rejected_rows(ranked: DataFrame, source: str) -> DataFrame:
    """Return all flaws as rows of REJECTS_SCHEMA.

    Args:
        ranked: of `movies.rank_rows`.
        source: name of the file.
    """
    flaws = ranked.select(F.explode(FLAWS).alias("flaw"))
    return flaws.select(
        F.lit(source).alias(SOURCE),
        F.col(f"flaw.{REASON}").alias(REASON),
        F.col(f"flaw.{CONTENT}").alias(CONTENT),
    )
