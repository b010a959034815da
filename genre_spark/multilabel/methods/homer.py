"""HOMER: a hierarchy of label groups (Tsoumakas et al. 2008)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

import numpy as np
from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters

from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.classifiers import Classifier
from genre_spark.multilabel.fitting.cooccurrence import balanced_kmeans
from genre_spark.multilabel.fitting.plan import (
    AnyLabel,
    RowSample,
    Subproblem,
    derive_seed,
    plain_seed,
)
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.matrices import Matrix
from genre_spark.multilabel.models.predictors import HierarchyPredictor, Predictor, Structure
from genre_spark.multilabel.models.scorers import Scorer
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.problem_transformation import ProblemTransformation

__all__ = ["HOMER", "HOMERModel", "label_hierarchy"]

H = TypeVar("H", bound="HOMER")


def label_hierarchy(
    counts: Matrix, clusters: int, generator: np.random.Generator
) -> list[tuple[int, list[int]]]:
    """Return the nodes below the root: the number of its parent (-1: the root) and its labels.

    Args:
        counts: how often two labels are on together, (L, L).
        clusters: k, number of children of a node, >= 2.
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

    def _predictor(self, scorers: Sequence[Scorer]) -> Predictor:
        nodes = [(parent, labels) for parent, labels in self.structure["nodes"]]
        return HierarchyPredictor(self.numLabels, nodes, scorers)


class HOMER(ProblemTransformation):
    """HOMER: labels that occur together form a tree; each node decides which children to enter.

    A node learns, from the rows that have one of its labels, for each child whether one of the
    child's labels is on. Labels are clustered by balanced k-means on their co-occurrence counts:
    one distributed pass. For many labels: a fit sees few rows, and most labels are decided by few
    classifiers. About L x k / (k - 1) fits. A label's score is the smallest probability on its
    path.
    """

    model_class: ClassVar[type[MultilabelModel]] = HOMERModel

    clusters: Param[int] = Param(
        Params._dummy(), "clusters", "k, number of children of a node, >= 2", TypeConverters.toInt
    )

    @keyword_only
    def __init__(
        self,
        *,
        classifier: Classifier | None = None,
        clusters: int = 3,
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
        self._setDefault(clusters=3)
        self._set_given()

    setParams = params_setter(__init__)

    def getClusters(self) -> int:
        """Return the number of children of a node."""
        return self.getOrDefault(self.clusters)

    def setClusters(self: H, value: int) -> H:
        """Set the number of children of a node, >= 2."""
        return set_params(self, {"clusters": value})

    def _check_params(self) -> None:
        super()._check_params()
        self._require("clusters", self.getClusters() >= 2, "must be >= 2")

    def _plan(self, statistics: TrainingStatistics) -> tuple[list[Subproblem], Structure]:
        generator = np.random.default_rng(plain_seed(self.getSeed()))
        nodes = label_hierarchy(statistics.cooccurrence, self.getClusters(), generator)
        fits = [
            Subproblem(
                AnyLabel(tuple(labels)),
                RowSample(any_of=tuple(nodes[parent][1]) if parent >= 0 else ()),
                seed=derive_seed(self.getSeed(), index),
            )
            for index, (parent, labels) in enumerate(nodes)
        ]
        return fits, {"nodes": nodes}
