"""Multi-label estimators for Spark ML: usable alone, by someone who never saw a movie."""

from genre_spark.multilabel.baselines import (
    LabelPrior,
    LabelPriorModel,
    MostCommonLabelset,
    MostCommonLabelsetModel,
    RandomLabels,
    RandomLabelsModel,
)
from genre_spark.multilabel.chains import (
    ClassifierChain,
    ClassifierChainModel,
    EnsembleOfClassifierChains,
    EnsembleOfClassifierChainsModel,
)
from genre_spark.multilabel.classifiers import trust_types
from genre_spark.multilabel.evaluation import MultilabelEvaluator
from genre_spark.multilabel.homer import HOMER, HOMERModel
from genre_spark.multilabel.labelsets import (
    EnsembleOfPrunedSets,
    EnsembleOfPrunedSetsModel,
    LabelPowerset,
    LabelPowersetModel,
    PrunedSets,
    PrunedSetsModel,
)
from genre_spark.multilabel.metrics import MultilabelMetrics
from genre_spark.multilabel.native import MultilabelRandomForest, MultilabelRandomForestModel
from genre_spark.multilabel.rakel import RAkEL, RAkELModel
from genre_spark.multilabel.relevance import BinaryRelevance, BinaryRelevanceModel
from genre_spark.multilabel.thresholds import ThresholdTuner, ThresholdTunerModel

__all__ = [
    "HOMER",
    "BinaryRelevance",
    "BinaryRelevanceModel",
    "ClassifierChain",
    "ClassifierChainModel",
    "EnsembleOfClassifierChains",
    "EnsembleOfClassifierChainsModel",
    "EnsembleOfPrunedSets",
    "EnsembleOfPrunedSetsModel",
    "HOMERModel",
    "LabelPowerset",
    "LabelPowersetModel",
    "LabelPrior",
    "LabelPriorModel",
    "MostCommonLabelset",
    "MostCommonLabelsetModel",
    "MultilabelEvaluator",
    "MultilabelMetrics",
    "MultilabelRandomForest",
    "MultilabelRandomForestModel",
    "PrunedSets",
    "PrunedSetsModel",
    "RAkEL",
    "RAkELModel",
    "RandomLabels",
    "RandomLabelsModel",
    "ThresholdTuner",
    "ThresholdTunerModel",
    "trust_types",
]
