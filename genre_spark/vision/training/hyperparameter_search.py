"""Hyperparameter search with Optuna: resumable, trials one by one or at once on executors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from genre_spark.extras import require

require("optuna")

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState
from pyspark.sql import SparkSession

from genre_spark.config import CnnConfig, SearchConfig
from genre_spark.errors import StageFailedError, TrainingDivergedError
from genre_spark.spark.gpu_stages import gpu_stage
from genre_spark.storage.files import remove_folder
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import EpochRecord, TrainingOutcome
from genre_spark.vision.training.launch import launch_alone
from genre_spark.workers.cores import cores
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.gpus import gpu_of_task
from genre_spark.workers.own_process import kept_process

__all__ = ["SearchOutcome", "TrialEnd", "TrialReport", "search", "share_cores"]

logger = logging.getLogger("genre_spark")

TrialEnd = Literal["complete", "pruned", "diverged", "failed"]
# trial number, settings, an epoch or how the trial ended -> nothing
TrialReport = Callable[[int, dict[str, float], EpochRecord | TrialEnd], None]

Training = Callable[..., TrainingOutcome]  # as `run_job`, in this process or another one

_STUDY = "cnn"


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    Attributes:
        trials: number of trials that finished, over all runs of the search.
        pruned: number of those that were stopped early, or whose loss became NaN or infinite.
        best: settings with the lowest validation loss.
        best_loss: validation loss of these settings.
    """

    trials: int
    pruned: int
    best: dict[str, float]
    best_loss: float


def search(
    spark: SparkSession, job: TrainingJob, config: SearchConfig, folder: str, *, report: TrialReport
) -> SearchOutcome:
    """Run trials until the study has as many as configured; those of an earlier run count.

    The study is a journal file; a trial that was killed, interrupted or failed is run again with
    the same settings, and continues from its checkpoint.

    Args:
        spark: session that runs the trials when several run at once.
        job: training to run; learning rate, dropout and epochs are replaced.
        config: bounds, sampler, pruner, number of trials.
        folder: folder of the study and of the trials' checkpoints; for trials on executors it must
            be on a disk that they see.
        report: function that is called after every epoch of a trial and at its end: here, or where
            the trial runs if that is an executor; it must be picklable then.

    Raises:
        StageFailedError: no trial reached its end.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    Path(folder).mkdir(parents=True, exist_ok=True)
    study = _open_study(folder, config, seed=job.seed)
    _repeat_unfinished(study)
    with kept_process():  # of trials one after the other
        while (left := config.trials - len(_finished(study))) > 0:
            together = min(left, config.parallelism)
            if together == 1:
                study.optimize(_objective(job, config, folder, report, launch_alone), n_trials=1)
            else:
                _run_on_executors(spark, job, config, folder, report, together)
    finished = _finished(study)
    pruned = sum(trial.state == TrialState.PRUNED for trial in finished)
    if pruned == len(finished):
        raise StageFailedError(
            f"search: all {pruned} trials diverged or were stopped early, expected at least one "
            f"that reaches its end: lower search.learning_rate ({config.learning_rate[0]:.3g} to "
            f"{config.learning_rate[1]:.3g}) or set cnn.clip_norm, and raise search.trials"
        )
    best = study.best_trial
    return SearchOutcome(len(finished), pruned, dict(best.params), float(best.value or 0.0))


def _open_study(folder: str, config: SearchConfig, *, seed: int) -> optuna.Study:
    sampler: optuna.samplers.BaseSampler
    done = _count(folder)
    # a sampler starts anew in every process: with the number of trials so far in its seed it does
    # not draw the same again
    if config.sampler == "random":
        sampler = optuna.samplers.RandomSampler(seed=seed + done)
    else:
        sampler = optuna.samplers.TPESampler(
            seed=seed + done, n_startup_trials=5, constant_liar=config.parallelism > 1
        )
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if config.pruner == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1)
    return optuna.create_study(
        storage=_storage(folder),
        study_name=_STUDY,
        sampler=sampler,
        pruner=pruner,
        load_if_exists=True,
    )


def _repeat_unfinished(study: optuna.Study) -> None:
    """Enqueue the settings of trials that an earlier run did not finish."""
    unfinished = (TrialState.RUNNING, TrialState.FAIL)
    planned = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in study.trials
        if trial.state not in unfinished
    ]
    for trial in study.get_trials(states=unfinished):
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.params and trial.params not in planned:
            study.enqueue_trial(trial.params)
            planned.append(trial.params)


def _storage(folder: str) -> JournalStorage:
    return JournalStorage(JournalFileBackend(f"{folder}/study.journal"))


def _count(folder: str) -> int:
    try:
        return len(optuna.load_study(study_name=_STUDY, storage=_storage(folder)).trials)
    except KeyError:
        return 0


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _objective(
    job: TrainingJob,
    config: SearchConfig,
    folder: str,
    report: TrialReport,
    train: Training,
    *,
    place: int = 0,
) -> Callable[[Trial], float]:
    """Return the function that Optuna minimises.

    `train` runs a trial's training, and `place` is the number of the GPU that it takes.
    """

    def run_trial(trial: Trial) -> float:
        drawn = {
            "learning_rate": trial.suggest_float("learning_rate", *config.learning_rate, log=True),
            "dropout": trial.suggest_float("dropout", *config.dropout, step=config.dropout_step),
        }
        settings = job.settings.model_copy(update={**drawn, "epochs": config.epochs})
        name = "-".join(f"{value:.6g}" for value in drawn.values())
        state = f"{folder}/trials/{name}"
        trial_job = replace(
            job, settings=settings, checkpoints=state, model_file=f"{state}/network.pt"
        )
        pruned = False

        def after_epoch(record: EpochRecord) -> bool:
            nonlocal pruned
            report(trial.number, drawn, record)
            trial.report(record.validation_loss, record.epoch)
            pruned = trial.should_prune()
            return pruned

        end: TrialEnd = "failed"
        try:
            outcome = train(trial_job, local_rank=place, report=after_epoch)
            end = "pruned" if pruned else "complete"
        except TrainingDivergedError as error:  # a rate that is too high is a result too
            end = "diverged"
            logger.warning("  trial %d: %s", trial.number, error)
            raise optuna.TrialPruned from error
        finally:
            report(trial.number, drawn, end)
            if end != "failed":
                remove_folder(state)
        if pruned:
            raise optuna.TrialPruned
        return outcome.best_loss

    return run_trial


def share_cores(settings: CnnConfig, *, together: int) -> CnnConfig:
    """Return the settings of one of `together` trials that share this machine's cores."""
    return settings.model_copy(update={"threads": settings.threads or max(1, cores() // together)})


def _run_on_executors(
    spark: SparkSession,
    job: TrainingJob,
    config: SearchConfig,
    folder: str,
    report: TrialReport,
    together: int,
) -> None:
    """Run trials as Spark tasks, one each.

    They share the study through its journal, and a machine's cores.
    """

    def run_task(frames):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        from genre_spark.vision.training.poster_training import run_job  # noqa: PLC0415 - torch

        for frame in frames:
            for number in frame["id"]:
                optuna.logging.set_verbosity(optuna.logging.WARNING)
                study = _open_study(folder, config, seed=job.seed + 1000 * int(number))
                shared = replace(job, settings=share_cores(job.settings, together=together))
                study.optimize(
                    _objective(shared, config, folder, report, run_job, place=gpu_of_task()),
                    n_trials=1,
                )
            yield pd.DataFrame({"id": frame["id"]})

    with worker_errors():
        # one number per trial
        numbers = spark.range(0, together, 1, together)
        stage = gpu_stage(spark, job.settings.device)
        numbers.mapInPandas(run_task, "id long", **stage).collect()
