"""Grow a forest level by level over the partitions of a table of binned rows.

The driver holds the trees and asks Spark for the best splits of a group of nodes at a time. Every
task adds up the histograms of its rows; they are shuffled by node, added, and searched by other
tasks, so that one split per node comes back. A group has as many nodes as histograms fit a task:
memory depends on neither rows nor nodes. Spark ML grows its forests of one label like that
(RandomForest.scala; Panda et al., PLANET, 2009); here a bin holds the sums of all labels at once.

A child's histogram does not follow from its parent's and its sibling's, as in boosting: every node
of a forest compares other features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import RowLayout
from genre_spark.multilabel.fitting.distributed_trees.draws import draw_limits, mix, number_rows
from genre_spark.multilabel.fitting.distributed_trees.histograms import (
    HISTOGRAM_SCHEMA,
    HistogramTask,
    node_bytes,
)
from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings
from genre_spark.multilabel.fitting.distributed_trees.split_search import (
    SPLIT_SCHEMA,
    SplitTask,
    split_type,
)
from genre_spark.multilabel.fitting.distributed_trees.trees import (
    GrowingTree,
    choose_candidates,
    tree_key,
)
from genre_spark.multilabel.fitting.distributed_trees.walks import Routing
from genre_spark.workers.tasks import short_task

__all__ = ["BinnedTable", "Nodes", "grow_levels"]

_GROUP = 2**27  # bytes of the histograms of a group of nodes, in one task
_BUCKET = 2**19  # bytes of the histograms that travel in one record
_SEARCHED = 2**26  # bytes of histograms that one task adds and searches
_WHOLE = 2**24  # float32 holds every whole number up to here
_ROUNDING = 1e-12  # of the weight of all rows: what rounding may take from a decrease of impurity


@dataclass(frozen=True)
class BinnedTable:
    """The training data.

    Attributes:
        data: of `bin_table`, kept.
        layout: what a row has.
        n_rows: number of rows.
        row_bytes: of a row, in the mean.
        weighted: whether rows have weights.
        partitions: of the data.
    """

    data: DataFrame
    layout: RowLayout
    n_rows: int
    row_bytes: float
    weighted: bool
    partitions: int


@dataclass(frozen=True)
class Nodes:
    """Nodes of several trees.

    Attributes:
        trees: number of each node's tree, (nodes,).
        nodes: of each in its tree, (nodes,).
        tries: how often each was searched without finding a split, (nodes,).
    """

    trees: NDArray[np.int64]
    nodes: NDArray[np.int64]
    tries: NDArray[np.int64]

    @classmethod
    def of_tree(cls, tree: int, nodes: NDArray[np.integer]) -> Nodes:
        """Return nodes of one tree that were not searched yet."""
        return cls(
            np.full(len(nodes), tree), np.asarray(nodes, np.int64), np.zeros(len(nodes), np.int64)
        )

    @classmethod
    def join(cls, parts: list[Nodes]) -> Nodes:
        """Return all of them, ordered by tree."""
        columns = [[part.trees, part.nodes, part.tries] for part in parts]
        trees, nodes, tries = (np.concatenate(column) for column in zip(*columns, strict=True))
        order = np.argsort(trees, kind="stable")
        return cls(trees[order], nodes[order], tries[order])

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.nodes)

    def take(self, chosen: Any) -> Nodes:
        """Return some of the nodes."""
        return Nodes(self.trees[chosen], self.nodes[chosen], self.tries[chosen])

    def routing(self, grown: list[GrowingTree], draws: float) -> Routing:
        """Return how rows come to these nodes, which are ordered by tree."""
        limits = draw_limits(draws) if draws else np.zeros(0, np.uint32)
        found, first = [], np.searchsorted(self.trees, np.unique(self.trees))
        for start, nodes in zip(first, np.split(self.nodes, first[1:]), strict=True):
            found.append(grown[self.trees[start]].route(nodes, int(start), limits))
        return found


def grow_levels(
    table: BinnedTable, settings: GrowthSettings, *, small: int
) -> tuple[list[GrowingTree], Nodes]:
    """Grow all trees down to their small nodes.

    Args:
        table: the training data.
        settings: how trees are grown.
        small: nodes of so many rows or fewer are left as they are.

    Returns:
        the trees, and the small nodes that may have splits.
    """
    n_labels = table.layout.n_labels
    trees = [GrowingTree(tree_key(settings.seed, k), n_labels) for k in range(settings.trees)]
    roots = Nodes.join(
        [Nodes.of_tree(number, np.zeros(1, np.int64)) for number in range(len(trees))]
    )
    if table.n_rows <= small:
        return trees, roots
    whole = not table.weighted and table.n_rows * max(1.0, settings.draws) * 1.5 < _WHOLE
    room = max(1, _GROUP // node_bytes(settings.candidates, table.layout, single=whole))
    waiting, left = [roots], []
    while sum(map(len, waiting)):
        every = Nodes.join(waiting)
        group, waiting = every.take(slice(0, room)), [every.take(slice(room, None))]
        features = _candidates(group, trees, table.layout, settings)
        found = _search(table, settings, group, trees, features, single=whole)
        for number in np.unique(group.trees):
            mine = np.flatnonzero(group.trees == number)
            again, children = _apply(
                trees[number], group.take(mine), features[mine], found[mine], settings
            )
            waiting.append(again)
            rows = trees[number].sums[children, 0]
            waiting.append(Nodes.of_tree(number, children[rows > small]))
            left.append(Nodes.of_tree(number, children[rows <= small]))
    return trees, Nodes.join(left)


def _candidates(
    group: Nodes, trees: list[GrowingTree], layout: RowLayout, settings: GrowthSettings
) -> NDArray[np.int32]:
    keys = _keys(group, trees)
    return choose_candidates(keys, group.tries, layout.bins.n_features, settings.candidates)


def _keys(group: Nodes, trees: list[GrowingTree]) -> NDArray[np.uint64]:
    found = [trees[tree].keys[node] for tree, node in zip(group.trees, group.nodes, strict=True)]
    return np.array(found, dtype=np.uint64)


def _search(
    table: BinnedTable,
    settings: GrowthSettings,
    group: Nodes,
    trees: list[GrowingTree],
    features: NDArray[np.int32],
    *,
    single: bool,
) -> NDArray[Any]:
    """Return the best split of each node of a group, of `split_type`, (nodes,)."""
    layout = table.layout
    each = node_bytes(settings.candidates, layout, single=single)
    per_bucket = max(1, _BUCKET // each)
    adding = HistogramTask(
        layout, group.routing(trees, settings.draws), features, per_bucket, single
    )
    cuts = None
    if settings.random_cuts:
        salts = number_rows(layout.bins.n_features, salt=5)[features]
        cuts = (mix(_keys(group, trees)[:, None] ^ salts) >> np.uint64(40)) / np.float32(2**24)
    shape = (features.shape[1], layout.bins.width, layout.n_labels + 2)
    searching = SplitTask(settings, shape, len(group), per_bucket, single, cuts)
    buckets = math.ceil(len(group) / per_bucket)
    least = math.ceil(len(group) * each * table.partitions / _SEARCHED)
    tasks = min(buckets, max(least, table.partitions))
    sums = table.data.mapInArrow(short_task(adding.run), HISTOGRAM_SCHEMA)
    splits = sums.repartition(tasks, "bucket").mapInArrow(short_task(searching.run), SPLIT_SCHEMA)
    kind = split_type(layout.n_labels)
    found = np.zeros(len(group), dtype=kind)
    found["candidate"] = -1
    for row in splits.collect():
        start = row["bucket"] * per_bucket
        part = np.frombuffer(bytes(row["splits"]), kind)
        found[start : start + len(part)] = part
    return found


def _apply(
    tree: GrowingTree,
    group: Nodes,
    features: NDArray[np.int32],
    found: NDArray[Any],
    settings: GrowthSettings,
) -> tuple[Nodes, NDArray[np.int64]]:
    """Split the nodes of a tree.

    Returns:
        the nodes to search again, and the children that may have splits.
    """
    nodes = group.nodes
    if nodes[0] == 0:
        tree.sums[0] = found["left"][0] + found["right"][0]
        if tree.sums[0, 1] == 0 and not tree.whole:
            tree.whole = True  # it draws no row of any weight: it takes every row once
            return group, np.zeros(0, dtype=np.int64)
    n_labels = tree.n_labels
    scale = (1.0 if settings.entropy else 2.0) / (n_labels * max(tree.sums[0, 1], 1e-300))
    enough = found["gain"] * scale >= settings.min_decrease - _ROUNDING
    wanted = tree.may_split(nodes, settings)
    splits = np.flatnonzero(wanted & enough & (found["candidate"] >= 0))
    # as scikit-learn, look at more features where none of the candidates divides the rows
    more = (group.tries + 1) * settings.candidates < settings.features
    again = group.take(wanted & (found["candidate"] < 0) & more)
    again = Nodes(again.trees, again.nodes, again.tries + 1)
    if not len(splits):
        return again, np.zeros(0, dtype=np.int64)
    chosen = features[splits, found["candidate"][splits]]
    children = tree.split(nodes[splits], chosen, found[splits])
    return again, children[tree.may_split(children, settings)]
