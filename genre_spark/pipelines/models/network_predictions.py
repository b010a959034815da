"""Predictions tables of a trained network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID
from genre_spark.vision.inference.prediction import predict_features, predict_posters
from genre_spark.vision.plans.jobs import TrainingJob


def prediction_writes(
    spark: SparkSession, config: Config, job: TrainingJob, *, digest: str, run_id: str
) -> dict[str, Callable[[], object]]:
    """Return table -> what predicts validation or test with Spark and writes it."""
    name = config.cnn.model_name
    details = {
        "vocabulary": list(job.vocabulary),
        "family": "cnn",
        "method": config.cnn.architecture,
        "run_id": run_id,
    }

    def write(split: str) -> None:
        predictions = _predict(spark, config, job, split, version=run_id)
        table = Catalogue(config).predictions(name, split)
        table.write(predictions, fingerprint=digest, details=details)

    return {split: partial(write, split) for split in ("validation", "test")}


def _predict(
    spark: SparkSession, config: Config, job: TrainingJob, split: str, *, version: str
) -> DataFrame:
    """Return predictions.

    Workers keep a network by its version, and a forced training has the digest of the last.
    """
    samples = Catalogue(config).samples(split)
    if job.embedded is not None and not config.cnn.fine_tune.epochs:
        known = samples.read(spark).select(MOVIE_ID, LABELS)
        features = Catalogue(config).embeddings.read(spark)
        check_features(known, features, samples.path)
        return predict_features(
            known.join(features, MOVIE_ID), job.model_file, version=version, column=FEATURES
        )
    return predict_posters(
        spark,
        samples.files(),
        job.model_file,
        version=version,
        labels=len(job.vocabulary),
        batch_size=config.embeddings.batch_size,
        threads=config.embeddings.threads,
        device=config.cnn.device,
        states=samples.states(),
        decoders=config.embeddings.decoders,
    )


def check_features(samples: DataFrame, features: DataFrame, table: str) -> None:
    """Check that every sample has features: a join would leave the others out without a word."""
    missing = samples.join(features.select(MOVIE_ID), MOVIE_ID, "left_anti")
    row = missing.agg(F.count(MOVIE_ID).alias("count"), F.min(MOVIE_ID).alias("first")).first()
    if row is not None and row["count"]:
        raise InvalidInputError(
            f"{table}: {row['count']} samples have no embedding (movie {row['first']}, ...), "
            "expected the embeddings of the posters that were sampled: run `genre-spark "
            "poster-embeddings` again"
        )
