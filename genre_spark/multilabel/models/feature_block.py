"""A block of rows on its way through many scorers, which share each conversion of its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from genre_spark.multilabel.models.threshold_grid import ThresholdGrid

__all__ = ["FeatureBlock"]


class FeatureBlock:
    """Features of some rows, with room for label columns behind them.

    Chains append predicted labels to the features; the room for them is part of the block from the
    start, so that a link sees its inputs as a view and nothing is copied.

    Args:
        features: (rows, features).
        room: number of label columns.

    Attributes:
        n_rows: number of rows.
        n_features: number of features, without the label columns.
    """

    def __init__(self, features: NDArray[np.floating], room: int = 0) -> None:
        self.n_rows, self.n_features = features.shape
        self._room = room
        self._base = features
        self._double: NDArray[np.float64] | None = None
        self._single: NDArray[np.float32] | None = None
        self._ranks: dict[int, tuple[ThresholdGrid, NDArray[Any]]] = {}
        self._single_ranks: dict[int, NDArray[np.float32]] = {}

    def double(self, width: int | None = None) -> NDArray[np.float64]:
        """Return the first `width` columns as float64, a view."""
        if self._double is None:
            if self._room == 0:
                self._double = np.asarray(self._base, dtype=np.float64)
            else:
                self._double = np.zeros((self.n_rows, self.n_features + self._room))
                self._double[:, : self.n_features] = self._base
        return self._double[:, : self.n_features if width is None else width]

    def single(self, width: int | None = None) -> NDArray[np.float32]:
        """Return the first `width` columns as float32, a view."""
        if self._single is None:
            self._single = np.zeros((self.n_rows, self.n_features + self._room), dtype=np.float32)
            self._single[:, : self.n_features] = self._base
        return self._single[:, : self.n_features if width is None else width]

    def ranks(self, grid: ThresholdGrid) -> NDArray[Any]:
        """Return the ranks of the features among the grid's thresholds, (grid columns, rows)."""
        found = self._ranks.get(id(grid))
        if found is None:
            ranks = np.zeros((grid.n_columns, self.n_rows), dtype=grid.kind)
            width = min(self.n_features + self._room, grid.n_features)
            features = np.ascontiguousarray(self.double(width).T)
            for column, values in enumerate(features):
                grid.rank(ranks, column, values)
            found = self._ranks[id(grid)] = (grid, ranks)
        return found[1]

    def single_ranks(self, grid: ThresholdGrid) -> NDArray[np.float32]:
        """Return the ranks as float32, (rows, grid columns)."""
        found = self._single_ranks.get(id(grid))
        if found is None:
            found = self._single_ranks[id(grid)] = np.ascontiguousarray(
                self.ranks(grid).T, dtype=np.float32
            )
        return found

    def append(self, position: int, column: NDArray[np.floating]) -> None:
        """Write a label column to the room behind the features, `position` 0 being the first."""
        index = self.n_features + position
        self.double()
        self.single()
        for matrix in (self._double, self._single):
            if matrix is not None:
                matrix[:, index] = column
        for grid, ranks in self._ranks.values():
            if index < grid.n_features:
                grid.rank(ranks, index, np.asarray(column, dtype=np.float64))
        for key, matrix in self._single_ranks.items():
            matrix[:, index : index + 1] = self._ranks[key][1][index : index + 1].T
