"""Spare Spark ML's trees most of their search for splits, which all fits on a table repeat.

Gains: on ten thousand rows the search takes longer than growing twenty trees. To switch it off, let
`searched_bins` return None.

A tree of Spark ML looks for at most maxBins - 1 thresholds per feature, by sorting its distinct
values. Where thresholds lie depends only on the values next to them and on how many rows are below.
So any other value can be replaced by the smallest one between the same two thresholds: Spark finds
the same thresholds, grows the same trees, and has few values to sort.

Vectors that are mostly zeros become sparse: before each fit Spark looks for NaN among the numbers
that a vector stores, one by one, which took a seventh of the fits of 900 words and categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator
from pyspark.ml.classification import DecisionTreeClassifier, GBTClassifier, RandomForestClassifier
from pyspark.ml.feature import VectorAssembler, VectorSizeHint
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.multilabel.fitting.plan import Subproblem
from genre_spark.multilabel.matrices import decode_arrays
from genre_spark.workers.tasks import short_task

__all__ = ["merge_values", "searched_bins", "with_few_values"]

_DENSE = "_dense"
_SEARCHED_ROWS = 10_000  # of more, or of more than maxBins^2, Spark searches a random sample


def searched_bins(
    classifier: Estimator, subproblems: Sequence[Subproblem], n_rows: int
) -> int | None:
    """Return how many bins the fits make of a feature.

    None where the fits are of no trees, or do not all search the same rows.

    Args:
        classifier: the classifier that is fitted on every subproblem.
        subproblems: the fits.
        n_rows: number of rows of the training table, all of weight 1.
    """
    if not isinstance(classifier, RandomForestClassifier | DecisionTreeClassifier | GBTClassifier):
        return None
    bins = int(classifier.getOrDefault("maxBins"))
    same = all(
        sub.sample.kind == "all"
        and not sub.sample.any_of
        and (sub.positive_weight, sub.negative_weight, sub.negative_rate) == (1.0, 1.0, 1.0)
        and getattr(sub.target, "pruning", None) is None
        for sub in subproblems
    )
    searched = n_rows <= max(bins**2, _SEARCHED_ROWS)
    return min(bins, n_rows) if same and searched and len(subproblems) > 1 else None


def merge_values(features: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Return features with fewer distinct values, of which Spark ML's trees make the same bins.

    Spark cuts (RandomForest.findSplitsForContinuousFeature) before a value where the rows below it
    are nearer to the next multiple of rows / bins than the rows up to it.

    Args:
        features: features of all rows, (rows, features).
        bins: most bins of a feature.
    """
    rows = len(features)
    merged = features.copy()
    for column in range(features.shape[1]):
        values, number, counts = np.unique(
            features[:, column], return_inverse=True, return_counts=True
        )
        if len(values) <= bins or not np.isfinite(values).all():
            continue
        below = np.cumsum(counts)
        middle = (below[:-1] + below[1:]) / 2
        cuts = [0]
        for target in np.cumsum(np.full(bins - 1, rows / bins)):
            cut = max(int(np.searchsorted(middle, target, side="right")) + 1, cuts[-1] + 1)
            if cut >= len(values):
                break
            cuts.append(cut)
        starts, ends = np.array(cuts), np.array([*cuts[1:], len(values)]) - 1
        becomes = values[np.repeat(starts, ends - starts + 1)]
        becomes[ends] = values[ends]
        # Spark would put a threshold between any two of fewer values
        if len(np.union1d(starts, ends)) > bins:
            merged[:, column] = becomes[number.ravel()]
    return merged


def with_few_values(table: DataFrame, bins: int, *, size: int) -> DataFrame:
    """Return a table of one partition with the values of `features` (Vector) merged.

    Args:
        table: rows of one partition.
        bins: most bins of a feature.
        size: length of the vectors.
    """
    names = table.columns
    plain = table.withColumn("features", vector_to_array(F.col("features")))

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = list(batches)
        if not sum(batch.num_rows for batch in found):
            return
        whole = pa.Table.from_batches(found).combine_chunks()
        matrix = merge_values(decode_arrays(whole["features"].combine_chunks(), "features"), bins)
        offsets = pa.array(np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1])
        vectors = pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel()))
        yield from whole.set_column(names.index("features"), "features", vectors).to_batches(
            max_chunksize=2000
        )

    merged = plain.mapInArrow(short_task(merge), plain.schema)
    vectors = merged.withColumn(_DENSE, array_to_vector(F.col("features"))).drop("features")
    # the shorter form of each vector, dense or sparse
    hint = VectorSizeHint(inputCol=_DENSE, size=size, handleInvalid="optimistic")
    shorter = VectorAssembler(inputCols=[_DENSE], outputCol="features", handleInvalid="keep")
    metadata = table.schema["features"].metadata
    features = F.col("features").alias("features", metadata=metadata)
    found = shorter.transform(hint.transform(vectors))
    return found.select(*(features if name == "features" else F.col(name) for name in names))
