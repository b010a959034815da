"""Rows dealt into exactly as many partitions as their work needs."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["spread_by"]


def spread_by(rows: DataFrame, key: str, partitions: int) -> DataFrame:
    """Deal rows into partitions by the hash of a column, the same way in every run.

    `repartition(n, key)` does not always give n partitions: behind a join on the same column Spark
    leaves it out (EnsureRequirements, where both have n partitions), and adaptive execution then
    merges the join's small partitions into one. A task of seconds per row would be the only one.
    The hash of a hash is equal to no partitioning of a join.

    Args:
        rows: rows to deal.
        key: column whose equal values stay together.
        partitions: how many, at least 1.
    """
    return rows.repartition(partitions, F.xxhash64(key))
