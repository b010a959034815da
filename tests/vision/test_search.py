from __future__ import annotations

import json
import logging
import math
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from genre_spark.config import CnnConfig, Config, SearchConfig
from genre_spark.errors import StageFailedError
from genre_spark.pipelines.models.network_plan import plan_training
from genre_spark.pipelines.models.search_cnn import run
from genre_spark.tracking import TrialLogger, resolve_tracking_uri
from genre_spark.vision.training.hyperparameter_search import search, share_cores
from tests.vision.conftest import make_config, slow


def with_search(config: Config, **search: object) -> Config:
    return Config.model_validate(
        {**config.model_dump(), "search": {"epochs": 1, "trials": 2, **search}}
    )


@pytest.fixture
def small(sample_tables):
    return make_config(sample_tables, architecture="scratch_cnn_one", name="searched")


def trial_runs(config: Config, parent: str):
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    experiment = client.get_run(parent).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


@slow
def test_trials_stay_in_the_bounds_are_nested_runs_and_continue_where_the_search_stopped(
    spark, small
):
    config = with_search(small, learning_rate=(0.001, 0.01), dropout=(0.1, 0.5))
    first = run(spark, config)
    assert first.counts["trials"] == 2
    trials = trial_runs(config, first.run_id)
    assert len(trials) == 2
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    for trial in trials:
        assert 0.001 <= float(trial.data.params["learning_rate"]) <= 0.01
        assert round(float(trial.data.params["dropout"]) / 0.05, 6) == round(
            float(trial.data.params["dropout"]) / 0.05
        )
        assert "epoch/validation_loss" in trial.data.metrics
    assert len({trial.data.params["learning_rate"] for trial in trials}) == 2

    more = run(spark, with_search(small, trials=3, learning_rate=(0.001, 0.01), dropout=(0.1, 0.5)))
    assert more.counts["trials"] == 3
    assert len(trial_runs(config, more.run_id)) == 1  # two were there
    assert more.metrics["validation/validation_loss"] <= first.metrics["validation/validation_loss"]


def small_job(spark, sample_tables, **settings):
    return plan_training(
        spark,
        make_config(sample_tables, architecture="scratch_cnn_one", dropout=0.0, **settings),
        digest="search",
    )


def test_a_trial_that_diverges_is_pruned_and_the_search_continues(spark, sample_tables, tmp_path):
    """Of two rates one is far too high; the search still ends with the other."""
    reports: list[tuple[int, str]] = []

    def report(number, settings, record):
        if isinstance(record, str):
            reports.append((number, record))

    job = small_job(spark, sample_tables, optimizer="sgd")
    config = SearchConfig(trials=4, epochs=1, learning_rate=(1e-3, 1e30))
    outcome = search(spark, job, config, str(tmp_path), report=report)
    ends = [end for _, end in sorted(reports)]
    assert len(ends) == outcome.trials == 4
    assert {"diverged", "complete"} == set(ends)
    assert outcome.pruned == ends.count("diverged")
    assert math.isfinite(outcome.best_loss)


def test_a_search_of_which_every_trial_diverges_is_reported(spark, sample_tables, tmp_path):
    job = small_job(spark, sample_tables, optimizer="sgd")
    config = SearchConfig(trials=2, epochs=1, learning_rate=(1e29, 1e30))
    with pytest.raises(
        StageFailedError, match=r"all 2 trials diverged .* lower search\.learning_rate"
    ):
        search(spark, job, config, str(tmp_path), report=lambda *_: None)


def test_a_store_that_does_not_answer_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    logger = TrialLogger(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", "0", "parent")
    with caplog.at_level(logging.WARNING, logger="genre_spark"):
        logger.log(0, {"dropout": 0.1}, 0, {"loss": 1.0})
        logger.close(0, {"dropout": 0.1}, "complete")
    assert len([line for line in caplog.messages if "trial 0 was not logged" in line]) == 2


def test_how_a_trial_ended_is_the_status_of_its_run(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    parent = client.create_run(client.create_experiment("search")).info
    logger = TrialLogger(uri, parent.experiment_id, parent.run_id)
    logger.log(0, {"dropout": 0.1}, 0, {"loss": 1.0})
    logger.close(0, {"dropout": 0.1}, "complete")
    logger.close(1, {"dropout": 0.2}, "diverged")  # before its first epoch was over
    runs = {
        run.data.tags["trial"]: run
        for run in client.search_runs(
            [parent.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
        )
    }
    assert [runs[trial].info.status for trial in "01"] == ["FINISHED", "FAILED"]
    assert [runs[trial].data.tags["end"] for trial in "01"] == ["complete", "diverged"]
    assert runs["1"].data.params == {"dropout": "0.2"}


def test_an_interrupted_trial_is_run_again_with_its_settings_and_continues(
    spark, sample_tables, tmp_path
):
    job = small_job(spark, sample_tables)
    seen: list[tuple[int, dict[str, float], object]] = []

    def interrupt(number, settings, record):
        seen.append((number, settings, record))
        if number == 1 and record != "failed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(spark, job, SearchConfig(trials=3, epochs=2), str(tmp_path), report=interrupt)
    assert seen[-1][2] == "failed"
    stopped = seen[-1][1]
    assert list((tmp_path / "trials").iterdir())  # what it continues from
    again: list[dict[str, float]] = []
    for _ in range(2):  # once more changes nothing
        outcome = search(
            spark,
            job,
            SearchConfig(trials=3, epochs=2),
            str(tmp_path),
            report=lambda n, drawn, r: again.append(drawn),
        )
        assert outcome.trials == 3
    assert again[0] == stopped
    assert not list((tmp_path / "trials").iterdir())
    assert len({drawn["learning_rate"] for drawn in again}) == 2


def test_trials_at_once_share_the_cores(monkeypatch):
    """Each trial would take all of them otherwise."""
    monkeypatch.setattr("genre_spark.vision.training.hyperparameter_search.cores", lambda: 16)
    settings = CnnConfig()
    assert share_cores(settings, together=5).threads == 3
    assert share_cores(settings, together=32).threads == 1
    assert share_cores(CnnConfig(threads=4), together=5).threads == 4


@slow
def test_a_killed_search_runs_the_trial_again_that_it_was_in(spark, sample_tables, tmp_path):
    """kill -9 in the second trial.

    The next run has as many trials as asked for, with the same settings.
    """
    job = small_job(spark, sample_tables)
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(job))
    script = Path(__file__).parent / "search_alone.py"
    command = [sys.executable, str(script), str(tmp_path)]
    process = subprocess.Popen(command, cwd=script.parents[2])
    marker = tmp_path / "second-trial"
    deadline = time.monotonic() + 120
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study" / "study.journal")))
    states = [trial.state for trial in optuna.load_study(study_name="cnn", storage=storage).trials]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING]
    killed = json.loads(marker.read_text())
    assert subprocess.run(command, cwd=script.parents[2], check=False).returncode == 0
    trials = optuna.load_study(study_name="cnn", storage=storage).trials
    assert [trial.state for trial in trials] == [
        *(TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE)
    ]
    assert trials[2].params == pytest.approx(killed)
    assert len({trial.params["learning_rate"] for trial in trials}) == 3


@slow
def test_trials_run_at_once_as_spark_tasks(spark, small):
    config = with_search(
        small, parallelism=2, learning_rate=(0.02, 0.03), sampler="tpe", pruner="median"
    )
    result = run(spark, config)
    assert result.counts["trials"] == 2
    assert len(trial_runs(config, result.run_id)) == 2
