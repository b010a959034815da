"""Linear models in Spark: each fit is one task, predictions are made where the rows are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from genre_spark.fusion.block_scaling import ScaledBlocks, fit_scales
from genre_spark.fusion.linear.model import (
    DENSE_BLOCKS,
    NUMBER_BLOCKS,
    LinearModel,
    fit_linear_in_folds,
)
from genre_spark.fusion.vectors import decode_vectors, encode_lists, gather_rows, in_one_task
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

__all__ = [
    "FOLD",
    "fit_in_task",
    "fit_scales_in_task",
    "linear_inputs",
    "predict_batches",
    "predict_linear",
]

FOLD = "fold"
TrainingRows = tuple[sparse.csr_matrix, NDArray[np.float64], NDArray[np.int64]]
"""Features (rows, features), labels (rows, labels), and the fold of each row."""


def fit_in_task(
    rows: DataFrame,
    places: Mapping[str, slice],
    weights: Mapping[str, float],
    *,
    size: int,
    penalty: float,
    folds: int = 0,
    landmarks: int | None = None,
) -> list[LinearModel]:
    """Fit models in one Spark task, which reads all training rows in the order of their ids.

    Args:
        rows: movie_id, features and labels of the training movies, and their fold.
        places: where each block is in the feature vector.
        weights: block -> its weight.
        size: length of the feature vector.
        penalty: of the weights' squares.
        folds: 0 for the model of all rows alone; else one without each fold follows it.
        landmarks: how many at most, for the exponential kernel; None for linear models.

    Raises:
        InvalidInputError: there is no row, or more than a task can hold.
    """
    chosen = dict(weights)

    def fit(rows: TrainingRows) -> list[bytes]:
        models = fit_linear_in_folds(
            *rows, folds, places, chosen, penalty=penalty, landmarks=landmarks
        )
        return [model.to_bytes() for model in models]

    return [LinearModel.from_bytes(payload) for payload in _in_one_task(rows, fit, size=size)]


def fit_scales_in_task(
    rows: DataFrame, places: Mapping[str, slice], weights: Mapping[str, float], *, size: int
) -> ScaledBlocks:
    """Learn the scales of blocks in one Spark task; see `fit_in_task`."""
    chosen = dict(weights)

    def fit(rows: TrainingRows) -> list[bytes]:
        scales = fit_scales(rows[0], places, chosen, dense=DENSE_BLOCKS, numbers=NUMBER_BLOCKS)
        file = io.BytesIO()
        np.savez(file, **scales.to_arrays())
        return [file.getvalue()]

    [payload] = _in_one_task(rows, fit, size=size)
    return ScaledBlocks.from_arrays(np.load(io.BytesIO(payload), allow_pickle=False))


def _in_one_task(
    rows: DataFrame,
    fit: Callable[[TrainingRows], list[bytes]],
    *,
    size: int,
) -> list[bytes]:
    """Return what a function makes of the features, labels and folds of all rows."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        features, (labels, folds) = gather_rows(
            batches,
            size=size,
            stage="linear",
            advice="use multilabel.classifier=logistic_regression with backend spark",
        )
        fitted = fit((features, labels, folds.astype(np.int64)))
        for model in fitted:  # a batch each: together they may be large
            yield pa.RecordBatch.from_pydict({"model": pa.array([model], pa.binary())})

    fold = F.col(FOLD) if FOLD in rows.columns else F.lit(0).alias(FOLD)
    wanted = in_one_task(rows.select(MOVIE_ID, FEATURES, LABELS, fold), FOLD)
    with worker_errors():
        found = wanted.mapInArrow(short_task(run), "model binary").collect()
    return [bytes(row["model"]) for row in found]


def predict_linear(rows: DataFrame, model: LinearModel, *, size: int) -> DataFrame:
    """Return predictions of rows with movie_id, features and labels.

    Args:
        rows: to predict.
        model: fitted.
        size: length of the feature vector.
    """

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, predictions in predict_batches(batches, {0: [model]}, size=size):
            yield predictions

    return linear_inputs(rows).mapInArrow(short_task(predict), PREDICTIONS_SCHEMA)


def linear_inputs(rows: DataFrame) -> DataFrame:
    """Return the columns that `predict_batches` reads; the fold is 0 where rows have none."""
    fold = F.col(FOLD) if FOLD in rows.columns else F.lit(0).alias(FOLD)
    return rows.select(MOVIE_ID, LABELS, F.unwrap_udt(FEATURES).alias(FEATURES), fold)


def predict_batches(
    batches: Iterable[pa.RecordBatch], models: Mapping[int, Sequence[LinearModel]], *, size: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return what each of several models predicts for rows, whose features are decoded once.

    Args:
        batches: of `linear_inputs`.
        models: fold -> the models for its rows.
        size: length of the feature vector.

    Yields:
        Number of a model, and its predictions, columns of PREDICTIONS_SCHEMA.
    """
    for batch in batches:
        folds = batch.column(3).to_numpy()
        for fold in np.unique(folds).tolist():
            rows = batch.filter(pa.array(folds == fold))
            features = decode_vectors(rows.column(2), size=size)
            for number, model in enumerate(models[fold]):
                found = model.probabilities(features).astype(np.float32)
                predicted = [encode_lists(found), encode_lists(found >= 0.5)]
                yield (
                    number,
                    pa.RecordBatch.from_arrays(
                        [rows.column(0), rows.column(1), *predicted],
                        names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
                    ),
                )
