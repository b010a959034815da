"""Training data packed into binary blocks that reach each executor once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError, UserError
from genre_spark.multilabel.columns import Labels, array_column, number_column, vector_column
from genre_spark.multilabel.fitting.statistics import (
    SUMMARY_SCHEMA,
    PartitionSummary,
    RowCheck,
    TrainingStatistics,
    merge_summaries,
)
from genre_spark.multilabel.params import MultilabelParams
from genre_spark.workers import short_task

__all__ = [
    "Payload",
    "TrainingMatrix",
    "pack_training",
    "summarise_blocks",
    "training_rows",
    "unpack_training",
    "with_matrix",
]


_BLOCKS = f"{SUMMARY_SCHEMA}, x binary, y binary, w binary, h binary"


Payload = tuple[str, bytes, bytes | None]


@dataclass(frozen=True)
class TrainingMatrix:
    """The training data of model-parallel fits.

    Attributes:
        features: (rows, features), float32 where the classifier compares in float32, else float64.
        labels: 0 or 1, (rows, labels).
        weights: (rows,); None where rows are not weighted.
    """

    features: NDArray[np.floating]
    labels: Labels
    weights: NDArray[np.float64] | None


def training_rows(dataset: DataFrame, params: MultilabelParams) -> DataFrame:
    """Return features (unwrapped Vector), labels (array<double>), weight (double) and row_hash (long) of training data.

    Raises:
        InvalidInputError: when a column is missing or has a wrong type.
    """
    projected = dataset.select(
        vector_column(dataset, params.getFeaturesCol(), "featuresCol").alias("features"),
        array_column(dataset, params.getLabelsCol(), "labelsCol").alias("labels"),
        number_column(dataset, params.getWeightCol(), "weightCol").alias("weight"),
    )
    return projected.withColumn("row_hash", F.xxhash64("features", "labels"))


def pack_training(projected: DataFrame, check: RowCheck, *, single: bool) -> DataFrame:
    """Return the projected training data as one row of binary columns for each Arrow batch, checked.

    Args:
        projected: features (unwrapped Vector), labels (array<double>), weight (double), row_hash
            (long).
        check: how rows are checked; the first bad row makes its block carry a message instead.
        single: keep features as float32.
    """

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if batch.num_rows:
                    yield _pack(batch, check, np.float32 if single else np.float64)
        except UserError as error:
            empty = PartitionSummary().to_batch(error)
            yield _with_blocks(empty, [b"", b"", b"", b""])

    return projected.mapInArrow(short_task(pack), _BLOCKS)


def _pack(batch: pa.RecordBatch, check: RowCheck, kind: Any) -> pa.RecordBatch:
    features, labels, weights = check.decode(batch)
    summary = PartitionSummary.of_rows(features, labels, weights)
    hashes = batch.column(batch.schema.names.index("row_hash")).to_numpy(zero_copy_only=False)
    arrays = [
        features.astype(kind),
        np.packbits(labels.astype(np.uint8)),
        weights,
        hashes.astype(np.int64),
    ]
    return _with_blocks(
        summary.to_batch(), [np.ascontiguousarray(array).tobytes() for array in arrays]
    )


def _with_blocks(summary: pa.RecordBatch, blocks: Sequence[bytes]) -> pa.RecordBatch:
    columns = [*summary.columns, *(pa.array([block], pa.binary()) for block in blocks)]
    return pa.RecordBatch.from_arrays(columns, names=[*summary.schema.names, "x", "y", "w", "h"])


def summarise_blocks(blocks: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Return the statistics of packed training data: one row a partition comes to the driver.

    Raises:
        InvalidInputError, InvalidLabelsError: for the first bad row; also when there is no row.
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = PartitionSummary()
        try:
            for batch in batches:
                for row in batch.to_pylist():
                    if row["message"] is not None:
                        yield pa.RecordBatch.from_pylist([row], schema=batch.schema)
                        return
                    summary.add(PartitionSummary.of_row(row), check)
        except UserError as error:
            yield summary.to_batch(error)
            return
        yield summary.to_batch()

    names = [field.strip().split(" ")[0] for field in SUMMARY_SCHEMA.split(",")]
    return merge_summaries(
        blocks.select(*names).mapInArrow(short_task(add_up), SUMMARY_SCHEMA), check
    )


def unpack_training(
    rows: Sequence[dict[str, Any]], *, single: bool, weighted: bool
) -> TrainingMatrix:
    """Return the training matrix of all blocks, rows in the order of their hash.

    Raises:
        InvalidInputError: when a block brings a message instead of rows.
    """
    for row in rows:
        if row["message"] is not None:
            raise InvalidInputError(row["message"])
    kind = np.float32 if single else np.float64
    features = np.concatenate(
        [np.frombuffer(row["x"], kind).reshape(row["rows"], row["features"]) for row in rows]
    )
    labels = np.concatenate(
        [
            np.unpackbits(
                np.frombuffer(row["y"], np.uint8), count=row["rows"] * row["labels"]
            ).reshape(row["rows"], -1)
            for row in rows
        ]
    )
    weights = np.concatenate([np.frombuffer(row["w"], np.float64) for row in rows])
    hashes = np.concatenate([np.frombuffer(row["h"], np.int64) for row in rows])
    order = np.lexsort((weights, hashes))
    return TrainingMatrix(features[order], labels[order], weights[order] if weighted else None)


def with_matrix(blocks: DataFrame, count: int) -> DataFrame:
    """Return `count` partitions, `id` 0..count-1, each with all blocks: they are broadcast, not shuffled."""
    matrix = F.broadcast(blocks.select("rows", "features", "labels", "message", "x", "y", "w", "h"))
    return blocks.sparkSession.range(0, count, 1, count).crossJoin(matrix)
