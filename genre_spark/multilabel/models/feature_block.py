"""A block of rows on its way through many scorers, which share each conversion of its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, hstack, issparse

if TYPE_CHECKING:
    from genre_spark.multilabel.models.threshold_grid import ThresholdGrid

__all__ = ["FeatureBlock"]


class FeatureBlock:
    """Features of some rows, with room for label columns behind them.

    Chains append predicted labels to the features; the room for them is part of the block from the
    start, so that a link sees its inputs as a view and nothing is copied. Sparse features stay
    sparse as long as no scorer asks for all of them as a dense matrix.

    Args:
        features: (rows, features), dense or csr.
        room: number of label columns.

    Attributes:
        n_rows: number of rows.
        n_features: number of features, without the label columns.
        is_sparse: whether the features are sparse.
    """

    def __init__(self, features: NDArray[np.floating] | csr_matrix, room: int = 0) -> None:
        self.n_rows, self.n_features = int(features.shape[0]), int(features.shape[1])
        self.is_sparse = bool(issparse(features))
        self._room = room
        self._base: Any = features
        self._links = np.zeros((self.n_rows, room))
        self._columns: csc_matrix | None = None
        self._double: NDArray[np.float64] | None = None
        self._single: NDArray[np.float32] | None = None
        self._ranks: dict[int, tuple[ThresholdGrid, NDArray[Any]]] = {}
        self._single_ranks: dict[int, NDArray[np.float32]] = {}

    def double(self, width: int | None = None) -> NDArray[np.float64]:
        """Return the first `width` columns as a dense matrix of float64, a view."""
        if self._double is None:
            if self._room == 0 and not self.is_sparse:
                self._double = np.asarray(self._base, dtype=np.float64)
            else:
                self._double = self._filled(np.float64)
        return self._double[:, : self.n_features if width is None else width]

    def single(self, width: int | None = None) -> NDArray[np.float32]:
        """Return the first `width` columns as a dense matrix of float32, a view."""
        if self._single is None:
            self._single = self._filled(np.float32)
        return self._single[:, : self.n_features if width is None else width]

    def _filled(self, kind: type[np.floating]) -> NDArray[Any]:
        filled = np.zeros((self.n_rows, self.n_features + self._room), dtype=kind)
        with np.errstate(over="ignore"):  # beyond float32 is infinite there
            filled[:, : self.n_features] = self._base.toarray() if self.is_sparse else self._base
        filled[:, self.n_features :] = self._links
        return filled

    def sparse(self, width: int) -> csr_matrix:
        """Return the first `width` columns of a block with sparse features."""
        links = width - self.n_features
        return hstack([self._base, self._links[:, :links]], format="csr") if links else self._base

    def some_columns(self, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return some columns, sorted, of a block with sparse features as a dense matrix."""
        if self._columns is None:
            self._columns = self._base.tocsc()
        known = columns[columns < self.n_features]
        dense = self._columns[:, known].toarray()
        links = columns[len(known) :] - self.n_features
        return np.hstack([dense, self._links[:, links]]) if len(links) else np.asarray(dense)

    def ranks(self, grid: ThresholdGrid) -> NDArray[Any]:
        """Return the ranks of the features among the grid's thresholds, (grid columns, rows)."""
        found = self._ranks.get(id(grid))
        if found is None:
            ranks = np.zeros((grid.n_columns, self.n_rows), dtype=grid.kind)
            used = grid.features[grid.features < self.n_features + self._room]
            if self.is_sparse:
                columns, places = np.ascontiguousarray(self.some_columns(used).T), range(len(used))
            else:
                width = int(used.max(initial=-1)) + 1
                columns, places = np.ascontiguousarray(self.double(width).T), used.tolist()
            for feature, place in zip(used.tolist(), places, strict=True):
                grid.rank(ranks, feature, columns[place])
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
        self._links[:, position] = column
        for matrix in (self._double, self._single):
            if matrix is not None:
                matrix[:, index] = column
        for grid, ranks in self._ranks.values():
            grid.rank(ranks, index, np.asarray(column, dtype=np.float64))
        for key, matrix in self._single_ranks.items():
            grid, ranks = self._ranks[key]
            for row in grid.columns_of(index):
                matrix[:, row] = ranks[row]
