"""How positives and negatives of a label are balanced, for samples and for fits alike."""

from __future__ import annotations

__all__ = ["balanced_weights", "negative_rate"]


def balanced_weights(positives: float, negatives: float) -> tuple[float, float]:
    """Return the weights of a positive and of a negative with which both kinds weigh the same.

    They are n / (2 positives) and n / (2 negatives), as scikit-learn's `class_weight="balanced"`; 0
    for a kind that there is none of.

    Args:
        positives: rows that have the label, or the sum of their weights.
        negatives: rows that have not, likewise.
    """
    half = (positives + negatives) / 2
    return half / positives if positives else 0.0, half / negatives if negatives else 0.0


def negative_rate(positives: float, negatives: float, *, per_positive: float) -> float:
    """Return the share of negatives to draw so that about `per_positive` remain per positive."""
    return min(1.0, per_positive * positives / negatives) if negatives else 1.0
