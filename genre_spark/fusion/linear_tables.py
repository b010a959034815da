"""Linear models in Spark: each fit is one task, predictions are made where the rows are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.block_scaling import ScaledBlocks, fit_scales
from genre_spark.fusion.linear_model import (
    DENSE_BLOCKS,
    NUMBER_BLOCKS,
    LinearModel,
    fit_linear,
)
from genre_spark.fusion.vectors import decode_lists, decode_vectors, encode_lists
from genre_spark.schemas import (
    FEATURES,
    LABELS,
    MOVIE_ID,
    PREDICTION,
    PREDICTIONS_SCHEMA,
    PROBABILITIES,
)
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["fit_in_task", "fit_scales_in_task", "predict_linear"]

_MOST_VALUES = 5 * 10**8
"""Feature values of one fit, without zeros: about 8 GB in the task that fits."""


def fit_in_task(
    rows: DataFrame,
    places: Mapping[str, slice],
    weights: Mapping[str, float],
    *,
    size: int,
    penalty: float,
) -> LinearModel:
    """Fit a model in one Spark task, which reads all training rows in the order of their ids.

    Args:
        rows: movie_id, features and labels of the training movies.
        places: where each block is in the feature vector.
        weights: block -> its weight.
        size: length of the feature vector.
        penalty: of the weights' squares.

    Raises:
        InvalidInputError: there is no row, or more than a task can hold.
    """
    chosen = dict(weights)

    def fit(features: sparse.csr_matrix, labels: NDArray[np.float64]) -> bytes:
        return fit_linear(features, labels, places, chosen, penalty=penalty).to_bytes()

    return LinearModel.from_bytes(_in_one_task(rows, fit, size=size))


def fit_scales_in_task(
    rows: DataFrame, places: Mapping[str, slice], weights: Mapping[str, float], *, size: int
) -> ScaledBlocks:
    """Learn the scales of blocks in one Spark task; see `fit_in_task`."""
    chosen = dict(weights)

    def fit(features: sparse.csr_matrix, _labels: NDArray[np.float64]) -> bytes:
        scales = fit_scales(features, places, chosen, dense=DENSE_BLOCKS, numbers=NUMBER_BLOCKS)
        file = io.BytesIO()
        np.savez(file, **scales.to_arrays())
        return file.getvalue()

    payload = _in_one_task(rows, fit, size=size)
    return ScaledBlocks.from_arrays(np.load(io.BytesIO(payload), allow_pickle=False))


def _in_one_task(
    rows: DataFrame,
    fit: Callable[[sparse.csr_matrix, NDArray[np.float64]], bytes],
    *,
    size: int,
) -> bytes:
    """Return what a function makes of the features and labels of all rows."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        features, labels, held = [], [], 0
        for batch in batches:
            part = decode_vectors(batch.column(0), size=size)
            held += part.nnz
            if held > _MOST_VALUES:
                raise InvalidInputError(
                    f"linear: more than {_MOST_VALUES:,} feature values in training, expected "
                    "fewer; use multilabel.classifier=logistic_regression with backend spark"
                )
            features.append(part)
            labels.append(decode_lists(batch.column(1)))
        if not features:
            raise InvalidInputError("linear: no training movie with features, expected some")
        fitted = fit(sparse.vstack(features, format="csr"), np.concatenate(labels))
        yield pa.RecordBatch.from_pydict({"model": pa.array([fitted], pa.binary())})

    wanted = (
        rows.select(MOVIE_ID, F.unwrap_udt(FEATURES).alias(FEATURES), LABELS)
        .repartition(1)
        .sortWithinPartitions(MOVIE_ID)
        .select(FEATURES, LABELS)
    )
    with worker_errors():
        return bytes(wanted.mapInArrow(short_task(run), "model binary").collect()[0]["model"])


def predict_linear(rows: DataFrame, model: LinearModel, *, size: int) -> DataFrame:
    """Return predictions of rows with movie_id, features and labels.

    Args:
        rows: to predict.
        model: fitted.
        size: length of the feature vector.
    """

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = model.probabilities(decode_vectors(batch.column(2), size=size))
            found = found.astype(np.float32)
            yield pa.RecordBatch.from_arrays(
                [batch.column(0), batch.column(1), encode_lists(found), encode_lists(found >= 0.5)],
                names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
            )

    wanted = rows.select(MOVIE_ID, LABELS, F.unwrap_udt(FEATURES).alias(FEATURES))
    return wanted.mapInArrow(short_task(predict), PREDICTIONS_SCHEMA)
