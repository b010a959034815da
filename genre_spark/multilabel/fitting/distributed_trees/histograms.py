"""Sufficient statistics of nodes, per candidate feature and bin, of the rows of one Spark task.

A cell holds how many rows it has, their weight, and the weight of those in which each label is on.
A histogram is a product: of the cells by the rows, one 1 per row and candidate, and the rows by
their statistics. scipy adds a row's statistics to a cell at once, which takes less time than one
`np.bincount` per label. Rows are sorted by node, so that the cells which are added to stay in the
processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from genre_spark.multilabel.fitting.distributed_trees.binned_rows import BinnedRows, RowLayout
from genre_spark.multilabel.fitting.distributed_trees.walks import DrawnRows, Routing, route_rows

__all__ = ["HISTOGRAM_SCHEMA", "HistogramTask", "node_bytes"]

HISTOGRAM_SCHEMA = "bucket int, sums binary"
_STEP = 8192  # rows at a time: what is computed of them stays in the processor's cache
_CELLS = 2**20  # cells of them: with many candidates fewer rows at a time
_TABLE = 2**22  # entries of a table of nodes by features
_SENT = 2**24  # bytes of an Arrow batch that a task gives back


def node_bytes(candidates: int, layout: RowLayout, *, single: bool) -> int:
    """Return the bytes of a node's histogram."""
    return candidates * layout.bins.width * (layout.n_labels + 2) * (4 if single else 8)


@dataclass(frozen=True)
class HistogramTask:
    """Adds up the histograms of some nodes.

    Attributes:
        layout: what a row has.
        routing: which rows come to which of the nodes.
        features: the candidates of each node, ascending, (nodes, candidates).
        per_bucket: number of nodes whose histograms travel together.
        single: whether sums are float32: they are whole numbers below 2^24.
    """

    layout: RowLayout
    routing: Routing
    features: NDArray[np.int32]
    per_bucket: int
    single: bool

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the sums of a task's rows, a record of HISTOGRAM_SCHEMA per bucket of nodes."""
        n_nodes, candidates = self.features.shape
        shape = (n_nodes, candidates * self.layout.bins.width, self.layout.n_labels + 2)
        sums: NDArray[np.floating] = np.zeros(shape, np.float32 if self.single else np.float64)
        seen = np.zeros(n_nodes, dtype=bool)
        for batch in batches:
            if batch.num_rows:
                rows = self.layout.from_batch(batch)
                statistics = rows.statistics(sums.dtype)
                for drawn in route_rows(rows, self.routing):
                    seen[drawn.nodes] = True
                    self._add(rows, drawn, statistics, sums)
        yield from self._send(sums, seen)

    def _send(
        self, sums: NDArray[np.floating], seen: NDArray[np.bool_]
    ) -> Iterator[pa.RecordBatch]:
        buckets, data, size = [], [], 0
        for start in range(0, len(sums), self.per_bucket):
            part = slice(start, start + self.per_bucket)
            if seen[part].any():
                buckets.append(start // self.per_bucket)
                data.append(sums[part].tobytes())
                size += len(data[-1])
            if size >= _SENT:
                yield _to_batch(buckets, data)
                buckets, data, size = [], [], 0
        if buckets:
            yield _to_batch(buckets, data)

    def _add(
        self,
        rows: BinnedRows,
        drawn: DrawnRows,
        statistics: NDArray[np.floating],
        sums: NDArray[np.floating],
    ) -> None:
        """Add a tree's rows, which are sorted by node."""
        if self.layout.sparse:
            self._add_sparse(rows, drawn, statistics, sums)
            return
        nodes = drawn.nodes
        flat, each = rows.flat_bins()
        candidates, width = self.features.shape[1], self.layout.bins.width
        offsets = np.arange(candidates, dtype=np.int32) * width
        step = max(1, min(_STEP, _CELLS // candidates))
        ones = np.ones(step * candidates, dtype=sums.dtype)
        for start in range(0, len(nodes), step):
            part = slice(start, start + step)
            here = nodes[part]
            first, last = int(here[0]), int(here[-1]) + 1
            bins = flat.take((drawn.rows[part] * each)[:, None] + self.features[here])
            cells = (here - first).astype(np.int32)[:, None] * (candidates * width) + offsets + bins
            mine = _take(statistics, drawn, part)
            starts = np.arange(0, cells.size + 1, candidates, dtype=np.int32)
            sums[first:last] += _multiply(cells.ravel(), ones, starts, mine, sums[first:last].shape)

    def _add_sparse(
        self,
        rows: BinnedRows,
        drawn: DrawnRows,
        statistics: NDArray[np.floating],
        sums: NDArray[np.floating],
    ) -> None:
        """Add a tree's rows: what they store, and the rest of their node to the bins of 0."""
        nodes, bins = drawn.nodes, self.layout.bins
        at_once = max(1, _TABLE // bins.n_features)
        start = 0
        while start < len(nodes):
            first = int(nodes[start])
            stop = min(start + _STEP, int(np.searchsorted(nodes, first + at_once)))
            part, last = slice(start, stop), int(nodes[stop - 1]) + 1
            here, features = nodes[part] - first, self.features[first:last]
            cells, starts = self._stored_cells(rows.take(drawn.rows[part]), here, features)
            mine = _take(statistics, drawn, part)
            ones = np.ones(max(len(cells), len(here)), dtype=sums.dtype)
            shape = (last - first, *features.shape[1:], bins.width, sums.shape[2])
            found = _multiply(cells, ones, starts, mine, shape)
            each = np.arange(len(here) + 1, dtype=np.int32)
            in_node = (last - first, 1, sums.shape[2])
            total = _multiply(here.astype(np.int32), ones, each, mine, in_node)
            rest = total - found.sum(axis=2)
            node, candidate = np.indices(features.shape)
            found[node, candidate, bins.of_zero[features]] += rest
            sums[first:last] += found.reshape(sums[first:last].shape)
            start = stop

    def _stored_cells(
        self, rows: BinnedRows, nodes: NDArray[np.int64], features: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the cells of the values that rows store of their node's candidates.

        Args:
            rows: sparse.
            nodes: place of each row's node in `features`, (rows,).
            features: the candidates of some nodes, (nodes, candidates).

        Returns:
            the cells, and where each row's start, (rows + 1,).
        """
        n_features, width = self.layout.bins.n_features, self.layout.bins.width
        places = np.full((len(features), n_features), -1, dtype=np.int32)
        np.put_along_axis(places, features, np.arange(features.shape[1], dtype=np.int32)[None], 1)
        of_value = np.repeat(np.arange(len(rows)), rows.rows["stored"])
        node = nodes[of_value]
        candidate = places[node, rows.columns]
        wanted = candidate >= 0
        cells = (node[wanted] * features.shape[1] + candidate[wanted]) * width
        cells += rows.stored_bins[wanted]  # type: ignore[index]
        counts = np.bincount(of_value[wanted], minlength=len(rows))
        return cells.astype(np.int32), np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _take(statistics: NDArray[np.floating], drawn: DrawnRows, part: slice) -> NDArray[np.floating]:
    """Return the statistics of some drawn rows, each times how often it is drawn."""
    found = statistics.take(drawn.rows[part], axis=0)
    found[:, 1:] *= drawn.counts[part, None]
    return found


def _multiply(
    cells: NDArray[np.int32],
    ones: NDArray[np.floating],
    starts: NDArray[np.int32],
    statistics: NDArray[np.floating],
    shape: tuple[int, ...],
) -> NDArray[np.floating]:
    """Return the sums of the statistics of each cell's rows.

    Args:
        cells: of the rows, one row's behind the other's.
        ones: at least as many as cells.
        starts: where each row's cells start, (rows + 1,).
        statistics: of the rows, (rows, statistics).
        shape: of the sums; its last axis is the statistics.
    """
    n_cells = int(np.prod(shape[:-1]))
    product = csc_matrix((ones[: len(cells)], cells, starts), shape=(n_cells, len(statistics)))
    return np.asarray(product @ statistics).reshape(shape)


def _to_batch(buckets: list[int], data: list[bytes]) -> pa.RecordBatch:
    columns = [pa.array(buckets, pa.int32()), pa.array(data, pa.binary())]
    return pa.RecordBatch.from_arrays(columns, names=["bucket", "sums"])
