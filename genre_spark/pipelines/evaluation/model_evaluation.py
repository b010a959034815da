"""Measure one model under each decision rule; log numbers, tables and pictures to its run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.evaluation.decisions import decide_labels
from genre_spark.evaluation.figures import (
    draw_correlations,
    draw_f1_bars,
    draw_precision_recall,
    draw_threshold_curves,
)
from genre_spark.evaluation.label_correlation import correlate_labels
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED, MICRO_F1, NO_RULE, PER_LABEL, Score
from genre_spark.evaluation.threshold_curves import count_thresholds
from genre_spark.multilabel.evaluation.evaluator import MultilabelEvaluator
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.multilabel.evaluation.threshold_tuner import ThresholdTuner
from genre_spark.multilabel.fitting.cooccurrence import count_cooccurrence
from genre_spark.multilabel.threads import run_in_threads
from genre_spark.schemas import LABELS, PREDICTION
from genre_spark.tracking import TrackedRun

PREFIXES = {
    FIXED: "",
    EXACT_MATCH: "_tuned",
    MICRO_F1: "_tuned_f1",
    PER_LABEL: "_per_label",
    NO_RULE: "",
}
"""What a rule adds to a split's name in MLflow: test/f1_micro, test_tuned/f1_micro, ..."""

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


def evaluate_model(model: PredictedModel, *, threshold: float, run: TrackedRun) -> list[Score]:
    """Measure a model under each rule on each split, and log the results to its run."""
    thresholds = fit_thresholds(model.predictions["validation"], threshold=threshold)
    start = (model.name, model.family, model.method, "validation")
    scores = [
        Score(*start, rule, "threshold", None, limits[0])
        for rule, limits in thresholds.items()
        if len(limits) == 1
    ]
    scores += [
        Score(*start, PER_LABEL, "threshold", label, limit)
        for label, limit in zip(model.vocabulary, thresholds[PER_LABEL], strict=True)
    ]
    measured = _measure(model, thresholds)
    for (split, rule), metrics in measured.items():
        scores += as_scores(model, split, rule, metrics)
        logged = dict(finite_only(metrics.values.items()))
        run.log_metrics(
            {f"{split}{PREFIXES[rule]}/{name}": value for name, value in logged.items()}
        )
    of_test = {rule: measured["test", rule].per_label["f1"] for rule in thresholds}
    for rule, values in of_test.items():
        run.log_metrics(
            {
                f"f1{PREFIXES[rule]}/{label}": value
                for label, value in zip(model.vocabulary, values, strict=True)
            }
        )
    tuned = {f"threshold{PREFIXES[rule]}": thresholds[rule][0] for rule in (EXACT_MATCH, MICRO_F1)}
    run.log_metrics(tuned)
    rounded = {name: round(value, 6) for name, value in tuned.items()}
    run.log_params({"threshold": threshold, **rounded, "labels": len(model.vocabulary)})
    exact, micro = tuned.values()
    rules = (
        f"fixed {threshold}; on validation {exact:.3f} for exact match, {micro:.3f} for micro-F1, "
        "F1 per genre"
    )
    run.set_tags({"threshold_rules": rules})
    _log_label_table(run, model, measured["test", FIXED], of_test, thresholds[PER_LABEL])
    _log_pictures(run, model, thresholds, of_test, measured["test", FIXED].per_label["support"])
    return scores


def _measure(
    model: PredictedModel, thresholds: Mapping[str, Sequence[float]]
) -> dict[tuple[str, str], MultilabelMetrics]:
    """Return the metrics of each split and rule.

    The Spark jobs are short, so that some of them run at once.
    """

    def measure(split: str, rule: str) -> MultilabelMetrics:
        # At its own threshold a model is measured by what it predicts: label powerset's most
        # probable labelset is not what its probabilities alone say, and 0.49999999999999994 is
        # stored as 0.5.
        own = rule == FIXED and thresholds[rule] == [OWN_THRESHOLD]
        decided = model.predictions[split]
        if not own:
            decided = decide_labels(decided, thresholds=thresholds[rule])
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


def fit_thresholds(validation: DataFrame, *, threshold: float) -> dict[str, list[float]]:
    """Return the thresholds of each rule: one for all labels, or one for each."""
    tuned = {
        rule: ThresholdTuner(rule=rule, threshold=threshold, predictionCol="")
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


def finite_only(items: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Leave out what is not defined, such as the ROC AUC of a genre that no row has."""
    return ((name, float(value)) for name, value in items if math.isfinite(value))


def _log_label_table(
    run: TrackedRun,
    model: PredictedModel,
    metrics: MultilabelMetrics,
    f1: Mapping[str, np.ndarray],
    thresholds: Sequence[float],
) -> None:
    columns = {"genre": list(model.vocabulary), "rows": metrics.per_label["support"].tolist()}
    columns |= {f"f1{PREFIXES[rule]}": np.round(values, 4).tolist() for rule, values in f1.items()}
    for name in ("average_precision", "roc_auc"):
        columns[name] = [
            round(value, 4) if math.isfinite(value) else None
            for value in metrics.per_label[name].tolist()
        ]
    columns["threshold"] = [round(value, 4) for value in thresholds]
    run.log_table(columns, "per_genre.json")


def count_pairs(rows: DataFrame, column: str, *, labels: int) -> np.ndarray:
    """Return the number of rows that have both labels of each pair, (L, L)."""
    on = rows.select(F.col(column).cast("array<double>").alias("labels"))
    return count_cooccurrence(on, labels)


def _log_pictures(
    run: TrackedRun,
    model: PredictedModel,
    thresholds: Mapping[str, Sequence[float]],
    f1: Mapping[str, np.ndarray],
    support: np.ndarray,
) -> None:
    labels, count = model.vocabulary, len(model.vocabulary)
    names = {
        FIXED: f"threshold {thresholds[FIXED][0]:g}",
        EXACT_MATCH: f"{thresholds[EXACT_MATCH][0]:.3f}, for exact match",
        MICRO_F1: f"{thresholds[MICRO_F1][0]:.3f}, for micro-F1",
        PER_LABEL: "one threshold per genre",
    }
    bars = {names[rule]: values for rule, values in f1.items()}
    run.log_figure(
        draw_f1_bars(bars, labels=labels, support=support, title=f"{model.name}: F1 on test"),
        "f1.png",
    )
    validation = count_thresholds(model.predictions["validation"], labels=count)
    marked = {
        "fixed": thresholds[FIXED][0],
        "for exact match": thresholds[EXACT_MATCH][0],
        "for micro-F1": thresholds[MICRO_F1][0],
    }
    title = f"{model.name}: one threshold for all genres, on validation"
    run.log_figure(draw_threshold_curves(validation, chosen=marked, title=title), "thresholds.png")
    test = count_thresholds(model.predictions["test"], labels=count)
    title = f"{model.name}: precision and recall on test (dotted: share of the genre)"
    run.log_figure(draw_precision_recall(test, labels=labels, title=title), "precision_recall.png")
    decided = decide_labels(model.predictions["test"], thresholds=thresholds[PER_LABEL])
    actual, predicted = (
        correlate_labels(count_pairs(decided, column, labels=count), rows=test.rows)
        for column in (LABELS, PREDICTION)
    )
    title = f"{model.name}: correlation of genres on test (predicted: one threshold per genre)"
    run.log_figure(
        draw_correlations(actual, predicted, labels=labels, title=title), "correlations.png"
    )
