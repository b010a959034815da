"""From the configuration to an unfitted multi-label estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyspark
from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
from pyspark.sql.utils import is_remote
from sklearn import ensemble, linear_model
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_spark import multilabel
from genre_spark.config import Config, MultilabelConfig
from genre_spark.config.multilabel import BASELINES, BINARY_METHODS
from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.base import MultilabelEstimator
from genre_spark.schemas import FEATURES, LABELS, WEIGHT

__all__ = ["make_classifier", "make_estimator", "require_backend"]

# method -> estimator class and what makes it that method
_METHODS: dict[str, tuple[Callable[..., MultilabelEstimator], dict[str, Any]]] = {
    "binary_relevance": (multilabel.BinaryRelevance, {}),
    "classifier_chain": (multilabel.ClassifierChain, {}),
    "ensemble_of_classifier_chains": (multilabel.EnsembleOfClassifierChains, {}),
    "label_powerset": (multilabel.LabelPowerset, {}),
    "rakel": (multilabel.RAkEL, {}),
    "rakel_disjoint": (multilabel.RAkEL, {"overlapping": False}),
    "pruned_sets": (multilabel.PrunedSets, {}),
    "ensemble_of_pruned_sets": (multilabel.EnsembleOfPrunedSets, {}),
    "homer": (multilabel.HOMER, {}),
    "multilabel_random_forest": (multilabel.MultilabelRandomForest, {}),
    "gradient_boosting": (multilabel.MultilabelBoosting, {}),
    "most_common_labelset": (multilabel.MostCommonLabelset, {}),
    "random_labels": (multilabel.RandomLabels, {}),
    "label_prior": (multilabel.LabelPrior, {}),
}


def make_estimator(
    config: MultilabelConfig, method: str, *, seed: int, names: list[str]
) -> MultilabelEstimator:
    """Return the unfitted estimator of a method, with the configured base classifier.

    Raises:
        InvalidConfigError: the method is unknown, or the classifier cannot be had with the backend.
    """
    if method not in _METHODS:
        raise InvalidConfigError(
            f"multilabel.methods: {method!r}, expected one of {', '.join(_METHODS)}"
        )
    build, params = _METHODS[method]
    params = {
        "featuresCol": FEATURES,
        "labelsCol": LABELS,
        "labelNames": names,
        "seed": seed,
        **params,
    }
    if config.weights not in ("none", "balanced"):
        params["weightCol"] = WEIGHT
    if method == "multilabel_random_forest":
        params["classifier"] = _sklearn_forest(config, ensemble.RandomForestClassifier)
        params["mode"] = config.forest.mode
    elif method == "gradient_boosting":
        boosting = config.boosting
        params |= {
            "library": boosting.library,
            "iterations": boosting.iterations,
            "maxDepth": boosting.max_depth,
            "learningRate": boosting.learning_rate,
        }
    elif method not in BASELINES:
        params |= {
            "classifier": make_classifier(config, seed=seed),
            "parallelism": config.parallelism,
        }
    if method in BINARY_METHODS:
        params |= {
            "balanced": config.weights == "balanced",
            "negativesPerPositive": config.negatives_per_positive,
        }
    return build(**params)


def require_backend(config: Config) -> None:
    """Raise where the session will have no Spark ML: on Spark Connect before 4.0.

    Raises:
        InvalidConfigError: the recipe asks for it there.
    """
    old = int(pyspark.__version__.split(".")[0]) < 4
    if config.multilabel.forest.backend == "spark" and old and (config.spark.remote or is_remote()):
        raise InvalidConfigError(
            f"multilabel.forest.backend: 'spark' on Spark Connect {pyspark.__version__}, which has "
            "no Spark ML before 4.0, expected sklearn"
        )


def make_classifier(config: MultilabelConfig, *, seed: int) -> Any:
    """Return the base classifier: a Spark ML estimator, or a scikit-learn one."""
    if config.forest.backend == "spark":
        if config.classifier == "logistic_regression":
            return LogisticRegression()
        if config.classifier == "extra_trees":
            raise InvalidConfigError(
                "multilabel.classifier: 'extra_trees', Spark ML has none: set "
                "forest.backend=sklearn"
            )
        forest = config.forest
        return RandomForestClassifier(
            numTrees=forest.trees,
            maxDepth=forest.max_depth,
            minInstancesPerNode=forest.min_leaf,
            seed=seed,
        )
    if config.classifier == "logistic_regression":
        return make_pipeline(StandardScaler(), linear_model.LogisticRegression(max_iter=1000))
    kind = (
        ensemble.ExtraTreesClassifier
        if config.classifier == "extra_trees"
        else ensemble.RandomForestClassifier
    )
    return _sklearn_forest(config, kind)


def _sklearn_forest(config: MultilabelConfig, kind: Any) -> Any:
    forest = config.forest
    return kind(
        n_estimators=forest.trees, max_depth=forest.max_depth, min_samples_leaf=forest.min_leaf
    )
