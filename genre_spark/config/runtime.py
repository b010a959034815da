"""Settings of the Spark session and of the MLflow store."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

__all__ = [
    "MlflowConfig",
    "SparkConfig",
    "check_store",
]

_MASTER = re.compile(
    r"yarn|local|local\[(\d+|\*)(,\s*\d+)?\]|local-cluster\[[\d,\s]+\]|[a-z][\w+.-]*://.+"
)
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_STORES = ("", "file", "http", "https", *_DATABASES, "databricks", "databricks-uc", "uc")


def check_store(uri: str) -> None:
    """Raise ValueError where MLflow has no store behind addresses of this kind.

    Packages can bring others (entry points `mlflow.tracking_store`).
    """
    scheme = urlsplit(uri).scheme
    if scheme in _STORES or scheme.partition("+")[0] in _DATABASES:
        return
    if scheme not in entry_points(group="mlflow.tracking_store").names:
        raise ValueError(
            "an address that MLflow knows: https://host, sqlite:///file, postgresql://host, ..."
        )


class SparkConfig(Section):
    """The Spark session, made where none is active; Databricks and notebooks have one."""

    master: str | None = Field(
        None,
        description="master URL: local[*], spark://host:7077, ...; null: that of spark-submit or "
        "of conf_file",
    )
    remote: str | None = Field(
        None,
        description="Spark Connect server in place of a master: sc://host:15002, or local[4] for "
        "one that is started here",
    )
    serverless: Literal["auto"] | bool = Field(
        "auto",
        description="whether the session has neither cache nor persist, as on Databricks "
        "serverless; auto: found out",
    )
    conf_file: str | None = Field(
        None, description="file of settings in spark-defaults format, like conf/spark/local.conf"
    )
    settings: dict[str, str] = Field(
        default_factory=dict, description="Spark settings that win over those of conf_file"
    )

    @field_validator("master")
    @classmethod
    def _known_master(cls, value: str | None) -> str | None:
        if value is not None and not _MASTER.fullmatch(value.strip()):
            raise ValueError("local[*], local[4], spark://host:7077, k8s://https://host or yarn")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> SparkConfig:
        if self.remote and self.master:
            raise ValueError(
                f"remote: {self.remote!r} beside master {self.master!r}, expected one of them"
            )
        if self.remote and not self.remote.startswith(("sc://", "local")):
            raise ValueError(f"remote: {self.remote!r}, expected sc://host:port or local[N]")
        return self


class MlflowConfig(Section):
    """The store that runs are logged to."""

    tracking_uri: str | None = Field(
        None,
        description="URI of an MLflow server or store; null: MLFLOW_TRACKING_URI, else SQLite "
        "under paths.work",
    )
    timeout: float = Field(
        60,
        ge=1,
        le=3600,
        description="seconds that a server that does not answer, or a locked file, is waited for",
    )
    required: bool = Field(
        True,
        description="whether a server that does not answer ends a stage; false: runs are kept "
        "under paths.work until `genre-spark sync` sends them",
    )
    experiment: str = Field(
        "genre_spark", min_length=1, description="experiment in which models are compared"
    )
    registered_model: str | None = Field(
        None,
        min_length=1,
        description="name under which the best model is registered, with the alias challenger; "
        "null: register none",
    )
    log_movie_models: bool = Field(
        True, description="log packaged models, which take movies, with the runs that trained them"
    )

    @field_validator("tracking_uri")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value is not None:
            check_store(value)
        return value
