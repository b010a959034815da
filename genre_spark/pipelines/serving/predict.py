"""Stage predict: the genres of new movies, by a packaged model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.serving.answers_folder import check_answers_folder, write_answers
from genre_spark.pipelines.serving.find_model import find_movie_model
from genre_spark.pipelines.serving.new_movies import (
    IMAGE_FILE,
    ROW_HASH,
    new_movies,
    rejected_movies,
)
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import MOVIE_ID, MOVIE_PREDICTIONS_SCHEMA, REASON
from genre_spark.serving.local_copy import local_package
from genre_spark.serving.movie_model import INPUTS, MovieModel
from genre_spark.serving.package_description import ModelDescription
from genre_spark.spark.session import count_task_slots, job_progress
from genre_spark.storage.files import file_digest, filesystem
from genre_spark.storage.tables import Table, read_summary
from genre_spark.tracking import TrackedRun
from genre_spark.tracking.movie_models import fetch_package
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.spreading import spread_by
from genre_spark.workers.tasks import short_task

__all__ = ["run"]

_VERSION, _NOTES = "model_version", "notes"
_ROWS = 256  # movies whose posters a worker holds at once
_loaded: dict[str, MovieModel] = {}  # of this worker


def _depends_on(config: Config) -> list[object]:
    if config.paths.new is None:
        raise InvalidConfigError(
            "paths.new: not set, expected a folder of movies without genres, or a Parquet table"
        )
    check_answers_folder(config)
    system, inner = filesystem(config.paths.new)
    stamp = file_digest(config.paths.new) if system.exists(inner) else "missing"
    return [config.paths.new, stamp, config.model]


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [Catalogue(config).movie_predictions],
    always=True,
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Predict the movies that are new or changed, or that another model has predicted before.

    Counts: movies; those that were predicted now; those with something that could not be used.
    """
    place, started = str(config.paths.new), datetime.now(timezone.utc)
    folder = find_movie_model(config)
    description = ModelDescription.load(folder)
    tracked.log_params({"model": description.name, "model_version": description.version})
    tracked.log_params({"rule": description.rule, "new": place})
    rejected = _write_rejects(spark, config, place, tracked.digest)
    movies = new_movies(spark, place)
    table = Catalogue(config).movie_predictions
    before = read_summary(table.path)
    kept, wanted = _what_is_left(spark, movies, table, description.version)
    with job_progress(spark, f"genres by {description.name}"), worker_errors():
        source = (config.model or "", tracked.tracking_uri)
        predicted = _predict(wanted, folder, description, source)
        written = predicted if kept is None else kept.unionByName(predicted)
        manifest = table.write(
            written, fingerprint=tracked.digest, details={"model_version": description.version}
        )
    whole = table.read(spark)
    facts = whole.agg(
        F.count_if(F.col("predicted_at") >= F.lit(started)).alias("now"),
        F.count_if(F.size(_NOTES) > 0).alias("noted"),
    ).first()
    outputs = {"predictions": table.path, "rejects": config.paths.rejects("new")}
    if config.paths.new_csv is not None:
        write_answers(whole, config.paths.new_csv)
        outputs["csv"] = config.paths.new_csv
    now, noted = (int(facts["now"]), int(facts["noted"])) if facts else (0, 0)
    return StageResult(
        outputs=outputs,
        counts={
            "movies": manifest.rows,
            "predicted": now,
            "with notes": noted,
            **{f"rejected/{reason}": count for reason, count in rejected.items()},
        },
        notes=(f"model {description.name}, version {description.version}",),
        reused=now == 0 and before is not None and before.rows == manifest.rows,
    )


def _what_is_left(
    spark: SparkSession, movies: DataFrame, table: Table, version: str
) -> tuple[DataFrame | None, DataFrame]:
    """Return the predictions that stand, None where there are none, and the movies to predict."""
    if not table.is_whole():
        return None, movies
    standing = table.read(spark).where(F.col(_VERSION) == version)
    keys = movies.select(MOVIE_ID, ROW_HASH)
    kept = standing.join(keys, [MOVIE_ID, ROW_HASH], "left_semi")
    kept = kept.select(*MOVIE_PREDICTIONS_SCHEMA.fieldNames())
    return kept, movies.join(kept.select(MOVIE_ID, ROW_HASH), [MOVIE_ID, ROW_HASH], "left_anti")


def _predict(
    movies: DataFrame, folder: str, description: ModelDescription, source: tuple[str, str]
) -> DataFrame:
    """Return the answers of a package, which workers elsewhere fetch from where it came.

    Args:
        movies: of `new_movies`.
        folder: folder of the package; a temporary one of the driver where it came from MLflow.
        description: of the package.
        source: the recipe's `model`, and the address of MLflow's store.
    """
    name, version = description.name, description.version
    fetched = source[0].startswith(("models:", "runs:"))

    def open_model() -> MovieModel:
        model = _loaded.get(version)
        if model is None:
            _loaded.clear()
            missing = fetched and not Path(folder).exists()
            place = fetch_package(*source) if missing else local_package(folder, version)
            model = MovieModel(place)
            if model.description.version != version:
                raise InvalidInputError(f"model: {source[0]} has become another version meanwhile")
            _loaded[version] = model
        return model

    def predict(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:  # a task without a movie opens no model
            for start in range(0, len(batch), _ROWS):
                rows = batch.iloc[start : start + _ROWS].reset_index(drop=True)
                yield _answer(open_model(), rows, name)

    # Spark would put few rows into one partition, since it knows nothing of the posters
    session = movies.sparkSession
    usual = str(session.conf.get("spark.sql.shuffle.partitions"))  # Databricks knows "auto" too
    partitions = max(count_task_slots(session), int(usual) if usual.isdigit() else 0)
    spread = spread_by(movies, MOVIE_ID, partitions)
    return spread.mapInPandas(short_task(predict), MOVIE_PREDICTIONS_SCHEMA)


def _answer(model: MovieModel, rows: pd.DataFrame, name: str) -> pd.DataFrame:
    fields = rows[[column for column in INPUTS if column in rows.columns]]
    if IMAGE_FILE in rows.columns:
        images = [_read_image(file) for file in rows[IMAGE_FILE]]
        fields = fields.assign(image=pd.Series(images, fields.index, dtype=object))
    answers = model.predict(fields).as_frame()
    return pd.DataFrame(
        {
            MOVIE_ID: rows[MOVIE_ID],
            "name": rows["name"] if "name" in rows.columns else None,
            "genres": answers["genres"],
            "probabilities": answers["probabilities"],
            _NOTES: answers["notes"],
            "model": name,
            _VERSION: answers["model_version"],
            "predicted_at": pd.Timestamp.now(tz="UTC"),
            ROW_HASH: rows[ROW_HASH],
        }
    )


def _read_image(file: object) -> bytes | None:
    if file is None:
        return None
    path = str(file["path"])  # type: ignore[index]  # a Row or a dict, by Spark's version
    system, inner = filesystem(path.removeprefix("file:"))
    with system.open(inner, "rb") as stream:
        return bytes(stream.read())


def _write_rejects(
    spark: SparkSession, config: Config, place: str, fingerprint: str
) -> dict[str, int]:
    """Write what of the catalogue cannot be used; return how many rows and files, by reason."""
    table = Catalogue(config).rejects("new")
    table.write(rejected_movies(spark, place), fingerprint=fingerprint)
    counted = table.read(spark).groupBy(REASON).count().orderBy(REASON).collect()
    return {row[REASON]: row["count"] for row in counted}
