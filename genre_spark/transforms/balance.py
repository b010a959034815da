"""What a selection of movies did to the genres: counts, cardinality, co-occurrence, effective sample size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.schemas import LABEL_IDS, WEIGHT
from genre_spark.transforms.caching import cached
from genre_spark.transforms.splits import SPLIT

__all__ = ["MAX_PAIRED_LABELS", "Balance", "describe_balance"]

MAX_PAIRED_LABELS = 64  # co-occurrence is a square: beyond this many genres it is neither readable nor small
_OTHER, _SIZE, _MOVIES, _WEIGHTS, _SQUARES = "other", "size", "movies", "weights", "squares"


@dataclass(frozen=True)
class Balance:
    """Figures of one split; each kind twice, as movies counted and as weights added up.

    Attributes:
        movies: number of movies.
        weight: sum of the weights, an estimate of the population's movies.
        effective: effective sample size after Kish: (sum of weights)^2 / sum of squared weights.
        cardinality: genres a movie.
        weighted_cardinality: the same, weighted.
        labels: movies of each label.
        weighted_labels: weights of each label.
        sizes: label -> number of genres -> movies of the label that have so many.
        weighted_sizes: the same, weighted.
        pairs: movies that have both labels, (L, L), the diagonal their own counts; empty beyond 64 labels.
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


def describe_balance(movies: DataFrame, *, splits: Sequence[str], labels: int) -> dict[str, Balance]:
    """Describe the movies of every split; runs Spark jobs, whose results grow with the vocabulary alone.

    Movies with the same labelset are counted together first, so that all else works on few rows.

    Args:
        movies: label_ids, split, weight.
        splits: names of the splits.
        labels: length of the vocabulary.
    """
    labelsets = movies.groupBy(SPLIT, LABEL_IDS).agg(
        F.count(F.lit(1)).alias(_MOVIES),
        F.sum(F.col(WEIGHT).cast("double")).alias(_WEIGHTS),
        F.sum(F.col(WEIGHT).cast("double") ** 2).alias(_SQUARES),
    )
    with cached(labelsets):
        size = F.size(LABEL_IDS)
        totals = {
            row[SPLIT]: row
            for row in labelsets.groupBy(SPLIT)
            .agg(
                *[F.sum(name).alias(name) for name in (_MOVIES, _WEIGHTS, _SQUARES)],
                F.sum(F.col(_MOVIES) * size).alias("held"),
                F.sum(F.col(_WEIGHTS) * size).alias("held_weight"),
            )
            .collect()
        }
        by_size = (
            labelsets.select(SPLIT, size.alias(_SIZE), F.explode(LABEL_IDS).alias("label"), _MOVIES, _WEIGHTS)
            .groupBy(SPLIT, "label", _SIZE)
            .agg(F.sum(_MOVIES).alias(_MOVIES), F.sum(_WEIGHTS).alias(_WEIGHTS))
            .collect()
        )
        pairs = _count_pairs(labelsets) if labels <= MAX_PAIRED_LABELS else {}
    described = {}
    for split in splits:
        rows = [row for row in by_size if row[SPLIT] == split]
        sizes: dict[int, dict[int, int]] = {}
        weighted: dict[int, dict[int, float]] = {}
        for row in sorted(rows, key=lambda row: row[_SIZE]):
            sizes.setdefault(row["label"], {})[row[_SIZE]] = row[_MOVIES]
            weighted.setdefault(row["label"], {})[row[_SIZE]] = row[_WEIGHTS]
        total = totals.get(split)
        described[split] = Balance(
            movies=total[_MOVIES] if total else 0,
            weight=total[_WEIGHTS] if total else 0.0,
            effective=total[_WEIGHTS] ** 2 / total[_SQUARES] if total else 0.0,
            cardinality=total["held"] / total[_MOVIES] if total else 0.0,
            weighted_cardinality=total["held_weight"] / total[_WEIGHTS] if total else 0.0,
            labels=[sum(sizes.get(label, {}).values()) for label in range(labels)],
            weighted_labels=[sum(weighted.get(label, {}).values()) for label in range(labels)],
            sizes=sizes,
            weighted_sizes=weighted,
            pairs=[[pairs.get((split, one, other), 0) for other in range(labels)] for one in range(labels)]
            if pairs
            else [],
        )
    return described


def _count_pairs(labelsets: DataFrame) -> dict[tuple[str, int, int], int]:
    both = labelsets.withColumn("label", F.explode(LABEL_IDS)).withColumn(_OTHER, F.explode(LABEL_IDS))
    counted = both.groupBy(SPLIT, "label", _OTHER).agg(F.sum(_MOVIES).alias(_MOVIES)).collect()
    return {(row[SPLIT], row["label"], row[_OTHER]): row[_MOVIES] for row in counted}
