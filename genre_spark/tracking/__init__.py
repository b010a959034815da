"""Stages as MLflow runs with parameters, metrics, pictures and models; only this imports mlflow."""

from genre_spark.extras import require

require("mlflow", "matplotlib", "psutil", "yaml")

from genre_spark.tracking.networks import CurveLogger, TrialLogger, log_poster_model, system_metrics
from genre_spark.tracking.registry import register_champion
from genre_spark.tracking.runs import TrackedRun, open_run
from genre_spark.tracking.spark_models import log_spark_model
from genre_spark.tracking.store import resolve_tracking_uri

__all__ = [
    "CurveLogger",
    "TrackedRun",
    "TrialLogger",
    "log_poster_model",
    "log_spark_model",
    "open_run",
    "register_champion",
    "resolve_tracking_uri",
    "system_metrics",
]
