"""What a multi-label method must beat: answers that do not look at the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.fitting.plan import plain_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics, summarise_rows
from genre_spark.multilabel.fitting.training_data import row_check, training_rows
from genre_spark.multilabel.matrices import Matrix
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.predictors import Predictor, apply_thresholds, decide
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import CheckedParams, params_setter, set_params
from genre_spark.numeric.splitmix import mix64
from genre_spark.spark.session import check_workers

__all__ = [
    "LabelPrior",
    "LabelPriorModel",
    "MostCommonLabelset",
    "MostCommonLabelsetModel",
    "RandomLabels",
    "RandomLabelsModel",
]

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class ConstantPredictor:
    """The same scores for every row.

    Attributes:
        scores: score of each label, (labels,).
        scorers: none, there are no fitted models.
        targets: likewise none.
        top: number of best labels that are predicted; None leaves it to the threshold.
    """

    scores: NDArray[np.float64]
    scorers: Sequence[Scorer] = ()
    top: int | None = None
    room: int = 0
    targets: Sequence[Sequence[int]] = ()

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.tile(self.scores, (block.n_rows, 1))
        if self.top is None:
            return scores, decide(scores, threshold)
        if self.top == 0:
            return scores, np.zeros_like(scores)
        return scores, apply_thresholds(scores, threshold, top=self.top)


def _hash_rows(block: FeatureBlock, factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each row, (rows,); the hash of 0 is 0, so that stored features suffice."""
    if not block.is_sparse:
        double = np.ascontiguousarray(block.double() + 0.0)  # -0.0 becomes 0.0
        return np.asarray((mix64(double.view(np.uint64)) * factors).sum(axis=1))
    stored = block.sparse(block.n_features)
    hashes = mix64((stored.data + 0.0).view(np.uint64)) * factors[stored.indices]
    total = np.zeros(block.n_rows, dtype=np.uint64)
    np.add.at(total, np.repeat(np.arange(block.n_rows), np.diff(stored.indptr)), hashes)
    return total


@dataclass(frozen=True)
class RandomPredictor:
    """Each label on with the same probability: by a hash of the row's features and the seed.

    Attributes:
        n_labels: number of labels.
        probability: probability of each label, 0..1.
        seed: seed of the hash.
        scorers: none, there are no fitted models.
        targets: likewise none.
    """

    n_labels: int
    probability: float
    seed: int
    scorers: Sequence[Scorer] = ()
    room: int = 0
    targets: Sequence[Sequence[int]] = ()

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return draws, 0.0 or 1.0, and predictions, each (rows, labels)."""
        generator = np.random.default_rng(self.seed)
        drawn = generator.integers(1, 2**63, block.n_features, dtype=np.uint64)
        factors = drawn * np.uint64(2) + np.uint64(1)
        salts = generator.integers(0, 2**63, self.n_labels, dtype=np.uint64)
        rows = mix64(_hash_rows(block, factors))
        hashed = mix64(rows[:, None] ^ salts)
        scores = ((hashed >> np.uint64(11)) * 2.0**-53 < self.probability).astype(np.float64)
        return scores, decide(scores, threshold)


class _Baseline(MultilabelEstimator):
    """An estimator that counts labels and fits nothing."""

    def _count(self, dataset: DataFrame) -> tuple[DataFrame, TrainingStatistics]:
        """Check the training data and return its projected rows and their statistics."""
        self._check_params()
        check_workers(dataset.sparkSession)
        rows = training_rows(dataset, self).drop("row_hash")
        statistics = summarise_rows(rows, row_check(dataset, self))
        self._check_label_names(statistics)
        return rows, statistics


class MostCommonLabelsetModel(MultilabelModel):
    """Predicts `structure["labelset"]`."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        labelset = np.asarray(self.structure["labelset"], dtype=np.float64)
        return ConstantPredictor(labelset, scorers)


class MostCommonLabelset(_Baseline):
    """Baseline: every row gets the labelset of most weight in training.

    Of equally common ones the first in order.
    """

    model_class: ClassVar[type[MultilabelModel]] = MostCommonLabelsetModel

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def _fit(self, dataset: DataFrame) -> Any:
        rows, statistics = self._count(dataset)
        labelset = F.col("labels").cast("array<tinyint>").alias("labels")
        weights = rows.groupBy(labelset).agg(F.sum("weight").alias("weight"))
        best = weights.orderBy(F.col("weight").desc(), "labels").first()
        most_common = [int(value) for value in best["labels"]] if best else []
        return self._finish([], {"labelset": most_common}, statistics)


class RandomLabelsModel(MultilabelModel):
    """Draws labels with `structure["probability"]`."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        probability, seed = self.structure["probability"], self.structure["seed"]
        return RandomPredictor(self.numLabels, probability, seed, scorers)


class RandomLabels(_Baseline):
    """Baseline: every label is on with probability label cardinality / L, independently.

    The draw is a hash of the row's features and the seed: the same row gets the same labels again,
    wherever it is. The scores are the draws, 0 or 1.
    """

    model_class: ClassVar[type[MultilabelModel]] = RandomLabelsModel

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def _fit(self, dataset: DataFrame) -> Any:
        _, statistics = self._count(dataset)
        probability = statistics.cardinality / statistics.n_labels
        structure = {"probability": probability, "seed": plain_seed(self.getSeed())}
        return self._finish([], structure, statistics)


class HasPriorDecision(CheckedParams):
    """What the prediction of LabelPrior follows from."""

    decision: Param[str] = Param(
        Params._dummy(),
        "decision",
        "'threshold': labels whose share in training is >= threshold; 'cardinality': the "
        "round(label cardinality) most frequent labels",
        TypeConverters.toString,
    )

    def getDecision(self) -> str:
        """Return what the prediction follows from."""
        return self.getOrDefault(self.decision)

    def setDecision(self: P, value: str) -> P:
        """Set what the prediction follows from: 'threshold' or 'cardinality'."""
        return set_params(self, {"decision": value})

    def _check_params(self) -> None:
        super()._check_params()
        expected = "must be 'threshold' or 'cardinality'"
        self._require("decision", self.getDecision() in ("threshold", "cardinality"), expected)


class LabelPriorModel(MultilabelModel, HasPriorDecision):
    """Answers with `structure["prior"]`."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        prior = np.asarray(self.structure["prior"], dtype=np.float64)
        top = round(float(prior.sum())) if self.getDecision() == "cardinality" else None
        return ConstantPredictor(prior, scorers, top)


class LabelPrior(_Baseline, HasPriorDecision):
    """Baseline: every row gets the labels' shares in training as scores."""

    model_class: ClassVar[type[MultilabelModel]] = LabelPriorModel

    @keyword_only
    def __init__(
        self,
        *,
        decision: str = "threshold",
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._setDefault(decision="threshold")
        self._set_given()

    setParams = params_setter(__init__)

    def _fit(self, dataset: DataFrame) -> Any:
        _, statistics = self._count(dataset)
        prior = (statistics.label_weights / statistics.weight).tolist()
        return self._finish([], {"prior": prior}, statistics)
