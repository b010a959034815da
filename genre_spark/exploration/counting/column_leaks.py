"""How well one column alone knows each genre: an AUC on movies that it has not been learnt from.

A score is learnt from one half of the movies: the sum of the log-odds of a movie's values in the
column. On the other half the AUC is the chance that a movie of the genre scores above one without
it; 0.5 says nothing, 1 says all. Scores are counted in ranges, so that the driver holds a few
numbers whatever the number of movies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from genre_spark.exploration.counting.known_movies import HALF
from genre_spark.exploration.counting.telling_values import log_odds
from genre_spark.exploration.counting.value_counts import KIND, MOVIES, VALUE
from genre_spark.schemas import LABEL_IDS
from genre_spark.workers.tasks import short_task

__all__ = ["ColumnScores", "column_aucs", "learn_scores"]

Matrix = npt.NDArray[np.float64]
_VALUES = 2000  # per column, the most frequent
_BINS = 1000
_LEAST = 5  # movies with and without the genre, in the half that is measured
_COUNTED = "kind string, genre int, bin int, positive bigint, negative bigint"


@dataclass(frozen=True)
class ColumnScores:
    """What one half of the movies says about a column's values.

    Attributes:
        values: the most frequent values, V.
        weights: log-odds ratio of each value and genre, (V, L).
    """

    values: tuple[str, ...]
    weights: Matrix


def learn_scores(counts: DataFrame, *, genres: int) -> dict[str, ColumnScores]:
    """Return column -> log-odds of its most frequent values.

    Args:
        counts: of `count_values`, one half of the movies.
        genres: number of shown genres.
    """
    rank = F.row_number().over(Window.partitionBy(KIND).orderBy(F.desc(MOVIES), VALUE))
    ranked = counts.withColumn("rank", rank)  # the first one is "", all movies with the column
    odds = log_odds(ranked.where(F.col("rank") <= _VALUES + 1).drop("rank"))
    by_genre = F.sort_array(F.collect_list(F.struct("genre", "delta")))
    rows = odds.groupBy(KIND, VALUE).agg(F.transform(by_genre, lambda one: one["delta"]))
    values: dict[str, list[str]] = {}
    weights: dict[str, list[list[float]]] = {}
    for kind, value, deltas in rows.orderBy(KIND, VALUE).collect():  # _VALUES per column
        values.setdefault(kind, []).append(value)
        weights.setdefault(kind, []).append(deltas)
    return {
        kind: ColumnScores(tuple(names), np.array(weights[kind]).reshape(-1, genres))
        for kind, names in values.items()
    }


def column_aucs(
    values: DataFrame, scores: Mapping[str, ColumnScores], *, shown: Sequence[int]
) -> dict[str, Matrix]:
    """Return column -> AUC for each genre, (L,); NaN where too few movies have the genre or not.

    Only movies that have the column are counted.

    Args:
        values: of `list_values`, the half that the scores were not learnt from.
        scores: of `learn_scores`.
        shown: label ids, in the order wanted.
    """
    if not scores:
        return {}
    count = short_task(_Counter(dict(scores), tuple(shown)))
    rows = values.drop(HALF).select(LABEL_IDS, *scores).mapInArrow(count, _COUNTED)
    bins = rows.groupBy(KIND, "genre", "bin").agg(
        F.sum("positive").alias("positive"), F.sum("negative").alias("negative")
    )
    before = Window.partitionBy(KIND, "genre").orderBy("bin")
    lower = F.sum("negative").over(before) - F.col("negative") / 2
    found = (
        bins.withColumn("lower", lower)
        .groupBy(KIND, "genre")
        .agg(
            F.sum(F.col("positive") * F.col("lower")).alias("above"),
            F.sum("positive").alias("positive"),
            F.sum("negative").alias("negative"),
        )
        .collect()
    )  # a row per column and genre
    aucs = {kind: np.full(len(shown), np.nan) for kind in scores}
    for row in found:
        if min(row["positive"], row["negative"]) >= _LEAST:
            area = row["above"] / (row["positive"] * row["negative"])
            aucs[row[KIND]][row["genre"]] = area
    return aucs


class _Counter:
    """Counts movies by column, genre, range of the score, and whether they have the genre."""

    def __init__(self, scores: dict[str, ColumnScores], shown: tuple[int, ...]) -> None:
        self.scores = scores
        self.shown = shown

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        genres = len(self.shown)
        counts = {kind: np.zeros((genres, _BINS, 2), np.int64) for kind in self.scores}
        places = np.arange(genres)[None, :]
        for batch in batches:
            truth = _multi_hot(batch.column(0), pa.array(self.shown, pa.int32())) > 0
            for number, (kind, learnt) in enumerate(self.scores.items(), start=1):
                column = batch.column(number)
                known = pc.list_value_length(column).to_numpy(zero_copy_only=False) > 0
                hot = _multi_hot(column, pa.array(learnt.values, pa.string()))
                total = np.asarray(hot @ learnt.weights)[known]
                bins = np.minimum((_squash(total) * _BINS).astype(np.int64), _BINS - 1)
                index = (places, bins, truth.toarray()[known].astype(np.int64))
                np.add.at(counts[kind], index, 1)
        for kind, table in counts.items():
            genre, place = np.nonzero(table.sum(axis=2))
            negative, positive = table[genre, place].T
            arrays = [
                pa.array([kind] * len(genre), pa.string()),
                pa.array(genre, pa.int32()),
                pa.array(place, pa.int32()),
                pa.array(positive),
                pa.array(negative),
            ]
            names = [KIND, "genre", "bin", "positive", "negative"]
            yield pa.RecordBatch.from_arrays(arrays, names=names)


def _multi_hot(lists: pa.ListArray, values: pa.Array) -> csr_matrix:
    """Return a row per list with 1 for each of the values in it, (rows, values)."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(lists)), lengths)
    found = pc.index_in(lists.flatten(), value_set=values)
    kept = pc.is_valid(found).to_numpy(zero_copy_only=False)
    places = pc.drop_null(found).to_numpy(zero_copy_only=False)
    ones = np.ones(len(places))
    return csr_matrix((ones, (rows[kept], places)), shape=(len(lists), len(values)))


def _squash(scores: Matrix) -> Matrix:
    """Return scores of any size as 0..1, in the same order."""
    return (scores / (4 + np.abs(scores)) + 1) / 2
