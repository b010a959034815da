"""Many processes that train one network, started by Spark's TorchDistributor."""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict

import torch
import torch.distributed as dist
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from genre_spark.errors import InvalidConfigError, StageFailedError
from genre_spark.progress import hand_over, show_progress
from genre_spark.storage.files import remove_folder
from genre_spark.vision.devices import choose_device
from genre_spark.vision.executors import ExecutorDistributor, check_executors
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import Report, TrainingOutcome
from genre_spark.vision.storage import load_tensors, save_tensors
from genre_spark.vision.training.poster_training import run_job
from genre_spark.workers.errors import find_error_class

__all__ = ["choose_backend", "train_together"]

logger = logging.getLogger("genre_spark")

# timeout of a collective: a rank may have to wait for another one's first batch
_TIMEOUT = datetime.timedelta(minutes=30)


def train_together(job: TrainingJob, *, report: Report | None = None) -> TrainingOutcome:
    """Train with as many processes as the job's settings say, and return when all are done.

    On executors each process is a barrier task of the active Spark session.

    Args:
        job: training to run; all processes must see its files.
        report: function that is called after every epoch in the first process; it must be
            picklable.

    Raises:
        GenreSparkError: the error of the process that failed first; the next run continues from the
            last checkpoint.
    """
    where = job.settings.distribution
    errors = f"{job.checkpoints}/errors"
    remove_folder(errors)
    local = where.where == "local"
    # On this machine each process finds its GPU by its local rank. TorchDistributor would ask Spark
    # for the driver's GPUs, which it only knows where spark.driver.resource.gpu.* is configured; no
    # local session has that.
    start: Callable[..., object]
    if local:
        backend = choose_backend(job)
        start = TorchDistributor(where.processes, local_mode=True, use_gpu=False).run
    else:
        spark = SparkSession.active()
        check_executors(spark, where)
        backend = where.backend.replace("auto", "gloo")
        gpus = backend == "nccl"
        start = ExecutorDistributor(where.processes, spark, use_gpu=gpus).train
    # what the processes write comes here; standard output belongs to the stage's result
    output = _Tail()
    with contextlib.redirect_stdout(output), hand_over():  # the first process shows how far it is
        try:
            start(_run_rank, job, backend, report)
        except Exception as error:
            raise _explain(f"{error}\n{output.text()}", errors, where.processes) from error
    found = load_tensors(_outcome_file(job))
    if found is None:
        raise StageFailedError(
            f"{_outcome_file(job)}: missing; expected distribution.where=executors to share a disk"
        )
    return TrainingOutcome.revive(found)


def choose_backend(job: TrainingJob) -> str:
    """Return the backend for this machine: nccl where each process has its own GPU, else gloo.

    Raises:
        InvalidConfigError: nccl for more processes than there are GPUs.
    """
    where = job.settings.distribution
    gpus = (
        torch.cuda.device_count()
        if job.settings.device != "cpu" and torch.cuda.is_available()
        else 0
    )
    if where.backend == "nccl" and where.processes > gpus:
        raise InvalidConfigError(
            f"cnn.distribution.backend: nccl for {where.processes} processes on {gpus} GPUs, "
            "expected a GPU for each process, or auto"
        )
    if where.backend != "auto":
        return where.backend
    return "nccl" if 0 < where.processes <= gpus else "gloo"


def _outcome_file(job: TrainingJob) -> str:
    return f"{job.checkpoints}/outcome.pt"


def _run_rank(job: TrainingJob, backend: str, report: Report | None) -> None:
    """Run one of the processes; torchrun has set RANK, WORLD_SIZE and the master's address.

    The outcome goes to a file: every process of TorchDistributor writes what its function returns
    to the same place, and only the first one's is wanted.
    """
    _end_with_parent()
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.setLevel(logging.INFO)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if backend == "nccl":
        torch.cuda.set_device(choose_device(job.settings.device, local_rank=local_rank))
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        with show_progress("training") if rank == 0 else contextlib.nullcontext():
            outcome = run_job(job, rank=rank, size=size, local_rank=local_rank, report=report)
        if rank == 0:
            save_tensors(_outcome_file(job), asdict(outcome))
    except BaseException as error:
        # the others then fail too, since they wait for this one; the first error is the one to show
        kind = type(error).__name__
        save_tensors(
            f"{job.checkpoints}/errors/rank-{rank}.pt",
            {"rank": rank, "kind": kind, "text": str(error)},
        )
        raise
    finally:
        dist.destroy_process_group()


def _end_with_parent() -> None:
    """End this process soon after torchrun has ended, which is killed when it does not end at once.

    It would train on alone, and write checkpoints beside those of the next run.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent != 1:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Tail(io.TextIOBase):
    """Passes text on to standard error and remembers its end."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[str] = deque(maxlen=1000)

    def write(self, text: str) -> int:
        self._pieces.append(text)
        return sys.stderr.write(text)

    def text(self) -> str:
        return "".join(self._pieces)


def _explain(text: str, errors: str, processes: int) -> Exception:
    """Return the error of a process as it was raised there, or what is known about its end.

    A process that loses its neighbour fails too, so one that was killed is the one to report.
    torchrun's summary has its signal, where it has arrived: torchrun itself ends the others with
    SIGTERM. A process that was killed also leaves no error of its own.
    """
    advice = "run the stage again to continue from the last checkpoint"
    if "SPARK-24819" in text:  # it has waited ten minutes for enough executors
        return StageFailedError(
            f"cnn.distribution.processes: {processes}, expected at most the tasks that the cluster "
            "runs at once: all processes start together, each on a GPU of its own with nccl, and "
            "else on spark.task.cpus cores"
        )
    for rank, signal in re.findall(r"rank\s*:\s*(\d+)[^\n]*\n\s*exitcode\s*:\s*-(\d+)", text):
        if signal != "15":
            return StageFailedError(
                f"process {rank} of {processes} was killed by signal {signal}; {advice}"
            )
    found = [load_tensors(f"{errors}/rank-{rank}.pt") for rank in range(processes)]
    # an error of this package is the cause; the others only say that a process was lost
    for state in found:
        kind = find_error_class(state["kind"]) if state else None
        if state and kind:
            return kind(f"process {state['rank']} of {processes}: {state['text']}")
    silent = [rank for rank, state in enumerate(found) if not state]
    reported = [state for state in found if state]
    if reported and silent:
        return StageFailedError(
            f"process {silent[0]} of {processes} ended without an error (was it killed?); {advice}"
        )
    if reported:
        rank, message = reported[0]["rank"], reported[0]["text"]
        return StageFailedError(f"process {rank} of {processes}: {message}")
    return StageFailedError(f"training with {processes} processes failed: {text[-2000:]}")
