"""How many movies have each value of each column, in all and by genre: one job for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.exploration.counting.known_movies import HALF, KnownMovies, names_of, number_of
from genre_spark.schemas import LABEL_IDS

__all__ = [
    "IN_GENRE",
    "KIND",
    "MOVIES",
    "VALUE",
    "add_halves",
    "count_values",
    "list_values",
]

KIND = "kind"
VALUE = "value"
"""The empty value stands for all movies that have the column at all."""
MOVIES = "movies"
IN_GENRE = "in_genre"


def list_values(known: KnownMovies, edges: Mapping[str, Sequence[float]]) -> DataFrame:
    """Return label_ids, half, and an array of values for each column, empty where it is missing.

    Numbers become the range that they are in.

    Args:
        known: the movies.
        edges: number -> ascending lower ends of its ranges.
    """
    lists = [F.col(names_of(name)).alias(name) for name in known.names]
    ranges = [_range(name, values).alias(name) for name, values in edges.items() if values]
    return known.frame.select(LABEL_IDS, HALF, *lists, *ranges)


def count_values(values: DataFrame, *, shown: Sequence[int]) -> DataFrame:
    """Return kind, value, half, movies, and in_genre: movies of each shown genre, an array.

    Args:
        values: of `list_values`.
        shown: label ids, in the order wanted.
    """
    kinds = [name for name in values.columns if name not in (LABEL_IDS, HALF)]
    pairs = F.array(*[F.struct(F.lit(k).alias(KIND), _with_any(k).alias("v")) for k in kinds])
    flags = F.array(*[F.array_contains(LABEL_IDS, label).cast("long") for label in shown])
    one = (
        values.select(HALF, flags.alias("flags"), F.explode(pairs).alias("pair"))
        .select(HALF, "flags", f"pair.{KIND}", F.explode("pair.v").alias(VALUE))
        .groupBy(KIND, VALUE, HALF)
    )
    sums = [F.sum(F.col("flags")[place]).alias(f"g{place}") for place in range(len(shown))]
    counted = one.agg(F.count(F.lit(1)).alias(MOVIES), *sums)
    return counted.select(
        KIND, VALUE, HALF, MOVIES, F.array(*[f"g{n}" for n in range(len(shown))]).alias(IN_GENRE)
    )


def add_halves(counts: DataFrame, *, genres: int) -> DataFrame:
    """Return kind, value, movies and in_genre of both halves together."""
    sums = [F.sum(F.col(IN_GENRE)[place]) for place in range(genres)]
    return counts.groupBy(KIND, VALUE).agg(
        F.sum(MOVIES).alias(MOVIES), F.array(*sums).alias(IN_GENRE)
    )


def _with_any(kind: str) -> Column:
    """Return the values with the empty one before them, or nothing where there are none."""
    anything = F.array(F.lit(""))
    return F.when(F.size(kind) > 0, F.concat(anything, F.col(kind))).otherwise(
        F.array().cast("array<string>")
    )


def _range(name: str, edges: Sequence[float]) -> Column:
    """Return an array with the name of the range that a number is in; empty for a missing one."""
    value = F.col(number_of(name))
    names = [f"{low:.6g} to {high:.6g}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:.6g}", *names, f"{edges[-1]:.6g} or more"]
    reached = F.filter(F.array(*map(F.lit, edges)), lambda edge: edge <= value)
    labels = F.array(*map(F.lit, names))
    return F.when(value.isNotNull(), F.array(F.element_at(labels, F.size(reached) + 1))).otherwise(
        F.array().cast("array<string>")
    )
