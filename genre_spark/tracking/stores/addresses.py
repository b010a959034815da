"""Where the store is: a configured server, the environment's, or SQLite in the work folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow import MlflowClient

from genre_spark.config import MlflowConfig
from genre_spark.config.runtime import check_store as check_address
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.tracking.stores.servers import wait_for_server
from genre_spark.tracking.stores.sqlite_files import check_store, point_artifacts_here
from genre_spark.tracking.stores.templates import make_store

__all__ = [
    "UNSENT",
    "existing_store",
    "experiment_id",
    "is_kept_back",
    "open_store",
    "resolve_tracking_uri",
    "unsent_uri",
    "use_store",
]

UNSENT = "mlflow-unsent"
"""Folder under the work folder with the runs that no server has yet."""
_VARIABLE = "MLFLOW_TRACKING_URI"
_SQLITE = "sqlite:///"
_LOCAL = re.compile(r"(?:sqlite:///|file://|file:)?((?!databricks)[^:]+)")  # a file or folder here
_DATABASE, _ARTIFACTS = "mlflow.db", "mlartifacts"
_MEANS_ELSE = re.compile(r"\?|%[0-9A-Fa-f]{2}")  # within the address of an SQLite file
_unreachable: set[str] = set()  # servers that this process goes on without


def resolve_tracking_uri(config: MlflowConfig, work: str) -> str:
    """Return the recipe's tracking URI, else MLFLOW_TRACKING_URI, else SQLite in the work folder.

    User and password of a server's address go to the environment variables from which MLflow takes
    them, so that no address that is shown or stored has any. Where this process goes on without
    its server, it is the store of unsent runs.

    Raises:
        InvalidConfigError: no store is configured and the work folder is not on a local disk, or
            the environment's address is none of MLflow's.
    """
    chosen = config.tracking_uri or os.environ.get(_VARIABLE)
    if chosen:
        uri = _without_credentials(chosen)
        try:
            check_address(uri)
        except ValueError as error:  # of the environment's: the recipe's has been checked
            raise InvalidConfigError(f"{_VARIABLE}: {uri}, expected {error}") from None
        return unsent_uri(work) if uri in _unreachable else uri
    if os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        return "databricks"
    if "://" in work:
        raise InvalidConfigError(
            "mlflow.tracking_uri: not set, expected a server's address since paths.work is not a "
            f"local folder: {work}"
        )
    return _store_in(Path(work))


def open_store(config: MlflowConfig, work: str) -> str:
    """Return the address of the store, which can be used now.

    A server is waited for; a file in the work folder is checked, and its artifacts are looked for
    where the work folder is now.

    Raises:
        InvalidInputError: the file is not MLflow's, damaged or locked.
        StageFailedError: the server does not answer, and `mlflow.required` is true.
    """
    uri = resolve_tracking_uri(config, work)
    if uri.startswith(("http://", "https://")):
        if wait_for_server(uri, seconds=config.timeout, required=config.required):
            return uri
        if "://" in work:
            raise InvalidConfigError(
                f"paths.work: {work}, expected a local folder for the runs that wait for a server "
                "(mlflow.required: false)"
            )
        _unreachable.add(uri)
        uri = unsent_uri(work)
    if uri.startswith(_SQLITE):
        file = Path(uri.removeprefix(_SQLITE))
        check_store(file, seconds=config.timeout)
        if "://" not in work and file.parent in (Path(work), Path(work) / UNSENT):
            if not file.exists():
                make_store(file)
            point_artifacts_here(file, file.parent / _ARTIFACTS)
    return uri


def existing_store(config: MlflowConfig, work: str) -> str:
    """Return the address of the store as `open_store` does, but make no folder and no database.

    Raises:
        InvalidConfigError: the address is of no kind that MLflow knows.
        InvalidInputError: there is none, or its file is not MLflow's, damaged or locked.
        StageFailedError: its server does not answer.
    """
    chosen = config.tracking_uri or os.environ.get(_VARIABLE)
    elsewhere = "://" in work or os.environ.get("DATABRICKS_RUNTIME_VERSION")
    file = None if elsewhere else Path(work) / _DATABASE
    if chosen:
        local = _LOCAL.fullmatch(chosen)
        file = Path(local[1]) if local else None
    if file is not None and not file.exists():
        raise InvalidInputError(
            f"{file}: no MLflow store there, expected that of a stage that has been run, or the "
            f"address of another in the environment variable {_VARIABLE}"
        )
    return open_store(config, work)


def use_store(uri: str) -> None:
    """Make a store the one of MLflow's calls that take no address.

    MLflow writes it to MLFLOW_TRACKING_URI too, where the next recipe of this process would take it
    for the user's: the variable stays as it was.
    """
    before = os.environ.get(_VARIABLE)
    mlflow.set_tracking_uri(uri)
    if before is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = before


def is_kept_back(uri: str) -> bool:
    """Return whether a store holds runs that wait for their server."""
    return uri.endswith(f"/{UNSENT}/{_DATABASE}")


def unsent_uri(work: str) -> str:
    """Return the address of the store of the runs that no server has yet; its folder is made."""
    return _store_in(Path(work) / UNSENT)


def _store_in(folder: Path) -> str:
    found = _MEANS_ELSE.search(str(folder))
    if found:
        raise InvalidConfigError(
            f"paths.work: {folder}: an address of MLflow's store cannot have {found.group()!r} in "
            "it, expected another folder, or a server in mlflow.tracking_uri"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return f"{_SQLITE}{folder / _DATABASE}"


def experiment_id(client: MlflowClient, config: MlflowConfig, work: str) -> str:
    """Return the experiment's id; make the experiment where there is none.

    With a local SQLite store its artifacts go to the work folder.
    """
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    uri, folder = client.tracking_uri, Path(work)
    location = None
    if uri.startswith(_SQLITE) and "://" not in work:
        inner = folder / UNSENT if is_kept_back(uri) else folder
        location = (inner / _ARTIFACTS).absolute().as_uri()
    return str(client.create_experiment(config.experiment, artifact_location=location))


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not at:
        return uri
    name, _, password = user.partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(name)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return parts._replace(netloc=host).geturl()
