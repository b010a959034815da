"""Training data packed into binary blocks that reach each executor once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, vstack

from genre_spark.multilabel.columns import array_column, feature_names, number_column, vector_column
from genre_spark.multilabel.fitting.cooccurrence import count_packed_cooccurrence
from genre_spark.multilabel.fitting.statistics import (
    SUMMARY_SCHEMA,
    PartitionSummary,
    RowCheck,
    TrainingStatistics,
    merge_summaries,
)
from genre_spark.multilabel.matrices import AnyMatrix, Labels, pack_labels, unpack_labels
from genre_spark.multilabel.shared_params import MultilabelParams
from genre_spark.workers.tasks import short_task

__all__ = [
    "Payload",
    "TrainingMatrix",
    "pack_training",
    "row_check",
    "summarise_blocks",
    "training_rows",
    "unpack_training",
    "with_matrix",
]

_SUMMARY = [field.strip().split(" ")[0] for field in SUMMARY_SCHEMA.split(",")]
# features (of csr their numbers, columns and where rows start), labels, weights, hashes of the rows
_MATRIX = ["x", "columns", "starts", "y", "w", "h"]
_BLOCKS = ", ".join([SUMMARY_SCHEMA, *(f"{name} binary" for name in _MATRIX)])

Payload = tuple[str, bytes, bytes | None]  # what a task returns: kind, model, its classes


@dataclass(frozen=True)
class TrainingMatrix:
    """The training data of model-parallel fits.

    Attributes:
        features: (rows, features), float32 where the classifier compares in float32, else float64;
            csr where rows store few of their features and the classifier takes that.
        labels: 0 or 1, (rows, labels).
        weights: (rows,); None where rows are not weighted.
    """

    features: NDArray[np.floating] | csr_matrix
    labels: Labels
    weights: NDArray[np.float64] | None


def training_rows(dataset: DataFrame, params: MultilabelParams) -> DataFrame:
    """Return the columns that a fit reads.

    Returns:
        features (unwrapped Vector), labels (array<double>), weight (double), row_hash (long).

    Raises:
        InvalidInputError: a column is missing or has a wrong type.
    """
    projected = dataset.select(
        vector_column(dataset, params.getFeaturesCol(), "featuresCol").alias("features"),
        array_column(dataset, params.getLabelsCol(), "labelsCol").alias("labels"),
        number_column(dataset, params.getWeightCol(), "weightCol").alias("weight"),
    )
    return projected.withColumn("row_hash", F.xxhash64("features", "labels"))


def row_check(dataset: DataFrame, params: MultilabelParams) -> RowCheck:
    """Return how the rows of training data are checked."""
    return RowCheck(
        features_role=params.getFeaturesCol(),
        labels_role=params.getLabelsCol(),
        feature_names=feature_names(dataset, params.getFeaturesCol()),
        allow_invalid=params.getHandleInvalid() == "keep",
    )


def pack_training(projected: DataFrame, check: RowCheck, *, single: bool) -> DataFrame:
    """Return the projected training data, checked, as one row of binary columns per Arrow batch.

    Args:
        projected: result of `training_rows`.
        check: how rows are checked.
        single: whether features are kept as float32.
    """

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield _pack(batch, check, np.float32 if single else np.float64)

    return projected.mapInArrow(short_task(pack), _BLOCKS)


def _pack(batch: pa.RecordBatch, check: RowCheck, kind: Any) -> pa.RecordBatch:
    rows = check.decode(batch)
    hashes = batch.column(batch.schema.names.index("row_hash")).to_numpy(zero_copy_only=False)
    packed = [
        *_pack_features(rows.features, kind),
        pack_labels(rows.labels),
        np.ascontiguousarray(rows.weights).tobytes(),
        np.ascontiguousarray(hashes, dtype=np.int64).tobytes(),
    ]
    summary = PartitionSummary.of_rows(rows).to_batch()
    blocks = [pa.array([block], pa.binary()) for block in packed]
    return pa.RecordBatch.from_arrays([*summary.columns, *blocks], names=[*_SUMMARY, *_MATRIX])


def _pack_features(features: AnyMatrix, kind: Any) -> list[bytes | None]:
    if not isinstance(features, csr_matrix):
        return [np.ascontiguousarray(features, dtype=kind).tobytes(), None, None]
    parts = ((features.data, kind), (features.indices, np.int32), (features.indptr, np.int64))
    return [np.ascontiguousarray(part, dtype=one).tobytes() for part, one in parts]


def _unpack_features(row: dict[str, Any], kind: Any, *, sparse: bool) -> Any:
    """Return the features of a block as csr where `sparse`, else dense."""
    shape = (row["n_rows"], row["n_features"])
    values = np.frombuffer(row["x"], kind)
    if row["columns"] is None:
        dense = values.reshape(shape)
        return csr_matrix(dense) if sparse else dense
    columns = np.frombuffer(row["columns"], np.int32)
    starts = np.frombuffer(row["starts"], np.int64)
    matrix = csr_matrix((values, columns, starts), shape=shape)
    return matrix if sparse else matrix.toarray()


def summarise_blocks(blocks: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Return the statistics of packed training data: one row per partition comes to the driver.

    Raises:
        InvalidInputError, InvalidLabelsError: for the first bad row; also when there is no row.
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = PartitionSummary()
        for batch in batches:
            for row in batch.to_pylist():
                summary.add(PartitionSummary.of_row(row), check)
        yield summary.to_batch()

    summaries = blocks.select(*_SUMMARY).mapInArrow(short_task(add_up), SUMMARY_SCHEMA)
    return merge_summaries(summaries, check, partial(count_packed_cooccurrence, blocks))


def unpack_training(
    rows: Sequence[dict[str, Any]], *, single: bool, weighted: bool, sparse: bool = False
) -> TrainingMatrix:
    """Return the training matrix of all blocks, rows in the order of their hash.

    Args:
        rows: the blocks.
        single: whether features are float32.
        weighted: whether rows have weights.
        sparse: whether features stay csr; they are made dense otherwise.
    """
    kind = np.float32 if single else np.float64
    blocks = [_unpack_features(row, kind, sparse=sparse) for row in rows]
    features = vstack(blocks, format="csr") if sparse else np.concatenate(blocks)
    labels = np.concatenate(
        [unpack_labels(row["y"], row["n_rows"], row["n_labels"]) for row in rows]
    )
    weights = np.concatenate([np.frombuffer(row["w"], np.float64) for row in rows])
    hashes = np.concatenate([np.frombuffer(row["h"], np.int64) for row in rows])
    order = np.lexsort((weights, hashes))
    return TrainingMatrix(features[order], labels[order], weights[order] if weighted else None)


def with_matrix(blocks: DataFrame, count: int) -> DataFrame:
    """Return `count` partitions, each one `id` (0..count-1) with all blocks.

    The blocks are broadcast, not shuffled.
    """
    matrix = F.broadcast(blocks.select("n_rows", "n_features", "n_labels", *_MATRIX))
    return blocks.sparkSession.range(0, count, 1, count).crossJoin(matrix)
