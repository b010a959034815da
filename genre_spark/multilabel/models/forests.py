"""Decision trees and forests as flat arrays, scored without the library that grew them.

A forest of scikit-learn or of Spark ML becomes a few arrays: small to ship and store, independent
of the version of either library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forest_arrays import CategoricalSplits, ForestArrays, TreeNodes
from genre_spark.multilabel.models.forest_walks import (
    CompiledForest,
    WalkedForest,
    compile_forest,
    needs_grid,
)
from genre_spark.multilabel.models.scorers import Scorer, sigmoid
from genre_spark.multilabel.models.threshold_grid import ThresholdGrid

__all__ = ["CategoricalSplits", "ForestArrays", "ForestScorer", "TreeNodes", "share_grid"]


def share_grid(scorers: Iterable[Scorer]) -> None:
    """Compile forests that score the same rows, so that these are ranked once for all of them."""
    waiting = [
        scorer
        for scorer in scorers
        if isinstance(scorer, ForestScorer) and "forest" not in scorer._compiled
    ]
    grid = ThresholdGrid([scorer.arrays for scorer in waiting if needs_grid(scorer.arrays)])
    for scorer in waiting:
        scorer.compile(grid)


@dataclass(frozen=True)
class ForestScorer:
    """A forest that answers with the mean of its leaves' values, or with a boosted sum of them.

    Attributes:
        arrays: nodes of the trees.
        n_classes: number of classes; 2 where the values are p(class 1).
        link: "mean" of the leaves (random forest), or "boosted": sigmoid of twice their sum
            (Spark's GBTClassifier).
    """

    arrays: ForestArrays
    n_classes: int
    link: str = "mean"
    kind: ClassVar[str] = "forest"
    _compiled: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Travel without the compiled trees, eight times the size of the arrays, and the gains."""
        return {
            "arrays": replace(self.arrays, gains=None),
            "n_classes": self.n_classes,
            "link": self.link,
            "_compiled": {},
        }

    @property
    def dense_columns(self) -> int:
        """Number of columns that become dense where sparse rows are scored."""
        if "columns" not in self._compiled:
            self._compiled["columns"] = len(self.arrays.used_features)
        return int(self._compiled["columns"])

    def leaf_means(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return the mean (boosted: the sum) of the leaves' values that the rows reach.

        Returns:
            (rows, width).
        """
        total = self.compile().sums(block)
        return total if self.link == "boosted" else total / self.arrays.n_trees

    def each_tree(self, block: FeatureBlock) -> Iterator[NDArray[np.float64]]:
        """Yield the values of the leaves that the rows reach, tree by tree, each (rows, width)."""
        return WalkedForest(self.arrays, None).each_tree(block)

    def probabilities(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return p(class | row), (rows, n_classes)."""
        means = self.leaf_means(block)
        if self.link == "boosted":
            means = sigmoid(2.0 * means)
        return np.column_stack([1.0 - means[:, 0], means[:, 0]]) if means.shape[1] == 1 else means

    def importances(self) -> NDArray[np.float64] | None:
        """Return the decrease of each label's impurity by each input, summed over the trees.

        Returns:
            (labels of the target, inputs); None where the forest was stored without, by an earlier
            version, or has been pickled.
        """
        gains = self.arrays.gains
        return None if gains is None else gains.dense(self.arrays.n_features)

    def to_bytes(self) -> bytes:
        """Return the forest as npz bytes, the link and the number of classes in front."""
        return f"{self.link},{self.n_classes}\n".encode() + self.arrays.to_bytes()

    @classmethod
    def from_bytes(cls, payload: bytes) -> ForestScorer:
        """Read what `to_bytes` wrote."""
        head, _, rest = payload.partition(b"\n")
        link, _, classes = head.decode().partition(",")
        return cls(ForestArrays.from_bytes(rest), int(classes), link)

    def compile(self, grid: ThresholdGrid | None = None) -> CompiledForest:
        """Return the trees as they are walked, made once.

        Args:
            grid: ranks that are shared with forests which score the same rows.
        """
        compiled = self._compiled.get("forest")
        if compiled is None:
            compiled = self._compiled["forest"] = compile_forest(self.arrays, grid)
        return compiled
