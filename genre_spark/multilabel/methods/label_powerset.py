"""Methods that learn combinations of labels as classes: label powerset and pruned sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel, ProblemTransformation
from genre_spark.multilabel.classifiers import ClassifierParams
from genre_spark.multilabel.ensembles import HasEnsemble
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence
from genre_spark.multilabel.fitting.plan import (
    Labelsets,
    Pruning,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import LabelsetsPredictor, Predictor, Structure
from genre_spark.multilabel.params import _Checked

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "EnsembleOfPrunedSets",
    "EnsembleOfPrunedSetsModel",
    "LabelPowerset",
    "LabelPowersetModel",
    "PrunedSets",
    "PrunedSetsModel",
]


class PowersetParams(ClassifierParams, total=False):
    """Keyword arguments of LabelPowerset."""

    decision: str


class PruningParams(ClassifierParams, total=False):
    """Keyword arguments that pruned sets have."""

    pruningThreshold: int
    strategy: str
    keep: int


class PrunedParams(PruningParams, total=False):
    """Keyword arguments of PrunedSets."""

    decision: str


class PrunedEnsembleParams(PruningParams, total=False):
    """Keyword arguments of EnsembleOfPrunedSets."""

    numModels: int
    scores: str
    sample: str
    sampleFraction: float


class HasDecision(_Checked):
    """What the prediction follows from."""

    decision: Param[str] = Param(
        Params._dummy(),
        "decision",
        "'labelset': the most probable labelset, so never one that training did not have; "
        "'threshold': the labels "
        "whose score, the sum of p(labelset) over the labelsets that hold them, is >= threshold",
        TypeConverters.toString,
    )

    def getDecision(self) -> str:
        """Return what the prediction follows from."""
        return self.getOrDefault(self.decision)

    def _check_params(self) -> None:
        super()._check_params()
        self._require(
            "decision",
            self.getDecision() in ("labelset", "threshold"),
            "must be 'labelset' or 'threshold'",
        )


class HasPruning(_Checked):
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
        "size, then count; 'B' "
        "all with more than `keep` labels",
        TypeConverters.toString,
    )
    keep: Param[int] = Param(Params._dummy(), "keep", "b, see strategy; >= 0", TypeConverters.toInt)

    def _pruning(self) -> Pruning:
        return Pruning(
            *(self.getOrDefault(name) for name in ("pruningThreshold", "strategy", "keep"))
        )

    def _check_params(self) -> None:
        super()._check_params()
        for name in ("pruningThreshold", "keep"):
            self._require(name, self.getOrDefault(name) >= 0, "must be >= 0")
        self._require("strategy", self.getOrDefault("strategy") in ("A", "B"), "must be 'A' or 'B'")


class LabelPowersetModel(MultilabelModel, HasDecision):
    """A fitted multi-class classifier over labelsets."""

    def _predictor(self) -> Predictor:
        everything = [range(self.numLabels)]
        whole = self.getDecision() == "labelset"
        return LabelsetsPredictor(
            self.numLabels, everything, self._scorers, self._classes, votes=False, whole=whole
        )


class LabelPowerset(ProblemTransformation, HasDecision):
    """Label powerset: each distinct labelset of training is a class of one multi-class classifier.

    Learns any dependence between labels and is strong in exact match, where labelsets repeat; rare
    ones are its weakness (see PrunedSets). By default the prediction is the most probable labelset,
    which can differ from the labels whose score reaches the threshold. One fit, of as many classes
    as there are labelsets.
    """

    model_class: ClassVar[type[MultilabelModel]] = LabelPowersetModel

    def __init__(self, **params: Unpack[PowersetParams]) -> None:
        super().__init__()
        self._setDefault(decision="labelset")
        self._set_params(params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        return [
            Subproblem(Labelsets(tuple(range(statistics.labels))), seed=plain_seed(self.getSeed()))
        ], {}


class PrunedSetsModel(LabelPowersetModel, HasPruning):
    """A fitted multi-class classifier over frequent labelsets."""


class PrunedSets(ProblemTransformation, HasDecision, HasPruning):
    """Pruned sets (Read et al.

    2008): label powerset over the labelsets that occur more than p times.

    Rows of other labelsets are replaced by copies with their frequent subsets, or dropped where
    there is none. Where no labelset is frequent, the most frequent ones are kept. One fit.
    """

    model_class: ClassVar[type[MultilabelModel]] = PrunedSetsModel

    def __init__(self, **params: Unpack[PrunedParams]) -> None:
        super().__init__()
        self._setDefault(decision="labelset", pruningThreshold=3, strategy="A", keep=2)
        self._set_params(params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        target = Labelsets(tuple(range(statistics.labels)), self._pruning())
        return [Subproblem(target, RowSample(), seed=plain_seed(self.getSeed()))], {}


class EnsembleOfPrunedSetsModel(MultilabelModel, HasEnsemble):
    """Fitted pruned sets."""

    def _predictor(self) -> Predictor:
        everything = [range(self.numLabels)] * len(self.parts)
        votes = self.getScores() == "votes"
        return LabelsetsPredictor(
            self.numLabels, everything, self._scorers, self._classes, votes=votes
        )


class EnsembleOfPrunedSets(ProblemTransformation, HasPruning, HasEnsemble):
    """Ensemble of pruned sets: each on its own 63 % of the rows, without replacement.

    A label's score is its share of votes (`scores="votes"`) or the mean of the members' scores
    (`scores="mean"`); votes of different labelsets combine to labelsets that training did not have.
    `numModels` fits.
    """

    model_class: ClassVar[type[MultilabelModel]] = EnsembleOfPrunedSetsModel

    def __init__(self, **params: Unpack[PrunedEnsembleParams]) -> None:
        super().__init__()
        self._setDefault(pruningThreshold=3, strategy="A", keep=2)
        self._setDefault(numModels=10, scores="votes", sample="subsample", sampleFraction=0.63)
        self._set_params(params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        target = Labelsets(tuple(range(statistics.labels)), self._pruning())
        seeds = [derive_seed(self.getSeed(), member) for member in range(self.getNumModels())]
        return [Subproblem(target, self._sample(seed), seed=seed) for seed in seeds], {}
