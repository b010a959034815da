"""Params of methods with binary fits: what positive and negative rows weigh in them."""

from __future__ import annotations

from typing import TypedDict, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.classifiers import HasClassifier
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.params import set_params
from genre_spark.numeric.balancing import balanced_weights, negative_rate

__all__ = ["Balance", "HasBalance"]

P = TypeVar("P", bound=Params)


class Balance(TypedDict):
    """Fields of a Subproblem."""

    positive_weight: float
    negative_weight: float
    negative_rate: float


class HasBalance(HasClassifier):
    """Weights of a binary fit's positive and negative rows, and the share of negatives it sees."""

    balanced: Param[bool] = Param(
        Params._dummy(),
        "balanced",
        "in the fit of a label, the rows with it weigh as much in total as those without it: "
        "n / (2 n_positive) and n / (2 n_negative) each, as scikit-learn's "
        "class_weight='balanced'",
        TypeConverters.toBoolean,
    )
    negativesPerPositive: Param[float] = Param(
        Params._dummy(),
        "negativesPerPositive",
        "the fit of a label sees about this many rows without it per row with it, drawn at random; "
        "0: all of them",
        TypeConverters.toFloat,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(balanced=False, negativesPerPositive=0.0)

    def getBalanced(self) -> bool:
        """Return whether the positive and the negative rows of a fit weigh the same."""
        return self.getOrDefault(self.balanced)

    def setBalanced(self: P, value: bool) -> P:
        """Set whether the positive and the negative rows of a fit weigh the same."""
        return set_params(self, {"balanced": value})

    def getNegativesPerPositive(self) -> float:
        """Return how many negative rows a fit sees per positive one, 0: all."""
        return self.getOrDefault(self.negativesPerPositive)

    def setNegativesPerPositive(self: P, value: float) -> P:
        """Set how many negative rows a fit sees per positive one, 0: all."""
        return set_params(self, {"negativesPerPositive": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("negativesPerPositive", self.getNegativesPerPositive() >= 0.0, "must be >= 0")
        if self.getBalanced():
            self._check_weights("balanced", True)

    def _balance(self, statistics: TrainingStatistics, label: int) -> Balance:
        """Return what the rows of a label's fit weigh and which share of its negatives it sees."""
        count = float(statistics.label_counts[label])
        on = float(statistics.label_weights[label])
        rate, ratio = 1.0, self.getNegativesPerPositive()
        if ratio > 0.0 and 0.0 < count < statistics.n_rows:
            rate = negative_rate(count, statistics.n_rows - count, per_positive=ratio)
        off = (statistics.weight - on) * rate
        if not self.getBalanced() or on <= 0.0 or off <= 0.0:
            return Balance(positive_weight=1.0, negative_weight=1.0, negative_rate=rate)
        positive, negative = balanced_weights(on, off)
        return Balance(positive_weight=positive, negative_weight=negative, negative_rate=rate)
