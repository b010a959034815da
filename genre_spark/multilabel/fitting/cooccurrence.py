"""How often two labels are on together: all that clustering labels needs to know of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.multilabel.columns import decode_arrays
from genre_spark.workers import short_task

__all__ = ["Cooccurrence", "balanced_kmeans", "count_cooccurrence"]

Matrix = NDArray[np.float64]
Cooccurrence = Callable[[], Matrix]


def count_cooccurrence(data: DataFrame, labels: int) -> Matrix:
    """Return the number of rows in which labels i and j are both on, (labels, labels): one distributed pass.

    Args:
        data: training data, either with `labels` as array<double> or packed (`y`, `rows`).
        labels: number of labels, L.
    """
    packed = "y" in data.columns
    chosen = data.select("y", "rows") if packed else data.select("labels")

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total = np.zeros((labels, labels))
        for batch in batches:
            for block in (
                _packed_labels(batch, labels)
                if packed
                else [decode_arrays(batch.column(0), "labels")]
            ):
                single = block.astype(np.float32)  # counts of a block are far below 2^24
                total += single.T @ single if len(single) else 0.0
        i, j = np.nonzero(total)
        names = ["i", "j", "n"]
        yield pa.RecordBatch.from_arrays(
            [pa.array(i), pa.array(j), pa.array(total[i, j])], names=names
        )

    pairs = (
        chosen.mapInArrow(short_task(count), "i long, j long, n double")
        .groupBy("i", "j")
        .agg(F.sum("n").alias("n"))
    )
    counts = np.zeros((labels, labels))
    for row in pairs.collect():  # L x L at most
        counts[row["i"], row["j"]] = row["n"]
    return counts


def _packed_labels(batch: pa.RecordBatch, labels: int) -> list[NDArray[np.uint8]]:
    return [
        np.unpackbits(np.frombuffer(row["y"], np.uint8), count=row["rows"] * labels).reshape(
            row["rows"], labels
        )
        for row in batch.to_pylist()
    ]


def balanced_kmeans(
    counts: Matrix,
    labels: list[int],
    clusters: int,
    generator: np.random.Generator,
    iterations: int = 10,
) -> list[list[int]]:
    """Split labels into clusters of nearly equal size whose columns are alike (Tsoumakas et al.

    2008).

    A cluster holds at most ceil(n / clusters) labels; a full one passes its farthest member on to
    the next nearest. Squared distances between a label's column and a mean of columns follow from
    the co-occurrence counts.

    Args:
        counts: of `count_cooccurrence`, (L, L).
        labels: those to split.
        clusters: number of clusters, >= 2.
        generator: draws the first centres.
        iterations: of assigning and averaging.

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
    """Give every item to its nearest cluster that keeps it, (items, clusters) -> members of each cluster."""
    preferences = np.argsort(distance, axis=1, kind="stable")
    members: list[list[int]] = [[] for _ in range(distance.shape[1])]
    for item in range(len(distance)):
        waiting, choice = item, 0
        while True:
            cluster = int(preferences[waiting, choice])
            members[cluster].append(waiting)
            if len(members[cluster]) <= bucket:
                break
            farthest = max((distance[member, cluster], member) for member in members[cluster])[1]
            members[cluster].remove(farthest)
            waiting = farthest
            choice = _next_choice(preferences[waiting], cluster)
    return [sorted(part) for part in members]


def _next_choice(preference: NDArray[np.int64], cluster: int) -> int:
    """Return the place of the next nearest cluster, from the front again after the last."""
    return (int(np.flatnonzero(preference == cluster)[0]) + 1) % len(preference)
