"""Inputs and predictions of a fused network in Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.tables import fit_scales_in_task
from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.fusion.vectors import decode_vectors, encode_lists
from genre_spark.schemas import (
    FEATURES,
    FUSED_INPUTS_SCHEMA,
    LABELS,
    MOVIE_ID,
    PREDICTION,
    PREDICTIONS_SCHEMA,
    PROBABILITIES,
    WEIGHT,
)
from genre_spark.workers.tasks import short_task

if TYPE_CHECKING:
    from genre_spark.fusion.network.model import FusedModel

__all__ = ["fit_inputs", "fused_rows", "predict_fused"]

_MOST_INPUTS = 20_000
"""Features that a network reads; each row of its table holds them all, with their zeros."""


def fit_inputs(
    train: DataFrame, specification: FeatureSpecification, parts: Mapping[str, tuple[str, ...]]
) -> FusedInputs:
    """Learn the scales of the blocks from training rows, in one Spark task.

    Args:
        train: movie_id and features.
        specification: of the features.
        parts: name of each part -> the blocks that it reads.

    Raises:
        InvalidInputError: there is no row, or the blocks have too many features.
    """
    blocks = [block for read in parts.values() for block in read]
    places = specification.blocks
    size = sum(places[block].stop - places[block].start for block in blocks)
    if size > _MOST_INPUTS:
        raise InvalidInputError(
            f"fused_network.parts: {size:,} features, expected at most {_MOST_INPUTS:,}: leave "
            "words and people out, or set features.max_categories lower"
        )
    scales = fit_scales_in_task(train, places, dict.fromkeys(blocks, 1.0), size=specification.size)
    return FusedInputs(dict(parts), scales)


def fused_rows(
    rows: DataFrame, specification: FeatureSpecification, inputs: FusedInputs
) -> DataFrame:
    """Return rows of FUSED_INPUTS_SCHEMA of rows with features, labels and weight."""

    def convert(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            features = decode_vectors(batch.column(3), size=specification.size)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column(0),
                    encode_lists(inputs.rows(specification, features)),
                    batch.column(1),
                    batch.column(2),
                ],
                names=[MOVIE_ID, FEATURES, LABELS, WEIGHT],
            )

    wanted = rows.select(MOVIE_ID, LABELS, WEIGHT, F.unwrap_udt(FEATURES).alias(FEATURES))
    return wanted.mapInArrow(short_task(convert), FUSED_INPUTS_SCHEMA)


@lru_cache(maxsize=1)
def _worker_model(path: str, version: str) -> FusedModel:  # noqa: ARG001 - a part of the key
    import torch  # noqa: PLC0415 - seconds

    from genre_spark.fusion.network.model import FusedModel  # noqa: PLC0415

    torch.set_num_threads(1)
    return FusedModel.load(path)


def predict_fused(
    rows: DataFrame, specification: FeatureSpecification, path: str, *, version: str
) -> DataFrame:
    """Return predictions of rows with movie_id, features and labels.

    Args:
        rows: to predict.
        specification: of the features.
        path: file of the model, on storage that the workers see.
        version: changes when the file does.
    """

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _worker_model(path, version)
        for batch in batches:
            features = decode_vectors(batch.column(2), size=specification.size)
            found = model.probabilities(specification, features).astype(np.float32)
            yield pa.RecordBatch.from_arrays(
                [batch.column(0), batch.column(1), encode_lists(found), encode_lists(found >= 0.5)],
                names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
            )

    wanted = rows.select(MOVIE_ID, LABELS, F.unwrap_udt(FEATURES).alias(FEATURES))
    return wanted.mapInArrow(short_task(predict), PREDICTIONS_SCHEMA)
