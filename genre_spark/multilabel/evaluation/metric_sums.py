"""Sums and curves that metrics follow from: one pass over the predictions of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.evaluation.metrics import (
    MultilabelMetrics,
    curve_points,
    finish_metrics,
    label_counts,
    prediction_sums,
    ranking_sums,
)
from genre_spark.multilabel.evaluation.score_curves import with_running_sums
from genre_spark.multilabel.matrices import Matrix, check_labels, decode_arrays
from genre_spark.workers.tasks import short_task

__all__ = ["MetricSums"]

_POINTS = "name string, curve int, score double, positive double, negative double"
_ARROW = pa.schema(
    [
        ("name", pa.string()),
        ("curve", pa.int32()),
        ("score", pa.float64()),
        ("positive", pa.float64()),
        ("negative", pa.float64()),
    ]
)
_CURVE = "curve"
_Point = tuple[str, int, float, float, float]


@dataclass(frozen=True)
class MetricSums:
    """Which metrics a pass over the predictions is made for.

    Attributes:
        ranking: whether sums for metrics of the labels' order are made.
        curves: whether points for average precision and ROC AUC are made.
    """

    ranking: bool
    curves: bool

    def measure(self, predictions: DataFrame) -> MultilabelMetrics:
        """Return the metrics.

        Args:
            predictions: truth, prediction, scores (array<double>; the last two where they are
                needed) and weight (double).

        Raises:
            InvalidInputError: there is no row, or one that cannot be used.
        """
        points = predictions.mapInArrow(short_task(self._points), _POINTS)
        return _finish(points, curves=self.curves)

    def _points(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield self._batch_points(batch)

    def _batch_points(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the sums and the points of curves of one batch of rows."""
        columns = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
        truth = decode_arrays(columns["truth"], "labelsCol")
        check_labels(truth, "labelsCol")
        if columns["weight"].null_count:
            raise InvalidInputError("weightCol: null, expected numbers >= 0")
        weight = columns["weight"].to_numpy(zero_copy_only=False)
        rows: list[_Point] = [("rows", 0, 0.0, float(weight.sum()), 0.0)]
        rows += [("labels", truth.shape[1], 0.0, 0.0, 0.0)]
        rows += _of_labels("true", weight @ truth)
        if "prediction" in columns:
            prediction = _decode_like(truth, columns["prediction"], "predictionCol")
            check_labels(prediction, "predictionCol")
            rows += _of_sums(prediction_sums(truth, prediction, weight))
            counts = label_counts(truth, prediction, weight)
            rows += _of_labels("hits", counts["hits"])
            rows += _of_labels("predicted", counts["predicted"])
        if "scores" not in columns:
            return _to_batch(rows)
        scores = _decode_like(truth, columns["scores"], "probabilitiesCol")
        if np.isnan(scores).any():
            raise InvalidInputError("probabilitiesCol: NaN, expected numbers")
        if self.ranking:
            rows += _of_sums(ranking_sums(truth, scores, weight))
        if not self.curves:
            return _to_batch(rows)
        curves = _curve_batch(*curve_points(truth, scores, weight))
        return pa.Table.from_batches([_to_batch(rows), curves]).combine_chunks().to_batches()[0]


def _decode_like(truth: Matrix, column: pa.Array, role: str) -> Matrix:
    values = decode_arrays(column, role)
    if values.shape != truth.shape:
        raise InvalidInputError(
            f"{role}: vectors of length {values.shape[1]}, expected {truth.shape[1]} as in "
            "labelsCol"
        )
    return values


def _of_sums(sums: dict[str, float]) -> list[_Point]:
    return [(f"sum:{name}", 0, 0.0, total, 0.0) for name, total in sums.items()]


def _of_labels(name: str, values: NDArray[np.float64]) -> list[_Point]:
    return [(name, index, 0.0, value, 0.0) for index, value in enumerate(values.tolist())]


def _to_batch(rows: list[_Point]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), _ARROW.types, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(v, kind) for v, kind in columns], schema=_ARROW)


def _curve_batch(
    curve: NDArray[np.int64],
    score: NDArray[np.float64],
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
) -> pa.RecordBatch:
    same = np.zeros(len(curve), dtype=np.int32)
    names = pa.DictionaryArray.from_arrays(same, [_CURVE]).cast(pa.string())
    numbers = [pa.array(values) for values in (curve.astype(np.int32), score, positive, negative)]
    return pa.RecordBatch.from_arrays([names, *numbers], schema=_ARROW)


def _finish(points: DataFrame, *, curves: bool) -> MultilabelMetrics:
    """Add up the points of all batches: one row per sum, and per curve its two areas."""
    keys = ["name", "curve", "score"] if curves else ["name", "curve"]
    grouped = points.groupBy(*keys).agg(
        F.sum("positive").alias("positive"), F.sum("negative").alias("negative")
    )
    rows = (_with_areas(grouped) if curves else grouped).collect()  # 3 L + about 20 rows
    found: dict[str, dict[int, Any]] = {}
    for row in rows:
        found.setdefault(row["name"], {})[row["curve"]] = row
    weight = found["rows"][0]["positive"] if found else 0.0
    if not weight > 0:
        raise InvalidInputError("predictions: no rows, expected at least one of weight > 0")
    if len(found["labels"]) > 1:
        raise InvalidInputError(
            f"labelsCol: vectors of lengths {sorted(found['labels'])}, expected one length"
        )
    n_labels = next(iter(found["labels"]))
    sums = {
        name[4:]: entries[0]["positive"]
        for name, entries in found.items()
        if name.startswith("sum:")
    }
    counts: dict[str, NDArray[np.float64]] = {
        name: np.array([found[name][label]["positive"] for label in range(n_labels)])
        for name in ("hits", "true", "predicted")
        if name in found
    }
    areas = {}
    if _CURVE in found:
        areas = _areas([found[_CURVE][index] for index in range(n_labels + 1)])
    return finish_metrics(weight, sums, counts, areas)


def _with_areas(grouped: DataFrame) -> DataFrame:
    """Integrate the curves over their scores: one row per name and curve."""
    running = with_running_sums(grouped, "name", "curve")
    reached = F.col("tp") + F.col("fp")
    precision = F.when(reached > 0, F.col("tp") / reached).otherwise(0.0)
    return running.groupBy("name", "curve").agg(
        F.sum("positive").alias("positive"),
        F.sum("negative").alias("negative"),
        F.sum(F.col("positive") * precision).alias("precision_area"),
        # a negative counts the positives above it, and half of those that share its score
        F.sum(F.col("negative") * (F.col("tp") - F.col("positive") / 2)).alias("roc_area"),
    )


def _areas(rows: list[Any]) -> dict[str, NDArray[np.float64]]:
    """Return average precision and ROC AUC of each curve from its sums."""
    positive, negative, precision, roc = (
        np.array([row[name] for row in rows])
        for name in ("positive", "negative", "precision_area", "roc_area")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.where(positive > 0, precision / positive, 0.0)
        area = np.where((positive > 0) & (negative > 0), roc / (positive * negative), np.nan)
    return {"average_precision": average, "roc_auc": area}
