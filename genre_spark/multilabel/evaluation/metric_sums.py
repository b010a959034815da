"""Sums and curves that metrics follow from: one pass over the predictions of one or many tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.evaluation.local_curves import AREAS, integrate_curves
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
from genre_spark.workers.groups import (
    deal_groups,
    gather_in_one_task,
    split_dealt,
    split_gathered,
    split_groups,
)
from genre_spark.workers.tasks import short_task

__all__ = [
    "POINTS",
    "MetricSums",
    "collect_metrics",
    "collect_metrics_by_group",
    "collect_metrics_in_one_task",
    "group_curves",
    "group_points",
    "integrate_dealt",
]

POINTS = "grp int, name string, curve int, score double, positive double, negative double"
"""Columns of the points that metrics follow from; `grp` keeps groups of rows apart."""
_ARROW = pa.schema(
    [
        ("grp", pa.int32()),
        ("name", pa.string()),
        ("curve", pa.int32()),
        ("score", pa.float64()),
        ("positive", pa.float64()),
        ("negative", pa.float64()),
    ]
)
_CURVE = "curve"
_Point = tuple[str, int, float, float, float]
GroupPoints = Callable[[int, pa.RecordBatch], Iterable[pa.RecordBatch]]


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
        points = predictions.mapInArrow(short_task(self._points), POINTS)
        found = collect_metrics(points, curves=self.curves)
        if 0 not in found:
            raise InvalidInputError("predictions: no rows, expected at least one of weight > 0")
        return found[0]

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
        prediction = scores = None
        if "prediction" in columns:
            prediction = _decode_like(truth, columns["prediction"], "predictionCol")
            check_labels(prediction, "predictionCol")
        if "scores" in columns:
            scores = _decode_like(truth, columns["scores"], "probabilitiesCol")
            if np.isnan(scores).any():
                raise InvalidInputError("probabilitiesCol: NaN, expected numbers")
        return group_points(
            truth,
            columns["weight"].to_numpy(zero_copy_only=False),
            prediction=prediction,
            scores=scores,
            ranking=self.ranking,
            curves=self.curves,
        )


def group_points(
    truth: Matrix,
    weight: NDArray[np.float64],
    *,
    prediction: Matrix | None = None,
    scores: Matrix | None = None,
    group: int = 0,
    ranking: bool = True,
    curves: bool = True,
) -> pa.RecordBatch:
    """Return the sums and the points of curves of some rows of a group, as columns of POINTS.

    Args:
        truth: 0 or 1, (rows, labels).
        weight: weight of each row, (rows,).
        prediction: 0 or 1, (rows, labels); None leaves out the metrics that need it.
        scores: numbers, (rows, labels), likewise.
        group: number of the group.
        ranking: whether sums for metrics of the labels' order are made of the scores.
        curves: whether points for average precision and ROC AUC are made of the scores.
    """
    rows: list[_Point] = [("rows", 0, 0.0, float(weight.sum()), 0.0)]
    rows += [("labels", truth.shape[1], 0.0, 0.0, 0.0)]
    rows += _of_labels("true", weight @ truth)
    if prediction is not None:
        rows += _of_sums(prediction_sums(truth, prediction, weight))
        counts = label_counts(truth, prediction, weight)
        rows += _of_labels("hits", counts["hits"])
        rows += _of_labels("predicted", counts["predicted"])
    if scores is None:
        return _to_batch(group, rows)
    if ranking:
        rows += _of_sums(ranking_sums(truth, scores, weight))
    if not curves:
        return _to_batch(group, rows)
    points = group_curves(truth, weight, scores, group=group)
    return pa.Table.from_batches([_to_batch(group, rows), points]).combine_chunks().to_batches()[0]


def group_curves(
    truth: Matrix, weight: NDArray[np.float64], scores: Matrix, *, group: int = 0
) -> pa.RecordBatch:
    """Return the points of curves of some rows of a group, as columns of POINTS.

    Args:
        truth: 0 or 1, (rows, labels), at least one row.
        weight: weight of each row, (rows,).
        scores: numbers, (rows, labels).
        group: number of the group.
    """
    return _curve_batch(group, *curve_points(truth, scores, weight))


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


def _to_batch(group: int, rows: list[_Point]) -> pa.RecordBatch:
    values = [[group] * len(rows), *zip(*rows, strict=True)]
    columns = zip(values, _ARROW.types, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(v, kind) for v, kind in columns], schema=_ARROW)


def _curve_batch(
    group: int,
    curve: NDArray[np.int64],
    score: NDArray[np.float64],
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
) -> pa.RecordBatch:
    same = np.zeros(len(curve), dtype=np.int32)
    names = pa.DictionaryArray.from_arrays(same, [_CURVE]).cast(pa.string())
    groups = pa.array(np.full(len(curve), group, dtype=np.int32))
    numbers = [pa.array(values) for values in (curve.astype(np.int32), score, positive, negative)]
    return pa.RecordBatch.from_arrays([groups, names, *numbers], schema=_ARROW)


def collect_metrics(points: DataFrame, *, curves: bool) -> dict[int, MultilabelMetrics]:
    """Return the metrics of each group that has rows of weight > 0, in one job.

    What comes to the driver is one row per sum, and per curve its two areas.

    Args:
        points: columns of POINTS, of all batches.
        curves: whether there are points of curves among them.

    Raises:
        InvalidInputError: rows of a group differ in their number of labels.
    """
    keys = ["grp", "name", "curve", *(["score"] if curves else [])]
    grouped = points.groupBy(*keys).agg(
        F.sum("positive").alias("positive"), F.sum("negative").alias("negative")
    )
    return _by_group((_with_areas(grouped) if curves else grouped).collect())


def collect_metrics_in_one_task(
    rows: DataFrame, points: GroupPoints
) -> dict[int, MultilabelMetrics]:
    """Return the same of rows that one task can hold, all curves among them.

    Args:
        rows: the number of a row's group, then the columns that the function reads.
        points: returns the points of some rows of a group; it runs on an executor.
    """

    def reduce(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        made = (part for group, rows in split_gathered(batches) for part in points(group, rows))
        yield from _integrate(made)

    reduced = gather_in_one_task(rows).mapInArrow(short_task(reduce), AREAS)
    return _by_group(reduced.collect())


def collect_metrics_by_group(
    rows: DataFrame, sums: GroupPoints, curves: GroupPoints, *, tasks: int
) -> dict[int, MultilabelMetrics]:
    """Return the same of rows any group of which one task can hold; two jobs, with few points.

    Sums are added up as `collect_metrics` does, and the scores of a curve are in its order: the
    same numbers to the last bit.

    Args:
        rows: the number of a row's group, then the columns that the functions read.
        sums: returns the sums of some rows of a group; it runs on an executor.
        curves: returns the points of curves of some rows of a group, likewise.
        tasks: number of tasks that the groups are dealt out to; each holds the points of one group
            at a time.
    """

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, batch in split_groups(batches):
            yield from sums(number, batch)

    summed = rows.mapInArrow(short_task(add_up), POINTS).groupBy("grp", "name", "curve")
    totals = summed.agg(*(F.sum(name).alias(name) for name in ("positive", "negative")))
    reduce = short_task(partial(integrate_dealt, curves))
    areas = deal_groups(rows, tasks).mapInArrow(reduce, AREAS)
    return _by_group([*totals.collect(), *areas.collect()])


def integrate_dealt(
    curves: GroupPoints, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Integrate the curves of one group after another: the points of one at a time are held.

    Args:
        curves: returns the points of curves of some rows of a group.
        batches: of `deal_groups`.
    """
    for group, parts in split_dealt(batches):
        yield from _integrate(part for rows in parts for part in curves(group, rows))


def _integrate(points: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Return the areas of all curves, whose points are held until the last one is there."""
    found: dict[int, list[pa.RecordBatch]] = {}
    for part in points:
        found.setdefault(part.column(0)[0].as_py(), []).append(part)
    for group in list(found):
        yield integrate_curves(found.pop(group))


def _by_group(rows: list[Row]) -> dict[int, MultilabelMetrics]:
    """Return the metrics of each group: 3 L + about 20 rows of sums and areas each."""
    found: dict[int, dict[str, dict[int, Any]]] = {}
    for row in rows:
        found.setdefault(row["grp"], {}).setdefault(row["name"], {})[row["curve"]] = row
    return {
        group: _finish(entries)
        for group, entries in found.items()
        if entries["rows"][0]["positive"] > 0
    }


def _finish(found: dict[str, dict[int, Any]]) -> MultilabelMetrics:
    """Return the metrics that sums by name and curve give."""
    weight = found["rows"][0]["positive"]
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
    running = with_running_sums(grouped, "grp", "name", "curve")
    reached = F.col("tp") + F.col("fp")
    precision = F.when(reached > 0, F.col("tp") / reached).otherwise(0.0)
    return running.groupBy("grp", "name", "curve").agg(
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
