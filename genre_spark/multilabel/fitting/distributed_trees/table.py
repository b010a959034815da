"""From training rows to a table of binned rows: a sample for the bins, then one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import BINNED_SCHEMA, RowLayout
from genre_spark.multilabel.fitting.distributed_trees.binning import find_bins
from genre_spark.multilabel.fitting.distributed_trees.draws import Occurrences, row_keys
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics
from genre_spark.multilabel.fitting.training_data import pack_training, unpack_training
from genre_spark.multilabel.matrices import is_sparse
from genre_spark.workers.spreading import partition_keys
from genre_spark.workers.tasks import short_task

__all__ = [
    "bin_table",
    "choose_layout",
    "count_partitions",
    "row_bytes",
    "single_features",
]

_SAMPLED = 20_000  # rows whose values decide where thresholds are
_SAMPLED_VALUES = 2**23  # numbers that the driver takes for that: 32 MiB
_FEWEST = 1_000
_PARTITION = 2**28  # bytes of binned rows that a cached partition may have
_EXACT = 50  # bits of a sum of weights that are kept: of the 53 of a double


def choose_layout(
    training: DataFrame, check: RowCheck, statistics: TrainingStatistics, *, max_bins: int
) -> RowLayout:
    """Return how rows are stored, with the bins of their features.

    Args:
        training: of `training_rows`.
        check: how rows are checked.
        statistics: of the training data.
        max_bins: most bins per feature, 2..256.
    """
    n_rows = statistics.n_rows
    sparse = is_sparse(statistics.stored_values, n_rows, statistics.n_features)
    values = max(1, statistics.stored_values // n_rows)
    share = max(_FEWEST, min(_SAMPLED, _SAMPLED_VALUES // values)) / n_rows
    if share < 1:
        parts = 2**31 - 1
        drawn = F.pmod(F.xxhash64("row_hash"), F.lit(parts)) < int(share * parts)
        training = training.where(drawn)
    rows: Any = [row.asDict() for row in pack_training(training, check, single=True).collect()]
    sample = unpack_training(rows, single=True, weighted=False, sparse=sparse).features
    bins = find_bins(sample, max_bins, with_missing=check.allow_invalid)
    return RowLayout(bins, statistics.n_labels, sparse)


def count_partitions(layout: RowLayout, statistics: TrainingStatistics, slots: int) -> int:
    """Return the number of partitions: as many as tasks run at once, more where they get large.

    Args:
        layout: what a row has.
        statistics: of the training data.
        slots: number of tasks that the cluster runs at once.
    """
    held = statistics.n_rows * row_bytes(layout, statistics)
    return max(1, math.ceil(held / _PARTITION), min(slots, math.ceil(statistics.n_rows / 1000)))


def row_bytes(layout: RowLayout, statistics: TrainingStatistics) -> float:
    """Return the mean bytes of a stored row."""
    stored = 5 * statistics.stored_values / statistics.n_rows if layout.sparse else 0.0
    return layout.kind.itemsize + stored


def bin_table(
    training: DataFrame,
    check: RowCheck,
    layout: RowLayout,
    statistics: TrainingStatistics,
    *,
    partitions: int,
) -> DataFrame:
    """Return the rows binned, in partitions by their content, each with a key of its own.

    Weights are rounded to a multiple of a power of two, a 2^-50th of their sum: sums of them are
    exact, and so the same in any order.
    """
    unit = 2.0 ** (math.ceil(math.log2(statistics.weight)) - _EXACT)
    numbers = partition_keys(partitions)

    def bin_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            rows = check.decode(batch)
            features = single_features(rows.features)
            keys = row_keys(features, rows.labels, rows.weights)
            places = (keys % np.uint64(partitions)).astype(np.int64)
            order = np.argsort(places, kind="stable")
            weights = np.round(rows.weights / unit) * unit
            binned = layout.bin_rows(features, rows.labels, weights, keys)
            yield from binned.take(order).to_batches(numbers[places[order]])

    def tell_apart(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen = Occurrences()
        for batch in batches:
            if batch.num_rows:
                found = layout.from_batch(batch)
                rows = found.rows.copy()
                rows["key"] = seen.tell_apart(found.keys)
                yield from replace(found, rows=rows).to_batches(np.zeros(len(rows), np.int32))

    binned = training.mapInArrow(short_task(bin_rows), BINNED_SCHEMA)
    dealt = binned.repartition(partitions, "place")
    return dealt.mapInArrow(short_task(tell_apart), BINNED_SCHEMA)


def single_features(features: Any) -> NDArray[np.float32] | csr_matrix:
    """Return features as float32, in which trees compare them; too large ones are infinite."""
    with np.errstate(over="ignore"):
        return features.astype(np.float32)
