"""Samples as stored features and labels, mapped from disk, for training heads in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID, WEIGHT
from genre_spark.storage.files import filesystem

__all__ = ["EmbeddedSamples", "embed_samples"]

_BATCH = 4096


@dataclass(frozen=True)
class EmbeddedSamples:
    """The arrays of a split on disk: features.npy (N, D), labels.npy (N, L), weights.npy (N,).

    All are float32.

    Attributes:
        folder: folder of the arrays, on the local disk; the features are mapped, not read.
    """

    folder: str

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, labels and weights."""
        folder = Path(self.folder)
        features = np.load(folder / "features.npy", mmap_mode="r")
        return features, np.load(folder / "labels.npy"), np.load(folder / "weights.npy")


def embed_samples(
    sample_files: Sequence[str], embedding_files: Sequence[str], *, features: int, folder: str
) -> EmbeddedSamples:
    """Join samples with their posters' features, in the order of movie ids.

    Args:
        sample_files: Parquet files of a samples table.
        embedding_files: Parquet files of the embeddings table.
        features: length of the feature vectors.
        folder: folder that the arrays go to, on the local disk.

    Raises:
        InvalidInputError: samples without features.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_batches(list(_read(sample_files, [MOVIE_ID, LABELS, WEIGHT]))).sort_by(
        MOVIE_ID
    )
    ids = np.asarray(table.column(MOVIE_ID))
    labels = np.asarray(pc.list_flatten(table.column(LABELS)), np.float32).reshape(len(ids), -1)
    found = np.zeros(len(ids), bool)
    matrix = np.lib.format.open_memmap(
        f"{folder}/features.npy", "w+", np.float32, (len(ids), features)
    )
    for batch in _read(embedding_files, [MOVIE_ID, FEATURES]):
        posters = np.asarray(batch.column(MOVIE_ID))
        places = np.minimum(np.searchsorted(ids, posters), len(ids) - 1)
        wanted = ids[places] == posters
        values = np.asarray(pc.list_flatten(batch.column(FEATURES)), np.float32).reshape(
            len(posters), -1
        )
        matrix[places[wanted]] = values[wanted]
        found[places[wanted]] = True
    matrix.flush()
    if not found.all():
        raise InvalidInputError(
            f"{int((~found).sum())} of {len(ids)} samples have no embedding (movie "
            f"{ids[~found][0]}, ...), expected those of all sampled posters: run `genre-spark "
            "poster-embeddings` again"
        )
    np.save(f"{folder}/labels.npy", labels)
    np.save(f"{folder}/weights.npy", np.asarray(table.column(WEIGHT), np.float32))
    return EmbeddedSamples(folder)


def _read(files: Sequence[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for file in files:
        system, inner = filesystem(file)
        with system.open(inner, "rb") as source:
            for batch in pq.ParquetFile(source).iter_batches(_BATCH, columns=columns):
                yield pa.RecordBatch.from_arrays(
                    [batch.column(name) for name in columns], names=columns
                )
