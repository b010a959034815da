"""Evaluate multi-label predictions on Spark: every metric from one pass over the predictions, exact at any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from genre_spark.errors import InvalidConfigError, InvalidInputError, UserError
from genre_spark.multilabel.columns import array_column, check_labels, decode_arrays, number_column
from genre_spark.multilabel.evaluation.metrics import (
    CURVE_METRICS,
    PREDICTION_METRICS,
    RANKING_METRICS,
    SMALLER_IS_BETTER,
    MultilabelMetrics,
    curve_points,
    finish_metrics,
    label_counts,
    prediction_sums,
    ranking_sums,
)
from genre_spark.multilabel.params import (
    HasLabelsCol,
    HasPredictionCol,
    HasProbabilitiesCol,
    HasWeightCol,
    set_params,
)
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.session import check_workers
from genre_spark.workers import short_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MultilabelEvaluator"]

_METRICS = (*PREDICTION_METRICS, *RANKING_METRICS, *CURVE_METRICS)
_POINTS = "name string, curve int, score double, positive double, negative double, message string"
_CURVE = "curve"


class EvaluatorParams(TypedDict, total=False):
    """Keyword arguments of MultilabelEvaluator."""

    labelsCol: str
    probabilitiesCol: str
    predictionCol: str
    metricName: str
    weightCol: str


class MultilabelEvaluator(
    Evaluator,
    HasLabelsCol,
    HasProbabilitiesCol,
    HasPredictionCol,
    HasWeightCol,
    ParamsReadable,
    DefaultParamsWritable,
):
    """Evaluator of multi-label predictions, for use alone and in CrossValidator or TrainValidationSplit.

    Columns are Vectors, dense or sparse, or arrays of numbers. Conventions are scikit-learn's with
    zero_division=0 (see `genre_spark.multilabel.metrics`). The pass over the predictions adds up
    sums and, for average precision and ROC AUC, groups equal scores of a label; running sums over
    the sorted scores are then a window a label, which Spark spills to disk when it must: exact, and
    nothing that grows with the data comes to the driver.

    Example:
        >>> MultilabelEvaluator(metricName="f1_macro").evaluate(predictions)  # doctest: +SKIP
        >>> MultilabelEvaluator().evaluateAll(predictions).per_label["f1"]  # doctest: +SKIP
    """

    metricName: Param[str] = Param(
        Params._dummy(),
        "metricName",
        f"metric that evaluate returns: {', '.join(_METRICS)}",
        TypeConverters.toString,
    )

    def __init__(self, **params: Unpack[EvaluatorParams]) -> None:
        super().__init__()
        self._setDefault(
            labelsCol="labels",
            probabilitiesCol="probabilities",
            predictionCol="prediction",
            metricName="f1_micro",
        )
        set_params(self, dict(params))

    def setParams(self, **params: Unpack[EvaluatorParams]) -> MultilabelEvaluator:
        """Set Params by name."""
        return set_params(self, dict(params))

    def getMetricName(self) -> str:
        """Return the metric that `evaluate` returns."""
        return self.getOrDefault(self.metricName)

    def setMetricName(self, value: str) -> MultilabelEvaluator:
        """Set the metric that `evaluate` returns."""
        return set_params(self, {"metricName": value})

    def isLargerBetter(self) -> bool:
        """Tell whether a larger value of the metric is better."""
        return self.getMetricName() not in SMALLER_IS_BETTER

    def _evaluate(self, dataset: DataFrame) -> float:
        name = self.getMetricName()
        if name not in _METRICS:
            raise InvalidConfigError(
                f"MultilabelEvaluator.metricName: {name!r}, expected one of {', '.join(_METRICS)}"
            )
        if name in PREDICTION_METRICS:
            return self._measure(dataset, predictions=True)[name]
        return self._measure(
            dataset, ranking=name in RANKING_METRICS, curves=name in CURVE_METRICS
        )[name]

    def evaluateAll(
        self, dataset: DataFrame, params: dict[Param, Any] | None = None
    ) -> MultilabelMetrics:
        """Return all metrics, of all labels together and of each, from one pass.

        Set `probabilitiesCol` or `predictionCol` to "" to leave out the metrics that need it.

        Raises:
            InvalidInputError: when there is no row, a column is missing or has another length, a
                label is not 0 or 1.
        """
        evaluator = self.copy(params) if params else self
        scored = bool(evaluator.getProbabilitiesCol())
        return evaluator._measure(
            dataset, predictions=bool(evaluator.getPredictionCol()), ranking=scored, curves=scored
        )

    def _measure(
        self,
        dataset: DataFrame,
        *,
        predictions: bool = False,
        ranking: bool = False,
        curves: bool = False,
    ) -> MultilabelMetrics:
        check_workers(dataset.sparkSession)
        columns = [
            array_column(dataset, self.getLabelsCol(), "labelsCol").alias("truth"),
            number_column(dataset, self.getWeightCol(), "weightCol").alias("weight"),
        ]
        if predictions:
            columns.append(
                array_column(dataset, self.getPredictionCol(), "predictionCol").alias("prediction")
            )
        if ranking or curves:
            columns.append(
                array_column(dataset, self.getProbabilitiesCol(), "probabilitiesCol").alias(
                    "scores"
                )
            )

        def points(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    if batch.num_rows:
                        yield _batch_points(batch, ranking=ranking, curves=curves)
            except UserError as error:
                yield _to_batch([("error", 0, 0.0, 0.0, 0.0)], str(error))

        return _finish(
            dataset.select(*columns).mapInArrow(short_task(points), _POINTS), curves=curves
        )


def _batch_points(batch: pa.RecordBatch, *, ranking: bool, curves: bool) -> pa.RecordBatch:
    """Return the sums and the points of curves of one batch of rows."""
    columns = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
    truth = decode_arrays(columns["truth"], "labelsCol")
    check_labels(truth, "labelsCol")
    if columns["weight"].null_count:
        raise InvalidInputError("weightCol: null, expected numbers >= 0")
    weight = columns["weight"].to_numpy(zero_copy_only=False)
    rows: list[tuple[str, int, float, float, float]] = [("rows", 0, 0.0, float(weight.sum()), 0.0)]
    rows += [("labels", truth.shape[1], 0.0, 0.0, 0.0)]
    rows += _of_labels("true", weight @ truth)
    if "prediction" in columns:
        prediction = _like(truth, columns["prediction"], "predictionCol")
        check_labels(prediction, "predictionCol")
        rows += [
            (f"sum:{name}", 0, 0.0, total, 0.0)
            for name, total in prediction_sums(truth, prediction, weight).items()
        ]
        counts = label_counts(truth, prediction, weight)
        rows += _of_labels("hits", counts["hits"]) + _of_labels("predicted", counts["predicted"])
    scores = _like(truth, columns["scores"], "probabilitiesCol") if "scores" in columns else None
    if scores is not None and np.isnan(scores).any():
        raise InvalidInputError("probabilitiesCol: NaN, expected numbers")
    if scores is not None and ranking:
        rows += [
            (f"sum:{name}", 0, 0.0, total, 0.0)
            for name, total in ranking_sums(truth, scores, weight).items()
        ]
    batch = _to_batch(rows)
    if scores is None or not curves:
        return batch
    return _concatenate(batch, _curve_batch(*curve_points(truth, scores, weight)))


def _like(truth: NDArray[np.float64], column: pa.Array, role: str) -> NDArray[np.float64]:
    values = decode_arrays(column, role)
    if values.shape != truth.shape:
        raise InvalidInputError(
            f"{role}: vectors of length {values.shape[1]}, expected {truth.shape[1]} as in "
            "labelsCol"
        )
    return values


def _of_labels(
    name: str, values: NDArray[np.float64]
) -> list[tuple[str, int, float, float, float]]:
    return [(name, index, 0.0, value, 0.0) for index, value in enumerate(values.tolist())]


_ARROW = pa.schema(
    [
        ("name", pa.string()),
        ("curve", pa.int32()),
        ("score", pa.float64()),
        ("positive", pa.float64()),
        ("negative", pa.float64()),
        ("message", pa.string()),
    ]
)


def _to_batch(
    rows: list[tuple[str, int, float, float, float]], message: str | None = None
) -> pa.RecordBatch:
    columns = [
        pa.array(values, kind)
        for values, kind in zip(zip(*rows, strict=True), _ARROW.types[:5], strict=True)
    ]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array([message] * len(rows), pa.string())], schema=_ARROW
    )


def _curve_batch(
    curve: NDArray[np.int64],
    score: NDArray[np.float64],
    on: NDArray[np.float64],
    off: NDArray[np.float64],
) -> pa.RecordBatch:
    names = pa.DictionaryArray.from_arrays(np.zeros(len(curve), dtype=np.int32), [_CURVE]).cast(
        pa.string()
    )
    columns = [
        names,
        pa.array(curve.astype(np.int32)),
        pa.array(score),
        pa.array(on),
        pa.array(off),
    ]
    return pa.RecordBatch.from_arrays([*columns, pa.nulls(len(curve), pa.string())], schema=_ARROW)


def _concatenate(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    return pa.Table.from_batches([first, second]).combine_chunks().to_batches()[0]


def _finish(points: DataFrame, *, curves: bool) -> MultilabelMetrics:
    """Add up the points of all batches: a row for each sum, and for each curve its two areas."""
    keys = ["name", "curve", "score"] if curves else ["name", "curve"]
    grouped = points.groupBy(*keys).agg(
        F.sum("positive").alias("positive"),
        F.sum("negative").alias("negative"),
        F.max("message").alias("message"),
    )
    rows = (_add_areas(grouped) if curves else grouped).collect()  # 3 L + about 20 rows
    for row in rows:
        if row["message"] is not None:
            raise InvalidInputError(row["message"])
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
    labels = next(iter(found["labels"]))
    sums = {
        name[4:]: entries[0]["positive"]
        for name, entries in found.items()
        if name.startswith("sum:")
    }
    counts: dict[str, NDArray[np.float64]] = {
        str(name): np.array([found[name][index]["positive"] for index in range(labels)])
        for name in ("hits", "true", "predicted")
        if name in found
    }
    areas = _areas([found[_CURVE][index] for index in range(labels + 1)]) if _CURVE in found else {}
    return finish_metrics(weight, sums, counts, areas)


def _add_areas(grouped: DataFrame) -> DataFrame:
    """Integrate the curves over their scores: a row for each name and curve."""
    falling = Window.partitionBy("name", "curve").orderBy(F.col("score").desc())
    running = grouped.withColumns(
        {"tp": F.sum("positive").over(falling), "fp": F.sum("negative").over(falling)}
    )
    reached = F.col("tp") + F.col("fp")
    precision = F.when(reached > 0, F.col("tp") / reached).otherwise(0.0)
    return running.groupBy("name", "curve").agg(
        F.sum("positive").alias("positive"),
        F.sum("negative").alias("negative"),
        F.sum(F.col("positive") * precision).alias("precision_area"),
        # a negative counts the positives above it, and half of those that share its score
        F.sum(F.col("negative") * (F.col("tp") - F.col("positive") / 2)).alias("roc_area"),
        F.max("message").alias("message"),
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
