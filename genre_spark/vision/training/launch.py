"""Where a training runs: in a process of its own, or in many that train one network together.

The driver imports no torch for it. A network, its optimizer and what a batch leaves behind take a
gigabyte, and a GPU's memory belongs to the process that has used it: both are free again at the end
of the training.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import Report, TrainingOutcome
from genre_spark.workers.own_process import prepared_process, run_in_own_process

__all__ = ["TRAINING_MODULES", "launch", "launch_alone", "prepared_training"]

_RUN_JOB = "genre_spark.vision.training.poster_training:run_job"
TRAINING_MODULES = (
    "genre_spark.vision.training.poster_training",
    "torch._dynamo",  # every optimizer of torch asks for it
    "genre_spark.vision.feed.poster_feed",
)


def prepared_training() -> AbstractContextManager[None]:
    """Return a block for a training; its process, whose imports take seconds, starts meanwhile."""
    return prepared_process(TRAINING_MODULES)


def launch(job: TrainingJob, *, report: Report | None = None) -> TrainingOutcome:
    """Train with as many processes as the job's settings say, and return when all are done.

    On executors each process is a barrier task of the active Spark session.

    Args:
        job: training to run; all processes must see its files.
        report: function that is called after every epoch; in the first process, where there are
            several, and it must be picklable then; else in this one.

    Raises:
        GenreSparkError: the error of the process that failed first; the next run continues from the
            last checkpoint.
    """
    if job.settings.distribution.alone:
        return launch_alone(job, report=report)
    from genre_spark.vision.training.distribution import train_together  # noqa: PLC0415 - torch

    return train_together(job, report=report)


def launch_alone(
    job: TrainingJob, *, local_rank: int = 0, report: Report | None = None
) -> TrainingOutcome:
    """Train in a process of its own on this machine.

    Args:
        job: training to run.
        local_rank: number of the GPU that it takes.
        report: function that is called here after every epoch.

    Raises:
        GenreSparkError: see `poster_training.run_job`.
    """
    label = f"the training of {job.settings.model_name}"
    outcome: TrainingOutcome = run_in_own_process(
        label, _RUN_JOB, job, report=report, local_rank=local_rank
    )
    return outcome
