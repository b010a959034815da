"""Random k-labelsets (Tsoumakas and Vlahavas 2007, 2011), disjoint and overlapping."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import ClassVar, TypeVar

import numpy as np
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.ensembles import HasNumModels, HasScores
from genre_spark.multilabel.fitting.plan import Labelsets, Subproblem, derive_seed, plain_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import LabelsetsPredictor, Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = ["RAkEL", "RAkELModel", "disjoint_labelsets", "overlapping_labelsets"]

R = TypeVar("R", bound="RAkEL")


def disjoint_labelsets(n_labels: int, size: int, generator: np.random.Generator) -> list[list[int]]:
    """Return a random partition of the labels into sets of `size`, the last one perhaps smaller."""
    order = generator.permutation(n_labels).tolist()
    return [sorted(order[start : start + size]) for start in range(0, n_labels, size)]


def overlapping_labelsets(
    n_labels: int, size: int, count: int, generator: np.random.Generator
) -> list[list[int]]:
    """Return `count` distinct random sets of `size` labels that together hold every label.

    There are no more than C(n_labels, size) of them. They come from one random partition after the
    other, so that labels are in about as many sets: a label that few members know would be decided
    by few votes.
    """
    size = min(size, n_labels)
    count = max(min(count, comb(n_labels, size)), -(-n_labels // size))
    chosen: dict[tuple[int, ...], None] = {}
    while len(chosen) < count:
        for part in disjoint_labelsets(n_labels, size, generator):
            rest = np.setdiff1d(np.arange(n_labels), part)
            filled = [*part, *generator.choice(rest, size - len(part), replace=False).tolist()]
            if len(chosen) < count:
                chosen[tuple(sorted(filled))] = None
    return [list(labelset) for labelset in chosen]


class RAkELModel(MultilabelModel, HasScores):
    """Fitted label powersets over subsets of the labels.

    `structure["labelsets"]` has the subsets.
    """

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        votes = self.getScores() == "votes"
        subsets = self.structure["labelsets"]
        return LabelsetsPredictor(self.numLabels, subsets, scorers, self._classes, votes=votes)


class RAkEL(ProblemTransformation, HasScores, HasNumModels):
    """Random k-labelsets: a label powerset for each of several small sets of labels.

    Keeps what label powerset knows of dependent labels while each fit has at most 2^k classes.
    `overlapping=True` draws `numModels` sets (0: min(2 L, C(L, k)); at least the ceil(L / k) that
    it takes to cover every label, whatever is asked), a label's score being the mean over the
    members that hold it; `overlapping=False` partitions the labels: ceil(L / k) fits. With
    `scores="votes"` a member's score is 1 for the labels of its most probable combination, with
    `scores="mean"` the sum of their combinations' probabilities.
    """

    model_class: ClassVar[type[MultilabelModel]] = RAkELModel
    multi_class: ClassVar[bool] = True

    overlapping: Param[bool] = Param(
        Params._dummy(),
        "overlapping",
        "whether the sets of labels overlap; otherwise they are disjoint",
        TypeConverters.toBoolean,
    )
    labelsetSize: Param[int] = Param(
        Params._dummy(), "labelsetSize", "k, number of labels in a set, >= 1", TypeConverters.toInt
    )
    numModels: Param[int] = Param(
        Params._dummy(),
        "numModels",
        "number of overlapping sets of labels, >= 1; 0: min(2 L, C(L, k))",
        TypeConverters.toInt,
    )

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        overlapping: bool = True,
        labelsetSize: int = 3,
        numModels: int = 0,
        scores: str = "votes",
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._setDefault(overlapping=True, labelsetSize=3, numModels=0, scores="votes")
        self._set_given()

    setParams = params_setter(__init__)

    def getOverlapping(self) -> bool:
        """Return whether the sets of labels overlap."""
        return self.getOrDefault(self.overlapping)

    def setOverlapping(self: R, value: bool) -> R:
        """Set whether the sets of labels overlap."""
        return set_params(self, {"overlapping": value})

    def getLabelsetSize(self) -> int:
        """Return k, the number of labels in a set."""
        return self.getOrDefault(self.labelsetSize)

    def setLabelsetSize(self: R, value: int) -> R:
        """Set k, the number of labels in a set, >= 1."""
        return set_params(self, {"labelsetSize": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("labelsetSize", self.getLabelsetSize() >= 1, "must be >= 1")
        self._require("numModels", self.getNumModels() >= 0, "must be >= 0 (0: min(2 L, C(L, k)))")

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        generator = np.random.default_rng(plain_seed(self.getSeed()))
        n_labels = statistics.n_labels
        size = min(self.getLabelsetSize(), n_labels)
        if self.getOverlapping():
            count = self.getNumModels() or 2 * n_labels
            labelsets = overlapping_labelsets(n_labels, size, count, generator)
        else:
            labelsets = disjoint_labelsets(n_labels, size, generator)
        fits = [
            Subproblem(Labelsets(tuple(labelset)), seed=derive_seed(self.getSeed(), member))
            for member, labelset in enumerate(labelsets)
        ]
        return fits, {"labelsets": labelsets}
