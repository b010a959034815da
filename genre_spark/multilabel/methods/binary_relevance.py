"""Binary relevance: one classifier per label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pyspark import keyword_only

from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.class_balance import HasBalance
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.fitting.plan import AnyLabel, Subproblem, derive_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import Predictor, RelevancePredictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import params_setter
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = ["BinaryRelevance", "BinaryRelevanceModel"]


class BinaryRelevanceModel(MultilabelModel):
    """One fitted classifier per label."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        return RelevancePredictor(scorers)


class BinaryRelevance(ProblemTransformation, HasBalance):
    """Binary relevance: one binary classifier per label, each blind to the other labels.

    The baseline of the field, and hard to beat where a measure counts each label for itself
    (Hamming loss, macro-F1). A label that is constant in training gets a constant answer. L fits.

    Example:
        >>> from pyspark.ml.classification import LogisticRegression
        >>> from genre_spark.multilabel import BinaryRelevance
        >>> relevance = BinaryRelevance(classifier=LogisticRegression(), labelsCol="genres")
        >>> model = relevance.fit(train)  # doctest: +SKIP
        >>> model.transform(test).select("probabilities", "prediction")  # doctest: +SKIP
    """

    model_class: ClassVar[type[MultilabelModel]] = BinaryRelevanceModel

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        balanced: bool = False,
        negativesPerPositive: float = 0.0,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        seed = self.getSeed()
        fits = [
            Subproblem(
                AnyLabel((label,)),
                seed=derive_seed(seed, label),
                **self._balance(statistics, label),
            )
            for label in range(statistics.n_labels)
        ]
        return fits, {}
