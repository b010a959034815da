"""Params of methods that combine several models."""

from __future__ import annotations

from typing import TypeVar

from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.fitting.plan import SAMPLES, RowSample
from genre_spark.multilabel.params import CheckedParams, set_params

__all__ = ["HasEnsemble", "HasNumModels", "HasScores"]

P = TypeVar("P", bound=Params)


class HasScores(CheckedParams):
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


class HasNumModels(CheckedParams):
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
        "share of the rows that a subsample keeps, > 0 and <= 1",
        TypeConverters.toFloat,
    )

    def getSample(self) -> str:
        """Return which rows a member sees."""
        return self.getOrDefault(self.sample)

    def setSample(self: P, value: str) -> P:
        """Set which rows a member sees: 'all', 'bootstrap' or 'subsample'."""
        return set_params(self, {"sample": value})

    def getSampleFraction(self) -> float:
        """Return the share of the rows that a subsample keeps."""
        return self.getOrDefault(self.sampleFraction)

    def setSampleFraction(self: P, value: float) -> P:
        """Set the share of the rows that a subsample keeps, > 0 and <= 1."""
        return set_params(self, {"sampleFraction": value})

    def _sample(self, seed: int) -> RowSample:
        """Return the rows of a member."""
        return RowSample(self.getOrDefault("sample"), self.getSampleFraction(), seed)

    def _check_params(self) -> None:
        super()._check_params()
        self._require("numModels", self.getNumModels() >= 1, "must be >= 1")
        known = self.getSample() in SAMPLES
        self._require("sample", known, f"expected one of {', '.join(SAMPLES)}")
        fits = 0.0 < self.getSampleFraction() <= 1.0
        self._require("sampleFraction", fits, "must be in 0..1, not 0")
