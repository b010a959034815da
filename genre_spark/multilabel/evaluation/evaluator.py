"""Evaluate multi-label predictions on Spark: every metric from one pass, exact at any size."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import DataFrame

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.columns import array_column, number_column, stored_label_names
from genre_spark.multilabel.evaluation.metric_sums import MetricSums
from genre_spark.multilabel.evaluation.metrics import (
    CURVE_METRICS,
    PREDICTION_METRICS,
    RANKING_METRICS,
    SMALLER_IS_BETTER,
    MultilabelMetrics,
)
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.multilabel.shared_params import (
    HasLabelNames,
    HasLabelsCol,
    HasPredictionCol,
    HasProbabilitiesCol,
    HasWeightCol,
)
from genre_spark.spark.session import check_workers
from genre_spark.workers.errors import worker_errors

__all__ = ["MultilabelEvaluator"]

_logger = logging.getLogger(__name__)
_METRICS = (*PREDICTION_METRICS, *RANKING_METRICS, *CURVE_METRICS)


class MultilabelEvaluator(
    Evaluator,
    HasLabelsCol,
    HasProbabilitiesCol,
    HasPredictionCol,
    HasWeightCol,
    HasLabelNames,
    ParamsReadable,
    DefaultParamsWritable,
):
    """Evaluator of multi-label predictions, for use alone and in a CrossValidator.

    Columns are Vectors, dense or sparse, or arrays of numbers. Conventions are scikit-learn's with
    zero_division=0 (see MultilabelMetrics). The pass over the predictions adds up sums and, for
    average precision and ROC AUC, groups equal scores of a label; running sums over the sorted
    scores are then one window per label, which Spark spills to disk when it must: exact, and
    nothing that grows with the data comes to the driver.

    Example:
        >>> MultilabelEvaluator(metricName="f1_macro").evaluate(predictions)  # doctest: +SKIP
        >>> print(MultilabelEvaluator().evaluateAll(predictions))  # doctest: +SKIP
        >>> MultilabelEvaluator().evaluateAll(predictions).label_frame()["f1"]  # doctest: +SKIP
    """

    metricName: Param[str] = Param(
        Params._dummy(),
        "metricName",
        f"metric that evaluate returns: {', '.join(_METRICS)}",
        TypeConverters.toString,
    )

    handleUndefined: Param[str] = Param(
        Params._dummy(),
        "handleUndefined",
        "what evaluate does where roc_auc is not defined for a label, which no row has or every "
        "row: 'error' (stop, with the labels) or 'skip' (take the mean over the other labels, with "
        "a warning)",
        TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        metricName: str = "f1_micro",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        handleUndefined: str = "error",
    ) -> None:
        super().__init__()
        self._setDefault(metricName="f1_micro", handleUndefined="error")
        self._set_given()

    setParams = params_setter(__init__)

    def getMetricName(self) -> str:
        """Return the metric that `evaluate` returns."""
        return self.getOrDefault(self.metricName)

    def setMetricName(self, value: str) -> MultilabelEvaluator:
        """Set the metric that `evaluate` returns."""
        return set_params(self, {"metricName": value})

    def getHandleUndefined(self) -> str:
        """Return what `evaluate` does where a metric is not defined for a label."""
        return self.getOrDefault(self.handleUndefined)

    def setHandleUndefined(self, value: str) -> MultilabelEvaluator:
        """Set what `evaluate` does where a metric is not defined for a label: 'error' or 'skip'."""
        return set_params(self, {"handleUndefined": value})

    def isLargerBetter(self) -> bool:
        """Return whether a larger value of the metric is better."""
        return self.getMetricName() not in SMALLER_IS_BETTER

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getMetricName() in _METRICS
        self._require("metricName", known, f"expected one of {', '.join(_METRICS)}")
        known = self.getHandleUndefined() in ("error", "skip")
        self._require("handleUndefined", known, "must be 'error' or 'skip'")

    def _evaluate(self, dataset: DataFrame) -> float:
        self._check_params()
        name = self.getMetricName()
        if name in PREDICTION_METRICS:
            return self._measure(dataset, predictions=True)[name]
        ranking, curves = name in RANKING_METRICS, name in CURVE_METRICS
        metrics = self._measure(dataset, ranking=ranking, curves=curves)
        return self._defined(metrics, name) if np.isnan(metrics[name]) else metrics[name]

    def _defined(self, metrics: MultilabelMetrics, name: str) -> float:
        """Return a metric without the labels for which it is not defined, or raise an error."""
        labels = metrics.label_frame()[name.removesuffix("_macro").removesuffix("_micro")]
        missing = labels.index[labels.isna()].tolist()
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        reason = f"{name} is not defined for {len(missing)} of {len(labels)} labels ({shown}): "
        reason += "no row has them, or every row"
        if self.getHandleUndefined() == "skip" and len(missing) < len(labels):
            _logger.warning("%s; the mean is over the other labels", reason)
            return float(labels.mean())
        raise InvalidInputError(
            f"{type(self).__name__}.metricName: {reason}. Take another metric, more rows (per "
            "fold), or handleUndefined='skip', which leaves such labels out"
        )

    def evaluateAll(
        self, dataset: DataFrame, params: dict[Param, Any] | None = None
    ) -> MultilabelMetrics:
        """Return all metrics, of all labels together and of each, from one pass.

        Set `probabilitiesCol` or `predictionCol` to "" to leave out the metrics that need it.

        Args:
            dataset: predictions.
            params: a param map that goes before the evaluator's own Params.

        Raises:
            InvalidInputError: there is no row, a column is missing or has another length, or a
                value is null or NaN.
            InvalidLabelsError: a label is not 0 or 1.
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
            found = array_column(dataset, self.getPredictionCol(), "predictionCol")
            columns.append(found.alias("prediction"))
        if ranking or curves:
            found = array_column(dataset, self.getProbabilitiesCol(), "probabilitiesCol")
            columns.append(found.alias("scores"))
        with worker_errors():
            metrics = MetricSums(ranking, curves).measure(dataset.select(*columns))
        return replace(metrics, label_names=self._names(dataset, metrics))

    def _names(self, dataset: DataFrame, found: MultilabelMetrics) -> tuple[str, ...] | None:
        """Return the names of the labels, those of the columns' metadata where none are set."""
        count = len(next(iter(found.per_label.values()), ()))
        names = self.getLabelNames()
        if names is not None and count and len(names) != count:
            raise InvalidConfigError(
                f"{type(self).__name__}.labelNames: {len(names)} names, expected {count}, one per "
                "label"
            )
        for column in (self.getLabelsCol(), self.getPredictionCol(), self.getProbabilitiesCol()):
            names = names or stored_label_names(dataset, column)
        return tuple(names) if names and len(names) == count else None
