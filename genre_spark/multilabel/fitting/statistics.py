"""What a fit must know of its training data, from one pass that also checks every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from genre_spark.errors import InvalidInputError, InvalidLabelsError
from genre_spark.multilabel.fitting.cooccurrence import count_cooccurrence
from genre_spark.multilabel.matrices import (
    AnyMatrix,
    Matrix,
    check_features,
    check_labels,
    decode_arrays,
    decode_vector_struct,
)
from genre_spark.workers.tasks import short_task

__all__ = [
    "SUMMARY_SCHEMA",
    "CheckedRows",
    "PartitionSummary",
    "RowCheck",
    "TrainingStatistics",
    "merge_summaries",
    "summarise_rows",
]

SUMMARY_SCHEMA = (
    "n_rows long, n_features long, n_labels long, label_counts array<double>, weight double, "
    "label_weights array<double>, n_values long"
)


@dataclass(frozen=True)
class TrainingStatistics:
    """Size of the training data and how often each label is on.

    Attributes:
        n_rows: number of rows, N.
        n_features: length of the feature vectors.
        n_labels: number of labels, L.
        label_counts: number of rows in which a label is on, (L,).
        weight: total weight of the rows, > 0; their number where rows are not weighted.
        label_weights: total weight of the rows in which a label is on, (L,).
        count_together: counts how often two labels are on together, in a pass over the data.
        n_values: number of features that the rows store; None where they store all.
    """

    n_rows: int
    n_features: int
    n_labels: int
    label_counts: NDArray[np.float64]
    weight: float
    label_weights: NDArray[np.float64]
    count_together: Callable[[], Matrix] = field(repr=False, compare=False)
    n_values: int | None = None

    @property
    def stored_values(self) -> int:
        """Number of features that the rows store: of a sparse vector those that it lists."""
        return self.n_rows * self.n_features if self.n_values is None else self.n_values

    @property
    def cardinality(self) -> float:
        """Mean number of labels per row (label cardinality), rows counted with their weights."""
        return float(self.label_weights.sum() / self.weight)

    @cached_property
    def cooccurrence(self) -> Matrix:
        """Number of rows in which two labels are on together, (L, L); counted when first used."""
        return self.count_together()


@dataclass(frozen=True)
class CheckedRows:
    """Rows of a training set as matrices.

    Attributes:
        features: (rows, features), dense or csr.
        labels: 0 or 1, (rows, labels).
        weights: (rows,).
        n_values: number of features that the vectors stored.
    """

    features: AnyMatrix
    labels: Matrix
    weights: NDArray[np.float64]
    n_values: int


@dataclass(frozen=True)
class RowCheck:
    """How the rows of a training set are checked.

    Attributes:
        features_role: name of the features column in messages.
        labels_role: name of the labels column in messages.
        feature_names: names of the features, where known.
        allow_invalid: whether NaN and infinite features pass.
    """

    features_role: str
    labels_role: str
    feature_names: list[str] | None
    allow_invalid: bool

    def decode(self, batch: pa.RecordBatch) -> CheckedRows:
        """Return features, labels and weights of a batch of projected rows, checked."""
        columns = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
        features = decode_vector_struct(columns["features"], self.features_role)
        n_values = int(pc.sum(columns["features"].field("values").value_lengths()).as_py() or 0)
        try:
            labels = decode_arrays(columns["labels"], self.labels_role)
        except InvalidInputError as error:
            raise InvalidLabelsError(str(error)) from None
        check_labels(labels, self.labels_role)
        if not self.allow_invalid:
            check_features(features, self.features_role, self.feature_names)
        if columns["weight"].null_count:
            raise InvalidInputError("weights: null, expected numbers >= 0")
        weights = columns["weight"].to_numpy(zero_copy_only=False)
        if not (weights >= 0).all() or not np.isfinite(weights).all():
            bad = weights[~(weights >= 0) | ~np.isfinite(weights)][0]
            raise InvalidInputError(f"weights: {bad:g}, expected finite numbers >= 0")
        return CheckedRows(features, labels, weights, n_values)


@dataclass
class PartitionSummary:
    """Counts of the rows seen so far, in one partition or over all of them."""

    n_rows: int = 0
    n_features: int = 0
    n_labels: int = 0
    label_counts: NDArray[np.float64] | None = None
    weight: float = 0.0
    label_weights: NDArray[np.float64] | None = None
    n_values: int = 0

    @classmethod
    def of_rows(cls, rows: CheckedRows) -> PartitionSummary:
        """Return the counts of a batch of rows."""
        n_rows, n_features = rows.features.shape
        counts, weight = rows.labels.sum(axis=0), float(rows.weights.sum())
        return cls(
            n_rows,
            n_features,
            rows.labels.shape[1],
            counts,
            weight,
            rows.weights @ rows.labels,
            rows.n_values,
        )

    @classmethod
    def of_row(cls, row: Any) -> PartitionSummary:
        """Return the counts that a row of SUMMARY_SCHEMA holds."""
        counts, weights = (
            np.asarray(row[name], dtype=np.float64) for name in ("label_counts", "label_weights")
        )
        sizes = (row["n_rows"], row["n_features"], row["n_labels"])
        return cls(*sizes, counts, row["weight"], weights, row["n_values"])

    def add(self, other: PartitionSummary, check: RowCheck) -> None:
        """Add the counts of a batch or of a partition.

        Raises:
            InvalidInputError, InvalidLabelsError: its vectors have other lengths than those before.
        """
        if other.n_rows == 0 or other.label_counts is None or other.label_weights is None:
            return
        if self.label_counts is None or self.label_weights is None:
            self.n_features, self.n_labels = other.n_features, other.n_labels
            self.label_counts = np.zeros(other.n_labels)
            self.label_weights = np.zeros(other.n_labels)
        if other.n_features != self.n_features:
            raise InvalidInputError(
                f"{check.features_role}: vectors of length {self.n_features} and "
                f"{other.n_features}, expected one length"
            )
        if other.n_labels != self.n_labels:
            raise InvalidLabelsError(
                f"{check.labels_role}: vectors of length {self.n_labels} and {other.n_labels}, "
                "expected one length"
            )
        self.n_rows += other.n_rows
        self.n_values += other.n_values
        self.weight += other.weight
        self.label_counts = self.label_counts + other.label_counts
        self.label_weights = self.label_weights + other.label_weights

    def to_batch(self) -> pa.RecordBatch:
        """Return the counts as one row of SUMMARY_SCHEMA."""
        counts, weights = (
            [] if part is None else part.tolist()
            for part in (self.label_counts, self.label_weights)
        )
        return pa.RecordBatch.from_pydict(
            {
                "n_rows": pa.array([self.n_rows], pa.int64()),
                "n_features": pa.array([self.n_features], pa.int64()),
                "n_labels": pa.array([self.n_labels], pa.int64()),
                "label_counts": pa.array([counts], pa.list_(pa.float64())),
                "weight": pa.array([self.weight], pa.float64()),
                "label_weights": pa.array([weights], pa.list_(pa.float64())),
                "n_values": pa.array([self.n_values], pa.int64()),
            }
        )


def summarise_rows(projected: DataFrame, check: RowCheck) -> TrainingStatistics:
    """Check every row of the projected training data and count labels.

    One pass; one row per partition comes to the driver.

    Raises:
        InvalidInputError, InvalidLabelsError: for the first bad row; also when there is no row.
    """

    def summarise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = PartitionSummary()
        for batch in batches:
            if batch.num_rows:
                summary.add(PartitionSummary.of_rows(check.decode(batch)), check)
        yield summary.to_batch()

    summaries = projected.mapInArrow(short_task(summarise), SUMMARY_SCHEMA)
    return merge_summaries(summaries, check, partial(count_cooccurrence, projected))


def merge_summaries(
    summaries: DataFrame, check: RowCheck, count_together: Callable[[int], Matrix]
) -> TrainingStatistics:
    """Add up the partitions' rows of SUMMARY_SCHEMA.

    Args:
        summaries: one row per partition.
        check: names of the columns in messages.
        count_together: takes the number of labels.
    """
    total = PartitionSummary()
    for row in summaries.collect():
        total.add(PartitionSummary.of_row(row), check)
    if total.label_counts is None or total.label_weights is None:
        raise InvalidInputError("training data: no rows, expected at least one")
    if total.n_labels == 0:
        raise InvalidLabelsError(
            f"{check.labels_role}: vectors of length 0, expected at least one label"
        )
    if not total.weight > 0:
        raise InvalidInputError("weights: 0 in every row, expected at least one > 0")
    return TrainingStatistics(
        total.n_rows,
        total.n_features,
        total.n_labels,
        total.label_counts,
        total.weight,
        total.label_weights,
        partial(count_together, total.n_labels),
        total.n_values,
    )
