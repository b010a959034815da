"""Genres of a selection of movies: counts, cardinality, co-occurrence, effective size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from genre_spark.sampling.splits import SPLIT
from genre_spark.schemas import LABEL_IDS, WEIGHT
from genre_spark.storage.caching import cached

__all__ = ["ALL", "MAX_PAIRED_LABELS", "Balance", "count_labelsets", "describe_labelsets"]

ALL = "all"  # the movies of all splits together

# co-occurrence is a square: beyond this many genres it is neither readable nor small
MAX_PAIRED_LABELS = 64
_LABEL, _OTHER, _SIZE = "label", "other", "size"
_MOVIES, _WEIGHTS, _SQUARES = "movies", "weights", "squares"
_EVERY_MOVIE = -1  # stands among label ids for the movie itself


@dataclass(frozen=True)
class Balance:
    """Figures of one split; each kind twice, as movies counted and as weights added up.

    Attributes:
        movies: number of movies.
        weight: sum of the weights, an estimate of the population's movies.
        effective: effective sample size after Kish: (sum of weights)^2 / sum of squared weights.
        cardinality: genres per movie.
        weighted_cardinality: the same, weighted.
        labels: movies of each label.
        weighted_labels: weights of each label.
        sizes: label -> number of genres -> movies of the label that have so many.
        weighted_sizes: the same, weighted.
        pairs: movies that have both labels, (L, L), the diagonal their own counts; empty beyond 64
            labels.
        weighted_pairs: the same, weighted.
    """

    movies: int
    weight: float
    effective: float
    cardinality: float
    weighted_cardinality: float
    labels: list[int]
    weighted_labels: list[float]
    sizes: dict[int, dict[int, int]] = field(default_factory=dict)
    weighted_sizes: dict[int, dict[int, float]] = field(default_factory=dict)
    pairs: list[list[int]] = field(default_factory=list)
    weighted_pairs: list[list[float]] = field(default_factory=list)


def count_labelsets(movies: DataFrame) -> DataFrame:
    """Count the movies of every split and labelset: few rows, from which all else follows.

    Args:
        movies: label_ids, split, weight.

    Returns:
        split, label_ids, movies, weights (their sum), squares (of the weights, summed).
    """
    weight = F.col(WEIGHT).cast("double")
    return movies.groupBy(SPLIT, LABEL_IDS).agg(
        F.count(F.lit(1)).alias(_MOVIES),
        F.sum(weight).alias(_WEIGHTS),
        F.sum(weight**2).alias(_SQUARES),
    )


def describe_labelsets(
    labelsets: DataFrame, *, splits: Sequence[str], labels: int
) -> dict[str, Balance]:
    """Describe the movies of every split, and all together as `ALL`.

    Runs Spark jobs that return L^2 numbers at most.

    Args:
        labelsets: of `count_labelsets`.
        splits: names of the splits.
        labels: length of the vocabulary.
    """
    with cached(labelsets.withColumn(SPLIT, F.explode(F.array(SPLIT, F.lit(ALL))))) as counted:
        every = F.explode(F.concat(F.array(F.lit(_EVERY_MOVIE)), LABEL_IDS)).alias(_LABEL)
        by_size = (
            counted.select(
                SPLIT, F.size(LABEL_IDS).alias(_SIZE), every, _MOVIES, _WEIGHTS, _SQUARES
            )
            .groupBy(SPLIT, _LABEL, _SIZE)
            .agg(*[F.sum(name).alias(name) for name in (_MOVIES, _WEIGHTS, _SQUARES)])
            .collect()
        )
        pairs = _count_pairs(counted) if labels <= MAX_PAIRED_LABELS else {}
    return {
        split: _describe(
            [row for row in by_size if row[SPLIT] == split],
            {(one, other): found for (name, one, other), found in pairs.items() if name == split},
            labels,
        )
        for split in (*splits, ALL)
    }


def _describe(
    rows: Sequence[Row], pairs: Mapping[tuple[int, int], tuple[int, float]], labels: int
) -> Balance:
    every = [row for row in rows if row[_LABEL] == _EVERY_MOVIE]
    movies, weight, squares = (
        sum(row[name] for row in every) for name in (_MOVIES, _WEIGHTS, _SQUARES)
    )
    sizes: dict[int, dict[int, int]] = {}
    weighted: dict[int, dict[int, float]] = {}
    for row in sorted(rows, key=lambda row: row[_SIZE]):
        if row[_LABEL] != _EVERY_MOVIE:
            sizes.setdefault(row[_LABEL], {})[row[_SIZE]] = row[_MOVIES]
            weighted.setdefault(row[_LABEL], {})[row[_SIZE]] = row[_WEIGHTS]
    square = (
        [[pairs.get((one, other), (0, 0.0)) for other in range(labels)] for one in range(labels)]
        if pairs
        else []
    )
    return Balance(
        movies=movies,
        weight=weight,
        effective=weight**2 / squares if squares else 0.0,
        cardinality=sum(row[_MOVIES] * row[_SIZE] for row in every) / movies if movies else 0.0,
        weighted_cardinality=sum(row[_WEIGHTS] * row[_SIZE] for row in every) / weight
        if weight
        else 0.0,
        labels=[sum(sizes.get(label, {}).values()) for label in range(labels)],
        weighted_labels=[sum(weighted.get(label, {}).values()) for label in range(labels)],
        sizes=sizes,
        weighted_sizes=weighted,
        pairs=[[count for count, _ in row] for row in square],
        weighted_pairs=[[total for _, total in row] for row in square],
    )


def _count_pairs(labelsets: DataFrame) -> dict[tuple[str, int, int], tuple[int, float]]:
    both = labelsets.withColumn(_LABEL, F.explode(LABEL_IDS)).withColumn(
        _OTHER, F.explode(LABEL_IDS)
    )
    counted = both.groupBy(SPLIT, _LABEL, _OTHER).agg(
        F.sum(_MOVIES).alias(_MOVIES), F.sum(_WEIGHTS).alias(_WEIGHTS)
    )
    return {
        (row[SPLIT], row[_LABEL], row[_OTHER]): (row[_MOVIES], row[_WEIGHTS])
        for row in counted.collect()
    }
