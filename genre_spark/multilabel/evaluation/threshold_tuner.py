"""Fit the thresholds that turn scores into labels, on scores of held-out or out-of-bag rows, and apply them.

Thresholds are never fitted on the rows that are predicted: what a row gets does not depend on its
neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.errors import InvalidInputError, UserError
from genre_spark.multilabel.columns import array_column, check_labels, decode_arrays, number_column
from genre_spark.multilabel.evaluation.metrics import curve_points
from genre_spark.multilabel.params import (
    HasLabelsCol,
    HasPredictionCol,
    HasProbabilitiesCol,
    HasThreshold,
    HasWeightCol,
    set_params,
)
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.session import check_workers
from genre_spark.workers import short_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RULES", "ThresholdTuner", "ThresholdTunerModel", "apply_thresholds"]

Matrix = NDArray[np.float64]

RULES = ("fixed", "exact_match", "f1_micro", "f1_per_label", "cardinality", "top")
_POINTS = "curve int, score double, positive double, negative double, rows double, labels int, message string"


class TunerParams(TypedDict, total=False):
    """Keyword arguments of ThresholdTuner."""

    labelsCol: str
    probabilitiesCol: str
    predictionCol: str
    weightCol: str
    rule: str
    threshold: float
    top: int
    labelCardinality: float
    neverEmpty: bool


def apply_thresholds(
    scores: Matrix, thresholds: ArrayLike, *, top: int = 0, never_empty: bool = False
) -> Matrix:
    """Return predictions, 0 or 1, from scores.

    Args:
        scores: (rows, labels).
        thresholds: a label is on where its score is >= its threshold, (labels,); not looked at
            where `top` > 0.
        top: the number of best labels to switch on in every row; the first of equals win.
        never_empty: a row without any label gets its best one.
    """
    if top > 0:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        chosen = np.zeros_like(scores)
        np.put_along_axis(chosen, best, 1.0, axis=1)
        return chosen
    chosen = (scores >= np.asarray(thresholds)).astype(np.float64)
    if never_empty and scores.shape[1]:
        empty = np.flatnonzero(chosen.sum(axis=1) == 0)
        chosen[empty, scores[empty].argmax(axis=1)] = 1.0
    return chosen


class _TunerParams(HasLabelsCol, HasProbabilitiesCol, HasPredictionCol, HasWeightCol, HasThreshold):
    """Params of the tuner and of its model."""

    rule: Param[str] = Param(
        Params._dummy(),
        "rule",
        "'fixed': `threshold`; 'exact_match', 'f1_micro': one threshold that makes subset accuracy "
        "or micro-F1 best; "
        "'f1_per_label': one a label that makes its F1 best (SCut); 'cardinality': one that gives "
        "as many labels a row "
        "as the truth (PCut); 'top': the best `top` labels of each row (RCut)",
        TypeConverters.toString,
    )
    top: Param[int] = Param(
        Params._dummy(),
        "top",
        "labels a row under rule 'top'; 0 takes the rounded label cardinality",
        TypeConverters.toInt,
    )
    labelCardinality: Param[float] = Param(
        Params._dummy(),
        "labelCardinality",
        "labels a row to reproduce under 'cardinality' and 'top'; that of the fitted rows where it "
        "is not set",
        TypeConverters.toFloat,
    )
    neverEmpty: Param[bool] = Param(
        Params._dummy(),
        "neverEmpty",
        "a row without any label gets its best one",
        TypeConverters.toBoolean,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            labelsCol="labels",
            probabilitiesCol="probabilities",
            predictionCol="prediction",
            rule="f1_per_label",
            threshold=0.5,
            top=0,
            neverEmpty=False,
        )

    def getRule(self) -> str:
        """Return the rule."""
        return self.getOrDefault(self.rule)

    def getTop(self) -> int:
        """Return the number of labels a row under rule 'top'."""
        return self.getOrDefault(self.top)

    def getNeverEmpty(self) -> bool:
        """Return whether a row without any label gets its best one."""
        return self.getOrDefault(self.neverEmpty)


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
    scores give the measure at every possible threshold, and the best is exact. The threshold lies
    midway between the best score and the next lower one; of equally good ones the highest is taken.
    One above all scores, under which nothing is predicted, is taken where it is better than any
    other ('exact_match', 'cardinality'). A label that is never on keeps `threshold`.

    SCut, PCut and RCut are Yang's names (2001); the single threshold for exact match is the TMDb
    and IMDb study's.

    Example:
        >>> tuner = ThresholdTuner(rule="f1_per_label").fit(model.transform(validation))  # doctest: +SKIP
        >>> tuner.transform(model.transform(test))  # doctest: +SKIP
    """

    def __init__(self, **params: Unpack[TunerParams]) -> None:
        super().__init__()
        set_params(self, dict(params))

    def setParams(self, **params: Unpack[TunerParams]) -> ThresholdTuner:
        """Set Params by name."""
        return set_params(self, dict(params))

    def _fit(self, dataset: DataFrame) -> ThresholdTunerModel:
        self._require("rule", self.getRule() in RULES, f"expected one of {', '.join(RULES)}")
        self._require("top", self.getTop() >= 0, "must be >= 0")
        self._require("threshold", 0.0 <= self.getThreshold() <= 1.0, "must be in 0..1")
        model = ThresholdTunerModel()
        model._resetUid(self.uid)
        self._copyValues(model)
        rule = self.getRule()
        if rule == "fixed":
            return model._set(thresholds=[self.getThreshold()])
        check_workers(dataset.sparkSession)
        best = self._best(dataset)
        if rule == "top":
            return model._set(
                top=self.getTop() or max(1, round(best.cardinality)),
                thresholds=[self.getThreshold()],
            )
        return model._set(
            thresholds=[
                self.getThreshold() if value is None else value for value in best.thresholds
            ]
        )

    def _best(self, dataset: DataFrame) -> _Best:
        columns = (
            array_column(dataset, self.getLabelsCol(), "labelsCol").alias("truth"),
            array_column(dataset, self.getProbabilitiesCol(), "probabilitiesCol").alias("scores"),
            number_column(dataset, self.getWeightCol(), "weightCol").alias("weight"),
        )
        rule = self.getRule()

        def points(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    if batch.num_rows:
                        yield _points(batch, rule)
            except UserError as error:
                nothing = np.zeros(1)
                yield _to_batch(
                    nothing.astype(np.int64), nothing, nothing, nothing, 0.0, 0, str(error)
                )

        wanted = (
            self.getOrDefault(self.labelCardinality) if self.isSet(self.labelCardinality) else None
        )
        return _find_best(
            dataset.select(*columns).mapInArrow(short_task(points), _POINTS), rule, wanted
        )


class _Best:
    """The best threshold of each curve, None where no score is better than another."""

    def __init__(self, thresholds: list[float | None], cardinality: float) -> None:
        self.thresholds = thresholds
        self.cardinality = cardinality


def _points(batch: pa.RecordBatch, rule: str) -> pa.RecordBatch:
    """Return the points of the curves that a rule looks at: weights that pass into the prediction as t falls."""
    truth = decode_arrays(batch.column(0), "labelsCol")
    scores = decode_arrays(batch.column(1), "probabilitiesCol")
    weight = batch.column(2).to_numpy(zero_copy_only=False)
    check_labels(truth, "labelsCol")
    if truth.shape != scores.shape:
        raise InvalidInputError(
            f"probabilitiesCol: {scores.shape[1]} scores, expected {truth.shape[1]} as in labelsCol"
        )
    if not np.isfinite(scores).all() or not np.isfinite(weight).all():
        raise InvalidInputError(
            "probabilitiesCol, weightCol: NaN or infinite, expected finite numbers"
        )
    labels = truth.shape[1]
    if rule == "exact_match":
        # a row is right for thresholds above its best false label up to its worst true one
        lowest_true = np.where(truth == 1, scores, np.inf).min(axis=1)
        highest_false = np.where(truth == 0, scores, -np.inf).max(axis=1)
        possible = lowest_true > highest_false
        # the infinite score stands for the batch where no row can be right
        score = np.r_[lowest_true[possible], highest_false[possible], np.inf]
        nothing = np.zeros(int(possible.sum()))
        on, off = np.r_[weight[possible], nothing, 0.0], np.r_[nothing, weight[possible], 0.0]
        curve = np.zeros(len(score), dtype=np.int64)
    else:
        curve, score, on, off = curve_points(truth, scores, weight)
        kept = curve < labels if rule == "f1_per_label" else curve == labels
        curve, score, on, off = curve[kept], score[kept], on[kept], off[kept]
    return _to_batch(curve, score, on, off, float(weight.sum()), labels, None)


def _to_batch(
    curve: NDArray[np.int64],
    score: Matrix,
    positive: Matrix,
    negative: Matrix,
    rows: float,
    labels: int,
    message: str | None,
) -> pa.RecordBatch:
    count = len(curve)
    all_rows = np.zeros(count)
    all_rows[:1] = rows  # the weight of the whole batch, once
    return pa.RecordBatch.from_pydict(
        {
            "curve": pa.array(curve.astype(np.int32)),
            "score": pa.array(score),
            "positive": pa.array(positive),
            "negative": pa.array(negative),
            "rows": pa.array(all_rows),
            "labels": pa.array(np.full(count, labels, dtype=np.int32)),
            "message": pa.array([message] * count, pa.string()),
        }
    )


def _objective(rule: str, cardinality: float | None) -> Column:
    """Return what a rule makes as large as possible, from the sums above a threshold."""
    on, off, total = F.col("tp"), F.col("fp"), F.col("total")
    if rule == "exact_match":
        return on - off
    if rule in ("cardinality", "top"):
        wanted = total if cardinality is None else F.col("all_rows") * F.lit(cardinality)
        return -F.abs(on + off - wanted)
    return F.when(total > 0, 2 * on / (on + off + total))


def _above(score: float) -> float:
    """Return a threshold that no score up to this one reaches: midway to 1 where there is room."""
    return (score + 1.0) / 2 if score < 1.0 else float(np.nextafter(score, np.inf))


def _threshold(row: Row, rule: str, cardinality: float | None) -> float | None:
    """Return the best threshold of a curve.

    The one above all scores only where no other is as good.
    """
    if row["best"] is None:
        return None
    # what predicting nothing is worth; to F1 it is worth nothing
    wanted = row["total"] if cardinality is None else row["all_rows"] * cardinality
    nothing = {"exact_match": row["empty"], "cardinality": -abs(wanted)}.get(rule, -math.inf)
    return _above(row["highest"]) if nothing > row["best"]["value"] else row["best"]["threshold"]


def _find_best(points: DataFrame, rule: str, cardinality: float | None) -> _Best:
    """Return the best threshold of each curve: one job, one row a curve comes back."""
    grouped = points.groupBy("curve", "score").agg(
        F.sum("positive").alias("positive"),
        F.sum("negative").alias("negative"),
        F.sum("rows").alias("rows"),
        F.max("labels").alias("labels"),
        F.max("message").alias("message"),
    )
    curve = Window.partitionBy("curve")
    falling = curve.orderBy(F.col("score").desc())
    running = grouped.withColumns(
        {
            "tp": F.sum("positive").over(falling),
            "fp": F.sum("negative").over(falling),
            "next": F.lead("score").over(falling),
            "total": F.sum("positive").over(curve),
            "all_rows": F.sum("rows").over(curve),
        }
    )
    finite = F.abs("score") != float("inf")
    # between a score and the next lower one nothing changes; halfway is farthest from both
    threshold = F.when(
        F.col("next") > float("-inf"), (F.col("score") + F.col("next")) / 2
    ).otherwise(F.col("score"))
    ranked = F.when(
        finite, F.struct(_objective(rule, cardinality).alias("value"), threshold.alias("threshold"))
    )
    rows = (
        running.groupBy("curve")
        .agg(
            F.max(F.when(ranked["value"].isNotNull(), ranked)).alias("best"),
            F.max(F.when(finite, F.col("score"))).alias("highest"),
            F.sum(F.when(F.col("score") == float("inf"), F.col("positive")).otherwise(0.0)).alias(
                "empty"
            ),
            F.max("labels").alias("labels"),
            F.max("total").alias("total"),
            F.max("all_rows").alias("all_rows"),
            F.max("message").alias("message"),
        )
        .collect()
    )
    if not rows:
        raise InvalidInputError("predictions: no rows to fit thresholds on, expected at least one")
    for row in rows:
        if row["message"] is not None:
            raise InvalidInputError(row["message"])
    found = {row["curve"]: _threshold(row, rule, cardinality) for row in rows}
    if rule == "f1_per_label":
        curves: list[int] = list(range(max(row["labels"] for row in rows)))
    else:
        curves = [rows[0]["curve"]]
    first = rows[0]
    mean = first["total"] / first["all_rows"] if first["all_rows"] else 0.0
    return _Best(
        [found.get(index) for index in curves], mean if cardinality is None else cardinality
    )
