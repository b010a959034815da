"""What a fit must know of its training data before it starts, from one pass that also checks every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from genre_spark.errors import InvalidInputError, InvalidLabelsError, UserError
from genre_spark.multilabel.columns import (
    Matrix,
    check_features,
    check_labels,
    decode_arrays,
    decode_vector_struct,
)
from genre_spark.workers import short_task

__all__ = [
    "PartitionSummary",
    "TrainingStatistics",
    "merge_summaries",
    "summarise_rows",
]

SUMMARY_SCHEMA = (
    "rows long, features long, labels long, label_counts array<double>, weight double, "
    "label_weights array<double>, "
    "refused string, message string"
)
_ERRORS: dict[str, type[UserError]] = {"labels": InvalidLabelsError, "input": InvalidInputError}


@dataclass(frozen=True)
class TrainingStatistics:
    """Size of the training data and how often each label is on.

    Attributes:
        rows: number of rows, N.
        features: length of the feature vectors.
        labels: number of labels, L.
        label_counts: rows in which a label is on, (L,).
        weight: total weight of the rows, > 0; their number where rows are not weighted.
        label_weights: total weight of the rows in which a label is on, (L,).
    """

    rows: int
    features: int
    labels: int
    label_counts: NDArray[np.float64]
    weight: float
    label_weights: NDArray[np.float64]

    @property
    def cardinality(self) -> float:
        """Mean number of labels a row (label cardinality), rows counted with their weights."""
        return float(self.label_weights.sum() / self.weight)


@dataclass(frozen=True)
class RowCheck:
    """How the rows of a training set are checked.

    Attributes:
        features_role: name of the features column in messages.
        labels_role: name of the labels column in messages.
        feature_names: names of the features, where known.
        allow_invalid: NaN and infinite features pass.
    """

    features_role: str
    labels_role: str
    feature_names: list[str] | None
    allow_invalid: bool

    def decode(self, batch: pa.RecordBatch) -> tuple[Matrix, Matrix, NDArray[np.float64]]:
        """Return features, labels and weights of a batch of projected rows, checked."""
        columns = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
        features = decode_vector_struct(columns["features"], self.features_role)
        try:
            labels = decode_arrays(columns["labels"], self.labels_role)
        except InvalidInputError as error:
            raise InvalidLabelsError(str(error)) from error
        check_labels(labels, self.labels_role)
        if not self.allow_invalid:
            check_features(features, self.features_role, self.feature_names)
        if columns["weight"].null_count:
            raise InvalidInputError("weights: null, expected numbers >= 0")
        weights = columns["weight"].to_numpy(zero_copy_only=False)
        if not (weights >= 0).all() or not np.isfinite(weights).all():
            bad = weights[~(weights >= 0) | ~np.isfinite(weights)][0]
            raise InvalidInputError(f"weights: {bad:g}, expected finite numbers >= 0")
        return features, labels, weights


@dataclass
class PartitionSummary:
    """Counts of the rows seen so far, in one partition or over all of them."""

    rows: int = 0
    features: int = 0
    labels: int = 0
    label_counts: NDArray[np.float64] | None = None
    weight: float = 0.0
    label_weights: NDArray[np.float64] | None = None

    @classmethod
    def of_rows(
        cls, features: Matrix, labels: Matrix, weights: NDArray[np.float64]
    ) -> PartitionSummary:
        """Return the counts of a batch of rows."""
        rows, width = features.shape
        counts = labels.sum(axis=0)
        return cls(rows, width, labels.shape[1], counts, float(weights.sum()), weights @ labels)

    @classmethod
    def of_row(cls, row: Any) -> PartitionSummary:
        """Return the counts that a row of SUMMARY_SCHEMA holds."""
        counts, weights = (
            np.asarray(row[name], dtype=np.float64) for name in ("label_counts", "label_weights")
        )
        return cls(row["rows"], row["features"], row["labels"], counts, row["weight"], weights)

    def add(self, other: PartitionSummary, check: RowCheck) -> None:
        """Add a batch or a partition.

        Raises:
            InvalidInputError, InvalidLabelsError: when its vectors have other lengths than those
                before.
        """
        if other.rows == 0 or other.label_counts is None or other.label_weights is None:
            return
        if self.label_counts is None or self.label_weights is None:
            self.rows, self.features, self.labels, self.weight = (
                other.rows,
                other.features,
                other.labels,
                other.weight,
            )
            self.label_counts, self.label_weights = (
                other.label_counts.copy(),
                other.label_weights.copy(),
            )
            return
        if other.features != self.features:
            raise InvalidInputError(
                f"{check.features_role}: vectors of length {self.features} and {other.features}, "
                "expected one length"
            )
        if other.labels != self.labels:
            raise InvalidLabelsError(
                f"{check.labels_role}: vectors of length {self.labels} and {other.labels}, "
                "expected one length"
            )
        self.rows += other.rows
        self.weight += other.weight
        self.label_counts += other.label_counts
        self.label_weights += other.label_weights

    def to_batch(self, error: UserError | None = None) -> pa.RecordBatch:
        """Return the one row that a partition sends to the driver."""
        refused = (
            None
            if error is None
            else "labels"
            if isinstance(error, InvalidLabelsError)
            else "input"
        )
        counts, weights = (
            [] if part is None else part.tolist()
            for part in (self.label_counts, self.label_weights)
        )
        return pa.RecordBatch.from_pydict(
            {
                "rows": pa.array([self.rows], pa.int64()),
                "features": pa.array([self.features], pa.int64()),
                "labels": pa.array([self.labels], pa.int64()),
                "label_counts": pa.array([counts], pa.list_(pa.float64())),
                "weight": pa.array([self.weight], pa.float64()),
                "label_weights": pa.array([weights], pa.list_(pa.float64())),
                "refused": pa.array([refused], pa.string()),
                "message": pa.array([None if error is None else str(error)], pa.string()),
            }
        )


def summarise_rows(projected: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Check every row of the projected training data and count labels, in one pass that returns a row a partition.

    Raises:
        InvalidInputError, InvalidLabelsError: for the first bad row; also when there is no row.
    """

    def summarise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = PartitionSummary()
        try:
            for batch in batches:
                if batch.num_rows:
                    summary.add(PartitionSummary.of_rows(*check.decode(batch)), check)
        except UserError as error:  # sent as a value: as an exception it would reach the user as a trace of the worker
            yield summary.to_batch(error)
            return
        yield summary.to_batch()

    return merge_summaries(projected.mapInArrow(short_task(summarise), SUMMARY_SCHEMA), check)


def merge_summaries(summaries: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Add up the partitions' rows of SUMMARY_SCHEMA."""
    total = PartitionSummary()
    for row in summaries.collect():
        if row["message"] is not None:
            raise _ERRORS[row["refused"]](row["message"])
        total.add(PartitionSummary.of_row(row), check)
    if total.label_counts is None or total.label_weights is None:
        raise InvalidInputError("training data: no rows, expected at least one")
    if total.labels == 0:
        raise InvalidLabelsError(
            f"{check.labels_role}: vectors of length 0, expected at least one label"
        )
    if not total.weight > 0:
        raise InvalidInputError("weights: 0 in every row, expected at least one > 0")
    return TrainingStatistics(
        total.rows,
        total.features,
        total.labels,
        total.label_counts,
        total.weight,
        total.label_weights,
    )
