"""Features as the numbers of their bins, between thresholds at the quantiles of a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

__all__ = ["Bins", "find_bins"]


@dataclass(frozen=True)
class Bins:
    """The thresholds of all features, one feature's after the other's.

    A value is in the bin whose number is how many thresholds are below it; NaN is above all. A row
    goes left of a split at threshold k where its bin is k or a smaller one.

    Attributes:
        thresholds: ascending within a feature, float32.
        starts: position of each feature's first threshold, (features + 1,).
        with_missing: whether NaN has a bin of its own, above the feature's others.
    """

    thresholds: NDArray[np.float32]
    starts: NDArray[np.int64]
    with_missing: bool = False

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.starts) - 1

    @cached_property
    def width(self) -> int:
        """Number of bins of the feature with the most."""
        return int(np.diff(self.starts).max(initial=0)) + 1 + self.with_missing

    @cached_property
    def of_zero(self) -> NDArray[np.uint8]:
        """The bin of 0, (features,): that of the features which sparse rows do not store."""
        return np.array(
            [np.searchsorted(self._of(feature), np.float32(0)) for feature in self._every],
            dtype=np.uint8,
        )

    def dense(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the bins of rows, (rows, features)."""
        found = np.empty(features.shape, dtype=np.uint8)
        for feature in self._every:
            found[:, feature] = self._bins_of(feature, np.ascontiguousarray(features[:, feature]))
        return found

    def stored(self, features: csr_matrix) -> NDArray[np.uint8]:
        """Return the bins of the values that sparse rows store, (values,)."""
        found = np.empty(len(features.data), dtype=np.uint8)
        order = np.argsort(features.indices, kind="stable")
        columns = features.indices[order]
        values = features.data[order]
        present, first = np.unique(columns, return_index=True)
        for feature, start, end in zip(present, first, [*first[1:], len(columns)], strict=True):
            found[order[start:end]] = self._bins_of(feature, values[start:end])
        return found

    def threshold(
        self, features: NDArray[np.integer], bins: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Return the largest value that is in these bins or in smaller ones, per split."""
        place = self.starts[features] + bins
        inside = place < self.starts[features + 1]
        above = np.float32(np.inf)  # all numbers go left, NaN goes right
        padded = np.append(self.thresholds, above)
        return np.where(inside, padded[np.where(inside, place, -1)], above)

    @property
    def _every(self) -> range:
        return range(self.n_features)

    def _of(self, feature: int) -> NDArray[np.float32]:
        return self.thresholds[self.starts[feature] : self.starts[feature + 1]]

    def _bins_of(self, feature: int, values: NDArray[np.float32]) -> NDArray[np.integer]:
        thresholds = self._of(feature)
        found = np.searchsorted(thresholds, values)
        if self.with_missing:
            found[np.isnan(values)] = len(thresholds) + 1
        return found


def find_bins(
    sample: NDArray[np.float32] | csr_matrix, max_bins: int, *, with_missing: bool = False
) -> Bins:
    """Return thresholds between equally frequent bins of the sample's values.

    Where a feature has no more than `max_bins` values, its thresholds are midway between them, as
    scikit-learn's; where it has more, at quantiles, as Spark ML's.

    Args:
        sample: rows, (rows, features).
        max_bins: most bins of a feature, NaN's among them, 2..256.
        with_missing: whether there may be NaN.
    """
    most = max_bins - 1 - with_missing
    found = [_thresholds(values, counts, most) for values, counts in _each_feature(sample)]
    starts = np.cumsum([0, *map(len, found)], dtype=np.int64)
    return Bins(np.concatenate([*found, np.zeros(0, np.float32)]), starts, with_missing)


def _each_feature(
    sample: NDArray[np.float32] | csr_matrix,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield the distinct values of each feature and how often they occur."""
    by_column = sample.tocsc() if isinstance(sample, csr_matrix) else None
    for feature in range(sample.shape[1]):
        if by_column is None:
            column = sample[:, feature] + np.float32(0)
        else:
            column = by_column.data[by_column.indptr[feature] : by_column.indptr[feature + 1]]
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        missing = sample.shape[0] - len(column)
        if missing:
            place = int(np.searchsorted(values, 0))
            if place < len(values) and values[place] == 0:
                counts[place] += missing
            else:
                values, counts = np.insert(values, place, 0), np.insert(counts, place, missing)
        yield values, counts


def _thresholds(
    values: NDArray[np.float32], counts: NDArray[np.int64], most: int
) -> NDArray[np.float32]:
    """Return at most `most` thresholds between distinct values."""
    if len(values) <= 1:
        return np.zeros(0, dtype=np.float32)
    lower = np.arange(len(values) - 1)
    if len(lower) > most:
        below = np.cumsum(counts)
        wanted = below[-1] * np.arange(1, most + 1) / (most + 1)
        lower = np.unique(np.searchsorted(below, wanted))
        lower = lower[lower < len(values) - 1]
    middle = (values[lower].astype(np.float64) + values[lower + 1].astype(np.float64)) / 2
    single = middle.astype(np.float32)
    # a midpoint that float32 does not hold is the value above it: keep that one out
    return np.where(single < values[lower + 1], single, values[lower])
