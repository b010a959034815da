"""The model registry: versions of one model, found by the aliases champion and challenger.

What Unity Catalog forbids is not used: no stages, no search by tags; versions have signatures.
Names may have three levels (catalog.schema.model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from genre_spark.errors import InvalidInputError, StageFailedError
from genre_spark.tracking.model_runs import logged_model_id
from genre_spark.tracking.runs import TrackedRun

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RegisteredVersion",
    "describe_version",
    "find_version",
    "has_model",
    "make_champion",
    "register_challenger",
    "roll_back",
]

CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_URI = "model_uri"
"""Tag of a training run: the address of the model that it logged."""
MOVIE_MODEL_URI = "movie_model_uri"
"""Tag of a training run: the address of the model that takes movies, where it was packaged."""
_TRAINED_BY, _SCORED_BY = "training_run", "scored_by"
_BEFORE = "champion_before"
"""Tag of a version that became the champion: the version that was it until then."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model.

    Attributes:
        name: name of the registered model.
        version: number of the version.
        uri: address that loads exactly this version.
        tags: what was said about it when it was registered and compared.
    """

    name: str
    version: str
    uri: str
    tags: Mapping[str, str]

    @property
    def scored_by(self) -> str:
        """Address of the model with its weights that reads the tables of the pipeline."""
        return self.tags.get(_SCORED_BY, self.uri)


def register_challenger(
    run: TrackedRun, name: str, *, training_run: str, tags: Mapping[str, str]
) -> RegisteredVersion:
    """Register the model that a run logged, and give it the alias challenger.

    A model that is the champion or the challenger already keeps its version and its tags.

    Args:
        run: run of the comparison that chose the model.
        name: name of the registered model.
        training_run: id of the run that logged the model.
        tags: tags of the version, such as its decision rule.

    Raises:
        StageFailedError: the training run logged no model, or the store has no registry.
    """
    sources = _sources(run, training_run)
    if sources is None:
        raise StageFailedError(
            f"run {training_run}: it logged no model, expected the run that trained the best model"
        )
    try:
        number = _version_of(run.client, name, training_run)
        if number is None:
            mlflow.set_tracking_uri(run.tracking_uri)
            number = str(mlflow.register_model(sources[0], name).version)
            known = {_TRAINED_BY: training_run, "compared_in_run": run.run_id}
            known[_SCORED_BY] = sources[1]
            for key, value in {**tags, **known}.items():
                run.client.set_model_version_tag(name, number, key, value)
        run.client.set_registered_model_alias(name, CHALLENGER, number)
    except MlflowException as error:
        raise StageFailedError(
            f"mlflow.registered_model: {name} could not be registered: {error.message}"
        ) from error
    return find_version(run, name, CHALLENGER) or _missing(name, CHALLENGER)


def has_model(run: TrackedRun) -> bool:
    """Tell whether a training run logged a model that can be registered."""
    return _sources(run, run.run_id) is not None


def find_version(run: TrackedRun, name: str, alias: str) -> RegisteredVersion | None:
    """Return the version that has an alias, or None."""
    try:
        found = run.client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None
    number = str(found.version)
    return RegisteredVersion(name, number, f"models:/{name}/{number}", dict(found.tags))


def make_champion(run: TrackedRun, chosen: RegisteredVersion) -> None:
    """Give a version the alias champion; it remembers which one was it before."""
    before = find_version(run, chosen.name, CHAMPION)
    if before is not None and before.version != chosen.version:
        run.client.set_model_version_tag(chosen.name, chosen.version, _BEFORE, before.version)
    run.client.set_registered_model_alias(chosen.name, CHAMPION, chosen.version)


def describe_version(
    run: TrackedRun, version: RegisteredVersion, *, text: str, tags: Mapping[str, str]
) -> None:
    """Set the description and tags of a version."""
    run.client.update_model_version(version.name, version.version, description=text)
    for key, value in tags.items():
        run.client.set_model_version_tag(version.name, version.version, key, value)


def roll_back(run: TrackedRun, name: str) -> tuple[RegisteredVersion, RegisteredVersion]:
    """Make the version before the present champion the champion again.

    Returns:
        The champion until now, and the champion from now on.

    Raises:
        InvalidInputError: there is no champion, or no earlier one.
    """
    present = find_version(run, name, CHAMPION) or _missing(name, CHAMPION)
    earlier = present.tags.get(_BEFORE)
    if earlier is None:
        raise InvalidInputError(
            f"{name}: version {present.version} is the first champion, expected an earlier one to "
            "roll back to"
        )
    run.client.set_registered_model_alias(name, CHAMPION, earlier)
    return present, find_version(run, name, CHAMPION) or _missing(name, CHAMPION)


def _sources(run: TrackedRun, training_run: str) -> tuple[str, str] | None:
    """Return what to register, the model that takes movies where there is one, and what to score.

    Both have the same weights; the one that training logged reads the tables of the pipeline.
    """
    tags = run.client.get_run(training_run).data.tags
    trained = TrackedRun(run.client, training_run, run.experiment_id, run.tracking_uri)
    scored = tags.get(MODEL_URI)
    if scored is None:
        model_id = logged_model_id(trained)
        scored = None if model_id is None else f"models:/{model_id}"
    return None if scored is None else (tags.get(MOVIE_MODEL_URI, scored), scored)


def _version_of(client: MlflowClient, name: str, training_run: str) -> str | None:
    """Return the version under which a run's model is champion or challenger, or None."""
    for alias in (CHAMPION, CHALLENGER):
        try:
            found = client.get_model_version_by_alias(name, alias)
        except MlflowException:
            continue
        if found.tags.get(_TRAINED_BY) == training_run:
            return str(found.version)
    return None


def _missing(name: str, alias: str) -> RegisteredVersion:
    raise InvalidInputError(f"{name}: no version has the alias {alias}, expected one")
