"""A stage as an MLflow run, which any thread or process that knows its id can write to."""

from __future__ import annotations

import getpass
import json
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import (
    MLFLOW_LOGGED_ARTIFACTS,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from genre_spark.collecting import without_collecting
from genre_spark.config import Config
from genre_spark.errors import StageFailedError
from genre_spark.redaction import redact, redact_tree
from genre_spark.signals import interruption
from genre_spark.tracking.leftovers import end_leftovers, process_tags
from genre_spark.tracking.stores.addresses import experiment_id, open_store, use_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "TrackedRun",
    "flatten",
    "metric_name",
    "now",
    "open_run",
    "opening_store",
    "temporary_folder",
]

_LONGEST_NOTE = 5000  # characters that a tag holds in every release
_failed: dict[tuple[str | None, str], StageFailedError] = {}  # what `opening_store` has waited for
_BATCH = 900  # a batch call of MLflow takes at most 1,000 metrics


class TrackedRun:
    """An open MLflow run.

    Methods log to this run by its id, whatever run is active in the calling thread.

    Attributes:
        run_id: MLflow's id of the run.
        parent: id of the run that this one belongs to, or None.
        digest: fingerprint of everything that the run's results depend on; the stage's tables carry
            it.
        force: whether to start anew where an earlier run with the same digest could be continued.
    """

    def __init__(
        self,
        client: MlflowClient,
        run_id: str,
        experiment: str,
        tracking_uri: str,
        *,
        parent: str | None = None,
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.experiment_id = experiment
        self.tracking_uri = tracking_uri
        self.parent = parent
        self.digest = run_id
        self.force = False

    @property
    def top(self) -> TrackedRun:
        """The pipeline's run that a stage's run belongs to, or this one where it stands alone."""
        if self.parent is None:
            return self
        return TrackedRun(self.client, self.parent, self.experiment_id, self.tracking_uri)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log numbers; names such as `f1/Drama` group in the UI."""
        at = now()
        items = [
            Metric(metric_name(name), float(value), at, step) for name, value in metrics.items()
        ]
        for start in range(0, len(items), _BATCH):
            self.client.log_batch(self.run_id, metrics=items[start : start + _BATCH])

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log settings; a nested mapping becomes dotted keys."""
        shown = flatten(redact_tree(params))
        items = [Param(key, redact(str(value))[:6000]) for key, value in shown.items()]
        for start in range(0, len(items), 90):
            self.client.log_batch(self.run_id, params=items[start : start + 90])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.client.log_batch(
            self.run_id, tags=[RunTag(key, redact(str(value))) for key, value in tags.items()]
        )

    def tag(self, name: str) -> str:
        """Return a tag's value, "" where the run has none of that name."""
        return str(self.client.get_run(self.run_id).data.tags.get(name, ""))

    def describe(self, text: str) -> None:
        """Set the run's description, in Markdown; the UI shows it on the run's page."""
        self.set_tags({MLFLOW_RUN_NOTE: text[:_LONGEST_NOTE]})

    def log_text(self, text: str, path: str) -> None:
        """Store a text as an artifact."""
        self.client.log_text(self.run_id, redact(text), path)

    def log_dict(self, value: Mapping[str, Any], path: str) -> None:
        """Store a mapping as a .json or .yaml artifact."""
        self.client.log_dict(self.run_id, redact_tree(dict(value)), path)

    def log_table(self, rows: Mapping[str, list[Any]], path: str) -> None:
        """Store columns of equal length as a table that the UI shows beside other runs' tables.

        It takes the place of an earlier table of that path, where MLflow's own call would append.

        Args:
            rows: column -> values; NaN is shown as empty.
            path: where to, ends in .json.
        """
        self.log_tables({path: rows})

    def log_tables(
        self,
        tables: Mapping[str, Mapping[str, list[Any]]],
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Store several tables, and set tags with the one that lists them.

        Args:
            tables: path -> column -> values, as in `log_table`.
            tags: further tags.
        """
        for path, rows in tables.items():
            values = zip(*rows.values(), strict=True)
            data = [[_json_value(value) for value in row] for row in values]
            self.log_dict({"columns": list(rows), "data": data}, path)
        known = json.loads(self.tag(MLFLOW_LOGGED_ARTIFACTS) or "[]")
        others = [item for item in known if item["path"] not in tables]
        shown = json.dumps([*others, *({"path": path, "type": "table"} for path in tables)])
        self.set_tags({MLFLOW_LOGGED_ARTIFACTS: shown, **(tags or {})})

    def log_figure(self, figure: Figure, path: str) -> None:
        """Store a matplotlib figure as a picture (.png)."""
        self.client.log_figure(
            self.run_id, figure, path, save_kwargs={"dpi": 120, "bbox_inches": "tight"}
        )

    def log_bytes(self, content: bytes, path: str) -> None:
        """Store a file's content as an artifact; it takes the place of an earlier one."""
        folder, _, name = path.rpartition("/")
        with temporary_folder() as place:
            file = Path(place) / name
            file.write_bytes(content)
            self.log_file(file, folder or None)

    def log_file(self, file: str | Path, folder: str | None = None) -> None:
        """Store a local file as an artifact."""
        self.client.log_artifact(self.run_id, str(file), folder)

    @contextmanager
    def as_active(self) -> Iterator[None]:
        """Make this the active run of the thread, for model flavours that take no run id."""
        use_store(self.tracking_uri)
        with (
            _kept_environment("MLFLOW_RUN_ID"),
            mlflow.start_run(run_id=self.run_id, log_system_metrics=False),
        ):
            yield

    @contextmanager
    def child(self, name: str, tags: Mapping[str, str] | None = None) -> Iterator[TrackedRun]:
        """Open a run below this one, for a trial or a model."""
        with _open(
            self.client, self.experiment_id, self.tracking_uri, name, self.run_id, tags or {}
        ) as run:
            yield run


@contextmanager
def open_run(
    config: Config, name: str, *, parent: str | None = None, tags: Mapping[str, str] | None = None
) -> Iterator[TrackedRun]:
    """Open a run in the configured store; it ends with the block, as FINISHED, FAILED or KILLED.

    Runs that a killed process of this host has left in the experiment end as KILLED.

    Args:
        config: recipe; its section `mlflow` names the store. A run without a parent gets it as
            `config.yaml`, without secrets.
        name: name of the run, for a stage that of the stage.
        parent: id of the run that this one belongs to.
        tags: tags by which runs can be told apart in the UI.

    Raises:
        InvalidInputError: the store is a file that is not MLflow's, damaged or locked.
        StageFailedError: the store's server does not answer, and `mlflow.required` is true.
    """
    _silence()
    if (told := _failed.pop(_store_key(config), None)) is not None:
        raise told
    uri = open_store(config.mlflow, config.paths.work)
    use_store(uri)
    client = MlflowClient(uri)
    experiment = experiment_id(client, config.mlflow, config.paths.work)
    end_leftovers(client, experiment)
    with _open(client, experiment, uri, name, parent, tags or {}) as run:
        if parent is None:
            text = yaml.safe_dump(redact_tree(config.model_dump(mode="json")), sort_keys=False)
            run.log_text(text, "config.yaml")
        yield run


@contextmanager
def opening_store(config: Config) -> Iterator[None]:
    """Open the configured store in a thread while the block does something else.

    What MLflow imports for a store, and a new database's tables, take seconds. A store that cannot
    be opened is named by the next `open_run`, which does not wait for a server that has been waited
    for here.
    """

    def work() -> None:
        _silence()
        with suppress(Exception), without_collecting():
            try:
                MlflowClient(open_store(config.mlflow, config.paths.work))
            except StageFailedError as error:
                _failed[_store_key(config)] = error

    _failed.pop(_store_key(config), None)
    thread = threading.Thread(target=work, name="opening-store", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _store_key(config: Config) -> tuple[str | None, str]:
    return config.mlflow.tracking_uri, config.paths.work


def _silence() -> None:
    """Let MLflow report errors alone."""
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    # it logs the traceback of errors that it raises, a full disk for one
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@contextmanager
def _open(
    client: MlflowClient,
    experiment: str,
    uri: str,
    name: str,
    parent: str | None,
    tags: Mapping[str, str],
) -> Iterator[TrackedRun]:
    merged = {
        MLFLOW_RUN_NAME: name,
        MLFLOW_USER: getpass.getuser(),
        MLFLOW_SOURCE_NAME: "genre_spark",
        **process_tags(),
        **redact_tree(dict(tags)),
        **({MLFLOW_PARENT_RUN_ID: parent} if parent else {}),
    }
    run_id = client.create_run(experiment, tags=merged, run_name=name).info.run_id
    status = "FAILED"
    try:
        yield TrackedRun(client, run_id, experiment, uri, parent=parent)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        # what a signal breaks on the way out may arrive here as any error
        client.set_terminated(run_id, "KILLED" if interruption() is not None else status)


@contextmanager
def _kept_environment(name: str) -> Iterator[None]:
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def now() -> int:
    """Return the time as MLflow wants it: milliseconds since 1970."""
    return int(time.time() * 1000)


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metric_name(name: str) -> str:
    """Return a name that MLflow accepts: letters, digits, `_-. :/` and spaces."""
    return "".join(char if char.isalnum() or char in "_-. :/" else "_" for char in name)


def flatten(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Flatten nested mappings to dotted keys."""
    flat: dict[str, object] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            flat.update(flatten(inner, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = inner
    return flat


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed with its block, for artifacts on their way to the store."""
    return tempfile.TemporaryDirectory(prefix="genre_spark-")
