"""Thresholds fitted on doubles as ranks: small integers that compare exactly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.models.forest_arrays import LEAF, ForestArrays

__all__ = ["ThresholdGrid"]

_Set = tuple[int, tuple[float, ...], bool]  # feature, categories, whether all others go left


class ThresholdGrid:
    """The thresholds of each feature and the category sets of some forests.

    What a forest knows of a feature's value is its rank among them.

    Attributes:
        features: those that the forests compare, sorted.
        n_columns: number of columns of ranks: one per feature with thresholds, one per category
            set behind them, at least one.
        kind: integer type that holds every rank.
    """

    def __init__(self, forests: Sequence[ForestArrays]) -> None:
        self._sets: dict[_Set, int] = {}
        pairs = []
        for arrays in forests:
            used = (arrays.feature != LEAF) & (arrays.feature < arrays.n_features)
            pair = np.zeros(
                int(used.sum()), dtype=[("feature", np.int64), ("threshold", np.float64)]
            )
            pair["feature"], pair["threshold"] = arrays.feature[used], arrays.threshold[used]
            pairs.append(np.unique(pair))
            for key in _category_sets(arrays):
                self._sets.setdefault(key, len(self._sets))
        merged = (
            np.unique(np.concatenate(pairs))
            if pairs
            else np.zeros(0, dtype=[("feature", int), ("threshold", float)])
        )
        cuts = np.flatnonzero(np.diff(merged["feature"], prepend=-1, append=-1))
        self._thresholds = {
            int(merged["feature"][a]): merged["threshold"][a:b] for a, b in pairwise(cuts)
        }
        most = max((len(thresholds) for thresholds in self._thresholds.values()), default=0)
        self.kind: Any = np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.int32
        self._columns = {feature: column for column, feature in enumerate(self._thresholds)}
        self.features = np.unique(
            np.array([*self._thresholds, *(found[0] for found in self._sets)], dtype=np.int64)
        )
        self.n_columns = max(1, len(self._columns) + len(self._sets))

    def node_tests(self, arrays: ForestArrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each node the column that it compares and a rank.

        A row goes left where its own rank in that column is not above.
        """
        column = np.zeros(len(arrays.feature), dtype=np.int64)
        rank = np.zeros(len(arrays.feature), dtype=np.int64)
        order = np.argsort(arrays.feature, kind="stable")
        compared, starts = np.unique(arrays.feature[order], return_index=True)
        keys = _category_sets(arrays)
        for feature, nodes in zip(compared.tolist(), np.split(order, starts[1:]), strict=True):
            if feature == LEAF:
                continue
            if feature >= arrays.n_features:
                column[nodes] = len(self._columns) + self._sets[keys[feature - arrays.n_features]]
                continue
            column[nodes] = self._columns[feature]
            rank[nodes] = np.searchsorted(self._thresholds[feature], arrays.threshold[nodes])
        return column, rank

    def columns_of(self, feature: int) -> list[int]:
        """Return the columns of ranks that follow from a feature."""
        own = [self._columns[feature]] if feature in self._columns else []
        sets = [number for found, number in self._sets.items() if found[0] == feature]
        return own + [len(self._columns) + number for number in sets]

    def rank(self, ranks: NDArray[Any], feature: int, values: NDArray[np.float64]) -> None:
        """Write the ranks of a feature's values.

        They are the number of thresholds below, and per category set 1 where a row goes right.
        """
        thresholds = self._thresholds.get(feature)
        if thresholds is not None:
            ranks[self._columns[feature]] = np.searchsorted(thresholds, values, side="left")
        for (of_set, members, others_left), number in self._sets.items():
            if of_set == feature:
                ranks[len(self._columns) + number] = np.isin(values, members) == others_left


def _category_sets(arrays: ForestArrays) -> list[_Set]:
    splits = arrays.categories
    if splits is None:
        return []
    others_left = (
        np.zeros(len(splits.feature)) if splits.others_left is None else splits.others_left
    )
    return [
        (int(feature), tuple(splits.members[first:last].tolist()), bool(others))
        for feature, (first, last), others in zip(
            splits.feature, pairwise(splits.starts), others_left, strict=True
        )
    ]
