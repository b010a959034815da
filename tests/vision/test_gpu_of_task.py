"""A task takes the GPU that Spark has assigned to it, and a stage of a network asks for one."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
import torch

from genre_spark.config import CnnConfig
from genre_spark.config.cnn import DistributionConfig
from genre_spark.errors import InvalidConfigError, StageFailedError
from genre_spark.spark import gpu_stages
from genre_spark.vision.executors import check_executors
from genre_spark.vision.inference.decoded_posters import count_decoders
from genre_spark.vision.training import poster_training
from genre_spark.vision.training.distribution import _explain
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.workers import gpus, task_device
from tests.cluster import ROOT, run_on_cluster, start_cluster

STAGES = """
import os, sys, time
import pyarrow as pa
from pyspark.sql import SparkSession
from genre_spark.spark.gpu_stages import gpu_stage
from genre_spark.spark.settings import read_spark_conf
from genre_spark.vision.executors import ExecutorDistributor
from genre_spark.workers.gpus import cores_of_task, gpu_of_task

settings = {
    **read_spark_conf(sys.argv[1]),
    "spark.executor.cores": "2",
    "spark.executor.memory": "512m",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "1",
}
builder = SparkSession.builder.master(os.environ["SPARK_MASTER"])
for key, value in settings.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()

def ask(batches):
    for batch in batches:
        started = time.time()
        time.sleep(1)
        answer = {
            "gpu": [gpu_of_task()], "cores": [cores_of_task()], "executor": [os.getcwd()[-1:]],
            "visible": [os.environ.get("CUDA_VISIBLE_DEVICES", "all")],
            "started": [started], "ended": [time.time()],
        }
        yield pa.RecordBatch.from_pydict(answer)

def run(**stage):
    schema = "gpu long, cores long, executor string, visible string, started double, ended double"
    rows = spark.range(0, 8, 1, 8).mapInArrow(ask, schema, **stage).collect()
    together = max(sum(a.started <= b.started < a.ended for a in rows) for b in rows)
    return {
        "together": together,
        "cores": sorted({row.cores for row in rows}),
        "gpus": sorted({(row.executor, row.gpu) for row in rows}),
        "visible": sorted({row.visible for row in rows}),
    }

def note(folder):
    rank = os.environ["RANK"]
    with open(f"{folder}/{rank}", "w") as file:
        file.write(os.environ["CUDA_VISIBLE_DEVICES"])

run()  # until both executors and their workers are there
found = {"other": run(), "network": run(**gpu_stage(spark))}
ExecutorDistributor(2, spark, use_gpu=True).train(note, sys.argv[2])
found["processes"] = sorted(open(f"{sys.argv[2]}/{rank}").read() for rank in "01")
found["after"] = run()["visible"]
try:
    ExecutorDistributor(3, spark, use_gpu=True).train(note, sys.argv[2])
except Exception as error:
    found["too many"] = str(error)[:600]
print(found)
spark.stop()
"""


def task(monkeypatch, addresses: list[str] | None, partition: int = 5) -> None:
    resources = {} if addresses is None else {"gpu": SimpleNamespace(addresses=addresses)}
    context = SimpleNamespace(
        resources=lambda: resources, partitionId=lambda: partition, cpus=lambda: 4
    )
    monkeypatch.setattr(gpus.TaskContext, "get", lambda: context)


def machine(monkeypatch, count: int, visible: str | None = None) -> None:
    """A machine on which CUDA sees so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


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
    machine(monkeypatch, 2, visible)
    task(monkeypatch, addresses)
    assert gpus.gpu_of_task() == expected


def test_outside_of_tasks_it_is_the_first(monkeypatch):
    monkeypatch.setattr(gpus.TaskContext, "get", lambda: None)
    assert (gpus.assigned_gpu(), gpus.gpu_of_task(), gpus.cores_of_task()) == (None, 0, 1)


def test_tasks_without_an_assigned_gpu_take_those_of_the_machine_in_turn(monkeypatch):
    machine(monkeypatch, 4)
    task(monkeypatch, None, partition=6)
    assert task_device.task_device("auto") == torch.device("cuda", 2)
    assert task_device.task_device("cpu") == torch.device("cpu")


def test_a_task_whose_gpu_is_not_there_says_which_and_how_many_are(monkeypatch):
    machine(monkeypatch, 1, "0")
    task(monkeypatch, ["3"])
    message = r"GPU 3 .* CUDA sees 1 here \(CUDA_VISIBLE_DEVICES=0\)"
    with pytest.raises(InvalidConfigError, match=message):
        task_device.task_device("auto")


def test_cuda_without_a_gpu_names_the_setting(monkeypatch):
    machine(monkeypatch, 0)
    task(monkeypatch, ["0"])
    assert task_device.task_device("auto") == torch.device("cpu")
    with pytest.raises(InvalidConfigError, match=r"text_embeddings\.device: 'cuda', expected"):
        task_device.task_device("cuda", setting="text_embeddings.device")


def test_threads_decode_beside_a_gpu_and_not_beside_a_network_on_the_same_cores(monkeypatch):
    task(monkeypatch, ["0"])
    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    assert [count_decoders(None, gpu), count_decoders(None, cpu)] == [4, 0]
    assert [count_decoders(2, gpu), count_decoders(0, gpu), count_decoders(3, cpu)] == [2, 0, 3]


def test_a_feed_has_the_cores_beside_a_gpu_and_two_threads_beside_a_cpu(monkeypatch):
    monkeypatch.setattr(poster_training, "cores", lambda: 12)
    settings = CnnConfig(batch_size=32, distribution={"processes": 2})
    gpu, cpu = (ProcessGroup(0, 2, torch.device(name)) for name in ("cuda:0", "cpu"))
    assert (
        poster_training._count_workers(settings, gpu) == 6
    )  # of each of two processes on this machine
    assert poster_training._count_workers(settings, cpu) == 2


def session(**settings: str) -> SimpleNamespace:
    """A session that has these settings; its keys have _ for the dots."""
    known = {key.replace("_", "."): value for key, value in settings.items()}
    return SimpleNamespace(conf=SimpleNamespace(get=known.get))


GPUS = {"spark_master": "spark://host:7077", "spark_executor_resource_gpu_amount": "2"}


def test_a_stage_of_a_network_asks_for_a_gpu_and_its_share_of_the_cores():
    found = gpu_stages.gpu_stage(session(**GPUS, spark_executor_cores="9"))["profile"]
    amounts = {name: request.amount for name, request in found.taskResources.items()}
    assert amounts == {"gpu": 1.0, "cpus": 4.0}
    assert not found.executorResources  # it runs on the executors that are there


@pytest.mark.parametrize(
    ("settings", "device"),
    [
        ({"spark_master": "spark://host:7077"}, "auto"),
        ({**GPUS, "spark_master": "local[4]"}, "auto"),
        (GPUS, "cpu"),
    ],
    ids=["no GPUs", "local mode", "device cpu"],
)
def test_other_stages_ask_for_nothing(settings, device):
    assert gpu_stages.gpu_stage(session(**settings), device) == {}


@pytest.mark.parametrize(
    ("settings", "backend", "message"),
    [
        (
            {"spark_dynamicAllocation_enabled": "true"},
            "auto",
            r"executors with spark\.dynamicAllocation\.enabled=true, expected false: the 2 proc",
        ),
        ({}, "nccl", r"nccl without spark\.executor\.resource\.gpu\.amount, expected"),
        (
            {**GPUS, "spark_master": "local[2]", "spark_task_resource_gpu_amount": "0.01"},
            "nccl",
            r"spark\.task\.resource\.gpu\.amount: 0\.01, expected 1",
        ),
    ],
    ids=["dynamic allocation", "nccl without GPUs", "a fraction that no stage can change"],
)
def test_a_session_that_cannot_train_on_executors_is_reported_before_the_start(
    settings, backend, message
):
    where = DistributionConfig(processes=2, where="executors", backend=backend)
    with pytest.raises(InvalidConfigError, match=message):
        check_executors(session(**settings), where)


def test_a_session_that_can_passes():
    where = DistributionConfig(processes=2, where="executors", backend="nccl")
    check_executors(session(**GPUS, spark_task_resource_gpu_amount="0.01"), where)


def test_too_many_processes_for_the_cluster_are_reported_by_their_setting(tmp_path):
    found = _explain("[SPARK-24819]: Barrier execution mode does not allow", str(tmp_path), 5)
    assert isinstance(found, StageFailedError)
    assert str(found).startswith("cnn.distribution.processes: 5, expected at most")


@pytest.mark.slow
def test_a_network_has_a_gpu_per_task_and_other_stages_have_all_cores(tmp_path):
    """Two executors of two cores and a GPU each."""
    answers = tmp_path / "answers"
    answers.mkdir()
    conf = str(ROOT / "conf" / "spark" / "gpu.conf")
    with start_cluster(tmp_path, workers=1, cores=4, memory="2g", gpus=2) as master:
        output = run_on_cluster(STAGES, conf, str(answers), master=master)
    found = ast.literal_eval(output.strip().splitlines()[-1])
    assert (found["other"]["together"], found["other"]["cores"]) == (4, [1])
    assert (found["network"]["together"], found["network"]["cores"]) == (2, [2])
    assert found["network"]["gpus"] == [("0", 0), ("1", 1)]  # an executor has one of the GPUs
    assert found["processes"] == ["0", "1"]
    assert found["after"] == ["all"]  # what the processes see is not left to later tasks
    assert "SPARK-24819" in found["too many"]
