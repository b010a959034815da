"""Which packaged model a recipe means."""

from __future__ import annotations

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.serving.package_models import best_model, model_folder
from genre_spark.storage.files import file_exists, filesystem, join
from genre_spark.tracking.movie_models import fetch_movie_model

__all__ = ["find_movie_model"]


def find_movie_model(config: Config) -> str:
    """Return the folder of the package that `model` names.

    Raises:
        InvalidInputError: there is no such model.
        MissingTableError: no model is named, and none has been packaged yet.
    """
    name = config.model
    if name is None:
        return model_folder(config, best_model(config))
    if name.startswith(("models:", "runs:")):
        return fetch_movie_model(name, config.mlflow, config.paths.work)
    for folder in (model_folder(config, name), name):
        if _is_package(folder):
            return folder
    known = ", ".join(_packaged(config)) or "none yet: `genre-spark package-models` makes them"
    raise InvalidInputError(
        f"model: {name}: no such packaged model, expected one of {config.paths.work} ({known}), "
        "the folder of a package, or an MLflow URI such as models:/genres@champion"
    )


def _is_package(folder: str) -> bool:
    return file_exists(join(folder, "movie_model.json"))


def _packaged(config: Config) -> list[str]:
    """Return the names of the packaged models of the work folder."""
    folder = config.paths.table("movie_models")
    system, inner = filesystem(folder)
    entries = system.ls(inner, detail=False) if system.isdir(inner) else []
    names = sorted(str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries)
    return [name for name in names if _is_package(join(folder, name))]
