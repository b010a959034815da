"""The nodes of forests as flat arrays: how they are shipped and stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.models.archives import pack_arrays, unpack_arrays
from genre_spark.multilabel.models.importances import SplitGains, add_gains

__all__ = ["LEAF", "CategoricalSplits", "ForestArrays", "TreeNodes"]

LEAF = -1
_MANY_CLASSES = 32  # from here on leaves store the few classes that they hold instead of all


@dataclass
class TreeNodes:
    """Nodes of a tree in preorder.

    The left child follows its parent, so that only the right one is stored.

    Attributes:
        feature: index of the feature that is compared, -1 at a leaf.
        threshold: largest value of the feature with which a row goes left.
        right: index of the right child in this tree.
        values: values of the leaves in the order of the nodes, (leaves, width).
        missing_left: 1 where a row goes left whose feature is NaN; None where such rows go right.
        gains: what its splits say about each label; None where that is not known.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.floating]
    right: NDArray[np.int32]
    values: NDArray[np.floating] | csr_matrix
    missing_left: NDArray[np.uint8] | None = None
    gains: SplitGains | None = None


@dataclass
class CategoricalSplits:
    """Splits by category sets, as additional 0/1 features.

    The k-th of them is 0, so that a row goes left, where `feature[k]` is in the k-th set; the other
    way round where `others_left[k]` is 1. Which of the two decides where categories go that
    training did not have.

    Attributes:
        feature: index of the feature of each set, (K,).
        starts: position in `members` at which each set starts, (K + 1,).
        members: category numbers of the sets, one set after the other.
        others_left: 1 where the set's categories go right and all others left, (K,); None where
            none do (models stored by version 0.1).
    """

    feature: NDArray[np.int32]
    starts: NDArray[np.int64]
    members: NDArray[np.float64]
    others_left: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class ForestArrays:
    """All trees of a forest behind each other.

    Attributes:
        n_features: number of inputs; node features from here on are categorical splits.
        starts: index of each tree's first node, (trees + 1,).
        feature: feature of each node as in TreeNodes, (nodes,).
        threshold: threshold of each node as in TreeNodes, (nodes,); float32 where rows are compared
            in float32 (scikit-learn).
        right: right child of each node as in TreeNodes, (nodes,).
        values: values of the leaves, (leaves, width): p(class 1), p of each class, or the share of
            each label; sparse where there are many classes.
        categories: splits by category sets, None without any.
        missing_left: direction of missing values as in TreeNodes, (nodes,).
        gains: what all splits say about each label; None where that is not known.
    """

    n_features: int
    starts: NDArray[np.int64]
    feature: NDArray[np.int32]
    threshold: NDArray[np.floating]
    right: NDArray[np.int32]
    values: NDArray[np.floating] | csr_matrix
    categories: CategoricalSplits | None = None
    missing_left: NDArray[np.uint8] | None = None
    gains: SplitGains | None = None

    @classmethod
    def from_trees(
        cls, trees: list[TreeNodes], n_features: int, categories: CategoricalSplits | None = None
    ) -> ForestArrays:
        """Put trees behind each other, in the smallest types that lose nothing."""
        values: NDArray[np.floating] | csr_matrix
        if trees[0].values.shape[1] >= _MANY_CLASSES:
            values = vstack([csr_matrix(tree.values) for tree in trees], format="csr")
        else:
            values = np.concatenate([tree.values for tree in trees])
            single = values.astype(np.float32)
            values = single if np.array_equal(single, values) else values
        feature = np.concatenate([tree.feature for tree in trees])
        return cls(
            n_features=n_features,
            starts=np.cumsum([0, *(len(tree.feature) for tree in trees)], dtype=np.int64),
            feature=feature.astype(np.int16) if feature.max(initial=0) < 2**15 else feature,
            threshold=np.concatenate([tree.threshold for tree in trees]),
            right=np.concatenate([tree.right for tree in trees]),
            values=values,
            categories=categories,
            missing_left=_join_missing(trees),
            gains=add_gains([tree.gains for tree in trees]),
        )

    @property
    def used_features(self) -> NDArray[np.int64]:
        """The features that nodes compare, sorted."""
        compared = self.feature[(self.feature != LEAF) & (self.feature < self.n_features)]
        found = [compared.astype(np.int64)]
        found += [] if self.categories is None else [self.categories.feature.astype(np.int64)]
        return np.unique(np.concatenate(found))

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.starts) - 1

    def to_bytes(self) -> bytes:
        """Return the arrays as npz bytes, thresholds and children of inner nodes only."""
        inner = self.feature != LEAF
        arrays: dict[str, NDArray[Any]] = {
            "features": np.array(self.n_features),
            "starts": self.starts,
            "feature": self.feature,
            "threshold": self.threshold[inner],
            "right": self.right[inner],
        }
        if isinstance(self.values, csr_matrix):
            arrays["sparse_values"] = self.values.data
            arrays["sparse_columns"] = self.values.indices
            arrays["sparse_starts"] = self.values.indptr
            arrays["sparse_width"] = np.array(self.values.shape[1])
        else:
            arrays["values"] = self.values
        if self.missing_left is not None:
            arrays["missing_left"] = np.packbits(self.missing_left)
        if self.gains is not None:
            arrays |= {"gain_features": self.gains.features, "gains": self.gains.gains}
        if self.categories is not None:
            arrays["category_feature"] = self.categories.feature
            arrays["category_starts"] = self.categories.starts
            arrays["category_members"] = self.categories.members
            if self.categories.others_left is not None:
                arrays["category_others_left"] = self.categories.others_left
        return pack_arrays(arrays)

    @classmethod
    def from_bytes(cls, payload: bytes) -> ForestArrays:
        """Read what `to_bytes` wrote."""
        arrays = unpack_arrays(payload)
        feature = arrays["feature"]
        inner = feature != LEAF
        threshold = np.zeros(len(feature), dtype=arrays["threshold"].dtype)
        threshold[inner] = arrays["threshold"]
        right = np.zeros(len(feature), dtype=np.int32)
        right[inner] = arrays["right"]
        categories = None
        if "category_feature" in arrays:
            categories = CategoricalSplits(
                arrays["category_feature"],
                arrays["category_starts"],
                arrays["category_members"],
                arrays.get("category_others_left"),
            )
        missing = arrays.get("missing_left")
        gains = SplitGains(arrays["gain_features"], arrays["gains"]) if "gains" in arrays else None
        forest = cls(
            n_features=int(arrays["features"]),
            starts=arrays["starts"],
            feature=feature,
            threshold=threshold,
            right=right,
            values=arrays["values"] if "values" in arrays else _sparse_values(arrays),
            categories=categories,
            missing_left=None if missing is None else np.unpackbits(missing, count=len(feature)),
            gains=gains,
        )
        forest._check_nodes()
        return forest

    def _check_nodes(self) -> None:
        """Check that every walk stays among the nodes: compiled trees do not look.

        Raises:
            InvalidInputError: a node's feature, child or value is not there.
        """
        inner = np.flatnonzero(self.feature != LEAF)
        n_sets = 0 if self.categories is None else len(self.categories.feature)
        sizes = np.diff(self.starts)
        position = inner - np.repeat(self.starts[:-1], sizes)[inner]
        right, last = self.right[inner], np.repeat(sizes, sizes)[inner]
        whole = (
            self.starts[0] == 0
            and self.starts[-1] == len(self.feature)
            and (sizes > 0).all()
            and (self.feature >= LEAF).all()
            and (self.feature[inner] < self.n_features + n_sets).all()
            and (right > position + 1).all()
            and (right < last).all()
            and self.values.shape[0] == len(self.feature) - len(inner)
        )
        if not whole:
            raise InvalidInputError("stored forest: nodes that do not make trees, expected trees")


def _join_missing(trees: list[TreeNodes]) -> NDArray[np.uint8] | None:
    """Return the directions of all trees; in one without any, missing values go right."""
    if all(tree.missing_left is None for tree in trees):
        return None
    return np.concatenate(
        [
            np.zeros(len(tree.feature), np.uint8)
            if tree.missing_left is None
            else tree.missing_left
            for tree in trees
        ]
    )


def _sparse_values(arrays: dict[str, NDArray[Any]]) -> csr_matrix:
    starts = arrays["sparse_starts"]
    shape = (len(starts) - 1, int(arrays["sparse_width"]))
    return csr_matrix((arrays["sparse_values"], arrays["sparse_columns"], starts), shape=shape)
