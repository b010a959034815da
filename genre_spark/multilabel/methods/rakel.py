"""Random k-labelsets (Tsoumakas and Vlahavas 2007, 2011), disjoint and overlapping."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel, ProblemTransformation
from genre_spark.multilabel.classifiers import ClassifierParams
from genre_spark.multilabel.ensembles import HasNumModels, HasScores
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence
from genre_spark.multilabel.fitting.plan import Labelsets, Subproblem, derive_seed, plain_seed
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import LabelsetsPredictor, Predictor, Structure

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RAkEL", "RAkELModel", "disjoint_labelsets", "overlapping_labelsets"]


class RAkELParams(ClassifierParams, total=False):
    """Keyword arguments of RAkEL."""

    overlapping: bool
    labelsetSize: int
    numModels: int
    scores: str


def disjoint_labelsets(labels: int, size: int, generator: np.random.Generator) -> list[list[int]]:
    """Return a random partition of the labels into sets of `size`, the last one smaller where it must be."""
    order = generator.permutation(labels).tolist()
    return [sorted(order[start : start + size]) for start in range(0, labels, size)]


def overlapping_labelsets(
    labels: int, size: int, count: int, generator: np.random.Generator
) -> list[list[int]]:
    """Return `count` distinct random sets of `size` labels that together hold every label.

    There are no more than C(labels, size) of them. They come from one random partition after the
    other, so that labels are in about as many sets: a label that few members know would be decided
    by few votes.
    """
    size = min(size, labels)
    count = max(min(count, comb(labels, size)), -(-labels // size))
    chosen: dict[tuple[int, ...], None] = {}
    while len(chosen) < count:
        for part in disjoint_labelsets(labels, size, generator):
            rest = np.setdiff1d(np.arange(labels), part)
            filled = [*part, *generator.choice(rest, size - len(part), replace=False).tolist()]
            if len(chosen) < count:
                chosen[tuple(sorted(filled))] = None
    return [list(labelset) for labelset in chosen]


class RAkELModel(MultilabelModel, HasScores):
    """Fitted label powersets over subsets of the labels.

    `structure["labelsets"]` has the subsets.
    """

    def _predictor(self) -> Predictor:
        votes = self.getScores() == "votes"
        return LabelsetsPredictor(
            self.numLabels, self.structure["labelsets"], self._scorers, self._classes, votes=votes
        )


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

    overlapping: Param[bool] = Param(
        Params._dummy(),
        "overlapping",
        "sets of labels overlap; otherwise they are disjoint",
        TypeConverters.toBoolean,
    )
    labelsetSize: Param[int] = Param(
        Params._dummy(), "labelsetSize", "k, number of labels in a set, >= 1", TypeConverters.toInt
    )

    def __init__(self, **params: Unpack[RAkELParams]) -> None:
        super().__init__()
        self._setDefault(overlapping=True, labelsetSize=3, numModels=0, scores="votes")
        self._set_params(params)

    def _check_params(self) -> None:
        super()._check_params()
        self._require("labelsetSize", self.getOrDefault("labelsetSize") >= 1, "must be >= 1")
        self._require("numModels", self.getNumModels() >= 0, "must be >= 0 (0: min(2 L, C(L, k)))")

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        generator = np.random.default_rng(plain_seed(self.getSeed()))
        size = min(self.getOrDefault("labelsetSize"), statistics.labels)
        if self.getOrDefault("overlapping"):
            count = self.getNumModels() or 2 * statistics.labels
            labelsets = overlapping_labelsets(statistics.labels, size, count, generator)
        else:
            labelsets = disjoint_labelsets(statistics.labels, size, generator)
        fits = [
            Subproblem(Labelsets(tuple(labelset)), seed=derive_seed(self.getSeed(), member))
            for member, labelset in enumerate(labelsets)
        ]
        return fits, {"labelsets": labelsets}
