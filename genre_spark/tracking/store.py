"""The store of the runs: a configured server, the environment's, or SQLite in the work folder."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow import MlflowClient

from genre_spark.config import MlflowConfig
from genre_spark.errors import InvalidConfigError

__all__ = ["experiment_id", "resolve_tracking_uri"]


def resolve_tracking_uri(config: MlflowConfig, work: str) -> str:
    """Return the recipe's tracking URI, else MLFLOW_TRACKING_URI, else SQLite in the work folder.

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
    if "?" in work:
        raise InvalidConfigError(
            f"paths.work: {work}: an address of MLflow's store cannot have a question mark in it, "
            "expected another folder, or a server in mlflow.tracking_uri"
        )
    folder = Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def experiment_id(client: MlflowClient, config: MlflowConfig, work: str) -> str:
    """Return the experiment's id; make the experiment where there is none.

    With a local SQLite store its artifacts go to the work folder.
    """
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    local = client.tracking_uri.startswith("sqlite:///")
    location = (Path(work) / "mlartifacts").as_uri() if local and "://" not in work else None
    return str(client.create_experiment(config.experiment, artifact_location=location))
