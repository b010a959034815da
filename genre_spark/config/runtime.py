"""Settings of the Spark session and of the MLflow store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from genre_spark.config.section import Section

__all__ = [
    "MlflowConfig",
    "SparkConfig",
]


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
