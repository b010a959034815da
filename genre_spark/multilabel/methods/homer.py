"""HOMER: a hierarchy of label groups (Tsoumakas et al. 2008)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel, ProblemTransformation
from genre_spark.multilabel.classifiers import ClassifierParams
from genre_spark.multilabel.fitting.cooccurrence import Cooccurrence, balanced_kmeans
from genre_spark.multilabel.fitting.plan import (
    AnyLabel,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.models.predictors import HierarchyPredictor, Predictor, Structure

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["HOMER", "HOMERModel", "label_hierarchy"]


class HOMERParams(ClassifierParams, total=False):
    """Keyword arguments of HOMER."""

    clusters: int


def label_hierarchy(
    counts: NDArray[np.float64], clusters: int, generator: np.random.Generator
) -> list[tuple[int, list[int]]]:
    """Return the nodes below the root: for each the number of its parent (-1: the root) and the labels below it.

    Args:
        counts: how often two labels are on together, (L, L).
        clusters: k, children of a node, >= 2.
        generator: draws the first centres of the clusters.
    """
    nodes: list[tuple[int, list[int]]] = []
    waiting: list[tuple[int, list[int]]] = [(-1, list(range(len(counts))))]
    while waiting:
        parent, labels = waiting.pop(0)
        if len(labels) <= clusters:
            groups = [[label] for label in labels]
        else:
            groups = balanced_kmeans(counts, labels, clusters, generator)
        for group in groups:
            nodes.append((parent, group))
            if len(group) > 1:
                waiting.append((len(nodes) - 1, group))
    return nodes


class HOMERModel(MultilabelModel):
    """Fitted nodes; `structure["nodes"]` has the parent and the labels of each."""

    def _predictor(self) -> Predictor:
        nodes = [(parent, labels) for parent, labels in self.structure["nodes"]]
        return HierarchyPredictor(self.numLabels, nodes, self._scorers)


class HOMER(ProblemTransformation):
    """HOMER: labels that occur together are grouped into a tree, and each node decides which children to go down to.

    A node learns, from the rows that have one of its labels, for each child whether one of the
    child's labels is on. Labels are clustered by balanced k-means on their co-occurrence counts:
    one distributed pass. For many labels: a fit sees few rows, and most labels are decided by few
    classifiers. About L x k / (k - 1) fits. A label's score is the smallest probability on its
    path.
    """

    model_class: ClassVar[type[MultilabelModel]] = HOMERModel

    clusters: Param[int] = Param(
        Params._dummy(), "clusters", "k, children of a node, >= 2", TypeConverters.toInt
    )

    def __init__(self, **params: Unpack[HOMERParams]) -> None:
        super().__init__()
        self._setDefault(clusters=3)
        self._set_params(params)

    def _check_params(self) -> None:
        super()._check_params()
        self._require("clusters", self.getOrDefault("clusters") >= 2, "must be >= 2")

    def _plan(
        self,
        statistics: TrainingStatistics,  # noqa: ARG002
        cooccurrence: Cooccurrence,
    ) -> tuple[list[Subproblem], Structure]:
        generator = np.random.default_rng(plain_seed(self.getSeed()))
        nodes = label_hierarchy(cooccurrence(), self.getOrDefault("clusters"), generator)
        fits = [
            Subproblem(
                AnyLabel(tuple(labels)),
                RowSample(any_of=tuple(nodes[parent][1]) if parent >= 0 else ()),
                seed=derive_seed(self.getSeed(), index),
            )
            for index, (parent, labels) in enumerate(nodes)
        ]
        return fits, {"nodes": nodes}
