"""Calibration in Spark: curves from validation predictions in one task, applied where rows are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.calibration.calibrators import Calibrator, Kind, fit_calibrator
from genre_spark.fusion.stacks.tables import draw_rows, fold_of
from genre_spark.fusion.vectors import decode_lists, encode_lists
from genre_spark.schemas import (
    LABELS,
    MOVIE_ID,
    PREDICTION,
    PREDICTIONS_SCHEMA,
    PROBABILITIES,
    WEIGHT,
)
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["CalibratedModel", "calibrate", "fit_calibration"]

FOLDS = 5
_FOLD = "fold"
_FEWEST_ROWS = 50  # a fold of five has some of them
_MOST_ROWS = 200_000


@dataclass(frozen=True)
class CalibratedModel:
    """The calibration of a model's predictions.

    Attributes:
        whole: fitted on all validation rows, for other movies.
        folds: fold i was fitted on the rows of the other folds.
        seed: of the folds.
    """

    whole: Calibrator
    folds: tuple[Calibrator, ...]
    seed: int


def fit_calibration(validation: DataFrame, kind: Kind, *, seed: int) -> CalibratedModel:
    """Fit the calibration of a model in one Spark task.

    Args:
        validation: movie_id, labels and probabilities of movies that the model was not trained on;
            with a column `weight` rows count by it.
        kind: `platt` or `isotonic`.
        seed: of the folds, and of the draw among more than 200,000 rows.

    Raises:
        InvalidInputError: there are too few rows.
    """

    def fit(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = list(batches)
        rows = sum(len(batch) for batch in tables)
        if rows < _FEWEST_ROWS:
            raise InvalidInputError(
                f"calibration: {rows} validation movies, expected at least {_FEWEST_ROWS}"
            )
        table = pa.Table.from_batches(tables).combine_chunks()
        columns = [column.chunk(0) for column in table.columns]
        place, weights = columns[0].to_numpy(), columns[1].to_numpy()
        labels, odds = decode_lists(columns[2]), decode_lists(columns[3])
        for kept in (np.ones(rows, np.bool_), *(place != fold for fold in range(FOLDS))):
            found = fit_calibrator(kind, odds[kept], labels[kept], row_weights=weights[kept])
            yield pa.RecordBatch.from_pydict({"curves": pa.array([found.to_json()])})

    weight = F.col(WEIGHT) if WEIGHT in validation.columns else F.lit(1.0)
    rows = draw_rows(validation, seed, _MOST_ROWS).select(
        fold_of(seed, FOLDS).alias(_FOLD),
        weight.cast("double").alias(WEIGHT),
        LABELS,
        PROBABILITIES,
    )
    with worker_errors():
        found = rows.mapInArrow(short_task(fit), "curves string").collect()
    curves = [Calibrator.from_json(row["curves"]) for row in found]
    return CalibratedModel(curves[0], tuple(curves[1:]), seed)


def calibrate(
    predictions: DataFrame, calibration: CalibratedModel, *, fitted_rows: bool
) -> DataFrame:
    """Return predictions with calibrated probabilities, and what these decide at 0.5.

    Args:
        predictions: rows of PREDICTIONS_SCHEMA.
        calibration: fitted.
        fitted_rows: whether these are the rows that it was fitted on: each is then calibrated by
            the fold that has not seen it.
    """
    members = calibration.folds if fitted_rows else (calibration.whole,)

    def apply(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            given, place = decode_lists(batch.column(2)), batch.column(3).to_numpy()
            found = np.zeros_like(given)
            for number, member in enumerate(members):
                mine = place == number
                found[mine] = member.apply(given[mine])
            stored = found.astype(np.float32)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column(0),
                    batch.column(1),
                    encode_lists(stored),
                    encode_lists(stored >= 0.5),
                ],
                names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
            )

    fold = fold_of(calibration.seed, FOLDS) if fitted_rows else F.lit(0)
    wanted = predictions.select(MOVIE_ID, LABELS, PROBABILITIES, fold.alias(_FOLD))
    return wanted.mapInArrow(short_task(apply), PREDICTIONS_SCHEMA)
