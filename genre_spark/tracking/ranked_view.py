"""The experiment's first page: a description, and saved views that rank the models.

MLflow keeps a view of the table of runs (filter, order, columns) as a tag of the experiment; an
address with its key opens it, and MLflow 3.17 lists it under "Views" too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlencode

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from genre_spark.config import Config
from genre_spark.storage.files import fingerprint
from genre_spark.tracking.model_runs import KIND, MODEL
from genre_spark.tracking.runs import TrackedRun, now
from genre_spark.tracking.stores.addresses import resolve_tracking_uri

__all__ = ["COMPARED_IN", "describe_experiment", "experiment_address", "save_ranked_views"]

COMPARED_IN = "compared_in"
"""Tag of a model's run: the run of the comparison that it was last part of."""

_TAG = "mlflow.sharedViewState."
_KIND_OF_EXPERIMENT = "mlflow.experimentKind"  # "model training" rather than "GenAI"
_ALL = "models-of-all-comparisons"
_NUMBER, _NAME, _RULE = 88, 110, 250  # pixels


def save_ranked_views(run: TrackedRun, config: Config, metrics: Sequence[str]) -> None:
    """Save a view of the models of this comparison, and one of all models of the experiment.

    Args:
        run: the comparison's run; the models' runs are tagged with its id.
        config: the recipe; another work folder has another view.
        metrics: short names of the columns; the first one ranks.
    """
    views = {
        _key(config): ("Models of the last comparison", f"tags.{COMPARED_IN} = '{run.run_id}'"),
        _ALL: ("Models of all comparisons", f"tags.{KIND} = '{MODEL}'"),
    }
    for key, (name, where) in views.items():
        run.client.set_experiment_tag(
            run.experiment_id, f"{_TAG}{key}", _envelope(name, _state(where, metrics))
        )


def describe_experiment(run: TrackedRun, config: Config, lines: Sequence[str]) -> None:
    """Set the experiment's description, with links to the saved views.

    Args:
        run: the comparison's run.
        config: the recipe.
        lines: paragraphs; the UI shows the first one until the description is unfolded.
    """
    links = " · ".join(
        f"[{name}](#{_route(run.experiment_id, key)})"
        for name, key in (("Ranked", _key(config)), ("All comparisons", _ALL))
    )
    words = "\n\n".join([f"{lines[0]} {links}", *lines[1:]])
    run.client.set_experiment_tag(run.experiment_id, MLFLOW_RUN_NOTE, words)
    run.client.set_experiment_tag(
        run.experiment_id, _KIND_OF_EXPERIMENT, "custom_model_development"
    )


def experiment_address(config: Config, server: str) -> str | None:
    """Return the address of the ranked models under a server, or None without such an experiment.

    Args:
        config: the recipe.
        server: for example http://127.0.0.1:5000.
    """
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    try:
        experiment = client.get_experiment_by_name(config.mlflow.experiment)
    except MlflowException:
        return None
    if experiment is None:
        return None
    saved = (key for key in (_key(config), _ALL) if f"{_TAG}{key}" in experiment.tags)
    key = next(saved, None)  # a work folder that was copied has no view of its own yet
    return f"{server.rstrip('/')}/#{_route(experiment.experiment_id, key)}"


def _route(experiment: str, key: str | None) -> str:
    query = {"workflowType": "machine_learning"} | ({"viewStateShareKey": key} if key else {})
    return f"/experiments/{experiment}/runs?{urlencode(query)}"


def _key(config: Config) -> str:
    return f"models-{fingerprint(config.paths.work)[:8]}"


def _state(where: str, metrics: Sequence[str]) -> dict[str, object]:
    """Return what MLflow's table of runs shows: which runs in which order, and which columns."""
    numbers = [f"metrics.`{name}`" for name in metrics]
    words = {"tags.`family`": _NAME, "tags.`decision_rule`": _RULE, "attributes.`Models`": _RULE}
    return {
        "searchFilter": where,
        "orderByKey": numbers[0],
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*numbers, *words],
        "columnOrder": [*numbers, *words],
        "columnWidths": {**dict.fromkeys(numbers, _NUMBER), **words},
    }


def _envelope(name: str, state: dict[str, object]) -> str:
    """Return a view as MLflow 3.17 lists it; older releases read the state beside its name."""
    at = now()
    named = {"name": name, "createdAt": at, "updatedAt": at, "state": json.dumps(state)}
    return json.dumps({**state, **named})
