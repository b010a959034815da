"""How many movies have each genre, pair of genres, number of genres, decade, country, language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.exploration.counting.value_counts import IN_GENRE, KIND, MOVIES, VALUE
from genre_spark.schemas import LABEL_IDS

__all__ = ["CategoryShares", "GenreCounts", "category_shares", "count_genres"]

Counts = npt.NDArray[np.int64]
_MOST_SIZES = 10  # movies with more genres are counted together


@dataclass(frozen=True)
class GenreCounts:
    """Counts of genres.

    Attributes:
        genres: names, the most frequent first.
        movies: movies with at least one genre.
        per_genre: movies of each genre, (L,).
        together: movies that have both genres, (L, L); the diagonal is `per_genre`.
        sizes: number of genres -> movies; the last one stands for itself and more.
    """

    genres: tuple[str, ...]
    movies: int
    per_genre: Counts
    together: Counts
    sizes: dict[int, int]

    @property
    def cardinality(self) -> float:
        """Mean number of genres per movie, of the genres that are shown."""
        return float(self.per_genre.sum()) / max(1, self.movies)


@dataclass(frozen=True)
class CategoryShares:
    """How genres spread over the values of a column.

    Attributes:
        values: the values shown, in their order.
        movies: movies that have each value, (V,).
        in_genre: those of them that have each genre, (V, L).
        others: number of values that are not shown.
        overall: share of each genre among all movies that have the column, (L,).
    """

    values: tuple[str, ...]
    movies: Counts
    in_genre: Counts
    others: int
    overall: npt.NDArray[np.float64]


def count_genres(movies: DataFrame, *, shown: Sequence[int], names: Sequence[str]) -> GenreCounts:
    """Count genres, pairs and sizes, in two jobs.

    Args:
        movies: with label_ids.
        shown: label ids to count, in the order wanted.
        names: the vocabulary.
    """
    places = {label: place for place, label in enumerate(shown)}
    wanted = F.filter(LABEL_IDS, lambda label: label.isin(list(shown)))
    first = movies.select(F.explode(wanted).alias("a"), wanted.alias("labels"))
    pairs = first.select("a", F.explode("labels").alias("b")).where("a <= b")
    together = np.zeros((len(shown), len(shown)), np.int64)
    for row in pairs.groupBy("a", "b").count().collect():  # at most L * (L + 1) / 2
        a, b = places[row["a"]], places[row["b"]]
        together[a, b] = together[b, a] = row["count"]
    size = F.least(F.size(LABEL_IDS), F.lit(_MOST_SIZES)).alias("size")
    sizes = {r["size"]: r["count"] for r in movies.groupBy(size).count().collect()}
    return GenreCounts(
        genres=tuple(names[label] for label in shown),
        movies=sum(sizes.values()),
        per_genre=np.diagonal(together).copy(),
        together=together,
        sizes=dict(sorted(sizes.items())),
    )


def category_shares(counts: DataFrame, kind: str, *, most: int, by_name: bool) -> CategoryShares:
    """Return the most frequent values of a column with their counts by genre.

    Args:
        counts: of `count_values`, both halves together.
        kind: the column.
        most: number of values to show.
        by_name: order them by name, not by frequency.
    """
    of_kind = counts.where(F.col(KIND) == kind)
    total = of_kind.count()
    rows = of_kind.orderBy(F.desc(MOVIES), VALUE).limit(most + 1).collect()
    if not rows:
        return CategoryShares((), np.array([]), np.array([]), 0, np.array([]))
    # the value of all movies that have the column is the most frequent one, and comes first
    every, rows = rows[0], rows[1:]
    if by_name:
        rows = sorted(rows, key=lambda row: str(row[VALUE]))
    return CategoryShares(
        values=tuple(row[VALUE] for row in rows),
        movies=np.array([row[MOVIES] for row in rows], np.int64),
        in_genre=np.array([row[IN_GENRE] for row in rows], np.int64),
        others=total - 1 - len(rows),
        overall=np.array(every[IN_GENRE], np.float64) / every[MOVIES],
    )
