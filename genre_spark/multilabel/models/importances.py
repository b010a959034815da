"""How much the splits of trees say about each label, and about a whole multi-label model.

The importance of a feature for a label is the decrease of the label's Gini impurity at the splits
by this feature, weighted with the rows that reach them and normalised per tree (Breiman et al.,
Classification and Regression Trees, 1984), as in scikit-learn and Spark ML. In trees whose target
is several labels at once, each label has its own decrease at every split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

__all__ = ["SplitGains", "add_gains", "combine_parts", "measure_splits", "subtree_sums"]

Matrix = NDArray[np.float64]
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class SplitGains:
    """The sum, over some trees, of each tree's normalised decreases of impurity.

    Attributes:
        features: inputs that a split compares, ascending, (U,).
        gains: of each label of the target, (labels of the target, U), >= 0.
    """

    features: Indices
    gains: NDArray[np.floating]

    def dense(self, n_inputs: int) -> Matrix:
        """Return the gains of all inputs, (labels of the target, inputs)."""
        found = np.zeros((len(self.gains), n_inputs))
        found[:, self.features] = self.gains
        return found


def measure_splits(
    feature: Indices, parent: Matrix, left: Matrix, right: Matrix, *, normalised: bool = True
) -> SplitGains:
    """Return the decreases of impurity of one tree, by feature.

    Args:
        feature: compared at each inner node, (inner nodes,).
        parent: impurity times weight of the rows at each inner node, (inner nodes, labels).
        left: likewise at its left child.
        right: likewise at its right child.
        normalised: whether the gains of a label add up to 1.
    """
    return _sum_by_feature(feature, np.maximum(parent - left - right, 0.0), normalised=normalised)


def add_gains(trees: Sequence[SplitGains | None]) -> SplitGains | None:
    """Return the sum over trees, or None where one of them is not known."""
    known = [tree for tree in trees if tree is not None]
    if not known or len(known) < len(trees):
        return None
    feature = np.concatenate([tree.features for tree in known])
    gains = np.concatenate([tree.gains.T for tree in known])
    found = _sum_by_feature(feature, gains, normalised=False)
    return SplitGains(found.features.astype(np.int32), found.gains.astype(np.float32))


def _sum_by_feature(feature: Indices, gains: Matrix, *, normalised: bool) -> SplitGains:
    used, place = np.unique(feature, return_inverse=True)
    shape = (len(used), len(feature))
    sums = csr_matrix((np.ones(len(feature)), (place.ravel(), np.arange(len(feature)))), shape)
    found = np.asarray(sums @ gains).T
    return SplitGains(used, normalise_rows(found) if normalised else found)


def normalise_rows(values: Matrix) -> Matrix:
    """Return rows that add up to 1; rows of zeros stay."""
    total = values.sum(axis=1, keepdims=True)
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)


def subtree_sums(feature: Indices, right: Indices, leaves: Matrix) -> Matrix:
    """Return the sum of the leaves' values below each node, (nodes, columns).

    Args:
        feature: of each node in preorder, -1 at a leaf, (nodes,).
        right: right child of each inner node, (nodes,).
        leaves: values of the leaves in the order of the nodes, (leaves, columns).
    """
    is_leaf = feature < 0
    ends, rights = list(range(1, len(feature) + 1)), right.tolist()
    for node in reversed(np.flatnonzero(~is_leaf).tolist()):
        ends[node] = ends[rights[node]]
    below = np.concatenate([[0], np.cumsum(is_leaf)])
    totals = np.vstack([np.zeros((1, leaves.shape[1])), np.cumsum(leaves, axis=0)])
    return np.asarray(totals[below[ends]] - totals[below[:-1]])


def combine_parts(
    targets: Sequence[Sequence[int]], rows: Sequence[Matrix], *, n_labels: int, n_features: int
) -> Matrix:
    """Return the importance of each feature for each label, (labels, features).

    A label's is the sum over the fits that decide it, normalised; what a link of a chain takes from
    earlier labels is left out.

    Args:
        targets: the labels that each fit decides.
        rows: of each fit, (1 or labels of the target, inputs): the first inputs are the features.
        n_labels: number of labels.
        n_features: number of features.
    """
    found = np.zeros((n_labels, n_features))
    for labels, importances in zip(targets, rows, strict=True):
        width = min(n_features, importances.shape[1])
        found[list(labels), :width] += importances[:, :width]
    return normalise_rows(found)
