"""How strongly labels go together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["correlate_labels"]

Matrix = npt.NDArray[np.float64]


def correlate_labels(counts: Matrix, *, rows: int) -> Matrix:
    """Return the phi coefficient of every pair of labels: Pearson's correlation of 0/1 variables.

    Args:
        counts: number of rows that have both labels of a pair, (L, L); a label's own count is on
            the diagonal.
        rows: number of rows that they were counted in.

    Returns:
        float64, (L, L), -1..1; NaN where a label is on always or never.
    """
    share = np.diag(counts) / rows
    covariance = counts / rows - np.outer(share, share)
    deviation = np.sqrt(share * (1 - share))
    scale = np.outer(deviation, deviation)
    return np.divide(covariance, scale, out=np.full_like(counts, np.nan), where=scale > 0)
