"""Whether probabilities mean what they say: reliability and expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.passes.threshold_curves import ThresholdCurves
from genre_spark.evaluation.style import FAINT, INK, SERIES, name_axes, new_figure

__all__ = ["BINS", "Reliability", "draw_reliability", "reliability_of"]

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

BINS = 20
"""Guo et al. (On calibration of modern neural networks, 2017) use 15; 20 fits the curves' grid."""


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


def reliability_of(curves: ThresholdCurves, *, bins: int = BINS) -> Reliability:
    """Return the reliability that the counts at every threshold hold; no further pass is needed.

    A probability counts as the middle of its interval of the curves' grid, which is less than half
    an interval away.

    Args:
        curves: of `count_thresholds`.
        bins: number of bins of equal width; a divisor of the number of intervals.

    Raises:
        InvalidInputError: the number of intervals is no multiple of it.
    """
    steps = len(curves.thresholds) - 1
    if steps % bins:
        raise InvalidInputError(f"bins: {bins}, expected a divisor of {steps}")
    centres = (curves.thresholds[:-1] + curves.thresholds[1:]) / 2

    def in_intervals(reached: Matrix) -> Matrix:
        counts = reached[:, :-1] - reached[:, 1:]
        counts[:, -1] += reached[:, -1]  # probability 1
        return counts

    count, positive = in_intervals(curves.predicted), in_intervals(curves.true_positives)
    shape = (len(count), bins, steps // bins)
    parts = (part.reshape(shape).sum(axis=2) for part in (count, positive, count * centres))
    return Reliability(*parts)


def draw_reliability(found: Reliability, *, labels: Sequence[str], title: str) -> Figure:
    """Draw the share of true labels against the mean probability of each bin.

    Args:
        found: of `reliability_of`.
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
