"""Running sums over the sorted scores of curves, on Spark: exact at any size."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

__all__ = ["with_running_sums"]


def with_running_sums(points: DataFrame, *keys: str) -> DataFrame:
    """Return the points of curves with what a threshold at their score switches on.

    One window per curve, which Spark spills to disk when it must.

    Args:
        points: the keys, `score`, `positive` and `negative` (weights); one row per score of a
            curve.
        keys: columns that name a curve.

    Returns:
        the points with `tp` and `fp`, sums of `positive` and `negative` from the highest score
        down to the point's.
    """
    falling = Window.partitionBy(*keys).orderBy(F.col("score").desc())
    return points.withColumns(
        {"tp": F.sum("positive").over(falling), "fp": F.sum("negative").over(falling)}
    )
