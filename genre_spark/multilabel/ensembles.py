"""Params of methods that combine several models."""

from __future__ import annotations

from typing import TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.fitting.plan import RowSample
from genre_spark.multilabel.params import _Checked, set_params

__all__ = ["HasEnsemble", "HasScores"]

P = TypeVar("P", bound=Params)
_KINDS = {"all": "all", "bootstrap": "bootstrap", "subsample": "subsample"}


class HasScores(_Checked):
    """How the members' answers become a score."""

    scores: Param[str] = Param(
        Params._dummy(),
        "scores",
        "a label's score is the mean of the members' probabilities ('mean') or their share of "
        "votes ('votes')",
        TypeConverters.toString,
    )

    def getScores(self) -> str:
        """Return how the members' answers become a score."""
        return self.getOrDefault(self.scores)

    def setScores(self: P, value: str) -> P:
        """Set how the members' answers become a score: 'mean' or 'votes'."""
        return set_params(self, {"scores": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("scores", self.getScores() in ("mean", "votes"), "must be 'mean' or 'votes'")


class HasNumModels(_Checked):
    """How many members an ensemble has."""

    numModels: Param[int] = Param(
        Params._dummy(), "numModels", "number of members, >= 1", TypeConverters.toInt
    )

    def getNumModels(self) -> int:
        """Return the number of members."""
        return self.getOrDefault(self.numModels)

    def setNumModels(self: P, value: int) -> P:
        """Set the number of members, >= 1."""
        return set_params(self, {"numModels": value})


class HasEnsemble(HasScores, HasNumModels):
    """An ensemble: number of members, the rows that each sees, and how they are combined."""

    sample: Param[str] = Param(
        Params._dummy(),
        "sample",
        "rows that a member sees: 'all', 'bootstrap' (with replacement) or 'subsample' (without)",
        TypeConverters.toString,
    )
    sampleFraction: Param[float] = Param(
        Params._dummy(),
        "sampleFraction",
        "share of the rows that a subsample keeps, 0..1",
        TypeConverters.toFloat,
    )

    def getSampleFraction(self) -> float:
        """Return the share of the rows that a subsample keeps."""
        return self.getOrDefault(self.sampleFraction)

    def _sample(self, seed: int) -> RowSample:
        """Return the rows of a member."""
        return RowSample(self.getOrDefault("sample"), self.getSampleFraction(), seed)

    def _check_params(self) -> None:
        super()._check_params()
        self._require("numModels", self.getNumModels() >= 1, "must be >= 1")
        self._require(
            "sample",
            self.getOrDefault(self.sample) in _KINDS,
            f"expected one of {', '.join(_KINDS)}",
        )
        self._require(
            "sampleFraction", 0.0 < self.getSampleFraction() <= 1.0, "must be in 0..1, not 0"
        )
