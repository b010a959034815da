"""Stage predict-posters: genres of every poster in the posters table, whether its genres are known or not."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import MissingTableError
from genre_spark.io import file_digest, filesystem, join, read_json, require_manifest, table_files, write_table
from genre_spark.pipelines.stage import StageResult, stage, stage_record
from genre_spark.session import job_progress
from genre_spark.tracking import TrackedRun
from genre_spark.vision.prediction import predict_posters
from genre_spark.vision.storage import load_tensors


@dataclass(frozen=True)
class PredictPostersResult(StageResult):
    """Counts: posters."""


def _model_file(config: Config) -> str:
    file = join(config.paths.model(config.cnn.model_name), "network.pt")
    system, inner = filesystem(file)
    if not system.exists(inner):
        raise MissingTableError(f"{file}: no such model yet; expected the output of `genre-spark train-cnn`")
    return file


def _depends_on(config: Config) -> list[object]:
    posters = require_manifest(config.paths.posters_table, made_by="prepare-posters")
    return [posters.fingerprint, file_digest(_model_file(config)), config.cnn.model_name]


def _table(config: Config) -> str:
    return config.paths.predictions(config.cnn.model_name, "posters")


@stage("predict-posters", depends_on=_depends_on, outputs=lambda config: [_table(config)])
def run(spark: SparkSession, config: Config, run: TrackedRun) -> PredictPostersResult:
    """Predict with the trained network of the recipe; labels are empty in the result."""
    file = _model_file(config)
    state = load_tensors(file) or {}
    trained = read_json(stage_record(config, "train-cnn")) or {}
    details = {
        "vocabulary": state["vocabulary"],
        "family": "cnn",
        "method": state["architecture"],
        "run_id": (trained.get("result") or {}).get("run_id"),
    }
    predictions = predict_posters(
        spark,
        table_files(config.paths.posters_table, made_by="prepare-posters"),
        file,
        version=run.digest,
        labels=None,
        batch_size=config.embeddings.batch_size,
        threads=config.embeddings.threads,
        device=config.cnn.device,
    )
    with job_progress(spark, "predictions for all posters"):
        manifest = write_table(
            predictions,
            _table(config),
            name=f"predictions of {config.cnn.model_name} on all posters",
            fingerprint=run.digest,
            details=details,
        )
    return PredictPostersResult(
        stage="predict-posters", outputs={"predictions": _table(config)}, counts={"posters": manifest.rows}
    )
