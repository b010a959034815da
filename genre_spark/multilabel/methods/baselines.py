"""What a multi-label method must beat: answers that do not look at the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.evaluation.threshold_tuner import apply_thresholds
from genre_spark.multilabel.fitting.plan import plain_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics, summarise_rows
from genre_spark.multilabel.fitting.training_data import training_rows
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.predictors import Predictor, Structure, decide
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import CommonParams, _Checked
from genre_spark.numeric.splitmix import mix64
from genre_spark.session import check_workers

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "LabelPrior",
    "LabelPriorModel",
    "MostCommonLabelset",
    "MostCommonLabelsetModel",
    "RandomLabels",
    "RandomLabelsModel",
]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class ConstantPredictor:
    """The same scores for every row.

    Attributes:
        scores: (labels,).
        top: the number of best labels that is predicted; None leaves it to the threshold.
    """

    scores: NDArray[np.float64]
    top: int | None = None
    room: int = 0
    scorers: Sequence[Scorer] = ()

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.tile(self.scores, (block.rows, 1))
        if self.top is None:
            return scores, decide(scores, threshold)
        return scores, apply_thresholds(
            scores, threshold, top=self.top
        ) if self.top else np.zeros_like(scores)


@dataclass(frozen=True)
class RandomPredictor:
    """Each label on with the same probability: a hash of the row's features and the seed, not a generator.

    Attributes:
        labels: number of labels.
        probability: of each label, 0..1.
        seed: of the hash.
    """

    labels: int
    probability: float
    seed: int
    room: int = 0
    scorers: Sequence[Scorer] = ()

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return draws, 0.0 or 1.0, and predictions, each (rows, labels)."""
        bits = np.ascontiguousarray(block.double() + 0.0).view(
            np.uint64
        )  # + 0.0 makes -0.0 the same as 0.0
        generator = np.random.default_rng(self.seed)
        factors = generator.integers(1, 2**63, block.width, dtype=np.uint64) * np.uint64(
            2
        ) + np.uint64(1)
        salts = generator.integers(0, 2**63, self.labels, dtype=np.uint64)
        hashed = mix64(mix64((mix64(bits) * factors).sum(axis=1))[:, None] ^ salts)
        scores = (hashed >> np.uint64(11)) * 2.0**-53 < self.probability
        return scores.astype(np.float64), decide(scores.astype(np.float64), threshold)


class _Baseline(MultilabelEstimator):
    """An estimator that counts labels and fits nothing."""

    def _structure(self, statistics: TrainingStatistics, rows: DataFrame) -> Structure:
        raise NotImplementedError

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        check_workers(dataset.sparkSession)
        rows = training_rows(dataset, self)
        statistics = summarise_rows(rows.drop("row_hash"), self._row_check(dataset))
        self._check_label_names(statistics)
        return self._finish([], self._structure(statistics, rows), statistics)


class MostCommonLabelsetModel(MultilabelModel):
    """Predicts `structure["labelset"]`."""

    def _predictor(self) -> Predictor:
        return ConstantPredictor(np.asarray(self.structure["labelset"], dtype=np.float64))


class MostCommonLabelset(_Baseline):
    """Baseline: every row gets the labelset of most weight in training.

    Of equally common ones the first in order.
    """

    model_class: ClassVar[type[MultilabelModel]] = MostCommonLabelsetModel

    def __init__(self, **params: Unpack[CommonParams]) -> None:
        super().__init__(**params)

    def _structure(self, statistics: TrainingStatistics, rows: DataFrame) -> Structure:  # noqa: ARG002
        labelset = F.col("labels").cast("array<tinyint>").alias("labels")
        weights = rows.groupBy(labelset).agg(F.sum("weight").alias("weight"))
        best = weights.orderBy(F.col("weight").desc(), "labels").first()
        return {"labelset": [int(value) for value in best["labels"]] if best else []}


class RandomLabelsModel(MultilabelModel):
    """Draws labels with `structure["probability"]`."""

    def _predictor(self) -> Predictor:
        return RandomPredictor(
            self.numLabels, self.structure["probability"], self.structure["seed"]
        )


class RandomLabels(_Baseline):
    """Baseline: every label is on with probability label cardinality / L, independently.

    The draw is a hash of the row's features and the seed: the same row gets the same labels again,
    wherever it is. The scores are the draws, 0 or 1.
    """

    model_class: ClassVar[type[MultilabelModel]] = RandomLabelsModel

    def __init__(self, **params: Unpack[CommonParams]) -> None:
        super().__init__(**params)

    def _structure(self, statistics: TrainingStatistics, rows: DataFrame) -> Structure:  # noqa: ARG002
        return {
            "probability": statistics.cardinality / statistics.labels,
            "seed": plain_seed(self.getSeed()),
        }


class PriorParams(CommonParams, total=False):
    """Keyword arguments of LabelPrior."""

    decision: str


class HasPriorDecision(_Checked):
    """What the prediction of LabelPrior follows from."""

    decision: Param[str] = Param(
        Params._dummy(),
        "decision",
        "'threshold': labels whose share in training is >= threshold; 'cardinality': the "
        "round(label cardinality) most "
        "frequent labels",
        TypeConverters.toString,
    )

    def getDecision(self) -> str:
        """Return what the prediction follows from."""
        return self.getOrDefault(self.decision)

    def _check_params(self) -> None:
        super()._check_params()
        expected = "must be 'threshold' or 'cardinality'"
        self._require("decision", self.getDecision() in ("threshold", "cardinality"), expected)


class LabelPriorModel(MultilabelModel, HasPriorDecision):
    """Answers with `structure["prior"]`."""

    def _predictor(self) -> Predictor:
        prior = np.asarray(self.structure["prior"], dtype=np.float64)
        top = round(float(prior.sum())) if self.getDecision() == "cardinality" else None
        return ConstantPredictor(prior, top)


class LabelPrior(_Baseline, HasPriorDecision):
    """Baseline: every row gets the labels' shares in training as scores."""

    model_class: ClassVar[type[MultilabelModel]] = LabelPriorModel

    def __init__(self, **params: Unpack[PriorParams]) -> None:
        super().__init__()
        self._setDefault(decision="threshold")
        self._set_params(params)

    def _structure(self, statistics: TrainingStatistics, rows: DataFrame) -> Structure:  # noqa: ARG002
        return {"prior": (statistics.label_weights / statistics.weight).tolist()}
