"""A packaged model as an MLflow model; MLflow runs this file when it loads the model.

MLflow stores this file, the package and a copy of genre_spark, and no pickle (models from code).
Loading needs no Spark session and no repository.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from genre_spark.serving.movie_model import INPUTS, MovieModel


class _Answers:
    """Answers with a packaged model, which is loaded once per process."""

    model: MovieModel | None = None

    def load_context(self, context: Any) -> None:
        """Load the package; MLflow calls this once per process."""
        self._load(context)

    def _load(self, context: Any) -> MovieModel:
        self.model = MovieModel(context.artifacts["package"])
        return self.model

    # MLflow reads a type hint of model_input as a schema of its own
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG002
        """Return genres and probabilities of movies.

        Args:
            context: context that MLflow passes.
            model_input: frame of movies; see `ServedMovieModel`.
            params: none.
        """
        model = self.model or self._load(context)
        frame = pd.DataFrame(model_input)
        known = [name for name in INPUTS if name in frame.columns]
        frame = frame[known].reset_index(drop=True)
        if "image" in frame.columns:
            frame = frame.assign(image=[_image(value) for value in frame["image"]])
        return model.predict(frame).as_frame()


class ServedMovieModel(_Answers, PythonModel):
    """Predicts the genres of movies from a frame with the columns of `serving.movie_model.INPUTS`.

    The output has one row per movie: `genres` (array of text, the most probable first),
    `probabilities` (map of genre to 0..1), `notes` (what could not be used) and `model_version`.
    """

    # `predict` is inherited: where the class itself has one, MLflow warns at every loading that it
    # has no type hints, whatever filter of warnings is set


def _image(value: Any) -> Any:
    """Return the bytes of an image that came as base64 text, as JSON brings it."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode("utf-8")  # rejected as an image, with a note


mlflow.models.set_model(ServedMovieModel())
