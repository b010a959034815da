"""Multi-label estimators for Spark ML, for any table with features and labels."""

from genre_spark.extras import require

require("pyspark")

from genre_spark.multilabel.evaluation.evaluator import MultilabelEvaluator
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.multilabel.evaluation.threshold_tuner import ThresholdTuner, ThresholdTunerModel
from genre_spark.multilabel.labels.binarizer import MultilabelBinarizer, MultilabelBinarizerModel
from genre_spark.multilabel.labels.label_names import LabelNames
from genre_spark.multilabel.methods.baselines import (
    LabelPrior,
    LabelPriorModel,
    MostCommonLabelset,
    MostCommonLabelsetModel,
    RandomLabels,
    RandomLabelsModel,
)
from genre_spark.multilabel.methods.binary_relevance import BinaryRelevance, BinaryRelevanceModel
from genre_spark.multilabel.methods.boosting import MultilabelBoosting, MultilabelBoostingModel
from genre_spark.multilabel.methods.chains import (
    ClassifierChain,
    ClassifierChainModel,
    EnsembleOfClassifierChains,
    EnsembleOfClassifierChainsModel,
)
from genre_spark.multilabel.methods.homer import HOMER, HOMERModel
from genre_spark.multilabel.methods.label_powerset import LabelPowerset, LabelPowersetModel
from genre_spark.multilabel.methods.pruned_sets import (
    EnsembleOfPrunedSets,
    EnsembleOfPrunedSetsModel,
    PrunedSets,
    PrunedSetsModel,
)
from genre_spark.multilabel.methods.rakel import RAkEL, RAkELModel
from genre_spark.multilabel.methods.random_forest import (
    MultilabelRandomForest,
    MultilabelRandomForestModel,
)
from genre_spark.multilabel.models.archives import trust_types
from genre_spark.multilabel.stored_names import alias_modules_of_0_1

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
    "LabelNames",
    "LabelPowerset",
    "LabelPowersetModel",
    "LabelPrior",
    "LabelPriorModel",
    "MostCommonLabelset",
    "MostCommonLabelsetModel",
    "MultilabelBinarizer",
    "MultilabelBinarizerModel",
    "MultilabelBoosting",
    "MultilabelBoostingModel",
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

# A stored model names its class by this: a file can move without breaking it.
for _name in __all__:
    globals()[_name].__module__ = __name__
alias_modules_of_0_1()
