"""Spark ML models in MLflow, logged with a run."""

from __future__ import annotations

import importlib.metadata
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.spark
import pandas as pd
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import SparkMLVector
from pyspark.ml import Model, PipelineModel
from pyspark.sql.utils import is_remote

import genre_spark
from genre_spark.storage.files import filesystem, join, remove_folder
from genre_spark.tracking.logged_models import log_model
from genre_spark.tracking.runs import TrackedRun, temporary_folder

__all__ = ["log_spark_model"]

_SPARK_FOLDER = "sparkml"  # the name in MLflow's layout
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


def log_spark_model(run: TrackedRun, model: Model, name: str, *, scratch: str) -> str:
    """Log a fitted Spark ML model and return the URI that `mlflow.spark.load_model` takes.

    Args:
        run: run that trained the model.
        model: model that saves and loads like Spark ML's own.
        name: name of the logged model.
        scratch: folder that a Spark Connect server and this process see.
    """
    remote = is_remote()
    place = join(scratch, f"model-{uuid.uuid4().hex[:8]}")
    with run.as_active(), temporary_folder() as folder:
        # mlflow.spark.log_model of MLflow 3 stores a file of the run, which has no page of its own
        # in the UI and no metrics; this call, which it makes for every other flavour, logs a model
        return log_model(
            _CONNECT_FLAVOR if remote else mlflow.spark,
            name=name,
            spark_model=model if isinstance(model, PipelineModel) else PipelineModel([model]),
            dfs_tmpdir=place if remote else folder,
            code_paths=[str(Path(genre_spark.__file__).parent)],
            signature=_signature(model),
            input_example=_example(model),
            # named here, because MLflow would start a second Spark session and load the model in it
            # to find them
            pip_requirements=[
                f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS
            ],
        )


def _save_on_connect(
    spark_model: PipelineModel,
    path: str,
    mlflow_model: MlflowModel,
    dfs_tmpdir: str,
    **settings: Any,
) -> None:
    """Save a model as mlflow.spark does, whose own call needs a JVM in this process.

    `mlflow.spark.load_model` takes it in a classic session.
    """
    spark_model.write().save(dfs_tmpdir)
    try:
        system, inner = filesystem(dfs_tmpdir)
        system.get(inner, str(Path(path) / _SPARK_FOLDER), recursive=True)
    finally:
        remove_folder(dfs_tmpdir)
    flavor: Any = mlflow.spark
    kept = ("code_paths", "signature", "input_example", "pip_requirements")
    flavor._save_model_metadata(
        path,
        spark_model,
        mlflow_model,
        conda_env=None,
        extra_pip_requirements=None,
        **{key: settings[key] for key in kept},
    )


_CONNECT_FLAVOR = SimpleNamespace(__name__="mlflow.spark", save_model=_save_on_connect)


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
