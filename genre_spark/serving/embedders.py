"""Vectors of texts and posters, computed where the features need them and a movie has none."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import POSTER_EMBEDDING, TEXT_EMBEDDING
from genre_spark.features.raw_fields import to_text
from genre_spark.features.specification import FeatureSpecification
from genre_spark.serving.package_description import ModelDescription

__all__ = ["Embedders"]

_BATCH = 16


class Embedders:
    """Adds the columns `text_embedding` and `poster_embedding` that a specification reads.

    Args:
        specification: of the features.
        description: of the packaged model.
        backbone: file of the networks whose features posters have; "" where none is needed.
    """

    def __init__(
        self, specification: FeatureSpecification, description: ModelDescription, backbone: str
    ) -> None:
        self._description, self._backbone = description, backbone
        self._wanted = [
            name for name in (TEXT_EMBEDDING, POSTER_EMBEDDING) if name in specification.blocks
        ]
        if TEXT_EMBEDDING in self._wanted and description.texts is None:
            raise InvalidInputError(
                f"{description.name}: no encoder of texts in the package, expected one for "
                "its features: package it again"
            )

    def add(self, frame: pd.DataFrame, notes: list[list[str]]) -> pd.DataFrame:
        """Return the frame with the vectors that it lacks; columns that are there stay."""
        missing = [name for name in self._wanted if name not in frame.columns]
        if TEXT_EMBEDDING in missing:
            frame = frame.assign(text_embedding=pd.Series(self._embed_texts(frame), frame.index))
        if POSTER_EMBEDDING in missing:
            vectors = self._embed_posters(frame, notes)
            frame = frame.assign(poster_embedding=pd.Series(vectors, frame.index))
        return frame

    @functools.cached_property
    def _encoder(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - torch's types, lazily
        from genre_spark.text.encoders import open_encoder  # noqa: PLC0415 - torch, seconds
        from genre_spark.text.sources import find_source  # noqa: PLC0415

        texts = self._description.texts
        if texts is None:
            raise InvalidInputError(f"{self._description.name}: no encoder of texts")
        return open_encoder(find_source(texts.model), max_tokens=texts.max_tokens)

    @functools.cached_property
    def _network(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        from genre_spark.vision.devices import choose_device  # noqa: PLC0415 - torch, seconds
        from genre_spark.vision.inference.poster_embedder import load_embedder  # noqa: PLC0415

        return load_embedder(self._backbone, device=choose_device("auto"))

    def _embed_texts(self, frame: pd.DataFrame) -> list[np.ndarray | None]:
        from genre_spark.text.encoders import encode_texts  # noqa: PLC0415

        fields = self._description.texts.fields if self._description.texts else ()
        columns = [
            [to_text(value).strip(" ") for value in frame[name]]
            if name in frame.columns
            else [""] * len(frame)
            for name in fields
        ]
        texts = [". ".join(filter(None, values)) for values in zip(*columns, strict=True)]
        found = encode_texts(self._encoder, texts, batch_size=_BATCH)
        return [
            None if empty else vector
            for vector, empty in zip(found.vectors, found.empty, strict=True)
        ]

    def _embed_posters(
        self, frame: pd.DataFrame, notes: list[list[str]]
    ) -> list[np.ndarray | None]:
        from genre_spark.serving.poster_pixels import read_posters  # noqa: PLC0415 - OpenCV

        found: list[np.ndarray | None] = [None] * len(frame)
        images = frame["image"] if "image" in frame.columns else [None] * len(frame)
        for start in range(0, len(frame), _BATCH):
            chunk = list(images[start : start + _BATCH])
            near = notes[start : start + _BATCH]
            pixels, rows = read_posters(chunk, self._description.posters, near)
            if len(rows):
                for row, vector in zip(rows, self._network.features(pixels), strict=True):
                    found[start + int(row)] = vector
        return found
