"""Params that the multi-label estimators, their models and the evaluator share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.errors import InvalidConfigError

__all__ = [
    "CommonParams",
    "HasLabelsCol",
    "HasParallelism",
    "HasPredictionCol",
    "HasProbabilitiesCol",
    "HasThreshold",
    "HasWeightCol",
    "MultilabelParams",
    "set_params",
]

P = TypeVar("P", bound=Params)


class CommonParams(TypedDict, total=False):
    """Keyword arguments that every multi-label estimator takes."""

    featuresCol: str
    labelsCol: str
    probabilitiesCol: str
    predictionCol: str
    weightCol: str
    labelNames: list[str]
    threshold: float
    handleInvalid: str
    seed: int


def set_params(instance: P, values: dict[str, Any]) -> P:
    """Set Params by name.

    Names that the stage does not have and values out of range are refused in plain words.
    """
    known = {param.name for param in instance.params}
    for name, value in values.items():
        if name not in known:
            raise InvalidConfigError(
                f"{type(instance).__name__}.{name}: no such Param, expected one of {sorted(known)}"
            )
        if value is not None:
            try:
                instance._set(**{name: value})
            except TypeError as error:
                raise InvalidConfigError(
                    f"{type(instance).__name__}.{name}: {value!r} ({error})"
                ) from error
    return instance


class _Checked(Params):
    """Params whose values are checked before a stage uses them.

    Each class checks its own and calls the next.
    """

    def _check_params(self) -> None:
        """Refuse values out of range before any data is read."""

    def _set_params(self, values: Mapping[str, Any]) -> None:
        set_params(self, dict(values))

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            value = self.getOrDefault(name)
            raise InvalidConfigError(f"{type(self).__name__}.{name}: {value!r}, {expected}")


class HasLabelsCol(Params):
    """Column of the true labels."""

    labelsCol: Param[str] = Param(
        Params._dummy(),
        "labelsCol",
        "labels of a row as a multi-hot vector of length L: a Vector, dense or sparse, or an array "
        "of numbers, 0 or 1",
        TypeConverters.toString,
    )

    def getLabelsCol(self) -> str:
        """Return the name of the labels column."""
        return self.getOrDefault(self.labelsCol)

    def setLabelsCol(self: P, value: str) -> P:
        """Set the name of the labels column."""
        return set_params(self, {"labelsCol": value})


class HasProbabilitiesCol(Params):
    """Column of the scores of all labels."""

    probabilitiesCol: Param[str] = Param(
        Params._dummy(),
        "probabilitiesCol",
        "scores of the labels, 0..1, a Vector of length L in the order of the labels",
        TypeConverters.toString,
    )

    def getProbabilitiesCol(self) -> str:
        """Return the name of the probabilities column."""
        return self.getOrDefault(self.probabilitiesCol)

    def setProbabilitiesCol(self: P, value: str) -> P:
        """Set the name of the probabilities column."""
        return set_params(self, {"probabilitiesCol": value})


class HasPredictionCol(Params):
    """Column of the predicted labels."""

    predictionCol: Param[str] = Param(
        Params._dummy(),
        "predictionCol",
        "predicted labels, 0 or 1, a Vector of length L in the order of the labels",
        TypeConverters.toString,
    )

    def getPredictionCol(self) -> str:
        """Return the name of the prediction column."""
        return self.getOrDefault(self.predictionCol)

    def setPredictionCol(self: P, value: str) -> P:
        """Set the name of the prediction column."""
        return set_params(self, {"predictionCol": value})


class HasWeightCol(Params):
    """Column of row weights."""

    weightCol: Param[str] = Param(
        Params._dummy(),
        "weightCol",
        "weight of a row, a number >= 0; every row weighs 1 without it",
        TypeConverters.toString,
    )

    def getWeightCol(self) -> str | None:
        """Return the name of the weight column, None where rows are not weighted."""
        return self.getOrDefault(self.weightCol) if self.isDefined(self.weightCol) else None

    def setWeightCol(self: P, value: str) -> P:
        """Set the name of the weight column."""
        return set_params(self, {"weightCol": value})


class HasThreshold(_Checked):
    """Threshold that turns scores into predictions."""

    threshold: Param[float] = Param(
        Params._dummy(),
        "threshold",
        "a label is predicted where its score is >= this, 0..1",
        TypeConverters.toFloat,
    )

    def getThreshold(self) -> float:
        """Return the threshold."""
        return self.getOrDefault(self.threshold)

    def setThreshold(self: P, value: float) -> P:
        """Set the threshold, 0..1."""
        return set_params(self, {"threshold": value})


class HasParallelism(_Checked):
    """Number of fits that run at once."""

    parallelism: Param[int] = Param(
        Params._dummy(),
        "parallelism",
        "number of Spark ML fits that run at once, >= 1",
        TypeConverters.toInt,
    )

    def getParallelism(self) -> int:
        """Return the number of fits that run at once."""
        return self.getOrDefault(self.parallelism)

    def setParallelism(self: P, value: int) -> P:
        """Set the number of fits that run at once, >= 1."""
        return set_params(self, {"parallelism": value})


class MultilabelParams(
    HasLabelsCol, HasProbabilitiesCol, HasPredictionCol, HasWeightCol, HasThreshold
):
    """The columns and settings of every multi-label estimator and of its model."""

    featuresCol: Param[str] = Param(
        Params._dummy(), "featuresCol", "features, a Vector", TypeConverters.toString
    )
    labelNames: Param[list[str]] = Param(
        Params._dummy(),
        "labelNames",
        "names of the labels in their order, L of them",
        TypeConverters.toListString,
    )
    seed: Param[int] = Param(
        Params._dummy(), "seed", "seed of everything random in the fit", TypeConverters.toInt
    )
    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what NaN or infinite features do: 'error' (name the column and stop) or 'keep' (leave "
        "them to the classifier)",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            featuresCol="features",
            labelsCol="labels",
            probabilitiesCol="probabilities",
            predictionCol="prediction",
            threshold=0.5,
            seed=0,
            handleInvalid="error",
        )

    def getFeaturesCol(self) -> str:
        """Return the name of the features column."""
        return self.getOrDefault(self.featuresCol)

    def setFeaturesCol(self: P, value: str) -> P:
        """Set the name of the features column."""
        return set_params(self, {"featuresCol": value})

    def getLabelNames(self) -> list[str] | None:
        """Return the names of the labels, None where they were not given."""
        return self.getOrDefault(self.labelNames) if self.isDefined(self.labelNames) else None

    def setLabelNames(self: P, value: list[str]) -> P:
        """Set the names of the labels, in the order of the labels."""
        return set_params(self, {"labelNames": value})

    def getSeed(self) -> int:
        """Return the seed."""
        return self.getOrDefault(self.seed)

    def setSeed(self: P, value: int) -> P:
        """Set the seed."""
        return set_params(self, {"seed": value})

    def getHandleInvalid(self) -> str:
        """Return what NaN or infinite features do."""
        return self.getOrDefault(self.handleInvalid)

    def setHandleInvalid(self: P, value: str) -> P:
        """Set what NaN or infinite features do: 'error' or 'keep'."""
        return set_params(self, {"handleInvalid": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("threshold", 0.0 <= self.getThreshold() <= 1.0, "must be in 0..1")
        self._require(
            "handleInvalid",
            self.getHandleInvalid() in ("error", "keep"),
            "must be 'error' or 'keep'",
        )
