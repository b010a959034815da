"""Runs in MLflow: what is written is there again, also from another thread, and models load."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.multilabel import BinaryRelevance
from genre_spark.tracking import log_spark_model, open_run, resolve_tracking_uri
from genre_spark.tracking.leftovers import _lives, process_tags
from genre_spark.tracking.stores.addresses import use_store


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Config:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(tmp_path / "work")}
    return build_config({"paths": paths, "mlflow": {"experiment": "test"}})


def test_the_store_is_the_recipes_else_the_environments_else_under_work(
    config: Config, monkeypatch
) -> None:
    work = config.paths.work
    assert resolve_tracking_uri(config.mlflow, work) == f"sqlite:///{work}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert resolve_tracking_uri(config.mlflow, work) == "http://127.0.0.1:1"
    named = config.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:2"})
    assert resolve_tracking_uri(named, work) == "http://127.0.0.1:2"


def test_without_a_local_work_folder_a_server_must_be_named(config: Config) -> None:
    with pytest.raises(
        InvalidConfigError, match=r"mlflow\.tracking_uri: not set.*s3a://bucket/work"
    ):
        resolve_tracking_uri(config.mlflow, "s3a://bucket/work")


def test_a_run_holds_what_was_logged_even_from_another_thread(config: Config) -> None:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2])
    with open_run(config, "stage", tags={"family": "test"}) as run:
        run.log_params({"cnn": {"epochs": 3}})
        thread = threading.Thread(
            target=run.log_metrics, args=({"f1/Science Fiction": 0.5, "odd%name": 1.0},)
        )
        thread.start()
        thread.join()
        run.log_figure(figure, "curves.png")
        run.log_table({"genre": ["Drama"], "count": [3]}, "counts.json")
        with run.child("trial") as trial:
            trial.log_metrics({"loss": 1.0}, step=2)
    client = MlflowClient(run.tracking_uri)
    stored = client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"cnn.epochs": "3"}
    assert stored.data.metrics == {"f1/Science Fiction": 0.5, "odd_name": 1.0}
    assert {item.path for item in client.list_artifacts(run.run_id)} == {
        "config.yaml",
        "curves.png",
        "counts.json",
    }
    assert client.get_run(trial.run_id).data.tags["mlflow.parentRunId"] == run.run_id


def test_a_run_that_fails_is_marked_failed(config: Config) -> None:
    with pytest.raises(ZeroDivisionError), open_run(config, "stage") as run:
        raise ZeroDivisionError
    assert MlflowClient(run.tracking_uri).get_run(run.run_id).info.status == "FAILED"


_KILLED = """
import os, signal, sys
from genre_spark.config import build_config
from genre_spark.tracking import open_run
with open_run(build_config(eval(sys.argv[1])), "stage") as run, run.child("trial") as trial:
    print(run.run_id, trial.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_of_a_killed_process_end_when_the_next_run_begins(config: Config) -> None:
    with open_run(config, "other") as living:
        command = [sys.executable, "-c", _KILLED, repr(config.model_dump(mode="json"))]
        left = subprocess.run(command, capture_output=True, text=True, check=False)
        assert left.returncode == -signal.SIGKILL, left.stderr
        client = MlflowClient(living.tracking_uri)
        killed = left.stdout.split()
        assert [client.get_run(run_id).info.status for run_id in killed] == ["RUNNING", "RUNNING"]
        elsewhere = client.create_run(
            living.experiment_id, tags={**process_tags(), "genre_spark.host": "other"}
        )
        with open_run(config, "stage"):
            assert [client.get_run(run_id).info.status for run_id in killed] == ["KILLED", "KILLED"]
            assert client.get_run(living.run_id).info.status == "RUNNING"
            assert client.get_run(elsewhere.info.run_id).info.status == "RUNNING"


def test_a_process_is_told_from_a_later_one_of_the_same_number() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tags = process_tags(process.pid)
    assert _lives(tags)
    number, started = tags["genre_spark.process"].split()
    assert not _lives({"genre_spark.process": f"{number} {float(started) - 60}"})
    process.communicate()
    assert not _lives(tags)


def test_a_multilabel_model_is_logged_and_predicts_the_same_when_loaded(
    spark, config: Config
) -> None:
    rows = [(Vectors.dense([x, -x]), [float(x > 0), float(x < 1)]) for x in np.linspace(-2, 2, 20)]
    train = spark.createDataFrame(rows, ["features", "labels"])
    model = BinaryRelevance(classifier=LogisticRegression(maxIter=5), labelsCol="labels").fit(train)
    with open_run(config, "train") as run:
        uri = log_spark_model(run, model, "relevance", scratch=config.paths.work)
    use_store(run.tracking_uri)
    loaded = mlflow.spark.load_model(uri)
    expected = [row["probabilities"] for row in model.transform(train).collect()]
    assert [row["probabilities"] for row in loaded.transform(train).collect()] == expected
    assert mlflow.active_run() is None
