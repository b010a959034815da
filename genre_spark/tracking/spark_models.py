"""Spark ML models in MLflow, logged with a run."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import mlflow.spark
import pandas as pd
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import SparkMLVector
from pyspark.ml import Model, PipelineModel

import genre_spark
from genre_spark.tracking.runs import TrackedRun, temporary_folder

__all__ = ["log_spark_model"]

_REQUIREMENTS = (
    "pyspark",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "skops",
)
"""What the estimators need; the package itself travels with the model, as it is on no index."""


def log_spark_model(run: TrackedRun, model: Model, name: str) -> str:
    """Log a fitted Spark ML model and return the URI that `mlflow.spark.load_model` takes.

    Args:
        run: run that trained the model.
        model: model that saves and loads like Spark ML's own.
        name: name of the logged model.
    """
    with run.as_active(), temporary_folder() as folder:
        # mlflow.spark.log_model of MLflow 3 stores a file of the run, which has no page of its own
        # in the UI and no metrics; this call, which it makes for every other flavour, logs a model
        info = MlflowModel.log(
            artifact_path=None,
            name=name,
            flavor=mlflow.spark,
            spark_model=model if isinstance(model, PipelineModel) else PipelineModel([model]),
            dfs_tmpdir=folder,
            code_paths=[str(Path(genre_spark.__file__).parent)],
            signature=_signature(model),
            input_example=_example(model),
            # named here, because MLflow would start a second Spark session and load the model in it
            # to find them
            pip_requirements=[
                f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS
            ],
        )
    return str(info.model_uri)


def _signature(model: Any) -> ModelSignature:
    """Return the signature of the model as a pyfunc, which gives the column `prediction` alone."""
    column = model.getFeaturesCol() if hasattr(model, "getFeaturesCol") else "features"
    return ModelSignature(
        inputs=Schema([ColSpec(SparkMLVector(), column)]),
        outputs=Schema([ColSpec(SparkMLVector(), "prediction")]),
    )


def _example(model: Any) -> pd.DataFrame | None:
    length = getattr(model, "numFeatures", 0)
    return pd.DataFrame({model.getFeaturesCol(): [[0.0] * length]}) if length else None
