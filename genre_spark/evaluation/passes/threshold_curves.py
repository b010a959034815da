"""What every threshold on a grid would give, counted in one distributed pass, for pictures.

`multilabel.ThresholdTuner` chooses thresholds; it looks at the scores themselves, not at a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.passes.batch_sums import batch_matrix, sum_groups
from genre_spark.schemas import LABELS, PROBABILITIES

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

__all__ = ["STEPS", "ThresholdCurves", "count_batch", "count_group_thresholds", "count_thresholds"]

STEPS = 200


@dataclass(frozen=True)
class ThresholdCurves:
    """Counts at every threshold of a grid; a label is on where its probability is >= the threshold.

    Attributes:
        thresholds: thresholds, ascending from 0 to 1, (T,).
        true_positives: rows on which a label is predicted and true, (L, T).
        predicted: rows on which a label is predicted, (L, T).
        support: rows that truly have a label, (L,).
        exact: rows whose labelset is predicted exactly, (T,).
        jaccard: sum of the rows' Jaccard indices, (T,).
        rows: number of rows.
    """

    thresholds: Vector
    true_positives: Matrix
    predicted: Matrix
    support: Vector
    exact: Vector
    jaccard: Vector
    rows: int

    @property
    def subset_accuracy(self) -> Vector:
        """Share of rows whose labelset is predicted exactly, (T,)."""
        return self.exact / self.rows

    @property
    def jaccard_samples(self) -> Vector:
        """Mean Jaccard index of the rows, 0 where nothing is true or predicted, (T,)."""
        return self.jaccard / self.rows

    @property
    def hamming_loss(self) -> Vector:
        """Share of wrong decisions, (T,)."""
        wrong = self.predicted + self.support[:, None] - 2 * self.true_positives
        return wrong.sum(axis=0) / (self.rows * len(self.support))

    @property
    def precision(self) -> Matrix:
        """Precision of each label, 0 where it is not predicted, (L, T)."""
        return _ratio(self.true_positives, self.predicted)

    @property
    def recall(self) -> Matrix:
        """Recall of each label, 0 where it is never true, (L, T)."""
        return _ratio(
            self.true_positives, np.broadcast_to(self.support[:, None], self.predicted.shape)
        )

    @property
    def f1(self) -> Matrix:
        """F1 of each label, (L, T)."""
        return _ratio(2 * self.true_positives, self.predicted + self.support[:, None])

    @property
    def f1_macro(self) -> Vector:
        """Mean F1 of the labels, (T,)."""
        return np.asarray(self.f1.mean(axis=0))

    @property
    def f1_micro(self) -> Vector:
        """F1 of all decisions together, (T,)."""
        return _ratio(
            2 * self.true_positives.sum(axis=0), self.predicted.sum(axis=0) + self.support.sum()
        )

    @property
    def cardinality(self) -> Vector:
        """Mean number of predicted labels per row, (T,)."""
        return self.predicted.sum(axis=0) / self.rows


def count_thresholds(predictions: DataFrame, *, labels: int, steps: int = STEPS) -> ThresholdCurves:
    """Count what each of steps + 1 evenly spaced thresholds from 0 to 1 would give.

    Every row falls into one bin per label; cumulated from above, the bins are the counts at each
    threshold. The driver gets 2 L T + 2 T + 1 numbers.

    Args:
        predictions: rows with array columns `labels` (0 or 1) and `probabilities` (0..1), (L,) per
            row.
        labels: number of labels, L.
        steps: number of intervals of the grid.

    Raises:
        InvalidInputError: there is no row, or a row has another number of labels.
    """
    columns = predictions.select(
        F.lit(0).alias("grp"),
        F.col(LABELS).cast("array<double>"),
        F.col(PROBABILITIES).cast("array<double>"),
    )
    return count_group_thresholds(columns, labels={0: labels}, steps=steps)[0]


def count_group_thresholds(
    rows: DataFrame,
    *,
    labels: Mapping[int, int],
    steps: int = STEPS,
    in_one_task: bool = False,
) -> dict[int, ThresholdCurves]:
    """Count the same for each group of rows, in one pass.

    Args:
        rows: number of the group, labels and probabilities (array<double>).
        labels: group -> its number of labels.
        steps: number of intervals of the grid.
        in_one_task: of `sum_groups`.

    Raises:
        InvalidInputError: a group has no row, or a row has another number of labels.
    """
    grid = np.linspace(0.0, 1.0, steps + 1)

    def count(group: int, batch: pa.RecordBatch) -> Vector:
        truth, scores = (batch_matrix(column, labels[group]) for column in batch.columns)
        return count_batch(truth, scores, grid)

    sizes = {group: 2 * (count + 1) * len(grid) + 1 for group, count in labels.items()}
    totals = sum_groups(rows, count, sizes=sizes, in_one_task=in_one_task)
    return {group: _finish(total, grid, labels[group]) for group, total in totals.items()}


def _finish(total: Vector, grid: Vector, labels: int) -> ThresholdCurves:
    if not total[-1]:
        raise InvalidInputError("predictions: no rows, expected at least one")
    on, off = total[: 2 * labels * len(grid)].reshape(2, labels, len(grid))
    exact, jaccard = total[2 * labels * len(grid) : -1].reshape(2, len(grid))
    true_positives, false_positives = (bins[:, ::-1].cumsum(axis=1)[:, ::-1] for bins in (on, off))
    return ThresholdCurves(
        grid,
        true_positives,
        true_positives + false_positives,
        on.sum(axis=1),
        exact,
        jaccard,
        int(total[-1]),
    )


def count_batch(truth: Matrix, scores: Matrix, grid: Vector) -> Vector:
    """Return the counts of one batch in one array.

    They are bins of true labels, bins of false ones, exact rows, Jaccard sums and rows.

    Args:
        truth: labels, 0 or 1, (N, L).
        scores: scores, (N, L); one below the grid's first value reaches no threshold.
        grid: thresholds, ascending, (T,).
    """
    rows, labels = truth.shape
    steps = len(grid)
    # the highest threshold that a score reaches, -1: none
    last = np.searchsorted(grid, scores, side="right") - 1
    true = truth > 0
    places = np.arange(labels)[None, :] * steps + last
    bins = [
        np.bincount(places[mask & (last >= 0)], minlength=labels * steps) for mask in (true, ~true)
    ]

    # A row is exact for thresholds above its best false label up to its worst true one.
    first_right = np.where(true, -1, last).max(axis=1, initial=-1) + 1
    last_right = np.where(true, last, steps - 1).min(axis=1, initial=steps - 1)
    right = first_right <= last_right
    changes = np.bincount(first_right[right], minlength=steps + 1) - np.bincount(
        last_right[right] + 1, minlength=steps + 1
    )
    exact = np.cumsum(changes)[:steps]

    jaccard = np.zeros(steps)
    sizes = true.sum(axis=1)
    for step in range(steps):
        chosen = last >= step
        hits = (chosen & true).sum(axis=1)
        union = sizes + chosen.sum(axis=1) - hits
        jaccard[step] = np.divide(hits, union, out=np.zeros(rows), where=union > 0).sum()
    return np.concatenate([*bins, exact, jaccard, [rows]]).astype(np.float64)


def _ratio(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)
