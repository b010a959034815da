"""Binned rows in Spark: a few tens of rows per record, decoded without touching a single one.

A record is one binary value of fixed-size rows. The values of an Arrow batch lie behind each other,
so that a whole batch is one numpy array at no cost, and Arrow's batches of ten thousand records
stay at some tens of MB. Sparse rows have two more values: the columns that they store, and bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_matrix

from genre_spark.multilabel.fitting.distributed_trees.binning import Bins

__all__ = ["BINNED_SCHEMA", "BinnedRows", "RowLayout"]

BINNED_SCHEMA = "place int, rows binary, columns binary, bins binary"
_NAMES = ["place", "rows", "columns", "bins"]
_RECORD = 3200  # bytes of a record

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class RowLayout:
    """What a stored row has.

    Attributes:
        bins: thresholds of the features.
        n_labels: number of labels.
        sparse: whether rows store the columns whose value is not 0 only.
    """

    bins: Bins
    n_labels: int
    sparse: bool

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of a row."""
        features = ("stored", "<u4") if self.sparse else ("bins", "u1", (self.bins.n_features,))
        labels = ("labels", "u1", ((self.n_labels + 7) // 8,))
        return np.dtype([features, labels, ("key", "<u8"), ("weight", "<f8")])

    @property
    def per_record(self) -> int:
        """Number of rows in a record."""
        return max(1, _RECORD // self.kind.itemsize)

    def bin_rows(
        self,
        features: NDArray[np.float32] | csr_matrix,
        labels: NDArray[np.floating],
        weights: NDArray[np.float64],
        keys: Keys,
    ) -> BinnedRows:
        """Return rows with their features binned."""
        rows = np.zeros(len(keys), dtype=self.kind)
        rows["labels"] = np.packbits(labels.astype(np.uint8), axis=1)
        rows["key"], rows["weight"] = keys, weights
        if not self.sparse:
            dense = features.toarray() if isinstance(features, csr_matrix) else features
            rows["bins"] = self.bins.dense(dense)
            return BinnedRows(self, rows)
        stored = csr_matrix(features)
        rows["stored"] = np.diff(stored.indptr)
        return BinnedRows(self, rows, stored.indices.astype("<i4"), self.bins.stored(stored))

    def from_batch(self, batch: pa.RecordBatch) -> BinnedRows:
        """Return the rows of all records of an Arrow batch, without copying them."""
        rows = _values(batch.column(1)).view(self.kind)
        if not self.sparse:
            return BinnedRows(self, rows)
        return BinnedRows(
            self, rows, _values(batch.column(2)).view("<i4"), _values(batch.column(3))
        )


@dataclass(frozen=True)
class BinnedRows:
    """Rows of a batch.

    Attributes:
        layout: what a row has.
        rows: of the layout's kind, (rows,).
        columns: that sparse rows store, (values,).
        stored_bins: of these columns, (values,).
    """

    layout: RowLayout
    rows: NDArray[Any]
    columns: NDArray[np.int32] | None = None
    stored_bins: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of each sparse row's first value, (rows + 1,)."""
        return np.concatenate([[0], np.cumsum(self.rows["stored"], dtype=np.int64)])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of the rows, (rows,)."""
        return np.ascontiguousarray(self.rows["weight"])

    @property
    def keys(self) -> Keys:
        """Keys of the rows, (rows,)."""
        return np.ascontiguousarray(self.rows["key"])

    def labels(self) -> NDArray[np.uint8]:
        """Return the labels, 0 or 1, (rows, labels)."""
        return np.unpackbits(self.rows["labels"], axis=1, count=self.layout.n_labels)

    def statistics(self, kind: DTypeLike) -> NDArray[np.floating]:
        """Return what each row adds to a node: 1, its weight and its labels' weights.

        Returns:
            (rows, 2 + labels), of a kind of float.
        """
        found = np.empty((len(self), self.layout.n_labels + 2), dtype=kind)
        found[:, 0], found[:, 1] = 1, self.rows["weight"]
        np.multiply(self.labels(), found[:, 1:2], out=found[:, 2:])
        return found

    def flat_bins(self) -> tuple[NDArray[np.uint8], int]:
        """Return the bytes of dense rows, and how many each has: its bins, then others."""
        return self.rows.view(np.uint8), self.layout.kind.itemsize

    def offsets(self) -> csr_matrix:
        """Return how far the bins of sparse rows are from the bin of 0, (rows, features)."""
        zero = self.layout.bins.of_zero[self.columns].astype(np.float32)
        values = self.stored_bins.astype(np.float32) - zero  # type: ignore[union-attr]
        shape = (len(self), self.layout.bins.n_features)
        return csr_matrix((values, self.columns, self.starts), shape=shape)

    def take(self, chosen: NDArray[np.integer]) -> BinnedRows:
        """Return some rows, in this order."""
        rows = self.rows[chosen]
        if self.columns is None or self.stored_bins is None:
            return BinnedRows(self.layout, rows)
        counts, starts = rows["stored"].astype(np.int64), self.starts[:-1][chosen]
        before = np.cumsum(counts) - counts
        places = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
        return BinnedRows(self.layout, rows, self.columns[places], self.stored_bins[places])

    def to_batches(self, places: NDArray[np.integer]) -> Iterator[pa.RecordBatch]:
        """Yield the rows as records of BINNED_SCHEMA.

        Args:
            places: a number per row, equal ones next to each other: a record has one, (rows,).
        """
        if not len(self):
            return
        first = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
        ends = np.append(first[1:], len(places))
        step = self.layout.per_record
        cuts = np.concatenate([np.arange(a, b, step) for a, b in zip(first, ends, strict=True)])
        bounds = np.append(cuts, len(places))
        data = [_binary(self.rows, bounds), _nulls(len(cuts)), _nulls(len(cuts))]
        if self.columns is not None and self.stored_bins is not None:
            values = self.starts[bounds]
            data[1:] = [_binary(self.columns, values), _binary(self.stored_bins, values)]
        numbers = pa.array(places[cuts].astype(np.int32))
        yield pa.RecordBatch.from_arrays([numbers, *data], names=_NAMES)


def _binary(values: NDArray[Any], bounds: NDArray[np.integer]) -> pa.Array:
    """Return the bytes of consecutive parts of an array, one binary value per part."""
    whole = np.ascontiguousarray(values)
    offsets = (bounds * whole.dtype.itemsize).astype(np.int32)
    whole = whole.view(np.uint8)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(whole)]
    return pa.Array.from_buffers(pa.binary(), len(bounds) - 1, buffers)


def _nulls(count: int) -> pa.Array:
    return pa.nulls(count, pa.binary())


def _values(column: pa.Array) -> NDArray[np.uint8]:
    """Return the bytes of all values of a binary column behind each other."""
    _, offsets, data = column.buffers()
    wide = pa.types.is_large_binary(column.type)
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    first, last = ends[column.offset], ends[column.offset + len(column)]
    return np.frombuffer(data, np.uint8)[first:last]
