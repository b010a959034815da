"""The pictures of an evaluation: drawn in Spark tasks, logged to the runs of the models."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from genre_spark.evaluation.calibration import draw_reliability, reliability_of
from genre_spark.evaluation.comparison import rule_name
from genre_spark.evaluation.figures import (
    draw_correlations,
    draw_f1_bars,
    draw_precision_recall,
    draw_threshold_curves,
)
from genre_spark.evaluation.passes.drawing import draw_in_tasks
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED, MICRO_F1, PER_LABEL, Candidate
from genre_spark.numeric.label_correlation import correlate_labels
from genre_spark.pipelines.evaluation.measuring.evaluation_passes import ChosenSums
from genre_spark.pipelines.evaluation.measuring.model_evaluation import EvaluatedModel
from genre_spark.tracking import TrackedRun

__all__ = ["Drawings", "log_pictures", "model_pictures"]

Drawings = Mapping[str, "partial[Figure]"]
"""Name of a picture's file -> what draws it."""

_STATE = "genre_spark.pictures"  # tag of a run: digest of what its pictures show
_VERSION = 2  # of how they look


def model_pictures(evaluated: EvaluatedModel, chosen: Candidate, sums: ChosenSums) -> Drawings:
    """Return what draws the pictures of a model that gives probabilities.

    Args:
        evaluated: the model's metrics under every rule, and its curves.
        chosen: the model under the rule that is best on validation.
        sums: pairs of labels on test under that rule.
    """
    name, labels = evaluated.model.name, evaluated.model.vocabulary
    limits = {rule: found[0] for rule, found in evaluated.thresholds.items() if len(found) == 1}
    names = {
        FIXED: f"threshold {limits[FIXED]:g}",
        EXACT_MATCH: f"{limits[EXACT_MATCH]:.3f}, for exact match",
        MICRO_F1: f"{limits[MICRO_F1]:.3f}, for micro-F1",
        PER_LABEL: "one threshold per genre",
    }
    of_test = {rule: evaluated.measured["test", rule].per_label for rule in names}
    test = evaluated.curves["test"]
    actual, predicted = (
        correlate_labels(pairs, rows=test.rows) for pairs in (sums.actual, sums.predicted)
    )
    pictures = {
        "f1.png": partial(
            draw_f1_bars,
            {shown: of_test[rule]["f1"] for rule, shown in names.items()},
            labels=labels,
            support=of_test[FIXED]["support"],
            title=f"{name}: F1 on test",
        ),
        "thresholds.png": partial(
            draw_threshold_curves,
            evaluated.curves["validation"],
            chosen={rule_name(rule): limit for rule, limit in limits.items()},
            title=f"{name}: one threshold for all genres, on validation",
        ),
        "precision_recall.png": partial(
            draw_precision_recall,
            test,
            labels=labels,
            title=f"{name}: precision and recall on test (dotted: share of the genre)",
        ),
        "reliability.png": partial(
            draw_reliability,
            reliability_of(test),
            labels=labels,
            title=f"{name}: what its probabilities mean on test",
        ),
        "correlations.png": partial(
            draw_correlations,
            actual,
            predicted,
            labels=labels,
            title=f"{name}: which genres go together on test (predicted: {rule_name(chosen.rule)})",
        ),
    }
    if evaluated.uncalibrated is not None:
        pictures["reliability_before.png"] = partial(
            draw_reliability,
            reliability_of(evaluated.uncalibrated),
            labels=labels,
            title=f"{name}: what its probabilities mean on test, before calibration",
        )
    return pictures


def log_pictures(spark: SparkSession, pictures: Sequence[tuple[TrackedRun, Drawings]]) -> None:
    """Draw pictures and log them to their runs, where they show something else than before.

    Args:
        spark: the session.
        pictures: runs and their pictures.
    """
    found = [
        (run, drawings, run.tag(_STATE), _digest(_VERSION, drawings)) for run, drawings in pictures
    ]
    changed = [each for each in found if each[2] != each[3]]
    tasks = [draw for _, drawings, *_ in changed for draw in drawings.values()]
    drawn = iter(draw_in_tasks(spark, tasks))
    for run, drawings, before, digest in changed:
        if before:  # a run that is killed now must not pass for one with these pictures
            run.set_tags({_STATE: ""})
        for name in drawings:
            run.log_bytes(next(drawn), name)
        run.set_tags({_STATE: digest})


def _digest(version: int, drawings: Drawings) -> str:
    """Return a digest of everything that pictures show."""
    digest = hashlib.sha256(str(version).encode())

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(value.tobytes())
        elif isinstance(value, partial):
            add([value.func.__name__, value.args, value.keywords])
        elif is_dataclass(value):
            for item in fields(value):
                add(getattr(value, item.name))
        elif isinstance(value, Mapping):
            add(list(value.items()))
        elif isinstance(value, (list, tuple)):
            digest.update(f"[{len(value)}".encode())
            for item in value:
                add(item)
        else:
            digest.update(repr(value).encode())

    add(drawings)
    return digest.hexdigest()[:16]
