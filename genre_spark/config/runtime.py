"""How to run: the Spark session and the MLflow store."""

from __future__ import annotations

from pydantic import Field

from genre_spark.config.section import Section


class SparkConfig(Section):
    """The Spark session, where none is active yet (on Databricks and in notebooks the active one is used)."""

    master: str | None = Field(
        None,
        description="local[*], spark://host:7077, ...; null leaves it to spark-submit or the conf file",
    )
    conf_file: str | None = Field(
        None, description="a file like conf/spark/local.conf, in spark-defaults format"
    )
    settings: dict[str, str] = Field(
        default_factory=dict, description="single Spark settings, over the file's"
    )


class MlflowConfig(Section):
    """Where runs are logged."""

    tracking_uri: str | None = Field(
        None,
        description="an MLflow server or store; null: MLFLOW_TRACKING_URI, else SQLite under paths.work",
    )
    experiment: str = Field(
        "genre_spark", min_length=1, description="the experiment in which models are compared"
    )
    registered_model: str | None = Field(
        None,
        min_length=1,
        description="register the best model under this name with the alias champion; null: do not",
    )
