"""How often labels come together, in the truth and in the predictions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

Matrix = npt.NDArray[np.float64]


def count_together(rows: DataFrame, *, column: str, labels: int) -> Matrix:
    """Count the rows that have both labels of every pair, in one pass.

    A label's own count is on the diagonal.

    Args:
        rows: with a multi-hot array column.
        column: its name.
        labels: L.

    Returns:
        float64, (L, L), symmetric.
    """
    on = F.filter(F.sequence(F.lit(0), F.lit(labels - 1)), lambda label: F.get(column, label) > 0)
    pairs = rows.select(on.alias("on")).select(F.explode("on").alias("first"), "on")
    counted = (
        pairs.select("first", F.explode("on").alias("second")).groupBy("first", "second").count()
    )
    counts = np.zeros((labels, labels))
    for row in counted.collect():  # L x L rows at most
        counts[row["first"], row["second"]] = row["count"]
    return counts


def correlate_labels(counts: Matrix, *, rows: int) -> Matrix:
    """Return the phi coefficient (Pearson's correlation of two 0/1 variables) of every pair of labels.

    Args:
        counts: of `count_together`, (L, L).
        rows: number of rows they were counted in.

    Returns:
        float64, (L, L), -1..1; NaN where a label is on always or never.
    """
    share = np.diag(counts) / rows
    covariance = counts / rows - np.outer(share, share)
    deviation = np.sqrt(share * (1 - share))
    scale = np.outer(deviation, deviation)
    return np.divide(covariance, scale, out=np.full_like(counts, np.nan), where=scale > 0)
