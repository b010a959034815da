"""Gradient boosting that learns all labels at once, by CatBoost or XGBoost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.sql import DataFrame

from genre_spark.extras import require
from genre_spark.multilabel.base import MultilabelEstimator, MultilabelModel
from genre_spark.multilabel.fitting.training_data import (
    Payload,
    TrainingMatrix,
    pack_training,
    row_check,
    summarise_blocks,
    training_rows,
)
from genre_spark.multilabel.fitting.with_sklearn import run_tasks
from genre_spark.multilabel.matrices import Matrix
from genre_spark.multilabel.models.boosted import (
    LIBRARIES,
    BoostedScorer,
    BoostingSettings,
    Library,
    fit_boosted,
)
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.predictors import Predictor, decide
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.persistence import read_scorer
from genre_spark.multilabel.shared_params import HasWeightCol
from genre_spark.spark.session import check_workers
from genre_spark.storage.caching import cached

__all__ = ["MultilabelBoosting", "MultilabelBoostingModel"]

P = TypeVar("P", bound="MultilabelBoosting")


@dataclass(frozen=True)
class BoostingPredictor:
    """The answer of boosted trees for all labels.

    Attributes:
        scorers: a single one, which answers for all labels.
    """

    scorers: Sequence[BoostedScorer]
    room: int = 0

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """All labels."""
        return [list(range(scorer.n_classes)) for scorer in self.scorers]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = self.scorers[0].probabilities(block)
        return scores, decide(scores, threshold)


class MultilabelBoostingModel(MultilabelModel):
    """Fitted boosted trees, stored in the library's own format."""

    def _predictor(self, scorers: Sequence[Any]) -> Predictor:
        return BoostingPredictor(scorers)


class MultilabelBoosting(MultilabelEstimator, HasWeightCol):
    """Boosted trees for many labels, each of which answers for all of them.

    CatBoost with the loss MultiLogloss (Prokhorenkova et al., 2018), or XGBoost with trees of
    several outputs (Chen and Guestrin, 2016; multi_output_tree). The fit is one Spark task with one
    thread, so that the same seed gives the same trees; it needs the extra `boosting`.
    """

    model_class: ClassVar[type[MultilabelModel]] = MultilabelBoostingModel

    library: Param[str] = Param(
        Params._dummy(), "library", "catboost or xgboost", TypeConverters.toString
    )
    iterations: Param[int] = Param(
        Params._dummy(), "iterations", "number of trees, >= 1", TypeConverters.toInt
    )
    maxDepth: Param[int] = Param(
        Params._dummy(), "maxDepth", "levels of a tree's splits, 1 to 16", TypeConverters.toInt
    )
    learningRate: Param[float] = Param(
        Params._dummy(),
        "learningRate",
        "share of a tree's answer that is added, > 0 and <= 1",
        TypeConverters.toFloat,
    )

    @keyword_only
    def __init__(
        self,
        *,
        library: str = "catboost",
        iterations: int = 500,
        maxDepth: int = 6,
        learningRate: float = 0.05,
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
        self._setDefault(library="catboost", iterations=500, maxDepth=6, learningRate=0.05)
        self._set_given()

    setParams = params_setter(__init__)

    def getLibrary(self) -> str:
        """Return the library."""
        return self.getOrDefault(self.library)

    def setLibrary(self: P, value: str) -> P:
        """Set the library: catboost or xgboost."""
        return set_params(self, {"library": value})

    def getIterations(self) -> int:
        """Return the number of trees."""
        return self.getOrDefault(self.iterations)

    def setIterations(self: P, value: int) -> P:
        """Set the number of trees, >= 1."""
        return set_params(self, {"iterations": value})

    def getMaxDepth(self) -> int:
        """Return the levels of a tree's splits."""
        return self.getOrDefault(self.maxDepth)

    def setMaxDepth(self: P, value: int) -> P:
        """Set the levels of a tree's splits, 1 to 16."""
        return set_params(self, {"maxDepth": value})

    def getLearningRate(self) -> float:
        """Return the share of a tree's answer that is added."""
        return self.getOrDefault(self.learningRate)

    def setLearningRate(self: P, value: float) -> P:
        """Set the share of a tree's answer that is added, > 0 and <= 1."""
        return set_params(self, {"learningRate": value})

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getLibrary() in LIBRARIES
        self._require("library", known, f"expected {' or '.join(LIBRARIES)}")
        self._require("iterations", self.getIterations() >= 1, "must be >= 1")
        self._require("maxDepth", 1 <= self.getMaxDepth() <= 16, "must be 1 to 16")
        self._require("learningRate", 0 < self.getLearningRate() <= 1, "must be > 0 and <= 1")

    def _fit(self, dataset: DataFrame) -> Any:
        self._check_params()
        settings = BoostingSettings(
            cast("Library", self.getLibrary()),
            self.getIterations(),
            self.getMaxDepth(),
            self.getLearningRate(),
        )
        require(settings.library)
        check_workers(dataset.sparkSession)
        check, seed = row_check(dataset, self), self.getSeed()
        weighted = self.getWeightCol() is not None

        def task(_index: int, matrix: TrainingMatrix) -> Payload:
            scorer = fit_boosted(
                matrix.features, matrix.labels, matrix.weights, settings=settings, seed=seed
            )
            return scorer.kind, scorer.to_bytes(), None

        with cached(pack_training(training_rows(dataset, self), check, single=True)) as blocks:
            statistics = summarise_blocks(blocks, check)
            self._check_label_names(statistics)
            ((kind, payload, _),) = run_tasks(
                blocks, 1, task, statistics=statistics, single=True, weighted=weighted
            )
        return self._finish([FittedPart(read_scorer(kind, payload))], {}, statistics)
