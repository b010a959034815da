"""A task takes the GPU that Spark has assigned to it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from genre_spark.workers import gpus
from tests.cluster import run_on_cluster, start_cluster

TASKS = """
import os
import pyarrow as pa
from pyspark.sql import SparkSession
from genre_spark.workers.gpus import gpu_of_task

spark = (
    SparkSession.builder.master(os.environ["SPARK_MASTER"])
    .config("spark.executor.cores", "1").config("spark.executor.memory", "512m")
    .config("spark.executor.resource.gpu.amount", "1").config("spark.task.resource.gpu.amount", "1")
    .config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false").getOrCreate()
)

def ask(batches):
    for batch in batches:
        answer = {"gpu": [gpu_of_task()], "executor": [os.getcwd()]}
        yield pa.RecordBatch.from_pydict(answer)

rows = spark.range(0, 12, 1, 12).mapInArrow(ask, "gpu long, executor string").collect()
print(sorted({(row["executor"].rsplit("/", 1)[-1], row["gpu"]) for row in rows}))
spark.stop()
"""


def task(monkeypatch, addresses: list[str] | None, partition: int = 5) -> None:
    resources = {} if addresses is None else {"gpu": SimpleNamespace(addresses=addresses)}
    context = SimpleNamespace(resources=lambda: resources, partitionId=lambda: partition)
    monkeypatch.setattr(gpus.TaskContext, "get", lambda: context)


@pytest.mark.parametrize(
    ("addresses", "visible", "expected"),
    [
        (["1"], None, 1),
        (["3"], "2,3", 1),  # CUDA sees two of the machine's, and counts from 0
        (["GPU-b"], "GPU-a,GPU-b", 1),
        (["MIG-x"], None, 0),
        ([], None, 5),
        (None, None, 5),
    ],
)
def test_the_assigned_address_is_what_cuda_counts(monkeypatch, addresses, visible, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    task(monkeypatch, addresses)
    assert gpus.gpu_of_task() == expected


def test_outside_of_tasks_it_is_the_first(monkeypatch):
    monkeypatch.setattr(gpus.TaskContext, "get", lambda: None)
    assert (gpus.assigned_gpu(), gpus.gpu_of_task()) == (None, 0)


@pytest.mark.slow
def test_executors_of_a_machine_use_a_gpu_each(tmp_path):
    with start_cluster(tmp_path, workers=1, cores=2, memory="2g", gpus=2) as master:
        answer = run_on_cluster(TASKS, master=master)
    assert answer.strip().splitlines()[-1] == "[('0', 0), ('1', 1)]"
