"""What a stage of a network asks of Spark where executors have GPUs (stage-level scheduling).

The session's own tasks take a small fraction of a GPU each (conf/spark/gpu.conf), so that stages
without a network keep all cores; a stage with one asks for a whole GPU per task and for its share
of the executor's cores.
"""

from __future__ import annotations

import inspect
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from genre_spark.spark.connect import on_databricks

__all__ = ["gpu_amount", "gpu_stage"]

_EXECUTOR, _TASK = "spark.executor.resource.gpu.amount", "spark.task.resource.gpu.amount"


def gpu_amount(spark: SparkSession) -> int:
    """Return how many GPUs an executor has; 0: Spark does not know of any."""
    return int(spark.conf.get(_EXECUTOR, None) or 0)


def gpu_stage(spark: SparkSession, device: str = "auto") -> dict[str, Any]:
    """Return the arguments that give a mapInArrow or mapInPandas one GPU per task.

    Empty, so that tasks have what the session gives each: on executors without GPUs, in local mode
    and on Databricks, which do not change a task's resources by stage, and before Spark 4.0, whose
    DataFrames have no such argument.

    Args:
        spark: the session.
        device: auto, cpu or cuda.
    """
    known = "profile" in inspect.signature(DataFrame.mapInArrow).parameters
    if device == "cpu" or not known or on_databricks():
        return {}
    gpus = gpu_amount(spark)
    if not gpus or str(spark.conf.get("spark.master", None) or "local").startswith("local"):
        return {}
    from pyspark.resource import (  # noqa: PLC0415 - not used before Spark 4.0
        ResourceProfileBuilder,
        TaskResourceRequests,
    )

    cores = int(spark.conf.get("spark.executor.cores", None) or 0) // gpus
    least = int(spark.conf.get("spark.task.cpus", None) or 1)
    requests = TaskResourceRequests().cpus(max(least, cores)).resource("gpu", 1)
    return {"profile": ResourceProfileBuilder().require(requests).build}
