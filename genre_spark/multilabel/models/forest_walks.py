"""Walk rows down forests: with scikit-learn's compiled trees, or all trees and rows at once.

The second is for shallow trees. Thresholds that were fitted on doubles (Spark) are replaced by
their ranks among all thresholds of their feature, and features by theirs: small integers, so that
comparing them is exact, and a byte is enough for the usual 32 bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.tree import _tree

from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forest_arrays import LEAF, ForestArrays
from genre_spark.multilabel.models.threshold_grid import ThresholdGrid

__all__ = [
    "CompiledForest",
    "ShallowForest",
    "WalkedForest",
    "compile_forest",
    "make_tree",
    "needs_grid",
    "node_table",
]

_SHALLOW = 7  # levels up to which evaluating every node beats walking to one leaf
# rows at a time of a shallow forest: its intermediate results stay in the processor's cache
_SLICE = 2048


class CompiledForest(Protocol):
    """A forest ready to score."""

    def sums(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return the sum over the trees of the values of the leaves that the rows reach."""
        ...


def needs_grid(arrays: ForestArrays) -> bool:
    """Return whether a forest compares doubles or categories, which scikit-learn's trees cannot."""
    return arrays.threshold.dtype != np.float32 or arrays.categories is not None


def compile_forest(arrays: ForestArrays, grid: ThresholdGrid | None) -> CompiledForest:
    """Return the forest in its fastest form."""
    if not needs_grid(arrays):
        return WalkedForest(arrays, None)
    grid = grid or ThresholdGrid([arrays])
    if isinstance(arrays.values, csr_matrix) or _depth(arrays) > _SHALLOW:
        return WalkedForest(arrays, grid)
    return ShallowForest(arrays, grid)


def _right(arrays: ForestArrays) -> NDArray[np.int64]:
    """Return the right children of all nodes as positions among all nodes.

    Leaves point to themselves.
    """
    nodes = np.arange(len(arrays.feature))
    starts = np.repeat(arrays.starts[:-1], np.diff(arrays.starts))
    return np.where(arrays.feature != LEAF, arrays.right + starts, nodes)


def _depth(arrays: ForestArrays) -> int:
    """Return the number of levels of splits of the deepest tree."""
    level, right = arrays.starts[:-1], _right(arrays)
    for depth in range(_SHALLOW + 1):
        level = level[arrays.feature[level] != LEAF]
        if not len(level):
            return depth
        level = np.r_[level + 1, right[level]]
    return _SHALLOW + 1


class WalkedForest:
    """scikit-learn's Tree objects: each row walks down to its leaf.

    Args:
        arrays: the forest.
        grid: ranks to compare; None compares features in float32.
    """

    def __init__(self, arrays: ForestArrays, grid: ThresholdGrid | None) -> None:
        self._arrays, self._grid = arrays, grid
        inner = arrays.feature != LEAF
        count = len(arrays.feature)
        column, threshold = arrays.feature.astype(np.int64), arrays.threshold.astype(np.float64)
        if grid is not None:
            column, rank = grid.node_tests(arrays)
            threshold = rank + 0.5
        starts = np.repeat(arrays.starts[:-1], np.diff(arrays.starts))
        left = np.arange(count) - starts + 1
        nodes = node_table(np.where(inner, column, LEAF), threshold, left, arrays.right)
        if "missing_go_to_left" in (nodes.dtype.names or ()) and arrays.missing_left is not None:
            nodes["missing_go_to_left"] = arrays.missing_left
        bounds = list(pairwise(arrays.starts))
        self._values: list[NDArray[np.float64]] = []
        if isinstance(arrays.values, csr_matrix):
            self._leaf_numbers = np.cumsum(~inner) - 1
        else:
            values = np.zeros((count, arrays.values.shape[1]))
            values[~inner] = arrays.values
            self._values = [values[first:last] for first, last in bounds]
        width = arrays.n_features if grid is None else grid.n_columns
        self._trees = [make_tree(nodes[first:last], width) for first, last in bounds]

    def leaves(self, block: FeatureBlock) -> Iterator[NDArray[np.int64]]:
        """Yield the number of the leaf that each row reaches, tree by tree, (rows,)."""
        trees = self._trees
        if self._grid is not None:
            inputs = block.single_ranks(self._grid)
        elif block.is_sparse:
            columns, trees = self._compacted
            with np.errstate(over="ignore"):
                inputs = block.some_columns(columns).astype(np.float32)
        else:
            inputs = block.single(self._arrays.n_features)
        for tree in trees:
            yield tree.apply(inputs)

    @cached_property
    def _compacted(self) -> tuple[NDArray[np.int64], list[Any]]:
        """The features that are compared, and trees that know only these."""
        columns, trees = self._arrays.used_features, []
        for tree in self._trees:
            nodes = tree.__getstate__()["nodes"].copy()
            inner = nodes["left_child"] >= 0
            nodes["feature"][inner] = np.searchsorted(columns, nodes["feature"][inner])
            trees.append(make_tree(nodes, max(1, len(columns))))
        return columns, trees

    def each_tree(self, block: FeatureBlock) -> Iterator[NDArray[np.float64]]:
        """Yield the values of the leaves that the rows reach, tree by tree, (rows, width)."""
        values = self._arrays.values
        for number, leaves in enumerate(self.leaves(block)):
            if isinstance(values, csr_matrix):
                yield np.asarray(
                    values[self._leaf_numbers[leaves + self._arrays.starts[number]]].toarray()
                )
            else:
                yield self._values[number][leaves]

    def sums(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return the sum over the trees of the values of the leaves that the rows reach."""
        values = self._arrays.values
        if isinstance(values, csr_matrix):
            return self._sparse_sums(block, values)
        total = np.zeros((block.n_rows, values.shape[1]))
        column = total[:, 0]
        for leaves, answers in zip(self.leaves(block), self._values, strict=True):
            if total.shape[1] == 1:
                column += answers[leaves, 0]
            else:
                total += answers[leaves]
        return total

    def _sparse_sums(self, block: FeatureBlock, values: csr_matrix) -> NDArray[np.float64]:
        reached = np.column_stack(list(self.leaves(block))) + self._arrays.starts[:-1]
        leaves = self._leaf_numbers[reached]
        starts = np.arange(0, leaves.size + 1, leaves.shape[1])
        visits = csr_matrix(
            (np.ones(leaves.size), leaves.ravel(), starts), shape=(block.n_rows, values.shape[0])
        )
        return np.asarray((visits @ values).toarray())


def node_table(
    feature: NDArray[np.integer],
    threshold: NDArray[np.floating],
    left: NDArray[np.integer],
    right: NDArray[np.integer],
) -> NDArray[Any]:
    """Return a tree's nodes as scikit-learn's Tree keeps them; a leaf's feature is LEAF."""
    inner = feature != LEAF
    nodes = np.zeros(len(feature), dtype=_tree.NODE_DTYPE)
    nodes["left_child"] = np.where(inner, left, -1)
    nodes["right_child"] = np.where(inner, right, -1)
    nodes["feature"] = np.where(inner, feature, -2)
    nodes["threshold"] = np.where(inner, threshold, -2.0)
    nodes["n_node_samples"] = 1
    nodes["weighted_n_node_samples"] = 1.0
    return nodes


def make_tree(nodes: NDArray[Any], n_features: int) -> Any:
    """Return a compiled Tree; its own values are not used, the leaves' numbers index ours."""
    tree = _tree.Tree(n_features, np.array([1], dtype=np.intp), 1)
    tree.__setstate__(
        {
            "max_depth": 1,  # only reported, never used to walk
            "node_count": len(nodes),
            "nodes": np.ascontiguousarray(nodes),
            "values": np.zeros((len(nodes), 1, 1)),
        }
    )
    return tree


class ShallowForest:
    """Shallow trees, filled up to complete ones: every node is tested for all rows at once.

    Gains: several times the speed of walking. To switch it off, set `_SHALLOW` to -1.

    The number of a leaf is the path to it, a bit a level. From the lowest level up, a node takes
    the path of its left or right child by its own test: a few operations on bytes, which processors
    do 32 at a time, instead of a walk whose branches they mispredict. Lucchese et al. (QuickScorer,
    2015) had the idea of testing all nodes.
    """

    def __init__(self, arrays: ForestArrays, grid: ThresholdGrid) -> None:
        self._grid = grid
        self._levels = max(1, _depth(arrays))
        self._trees = arrays.n_trees
        column, rank = grid.node_tests(arrays)
        right, leaf = _right(arrays), arrays.feature == LEAF
        never = np.iinfo(grid.kind).max  # no rank is above: such a node always goes left
        column, rank = np.where(leaf, 0, column), np.where(leaf, never, rank)
        left = np.where(leaf, np.arange(len(leaf)), np.arange(len(leaf)) + 1)
        level = arrays.starts[:-1][None, :]  # nodes of a level, (2^level, trees)
        self._tests: list[tuple[NDArray[np.int64], NDArray[Any]]] = []
        for _ in range(self._levels):
            self._tests += [
                (column[nodes], rank[nodes].astype(grid.kind)[:, None]) for nodes in level
            ]
            level = np.stack([left[level], right[level]], axis=1).reshape(-1, self._trees)
        values = np.zeros((len(leaf), arrays.values.shape[1]))
        values[leaf] = arrays.values
        self._values = np.ascontiguousarray(values[level.T])  # (trees, leaves, width)

    def sums(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return the sum over the trees of the values of the leaves that the rows reach."""
        ranks = block.ranks(self._grid)
        total = np.zeros((block.n_rows, self._values.shape[2]))
        offsets = np.arange(self._trees)[:, None] * self._values.shape[1]
        flat = self._values.reshape(-1, self._values.shape[2])
        for start in range(0, block.n_rows, _SLICE):
            paths = self._paths(ranks[:, start : start + _SLICE], 0, 0)
            leaves = paths + offsets
            if flat.shape[1] == 1:
                total[start : start + _SLICE, 0] = flat[:, 0].take(leaves).sum(axis=0)
            else:
                total[start : start + _SLICE] = sum(flat[of_tree] for of_tree in leaves)
        return total

    def _paths(self, ranks: NDArray[Any], level: int, node: int) -> NDArray[np.uint8]:
        """Return the path from a node to the leaf of each row in each tree, (trees, rows)."""
        column, rank = self._tests[2**level - 1 + node]
        goes_right = (ranks.take(column, axis=0) > rank).view(np.uint8)
        below = self._levels - 1 - level
        if below == 0:
            return goes_right
        left = self._paths(ranks, level + 1, 2 * node)
        chosen = self._paths(ranks, level + 1, 2 * node + 1)
        mask = np.negative(goes_right, out=goes_right)  # all bits where a row goes right
        np.bitwise_xor(chosen, left, out=chosen)
        np.bitwise_and(chosen, mask, out=chosen)
        np.bitwise_xor(chosen, left, out=chosen)
        np.bitwise_and(mask, np.uint8(1 << below), out=mask)
        return np.bitwise_or(chosen, mask, out=chosen)
