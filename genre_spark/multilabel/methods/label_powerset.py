"""Label powerset: combinations of labels are the classes of one classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.fitting.plan import Labelsets, Subproblem, plain_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import LabelsetsPredictor, Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import CheckedParams, params_setter, set_params
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = ["HasDecision", "LabelPowerset", "LabelPowersetModel"]

P = TypeVar("P", bound=Params)


class HasDecision(CheckedParams):
    """What the prediction follows from."""

    decision: Param[str] = Param(
        Params._dummy(),
        "decision",
        "'labelset': the most probable labelset, so never one that training did not have; "
        "'threshold': the labels whose score, the sum of p(labelset) over the labelsets that hold "
        "them, is >= threshold",
        TypeConverters.toString,
    )

    def getDecision(self) -> str:
        """Return what the prediction follows from."""
        return self.getOrDefault(self.decision)

    def setDecision(self: P, value: str) -> P:
        """Set what the prediction follows from: 'labelset' or 'threshold'."""
        return set_params(self, {"decision": value})

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getDecision() in ("labelset", "threshold")
        self._require("decision", known, "must be 'labelset' or 'threshold'")


class LabelPowersetModel(MultilabelModel, HasDecision):
    """A fitted multi-class classifier over labelsets."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        everything = [range(self.numLabels)]
        whole = self.getDecision() == "labelset"
        return LabelsetsPredictor(
            self.numLabels, everything, scorers, self._classes, votes=False, whole=whole
        )


class LabelPowerset(ProblemTransformation, HasDecision):
    """Label powerset: each distinct labelset of training is a class of one multi-class classifier.

    Learns any dependence between labels and is strong in exact match, where labelsets repeat; rare
    ones are its weakness (see PrunedSets). By default the prediction is the most probable labelset,
    which can differ from the labels whose score reaches the threshold. One fit, of as many classes
    as there are labelsets.
    """

    model_class: ClassVar[type[MultilabelModel]] = LabelPowersetModel
    multi_class: ClassVar[bool] = True

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
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
        self._setDefault(decision="labelset")
        self._set_given()

    setParams = params_setter(__init__)

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        target = Labelsets(tuple(range(statistics.n_labels)))
        return [Subproblem(target, seed=plain_seed(self.getSeed()))], {}
