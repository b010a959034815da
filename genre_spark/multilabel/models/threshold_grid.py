"""Thresholds fitted on doubles as ranks: small integers that compare exactly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.models.forest_arrays import LEAF, ForestArrays

__all__ = ["ThresholdGrid"]


class ThresholdGrid:
    """The thresholds of each feature and the category sets of some forests.

    What a forest knows of a feature's value is its rank among them.

    Attributes:
        n_features: number of features; category sets are columns behind them.
        kind: integer type that holds every rank.
    """

    def __init__(self, forests: Sequence[ForestArrays]) -> None:
        self.n_features = max((arrays.n_features for arrays in forests), default=0)
        self._sets: dict[tuple[int, tuple[float, ...]], int] = {}
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

    @property
    def n_columns(self) -> int:
        """Number of features and category sets."""
        return self.n_features + len(self._sets)

    def node_tests(self, arrays: ForestArrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each node the column that it compares and a rank.

        A row goes left where its own rank in that column is not above.
        """
        column = arrays.feature.astype(np.int64)
        rank = np.zeros(len(arrays.feature), dtype=np.int64)
        for feature, thresholds in self._thresholds.items():
            at = arrays.feature == feature
            if feature < arrays.n_features and at.any():
                rank[at] = np.searchsorted(thresholds, arrays.threshold[at])
        for number, key in enumerate(_category_sets(arrays)):
            column[arrays.feature == arrays.n_features + number] = self.n_features + self._sets[key]
        return column, rank

    def rank(self, ranks: NDArray[Any], column: int, values: NDArray[np.float64]) -> None:
        """Write the ranks of a feature's values.

        They are the number of thresholds below, and 1 outside each category set.
        """
        thresholds = self._thresholds.get(column)
        if thresholds is not None:
            ranks[column] = np.searchsorted(thresholds, values, side="left")
        for (feature, members), number in self._sets.items():
            if feature == column:
                ranks[self.n_features + number] = ~np.isin(values, members)


def _category_sets(arrays: ForestArrays) -> list[tuple[int, tuple[float, ...]]]:
    splits = arrays.categories
    if splits is None:
        return []
    bounds = pairwise(splits.starts)
    return [
        (int(feature), tuple(splits.members[first:last].tolist()))
        for feature, (first, last) in zip(splits.feature, bounds, strict=True)
    ]
