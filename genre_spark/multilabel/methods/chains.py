"""Classifier chains (Read et al. 2009), one or an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.class_balance import Balance, HasBalance
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.ensembles import HasEnsemble
from genre_spark.multilabel.fitting.plan import (
    AnyLabel,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import ChainsPredictor, Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = [
    "ClassifierChain",
    "ClassifierChainModel",
    "EnsembleOfClassifierChains",
    "EnsembleOfClassifierChainsModel",
]

C = TypeVar("C", bound="ClassifierChain")


def chain_fits(
    order: list[int], sample: RowSample, seed: int, balance: Sequence[Balance]
) -> list[Subproblem]:
    """Return the fits of one chain.

    Link j sees the features and the true labels of the links before it.
    """
    return [
        Subproblem(
            AnyLabel((label,)),
            sample,
            tuple(order[:position]),
            derive_seed(seed, label),
            **balance[label],
        )
        for position, label in enumerate(order)
    ]


class _ChainModel(MultilabelModel):
    """Links of one or several chains, one chain after the other.

    `structure["orders"]` has their labels.
    """

    def _links(self) -> Mapping[int, Sequence[int]]:
        n_labels = self.numLabels
        return {
            part: range(part - part % n_labels, part)
            for part in range(len(self.parts))
            if part % n_labels
        }


class ClassifierChainModel(_ChainModel):
    """A fitted chain; `structure["orders"]` has the labels of its links."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        return ChainsPredictor(self.structure["orders"], scorers)


class ClassifierChain(ProblemTransformation, HasBalance):
    """Classifier chain: a link learns one label from the features and the labels before it.

    Links are trained with the true labels and predict with the predicted ones, by the model's
    `threshold`. Labels come out in the order of the input, whatever the order of the chain. Good
    where labels depend on each other and exact match counts; one unlucky order can spoil it, which
    the ensemble repairs. L fits, all at once.
    """

    model_class: ClassVar[type[MultilabelModel]] = ClassifierChainModel

    order: Param[list[int]] = Param(
        Params._dummy(),
        "order",
        "labels in the order of the links, each of 0..L-1 once; random from the seed where it is "
        "not set",
        TypeConverters.toListInt,
    )

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        order: list[int] | None = None,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        balanced: bool = False,
        negativesPerPositive: float = 0.0,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set_given()

    setParams = params_setter(__init__)

    def getOrder(self) -> list[int] | None:
        """Return the labels in the order of the links, None where it is random."""
        found: list[int] | None = self._if_defined("order")
        return found

    def setOrder(self: C, value: list[int]) -> C:
        """Set the labels in the order of the links, each of 0..L-1 once."""
        return set_params(self, {"order": value})

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        n_labels, order = statistics.n_labels, self.getOrder()
        if order is None:
            generator = np.random.default_rng(plain_seed(self.getSeed()))
            order = generator.permutation(n_labels).tolist()
        elif sorted(order) != list(range(n_labels)):
            raise InvalidConfigError(
                f"ClassifierChain.order: {order}, expected each of 0..{n_labels - 1} once"
            )
        balance = [self._balance(statistics, label) for label in range(n_labels)]
        return chain_fits(order, RowSample(), self.getSeed(), balance), {"orders": [order]}


class EnsembleOfClassifierChainsModel(_ChainModel, HasEnsemble):
    """Fitted chains; `structure["orders"]` has the labels of their links."""

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        return ChainsPredictor(
            self.structure["orders"],
            scorers,
            votes=self.getScores() == "votes",
            link_threshold=self._link_threshold(),
        )

    def _link_threshold(self) -> float | None:
        return 0.5


class EnsembleOfClassifierChains(ProblemTransformation, HasBalance, HasEnsemble):
    """Ensemble of classifier chains, each with a random order and a bootstrap of the rows.

    A label's score is the mean of the chains' probabilities (`scores="mean"`) or their share of
    votes (`scores="votes"`). Within a chain a label is passed on as predicted from probability 0.5.
    `numModels` x L fits, all at once: the order of the links binds prediction, not training.
    """

    model_class: ClassVar[type[MultilabelModel]] = EnsembleOfClassifierChainsModel

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        numModels: int = 10,
        scores: str = "mean",
        sample: str = "bootstrap",
        sampleFraction: float = 0.75,
        featuresCol: str = "features",
        labelsCol: str = "labels",
        probabilitiesCol: str = "probabilities",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        labelNames: list[str] | None = None,
        threshold: float = 0.5,
        balanced: bool = False,
        negativesPerPositive: float = 0.0,
        handleInvalid: str = "error",
        parallelism: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._setDefault(numModels=10, scores="mean", sample="bootstrap", sampleFraction=0.75)
        self._set_given()

    setParams = params_setter(__init__)

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        fits: list[Subproblem] = []
        orders: list[list[int]] = []
        n_labels = statistics.n_labels
        balance = [self._balance(statistics, label) for label in range(n_labels)]
        for member in range(self.getNumModels()):
            seed = derive_seed(self.getSeed(), member)
            orders.append(np.random.default_rng(seed).permutation(n_labels).tolist())
            fits += chain_fits(orders[-1], self._sample(seed), seed, balance)
        return fits, {"orders": orders}
