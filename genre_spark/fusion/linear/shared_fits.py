"""Many linear models from the same training rows: read once, fitted side by side in Spark tasks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from scipy import sparse

from genre_spark.fusion.linear.model import LinearModel, fit_linear
from genre_spark.fusion.vectors import gather_rows, in_one_task
from genre_spark.storage.files import filesystem, join, whole_file
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["fit_side_by_side", "read_model", "store_training_rows"]


def store_training_rows(rows: DataFrame, file: str, *, size: int) -> None:
    """Write features and labels as one sparse matrix, in the order of the movies' ids.

    Args:
        rows: movie_id, features and labels of the training movies.
        file: where it goes; a place that Spark's workers see.
        size: length of the feature vector.

    Raises:
        InvalidInputError: there is no row, or more than a task can hold.
    """

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        matrix, (labels,) = gather_rows(
            batches,
            size=size,
            stage="ablate",
            advice="lower features.character_features, text_words or max_categories",
        )
        with whole_file(file) as target:
            np.savez(
                target,
                data=matrix.data,
                indices=matrix.indices,
                indptr=matrix.indptr,
                labels=labels,
            )
        yield pa.RecordBatch.from_pydict({"rows": pa.array([matrix.shape[0]], pa.int64())})

    with worker_errors():
        in_one_task(rows).mapInArrow(short_task(write), "rows long").collect()


def fit_side_by_side(
    rows: DataFrame,
    file: str,
    folder: str,
    blocks: Mapping[str, Mapping[str, float]],
    places: Mapping[str, slice],
    *,
    size: int,
    penalty: float,
) -> dict[str, str]:
    """Fit a model per set of blocks, each in a Spark task, and return the files that they are in.

    Args:
        rows: any DataFrame of the session.
        file: of `store_training_rows`.
        folder: where the models go.
        blocks: name of the model -> block -> its weight.
        places: where each block is in the feature vector.
        size: length of the feature vector.
        penalty: of the weights' squares.
    """
    names = list(blocks)
    chosen = [dict(blocks[name]) for name in names]
    where = {name: slice(place.start, place.stop) for name, place in places.items()}

    def fit(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                features, labels = _read_rows(file, size)
                model = fit_linear(features, labels, where, chosen[number], penalty=penalty)
                with whole_file(join(folder, f"{names[number]}.npz")) as target:
                    target.write(model.to_bytes())
            yield batch

    numbers = rows.sparkSession.range(0, len(names), 1, max(1, len(names)))
    with worker_errors():
        numbers.mapInArrow(short_task(fit), "id long").collect()  # one number per model
    return {name: join(folder, f"{name}.npz") for name in names}


def read_model(file: str) -> LinearModel:
    """Return a model of `fit_side_by_side`."""
    return LinearModel.from_bytes(_read(file))


@lru_cache(maxsize=1)
def _read_rows(file: str, size: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return the stored rows; a worker keeps them for its next model."""
    stored = np.load(io.BytesIO(_read(file)), allow_pickle=False)
    shape = (len(stored["indptr"]) - 1, size)
    parts = (stored["data"], stored["indices"], stored["indptr"])
    return sparse.csr_matrix(parts, shape), stored["labels"]


def _read(file: str) -> bytes:
    system, inner = filesystem(file)
    with system.open(inner, "rb") as source:
        return bytes(source.read())
