"""One model, its predictions and how good they are under each decision rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession

from genre_spark.evaluation.passes.threshold_curves import ThresholdCurves
from genre_spark.evaluation.scores import PER_LABEL, Score
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.storage.tables import Table

__all__ = ["EvaluatedModel", "PredictedModel", "StoredRows", "as_scores", "threshold_scores"]


class StoredRows(Mapping[str, DataFrame]):
    """Split -> rows of its table, which is read when they are asked for.

    Args:
        spark: the session.
        tables: split -> table.
    """

    def __init__(self, spark: SparkSession, tables: Mapping[str, Table]) -> None:
        self._spark, self._tables = spark, tables

    def __getitem__(self, split: str) -> DataFrame:
        return self._tables[split].read(self._spark)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


@dataclass(frozen=True)
class PredictedModel:
    """A model of which there are predictions.

    Attributes:
        name: of the model and its predictions' folder.
        family, method: how it was made.
        vocabulary: names of the labels, L.
        run_id: the MLflow run that trained it, or "".
        predictions: split -> rows of PREDICTIONS_SCHEMA.
        tables: split -> the table that has just these rows; empty where they are worked out.
        rows: split -> how many there are; empty where that is not known.
    """

    name: str
    family: str
    method: str
    vocabulary: tuple[str, ...]
    run_id: str
    predictions: Mapping[str, DataFrame]
    tables: Mapping[str, Table] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatedModel:
    """A model and how good it is.

    Attributes:
        model: what was measured.
        thresholds: rule -> one threshold for all labels, or one per label; empty without
            probabilities.
        measured: (split, rule) -> metrics.
        scores: thresholds and metrics as rows of the evaluation table.
        curves: split -> what every threshold on a grid would give; empty without probabilities.
        uncalibrated: the same of test, of the model's own probabilities, where `model` has
            calibrated ones.
    """

    model: PredictedModel
    thresholds: Mapping[str, Sequence[float]]
    measured: Mapping[tuple[str, str], MultilabelMetrics]
    scores: Sequence[Score]
    curves: Mapping[str, ThresholdCurves] = field(default_factory=dict)
    uncalibrated: ThresholdCurves | None = None


def threshold_scores(
    model: PredictedModel, thresholds: Mapping[str, Sequence[float]]
) -> Iterator[Score]:
    """Return the thresholds of a model's rules as rows of the evaluation table."""
    start = (model.name, model.family, model.method, "validation")
    for rule, limits in thresholds.items():
        if len(limits) == 1:
            yield Score(*start, rule, "threshold", None, limits[0])
    if PER_LABEL in thresholds:
        for label, limit in zip(model.vocabulary, thresholds[PER_LABEL], strict=True):
            yield Score(*start, PER_LABEL, "threshold", label, limit)


def as_scores(
    model: PredictedModel, split: str, rule: str, metrics: MultilabelMetrics
) -> Iterator[Score]:
    """Return a model's metrics on a split under a rule as rows of the evaluation table."""
    start = (model.name, model.family, model.method, split, rule)
    for name, value in metrics.values.items():
        yield Score(*start, name, None, float(value) if math.isfinite(value) else None)
    for name, values in metrics.per_label.items():
        for label, value in zip(model.vocabulary, values.tolist(), strict=True):
            yield Score(*start, name, label, value if math.isfinite(value) else None)
