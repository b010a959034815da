"""Which rows of a batch come to which node of the trees that are being grown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import BinnedRows
from genre_spark.multilabel.fitting.distributed_trees.draws import count_draws
from genre_spark.multilabel.models.forest_walks import make_tree, node_table

__all__ = ["DrawnRows", "Routing", "TreeRoute", "route_rows"]

_SLICE = 16_384  # rows that are walked at a time, as float32


@dataclass(frozen=True)
class TreeRoute:
    """A tree as far as it is grown, and the nodes that rows are wanted of.

    Attributes:
        key: of the tree's draws.
        draws: limits of the draws (`draw_limits`); none where every row is drawn once.
        feature: of each node, -1 where it has no split yet, (tree's nodes,).
        bins: largest bin that goes left, (tree's nodes,).
        left: the left child, whose neighbour is the right one, (tree's nodes,).
        wanted: number of each node among those that are wanted, else -1, (tree's nodes,).
    """

    key: np.uint64
    draws: NDArray[np.uint32]
    feature: NDArray[np.int32]
    bins: NDArray[np.int16]
    left: NDArray[np.int32]
    wanted: NDArray[np.int32]


Routing = list[TreeRoute]


@dataclass(frozen=True)
class DrawnRows:
    """The rows of a batch that a tree draws and that come to a wanted node, sorted by node.

    Attributes:
        rows: positions in the batch, (drawn rows,).
        nodes: number of the wanted node, ascending, (drawn rows,).
        counts: how often each is drawn, >= 1, (drawn rows,).
        weights: of the rows, times how often they are drawn, (drawn rows,).
    """

    rows: NDArray[np.int64]
    nodes: NDArray[np.int64]
    counts: NDArray[np.uint8]
    weights: NDArray[np.float64]


def route_rows(rows: BinnedRows, routing: Routing) -> Iterator[DrawnRows]:
    """Yield the drawn rows of each tree that come to a wanted node."""
    reached = _walk(rows, routing)
    keys, weights = rows.keys, rows.weights
    weighted = weights > 0
    for tree, nodes in zip(routing, reached, strict=True):
        counts = count_draws(keys, tree.key, tree.draws)
        number = tree.wanted[nodes]
        chosen = np.flatnonzero((number >= 0) & (counts > 0) & weighted)
        if not len(chosen):
            continue
        numbers = number[chosen]
        first = int(numbers.min())
        nearby = numbers - first
        # numpy sorts 16-bit numbers by their digits
        small = nearby.astype(np.uint16) if nearby.max() < 2**16 else nearby
        order = np.argsort(small, kind="stable")
        chosen, times = chosen[order], counts[chosen[order]]
        yield DrawnRows(chosen, numbers[order].astype(np.int64), times, weights[chosen] * times)


def _walk(rows: BinnedRows, routing: Routing) -> list[NDArray[np.int32]]:
    """Return the node that each row reaches, per tree, (rows,)."""
    found = [np.zeros(len(rows), dtype=np.int32) for _ in routing]
    deep = [number for number, tree in enumerate(routing) if tree.feature[0] >= 0]
    if not deep:
        return found
    layout = rows.layout
    n_features = layout.bins.n_features
    zero = layout.bins.of_zero if layout.sparse else None
    trees = []
    for number in deep:
        tree = routing[number]
        inner = tree.feature >= 0
        threshold = tree.bins + np.float64(0.5)
        if zero is not None:
            threshold = threshold - zero[np.where(inner, tree.feature, 0)]
        nodes = node_table(tree.feature, threshold, tree.left, tree.left + 1)
        trees.append(make_tree(nodes, n_features))
    sparse = rows.offsets() if layout.sparse else None
    for start in range(0, len(rows), _SLICE):
        part = slice(start, start + _SLICE)
        inputs = rows.rows["bins"][part].astype(np.float32) if sparse is None else sparse[part]
        for number, tree in zip(deep, trees, strict=True):
            found[number][part] = tree.apply(inputs)
    return found
