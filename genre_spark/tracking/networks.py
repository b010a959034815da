"""Networks in MLflow: curves while they train, the machine's load, and the model to serve."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import genre_spark
from genre_spark.tracking.runs import TrackedRun

__all__ = ["CurveLogger", "TrialLogger", "log_poster_model", "system_metrics"]

logger = logging.getLogger("genre_spark")

_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(AnyType(), "image")]),
    outputs=Schema([ColSpec(AnyType(), "genres"), ColSpec(AnyType(), "probabilities")]),
    params=ParamSchema([ParamSpec("threshold", "double", 0.5)]),
)
_REQUIREMENTS = (
    "torch",
    "torchvision",
    "opencv-python-headless",
    "pillow",
    "numpy",
    "pandas",
    "pydantic",
    "fsspec",
)
_SAMPLES_PER_POINT = 5  # of the machine's load, at one sample per second


@dataclass(frozen=True)
class CurveLogger:
    """Logs the numbers of an epoch to a run.

    It can be pickled, so that another process can log too.

    Attributes:
        tracking_uri: URI of the store.
        run_id: id of the run.
    """

    tracking_uri: str
    run_id: str

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at a step; a store that does not answer gives a warning, not an error."""
        client = MlflowClient(self.tracking_uri)
        try:
            TrackedRun(client, self.run_id, "", self.tracking_uri).log_metrics(values, step=step)
        except Exception as error:
            logger.warning(
                "MLflow at %s: metrics of step %d were not logged: %s",
                self.tracking_uri,
                step,
                error,
            )


@dataclass(frozen=True)
class TrialLogger:
    """Logs the trials of a search as runs below the search's.

    It can be pickled, so that executors can log too.

    Attributes:
        tracking_uri: URI of the store.
        experiment_id: id of the experiment that the runs belong to.
        parent: id of the search's run.
        runs: trial -> id of its run, for the trials of this process.
    """

    tracking_uri: str
    experiment_id: str
    parent: str
    runs: dict[int, str] = field(default_factory=dict)

    def log(
        self, trial: int, settings: Mapping[str, float], step: int, values: Mapping[str, float]
    ) -> None:
        """Log an epoch of a trial; a store that does not answer gives a warning, not an error."""
        with self._warns(trial):
            self._run(trial, settings).log_metrics(values, step=step)

    def close(self, trial: int, settings: Mapping[str, float], end: str) -> None:
        """End a trial's run; the tag `end` says how: complete, pruned, diverged or failed."""
        with self._warns(trial):
            run = self._run(trial, settings)
            run.set_tags({"end": end})
            run.client.set_terminated(
                run.run_id, "FAILED" if end in {"diverged", "failed"} else "FINISHED"
            )
        self.runs.pop(trial, None)

    def _run(self, trial: int, settings: Mapping[str, float]) -> TrackedRun:
        """Return the trial's run, which the first call opens."""
        client = MlflowClient(self.tracking_uri)
        if trial in self.runs:
            return TrackedRun(client, self.runs[trial], self.experiment_id, self.tracking_uri)
        tags = {MLFLOW_PARENT_RUN_ID: self.parent, "trial": str(trial)}
        self.runs[trial] = client.create_run(
            self.experiment_id, tags=tags, run_name=f"trial-{trial}"
        ).info.run_id
        run = TrackedRun(client, self.runs[trial], self.experiment_id, self.tracking_uri)
        run.log_params(settings)
        return run

    @contextmanager
    def _warns(self, trial: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            logger.warning(
                "MLflow at %s: trial %d was not logged: %s", self.tracking_uri, trial, error
            )


@contextmanager
def system_metrics(run: TrackedRun) -> Iterator[None]:
    """Log the load of processors, memory, disk and GPUs while the block runs, however short."""
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    monitor = SystemMetricsMonitor(
        run.run_id,
        sampling_interval=1,
        samples_before_logging=_SAMPLES_PER_POINT,
        tracking_uri=run.tracking_uri,
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
        try:  # MLflow forgets what was sampled since the last point
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()
        except Exception as error:
            logger.warning("MLflow at %s: no system metrics: %s", run.tracking_uri, error)


def log_poster_model(run: TrackedRun, model_file: str, name: str) -> str:
    """Log a trained network as a pyfunc and return the URI that `mlflow.pyfunc.load_model` takes.

    The model carries its weights, its preprocessing and a copy of this package: loading it needs
    neither Spark nor an installed genre_spark.

    Args:
        run: run that trained the network.
        model_file: file of the network, on a local disk.
        name: name of the logged model.
    """
    package = Path(genre_spark.__file__).parent
    # MLflow warns about missing type hints and input examples, whatever filter of warnings is set
    with run.as_active(), contextlib.redirect_stderr(io.StringIO()):
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(package / "tracking" / "poster_model.py"),
            artifacts={"network": model_file},
            code_paths=[str(package)],
            signature=_SIGNATURE,
            # named here, because MLflow would load the model in another process to find them
            pip_requirements=[
                f"{package}=={importlib.metadata.version(package)}" for package in _REQUIREMENTS
            ],
        )
    return str(info.model_uri)
