"""Spark ML models in MLflow: logged with a run, loaded again in another process."""

from __future__ import annotations

import mlflow.spark
import pyspark
from pyspark.ml import Model

from genre_spark import __version__
from genre_spark.tracking.runs import TrackedRun, temporary_folder


def log_spark_model(run: TrackedRun, model: Model, name: str) -> str:
    """Log a fitted Spark ML model and return the URI that `mlflow.spark.load_model` takes.

    Args:
        run: the run that trained the model.
        model: a model that saves and loads like Spark ML's own.
        name: the logged model's name.
    """
    with run.as_active(), temporary_folder() as folder:
        info = mlflow.spark.log_model(
            model,
            name,
            dfs_tmpdir=folder,
            # named, because finding them out would start a second Spark session and load the model
            # in it
            pip_requirements=[f"genre_spark=={__version__}", f"pyspark=={pyspark.__version__}"],
        )
    return str(info.model_uri)
