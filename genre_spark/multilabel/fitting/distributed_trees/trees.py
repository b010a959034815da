"""Trees while they grow, on the driver: nodes level by level, with what was found of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.fitting.distributed_trees.binning import Bins
from genre_spark.multilabel.fitting.distributed_trees.draws import mix, number_rows
from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings
from genre_spark.multilabel.fitting.distributed_trees.walks import TreeRoute
from genre_spark.multilabel.models.forests import TreeNodes
from genre_spark.multilabel.models.importances import measure_splits

__all__ = ["GrowingTree", "choose_candidates", "tree_key"]

_BLOCK = 2**22  # nodes by features whose order is drawn at a time

Keys = NDArray[np.uint64]


def tree_key(seed: int, number: int) -> np.uint64:
    """Return the key of a tree: of its draws, and of its root."""
    return np.uint64(mix(number_rows(1, salt=3) ^ mix(number_rows(number + 1, salt=seed)[-1:]))[0])


def choose_candidates(
    nodes: Keys, tries: NDArray[np.integer], n_features: int, count: int
) -> NDArray[np.int32]:
    """Return the features that nodes compare, ascending, (nodes, count).

    Each node has an order of all features of its own; a try takes the next ones of it.

    Args:
        nodes: keys of the nodes, (nodes,).
        tries: how often each was searched before, (nodes,).
        n_features: number of features.
        count: number of candidates of a try.
    """
    if count >= n_features:
        return np.tile(np.arange(n_features, dtype=np.int32), (len(nodes), 1))
    found = np.empty((len(nodes), count), dtype=np.int32)
    salts, step = number_rows(n_features, salt=4), max(1, _BLOCK // n_features)
    for start in range(0, len(nodes), step):
        part = slice(start, start + step)
        ranks = mix(nodes[part, None] ^ salts[None, :])
        for number in np.unique(tries[part]):
            mine = np.flatnonzero(tries[part] == number)
            first = min(int(number) * count, n_features - count)
            last = first + count - 1
            order = np.argpartition(ranks[mine], [first, last], axis=1)[:, first : last + 1]
            found[start + mine] = np.sort(order, axis=1)
    return found


@dataclass
class GrowingTree:
    """A tree, breadth first: the right child of a node is behind the left one.

    Attributes:
        key: of the tree.
        n_labels: number of labels.
        whole: whether every row is drawn once, as its draws had no weight.
        feature: of each node, -1 where it has no split (yet).
        bins: largest bin that goes left.
        left: the left child.
        depth: number of splits above.
        keys: of the nodes: they follow from the tree's key and the path to the node.
        sums: rows, weight and weight of each label, (nodes, 2 + labels).
    """

    key: np.uint64
    n_labels: int
    whole: bool = False
    feature: NDArray[np.int32] = field(init=False)
    bins: NDArray[np.int16] = field(init=False)
    left: NDArray[np.int32] = field(init=False)
    depth: NDArray[np.int32] = field(init=False)
    keys: Keys = field(init=False)
    sums: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the root, of whose rows nothing is known."""
        self.feature, self.bins = np.full(1, -1, np.int32), np.zeros(1, np.int16)
        self.left, self.depth = np.zeros(1, np.int32), np.zeros(1, np.int32)
        self.keys, self.sums = np.array([self.key]), np.zeros((1, self.n_labels + 2))

    def route(
        self, wanted: NDArray[np.integer], first: int, draws: NDArray[np.uint32]
    ) -> TreeRoute:
        """Return how rows come to some nodes, which are numbered from `first` on."""
        numbers = np.full(len(self.feature), -1, dtype=np.int32)
        numbers[wanted] = first + np.arange(len(wanted), dtype=np.int32)
        limits = draws[:0] if self.whole else draws
        return TreeRoute(self.key, limits, self.feature, self.bins, self.left, numbers)

    def split(
        self, nodes: NDArray[np.integer], features: NDArray[np.integer], found: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Split nodes, and return the new ones.

        Args:
            nodes: without a split, (nodes,).
            features: compared at each, (nodes,).
            found: of `split_type`, (nodes,).
        """
        count, first = len(nodes), len(self.feature)
        self.feature[nodes], self.bins[nodes] = features, found["bin"]
        self.left[nodes] = first + 2 * np.arange(count)
        self.feature = np.append(self.feature, np.full(2 * count, -1, np.int32))
        self.bins = np.append(self.bins, np.zeros(2 * count, np.int16))
        self.left = np.append(self.left, np.zeros(2 * count, np.int32))
        self.depth = np.append(self.depth, np.repeat(self.depth[nodes] + 1, 2))
        sides = np.tile(np.array([1, 2], dtype=np.uint64), count)
        self.keys = np.append(self.keys, mix(np.repeat(self.keys[nodes], 2) + sides))
        sums = np.stack([found["left"], found["right"]], axis=1).reshape(2 * count, -1)
        self.sums = np.concatenate([self.sums, sums])
        return np.arange(first, len(self.feature))

    def graft(self, nodes: NDArray[np.integer], subtrees: list[NDArray[Any]]) -> None:
        """Put subtrees in the place of nodes.

        Args:
            nodes: without a split, (nodes,).
            subtrees: of `subtree_type`, one per node.
        """
        sizes = np.array([len(subtree) for subtree in subtrees])
        every = np.concatenate(subtrees)
        roots = np.cumsum(sizes) - sizes
        below = np.ones(len(every), dtype=bool)
        below[roots] = False
        # a subtree's nodes but its root follow all nodes that there are, those of others between
        moved = len(self.feature) + roots - np.arange(len(roots)) - 1
        left = np.where(every["feature"] >= 0, every["left"] + np.repeat(moved, sizes), 0)
        depth = every["depth"] + np.repeat(self.depth[nodes], sizes)
        self.feature[nodes], self.bins[nodes] = every["feature"][roots], every["bin"][roots]
        self.left[nodes], self.sums[nodes] = left[roots], every["sums"][roots]
        self.feature = np.append(self.feature, every["feature"][below])
        self.bins = np.append(self.bins, every["bin"][below])
        self.left = np.append(self.left, left[below].astype(np.int32))
        self.depth = np.append(self.depth, depth[below].astype(np.int32))
        self.sums = np.concatenate([self.sums, every["sums"][below]])

    def may_split(self, nodes: NDArray[np.integer], settings: GrowthSettings) -> NDArray[np.bool_]:
        """Return which nodes are neither too deep, too small nor too pure for a split."""
        sums = self.sums[nodes]
        rows, weight, on = sums[:, 0], sums[:, 1:2], sums[:, 2:]
        mixed = ((on > 0) & (on < weight)).any(axis=1)
        enough = (rows >= settings.min_split) & (rows >= 2 * settings.min_leaf)
        return mixed & enough & (self.depth[nodes] < settings.max_depth)

    def to_nodes(self, bins: Bins) -> TreeNodes:
        """Return the finished tree in preorder, with thresholds in place of bins."""
        order = self._preorder()
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        inner = self.feature[order] >= 0
        split = order[inner]
        threshold = np.zeros(len(order), dtype=np.float32)
        threshold[inner] = bins.threshold(self.feature[split], self.bins[split])
        right = np.zeros(len(order), dtype=np.int32)
        right[inner] = place[self.left[split] + 1]
        weight, on = self.sums[:, 1:2], self.sums[:, 2:]
        shares = on / np.where(weight > 0, weight, 1.0)
        impurity = on * (1.0 - shares)
        left = self.left[split]
        gains = measure_splits(
            self.feature[split], impurity[split], impurity[left], impurity[left + 1]
        )
        return TreeNodes(
            feature=self.feature[order],
            threshold=threshold,
            right=right,
            values=shares[order[~inner]],
            gains=gains,
        )

    def _preorder(self) -> NDArray[np.int64]:
        """Return the nodes in preorder: by the sizes of the branches, from the leaves up."""
        feature, left = self.feature, self.left
        inner = feature >= 0
        size = np.ones(len(feature), dtype=np.int64)
        levels = [np.flatnonzero(inner & (self.depth == d)) for d in range(self.depth.max() + 1)]
        for level in reversed(levels):
            size[level] += size[left[level]] + size[left[level] + 1]
        place = np.zeros(len(feature), dtype=np.int64)
        for level in levels:
            place[left[level]] = place[level] + 1
            place[left[level] + 1] = place[level] + 1 + size[left[level]]
        return np.argsort(place)
