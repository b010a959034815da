"""Classifier chains (Read et al. 2009), one or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel.base import MultilabelModel, ProblemTransformation
from genre_spark.multilabel.class_balance import Balance, BinaryParams, HasBalance
from genre_spark.multilabel.ensembles import HasEnsemble
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence
from genre_spark.multilabel.fitting.plan import (
    AnyLabel,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import ChainsPredictor, Predictor, Structure

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "ClassifierChain",
    "ClassifierChainModel",
    "EnsembleOfClassifierChains",
    "EnsembleOfClassifierChainsModel",
]


class ChainParams(BinaryParams, total=False):
    """Keyword arguments of ClassifierChain."""

    order: list[int]


class ChainsParams(BinaryParams, total=False):
    """Keyword arguments of EnsembleOfClassifierChains."""

    numModels: int
    scores: str
    sample: str
    sampleFraction: float


def chain_fits(
    order: list[int], sample: RowSample, seed: int, balance: Sequence[Balance]
) -> list[Subproblem]:
    """Return the fits of one chain: link j sees the features and the true labels of the links before it."""
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

    def _links(self) -> dict[int, list[int]]:
        labels = self.numLabels
        return {
            part: list(range(part - part % labels, part))
            for part in range(len(self.parts))
            if part % labels
        }


class ClassifierChainModel(_ChainModel):
    """A fitted chain."""

    def _predictor(self) -> Predictor:
        return ChainsPredictor(self.structure["orders"], self._scorers)


class ClassifierChain(ProblemTransformation, HasBalance):
    """Classifier chain: each link learns one label from the features and the labels of the links before it.

    Links are trained with the true labels and predict with the predicted ones, by the model's
    `threshold`. Labels come out in the order of the input, whatever the order of the chain. Good
    where labels depend on each other and exact match counts; one unlucky order can spoil it, which
    the ensemble mends. L fits, all at once.
    """

    model_class: ClassVar[type[MultilabelModel]] = ClassifierChainModel

    order: Param[list[int]] = Param(
        Params._dummy(),
        "order",
        "labels in the order of the links; random from the seed where not set",
        TypeConverters.toListInt,
    )

    def __init__(self, **params: Unpack[ChainParams]) -> None:
        super().__init__(**params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        labels = statistics.labels
        if self.isSet(self.order):
            order: list[int] = list(self.getOrDefault("order"))
            if sorted(order) != list(range(labels)):
                raise InvalidConfigError(
                    f"ClassifierChain.order: {order}, expected each of 0..{labels - 1} once"
                )
        else:
            order = np.random.default_rng(plain_seed(self.getSeed())).permutation(labels).tolist()
        balance = [self._balance(statistics, label) for label in range(labels)]
        return chain_fits(order, RowSample(), self.getSeed(), balance), {"orders": [order]}


class EnsembleOfClassifierChainsModel(_ChainModel, HasEnsemble):
    """Fitted chains."""

    def _predictor(self) -> Predictor:
        return ChainsPredictor(
            self.structure["orders"],
            self._scorers,
            self.getScores() == "votes",
            self._link_threshold(),
        )

    def _link_threshold(self) -> float | None:
        return 0.5


class EnsembleOfClassifierChains(ProblemTransformation, HasBalance, HasEnsemble):
    """Ensemble of classifier chains: each with a random order of its own and a bootstrap of the rows.

    A label's score is the mean of the chains' probabilities (`scores="mean"`) or their share of
    votes (`scores="votes"`). Within a chain a label is passed on as predicted from probability 0.5.
    `numModels` x L fits, all at once: the order of the links binds prediction, not training.
    """

    model_class: ClassVar[type[MultilabelModel]] = EnsembleOfClassifierChainsModel

    def __init__(self, **params: Unpack[ChainsParams]) -> None:
        super().__init__()
        self._setDefault(numModels=10, scores="mean", sample="bootstrap", sampleFraction=0.75)
        self._set_params(params)

    def _plan(
        self,
        statistics: TrainingStatistics,
        cooccurrence: Cooccurrence,  # noqa: ARG002
    ) -> tuple[list[Subproblem], Structure]:
        fits: list[Subproblem] = []
        orders: list[list[int]] = []
        balance = [self._balance(statistics, label) for label in range(statistics.labels)]
        for member in range(self.getNumModels()):
            seed = derive_seed(self.getSeed(), member)
            orders.append(np.random.default_rng(seed).permutation(statistics.labels).tolist())
            fits += chain_fits(orders[-1], self._sample(seed), seed, balance)
        return fits, {"orders": orders}
