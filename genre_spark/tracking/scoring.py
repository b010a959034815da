"""Predictions of a registered model: `score_registered` is the one place that knows its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import get_model_info
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.imaging import decode_stored
from genre_spark.schemas import (
    CHANNELS,
    ENCODING,
    FEATURES,
    HEIGHT,
    IMAGE,
    LABELS,
    MOVIE_ID,
    PROBABILITIES,
    WIDTH,
)
from genre_spark.tracking.registry import RegisteredVersion
from genre_spark.tracking.runs import TrackedRun, temporary_folder

__all__ = ["score_registered"]

_POSTER = [IMAGE, ENCODING, HEIGHT, WIDTH, CHANNELS]


def score_registered(
    run: TrackedRun, version: RegisteredVersion, movies: DataFrame, genres: Sequence[str]
) -> DataFrame:
    """Return movies with the probabilities that a registered model gives them.

    A Spark ML model reads feature vectors, a network posters. On a cluster, executors have to reach
    the tracking server to load a network.

    Args:
        run: any run of the store.
        version: version to load.
        movies: movie ids, labels, and what models read: `features`, or the columns of posters.
        genres: names of the genres in the order of the probabilities.

    Returns:
        movie_id, labels, probabilities (0..1, (L,) per row).

    Raises:
        InvalidInputError: the movies lack what the model reads.
    """
    mlflow.set_tracking_uri(run.tracking_uri)
    spark_model = "spark" in get_model_info(version.scored_by).flavors
    needed = [FEATURES] if spark_model else _POSTER
    missing = [name for name in needed if name not in movies.columns]
    if missing:
        raise InvalidInputError(
            f"{version.name} version {version.version}: it reads {', '.join(needed)}, which the "
            f"validation movies lack ({', '.join(missing)})"
        )
    if not spark_model:
        return _score_posters(run, version, movies.select(MOVIE_ID, LABELS, *_POSTER), genres)
    with temporary_folder() as folder:
        model = mlflow.spark.load_model(version.scored_by, dfs_tmpdir=folder)
        scored = model.transform(movies.select(MOVIE_ID, LABELS, FEATURES))
        probabilities = vector_to_array(F.col(PROBABILITIES), "float32").alias(PROBABILITIES)
        return scored.select(MOVIE_ID, LABELS, probabilities)


def _score_posters(
    run: TrackedRun, version: RegisteredVersion, posters: DataFrame, genres: Sequence[str]
) -> DataFrame:
    uri, store = version.scored_by, run.tracking_uri

    def score(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        mlflow.set_tracking_uri(store)
        model = mlflow.pyfunc.load_model(uri)
        for batch in batches:
            pixels = [
                np.ascontiguousarray(
                    decode_stored(
                        row[IMAGE], row[ENCODING], row[HEIGHT], row[WIDTH], row[CHANNELS]
                    ).transpose(1, 2, 0)
                )
                for row in batch.to_dict("records")
            ]
            answers = model.predict(pd.DataFrame({IMAGE: pixels}))[PROBABILITIES]
            yield pd.DataFrame(
                {
                    MOVIE_ID: batch[MOVIE_ID],
                    LABELS: batch[LABELS],
                    PROBABILITIES: [[answer[genre] for genre in genres] for answer in answers],
                }
            )

    schema = f"{MOVIE_ID} long, {LABELS} array<float>, {PROBABILITIES} array<float>"
    return posters.mapInPandas(score, schema)
