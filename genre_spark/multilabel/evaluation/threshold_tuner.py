"""Fit the thresholds that turn scores into labels, on held-out or out-of-bag rows, and apply them.

Thresholds are never fitted on the rows that are predicted: what a row gets does not depend on its
neighbours.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.columns import array_column, number_column
from genre_spark.multilabel.evaluation.threshold_search import (
    RULES,
    BestThresholds,
    find_thresholds,
)
from genre_spark.multilabel.matrices import Matrix
from genre_spark.multilabel.models.predictors import apply_thresholds
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.multilabel.shared_params import (
    HasLabelsCol,
    HasPredictionCol,
    HasProbabilitiesCol,
    HasThreshold,
    HasWeightCol,
)
from genre_spark.spark.session import check_workers
from genre_spark.workers.errors import worker_errors

__all__ = ["ThresholdTuner", "ThresholdTunerModel", "apply_thresholds"]

P = TypeVar("P", bound=Params)


class _TunerParams(HasLabelsCol, HasProbabilitiesCol, HasPredictionCol, HasWeightCol, HasThreshold):
    """Params of the tuner and of its model."""

    rule: Param[str] = Param(
        Params._dummy(),
        "rule",
        "'fixed': `threshold`; 'exact_match', 'f1_micro': one threshold that makes subset accuracy "
        "or micro-F1 best; 'f1_per_label': one per label that makes its F1 best (SCut); "
        "'cardinality': one that gives as many labels per row as the truth (PCut); 'top': the best "
        "`top` labels of each row (RCut)",
        TypeConverters.toString,
    )
    top: Param[int] = Param(
        Params._dummy(),
        "top",
        "number of labels per row under rule 'top'; 0 takes the rounded label cardinality",
        TypeConverters.toInt,
    )
    labelCardinality: Param[float] = Param(
        Params._dummy(),
        "labelCardinality",
        "number of labels per row to reproduce under 'cardinality' and 'top'; that of the fitted "
        "rows where it is not set",
        TypeConverters.toFloat,
    )
    halfSamples: Param[int] = Param(
        Params._dummy(),
        "halfSamples",
        "number of random halves of the rows, >= 0: a threshold of 'exact_match', 'f1_micro' and "
        "'f1_per_label' is the mean of the halves' best ones. 0 takes the best of all rows",
        TypeConverters.toInt,
    )
    neverEmpty: Param[bool] = Param(
        Params._dummy(),
        "neverEmpty",
        "whether a row without any label gets its best one",
        TypeConverters.toBoolean,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(rule="f1_per_label", top=0, halfSamples=0, neverEmpty=False)

    def getRule(self) -> str:
        """Return the rule."""
        return self.getOrDefault(self.rule)

    def setRule(self: P, value: str) -> P:
        """Set the rule."""
        return set_params(self, {"rule": value})

    def getTop(self) -> int:
        """Return the number of labels per row under rule 'top'."""
        return self.getOrDefault(self.top)

    def setTop(self: P, value: int) -> P:
        """Set the number of labels per row under rule 'top', >= 0."""
        return set_params(self, {"top": value})

    def getLabelCardinality(self) -> float | None:
        """Return the number of labels per row to reproduce, None for that of the fitted rows."""
        found: float | None = self._if_defined("labelCardinality")
        return found

    def setLabelCardinality(self: P, value: float) -> P:
        """Set the number of labels per row to reproduce, >= 0."""
        return set_params(self, {"labelCardinality": value})

    def getHalfSamples(self) -> int:
        """Return the number of half samples whose thresholds are averaged."""
        return self.getOrDefault(self.halfSamples)

    def setHalfSamples(self: P, value: int) -> P:
        """Set the number of half samples whose thresholds are averaged, >= 0."""
        return set_params(self, {"halfSamples": value})

    def getNeverEmpty(self) -> bool:
        """Return whether a row without any label gets its best one."""
        return self.getOrDefault(self.neverEmpty)

    def setNeverEmpty(self: P, value: bool) -> P:
        """Set whether a row without any label gets its best one."""
        return set_params(self, {"neverEmpty": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("rule", self.getRule() in RULES, f"expected one of {', '.join(RULES)}")
        self._require("top", self.getTop() >= 0, "must be >= 0")
        self._require("halfSamples", self.getHalfSamples() >= 0, "must be >= 0")
        wanted = self.getLabelCardinality()
        self._require("labelCardinality", wanted is None or wanted >= 0.0, "must be >= 0")


class ThresholdTunerModel(Model, _TunerParams, ParamsReadable, DefaultParamsWritable):
    """Fitted thresholds: appends predictions that follow from the scores by them."""

    thresholds: Param[list[float]] = Param(
        Params._dummy(),
        "thresholds",
        "threshold of each label; a single one holds for all",
        TypeConverters.toListFloat,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(thresholds=[0.5])

    def getThresholds(self) -> list[float]:
        """Return the threshold of each label, or the one of all."""
        return self.getOrDefault(self.thresholds)

    def setThresholds(self, value: list[float]) -> ThresholdTunerModel:
        """Set the threshold of each label, or one for all."""
        return set_params(self, {"thresholds": value})

    def predict(self, scores: ArrayLike) -> Matrix:
        """Return the predictions of a matrix of scores without Spark, (rows, labels)."""
        return self._apply(np.atleast_2d(np.asarray(scores, dtype=np.float64)))

    def _apply(self, scores: Matrix) -> Matrix:
        top = self.getTop() if self.getRule() == "top" else 0
        thresholds = np.asarray(self.getThresholds())
        if top == 0 and len(thresholds) not in (1, scores.shape[1]):
            raise InvalidInputError(
                f"probabilitiesCol: {scores.shape[1]} scores, expected {len(thresholds)}"
            )
        return apply_thresholds(scores, thresholds, top=top, never_empty=self.getNeverEmpty())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        check_workers(dataset.sparkSession)
        output = self.getPredictionCol()
        if output in dataset.columns:
            raise InvalidInputError(
                f"predictionCol: column {output!r} exists already, set another name here or "
                "predictionCol='' before"
            )
        model = self.copy()

        @pandas_udf("array<double>")  # type: ignore[call-overload, untyped-decorator]
        def decide(scores: pd.Series) -> pd.Series:
            if scores.empty:
                return pd.Series([], dtype=object)
            return pd.Series(list(model._apply(np.stack(scores.to_list()))))

        scores = array_column(dataset, self.getProbabilitiesCol(), "probabilitiesCol")
        return dataset.withColumn(output, array_to_vector(decide(scores)))


class ThresholdTuner(Estimator, _TunerParams, ParamsReadable, DefaultParamsWritable):
    """Fit thresholds on scores and labels of rows that the scoring model has not seen.

    One distributed pass whatever the rule: equal scores are grouped, running sums over the sorted
    scores give the measure at every possible threshold, and the best is exact. The threshold is the
    middle of the widest interval of thresholds that are best: its ends are chance, and the highest
    of them would predict too few labels. One above all scores, under which nothing is predicted, is
    taken where it is better than any other ('exact_match', 'cardinality'). A label that is never on
    keeps `threshold`.

    The best threshold of few rows is partly chance, above all that of a rare label: other rows
    would give another one. With `halfSamples` it is the mean, in log-odds, of the best thresholds
    of that many random halves of the rows (subagging: Buhlmann and Yu, Analyzing bagging, Annals of
    Statistics 30, 2002). A hash of a row's labels and scores says which halves it is in, so that
    the order of rows and their partitions have no say.

    SCut, PCut and RCut are Yang's names (2001); the single threshold for exact match is the TMDb
    and IMDb study's.

    Example:
        >>> tuner = ThresholdTuner(rule="f1_per_label", predictionCol="tuned")
        >>> tuned = tuner.fit(model.transform(validation))  # doctest: +SKIP
        >>> tuned.transform(model.transform(test))  # doctest: +SKIP
    """

    @keyword_only
    def __init__(
        self,
        *,
        rule: str = "f1_per_label",
        threshold: float = 0.5,
        top: int = 0,
        halfSamples: int = 0,
        labelCardinality: float | None = None,
        neverEmpty: bool = False,
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def fit(self, dataset: DataFrame, params: Any = None) -> Any:
        """Fit thresholds, or one set of them per param map.

        Args:
            dataset: labels and scores of rows that the scoring model has not seen.
            params: a param map that goes before the tuner's own Params, or a list of them.

        Raises:
            InvalidConfigError: a Param has a value that cannot be used.
            InvalidInputError: there is no row, a column is missing, or a score is not finite.
            InvalidLabelsError: a label is not 0 or 1.
        """
        with worker_errors():
            return super().fit(dataset, params)

    def _fit(self, dataset: DataFrame) -> ThresholdTunerModel:
        self._check_params()
        model = ThresholdTunerModel()
        model._resetUid(self.uid)
        self._copyValues(model)
        rule = self.getRule()
        if rule == "fixed":
            return model._set(thresholds=[self.getThreshold()])
        check_workers(dataset.sparkSession)
        best = self._find(dataset)
        if rule == "top":
            top = self.getTop() or max(1, round(best.cardinality))
            return model._set(top=top, thresholds=[self.getThreshold()])
        found = [self.getThreshold() if value is None else value for value in best.thresholds]
        return model._set(thresholds=found)

    def _find(self, dataset: DataFrame) -> BestThresholds:
        rows = dataset.select(
            array_column(dataset, self.getLabelsCol(), "labelsCol").alias("truth"),
            array_column(dataset, self.getProbabilitiesCol(), "probabilitiesCol").alias("scores"),
            number_column(dataset, self.getWeightCol(), "weightCol").alias("weight"),
        )
        return find_thresholds(
            rows, self.getRule(), self.getLabelCardinality(), half_samples=self.getHalfSamples()
        )
