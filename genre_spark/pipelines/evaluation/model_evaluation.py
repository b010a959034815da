"""Measure one model's predictions under each decision rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame

from genre_spark.evaluation.decisions import decide_labels
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED, MICRO_F1, NO_RULE, PER_LABEL, Score
from genre_spark.multilabel.evaluation.evaluator import MultilabelEvaluator
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.multilabel.evaluation.threshold_tuner import ThresholdTuner
from genre_spark.multilabel.threads import run_in_threads

OWN_THRESHOLD = 0.5
"""By which every training stage makes the predictions that it stores."""

_JOBS_AT_ONCE = 3


@dataclass(frozen=True)
class PredictedModel:
    """A model of which there are predictions.

    Attributes:
        name: of the model and its predictions' folder.
        family, method: how it was made.
        vocabulary: names of the labels, L.
        run_id: the MLflow run that trained it, or "".
        predictions: split -> rows of PREDICTIONS_SCHEMA.
    """

    name: str
    family: str
    method: str
    vocabulary: tuple[str, ...]
    run_id: str
    predictions: Mapping[str, DataFrame]


@dataclass(frozen=True)
class EvaluatedModel:
    """A model and how good it is.

    Attributes:
        model: what was measured.
        thresholds: rule -> one threshold for all labels, or one per label; empty without
            probabilities.
        measured: (split, rule) -> metrics.
        scores: thresholds and metrics as rows of the evaluation table.
        uncalibrated: the model with its own probabilities, where `model` has calibrated ones.
    """

    model: PredictedModel
    thresholds: Mapping[str, Sequence[float]]
    measured: Mapping[tuple[str, str], MultilabelMetrics]
    scores: Sequence[Score]
    uncalibrated: PredictedModel | None = None

    def decided(self, split: str, rule: str) -> DataFrame:
        """Return the predictions of a split with `prediction` under a rule."""
        return _decide(self.model, self.thresholds, split, rule)


def evaluate_model(model: PredictedModel, *, threshold: float, half_samples: int) -> EvaluatedModel:
    """Measure a model under each rule on each split.

    Args:
        model: a table of probabilities for each split.
        threshold: of the fixed rule.
        half_samples: of one threshold per label; see `ThresholdTuner`.
    """
    thresholds = fit_thresholds(
        model.predictions["validation"], threshold=threshold, half_samples=half_samples
    )
    measured = _measure(model, thresholds)
    scores = [*_threshold_scores(model, thresholds)]
    for (split, rule), metrics in measured.items():
        scores += as_scores(model, split, rule, metrics)
    return EvaluatedModel(model, thresholds, measured, scores)


def evaluate_decisions(model: PredictedModel) -> EvaluatedModel:
    """Measure a model that gives no probabilities, only a prediction."""
    evaluator = MultilabelEvaluator(probabilitiesCol="")
    measured = {
        (split, NO_RULE): evaluator.evaluateAll(rows) for split, rows in model.predictions.items()
    }
    scores = [
        score
        for (split, rule), metrics in measured.items()
        for score in as_scores(model, split, rule, metrics)
    ]
    return EvaluatedModel(model, {}, measured, scores)


def _threshold_scores(
    model: PredictedModel, thresholds: Mapping[str, Sequence[float]]
) -> Iterator[Score]:
    start = (model.name, model.family, model.method, "validation")
    for rule, limits in thresholds.items():
        if len(limits) == 1:
            yield Score(*start, rule, "threshold", None, limits[0])
    for label, limit in zip(model.vocabulary, thresholds[PER_LABEL], strict=True):
        yield Score(*start, PER_LABEL, "threshold", label, limit)


def _decide(
    model: PredictedModel, thresholds: Mapping[str, Sequence[float]], split: str, rule: str
) -> DataFrame:
    # At its own threshold a model is measured by what it predicts: label powerset's most probable
    # labelset is not what its probabilities alone say, and 0.49999999999999994 is stored as 0.5.
    own = rule == NO_RULE or (rule == FIXED and list(thresholds[rule]) == [OWN_THRESHOLD])
    decided = model.predictions[split]
    return decided if own else decide_labels(decided, thresholds=thresholds[rule])


def _measure(
    model: PredictedModel, thresholds: Mapping[str, Sequence[float]]
) -> dict[tuple[str, str], MultilabelMetrics]:
    """Return the metrics of each split and rule.

    The Spark jobs are short, so that some of them run at once.
    """

    def measure(split: str, rule: str) -> MultilabelMetrics:
        decided = _decide(model, thresholds, split, rule)
        # What only looks at the probabilities is the same under every rule.
        evaluator = (
            MultilabelEvaluator() if rule == FIXED else MultilabelEvaluator(probabilitiesCol="")
        )
        return evaluator.evaluateAll(decided)

    cases = [(split, rule) for split in model.predictions for rule in thresholds]
    spark = next(iter(model.predictions.values())).sparkSession
    found = run_in_threads(
        spark, [partial(measure, *case) for case in cases], parallelism=_JOBS_AT_ONCE
    )
    return dict(zip(cases, found, strict=True))


def fit_thresholds(
    validation: DataFrame, *, threshold: float, half_samples: int
) -> dict[str, list[float]]:
    """Return the thresholds of each rule: one for all labels, or one for each.

    Args:
        validation: predictions of movies that the model has not seen.
        threshold: the fixed one, which a label keeps that is never on.
        half_samples: of one threshold per label; 0 takes the best of all rows.
    """
    tuned = {
        rule: ThresholdTuner(
            rule=rule, threshold=threshold, halfSamples=half_samples, predictionCol=""
        )
        .fit(validation)
        .getThresholds()
        for rule in (EXACT_MATCH, MICRO_F1, PER_LABEL)
    }
    return {FIXED: [threshold], **tuned}


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
