"""Decisions from probabilities, as columns."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import PREDICTION, PROBABILITIES

__all__ = ["decide_labels"]


def decide_labels(predictions: DataFrame, *, thresholds: Sequence[float]) -> DataFrame:
    """Replace the prediction column by the labels whose probability reaches the threshold.

    Args:
        predictions: rows with an array column `probabilities`, (L,) per row, 0..1.
        thresholds: one threshold for all labels, or one per label.

    Raises:
        InvalidInputError: there is no threshold.
    """
    if not thresholds:
        raise InvalidInputError("thresholds: none, expected one for all labels or one per label")
    return predictions.withColumn(PREDICTION, _reaches(F.col(PROBABILITIES), thresholds))


def _reaches(probabilities: Column, thresholds: Sequence[float]) -> Column:
    if len(thresholds) == 1:
        limit = F.lit(float(thresholds[0]))
        return F.transform(probabilities, lambda p: (p.cast("double") >= limit).cast("float"))
    limits = F.array(*[F.lit(float(value)) for value in thresholds])
    return F.zip_with(
        probabilities, limits, lambda p, limit: (p.cast("double") >= limit).cast("float")
    )
