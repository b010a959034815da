"""What a training needs to know about the samples before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genre_spark.schemas import LABELS, WEIGHT
from genre_spark.storage.files import filesystem

__all__ = ["LabelWeights", "SampleFacts", "count_labels"]


@dataclass(frozen=True)
class SampleFacts:
    """Facts of a samples table.

    Attributes:
        rows: number of samples.
        label_counts: positives per genre.
        weight: sum of the samples' weights: the number of movies that they stand for.
        weighted_counts: sum of the weights of the positives per genre.
    """

    rows: int
    label_counts: tuple[int, ...]
    weight: float
    weighted_counts: tuple[float, ...]


class LabelWeights(NamedTuple):
    """How much each label of a sample counts in the loss.

    Attributes:
        positive: weight of each label where the sample has it, (L,).
        negative: weight of each label where the sample has it not, (L,).
    """

    positive: Sequence[float]
    negative: Sequence[float]


def count_labels(files: Sequence[str], labels: int) -> SampleFacts:
    """Count samples and positives per genre; only labels and weights are read.

    Args:
        files: Parquet files of a samples table.
        labels: number of genres.
    """
    rows, counts, weight, weighted = 0, np.zeros(labels, np.int64), 0.0, np.zeros(labels)
    for file in files:
        system, inner = filesystem(file)
        with system.open(inner, "rb") as source:
            for batch in pq.ParquetFile(source).iter_batches(16_384, columns=[LABELS, WEIGHT]):
                held = (
                    np.asarray(pc.list_flatten(batch.column(LABELS)), np.float32).reshape(
                        -1, labels
                    )
                    > 0
                )
                weights = np.asarray(batch.column(WEIGHT), np.float64)
                rows, counts = rows + len(held), counts + held.sum(axis=0)
                weight, weighted = weight + float(weights.sum()), weighted + weights @ held
    return SampleFacts(rows, tuple(counts.tolist()), weight, tuple(weighted.tolist()))
