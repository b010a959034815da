"""Multi-label metrics as sums over rows and points of curves, added up in any order of batches.

Conventions are those of scikit-learn with zero_division=0: a row or label without true and without
predicted labels counts 0 in precision, recall, F1 and Jaccard; average precision of a label that is
never on is 0, its ROC AUC is NaN (and so is the macro mean, see the evaluator's
handleUndefined); a row without true labels has coverage
0, ranking loss 0 and label ranking average precision 1. One-error, which scikit-learn lacks, counts
a row whose best label (the first of equals) is not a true one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genre_spark.multilabel.evaluation.metric_tables import (
    label_frame,
    metrics_html,
    metrics_text,
    overall_frame,
)

__all__ = [
    "CURVE_METRICS",
    "PREDICTION_METRICS",
    "RANKING_METRICS",
    "SMALLER_IS_BETTER",
    "MultilabelMetrics",
    "curve_points",
    "finish_metrics",
    "label_counts",
    "prediction_sums",
    "ranking_sums",
]

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

_AVERAGED = tuple(
    f"{name}_{mean}"
    for mean in ("micro", "macro")
    for name in ("precision", "recall", "f1", "jaccard")
)
_SAMPLES = ("precision_samples", "recall_samples", "f1_samples", "jaccard_samples")
PREDICTION_METRICS = (
    "hamming_loss",
    "subset_accuracy",
    *_SAMPLES,
    *_AVERAGED,
    "label_cardinality_predicted",
)
RANKING_METRICS = ("one_error", "coverage", "ranking_loss", "label_ranking_average_precision")
CURVE_METRICS = (
    "average_precision_micro",
    "average_precision_macro",
    "roc_auc_micro",
    "roc_auc_macro",
)
SMALLER_IS_BETTER = frozenset({"hamming_loss", "one_error", "coverage", "ranking_loss"})


@dataclass(frozen=True, repr=False)
class MultilabelMetrics:
    """All metrics of a table of predictions; prints as two tables.

    Attributes:
        values: metrics by name, each in 0..1 except coverage and the label cardinalities.
        per_label: metrics by name, one entry per label: precision, recall, f1, jaccard,
            average_precision, roc_auc, support (true rows, or their weight).
        rows: number of rows, or their total weight.
        label_names: names of the labels; None where they are not known.
    """

    values: dict[str, float]
    per_label: dict[str, Vector]
    rows: float
    label_names: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> float:
        """Return a metric by name."""
        return self.values[name]

    def frame(self) -> pd.DataFrame:
        """Return the metrics of all labels together: one row per metric, by name."""
        return overall_frame(self.values)

    def label_frame(self) -> pd.DataFrame:
        """Return the metrics of each label: one row per label, by name or number."""
        return label_frame(self.per_label, self.label_names)

    def __repr__(self) -> str:
        """Return both tables as text."""
        return metrics_text(self.frame(), self.label_frame(), self.rows)

    def _repr_html_(self) -> str:
        """Return both tables as a notebook shows them."""
        return metrics_html(self.frame(), self.label_frame(), self.rows)


def _ratio(part: Vector | float, whole: Vector | float) -> Vector:
    """Return part / whole, 0 where whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def prediction_sums(truth: Matrix, prediction: Matrix, weight: Vector) -> dict[str, float]:
    """Return weighted sums over the rows of the metrics that compare true and predicted labels.

    Args:
        truth: 0 or 1, (rows, labels).
        prediction: 0 or 1, (rows, labels).
        weight: weight of each row, (rows,).
    """
    hits = (truth * prediction).sum(axis=1)
    true, predicted = truth.sum(axis=1), prediction.sum(axis=1)
    wrong = true + predicted - 2 * hits
    rows = {
        "hamming_loss": wrong / max(truth.shape[1], 1),
        "subset_accuracy": (wrong == 0).astype(np.float64),
        "precision_samples": _ratio(hits, predicted),
        "recall_samples": _ratio(hits, true),
        "f1_samples": _ratio(2 * hits, true + predicted),
        "jaccard_samples": _ratio(hits, true + predicted - hits),
        "label_cardinality_predicted": predicted,
    }
    return {name: float(values @ weight) for name, values in rows.items()}


def label_counts(truth: Matrix, prediction: Matrix, weight: Vector) -> dict[str, Vector]:
    """Return weighted true positives, positives and predicted positives of each label."""
    return {
        "hits": weight @ (truth * prediction),
        "true": weight @ truth,
        "predicted": weight @ prediction,
    }


def ranking_sums(truth: Matrix, scores: Matrix, weight: Vector) -> dict[str, float]:
    """Return weighted sums over the rows of the metrics that look at the order of the labels.

    Equal scores share the worst of their ranks, as in scikit-learn.

    Args:
        truth: 0 or 1, (rows, labels).
        scores: higher is more probable, (rows, labels).
        weight: weight of each row, (rows,).
    """
    rows, labels = truth.shape
    order = np.argsort(-scores, axis=1, kind="stable")
    on = np.take_along_axis(truth, order, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    new = ranked[:, 1:] != ranked[:, :-1]
    position = np.arange(labels)
    # first position of each run of equal scores, and first one behind it (the shared, worst rank)
    starts = np.maximum.accumulate(
        np.where(np.pad(new, ((0, 0), (1, 0)), constant_values=True), position, 0), axis=1
    )
    last = np.where(np.pad(new, ((0, 0), (0, 1)), constant_values=True), position + 1, labels)
    rank = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    reached = np.pad(np.cumsum(on, axis=1), ((0, 0), (1, 0)))  # true labels among the first k
    true = reached[:, -1]
    within = np.take_along_axis(reached, rank, axis=1)
    above = np.take_along_axis(reached, starts, axis=1)
    partial = (true > 0) & (true < labels)
    # false labels that are not strictly below a true one
    misordered = ((1 - on) * (true[:, None] - above)).sum(axis=1)
    precision = _ratio((on * within / rank).sum(axis=1), true)
    values = {
        "one_error": 1.0 - on[:, 0] if labels else np.zeros(rows),
        "coverage": (on * rank).max(axis=1, initial=0.0),
        "ranking_loss": np.where(partial, _ratio(misordered, true * (labels - true)), 0.0),
        "label_ranking_average_precision": np.where(partial, precision, 1.0),
    }
    return {name: float(row @ weight) for name, row in values.items()}


def curve_points(
    truth: Matrix, scores: Matrix, weight: Vector
) -> tuple[NDArray[np.int64], Vector, Vector, Vector]:
    """Return the points of the labels' curves: curve, score, weights of positives and negatives.

    Curve j is label j's, curve L pools all labels (micro average). Equal scores are one point.
    """
    rows, labels = truth.shape
    positive = truth * weight[:, None]
    negative = (1 - truth) * weight[:, None]
    curves = np.tile(np.arange(labels), rows)
    points = [_merge(curves, scores.ravel(), positive.ravel(), negative.ravel())]
    label_points = points[0]
    pooled = np.full(len(label_points[0]), labels)
    points.append(_merge(pooled, *label_points[1:]))
    curve, score, on, off = (np.concatenate(parts) for parts in zip(*points, strict=True))
    return curve, score, on, off


def _merge(
    curve: NDArray[np.int64], score: Vector, positive: Vector, negative: Vector
) -> tuple[NDArray[np.int64], Vector, Vector, Vector]:
    """Add up the points that have the same curve and score."""
    order = np.lexsort((score, curve))
    curve, score = curve[order], score[order]
    first = np.flatnonzero(np.r_[True, (np.diff(curve) != 0) | (np.diff(score) != 0)][: len(order)])
    return (
        curve[first],
        score[first],
        np.add.reduceat(positive[order], first),
        np.add.reduceat(negative[order], first),
    )


def finish_metrics(
    rows: float,
    sums: Mapping[str, float],
    counts: Mapping[str, Vector],
    curves: Mapping[str, Vector],
) -> MultilabelMetrics:
    """Turn sums over all rows into metrics.

    Args:
        rows: number of rows, or their total weight, > 0.
        sums: results of `prediction_sums` and `ranking_sums`, those that were asked for.
        counts: result of `label_counts`; empty where there are no predictions.
        curves: `average_precision` and `roc_auc` of each label and, last, of all pooled, (labels +
            1,); may be empty.
    """
    values = {name: total / rows for name, total in sums.items()}
    per_label: dict[str, Vector] = {}
    if counts:
        per_label["support"] = counts["true"]
        values["label_cardinality"] = float(counts["true"].sum() / rows)
    if "hits" in counts:
        per_label |= _ratios(counts["hits"], counts["true"], counts["predicted"])
        values |= {
            f"{name}_macro": float(per_label[name].mean())
            for name in ("precision", "recall", "f1", "jaccard")
        }
        pooled = _ratios(
            *(np.atleast_1d(counts[name].sum()) for name in ("hits", "true", "predicted"))
        )
        values |= {f"{name}_micro": float(value[0]) for name, value in pooled.items()}
    for name, curve in curves.items():
        per_label[name] = curve[:-1]
        values[f"{name}_macro"] = float(curve[:-1].mean())
        values[f"{name}_micro"] = float(curve[-1])
    return MultilabelMetrics(values, per_label, rows)


def _ratios(hits: Vector, true: Vector, predicted: Vector) -> dict[str, Vector]:
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, true),
        "f1": _ratio(2 * hits, true + predicted),
        "jaccard": _ratio(hits, true + predicted - hits),
    }
