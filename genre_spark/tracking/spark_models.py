"""Spark ML models in MLflow, logged with a run."""

from __future__ import annotations

import mlflow.spark
import pyspark
from pyspark.ml import Model

from genre_spark import __version__
from genre_spark.tracking.runs import TrackedRun, temporary_folder

__all__ = ["log_spark_model"]


def log_spark_model(run: TrackedRun, model: Model, name: str) -> str:
    """Log a fitted Spark ML model and return the URI that `mlflow.spark.load_model` takes.

    Args:
        run: run that trained the model.
        model: model that saves and loads like Spark ML's own.
        name: name of the logged model.
    """
    with run.as_active(), temporary_folder() as folder:
        info = mlflow.spark.log_model(
            model,
            name,
            dfs_tmpdir=folder,
            # named here, because MLflow would start a second Spark session and load the model in it
            # to find them
            pip_requirements=[f"genre_spark=={__version__}", f"pyspark=={pyspark.__version__}"],
        )
    return str(info.model_uri)
