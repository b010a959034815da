"""A trained poster network as an MLflow model; MLflow runs this file when it loads the model.

MLflow stores this file and the weights, and no pickle (models from code). Loading needs torch,
OpenCV, numpy and pandas; no Spark, no Petastorm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from genre_spark.imaging import check_image, decode_bgr, eight_bits, fit_pixels, to_chw
from genre_spark.vision.plans.poster_form import PosterForm

if TYPE_CHECKING:
    from genre_spark.vision.inference.network_file import TrainedNetwork

_BATCH = 32


class PosterModel(PythonModel):
    """Predicts the genres of posters.

    The input is a data frame with a column `image`, or a list or array of posters; each one is
    JPEG, PNG or WebP bytes, or pixels, (H, W, 3), RGB, of any size: uint8, uint16, or floats 0..1.
    The output has one row per poster: `genres`, those at or above the threshold, the most probable
    first, and `probabilities`, genre -> 0..1, in the same order.
    """

    trained: TrainedNetwork | None = None
    max_pixels = 50_000_000

    def load_context(self, context: Any) -> None:
        """Load the weights; MLflow calls this once per process."""
        self._load(context)

    def _load(self, context: Any) -> TrainedNetwork:
        # torch, seconds: MLflow runs this file to log the model too
        from genre_spark.vision.devices import choose_device  # noqa: PLC0415
        from genre_spark.vision.inference.network_file import load_network  # noqa: PLC0415

        self.trained = load_network(context.artifacts["network"], device=choose_device("auto"))
        return self.trained

    # MLflow reads a type hint of model_input as a schema of its own and warns about all but lists
    # of pydantic models
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Return genres and probabilities of posters.

        Args:
            context: context that MLflow passes.
            model_input: posters; see the class.
            params: `threshold` (0..1, default 0.5): one number for all genres.

        Raises:
            RejectedImage: a poster cannot be decoded; the text has the reason.
            InvalidInputError: pixels have another type, shape or range.
        """
        trained = self.trained or self._load(context)
        threshold = float((params or {}).get("threshold", 0.5))
        posters = _posters(model_input)
        parts = []
        for start in range(0, len(posters), _BATCH):
            chunk = posters[start : start + _BATCH]
            images = np.stack(
                [_pixels(poster, trained.posters, self.max_pixels) for poster in chunk]
            )
            parts.append(trained.probabilities(images))
        rows = [_describe(row, trained.vocabulary, threshold) for part in parts for row in part]
        return pd.DataFrame(rows, columns=["genres", "probabilities"])


def _posters(model_input: Any) -> Sequence[Any]:
    if isinstance(model_input, pd.DataFrame):
        return model_input["image"].tolist()
    if isinstance(model_input, np.ndarray) and model_input.ndim == 3:
        return [model_input]
    return list(model_input)


def _pixels(poster: Any, stored: PosterForm, max_pixels: int) -> np.ndarray:
    """Return a poster as the posters table would have it; uint8 (3, H, W), RGB."""
    if isinstance(poster, (bytes, bytearray, memoryview)):
        data = bytes(poster)
        header = check_image(data, max_pixels=max_pixels)
        bgr = decode_bgr(data, header, height=stored.height, width=stored.width)
    else:
        bgr = np.ascontiguousarray(eight_bits(poster)[:, :, ::-1])
    return to_chw(fit_pixels(bgr, height=stored.height, width=stored.width, fit=stored.fit))


def _describe(
    probabilities: np.ndarray, vocabulary: tuple[str, ...], threshold: float
) -> tuple[list[str], dict]:
    order = np.argsort(-probabilities, kind="stable")
    named = {vocabulary[place]: round(float(probabilities[place]), 6) for place in order}
    return [genre for genre, value in named.items() if value >= threshold], named


mlflow.models.set_model(PosterModel())
