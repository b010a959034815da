"""What an evaluation writes into a model's run: a few numbers, then tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.evaluation.calibration import draw_reliability, reliability_of
from genre_spark.evaluation.comparison import rule_name
from genre_spark.evaluation.figures import (
    draw_correlations,
    draw_f1_bars,
    draw_precision_recall,
    draw_threshold_curves,
)
from genre_spark.evaluation.headline import headline
from genre_spark.evaluation.scores import (
    EXACT_MATCH,
    FIXED,
    MICRO_F1,
    PER_LABEL,
    RULES,
    Candidate,
)
from genre_spark.evaluation.threshold_curves import ThresholdCurves, count_thresholds
from genre_spark.multilabel.fitting.cooccurrence import count_cooccurrence
from genre_spark.numeric.label_correlation import correlate_labels
from genre_spark.pipelines.evaluation.model_evaluation import EvaluatedModel, PredictedModel
from genre_spark.schemas import LABELS, PREDICTION
from genre_spark.tracking import DataInput, TrackedRun, log_headline

__all__ = ["DECISION_RULE", "count_pairs", "log_evaluation"]

Matrix = npt.NDArray[np.float64]

_DIGITS = 6
DECISION_RULE = "decision_rule"
"""Tag of a model's run: the rule that its headline numbers stand under, in words."""


def log_evaluation(
    run: TrackedRun, evaluated: EvaluatedModel, chosen: Candidate, *, measured_on: DataInput | None
) -> None:
    """Log what was measured to a model's run; what an earlier evaluation logged is replaced.

    Args:
        run: the model's run.
        evaluated: the model's metrics under every rule.
        chosen: the model under the rule that is best on validation.
        measured_on: the test sample, where it is known.
    """
    numbers = headline(chosen)
    curves = {}
    if evaluated.thresholds:
        curves = {split: _curves(evaluated.model, split) for split in ("validation", "test")}
        numbers["calibration_error"] = round(reliability_of(curves["test"]).error, 4)
    if evaluated.uncalibrated is not None:
        numbers |= _log_uncalibrated(run, evaluated.uncalibrated)
    log_headline(run, numbers, data=measured_on)
    run.set_tags({DECISION_RULE: _describe_rule(evaluated, chosen)})
    run.log_table(_metrics_table(evaluated), "metrics.json")
    run.log_table(_genres_table(evaluated), "per_genre.json")
    if curves:
        _log_pictures(run, evaluated, chosen, curves)


def _describe_rule(evaluated: EvaluatedModel, chosen: Candidate) -> str:
    limits = evaluated.thresholds.get(chosen.rule, ())
    value = f" ({limits[0]:.3f})" if len(limits) == 1 else ""
    return f"{RULES[chosen.rule]}{value}"


def _metrics_table(evaluated: EvaluatedModel) -> dict[str, list[object]]:
    """Return one row per metric and split, one column per rule."""
    rules = list(dict.fromkeys(rule for _, rule in evaluated.measured))
    splits = sorted({split for split, _ in evaluated.measured})
    rows = [
        (split, name) for split in splits for name in evaluated.measured[split, rules[0]].values
    ]
    columns: dict[str, list[object]] = {
        "split": [split for split, _ in rows],
        "metric": [name for _, name in rows],
    }
    for rule in rules:
        values = [evaluated.measured[split, rule].values.get(name) for split, name in rows]
        columns[rule_name(rule) or "value"] = [_rounded(value) for value in values]
    return columns


def _genres_table(evaluated: EvaluatedModel) -> dict[str, list[object]]:
    """Return one row per genre, the most frequent first: F1 on test by rule, and ranking."""
    of_test = {
        rule: found for (split, rule), found in evaluated.measured.items() if split == "test"
    }
    first = next(iter(of_test.values())).per_label
    order = np.argsort(-first["support"], kind="stable")
    columns: dict[str, list[object]] = {
        "genre": [evaluated.model.vocabulary[place] for place in order],
        "movies": first["support"][order].astype(int).tolist(),
    }
    for rule, found in of_test.items():
        name = f"F1 {rule_name(rule)}".strip()
        columns[name] = [_rounded(value) for value in found.per_label["f1"][order].tolist()]
    for name in ("average_precision", "roc_auc"):
        if name in first:
            columns[name] = [_rounded(value) for value in first[name][order].tolist()]
    if PER_LABEL in evaluated.thresholds:
        limits = np.asarray(evaluated.thresholds[PER_LABEL])[order]
        columns["threshold per genre"] = [_rounded(value) for value in limits.tolist()]
    return columns


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS)


def _log_pictures(
    run: TrackedRun,
    evaluated: EvaluatedModel,
    chosen: Candidate,
    curves: Mapping[str, ThresholdCurves],
) -> None:
    model, labels = evaluated.model, evaluated.model.vocabulary
    limits = {rule: found[0] for rule, found in evaluated.thresholds.items() if len(found) == 1}
    names = {
        FIXED: f"threshold {limits[FIXED]:g}",
        EXACT_MATCH: f"{limits[EXACT_MATCH]:.3f}, for exact match",
        MICRO_F1: f"{limits[MICRO_F1]:.3f}, for micro-F1",
        PER_LABEL: "one threshold per genre",
    }
    of_test = {rule: evaluated.measured["test", rule].per_label for rule in names}
    bars = {name: of_test[rule]["f1"] for rule, name in names.items()}
    support = of_test[FIXED]["support"]
    title = f"{model.name}: F1 on test"
    run.log_figure(draw_f1_bars(bars, labels=labels, support=support, title=title), "f1.png")
    marked = {rule_name(rule): limit for rule, limit in limits.items()}
    title = f"{model.name}: one threshold for all genres, on validation"
    figure = draw_threshold_curves(curves["validation"], chosen=marked, title=title)
    run.log_figure(figure, "thresholds.png")
    test = curves["test"]
    title = f"{model.name}: precision and recall on test (dotted: share of the genre)"
    run.log_figure(draw_precision_recall(test, labels=labels, title=title), "precision_recall.png")
    title = f"{model.name}: what its probabilities mean on test"
    figure = draw_reliability(reliability_of(test), labels=labels, title=title)
    run.log_figure(figure, "reliability.png")
    decided = evaluated.decided("test", chosen.rule)
    actual, predicted = (
        correlate_labels(count_pairs(decided, column, labels=len(labels)), rows=test.rows)
        for column in (LABELS, PREDICTION)
    )
    title = f"{model.name}: which genres go together on test (predicted: {rule_name(chosen.rule)})"
    figure = draw_correlations(actual, predicted, labels=labels, title=title)
    run.log_figure(figure, "correlations.png")


def _log_uncalibrated(run: TrackedRun, model: PredictedModel) -> dict[str, float]:
    """Log what the model's own probabilities mean; return their expected calibration error."""
    found = reliability_of(_curves(model, "test"))
    title = f"{model.name}: what its probabilities mean on test, before calibration"
    figure = draw_reliability(found, labels=model.vocabulary, title=title)
    run.log_figure(figure, "reliability_before.png")
    return {"calibration_error_before": round(found.error, 4)}


def _curves(model: PredictedModel, split: str) -> ThresholdCurves:
    return count_thresholds(model.predictions[split], labels=len(model.vocabulary))


def count_pairs(rows: DataFrame, column: str, *, labels: int) -> Matrix:
    """Return the number of rows that have both labels of each pair, (L, L)."""
    on = rows.select(F.col(column).cast("array<double>").alias("labels"))
    return count_cooccurrence(on, labels)
