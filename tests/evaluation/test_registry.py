"""The registry: the best model under one name, found by its alias, loadable again."""

from __future__ import annotations

import mlflow
import pytest
from mlflow import MlflowClient

from genre_spark.config import build_config
from genre_spark.errors import StageFailedError
from genre_spark.tracking import TrackedRun, open_run, register_champion


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input


def log_model(run: TrackedRun, name: str) -> None:
    with run.as_active():
        mlflow.pyfunc.log_model(name=name, python_model=Echo(), pip_requirements=[])


def test_the_champion_moves_to_a_better_model_and_stays_when_there_is_none(tmp_path) -> None:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(tmp_path)}
    config = build_config({"paths": paths})
    with (
        open_run(config, "a") as first,
        open_run(config, "b") as second,
        open_run(config, "compare") as run,
    ):
        log_model(first, "one")
        log_model(second, "two")
        for _ in range(2):
            uri = register_champion(
                run, "genres", training_run=first.run_id, tags={"rule": "fixed"}
            )
        client = MlflowClient(run.tracking_uri)
        version = client.get_model_version_by_alias("genres", "champion")
        assert (uri, str(version.version), version.tags["rule"]) == (
            "models:/genres@champion",
            "1",
            "fixed",
        )
        register_champion(run, "genres", training_run=second.run_id)
        assert str(client.get_model_version_by_alias("genres", "champion").version) == "2"
        assert mlflow.pyfunc.load_model(uri).predict(["x"]) == ["x"]
        with pytest.raises(StageFailedError, match="logged no model"):
            register_champion(run, "genres", training_run=run.run_id)
