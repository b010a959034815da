"""Params that the multi-label estimators, their models, the evaluator and the tuner share.

Where pyspark.ml.param.shared has a Param, its mixin is the base, so that code which asks for
`HasFeaturesCol` finds these stages too; docs and defaults are those of this package.
"""

from __future__ import annotations

from typing import TypeVar

from pyspark.ml.param import Param, Params, TypeConverters, shared

from genre_spark.multilabel.params import CheckedParams, set_params

__all__ = [
    "HasFeaturesCol",
    "HasHandleInvalid",
    "HasLabelNames",
    "HasLabelsCol",
    "HasParallelism",
    "HasPredictionCol",
    "HasProbabilitiesCol",
    "HasSeed",
    "HasThreshold",
    "HasWeightCol",
    "MultilabelParams",
]

P = TypeVar("P", bound=Params)


class HasFeaturesCol(CheckedParams, shared.HasFeaturesCol):
    """Column of the features."""

    featuresCol: Param[str] = Param(
        Params._dummy(),
        "featuresCol",
        "column of the features, a Vector, dense or sparse",
        TypeConverters.toString,
    )

    def setFeaturesCol(self: P, value: str) -> P:
        """Set the name of the features column."""
        return set_params(self, {"featuresCol": value})


class HasLabelsCol(CheckedParams):
    """Column of the true labels."""

    labelsCol: Param[str] = Param(
        Params._dummy(),
        "labelsCol",
        "column of the true labels, a multi-hot vector of length L per row: a Vector, dense or "
        "sparse, or an array of numbers, 0 or 1",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(labelsCol="labels")

    def getLabelsCol(self) -> str:
        """Return the name of the labels column."""
        return self.getOrDefault(self.labelsCol)

    def setLabelsCol(self: P, value: str) -> P:
        """Set the name of the labels column."""
        return set_params(self, {"labelsCol": value})


class HasProbabilitiesCol(CheckedParams):
    """Column of the scores of all labels."""

    probabilitiesCol: Param[str] = Param(
        Params._dummy(),
        "probabilitiesCol",
        "column of the labels' scores, 0..1, a Vector of length L in the order of the labels; '' "
        "leaves it out",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(probabilitiesCol="probabilities")

    def getProbabilitiesCol(self) -> str:
        """Return the name of the probabilities column."""
        return self.getOrDefault(self.probabilitiesCol)

    def setProbabilitiesCol(self: P, value: str) -> P:
        """Set the name of the probabilities column."""
        return set_params(self, {"probabilitiesCol": value})


class HasPredictionCol(CheckedParams, shared.HasPredictionCol):
    """Column of the predicted labels."""

    predictionCol: Param[str] = Param(
        Params._dummy(),
        "predictionCol",
        "column of the predicted labels, 0 or 1, a Vector of length L in the order of the labels; "
        "'' leaves it out",
        TypeConverters.toString,
    )

    def setPredictionCol(self: P, value: str) -> P:
        """Set the name of the prediction column."""
        return set_params(self, {"predictionCol": value})


class HasWeightCol(CheckedParams, shared.HasWeightCol):
    """Column of row weights."""

    weightCol: Param[str] = Param(
        Params._dummy(),
        "weightCol",
        "column of the rows' weights, numbers >= 0; every row weighs 1 where it is not set",
        TypeConverters.toString,
    )

    def getWeightCol(self) -> str | None:  # type: ignore[override] # Spark's raises if not set
        """Return the name of the weight column, None where rows are not weighted."""
        return self._if_defined("weightCol") or None

    def setWeightCol(self: P, value: str) -> P:
        """Set the name of the weight column."""
        return set_params(self, {"weightCol": value})


class HasThreshold(CheckedParams, shared.HasThreshold):
    """Threshold that turns scores into predictions."""

    threshold: Param[float] = Param(
        Params._dummy(),
        "threshold",
        "a label is predicted where its score is >= this, 0..1",
        TypeConverters.toFloat,
    )

    def setThreshold(self: P, value: float) -> P:
        """Set the threshold, 0..1."""
        return set_params(self, {"threshold": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("threshold", 0.0 <= self.getThreshold() <= 1.0, "must be in 0..1")


class HasParallelism(CheckedParams, shared.HasParallelism):
    """Number of fits that run at once."""

    parallelism: Param[int] = Param(
        Params._dummy(),
        "parallelism",
        "number of Spark ML fits that run at once, >= 1",
        TypeConverters.toInt,
    )

    def setParallelism(self: P, value: int) -> P:
        """Set the number of fits that run at once, >= 1."""
        return set_params(self, {"parallelism": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("parallelism", self.getParallelism() >= 1, "must be >= 1")


class HasLabelNames(CheckedParams):
    """Names of the labels."""

    labelNames: Param[list[str]] = Param(
        Params._dummy(),
        "labelNames",
        "names of the labels in their order, L of them",
        TypeConverters.toListString,
    )

    def getLabelNames(self) -> list[str] | None:
        """Return the names of the labels, None where they were not given."""
        found: list[str] | None = self._if_defined("labelNames")
        return found

    def setLabelNames(self: P, value: list[str]) -> P:
        """Set the names of the labels, in the order of the labels."""
        return set_params(self, {"labelNames": value})


class HasSeed(CheckedParams, shared.HasSeed):
    """Seed of everything random."""

    seed: Param[int] = Param(
        Params._dummy(),
        "seed",
        "seed of everything random in the fit, any integer",
        TypeConverters.toInt,
    )

    def setSeed(self: P, value: int) -> P:
        """Set the seed."""
        return set_params(self, {"seed": value})


class HasHandleInvalid(CheckedParams, shared.HasHandleInvalid):
    """What NaN or infinite features do."""

    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what NaN or infinite features do: 'error' (stop with the number and name of the feature) "
        "or 'keep' (leave them to the classifier)",
        TypeConverters.toString,
    )

    def setHandleInvalid(self: P, value: str) -> P:
        """Set what NaN or infinite features do: 'error' or 'keep'."""
        return set_params(self, {"handleInvalid": value})

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getHandleInvalid() in ("error", "keep")
        self._require("handleInvalid", known, "must be 'error' or 'keep'")


class MultilabelParams(
    HasFeaturesCol,
    HasLabelsCol,
    HasProbabilitiesCol,
    HasPredictionCol,
    HasWeightCol,
    HasLabelNames,
    HasThreshold,
    HasHandleInvalid,
    HasSeed,
):
    """The columns and settings of every multi-label estimator and of its model."""

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(handleInvalid="error", seed=0)
