"""Stage train-cnn: a poster network trained on the samples, and its predictions."""

from __future__ import annotations

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.extras import require
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.network_settings import training_settings
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun, model_run

require("torch", "torchvision")  # said here, and imported when there is something to train

_SPLITS = ("train", "validation", "test")


def _depends_on(config: Config) -> list[object]:
    tables = [Catalogue(config).samples(split).manifest().fingerprint for split in _SPLITS]
    return [config.cnn.model_name, training_settings(config), tables]


def _outputs(config: Config) -> list[Table]:
    return [Catalogue(config).predictions(config.cnn.model_name, split) for split in _SPLITS[1:]]


@stage(depends_on=_depends_on, outputs=_outputs, logs_metrics=False)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Train the configured network, keep the best epoch, predict validation and test.

    Counts: samples, epochs, the best epoch. Metrics: the best epoch's on validation, at threshold
    0.5.
    """
    from genre_spark.pipelines.models.network_training import (  # noqa: PLC0415 - torch, seconds
        train_network,
    )

    name, method = config.cnn.model_name, config.cnn.architecture
    with model_run(tracked, name, family="cnn", method=method, tags={"stage": run.name}) as child:
        job, outcome, manifests = train_network(spark, config, tracked, child)
    best = next(record for record in outcome.history if record.epoch == outcome.best_epoch)
    metrics = {
        f"validation/{key}": getattr(best, key)
        for key in ("validation_loss", "hamming_loss", "micro_f1", "macro_f1")
    }
    return StageResult(
        outputs={
            "model": config.paths.model(name),
            **{f"predictions {k}": v for k, v in manifests.items()},
        },
        counts={
            "training_posters": job.facts.rows,
            "epochs": len(outcome.history),
            "best_epoch": outcome.best_epoch + 1,
            "images_per_second": round(best.images_per_second, 1),
        },
        metrics=metrics,
    )
