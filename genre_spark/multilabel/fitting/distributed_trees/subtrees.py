"""Finish small nodes by scikit-learn: each node's rows come to one task, as in PLANET.

Deep nodes have few rows, and there are many of them: growing such a node by itself costs less than
a histogram in every task. Features stay bins, so that thresholds are those of the other nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.base import clone
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import BinnedRows, RowLayout
from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings
from genre_spark.multilabel.fitting.distributed_trees.walks import Routing, route_rows
from genre_spark.multilabel.models.from_sklearn import label_shares

__all__ = ["SUBTREE_SCHEMA", "RowsOfNodes", "SubtreeTask", "subtree_type"]

SUBTREE_SCHEMA = "node int, subtree binary"


def subtree_type(n_labels: int) -> np.dtype[Any]:
    """Return the type of a node of a subtree, breadth first; `left` counts from its root."""
    return np.dtype(
        [
            ("feature", "<i4"),
            ("bin", "<i2"),
            ("left", "<i4"),
            ("depth", "<i4"),
            ("sums", "<f8", (n_labels + 2,)),
        ]
    )


@dataclass(frozen=True)
class RowsOfNodes:
    """Sends the drawn rows of small nodes to the tasks that finish them.

    Attributes:
        layout: what a row has.
        routing: which rows come to which of the nodes.
        places: number of each node's task, ascending, (nodes,).
    """

    layout: RowLayout
    routing: Routing
    places: NDArray[np.int32]

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield records of BINNED_SCHEMA, with the node as key and the drawn weight as weight."""
        for batch in batches:
            if not batch.num_rows:
                continue
            rows = self.layout.from_batch(batch)
            for drawn in route_rows(rows, self.routing):
                sent = rows.take(drawn.rows)
                sent.rows["key"], sent.rows["weight"] = drawn.nodes, drawn.weights
                yield from sent.to_batches(self.places[drawn.nodes])


@dataclass(frozen=True)
class SubtreeTask:
    """Grows the nodes of one Spark task.

    Attributes:
        tree: scikit-learn's tree, not fitted, with the forest's settings.
        settings: how trees are grown.
        layout: what a row has.
        seeds: random state of each node, (nodes,).
        depths: number of splits above each node, (nodes,).
        tree_weights: weight of all drawn rows of each node's tree, (nodes,).
    """

    tree: Any
    settings: GrowthSettings
    layout: RowLayout
    seeds: NDArray[np.int64]
    depths: NDArray[np.int32]
    tree_weights: NDArray[np.float64]

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield a record of SUBTREE_SCHEMA per node."""
        parts = [self.layout.from_batch(batch) for batch in batches if batch.num_rows]
        if not parts:
            return
        rows = _join(parts)
        del parts
        order = np.argsort(rows.keys, kind="stable")
        keys = rows.keys[order].astype(np.int64)
        first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        numbers, found = keys[first], []
        with threadpool_limits(1):  # a task has one core
            for number, chosen in zip(numbers, np.split(order, first[1:]), strict=True):
                found.append(self._grow(int(number), rows.take(chosen)).tobytes())
        columns = [pa.array(numbers, pa.int32()), pa.array(found, pa.binary())]
        yield pa.RecordBatch.from_arrays(columns, names=["node", "subtree"])

    def _grow(self, number: int, rows: BinnedRows) -> NDArray[Any]:
        """Return the subtree of a node, of `subtree_type`."""
        labels, weights = rows.labels(), rows.weights
        weight = float(weights.sum())
        if self.settings.min_leaf_weight > weight / 2:
            return _leaf(labels, weights)
        depth = self.settings.max_depth - int(self.depths[number])
        whole = float(self.tree_weights[number]) or weight  # of a root: not known before
        tree = clone(self.tree).set_params(
            max_depth=min(depth, 2**31 - 1),
            min_samples_split=self.settings.min_split,
            min_samples_leaf=self.settings.min_leaf,
            min_weight_fraction_leaf=self.settings.min_leaf_weight / weight,
            min_impurity_decrease=self.settings.min_decrease * whole / weight,
            max_features=self.settings.candidates,
            random_state=int(self.seeds[number]),
        )
        fitted = tree.fit(_inputs(rows), labels, sample_weight=weights, check_input=False)
        return _breadth_first(fitted, self.layout)


def _join(parts: list[BinnedRows]) -> BinnedRows:
    rows = np.concatenate([part.rows for part in parts])
    columns = [part.columns for part in parts if part.columns is not None]
    bins = [part.stored_bins for part in parts if part.stored_bins is not None]
    if not columns:
        return BinnedRows(parts[0].layout, rows)
    return BinnedRows(parts[0].layout, rows, np.concatenate(columns), np.concatenate(bins))


def _inputs(rows: BinnedRows) -> NDArray[np.float32] | csr_matrix:
    """Return the features of rows: bins, or how far those of sparse rows are from the bin of 0."""
    if not rows.layout.sparse:
        return np.ascontiguousarray(rows.rows["bins"], dtype=np.float32)
    inputs = csc_matrix(rows.offsets())
    inputs.eliminate_zeros()
    inputs.sort_indices()
    return inputs


def _leaf(labels: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[Any]:
    found = np.zeros(1, dtype=subtree_type(labels.shape[1]))
    found["feature"] = -1
    found["sums"][0] = np.concatenate([[len(weights), weights.sum()], weights @ labels])
    return found


def _breadth_first(fitted: Any, layout: RowLayout) -> NDArray[Any]:
    """Return the nodes of a fitted tree, right children behind left ones."""
    tree = fitted.tree_
    order, depths = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    while len(level := order[-1][tree.children_left[order[-1]] >= 0]):
        children = np.column_stack([tree.children_left[level], tree.children_right[level]])
        order.append(children.ravel())
        depths.append(np.full(2 * len(level), len(depths)))
    nodes = np.concatenate(order)
    found = np.zeros(len(nodes), dtype=subtree_type(layout.n_labels))
    inner = tree.children_left[nodes] >= 0
    feature, threshold = tree.feature[nodes], tree.threshold[nodes]
    if layout.sparse:
        threshold = threshold + layout.bins.of_zero[np.where(inner, feature, 0)]
    found["feature"] = np.where(inner, feature, -1)
    found["bin"] = np.where(inner, np.floor(threshold), 0)
    found["left"][inner] = 1 + 2 * np.arange(int(inner.sum()))
    found["depth"] = np.concatenate(depths)
    weight = tree.weighted_n_node_samples[nodes]
    found["sums"][:, 0], found["sums"][:, 1] = tree.n_node_samples[nodes], weight
    found["sums"][:, 2:] = label_shares(fitted)[nodes] * weight[:, None]
    return found
