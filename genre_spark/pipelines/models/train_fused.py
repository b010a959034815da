"""Stage train-fused: a network over posters, texts and metadata, any of which may be missing."""

from __future__ import annotations

import logging
from dataclasses import asdict

from pyspark.sql import DataFrame, SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.network.tables import fit_inputs, fused_rows, predict_fused
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.model_inputs import feature_input, sample_inputs
from genre_spark.pipelines.model_settings import fused_settings
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import LABELS, MOVIE_ID, WEIGHT
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import join, remove_folder
from genre_spark.tracking import CurveLogger, TrackedRun, log_data_inputs, model_run
from genre_spark.vision.figures.training_curves import draw_curves
from genre_spark.vision.plans.jobs import FusedTraining
from genre_spark.vision.plans.outcomes import EpochRecord, TrainingOutcome
from genre_spark.vision.plans.sample_facts import count_labels
from genre_spark.vision.training.launch import prepared_training
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.own_process import run_in_own_process
from genre_spark.workers.spreading import spread_by

__all__ = ["run"]

logger = logging.getLogger("genre_spark")
_SPLITS = ("train", "validation", "test")
_ROWS_PER_FILE = 20_000
_FIT = "genre_spark.fusion.network.fitting:fit_fused"


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    read = [tables.features, *(tables.samples(split) for split in _SPLITS)]
    settings = fused_settings(config).model_dump(mode="json", exclude={"threads", "device"})
    return [config.seed, settings, [table.manifest().fingerprint for table in read]]


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [
        Catalogue(config).predictions(fused_settings(config).name, split) for split in _SPLITS[1:]
    ],
    logs_metrics=False,
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Train the network on the training sample, keep the best epoch, predict validation and test.

    Counts: training movies, epochs, the best epoch. Metrics: the best epoch's on validation, at
    threshold 0.5.
    """
    settings = fused_settings(config)
    specification = FeatureSpecification.load(config.paths.model("features"))
    missing = [
        block
        for blocks in settings.parts.values()
        for block in blocks
        if block not in specification.blocks
    ]
    if missing:
        raise InvalidConfigError(
            f"fused_network.parts: {missing[0]} has no feature, expected blocks of "
            f"{', '.join(specification.blocks)}"
        )
    with model_run(
        tracked, settings.name, family="fused", method="fused_network", tags={"stage": run.name}
    ) as child:
        child.log_params({**settings.model_dump(mode="json"), "seed": config.seed})
        log_data_inputs(child, [*sample_inputs(config), feature_input(config)])
        with prepared_training():
            outcome = _train(spark, config, tracked, child, specification)
        _predict(spark, config, specification, digest=tracked.digest, run_id=child.run_id)
    best = next(record for record in outcome.history if record.epoch == outcome.best_epoch)
    names = ("validation_loss", "hamming_loss", "micro_f1", "macro_f1")
    return StageResult(
        outputs={settings.name: config.paths.model(settings.name)},
        counts={
            "training_movies": Catalogue(config).fused_inputs("train").manifest().rows,
            "epochs": len(outcome.history),
            "best_epoch": outcome.best_epoch + 1,
        },
        metrics={f"validation/{name}": getattr(best, name) for name in names},
    )


def _train(
    spark: SparkSession,
    config: Config,
    tracked: TrackedRun,
    child: TrackedRun,
    specification: FeatureSpecification,
) -> TrainingOutcome:
    """Write the inputs, train, and save the model and the curves of its training."""
    settings, tables = fused_settings(config), Catalogue(config)
    vocabulary = tuple(tables.samples("train").manifest().details["vocabulary"])
    with job_progress(spark, "inputs of the fused network"), worker_errors():
        inputs = fit_inputs(_with_features(spark, config, "train"), specification, settings.parts)
        for split in _SPLITS[:2]:
            # the order of batches depends on the files: dealt by movie, into as many as rows need
            count = 1 + tables.samples(split).manifest().rows // _ROWS_PER_FILE
            rows = fused_rows(_with_features(spark, config, split), specification, inputs)
            dealt = spread_by(rows, MOVIE_ID, count).sortWithinPartitions(MOVIE_ID)
            tables.fused_inputs(split).write(dealt, fingerprint=tracked.digest)
    files = {split: tables.fused_inputs(split).files() for split in _SPLITS[:2]}
    checkpoints = join(config.paths.table("checkpoints"), settings.name)
    if tracked.force:
        remove_folder(join(checkpoints, tracked.digest))
    job = FusedTraining(
        settings,
        config.seed,
        (files["train"], files["validation"]),
        inputs.sizes,
        count_labels(files["train"], len(vocabulary)),
        join(checkpoints, tracked.digest),
        config.cnn.feed.reader,
    )
    logger.info("  %s: training on %d movies", settings.name, job.facts.rows)
    curves = CurveLogger(child.tracking_uri, child.run_id)

    def report(record: EpochRecord) -> None:
        values = {name: value for name, value in asdict(record).items() if name != "epoch"}
        curves(record.epoch, {f"epoch/{name}": value for name, value in values.items()})

    label = f"the training of {settings.name}"
    outcome: TrainingOutcome = run_in_own_process(
        label, _FIT, job, inputs, vocabulary, _file(config), report=report
    )
    figure = draw_curves(outcome.history, title=settings.name, best_epoch=outcome.best_epoch)
    child.log_figure(figure, "curves.png")
    remove_folder(checkpoints, keep=tracked.digest)
    return outcome


def _predict(
    spark: SparkSession,
    config: Config,
    specification: FeatureSpecification,
    *,
    digest: str,
    run_id: str,
) -> None:
    settings, tables = fused_settings(config), Catalogue(config)
    details = {
        "vocabulary": list(tables.samples("train").manifest().details["vocabulary"]),
        "family": "fused",
        "method": "fused_network",
        "themes": any("themes" in blocks for blocks in settings.parts.values()),
        "run_id": run_id,
    }
    for split in _SPLITS[1:]:
        rows = _with_features(spark, config, split)
        with job_progress(spark, f"predictions for {split}"), worker_errors():
            predicted = predict_fused(rows, specification, _file(config), version=run_id)
            tables.predictions(settings.name, split).write(
                predicted, fingerprint=digest, details=details
            )


def _file(config: Config) -> str:
    return join(config.paths.model(fused_settings(config).name), "fused.pt")


def _with_features(spark: SparkSession, config: Config, split: str) -> DataFrame:
    tables = Catalogue(config)
    samples = tables.samples(split).read(spark).select(MOVIE_ID, LABELS, WEIGHT)
    return samples.join(tables.features.read(spark), MOVIE_ID)
