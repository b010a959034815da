"""The best split of each node, by the sums of all tasks' histograms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genre_spark.multilabel.fitting.distributed_trees.settings import GrowthSettings

__all__ = ["SPLIT_SCHEMA", "SplitTask", "best_splits", "purity", "split_type"]

SPLIT_SCHEMA = "bucket int, splits binary"

Sums = NDArray[np.float64]


def split_type(n_labels: int) -> np.dtype[Any]:
    """Return the type of a found split.

    `candidate` is the position of its feature among the node's, -1 where there is no split, `bin`
    the largest bin that goes left, `gain` the decrease of the labels' impurity times weight, and
    `left` and `right` are the sides' statistics: rows, weight, weight of each label.
    """
    sides = [(side, "<f8", (n_labels + 2,)) for side in ("left", "right")]
    return np.dtype([("candidate", "<i4"), ("bin", "<i4"), ("gain", "<f8"), *sides])


@dataclass(frozen=True)
class SplitTask:
    """Finds the splits of the buckets of nodes that one Spark task gets.

    Attributes:
        settings: how trees are grown.
        shape: of a node's histogram: candidates, bins, statistics.
        n_nodes: number of nodes of all buckets.
        per_bucket: number of nodes in a bucket.
        single: whether sums are float32.
        cuts: of each candidate, where in 0..1 its only threshold is, (nodes, candidates); None:
            all thresholds are compared.
    """

    settings: GrowthSettings
    shape: tuple[int, int, int]
    n_nodes: int
    per_bucket: int
    single: bool
    cuts: NDArray[np.float32] | None = None

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the splits of the nodes of each bucket, given HISTOGRAM_SCHEMA."""
        total: dict[int, Sums] = {}
        kind = np.float32 if self.single else np.float64
        for batch in batches:
            for bucket, part in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                sums = np.frombuffer(part.as_buffer(), kind).astype(np.float64)
                total[bucket] = sums if bucket not in total else total[bucket] + sums
        if not total:
            return
        buckets, found = sorted(total), []
        for bucket in buckets:
            start = bucket * self.per_bucket
            cuts = None if self.cuts is None else self.cuts[start : start + self.per_bucket]
            sums = total.pop(bucket).reshape(-1, *self.shape)
            found.append(best_splits(sums, self.settings, cuts).tobytes())
        columns = [pa.array(buckets, pa.int32()), pa.array(found, pa.binary())]
        yield pa.RecordBatch.from_arrays(columns, names=["bucket", "splits"])


def best_splits(
    sums: Sums, settings: GrowthSettings, cuts: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Return the split of each node after which the labels are purest.

    Args:
        sums: histograms, (nodes, candidates, bins, statistics).
        settings: what a side of a split must have.
        cuts: see SplitTask.

    Returns:
        of `split_type`, (nodes,).
    """
    below = np.cumsum(sums, axis=2)
    total = below[:, 0, -1]
    left, right = below[:, :, :-1], total[:, None, None] - below[:, :, :-1]
    fewest, lightest = settings.min_leaf, settings.min_leaf_weight
    allowed = np.ones(left.shape[:3], dtype=bool)
    for side in (left, right):
        allowed &= (side[..., 0] >= fewest) & (side[..., 1] >= lightest)
    if cuts is not None:
        allowed &= _cut_places(sums[..., 0], cuts)
    score = purity(left, entropy=settings.entropy) + purity(right, entropy=settings.entropy)
    score[~allowed] = -np.inf
    n_nodes, every = len(sums), np.arange(len(sums))
    best = score.reshape(n_nodes, -1).argmax(axis=1) if score.size else np.zeros(n_nodes, int)
    candidate, place = np.divmod(best, max(1, left.shape[2]))
    found = np.zeros(n_nodes, dtype=split_type(sums.shape[3] - 2))
    found["right"], found["candidate"] = total, -1
    if not score.size:
        return found
    has = np.flatnonzero(np.isfinite(score[every, candidate, place]))
    node, candidate, place = every[has], candidate[has], place[has]
    found["left"][has], found["right"][has] = (
        left[node, candidate, place],
        right[node, candidate, place],
    )
    before = purity(total[has], entropy=settings.entropy)
    found["gain"][has] = score[node, candidate, place] - before
    # among empty bins take the one in the middle, as scikit-learn takes the middle of two values
    same = left[node, candidate, :, 0] == left[node, candidate, place, 0][:, None]
    last = same.shape[1] - 1 - same[:, ::-1].argmax(axis=1)
    found["candidate"][has], found["bin"][has] = candidate, (place + last) // 2
    return found


def purity(sums: Sums, *, entropy: bool) -> Sums:
    """Return how pure rows are, summed over the labels: the larger, the less their impurity.

    With Gini impurity it is the sum of S^2 / W, with S the weight of a label's rows and W the
    weight of all: W times twice the label's p (1 - p) is 2 (S - S^2 / W), and the sum of S is the
    same for all splits of a node. With entropy it is W times the negative entropy.

    Args:
        sums: statistics, (..., 2 + labels).
        entropy: whether impurity is entropy.
    """
    weight, on = sums[..., 1], sums[..., 2:]
    safe = np.where(weight > 0, weight, 1.0)
    if not entropy:
        return np.asarray(np.einsum("...l,...l->...", on, on) / safe)
    share = on / safe[..., None]
    parts = np.zeros_like(share)
    for p in (share, 1.0 - share):
        parts += np.where(p > 0, p * np.log2(np.where(p > 0, p, 1.0)), 0.0)
    return np.asarray(parts.sum(axis=-1) * weight)


def _cut_places(rows: Sums, cuts: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where each candidate's only threshold is: between its first and last bin with rows."""
    width = rows.shape[2]
    first = (rows > 0).argmax(axis=2)
    last = width - 1 - (rows[:, :, ::-1] > 0).argmax(axis=2)
    place = first + np.floor(cuts * (last - first)).astype(np.int64)
    return np.asarray((np.arange(width - 1) == place[..., None]) & (first < last)[..., None])
