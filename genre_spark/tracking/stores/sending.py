"""Runs that were kept while their server was down: `send_kept_runs` copies them to it.

A run is whole on the server when it has the tag SENT_FROM with its number here; a copy that was
killed is made anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModelOutput, Metric, Param, Run, RunTag, ViewType
from mlflow.models import Model

from genre_spark.config import Config, MlflowConfig
from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import remove_folder
from genre_spark.tracking.stores.addresses import (
    UNSENT,
    is_kept_back,
    open_store,
    resolve_tracking_uri,
    unsent_uri,
)

__all__ = ["SENT_FROM", "send_kept_runs"]

SENT_FROM = "genre_spark.sent_from"
"""Tag of a run that was kept back at first: its number then."""
_SENDING = "genre_spark.sending"
_PAGE, _BATCH = 500, 90


def send_kept_runs(config: Config) -> dict[str, int]:
    """Send all kept runs to the server, and remove them here when all are there.

    Returns:
        Number of runs and of models that were sent now.

    Raises:
        InvalidInputError: the recipe has no server.
        StageFailedError: the server does not answer.
    """
    work = config.paths.work
    if "://" in work or not (Path(work) / UNSENT).exists():
        return {"runs": 0, "models": 0}
    must = config.mlflow.model_copy(update={"required": True})
    uri = open_store(must, work)
    if is_kept_back(uri) or uri == resolve_tracking_uri(MlflowConfig(), work):
        raise InvalidInputError(
            f"mlflow.tracking_uri: {uri}, expected the server that the kept runs are for"
        )
    sender = _Sender(MlflowClient(unsent_uri(work)), MlflowClient(uri))
    sender.send()
    remove_folder(str(Path(work) / UNSENT))
    return {"runs": sender.runs, "models": sender.models}


class _Sender:
    """Copies one store into another.

    Attributes:
        runs, models: number of those that were sent.
    """

    def __init__(self, source: MlflowClient, target: MlflowClient) -> None:
        self._source, self._target = source, target
        self._names: dict[str, str] = {}  # number here -> number there, of runs and models
        self.runs = self.models = 0

    def send(self) -> None:
        for experiment in self._source.search_experiments():
            kept = list(self._kept(str(experiment.experiment_id)))
            if not kept:
                continue
            there = self._target.get_experiment_by_name(experiment.name)
            place = (
                str(there.experiment_id)
                if there is not None
                else str(self._target.create_experiment(experiment.name))
            )
            self._names[str(experiment.experiment_id)] = place
            for run in kept:
                self._send_run(run, place)
            for run in kept:  # a tag may name a run that was opened later
                self._send_tags(run)
            for key, value in experiment.tags.items():
                if not key.startswith("mlflow.experiment.") and "/experiments/" not in value:
                    self._target.set_experiment_tag(place, key, self._translate(value))

    def _kept(self, experiment: str) -> Iterator[Run]:
        """Yield the runs of an experiment, the earliest first."""
        token = None
        while True:
            page = self._source.search_runs(
                [experiment],
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _send_run(self, run: Run, experiment: str) -> None:
        here = str(run.info.run_id)
        for tag in (SENT_FROM, _SENDING):
            where = f"tags.`{tag}` = '{here}'"
            for found in self._target.search_runs([experiment], where):
                if tag == SENT_FROM:
                    self._names[here] = str(found.info.run_id)
                    return
                self._target.delete_run(found.info.run_id)
        made = self._target.create_run(
            experiment,
            start_time=run.info.start_time,
            tags={_SENDING: here},
            run_name=run.info.run_name,
        )
        there = self._names[here] = str(made.info.run_id)
        params = [Param(key, value) for key, value in run.data.params.items()]
        for start in range(0, len(params), _BATCH):
            self._target.log_batch(there, params=params[start : start + _BATCH])
        for name in run.data.metrics:
            history = [
                Metric(each.key, each.value, each.timestamp, each.step)
                for each in self._source.get_metric_history(here, name)
            ]
            for start in range(0, len(history), _BATCH):
                self._target.log_batch(there, metrics=history[start : start + _BATCH])
        if run.inputs is not None and run.inputs.dataset_inputs:
            self._target.log_inputs(there, datasets=run.inputs.dataset_inputs)
        with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
            if self._source.list_artifacts(here):
                self._target.log_artifacts(there, self._source.download_artifacts(here, "", folder))
        for output in run.outputs.model_outputs if run.outputs is not None else ():
            self._send_model(str(output.model_id), experiment, there)
        self._target.set_terminated(there, run.info.status, end_time=run.info.end_time)
        self.runs += 1

    def _send_model(self, here: str, experiment: str, run: str) -> None:
        known = self._source.get_logged_model(here)
        made = self._target.create_logged_model(
            experiment,
            name=known.name,
            source_run_id=run,
            tags=known.tags,
            params=known.params,
            model_type=known.model_type,
        )
        there = self._names[here] = str(made.model_id)
        with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
            place = str(download_artifacts(artifact_uri=known.artifact_location, dst_path=folder))
            description = Model.load(place)
            description.model_id, description.run_id = there, run
            description.artifact_path = made.artifact_location
            description.save(str(Path(place) / "MLmodel"))
            self._target.log_model_artifacts(there, place)
        self._target.finalize_logged_model(there, known.status)
        self._target.log_outputs(run, models=[LoggedModelOutput(there, step=0)])
        metrics = [
            Metric(
                each.key,
                each.value,
                each.timestamp,
                each.step,
                model_id=there,
                dataset_name=each.dataset_name,
                dataset_digest=each.dataset_digest,
                run_id=run,
            )
            for each in known.metrics or ()
        ]
        if metrics:
            self._target.log_batch(run, metrics=metrics)
        self.models += 1

    def _send_tags(self, run: Run) -> None:
        """Set the tags of a run; they name runs and models by their numbers on the server."""
        here, there = str(run.info.run_id), self._names[str(run.info.run_id)]
        tags = {key: self._translate(value) for key, value in run.data.tags.items()}
        items = [RunTag(key, value) for key, value in {**tags, SENT_FROM: here}.items()]
        self._target.log_batch(there, tags=items)

    def _translate(self, text: str) -> str:
        for here, there in self._names.items():
            if len(here) > 8:  # numbers of experiments are short, and part of anything
                text = text.replace(here, there)
        return text
