"""Binary relevance: one classifier a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genre_spark.multilabel.base import MultilabelModel, ProblemTransformation
from genre_spark.multilabel.class_balance import BinaryParams, HasBalance
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence
from genre_spark.multilabel.fitting.plan import AnyLabel, Subproblem, derive_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import Predictor, RelevancePredictor, Structure

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BinaryRelevance", "BinaryRelevanceModel"]


class BinaryRelevanceModel(MultilabelModel):
    """One fitted classifier a label."""

    def _predictor(self) -> Predictor:
        return RelevancePredictor(self._scorers)


class BinaryRelevance(ProblemTransformation, HasBalance):
    """Binary relevance: one binary classifier a label, each blind to the other labels.

    The baseline of the field, and hard to beat where a measure counts each label for itself
    (Hamming loss, macro-F1). A label that is constant in training gets a constant answer. L fits.

    Example:
        >>> from pyspark.ml.classification import LogisticRegression
        >>> from genre_spark.multilabel import BinaryRelevance
        >>> model = BinaryRelevance(classifier=LogisticRegression(), labelsCol="genres").fit(train)  # doctest: +SKIP
        >>> model.transform(test).select("probabilities", "prediction")  # doctest: +SKIP
    """

    model_class = BinaryRelevanceModel

    def __init__(self, **params: Unpack[BinaryParams]) -> None:
        super().__init__(**params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        seed = self.getSeed()
        fits = [
            Subproblem(
                AnyLabel((index,)),
                seed=derive_seed(seed, index),
                **self._balance(statistics, index),
            )
            for index in range(statistics.labels)
        ]
        return fits, {}
