"""Pictures of a network's predictions on the test posters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.evaluation.style import encode_figure
from genre_spark.imaging import decode_stored
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import (
    CHANNELS,
    ENCODING,
    HEIGHT,
    IMAGE,
    LABELS,
    MOVIE_ID,
    PROBABILITIES,
    WIDTH,
)
from genre_spark.tracking import TrackedRun
from genre_spark.vision.figures.predicted_posters import (
    PredictedPoster,
    draw_most_certain,
    draw_predicted_posters,
)
from genre_spark.vision.plans.jobs import TrainingJob

_SHOWN, _CERTAIN, _GENRES_PER_PICTURE = 5, 5, 10


def log_pictures(spark: SparkSession, run: TrackedRun, config: Config, job: TrainingJob) -> None:
    """Log some test posters with their genres, and the most certain posters of each genre."""
    tables = Catalogue(config)
    predictions = tables.predictions(config.cnn.model_name, "test").read(spark)
    samples = tables.samples("test").read(spark)
    samples = samples.select(MOVIE_ID, IMAGE, HEIGHT, WIDTH, CHANNELS, ENCODING)
    shown = predictions.orderBy(F.xxhash64(F.lit(config.seed), MOVIE_ID)).limit(_SHOWN)
    posters = [_poster(row, job.vocabulary) for row in shown.join(samples, MOVIE_ID).collect()]
    if not posters:
        return
    run.log_bytes(encode_figure(draw_predicted_posters(posters)), "pictures/test_posters.png")
    certain = most_certain(predictions, count=_CERTAIN)
    rows = certain.join(
        samples, MOVIE_ID
    ).collect()  # five posters per genre, whatever the data's size
    by_genre = [
        (genre, [_poster(row, job.vocabulary, place) for row in _ranked(rows, place)])
        for place, genre in enumerate(job.vocabulary)
    ]
    for start in range(0, len(by_genre), _GENRES_PER_PICTURE):
        figure = draw_most_certain(by_genre[start : start + _GENRES_PER_PICTURE], columns=_CERTAIN)
        name = f"pictures/most_certain_{start // _GENRES_PER_PICTURE + 1}.png"
        run.log_bytes(encode_figure(figure), name)


def most_certain(predictions: DataFrame, *, count: int) -> DataFrame:
    """Return the rows with the highest probability of each genre.

    Adds `genre` (its position in the vocabulary), `probability` and `rank`.
    """
    exploded = predictions.select(
        MOVIE_ID, LABELS, PROBABILITIES, F.posexplode(PROBABILITIES).alias("genre", "probability")
    )
    best = Window.partitionBy("genre").orderBy(F.desc("probability"), MOVIE_ID)
    return exploded.withColumn("rank", F.row_number().over(best)).where(F.col("rank") <= count)


def _ranked(rows: Sequence[Row], place: int) -> list[Row]:
    return sorted((row for row in rows if row["genre"] == place), key=lambda row: int(row["rank"]))


def _poster(row: Row, vocabulary: Sequence[str], place: int | None = None) -> PredictedPoster:
    pixels = decode_stored(
        row[IMAGE], row[ENCODING], row[HEIGHT], row[WIDTH], row[CHANNELS]
    ).transpose(1, 2, 0)
    order = np.argsort(-np.asarray(row[PROBABILITIES]), kind="stable")
    return PredictedPoster(
        movie_id=row[MOVIE_ID],
        pixels=pixels,
        true=tuple(
            genre for genre, label in zip(vocabulary, row[LABELS], strict=True) if label > 0
        ),
        predicted=tuple(vocabulary[k] for k in order if row[PROBABILITIES][k] >= 0.5),
        probability=0.0 if place is None else float(row[PROBABILITIES][place]),
    )
