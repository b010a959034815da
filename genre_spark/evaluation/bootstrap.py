"""How sure a metric is, and a difference between models: a paired bootstrap over the rows.

Every draw takes as many rows as there are, with replacement, and the same rows for every model, so
that what is hard for all of them cancels out of their differences (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993). The metrics are functions of sums over rows: the sums of a
draw are one product of matrices. Many rows are first added up in random groups of equal size, and
the groups are drawn: the spread of the sums stays the same, time and memory stay bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.scores import SMALLER_IS_BETTER

__all__ = [
    "MOST_GROUPS",
    "Bootstrap",
    "Interval",
    "count_columns",
    "metrics_from_sums",
    "paired_bootstrap",
    "row_sums",
]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

MOST_GROUPS = 8192
"""More rows than this are drawn in groups; the error of a spread is then about 1 %."""
_CHUNK = 1 << 22  # how often each row is drawn, entries held at once: 32 MiB


@dataclass(frozen=True)
class Interval:
    """A number, and the bounds between which it lies in the given share of the draws."""

    value: float
    low: float
    high: float

    @property
    def is_positive(self) -> bool:
        """Whether the whole interval lies above 0: a gain that is more than noise."""
        return self.low > 0


@dataclass(frozen=True)
class Bootstrap:
    """Metrics of several models on the same rows, and on every draw of them.

    Attributes:
        values: model -> metric -> value on the rows as they are.
        draws: model -> metric -> values on the draws, (draws,); draw i is the same for all models.
        level: share of the draws that an interval holds.
    """

    values: Mapping[str, Mapping[str, float]]
    draws: Mapping[str, Mapping[str, Vector]]
    level: float

    def interval(self, model: str, metric: str) -> Interval:
        """Return a model's metric with its interval."""
        return self._interval(self.values[model][metric], self.draws[model][metric])

    def gain(self, model: str, other: str, metric: str) -> Interval:
        """Return how much better a model is than another: positive is better in every metric."""
        sign = -1.0 if metric in SMALLER_IS_BETTER else 1.0
        value = self.values[model][metric] - self.values[other][metric]
        return self._interval(
            sign * value, sign * (self.draws[model][metric] - self.draws[other][metric])
        )

    def _interval(self, value: float, draws: Vector) -> Interval:
        outside = (1 - self.level) / 2
        low, high = np.quantile(draws, [outside, 1 - outside])
        return Interval(value, float(low), float(high))


def row_sums(truth: Matrix, prediction: Matrix) -> Matrix:
    """Return what the metrics need of each row; rows can be added up.

    Args:
        truth: 0 or 1, (N, L).
        prediction: 0 or 1, (N, L).

    Returns:
        float64, (N, 3 L + 3): true labels, predicted ones, those that are both, rows (1), exact
        matches, Jaccard indices.

    Raises:
        InvalidInputError: the shapes are not equal.
    """
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise InvalidInputError(
            f"bootstrap: truth {truth.shape} and prediction {prediction.shape}, expected equal "
            "shapes (rows, labels)"
        )
    true, predicted = truth.astype(np.float64), prediction.astype(np.float64)
    hits = true * predicted
    both = hits.sum(axis=1)
    either = true.sum(axis=1) + predicted.sum(axis=1) - both
    jaccard = np.divide(both, either, out=np.zeros(len(both)), where=either > 0)
    return np.column_stack([true, predicted, hits, np.ones(len(both)), either == both, jaccard])


def count_columns(labels: int) -> int:
    """Return the number of columns of `row_sums` for a number of labels."""
    return 3 * labels + 3


def metrics_from_sums(sums: Matrix) -> dict[str, Vector]:
    """Return the metrics that models are compared by, (B,) each, from sums (B, 3 L + 3)."""
    labels = (sums.shape[1] - 3) // 3
    true, predicted, hits = np.split(sums[:, : 3 * labels], 3, axis=1)
    rows, exact, jaccard = sums[:, -3:].T
    wrong = (true + predicted - 2 * hits).sum(axis=1)
    return {
        "hamming_loss": _ratio(wrong, rows * labels),
        "jaccard_samples": _ratio(jaccard, rows),
        "subset_accuracy": _ratio(exact, rows),
        "f1_micro": _ratio(2 * hits.sum(axis=1), (true + predicted).sum(axis=1)),
        "f1_macro": _ratio(2 * hits, true + predicted).mean(axis=1),
    }


def paired_bootstrap(
    sums: Mapping[str, Matrix], *, draws: int = 2000, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """Measure models on the same rows, and on draws of these rows with replacement.

    Args:
        sums: model -> sums of each row (`row_sums`) or group of rows, in the same order, (N, K).
        draws: number of draws.
        seed: seed of the draws.
        level: share of the draws that an interval holds.

    Raises:
        InvalidInputError: there is no model or no row, or models differ in rows or true labels.
    """
    _check_pairs(sums)
    random = np.random.default_rng(seed)
    rows = len(next(iter(sums.values())))
    groups = _groups(rows, random)
    stacked = np.concatenate([_fold(matrix, groups) for matrix in sums.values()], axis=1)
    count = len(stacked)
    step = max(1, _CHUNK // count)
    parts = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        parts.append(times.astype(np.float64) @ stacked)
    drawn_sums = dict(zip(sums, np.split(np.concatenate(parts), len(sums), axis=1), strict=True))
    return Bootstrap(
        {
            model: {
                name: float(value[0])
                for name, value in metrics_from_sums(matrix.sum(axis=0, keepdims=True)).items()
            }
            for model, matrix in sums.items()
        },
        {model: metrics_from_sums(matrix) for model, matrix in drawn_sums.items()},
        level,
    )


def _groups(rows: int, random: np.random.Generator) -> npt.NDArray[np.int64] | None:
    """Return the group of each row, (N,), or None where every row is a group of its own."""
    return random.permutation(rows) % MOST_GROUPS if rows > MOST_GROUPS else None


def _fold(sums: Matrix, groups: npt.NDArray[np.int64] | None) -> Matrix:
    if groups is None:
        return sums
    columns = [np.bincount(groups, weights=column, minlength=MOST_GROUPS) for column in sums.T]
    return np.stack(columns, axis=1)


def _check_pairs(sums: Mapping[str, Matrix]) -> None:
    if not sums:
        raise InvalidInputError("bootstrap: no models, expected at least one")
    (name, first), *others = sums.items()
    if not len(first) or not first[:, -3].sum():
        raise InvalidInputError(f"bootstrap: {name} has no rows, expected at least one")
    labels = (first.shape[1] - 3) // 3
    for other, matrix in others:
        same = first.shape == matrix.shape and np.array_equal(
            first[:, [*range(labels), -3]], matrix[:, [*range(labels), -3]]
        )
        if not same:
            raise InvalidInputError(
                f"bootstrap: {name} and {other} were not measured on the same rows with the same "
                "true labels"
            )


def _ratio(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> Vector:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)
