"""Trees whose splits minimise the mean impurity over all labels: grown, and scored out of bag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, issparse
from sklearn.base import clone

from genre_spark.multilabel.fitting.plan import derive_seed
from genre_spark.multilabel.fitting.training_data import TrainingMatrix, unpack_training
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer
from genre_spark.multilabel.models.from_sklearn import label_tree

__all__ = ["OUT_OF_BAG_SCHEMA", "OutOfBag", "grow_trees"]

OUT_OF_BAG_SCHEMA = "labels array<double>, probabilities array<double>"


def grow_trees(
    forest: Any, matrix: TrainingMatrix, trees: Iterable[int], seed: int
) -> ForestScorer:
    """Grow some trees of a forest: each depends on the seed and its number alone.

    Args:
        forest: RandomForestClassifier or ExtraTreesClassifier, not fitted.
        matrix: the training data.
        trees: numbers of the trees.
        seed: seed of the forest.

    Returns:
        trees whose leaves hold the share of each label.
    """
    grown = []
    labels = matrix.labels.astype(np.int8)
    features = csc_matrix(matrix.features) if issparse(matrix.features) else matrix.features
    settings = {
        name: getattr(forest, name) for name in forest.estimator_params if name != "random_state"
    }
    for number in trees:
        weights = np.ones(len(labels))
        if forest.bootstrap:
            weights = _count_draws(matrix, forest.max_samples, seed, number)
        if matrix.weights is not None:
            weights = weights * matrix.weights
        random_state = derive_seed(seed, number, 1)
        tree = clone(forest.estimator).set_params(**settings, random_state=random_state)
        grown.append(label_tree(tree.fit(features, labels, sample_weight=weights)))
    arrays = ForestArrays.from_trees(grown, matrix.features.shape[1])
    return ForestScorer(arrays, n_classes=labels.shape[1])


def _count_draws(
    matrix: TrainingMatrix, max_samples: float | None, seed: int, tree: int
) -> NDArray[np.float64]:
    """Return how often each row is drawn for a tree, (n_rows,).

    Where only rows of weight 0 are drawn, the tree takes every row once.
    """
    n_rows = len(matrix.labels)
    size = n_rows if max_samples is None else max_samples
    if not isinstance(size, int):
        size = max(1, round(size * n_rows))
    drawn = np.random.default_rng(derive_seed(seed, tree)).integers(0, n_rows, size)
    counts = np.bincount(drawn, minlength=n_rows).astype(np.float64)
    if matrix.weights is not None and not (counts * matrix.weights).any():
        return np.ones(n_rows)
    return counts


@dataclass(frozen=True)
class OutOfBag:
    """Scores training rows by the trees that did not draw them.

    Attributes:
        forests: the trees, in the order of their numbers.
        seed: seed of the forest.
        max_samples: scikit-learn's `max_samples` of the forest.
        slices: number of tasks that share the rows.
        weighted: whether rows have weights.
        sparse: whether features stay csr.
    """

    forests: Sequence[ForestScorer]
    seed: int
    max_samples: float | None
    slices: int
    weighted: bool = False
    sparse: bool = False

    def score(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score the rows of one task, given `with_matrix`: a batch of OUT_OF_BAG_SCHEMA."""
        rows = [row for batch in batches for row in batch.to_pylist()]
        if not rows:
            return
        matrix = unpack_training(rows, single=True, weighted=self.weighted, sparse=self.sparse)
        chosen = np.arange(rows[0]["id"], len(matrix.labels), self.slices)
        sums, counts = self._add_up(matrix, chosen)
        known = counts > 0
        labels = matrix.labels[chosen][known].astype(np.float64)
        kind = pa.list_(pa.float64())
        yield pa.RecordBatch.from_pydict(
            {
                "labels": pa.array(list(labels), kind),
                "probabilities": pa.array(list(sums[known] / counts[known, None]), kind),
            }
        )

    def _add_up(
        self, matrix: TrainingMatrix, chosen: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums of the scores of the chosen rows, and by how many trees."""
        block, tree = FeatureBlock(matrix.features[chosen]), 0
        sums = np.zeros((len(chosen), matrix.labels.shape[1]))
        counts = np.zeros(len(chosen))
        for forest in self.forests:
            for answer in forest.each_tree(block):
                draws = _count_draws(matrix, self.max_samples, self.seed, tree)
                unseen = draws[chosen] == 0
                sums[unseen] += answer[unseen]
                counts += unseen
                tree += 1
        return sums, counts
