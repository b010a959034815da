"""How good probabilities are, per label and overall: what a permutation takes away from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["AVERAGE_PRECISION", "F1", "MICRO_F1", "measure", "measure_names"]

Matrix = NDArray[np.float64]

AVERAGE_PRECISION, F1, MICRO_F1 = "average_precision", "f1", "f1_micro"


def measure_names(labels: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the measure and the label of each number of `measure`; None: all labels together."""
    named = [(name, label) for name in (AVERAGE_PRECISION, F1) for label in labels]
    return [*named, (AVERAGE_PRECISION, None), (MICRO_F1, None)]


def measure(labels: Matrix, probabilities: Matrix, thresholds: ArrayLike) -> Matrix:
    """Return average precision and F1 of each label, mean average precision, and micro-F1.

    Args:
        labels: 0 or 1, (rows, L).
        probabilities: 0..1, (rows, L).
        thresholds: probability from which on a label is predicted: one, or (L,).

    Returns:
        (2 L + 2,), in the order of `measure_names`; NaN for the average precision of a label that
        no row has.
    """
    precision = average_precision(labels, probabilities)
    predicted = probabilities >= np.asarray(thresholds)
    hits, support = (predicted * labels).sum(axis=0), labels.sum(axis=0)
    both = predicted.sum(axis=0) + support
    f1 = np.divide(2 * hits, both, out=np.zeros(len(both)), where=both > 0)
    micro = 2 * hits.sum() / max(1.0, both.sum())
    known = precision[np.isfinite(precision)]
    mean = known.mean() if len(known) else np.nan
    return np.concatenate([precision, f1, [mean, micro]])


def average_precision(labels: Matrix, probabilities: Matrix) -> Matrix:
    """Return the average precision of each label, (L,), as scikit-learn has it; NaN without rows.

    Rows of the same probability enter together.
    """
    rows, count = labels.shape
    if not rows:
        return np.full(count, np.nan)
    order = np.argsort(-probabilities, axis=0, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=0)
    on = np.take_along_axis(labels, order, axis=0)
    places = np.arange(rows)[:, None]
    is_last = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, count), bool)])
    last = np.minimum.accumulate(np.where(is_last, places, rows - 1)[::-1], axis=0)[::-1]
    precision = np.take_along_axis(np.cumsum(on, axis=0), last, axis=0) / (last + 1)
    support = on.sum(axis=0)
    found = np.full(count, np.nan)
    np.divide((on * precision).sum(axis=0), support, out=found, where=support > 0)
    return found
