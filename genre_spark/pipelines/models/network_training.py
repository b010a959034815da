"""The work of the stage train-cnn: one training, its files and its predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial

from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import sample_inputs
from genre_spark.pipelines.models.network_pictures import log_pictures
from genre_spark.pipelines.models.network_plan import plan_training
from genre_spark.pipelines.models.network_predictions import prediction_writes
from genre_spark.pipelines.network_settings import training_note
from genre_spark.progress import counting
from genre_spark.spark.session import job_progress
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.files import join, remove_folder, write_json
from genre_spark.storage.local_copy import local_copy
from genre_spark.tracking import (
    CurveLogger,
    TrackedRun,
    log_data_inputs,
    log_poster_model,
    system_metrics,
)
from genre_spark.vision.figures.training_curves import draw_curves
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import EpochRecord, TrainingOutcome
from genre_spark.vision.training.launch import launch, prepared_training
from genre_spark.workers.errors import worker_errors

__all__ = ["EpochReport", "train_network"]

logger = logging.getLogger("genre_spark")


@dataclass(frozen=True)
class EpochReport:
    """Sends an epoch's numbers to MLflow, from whichever process trains."""

    curves: CurveLogger

    def __call__(self, record: EpochRecord) -> None:
        """Log the numbers at the epoch's step."""
        values = {name: value for name, value in asdict(record).items() if name != "epoch"}
        self.curves(record.epoch, {f"epoch/{name}": value for name, value in values.items()})


def train_network(
    spark: SparkSession, config: Config, tracked: TrackedRun, child: TrackedRun
) -> tuple[TrainingJob, TrainingOutcome, dict[str, str]]:
    """Train and predict; everything about the model goes to its own run, the child."""
    name = config.cnn.model_name
    child.log_params(
        {
            "cnn": config.cnn.model_dump(mode="json"),
            "seed": config.seed,
            "sampling": config.sampling.model_dump(mode="json"),
        }
    )
    log_data_inputs(child, sample_inputs(config))
    checkpoints = join(config.paths.table("checkpoints"), name)
    if tracked.force:
        remove_folder(join(checkpoints, tracked.digest))
    with prepared_training() if config.cnn.distribution.alone else nullcontext():
        job = plan_training(spark, config, digest=tracked.digest)
        logger.info(
            "  %s: training on %d posters, %d genres", name, job.facts.rows, len(job.vocabulary)
        )
        report = EpochReport(CurveLogger(child.tracking_uri, child.run_id))
        with system_metrics(child):
            outcome = launch(job, report=report)
    write_json(training_note(config), {"run_id": child.run_id, "digest": tracked.digest})
    tables = _predict_and_log(spark, config, job, outcome, child, digest=tracked.digest)
    log_pictures(spark, child, config, job)
    remove_folder(checkpoints, keep=tracked.digest)
    return job, outcome, tables


def _predict_and_log(
    spark: SparkSession,
    config: Config,
    job: TrainingJob,
    outcome: TrainingOutcome,
    run: TrackedRun,
    *,
    digest: str,
) -> dict[str, str]:
    """Predict validation and test while MLflow copies files; return split -> table."""
    tables = Catalogue(config)
    writes = prediction_writes(spark, config, job, digest=digest, run_id=run.run_id)
    rows = sum(tables.samples(split).manifest().rows for split in writes)
    at_once: list[Callable[[], object]]
    at_once = [partial(_log_training, run, job, outcome, config.cnn.model_name), *writes.values()]
    with (
        job_progress(spark, "predictions"),
        counting("posters", rows, by_tasks=True),
        worker_errors(),
    ):
        run_in_threads(spark, at_once, parallelism=len(at_once))
    return {split: tables.predictions(config.cnn.model_name, split).path for split in writes}


def _curves(outcome: TrainingOutcome, name: str) -> Figure:
    return draw_curves(
        outcome.history, title=name, best_epoch=outcome.best_epoch, head_epochs=outcome.head_epochs
    )


def _log_training(run: TrackedRun, job: TrainingJob, outcome: TrainingOutcome, name: str) -> None:
    run.log_figure(_curves(outcome, name), "curves.png")
    phases = (
        [""]
        if job.embedded is None
        else ["/head", *(["/top"] if job.settings.fine_tune.epochs else [])]
    )
    for phase in phases:
        for file in ("best.pt", "last.pt"):
            with local_copy(f"{job.checkpoints}{phase}/{file}") as local:
                run.log_file(local, f"checkpoints{phase}")
    with local_copy(job.model_file) as local:
        uri = log_poster_model(run, str(local), name)
    run.set_tags({"model_uri": uri})
