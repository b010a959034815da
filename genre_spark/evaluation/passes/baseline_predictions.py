"""The two baselines of the TMDb study: what one gets without looking at a movie.

They need labels and movie ids alone. `multilabel.methods.baselines` has such baselines as
estimators, which draw by a row's features: predictions of other models come without any.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.sampling.priorities import fraction_to_priority, priority
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION, WEIGHT

__all__ = ["LabelPrior", "fit_label_prior", "predict_at_random", "predict_most_common"]


@dataclass(frozen=True)
class LabelPrior:
    """What is known from training labels alone.

    Attributes:
        most_common: labelset that most training rows have, multi-hot.
        cardinality: mean number of labels per row.
    """

    most_common: tuple[float, ...]
    cardinality: float

    @property
    def probability(self) -> float:
        """Probability of each label under the random baseline: cardinality / number of labels."""
        return self.cardinality / len(self.most_common)


def fit_label_prior(train: DataFrame) -> LabelPrior:
    """Return the most common labelset and the label cardinality of training rows.

    Rows count with their weights, which undo the bias of a balanced sample: the result holds for
    the population. Of equally common labelsets the one whose labels come first is taken.

    Raises:
        InvalidInputError: there is no row.
    """
    weight = F.col(WEIGHT).cast("double") if WEIGHT in train.columns else F.lit(1.0)
    size = F.aggregate(LABELS, F.lit(0.0), lambda total, on: total + on)
    totals = train.agg(F.sum(weight * size).alias("labels"), F.sum(weight).alias("rows")).first()
    common = (
        train.groupBy(LABELS)
        .agg(F.sum(weight).alias("rows"))
        .orderBy(F.desc("rows"), F.desc(LABELS))
        .select(LABELS)
    ).first()
    if common is None or totals is None or not totals["rows"]:
        raise InvalidInputError("training sample: no rows, expected at least one")
    return LabelPrior(tuple(common[LABELS]), float(totals["labels"] / totals["rows"]))


def predict_most_common(rows: DataFrame, *, prior: LabelPrior) -> DataFrame:
    """Predict the most common training labelset for every row."""
    labelset = F.array(*[F.lit(value).cast("float") for value in prior.most_common])
    return rows.select(MOVIE_ID, LABELS, labelset.alias(PREDICTION))


def predict_at_random(rows: DataFrame, *, prior: LabelPrior, seed: int) -> DataFrame:
    """Switch every label on with the same probability, by a hash of seed, movie and label."""
    limit = F.lit(fraction_to_priority(prior.probability))
    drawn = [
        (priority(seed, f"random baseline {label}") < limit).cast("float")
        for label in range(len(prior.most_common))
    ]
    return rows.select(MOVIE_ID, LABELS, F.array(*drawn).alias(PREDICTION))
