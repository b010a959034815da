"""What an evaluation writes into a model's run: a few numbers, then tables."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genre_spark.evaluation.calibration import reliability_of
from genre_spark.evaluation.comparison import rule_name
from genre_spark.evaluation.headline import headline
from genre_spark.evaluation.scores import (
    PER_LABEL,
    RULES,
    Candidate,
)
from genre_spark.pipelines.evaluation.measuring.model_evaluation import EvaluatedModel
from genre_spark.tracking import DataInput, TrackedRun, log_headline

__all__ = ["DECISION_RULE", "log_evaluation"]

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
    if evaluated.curves:
        numbers["calibration_error"] = round(reliability_of(evaluated.curves["test"]).error, 4)
    if evaluated.uncalibrated is not None:
        error = reliability_of(evaluated.uncalibrated).error
        numbers["calibration_error_before"] = round(error, 4)
    log_headline(run, numbers, data=measured_on)
    tables = {"metrics.json": _metrics_table(evaluated), "per_genre.json": _genres_table(evaluated)}
    run.log_tables(tables, tags={DECISION_RULE: _describe_rule(evaluated, chosen)})


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
