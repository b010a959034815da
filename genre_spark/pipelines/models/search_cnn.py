"""Stage search-cnn: learning rate and dropout of the poster network, drawn by Optuna."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from genre_spark.extras import require

require("torch", "torchvision", "optuna")  # before torch is imported, which takes seconds

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.models.network_plan import plan_training
from genre_spark.pipelines.network_settings import training_settings
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.files import join, remove_folder, write_json
from genre_spark.tracking import TrackedRun, TrialLogger
from genre_spark.vision.plans.outcomes import EpochRecord
from genre_spark.vision.training.hyperparameter_search import SearchOutcome, TrialEnd, search

_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class LoggedTrials:
    """Sends the epochs of trials to MLflow, from whichever process runs them."""

    trials: TrialLogger

    def __call__(
        self, number: int, settings: dict[str, float], record: EpochRecord | TrialEnd
    ) -> None:
        """Log an epoch, or close the trial's run after the last one."""
        if isinstance(record, str):
            self.trials.close(number, settings, record)
            return
        values = {
            f"epoch/{name}": value for name, value in asdict(record).items() if name != "epoch"
        }
        self.trials.log(number, settings, record.epoch, values)


def _search_folder(config: Config) -> str:
    return config.paths.table("search", config.cnn.model_name)


def _depends_on(config: Config) -> list[object]:
    tables = [Catalogue(config).samples(split).manifest().fingerprint for split in _SPLITS]
    return [
        training_settings(config),
        config.search.model_dump(mode="json", exclude={"trials", "parallelism"}),
        tables,
    ]


@stage(depends_on=_depends_on, outputs=lambda _: [], always=True)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Run the trials that the study still lacks, and say which settings were best.

    Counts: trials. Metrics: the lowest validation loss and the settings that gave it.
    """
    if "://" in config.paths.work:
        raise InvalidConfigError(
            f"paths.work: {config.paths.work}, expected a local or mounted folder for a search"
        )
    tracked.log_params(
        {"search": config.search.model_dump(mode="json"), "architecture": config.cnn.architecture}
    )
    job = plan_training(spark, config, digest=f"search-{tracked.digest}")
    folder = join(_search_folder(config), tracked.digest)
    if tracked.force:
        remove_folder(folder)
    logged = LoggedTrials(TrialLogger(tracked.tracking_uri, tracked.experiment_id, tracked.run_id))
    outcome = search(spark, job, config.search, folder, report=logged)
    write_json(
        join(_search_folder(config), "best.json"),
        {**outcome.best, "validation_loss": outcome.best_loss},
    )
    return StageResult(
        outputs={"study": folder},
        counts={"trials": outcome.trials, "pruned": outcome.pruned},
        metrics={"validation/validation_loss": outcome.best_loss, **outcome.best},
        notes=(_advice(outcome),),
    )


def _advice(outcome: SearchOutcome) -> str:
    words = " ".join(f"cnn.{name}={value:.6g}" for name, value in outcome.best.items())
    return f"train with the best settings: genre-spark train-cnn --config FILE {words}"
