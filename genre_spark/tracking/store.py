"""Where runs go: a configured server, the environment's, or SQLite under the work folder."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow import MlflowClient

from genre_spark.config import MlflowConfig
from genre_spark.errors import InvalidConfigError


def resolve_tracking_uri(config: MlflowConfig, work: str) -> str:
    """Return the tracking URI: the configuration's, else MLFLOW_TRACKING_URI, else SQLite under the work folder.

    Raises:
        InvalidConfigError: no store is configured and the work folder is not on a local disk.
    """
    chosen = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if chosen:
        return chosen
    if os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        return "databricks"
    if "://" in work:
        raise InvalidConfigError(
            "mlflow.tracking_uri: not set, expected a server's address since paths.work is not a "
            f"local folder: {work}"
        )
    folder = Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def experiment_id(client: MlflowClient, config: MlflowConfig, work: str) -> str:
    """Return the experiment's id, creating it with its artifacts under the work folder when the store is ours."""
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    local = client.tracking_uri.startswith("sqlite:///")
    location = (Path(work) / "mlartifacts").as_uri() if local and "://" not in work else None
    return str(client.create_experiment(config.experiment, artifact_location=location))
