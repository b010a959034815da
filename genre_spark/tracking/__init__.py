"""Stages as MLflow runs with parameters, metrics, pictures and models; only this imports mlflow."""

from genre_spark.extras import require

require("mlflow", "matplotlib", "psutil", "yaml")

from genre_spark.tracking.model_runs import (
    DataInput,
    find_model_run,
    log_data_inputs,
    log_headline,
    model_run,
)
from genre_spark.tracking.networks import CurveLogger, TrialLogger, log_poster_model, system_metrics
from genre_spark.tracking.ranked_view import (
    COMPARED_IN,
    describe_experiment,
    experiment_address,
    save_ranked_views,
)
from genre_spark.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    RegisteredVersion,
    describe_version,
    find_version,
    has_registry,
    make_champion,
    packaged_version,
    register_challenger,
    roll_back,
)
from genre_spark.tracking.runs import TrackedRun, open_run, opening_store
from genre_spark.tracking.scoring import RegisteredModel, open_registered
from genre_spark.tracking.spark_models import log_spark_model
from genre_spark.tracking.stores.addresses import existing_store, resolve_tracking_uri
from genre_spark.tracking.stores.sending import send_kept_runs

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "COMPARED_IN",
    "CurveLogger",
    "DataInput",
    "RegisteredModel",
    "RegisteredVersion",
    "TrackedRun",
    "TrialLogger",
    "describe_experiment",
    "describe_version",
    "existing_store",
    "experiment_address",
    "find_model_run",
    "find_version",
    "has_registry",
    "log_data_inputs",
    "log_headline",
    "log_poster_model",
    "log_spark_model",
    "make_champion",
    "model_run",
    "open_registered",
    "open_run",
    "opening_store",
    "packaged_version",
    "register_challenger",
    "resolve_tracking_uri",
    "roll_back",
    "save_ranked_views",
    "send_kept_runs",
    "system_metrics",
]
