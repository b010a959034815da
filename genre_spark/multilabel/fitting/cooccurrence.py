"""How often two labels are on together: all that clustering labels needs to know of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.multilabel.matrices import Labels, Matrix, decode_arrays, unpack_labels
from genre_spark.workers.tasks import short_task

__all__ = ["balanced_kmeans", "count_cooccurrence", "count_packed_cooccurrence"]


def count_cooccurrence(rows: DataFrame, n_labels: int) -> Matrix:
    """Return in how many rows labels i and j are both on, (n_labels, n_labels).

    Args:
        rows: training data with `labels`, array<double>.
        n_labels: number of labels, L.
    """

    def decode(batch: pa.RecordBatch) -> list[Matrix]:
        return [decode_arrays(batch.column(0), "labels")]

    return _count(rows.select("labels"), decode, n_labels)


def count_packed_cooccurrence(blocks: DataFrame, n_labels: int) -> Matrix:
    """Return the same of training data that `pack_training` packed."""

    def decode(batch: pa.RecordBatch) -> list[Labels]:
        return [unpack_labels(row["y"], row["n_rows"], n_labels) for row in batch.to_pylist()]

    return _count(blocks.select("y", "n_rows"), decode, n_labels)


def _count(
    data: DataFrame,
    decode: Callable[[pa.RecordBatch], Iterable[NDArray[np.generic]]],
    n_labels: int,
) -> Matrix:
    """Add up the products of the label matrices of all batches, in one distributed pass."""

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total = np.zeros((n_labels, n_labels))
        for batch in batches:
            for labels in decode(batch):
                single = labels.astype(np.float32)  # counts of a block are far below 2^24
                total += single.T @ single if len(single) else 0.0
        i, j = np.nonzero(total)
        columns = [pa.array(i), pa.array(j), pa.array(total[i, j])]
        yield pa.RecordBatch.from_arrays(columns, names=["i", "j", "n"])

    pairs = data.mapInArrow(short_task(count), "i long, j long, n double")
    counts = np.zeros((n_labels, n_labels))
    for row in pairs.groupBy("i", "j").agg(F.sum("n").alias("n")).collect():  # L x L at most
        counts[row["i"], row["j"]] = row["n"]
    return counts


def balanced_kmeans(
    counts: Matrix,
    labels: list[int],
    clusters: int,
    generator: np.random.Generator,
    iterations: int = 10,
) -> list[list[int]]:
    """Split labels into clusters of nearly equal size whose columns are alike.

    A cluster holds at most ceil(n / clusters) labels; a full one passes its farthest member on to
    the next nearest (Tsoumakas et al. 2008). Squared distances between a label's column and a mean
    of columns follow from the co-occurrence counts.

    Args:
        counts: how often two labels are on together, (L, L).
        labels: those to split.
        clusters: number of clusters, >= 2.
        generator: draws the first centres.
        iterations: number of times that members are assigned and centres averaged, at most.

    Returns:
        the clusters that are not empty, each sorted.
    """
    local = counts[np.ix_(labels, labels)]
    size = len(labels)
    bucket = -(-size // clusters)
    centres = [np.array([member]) for member in generator.permutation(size)[:clusters]]
    assignment: list[list[int]] = []
    for _ in range(iterations):
        distance = np.column_stack(
            [
                np.diag(local) - 2 * local[:, c].mean(axis=1) + local[np.ix_(c, c)].mean()
                for c in centres
            ]
        )
        previous, assignment = assignment, _assign(distance, bucket)
        if assignment == previous:
            break
        centres = [
            np.array(members) if members else centres[index]
            for index, members in enumerate(assignment)
        ]
    return [sorted(labels[member] for member in members) for members in assignment if members]


def _assign(distance: Matrix, bucket: int) -> list[list[int]]:
    """Give every item to its nearest cluster that keeps it.

    Args:
        distance: (items, clusters).
        bucket: most members of a cluster.

    Returns:
        members of each cluster.
    """
    preferences = np.argsort(distance, axis=1, kind="stable")
    members: list[list[int]] = [[] for _ in range(distance.shape[1])]
    for item in range(len(distance)):
        waiting, choice = item, 0
        while True:
            cluster = int(preferences[waiting, choice])
            members[cluster].append(waiting)
            if len(members[cluster]) <= bucket:
                break
            _, farthest = max((distance[member, cluster], member) for member in members[cluster])
            members[cluster].remove(farthest)
            waiting = farthest
            choice = _next_choice(preferences[waiting], cluster)
    return [sorted(part) for part in members]


def _next_choice(preference: NDArray[np.int64], cluster: int) -> int:
    """Return the place of the next nearest cluster, from the front again after the last."""
    return (int(np.flatnonzero(preference == cluster)[0]) + 1) % len(preference)
