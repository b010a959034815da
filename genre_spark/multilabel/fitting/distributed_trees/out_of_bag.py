"""Score training rows by the trees that did not draw them, in tasks that hold a part of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from genre_spark.multilabel.fitting.distributed_trees.draws import (
    count_draws,
    draw_limits,
    nth_keys,
    row_keys,
)
from genre_spark.multilabel.fitting.distributed_trees.table import single_features
from genre_spark.multilabel.fitting.distributed_trees.trees import tree_key
from genre_spark.multilabel.fitting.multilabel_trees import OUT_OF_BAG_SCHEMA
from genre_spark.multilabel.fitting.statistics import RowCheck
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestScorer
from genre_spark.workers.tasks import short_task

__all__ = ["score_out_of_bag"]


@dataclass(frozen=True)
class _Scoring:
    """Scores rows whose key and number among equal rows are known."""

    forest: ForestScorer
    check: RowCheck
    seed: int
    draws: float
    whole: frozenset[int]

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield self._score(batch)

    def _score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = self.check.decode(batch)
        key, number = (
            batch.column(batch.schema.names.index(name)).to_numpy(zero_copy_only=False)
            for name in ("key", "number")
        )
        keys = nth_keys(key.astype(np.int64).view(np.uint64), number - 1)
        sums, counts = np.zeros(rows.labels.shape), np.zeros(len(keys))
        limits = draw_limits(self.draws)
        block = FeatureBlock(rows.features)
        for tree, answer in enumerate(self.forest.each_tree(block)):
            if tree in self.whole:
                continue
            unseen = count_draws(keys, tree_key(self.seed, tree), limits) == 0
            sums[unseen] += answer[unseen]
            counts += unseen
        known = counts > 0
        scores = sums[known] / counts[known, None]
        columns = [_lists(rows.labels[known]), _lists(scores)]
        return pa.RecordBatch.from_arrays(columns, names=["labels", "probabilities"])


def score_out_of_bag(
    training: DataFrame,
    check: RowCheck,
    forest: ForestScorer,
    *,
    seed: int,
    draws: float,
    whole: Iterable[int],
) -> DataFrame:
    """Return labels and probabilities of the rows that a forest of `fit_distributed` has not drawn.

    Args:
        training: of `training_rows`, the rows of the fit.
        check: how rows are checked.
        forest: the fitted forest.
        seed: of the fit.
        draws: mean number of times that a tree draws a row.
        whole: numbers of the trees that take every row.
    """

    def add_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                rows = check.decode(batch)
                keys = row_keys(single_features(rows.features), rows.labels, rows.weights)
                names = [*batch.schema.names, "key"]
                columns = [*batch.columns, pa.array(keys.view(np.int64))]
                yield pa.RecordBatch.from_arrays(columns, names=names)

    schema = StructType([*training.schema.fields, StructField("key", LongType())])
    keyed = training.mapInArrow(short_task(add_keys), schema)
    equal = Window.partitionBy("key").orderBy("row_hash")
    numbered = keyed.withColumn("number", F.row_number().over(equal))
    scoring = _Scoring(forest, check, seed, draws, frozenset(whole))
    return numbered.mapInArrow(short_task(scoring.run), OUT_OF_BAG_SCHEMA)


def _lists(matrix: NDArray[np.float64]) -> pa.Array:
    """Return the rows of a matrix as lists."""
    starts = np.arange(0, matrix.size + 1, max(1, matrix.shape[1]), dtype=np.int32)
    values = np.ascontiguousarray(matrix, dtype=np.float64).ravel()
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(values))
