"""What computes the probabilities of a packaged model: forests, linear models, networks, stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genre_spark.errors import InvalidInputError
from genre_spark.features.frame_engine import FeatureRows
from genre_spark.features.specification import FeatureSpecification
from genre_spark.serving.package_description import ModelDescription
from genre_spark.storage.files import filesystem, join

__all__ = ["KINDS", "Movies", "Part", "Scored", "open_part"]

Matrix = NDArray[np.float64]
NO_POSTER = "no poster: the network answers with the genres' frequencies"
"""Note of a network's answer to a movie without a poster."""
LEFT_OUT = "no poster: answered from the rest"
"""Note of a stack's answer to such a movie: the network is not asked."""
_BATCH = 32


@dataclass
class Movies:
    """The movies of one call, with what several parts would compute twice.

    Attributes:
        frame: raw fields, one row per movie.
        notes: what could not be used, per movie.
        features: returns the feature vectors; computed once.
        specification: of the feature vectors; None where no part reads them.
    """

    frame: pd.DataFrame
    notes: list[list[str]]
    features: Callable[[], FeatureRows]
    specification: FeatureSpecification | None = None


@dataclass(frozen=True)
class Scored:
    """Probabilities of some movies.

    Attributes:
        probabilities: (movies, L), 0..1, rounded to float32 as predictions tables store them.
        decided: 0 or 1, (movies, L), where the model decides by itself at its own threshold.
        judged: which movies have what the model needs, (movies,); None where all have.
    """

    probabilities: Matrix
    decided: Matrix | None = None
    judged: NDArray[np.bool_] | None = None


class Part(Protocol):
    """Computes probabilities of movies."""

    def score(self, movies: Movies) -> Scored:
        """Return probabilities, and decisions where the model makes its own."""
        ...


class MultilabelPart:
    """A multi-label model over feature vectors.

    Args:
        folder: folder of the stored model, on this machine.
        class_name: its class in `genre_spark.multilabel`.
    """

    def __init__(self, folder: str, class_name: str) -> None:
        from genre_spark import multilabel  # noqa: PLC0415 - pyspark, half a second

        if class_name not in multilabel.__all__ or not class_name.endswith("Model"):
            raise InvalidInputError(f"{folder}: class {class_name}, expected a multi-label model")
        self._model = getattr(multilabel, class_name).loadLocal(folder)

    def score(self, movies: Movies) -> Scored:
        """Return the model's probabilities and its own decisions."""
        rows = movies.features().dense()
        return Scored(_rounded(self._model.predict_proba(rows)), self._model.predict(rows))


class LinearPart:
    """A linear model on blocks of the feature vectors.

    It does not judge movies that lack the poster or the texts that it reads.

    Args:
        file: file of the model.
    """

    def __init__(self, file: str) -> None:
        from genre_spark.fusion.linear.model import LinearModel  # noqa: PLC0415
        from genre_spark.fusion.senses import senses_of  # noqa: PLC0415

        self._model = LinearModel.from_bytes(_read(file))
        self._senses = senses_of(scale.name for scale in self._model.blocks.scales)

    def score(self, movies: Movies) -> Scored:
        """Return the model's probabilities."""
        from genre_spark.fusion.senses import lacking  # noqa: PLC0415

        matrix, judged = movies.features().matrix, np.ones(len(movies.frame), np.bool_)
        if movies.specification is not None and self._senses:
            lacks = lacking(movies.specification, matrix)
            judged = ~np.any([lacks[sense] for sense in self._senses], axis=0)
        return Scored(_rounded(self._model.probabilities(matrix)), judged=judged)


class NetworkPart:
    """A poster network; movies without a readable poster get the genres' shares in training.

    Args:
        file: file of `save_network`.
        description: of the packaged model.
    """

    def __init__(self, file: str, description: ModelDescription) -> None:
        from genre_spark.vision.devices import choose_device  # noqa: PLC0415 - torch, seconds
        from genre_spark.vision.inference.network_file import load_network  # noqa: PLC0415

        self._network = load_network(file, device=choose_device("auto"))
        self._prior = np.array(description.prior)
        self._form = description.posters

    def score(self, movies: Movies) -> Scored:
        """Return the network's probabilities."""
        from genre_spark.serving.poster_pixels import read_posters  # noqa: PLC0415 - OpenCV

        count = len(movies.frame)
        found, judged = np.tile(self._prior, (count, 1)), np.zeros(count, np.bool_)
        images = movies.frame["image"] if "image" in movies.frame else [None] * count
        for start in range(0, count, _BATCH):
            notes = movies.notes[start : start + _BATCH]
            chunk = list(images[start : start + _BATCH])
            pixels, rows = read_posters(chunk, self._form, notes)
            if len(rows):
                found[start + rows] = self._network.probabilities(pixels)
                judged[start + rows] = True
            for row in set(range(len(chunk))) - set(rows.tolist()):
                notes[row].append(NO_POSTER)
        return Scored(_rounded(found), judged=judged)


class StackPart:
    """A model on top of what other models predict of the movies that they can judge.

    Args:
        file: file of the stack.
        parts: the models that it reads, in its order.
    """

    def __init__(self, file: str, parts: Sequence[Part]) -> None:
        from genre_spark.fusion.stacks.stacking import StackedModel  # noqa: PLC0415

        self._stack = StackedModel.from_bytes(_read(file))
        self._parts = list(parts)

    def score(self, movies: Movies) -> Scored:
        """Return the stack's probabilities."""
        from genre_spark.fusion.stacks.stacking import log_odds  # noqa: PLC0415

        inputs = []
        for part in self._parts:
            found = part.score(movies)
            if found.judged is not None:
                found.probabilities[~found.judged] = np.nan
            inputs.append(found.probabilities)
        for mine in movies.notes:  # what the network would have said alone is not asked for
            mine[:] = dict.fromkeys(LEFT_OUT if note == NO_POSTER else note for note in mine)
        return Scored(_rounded(self._stack.probabilities(log_odds(inputs))))


class FusedPart:
    """A network over poster, texts and metadata, which masks what a movie lacks.

    Args:
        file: file of the model.
    """

    def __init__(self, file: str) -> None:
        from genre_spark.fusion.network.model import FusedModel  # noqa: PLC0415 - torch, seconds

        self._model = FusedModel.load(file)

    def score(self, movies: Movies) -> Scored:
        """Return the network's probabilities."""
        if movies.specification is None:
            raise InvalidInputError("fused network: no features in the package, package it again")
        matrix = movies.features().matrix
        return Scored(_rounded(self._model.probabilities(movies.specification, matrix)))


class CalibratedPart:
    """A model whose probabilities are calibrated.

    Args:
        file: file of the calibration's curves.
        part: the model.
    """

    def __init__(self, file: str, part: Part) -> None:
        from genre_spark.fusion.calibration.calibrators import Calibrator  # noqa: PLC0415

        self._curves = Calibrator.from_json(_read(file))
        self._part = part

    def score(self, movies: Movies) -> Scored:
        """Return the calibrated probabilities."""
        found = self._part.score(movies)
        return Scored(_rounded(self._curves.apply(found.probabilities)), judged=found.judged)


def _read(file: str) -> bytes:
    system, inner = filesystem(file)
    with system.open(inner, "rb") as stream:
        return bytes(stream.read())


def _rounded(probabilities: Matrix) -> Matrix:
    """Round to what a predictions table stores: thresholds were tuned on such numbers."""
    return probabilities.astype(np.float32).astype(np.float64)


KINDS = ("multilabel", "linear", "network", "fused", "stack", "calibrated")
"""Kinds of parts that can be packaged."""


def open_part(folder: str, part: Mapping[str, Any], description: ModelDescription) -> Part:
    """Load a part of a packaged model.

    Args:
        folder: folder of the package, on this machine.
        part: its entry in the description.
        description: of the whole model.

    Raises:
        InvalidInputError: the part is of an unknown kind, or its files cannot be used.
    """
    kind = part.get("kind")
    if kind == "multilabel":
        return MultilabelPart(join(folder, part["folder"]), part["class"])
    if kind == "linear":
        return LinearPart(join(folder, part["file"]))
    if kind == "network":
        return NetworkPart(join(folder, part["file"]), description)
    if kind == "fused":
        return FusedPart(join(folder, part["file"]))
    if kind == "stack":
        parts = [open_part(folder, each, description) for each in part["models"]]
        return StackPart(join(folder, part["file"]), parts)
    if kind == "calibrated":
        return CalibratedPart(
            join(folder, part["file"]), open_part(folder, part["model"], description)
        )
    raise InvalidInputError(f"{folder}: a part of kind {kind!r}, expected {', '.join(KINDS)}")
