"""Movies that are there twice: the same title and year, or the same poster."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from genre_spark.exploration.counting.known_movies import TITLE, KnownMovies, number_of
from genre_spark.schemas import IMAGE, LABEL_IDS, MOVIE_ID

__all__ = ["Example", "Repeated", "repeated_posters", "repeated_titles"]

_EXAMPLES = 10
_IDS = 5


@dataclass(frozen=True)
class Example:
    """A group of movies that share something.

    Attributes:
        what: title and year, or nothing for a poster.
        movies: how many share it.
        ids: the first few ids.
        same_genres: whether all have the same genres.
    """

    what: str
    movies: int
    ids: tuple[int, ...]
    same_genres: bool


@dataclass(frozen=True)
class Repeated:
    """Movies that share something.

    Attributes:
        groups: number of titles or pictures that several movies share.
        movies: movies in these groups.
        other_genres: groups whose movies differ in their genres.
        examples: the largest groups.
    """

    groups: int
    movies: int
    other_genres: int
    examples: tuple[Example, ...]


def repeated_titles(known: KnownMovies) -> Repeated | None:
    """Count titles (without regard to case) that several movies of one year share.

    None where no title is known.
    """
    if not known.numbers:
        return None
    year = F.col(number_of("year")).cast("int").cast("string")
    movies = known.frame.where(F.col(TITLE).isNotNull() & year.isNotNull())
    what = F.concat_ws(", ", F.substring(TITLE, 1, 200), year)
    return _repeated(
        movies.select(MOVIE_ID, LABEL_IDS, F.lower(what).alias("key"), what.alias("what"))
    )


def repeated_posters(known: KnownMovies, posters: DataFrame) -> Repeated:
    """Count stored pictures that are equal to the last byte.

    Args:
        known: the movies; posters of others are not counted.
        posters: the posters table.
    """
    digests = posters.select(MOVIE_ID, F.xxhash64(IMAGE).alias("key"))
    movies = known.frame.select(MOVIE_ID, LABEL_IDS).join(digests, MOVIE_ID)
    return _repeated(movies.withColumn("what", F.lit("")))


def _repeated(movies: DataFrame) -> Repeated:
    genres = F.xxhash64(LABEL_IDS)
    groups = movies.groupBy("key").agg(
        F.min("what").alias("what"),
        F.count(F.lit(1)).alias("movies"),
        F.min(MOVIE_ID).alias("first"),
        (F.min(genres) == F.max(genres)).alias("same"),
    )
    groups = groups.where("movies > 1")
    total = groups.agg(
        F.count(F.lit(1)).alias("groups"),
        F.coalesce(F.sum("movies"), F.lit(0)).alias("movies"),
        F.coalesce(F.sum((~F.col("same")).cast("int")), F.lit(0)).alias("other"),
    ).first()
    if total is None or not total["groups"]:
        return Repeated(0, 0, 0, ())
    largest = groups.orderBy(F.desc("movies"), "first").limit(_EXAMPLES)
    # the ids of the largest groups alone, so that a placeholder of a million movies is no list
    members = movies.select("key", MOVIE_ID).join(F.broadcast(largest.select("key")), "key")
    order = F.row_number().over(Window.partitionBy("key").orderBy(MOVIE_ID))
    few = members.withColumn("rank", order).where(F.col("rank") <= _IDS).collect()
    ids: dict[object, list[int]] = {}
    for row in few:
        ids.setdefault(row["key"], []).append(row[MOVIE_ID])
    examples = [
        Example(row["what"], row["movies"], tuple(sorted(ids[row["key"]])), row["same"])
        for row in largest.collect()
    ]
    return Repeated(total["groups"], total["movies"], total["other"], tuple(examples))
