from __future__ import annotations

import pytest
from mlflow import MlflowClient

from genre_spark.config import Config
from genre_spark.pipelines.search_cnn import run
from genre_spark.tracking import resolve_tracking_uri
from tests.vision.conftest import make_config, slow


def with_search(config: Config, **search: object) -> Config:
    return Config.model_validate({**config.model_dump(), "search": {"epochs": 1, "trials": 2, **search}})


@pytest.fixture
def small(sample_tables):
    return make_config(sample_tables, architecture="scratch_cnn_one", name="searched")


def trial_runs(config: Config, parent: str):
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    experiment = client.get_run(parent).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


@slow
def test_trials_stay_in_the_bounds_are_nested_runs_and_go_on_where_the_search_stopped(spark, small):
    config = with_search(small, learning_rate=(0.001, 0.01), dropout=(0.1, 0.5))
    first = run(spark, config)
    assert first.counts["trials"] == 2
    trials = trial_runs(config, first.run_id)
    assert len(trials) == 2
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    for trial in trials:
        assert 0.001 <= float(trial.data.params["learning_rate"]) <= 0.01
        assert round(float(trial.data.params["dropout"]) / 0.05, 6) == round(float(trial.data.params["dropout"]) / 0.05)
        assert "epoch/validation_loss" in trial.data.metrics
    assert len({trial.data.params["learning_rate"] for trial in trials}) == 2

    more = run(spark, with_search(small, trials=3, learning_rate=(0.001, 0.01), dropout=(0.1, 0.5)))
    assert more.counts["trials"] == 3
    assert len(trial_runs(config, more.run_id)) == 1  # two were there
    assert more.metrics["validation/validation_loss"] <= first.metrics["validation/validation_loss"]


@slow
def test_trials_run_at_once_as_spark_tasks(spark, small):
    config = with_search(small, parallelism=2, learning_rate=(0.02, 0.03), sampler="tpe", pruner="median")
    result = run(spark, config)
    assert result.counts["trials"] == 2
    assert len(trial_runs(config, result.run_id)) == 2
