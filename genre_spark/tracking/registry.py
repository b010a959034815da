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
from genre_spark.tracking.movie_models import MOVIE_MODEL_URI, MOVIE_MODEL_VERSION
from genre_spark.tracking.runs import TrackedRun
from genre_spark.tracking.stores.addresses import is_kept_back, use_store

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RegisteredVersion",
    "describe_version",
    "find_version",
    "has_registry",
    "make_champion",
    "packaged_version",
    "register_challenger",
    "roll_back",
]

CHAMPION, CHALLENGER = "champion", "challenger"
_MODEL_VERSION = "model_version"
"""Tag of a version: the digest of everything that its answers depend on."""
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


def register_challenger(
    run: TrackedRun, name: str, *, training_run: str, tags: Mapping[str, str]
) -> RegisteredVersion:
    """Register the packaged model of a run, and give it the alias challenger.

    A model that is the champion or the challenger already keeps its version and its tags.

    Args:
        run: run of the comparison that chose the model.
        name: name of the registered model.
        training_run: id of the model's run, with which its package was logged.
        tags: tags of the version, such as its decision rule.

    Raises:
        StageFailedError: the run has no packaged model, or the store has no registry.
    """
    known = run.client.get_run(training_run).data.tags
    if MOVIE_MODEL_URI not in known:
        raise StageFailedError(
            f"run {training_run}: it has no packaged model, expected one that package-models has "
            "logged"
        )
    version = known.get(MOVIE_MODEL_VERSION, "")
    try:
        number = _version_of(run.client, name, version)
        if number is None:
            use_store(run.tracking_uri)
            number = str(mlflow.register_model(known[MOVIE_MODEL_URI], name).version)
            origin = {"training_run": training_run, "compared_in_run": run.run_id}
            for key, value in {**tags, **origin, _MODEL_VERSION: version}.items():
                run.client.set_model_version_tag(name, number, key, value)
        run.client.set_registered_model_alias(name, CHALLENGER, number)
    except MlflowException as error:
        raise StageFailedError(
            f"mlflow.registered_model: {name} could not be registered: {error.message}"
        ) from error
    return find_version(run, name, CHALLENGER) or _missing(name, CHALLENGER)


def has_registry(run: TrackedRun) -> bool:
    """Return whether the run is in the store that was asked for, and not kept for its server."""
    return not is_kept_back(run.tracking_uri)


def packaged_version(run: TrackedRun) -> str | None:
    """Return the version of the packaged model that was logged with a model's run, or None."""
    found = run.client.get_run(run.run_id).data.tags.get(MOVIE_MODEL_VERSION)
    return None if found is None else str(found)


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


def _version_of(client: MlflowClient, name: str, model_version: str) -> str | None:
    """Return the number under which a packaged model is champion or challenger, or None."""
    for alias in (CHAMPION, CHALLENGER):
        try:
            found = client.get_model_version_by_alias(name, alias)
        except MlflowException:
            continue
        if found.tags.get(_MODEL_VERSION) == model_version:
            return str(found.version)
    return None


def _missing(name: str, alias: str) -> RegisteredVersion:
    raise InvalidInputError(f"{name}: no version has the alias {alias}, expected one")
