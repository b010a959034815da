"""Which packaged model a recipe means."""

from __future__ import annotations

from genre_spark.config import Config
from genre_spark.pipelines.serving.package_models import best_model, model_folder
from genre_spark.storage.files import filesystem, join
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
    packaged = model_folder(config, name)
    system, inner = filesystem(join(packaged, "movie_model.json"))
    return packaged if system.exists(inner) else name
