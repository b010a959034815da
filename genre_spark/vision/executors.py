"""TorchDistributor on executors: what it needs of the cluster, and a GPU for each process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from genre_spark.config.cnn import DistributionConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.spark.gpu_stages import gpu_amount, gpu_stage

__all__ = ["ExecutorDistributor", "check_executors"]

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def check_executors(spark: SparkSession, where: DistributionConfig) -> None:
    """Check before anything starts what a training on executors needs of the session.

    Raises:
        InvalidConfigError: executors come and go (dynamic allocation), or nccl has no GPUs.
    """
    dynamic = "spark.dynamicAllocation.enabled"
    if str(spark.conf.get(dynamic, None) or "false").lower() == "true":
        raise InvalidConfigError(
            f"cnn.distribution.where: executors with {dynamic}=true, expected false: the "
            f"{where.processes} processes start together or not at all (a barrier stage), and "
            "Spark does not ask for executors on behalf of such a stage; set it to false for "
            "this job, with spark.executor.instances, or take distribution.where: local"
        )
    if where.backend == "nccl" and not gpu_amount(spark):
        raise InvalidConfigError(
            "cnn.distribution.backend: nccl without spark.executor.resource.gpu.amount, expected "
            "executors whose GPUs Spark knows of (conf/spark/gpu.conf), or gloo"
        )
    task = "spark.task.resource.gpu.amount"
    amount = str(spark.conf.get(task, None) or "0")
    if where.backend == "nccl" and not gpu_stage(spark) and not amount.isdigit():
        raise InvalidConfigError(
            f"{task}: {amount}, expected 1 for a training with nccl where a stage cannot ask for "
            "GPUs of its own: before Spark 4.0, in local mode and on Databricks"
        )


class ExecutorDistributor(TorchDistributor):
    """TorchDistributor whose tasks have a whole GPU each, whatever the session's tasks have.

    The one of Spark takes `spark.task.resource.gpu.amount` for the GPUs of a process: with the
    fraction that lets other stages keep all cores, it fails. Its stage takes no resource profile
    either, but a stage has the profile of the rows that it reads.
    """

    def __init__(self, processes: int, spark: SparkSession, *, use_gpu: bool) -> None:
        self._stage = gpu_stage(spark) if use_gpu else {}
        super().__init__(processes, local_mode=False, use_gpu=use_gpu)

    def _get_num_tasks(self) -> int:
        return self.num_processes if self._stage else super()._get_num_tasks()

    def _create_input_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._create_input_params()
        parameters.pop("_stage")  # it goes to executors, and a profile belongs to the driver's JVM
        return parameters

    def train(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run a function in every process and wait for all of them."""
        if not self._stage:
            self.run(function, *arguments)
            return
        numbers = self.spark.range(0, self.num_processes, 1, self.num_processes)
        self._train_on_dataframe(
            function, numbers.mapInArrow(_same, "id long", **self._stage), *arguments
        )

    def _get_spark_task_function(self, *arguments: Any, **others: Any) -> Callable[..., Any]:
        return _leaving_no_trace(super()._get_spark_task_function(*arguments, **others))


def _same(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def _leaving_no_trace(task: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Return the task of TorchDistributor for a Python worker that runs other tasks later.

    It sets CUDA_VISIBLE_DEVICES for its process, where the next task of the worker, which may have
    another GPU, would find it.
    """

    def run(rows: Any) -> Iterator[Any]:
        before = os.environ.get(_VISIBLE)
        try:
            yield from task(rows)
        finally:
            if before is None:
                os.environ.pop(_VISIBLE, None)
            else:
                os.environ[_VISIBLE] = before

    return run
