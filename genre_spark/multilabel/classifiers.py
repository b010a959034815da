"""The base classifier of a multi-label method: a Spark ML estimator, or a scikit-learn one."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from pyspark.ml import Estimator
from pyspark.ml.param import Param, Params
from sklearn.base import BaseEstimator, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.params import set_params
from genre_spark.multilabel.shared_params import HasParallelism, HasWeightCol

__all__ = ["Classifier", "HasClassifier", "weight_argument"]

Classifier: TypeAlias = Estimator[Any] | BaseEstimator
P = TypeVar("P", bound="HasClassifier")


def weight_argument(classifier: Classifier) -> str | None:
    """Return the argument of a scikit-learn classifier's `fit` that takes row weights.

    None where it takes none. A Pipeline passes weights on to a step whose name stands in front: its
    last one.
    """
    if isinstance(classifier, Pipeline):
        name, last = classifier.steps[-1]
        inner = weight_argument(last)
        return None if inner is None else f"{name}__{inner}"
    return "sample_weight" if has_fit_parameter(classifier, "sample_weight") else None


class HasClassifier(HasWeightCol, HasParallelism):
    """The base classifier, and how many of its fits run at once."""

    classifier: Param[Classifier] = Param(
        Params._dummy(),
        "classifier",
        "base classifier: a probabilistic Spark ML estimator (each fit is a distributed job), or a "
        "scikit-learn classifier with predict_proba (each fit is one Spark task); scikit-learn's "
        "RandomForestClassifier(n_estimators=100) where it is not set",
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(classifier=RandomForestClassifier(n_estimators=100), parallelism=4)

    def getClassifier(self) -> Any:
        """Return the base classifier, a Spark ML or a scikit-learn one."""
        return self.getOrDefault(self.classifier)

    def setClassifier(self: P, value: Classifier) -> P:
        """Set the base classifier, a Spark ML or a scikit-learn one."""
        return set_params(self, {"classifier": value})

    @property
    def fits_on_spark(self) -> bool:
        """Whether the base classifier is a Spark ML estimator (data-parallel)."""
        return isinstance(self.getClassifier(), Estimator)

    def _check_params(self) -> None:
        super()._check_params()
        self._check_classifier()
        if self.getWeightCol() is not None:
            self._check_weights("weightCol", self.getWeightCol())

    def _check_weights(self, param: str, value: object) -> None:
        """Check that the classifier takes the weights of rows, which a Param needs."""
        classifier = self.getClassifier()
        if isinstance(classifier, Estimator):
            takes = classifier.hasParam("weightCol")
        else:
            takes = weight_argument(classifier) is not None
        if not takes:
            raise InvalidConfigError(
                f"{type(self).__name__}.{param}: {value!r}, {type(classifier).__name__} takes no "
                "weights, expected a classifier that does"
            )

    def _check_classifier(self) -> None:
        classifier = self.getClassifier()
        name = f"{type(self).__name__}.classifier"
        if isinstance(classifier, Estimator):
            wanted = ("featuresCol", "labelCol", "probabilityCol")
            missing = [param for param in wanted if not classifier.hasParam(param)]
            if missing:
                raise InvalidConfigError(
                    f"{name}: {type(classifier).__name__} has no {missing[0]}, expected a "
                    "classifier that gives probabilities"
                )
        elif not (isinstance(classifier, BaseEstimator) and is_classifier(classifier)):
            raise InvalidConfigError(
                f"{name}: {classifier!r}, expected a Spark ML or scikit-learn classifier"
            )
        elif not hasattr(classifier, "predict_proba"):
            raise InvalidConfigError(
                f"{name}: {type(classifier).__name__} has no predict_proba, expected a classifier "
                "that gives probabilities (CalibratedClassifierCV gives it to any other)"
            )
