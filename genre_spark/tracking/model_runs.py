"""One run per model: whichever stage trains or evaluates a model writes into the same run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NAME

from genre_spark.tracking.runs import TrackedRun, metric_name, now
from genre_spark.tracking.stores.sending import SENT_FROM

__all__ = [
    "DataInput",
    "find_model_run",
    "log_data_inputs",
    "log_headline",
    "logged_model_id",
    "model_run",
]

KIND, MODEL = "kind", "model"
"""The tag of a model's run, by which the saved views find it."""


@dataclass(frozen=True)
class DataInput:
    """A table that a model was trained or measured on.

    Attributes:
        context: what it was for: training, validation or test.
        name: of the table.
        digest: fingerprint of everything that its content depends on.
        rows: number of rows.
        path: its folder, a path or URL.
        columns: name and type of each column.
    """

    context: str
    name: str
    digest: str
    rows: int
    path: str
    columns: Mapping[str, str]


@contextmanager
def model_run(
    stage: TrackedRun, name: str, *, family: str, method: str, tags: Mapping[str, str] | None = None
) -> Iterator[TrackedRun]:
    """Open the run of a model: below the pipeline's run, or below the stage's where it runs alone.

    Args:
        stage: the run of the stage that trains the model.
        name: of the model and its predictions.
        family: multilabel, cnn, baseline, ...
        method: how it is made.
        tags: what else to say.
    """
    chosen = {KIND: MODEL, "family": family, "method": method, **(tags or {})}
    with stage.top.child(name, chosen) as run:
        yield run


def find_model_run(stage: TrackedRun, run_id: str, *, name: str) -> TrackedRun | None:
    """Return the run that trained a model, to write on in it, or None where the store lacks it.

    A run of an older version, that trained a model of its stage's name, becomes the model's run.
    """
    if not run_id:
        return None
    found = _get_run(stage, run_id) or _get_sent_run(stage, run_id)
    if found is None or found.info.lifecycle_stage != "active":
        return None
    run = TrackedRun(
        stage.client,
        str(found.info.run_id),
        str(found.info.experiment_id),
        stage.tracking_uri,
        parent=None,
    )
    wanted = {KIND: MODEL, MLFLOW_RUN_NAME: name}
    changed = {key: value for key, value in wanted.items() if found.data.tags.get(key) != value}
    if changed:
        run.set_tags(changed)
    return run


def _get_run(stage: TrackedRun, run_id: str) -> Run | None:
    try:
        return stage.client.get_run(run_id)
    except MlflowException:
        return None


def _get_sent_run(stage: TrackedRun, run_id: str) -> Run | None:
    """Return the run under its number on the server, where it was kept back at first."""
    where = f"tags.`{SENT_FROM}` = '{run_id}'"
    found = stage.client.search_runs([stage.experiment_id], where, max_results=1)
    return found[0] if found else None


def log_data_inputs(run: TrackedRun, inputs: Sequence[DataInput]) -> None:
    """Log what a model was trained and measured on; the UI shows names, digests and rows."""
    run.client.log_inputs(
        run.run_id,
        datasets=[
            DatasetInput(_dataset(found), [InputTag(MLFLOW_DATASET_CONTEXT, found.context)])
            for found in inputs
        ],
    )


def log_headline(
    run: TrackedRun, metrics: Mapping[str, float], *, data: DataInput | None = None
) -> None:
    """Log the numbers that stand for a model to its run, and to the model where it was logged.

    Numbers that are there already are not logged again.

    Args:
        run: the model's run.
        metrics: short name -> number.
        data: what the numbers were measured on.
    """
    found = run.client.get_run(run.run_id)
    known, model = found.data.metrics, _newest_model(found)
    items = [
        Metric(
            metric_name(name),
            value,
            now(),
            0,
            model_id=model,
            dataset_name=data.name if data and model else None,
            dataset_digest=data.digest if data and model else None,
            run_id=run.run_id,
        )
        for name, value in metrics.items()
        if known.get(metric_name(name)) != value
    ]
    if items:
        run.client.log_batch(run.run_id, metrics=items)


def logged_model_id(run: TrackedRun) -> str | None:
    """Return the id of the newest model that a run logged, or None."""
    return _newest_model(run.client.get_run(run.run_id))


def _newest_model(run: Run) -> str | None:
    models = run.outputs.model_outputs if run.outputs is not None else []
    return str(models[-1].model_id) if models else None


def _dataset(found: DataInput) -> Dataset:
    columns = [
        {"name": name, "type": kind, "required": True} for name, kind in found.columns.items()
    ]
    return Dataset(
        name=found.name,
        digest=found.digest[:36],
        source_type="spark",
        source=json.dumps({"path": f"{found.path.rstrip('/')}/data-*"}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"approx_count": found.rows, "num_rows": found.rows}),
    )
