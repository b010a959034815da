"""The model registry: the best model under one name, found by its alias."""

from __future__ import annotations

from collections.abc import Mapping

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from genre_spark.errors import StageFailedError
from genre_spark.tracking.runs import TrackedRun

__all__ = ["CHAMPION", "register_champion"]

CHAMPION = "champion"


def register_champion(
    run: TrackedRun, name: str, *, training_run: str, tags: Mapping[str, str] | None = None
) -> str:
    """Register a run's model, give it the alias `champion` and return the URI that loads it.

    A model that is the champion already keeps its version.

    Args:
        run: run that chose the best model.
        name: name of the registered model.
        training_run: id of the run that logged the model.
        tags: tags of the version, for example the decision rule that belongs to the model.

    Raises:
        StageFailedError: the training run logged no model, or the store has no registry.
    """
    uri = f"models:/{name}@{CHAMPION}"
    model_id = _logged_model(run.client, training_run)
    try:
        if _champion_source(run.client, name) != model_id:
            mlflow.set_tracking_uri(run.tracking_uri)
            version = mlflow.register_model(f"models:/{model_id}", name)
            run.client.set_registered_model_alias(name, CHAMPION, version.version)
        current = run.client.get_model_version_by_alias(name, CHAMPION).version
        for key, value in {**(tags or {}), "compared_in_run": run.run_id}.items():
            run.client.set_model_version_tag(name, current, key, value)
    except MlflowException as error:
        raise StageFailedError(
            f"mlflow.registered_model: {name} could not be registered: {error.message}"
        ) from error
    return uri


def _logged_model(client: MlflowClient, run_id: str) -> str:
    """Return the id of the newest model that a run logged."""
    outputs = client.get_run(run_id).outputs
    models = outputs.model_outputs if outputs is not None else []
    if not models:
        raise StageFailedError(
            f"run {run_id}: no model was logged, expected the run that trained the best model"
        )
    return str(models[-1].model_id)


def _champion_source(client: MlflowClient, name: str) -> str | None:
    """Return the id of the logged model that is the champion now, or None where there is none."""
    try:
        version = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None
    return getattr(version, "model_id", None) or str(version.source).rsplit("/", 1)[-1]
