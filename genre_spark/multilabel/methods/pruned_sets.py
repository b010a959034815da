"""Pruned sets (Read et al. 2008): label powerset over frequent labelsets, one or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.ensembles import HasEnsemble
from genre_spark.multilabel.fitting.plan import (
    Labelsets,
    Pruning,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.methods.label_powerset import HasDecision, LabelPowersetModel
from genre_spark.multilabel.models.predictors import LabelsetsPredictor, Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import CheckedParams, params_setter, set_params
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = [
    "EnsembleOfPrunedSets",
    "EnsembleOfPrunedSetsModel",
    "PrunedSets",
    "PrunedSetsModel",
]

P = TypeVar("P", bound=Params)


class HasPruning(CheckedParams):
    """How pruned sets choose labelsets."""

    pruningThreshold: Param[int] = Param(
        Params._dummy(),
        "pruningThreshold",
        "p: labelsets that occur more often are kept, >= 0",
        TypeConverters.toInt,
    )
    strategy: Param[str] = Param(
        Params._dummy(),
        "strategy",
        "rows of a rare labelset become copies with its frequent subsets: 'A' the `keep` best by "
        "size, then count; 'B' all with more than `keep` labels",
        TypeConverters.toString,
    )
    keep: Param[int] = Param(
        Params._dummy(),
        "keep",
        "b, a number of subsets or of labels, see strategy; >= 0",
        TypeConverters.toInt,
    )

    def getPruningThreshold(self) -> int:
        """Return p: labelsets that occur more often are kept."""
        return self.getOrDefault(self.pruningThreshold)

    def setPruningThreshold(self: P, value: int) -> P:
        """Set p, >= 0: labelsets that occur more often are kept."""
        return set_params(self, {"pruningThreshold": value})

    def getStrategy(self) -> str:
        """Return which frequent subsets a rare labelset becomes."""
        return self.getOrDefault(self.strategy)

    def setStrategy(self: P, value: str) -> P:
        """Set which frequent subsets a rare labelset becomes: 'A' or 'B'."""
        return set_params(self, {"strategy": value})

    def getKeep(self) -> int:
        """Return b, a number of subsets (strategy 'A') or of labels ('B')."""
        return self.getOrDefault(self.keep)

    def setKeep(self: P, value: int) -> P:
        """Set b, >= 0, a number of subsets (strategy 'A') or of labels ('B')."""
        return set_params(self, {"keep": value})

    def _pruning(self) -> Pruning:
        return Pruning(self.getPruningThreshold(), self.getOrDefault("strategy"), self.getKeep())

    def _check_params(self) -> None:
        super()._check_params()
        for name in ("pruningThreshold", "keep"):
            self._require(name, self.getOrDefault(name) >= 0, "must be >= 0")
        self._require("strategy", self.getStrategy() in ("A", "B"), "must be 'A' or 'B'")


class PrunedSetsModel(LabelPowersetModel, HasPruning):
    """A fitted multi-class classifier over frequent labelsets."""


class PrunedSets(ProblemTransformation, HasDecision, HasPruning):
    """Pruned sets: label powerset over the labelsets that occur more than p times.

    Rows of other labelsets are replaced by copies with their frequent subsets, or dropped where
    there is none. Where no labelset is frequent, the most frequent ones are kept. One fit.
    """

    model_class: ClassVar[type[MultilabelModel]] = PrunedSetsModel
    multi_class: ClassVar[bool] = True

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        pruningThreshold: int = 3,
        strategy: str = "A",
        keep: int = 2,
        decision: str = "labelset",
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._setDefault(decision="labelset", pruningThreshold=3, strategy="A", keep=2)
        self._set_given()

    setParams = params_setter(__init__)

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        target = Labelsets(tuple(range(statistics.n_labels)), self._pruning())
        return [Subproblem(target, RowSample(), seed=plain_seed(self.getSeed()))], {}


class EnsembleOfPrunedSetsModel(MultilabelModel, HasEnsemble):
    """Fitted pruned sets."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        everything = [range(self.numLabels)] * len(self.parts)
        votes = self.getScores() == "votes"
        return LabelsetsPredictor(self.numLabels, everything, scorers, self._classes, votes=votes)


class EnsembleOfPrunedSets(ProblemTransformation, HasPruning, HasEnsemble):
    """Ensemble of pruned sets, each on its own 63 % of the rows, without replacement.

    A label's score is its share of votes (`scores="votes"`) or the mean of the members' scores
    (`scores="mean"`); votes of different labelsets combine to labelsets that training did not have.
    `numModels` fits.
    """

    model_class: ClassVar[type[MultilabelModel]] = EnsembleOfPrunedSetsModel
    multi_class: ClassVar[bool] = True

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        numModels: int = 10,
        pruningThreshold: int = 3,
        strategy: str = "A",
        keep: int = 2,
        scores: str = "votes",
        sample: str = "subsample",
        sampleFraction: float = 0.63,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._setDefault(pruningThreshold=3, strategy="A", keep=2)
        self._setDefault(numModels=10, scores="votes", sample="subsample", sampleFraction=0.63)
        self._set_given()

    setParams = params_setter(__init__)

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        target = Labelsets(tuple(range(statistics.n_labels)), self._pruning())
        seeds = [derive_seed(self.getSeed(), member) for member in range(self.getNumModels())]
        return [Subproblem(target, self._sample(seed), seed=seed) for seed in seeds], {}
