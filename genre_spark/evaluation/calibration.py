"""Whether probabilities mean what they say: reliability and expected calibration error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.figure import Figure
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.style import FAINT, INK, SERIES, name_axes, new_figure
from genre_spark.schemas import LABELS, PROBABILITIES
from genre_spark.workers import short_task

__all__ = ["BINS", "Reliability", "draw_reliability", "measure_reliability"]

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

BINS = 15
"""As many as Guo et al. use (On calibration of modern neural networks, 2017)."""


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins of equal width, and how often labels are true there.

    Attributes:
        count: decisions in each bin, (labels, bins).
        positive: those whose label is true, (labels, bins).
        total: sum of their probabilities, (labels, bins).
    """

    count: Matrix
    positive: Matrix
    total: Matrix

    @property
    def error(self) -> float:
        """Expected calibration error of all decisions together, 0..1.

        The mean over decisions of the distance between their bin's mean probability and its share
        of true labels.
        """
        return float(
            np.abs(self.positive.sum(axis=0) - self.total.sum(axis=0)).sum() / self.count.sum()
        )

    @property
    def label_errors(self) -> Vector:
        """Expected calibration error of each label, (labels,)."""
        wrong: Vector = np.abs(self.positive - self.total).sum(axis=1)
        return wrong / self.count.sum(axis=1)


def measure_reliability(predictions: DataFrame, *, labels: int, bins: int = BINS) -> Reliability:
    """Count decisions by probability in one distributed pass; 3 L bins numbers come back.

    Args:
        predictions: rows with array columns `labels` (0 or 1) and `probabilities` (0..1), (L,) per
            row.
        labels: number of labels, L.
        bins: number of bins of equal width.

    Raises:
        InvalidInputError: there is no row.
    """

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = np.zeros((3, labels * bins))
        for batch in batches:
            truth, odds = (
                column.flatten().to_numpy(zero_copy_only=False).reshape(-1, labels)
                for column in batch.columns
            )
            place = np.clip((odds * bins).astype(np.int64), 0, bins - 1)
            place = (place + np.arange(labels) * bins).ravel()
            for row, weights in enumerate((None, truth.ravel(), odds.ravel())):
                found[row] += np.bincount(place, weights, minlength=labels * bins)
        yield pa.RecordBatch.from_pydict(
            {
                "place": pa.array(np.arange(labels * bins), pa.int32()),
                "count": pa.array(found[0]),
                "positive": pa.array(found[1]),
                "total": pa.array(found[2]),
            }
        )

    columns = predictions.select(
        F.col(LABELS).cast("array<double>"), F.col(PROBABILITIES).cast("array<double>")
    )
    schema = "place int, count double, positive double, total double"
    sums = (
        columns.mapInArrow(short_task(count), schema)
        .groupBy("place")
        .agg(*(F.sum(name).alias(name) for name in ("count", "positive", "total")))
        .orderBy("place")
        .collect()  # a row per label and bin
    )
    if not sums or not sum(row["count"] for row in sums):
        raise InvalidInputError("predictions: no rows, expected at least one")
    parts = [
        np.array([row[name] for row in sums]).reshape(labels, bins)
        for name in ("count", "positive", "total")
    ]
    return Reliability(*parts)


def draw_reliability(found: Reliability, *, labels: Sequence[str], title: str) -> Figure:
    """Draw the share of true labels against the mean probability of each bin.

    Args:
        found: of `measure_reliability`.
        labels: names of the labels; each is a faint line behind all labels together.
        title: title of the picture.
    """
    figure, (curve, bars) = new_figure(9, 4, title=title, columns=2)
    curve.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for count, positive, total in zip(found.count, found.positive, found.total, strict=True):
        known = count >= 10  # fewer say little
        curve.plot(total[known] / count[known], positive[known] / count[known], color=FAINT)
    count, positive, total = (
        part.sum(axis=0) for part in (found.count, found.positive, found.total)
    )
    known = count > 0
    curve.plot(
        total[known] / count[known], positive[known] / count[known], color=SERIES[0], marker="o"
    )
    name_axes(
        curve,
        title=f"expected calibration error {found.error:.3f}",
        x="mean probability",
        y="share of true labels (gray: single genres)",
    )
    worst = np.argsort(found.label_errors)
    places = np.arange(len(labels))
    bars.barh(places, found.label_errors[worst], color=SERIES[0])
    bars.set_yticks(places, [labels[index] for index in worst], fontsize=7)
    name_axes(bars, x="expected calibration error of each genre")
    return figure
