"""A forest of all labels, grown by Spark tasks none of which needs more than a part of the rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from sklearn.base import clone

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import BINNED_SCHEMA
from genre_spark.multilabel.fitting.distributed_trees.growing import (
    BinnedTable,
    Nodes,
    grow_levels,
)
from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings
from genre_spark.multilabel.fitting.distributed_trees.subtrees import (
    SUBTREE_SCHEMA,
    RowsOfNodes,
    SubtreeTask,
    subtree_type,
)
from genre_spark.multilabel.fitting.distributed_trees.table import (
    bin_table,
    choose_layout,
    count_partitions,
    row_bytes,
)
from genre_spark.multilabel.fitting.distributed_trees.trees import GrowingTree
from genre_spark.multilabel.fitting.statistics import RowCheck, TrainingStatistics
from genre_spark.multilabel.models.forests import ForestArrays, ForestScorer
from genre_spark.spark.session import count_task_slots
from genre_spark.storage.caching import cached
from genre_spark.workers.spreading import partition_keys
from genre_spark.workers.tasks import short_task

__all__ = ["fit_distributed"]

_SMALL = 1_000  # rows of a node up to which one task finishes it
_FINISHED = 2**25  # bytes of rows that one task takes to finish nodes
_SENT = 2**31  # bytes of rows that are shuffled at a time to finish nodes


def fit_distributed(
    training: DataFrame,
    check: RowCheck,
    forest: Any,
    statistics: TrainingStatistics,
    *,
    seed: int,
    max_bins: int,
    weighted: bool,
) -> tuple[ForestScorer, list[int]]:
    """Grow a forest level by level.

    The same rows, settings and seed give the same forest whatever the partitions and the cluster.

    Args:
        training: of `training_rows`.
        check: how rows are checked.
        forest: scikit-learn's RandomForestClassifier or ExtraTreesClassifier, not fitted.
        statistics: of the training data.
        seed: seed of the forest.
        max_bins: most bins per feature, 2..256.
        weighted: whether rows have weights.

    Returns:
        the forest, and the numbers of the trees that take every row, as they draw none.
    """
    settings = GrowthSettings.of_forest(forest, statistics, seed)
    layout = choose_layout(training, check, statistics, max_bins=max_bins)
    slots = count_task_slots(training.sparkSession)
    partitions = count_partitions(layout, statistics, slots)
    rows = bin_table(training, check, layout, statistics, partitions=partitions)
    with cached(rows) as data:
        size = row_bytes(layout, statistics)
        table = BinnedTable(data, layout, statistics.n_rows, size, weighted, partitions)
        trees, small = grow_levels(table, settings, small=_SMALL)
        _finish(table, settings, trees, small, forest)
    nodes = [tree.to_nodes(layout.bins) for tree in trees]
    arrays = ForestArrays.from_trees(nodes, statistics.n_features)
    scorer = ForestScorer(arrays, n_classes=statistics.n_labels)
    return scorer, [number for number, tree in enumerate(trees) if tree.whole]


def _finish(
    table: BinnedTable,
    settings: GrowthSettings,
    trees: list[GrowingTree],
    small: Nodes,
    forest: Any,
) -> None:
    """Grow the small nodes, those of some trees at a time."""
    if not len(small):
        return
    rows = np.array(
        [trees[t].sums[n, 0] or table.n_rows for t, n in zip(small.trees, small.nodes, strict=True)]
    )
    part = (np.cumsum(rows * table.row_bytes) // _SENT).astype(np.int64)
    for number in np.unique(part):
        mine = np.flatnonzero(part == number)
        _finish_group(table, settings, trees, small.take(mine), rows[mine], forest)
    empty = [k for k, tree in enumerate(trees) if not tree.sums[0, 1] and not tree.whole]
    for number in empty:
        trees[number].whole = True  # it draws no row of any weight: it takes every row once
    again = small.take(np.isin(small.trees, empty))
    _finish(table, settings, trees, again, forest)


def _finish_group(
    table: BinnedTable,
    settings: GrowthSettings,
    trees: list[GrowingTree],
    small: Nodes,
    rows: np.ndarray[Any, np.dtype[np.float64]],
    forest: Any,
) -> None:
    total = float(rows.sum()) * table.row_bytes
    tasks = min(len(small), max(math.ceil(total / _FINISHED), table.partitions))
    share = np.minimum((np.cumsum(rows) - rows) * tasks // rows.sum(), tasks - 1).astype(np.int64)
    sending = RowsOfNodes(
        table.layout, small.routing(trees, settings.draws), partition_keys(tasks)[share]
    )
    pairs = list(zip(small.trees, small.nodes, strict=True))
    names = [name for name in forest.estimator_params if name != "random_state"]
    tree = clone(forest.estimator).set_params(**{name: getattr(forest, name) for name in names})
    growing = SubtreeTask(
        tree,
        settings,
        table.layout,
        np.array([int(trees[t].keys[n] >> np.uint64(33)) for t, n in pairs]),
        np.array([trees[t].depth[n] for t, n in pairs]),
        np.array([trees[t].sums[0, 1] for t, _ in pairs]),
    )
    sent = table.data.mapInArrow(short_task(sending.run), BINNED_SCHEMA)
    grown = sent.repartition(tasks, "place").mapInArrow(short_task(growing.run), SUBTREE_SCHEMA)
    kind = subtree_type(table.layout.n_labels)
    found = {row["node"]: np.frombuffer(bytes(row["subtree"]), kind) for row in grown.collect()}
    for number in np.unique(small.trees):
        mine = [k for k in np.flatnonzero(small.trees == number) if k in found]
        if mine:
            trees[number].graft(small.nodes[mine], [found[k] for k in mine])
