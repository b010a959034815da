"""The values that tell most about each genre: log-odds with an informative prior.

Of each value and genre, the odds that a movie of the genre has the value are compared with the odds
of all other movies that have the column. The prior is one more movie with the value on each side,
at the value's overall rate, so that a word of five movies cannot win by chance. Values are ranked
by the log-odds ratio over its standard error (Monroe, Colaresi, Quinn: Fightin' Words, 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from genre_spark.exploration.counting.value_counts import IN_GENRE, KIND, MOVIES, VALUE

__all__ = ["SureValue", "TellingValue", "log_odds", "sure_values", "telling_values"]

_Z = 2.0  # standard errors; what is below may be luck
_LEAST = 3  # movies that a value needs
_LEAST_SURE = 5
_INFORMATION = 0.3


@dataclass(frozen=True)
class TellingValue:
    """A value that is more frequent in a genre than elsewhere.

    Attributes:
        value: a word, a person, a studio, ...
        movies: movies that have it.
        share: share of these that have the genre, 0..1.
        z: log-odds ratio in standard errors.
    """

    value: str
    movies: int
    share: float
    z: float


@dataclass(frozen=True)
class SureValue:
    """A value that alone nearly decides a genre.

    Attributes:
        kind: the column.
        value: the value.
        genre: position among the shown genres.
        movies: movies that have the value.
        share: share of these that have the genre, 0..1.
        covered: share of the genre's movies (with this column) that have the value, 0..1.
        information: mutual information of value and genre over the genre's entropy, 0..1.
    """

    kind: str
    value: str
    genre: int
    movies: int
    share: float
    covered: float
    information: float


def log_odds(counts: DataFrame) -> DataFrame:
    """Return a row per kind, value and genre that occur together.

    Columns: kind, value, movies, genre (position), a: movies with both, all: movies with the
    column, of_genre: those with the genre, delta: log-odds ratio, z.

    Args:
        counts: of `count_values`, of one half or of both.
    """
    totals = counts.where(F.col(VALUE) == "").select(
        KIND, F.col(MOVIES).alias("all"), F.col(IN_GENRE).alias("totals")
    )
    rows = counts.where((F.col(VALUE) != "") & (F.col(MOVIES) >= _LEAST))
    genre = rows.select(KIND, VALUE, MOVIES, F.posexplode(IN_GENRE).alias("genre", "a"))
    joined = genre.join(F.broadcast(totals), KIND)
    joined = joined.withColumn("of_genre", F.col("totals")[F.col("genre")]).drop("totals")
    a, of_genre = F.col("a"), F.col("of_genre")
    b, others = F.col(MOVIES) - a, F.col("all") - of_genre
    rest = F.col("all") / F.col(MOVIES) - 1  # of the prior: movies without the value
    parts = [a + 1, of_genre - a + rest, b + 1, others - b + rest]
    odds = [F.greatest(part, F.lit(0.5)) for part in parts]  # a value that every movie has
    delta = F.log(odds[0] / odds[1]) - F.log(odds[2] / odds[3])
    error: Column = F.sqrt(sum((1 / odd for odd in odds), F.lit(0.0)))
    return joined.withColumn("delta", delta).withColumn("z", F.col("delta") / error)


def telling_values(
    odds: DataFrame, *, kinds: Sequence[str], genres: int, most: int
) -> dict[str, list[list[TellingValue]]]:
    """Return kind -> for each genre its most telling values, the best first.

    Args:
        odds: of `log_odds`.
        kinds: columns wanted.
        genres: number of shown genres.
        most: values per column and genre.
    """
    rank = F.row_number().over(Window.partitionBy(KIND, "genre").orderBy(F.desc("z"), VALUE))
    wanted = odds.where(F.col(KIND).isin(list(kinds)) & (F.col("z") > _Z))
    rows = wanted.withColumn("rank", rank).where(F.col("rank") <= most).collect()
    found: dict[str, list[list[TellingValue]]] = {
        kind: [[] for _ in range(genres)] for kind in kinds
    }
    for row in sorted(rows, key=lambda row: int(row["rank"])):
        found[row[KIND]][row["genre"]].append(
            TellingValue(row[VALUE], row[MOVIES], row["a"] / row[MOVIES], row["z"])
        )
    return found


def sure_values(odds: DataFrame, *, most: int) -> list[SureValue]:
    """Return the single values that remove most of the uncertainty about a genre.

    Args:
        odds: of `log_odds`.
        most: number of values, over all columns and genres.
    """
    total = F.col("all").cast("double")
    with_value, of_genre = F.col(MOVIES) / total, F.col("of_genre") / total
    both = F.col("a") / total
    information = F.lit(0.0)
    for joint, value, genre in (
        (both, with_value, of_genre),
        (with_value - both, with_value, 1 - of_genre),
        (of_genre - both, 1 - with_value, of_genre),
        (1 - with_value - of_genre + both, 1 - with_value, 1 - of_genre),
    ):
        term = joint * F.log2(joint / (value * genre))
        information = information + F.when(joint > 1e-12, term).otherwise(0.0)
    entropy = -(of_genre * F.log2(of_genre) + (1 - of_genre) * F.log2(1 - of_genre))
    mixed = (F.col("of_genre") > 0) & (F.col("of_genre") < F.col("all"))
    rows = (
        odds.where((F.col(MOVIES) >= _LEAST_SURE) & mixed & (F.col("z") > _Z))
        .withColumn("information", information / entropy)
        .where(F.col("information") >= _INFORMATION)
        .orderBy(F.desc("information"), KIND, VALUE, "genre")
        .limit(most)
        .collect()
    )
    return [_sure(row) for row in rows]


def _sure(row: Row) -> SureValue:
    return SureValue(
        kind=row[KIND],
        value=row[VALUE],
        genre=row["genre"],
        movies=row[MOVIES],
        share=row["a"] / row[MOVIES],
        covered=row["a"] / row["of_genre"],
        information=row["information"],
    )
