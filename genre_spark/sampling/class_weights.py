"""Weights of genres for training, where sampling alone cannot balance them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from genre_spark.numeric.balancing import balanced_weights, negative_rate
from genre_spark.schemas import LABELS

__all__ = ["ClassWeights", "class_weights", "row_weight"]


@dataclass(frozen=True)
class ClassWeights:
    """Weights by label id.

    A label without movies, or without others, has the weight 0 where a ratio has no value.

    Attributes:
        counts: movies of each label that the weights come from.
        rows: movies.
        inverse_frequency: proportional to 1 / count, mean 1 over the labels that have movies.
        effective_number: (1 - beta) / (1 - beta^count), mean 1 over the labels that have movies:
            the overlap of movies makes each further one count less (Cui et al., Class-balanced loss
            based on effective number of samples, CVPR 2019).
        positive: weight of a movie that has the label, n / (2 count): a label's positives and
            negatives then weigh the same.
        negative: weight of a movie that has not, n / (2 (n - count)).
        pos_weight: negatives / positives, as BCEWithLogitsLoss takes it.
        negative_rate: share of a label's negatives to draw, so that `negatives_per_positive` remain
            for each positive.
        beta: of effective_number.
        negatives_per_positive: of negative_rate.
    """

    counts: tuple[int, ...]
    rows: int
    inverse_frequency: tuple[float, ...]
    effective_number: tuple[float, ...]
    positive: tuple[float, ...]
    negative: tuple[float, ...]
    pos_weight: tuple[float, ...]
    negative_rate: tuple[float, ...]
    beta: float
    negatives_per_positive: float

    def by_name(self, vocabulary: Sequence[str]) -> dict[str, object]:
        """Return JSON values: each kind of weight as genre -> weight."""
        values = asdict(self)
        return {
            key: dict(zip(vocabulary, value, strict=True)) if isinstance(value, tuple) else value
            for key, value in values.items()
        }


def class_weights(
    counts: Sequence[int], rows: int, *, beta: float = 0.9999, negatives_per_positive: float = 4.0
) -> ClassWeights:
    """Compute the weights of every label.

    Args:
        counts: movies of each label.
        rows: movies.
        beta: 0 <= beta < 1; 0 weighs all labels alike, near 1 approaches the inverse frequency.
        negatives_per_positive: negatives that negative sampling leaves for each positive.
    """
    inverse = _mean_one([1 / count if count else 0.0 for count in counts])
    balanced = [balanced_weights(count, rows - count) for count in counts]
    effective = _mean_one([(1 - beta) / (1 - beta**count) if count else 0.0 for count in counts])
    return ClassWeights(
        counts=tuple(counts),
        rows=rows,
        inverse_frequency=inverse,
        effective_number=effective,
        positive=tuple(positive for positive, _ in balanced),
        negative=tuple(negative for _, negative in balanced),
        pos_weight=tuple((rows - count) / count if count else 0.0 for count in counts),
        negative_rate=tuple(
            negative_rate(count, rows - count, per_positive=negatives_per_positive)
            for count in counts
        ),
        beta=beta,
        negatives_per_positive=negatives_per_positive,
    )


def _mean_one(weights: Sequence[float]) -> tuple[float, ...]:
    present = [weight for weight in weights if weight > 0]
    mean = sum(present) / len(present) if present else 1.0
    return tuple(weight / mean for weight in weights)


def row_weight(weights: Sequence[float], labels: str = LABELS) -> Column:
    """Return the mean weight of a row's genres, for learners that take one weight per row.

    1 for a row without genres.

    Args:
        weights: by label id, for example `effective_number`.
        labels: column of multi-hot arrays.
    """
    table = F.array(*[F.lit(float(weight)) for weight in weights])
    held = F.aggregate(F.col(labels), F.lit(0.0), lambda total, value: total + value)
    weighted = F.aggregate(
        F.zip_with(F.col(labels), table, lambda value, weight: value * weight),
        F.lit(0.0),
        lambda a, b: a + b,
    )
    return F.when(held > 0, weighted / held).otherwise(F.lit(1.0))
