"""Trained models as what explanations need: named inputs, groups of them, rows, and a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy import sparse

from genre_spark import multilabel
from genre_spark.config import Config, ExplanationsConfig
from genre_spark.errors import InvalidInputError
from genre_spark.explanations.explained_rows import ExplainedRows, collect_rows, draw_movies
from genre_spark.explanations.permutation import Score
from genre_spark.explanations.scores import LinearScore, MultilabelScore, StackScore
from genre_spark.features.specification import FeatureSpecification
from genre_spark.files import filesystem, is_local, join
from genre_spark.fusion.linear_model import LinearModel
from genre_spark.fusion.stack_tables import join_predictions
from genre_spark.fusion.stacking import StackedModel, log_odds
from genre_spark.fusion.vectors import decode_lists, decode_vectors
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.models.transform_spark import needs_spark
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID
from genre_spark.serving.packaging import stored_class

__all__ = ["FAMILIES", "Explainable", "ModelOpener", "NothingToExplain"]

FAMILIES = ("multilabel", "linear", "stack")
Matrix = NDArray[np.float64]


class NothingToExplain(Exception):  # noqa: N818 - not a mistake: the stage notes it and goes on
    """A model into which there is nothing to look; the text says why."""


@dataclass(frozen=True)
class Explainable:
    """A model that can be explained.

    Attributes:
        name: of the model.
        labels: names of the genres, L.
        names: group and name of each input, F.
        groups: group that the model reads -> positions of its inputs.
        rows: validation movies, with F inputs.
        score: the model.
        impurity: importances in its trees, (L, F); None where it has none.
    """

    name: str
    labels: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    groups: Mapping[str, NDArray[np.int64]]
    rows: ExplainedRows
    score: Score
    impurity: Matrix | None


class ModelOpener:
    """Opens the models of a recipe; those that read features share their rows.

    Args:
        spark: the session.
        config: the recipe.
        settings: its section on explanations.
    """

    def __init__(self, spark: SparkSession, config: Config, settings: ExplanationsConfig) -> None:
        self._spark, self._config, self._settings = spark, config, settings
        self._tables = Catalogue(config)

    def open(self, name: str, family: str) -> Explainable:
        """Return a model with the rows that it is explained on.

        Args:
            name: of the model.
            family: of FAMILIES.

        Raises:
            NothingToExplain: it reads no features, or only Spark can apply it.
            InvalidInputError: it was trained on other features or genres.
        """
        if family == "stack":
            return self._open_stack(name)
        found = self._open_linear(name) if family == "linear" else self._open_multilabel(name)
        _check_labels(found)
        return found

    def _labels(self, name: str) -> tuple[str, ...]:
        return tuple(self._tables.predictions(name, "validation").manifest().details["vocabulary"])

    @cached_property
    def _specification(self) -> FeatureSpecification:
        return FeatureSpecification.load(self._config.paths.model("features"))

    @cached_property
    def _feature_names(self) -> tuple[tuple[str, str], ...]:
        parts = self._specification.parts
        return tuple((part.name, name) for part in parts for name in part.feature_names)

    @cached_property
    def _feature_rows(self) -> ExplainedRows:
        samples = self._tables.samples("validation").read(self._spark).select(MOVIE_ID, LABELS)
        drawn = draw_movies(samples, seed=self._config.seed, most=self._settings.rows)
        features = self._tables.features.read(self._spark)
        joined = drawn.join(features, MOVIE_ID).withColumn(FEATURES, F.unwrap_udt(FEATURES))
        size = self._specification.size

        def decode(columns: list[pa.Array]) -> sparse.csr_matrix:
            return decode_vectors(columns[0], size=size)

        return collect_rows(joined, decode, role="explanations")

    def _open_multilabel(self, name: str) -> Explainable:
        folder = self._config.paths.model(name)
        kind = getattr(multilabel, stored_class(folder))
        model: MultilabelModel = (
            kind.loadLocal(folder) if is_local(filesystem(folder)[0]) else kind.load(folder)
        )
        if not model.parts:
            raise NothingToExplain(f"{name} looks at no feature")
        if model.numFeatures != self._specification.size:
            raise InvalidInputError(
                f"{name}: reads {model.numFeatures} features, expected the "
                f"{self._specification.size} of the features table: train it again"
            )
        try:
            impurity: Matrix | None = model.labelFeatureImportances
        except InvalidInputError:  # linear and other classifiers have none
            impurity = None
        if needs_spark(model.parts):
            raise NothingToExplain(f"{name} can only be applied by Spark, a movie at a time")
        return Explainable(
            name,
            self._labels(name),
            self._feature_names,
            {block: _positions(place) for block, place in self._specification.blocks.items()},
            self._feature_rows,
            MultilabelScore(model.predictor(), model.getThreshold()),
            impurity,
        )

    def _open_linear(self, name: str) -> Explainable:
        model = LinearModel.from_bytes(_read(join(self._config.paths.model(name), "linear.npz")))
        blocks = self._specification.blocks
        for scale in model.blocks.scales:
            if blocks.get(scale.name) != slice(scale.start, scale.stop):
                raise InvalidInputError(
                    f"{name}: block {scale.name} of other features, expected those of the "
                    "features table: train it again"
                )
        return Explainable(
            name,
            self._labels(name),
            self._feature_names,
            {scale.name: _positions(blocks[scale.name]) for scale in model.blocks.scales},
            self._feature_rows,
            LinearScore(model),
            None,
        )

    def _open_stack(self, name: str) -> Explainable:
        model = StackedModel.from_bytes(_read(join(self._config.paths.model(name), "stack.npz")))
        labels, count = self._labels(name), len(model.models)
        joined = join_predictions(
            {
                part: self._tables.predictions(part, "validation").read(self._spark)
                for part in model.models
            }
        )
        drawn = draw_movies(joined, seed=self._config.seed, most=self._settings.rows)
        drawn = drawn.select(MOVIE_ID, LABELS, *(f"m{number}" for number in range(count)))

        def decode(columns: list[pa.Array]) -> sparse.csr_matrix:
            return sparse.csr_matrix(log_odds([decode_lists(column) for column in columns]))

        found = Explainable(
            name,
            labels,
            tuple((part, label) for part in model.models for label in labels),
            {
                part: np.arange(number * len(labels), (number + 1) * len(labels))
                for number, part in enumerate(model.models)
            },
            collect_rows(drawn, decode, role=name),
            StackScore(model),
            None,
        )
        _check_labels(found)
        return found


def _check_labels(found: Explainable) -> None:
    count = found.rows.labels.shape[1]
    if count != len(found.labels):
        raise InvalidInputError(
            f"{found.name}: predicts {len(found.labels)} genres, expected the {count} of the "
            "validation sample: train it again"
        )


def _positions(place: slice) -> NDArray[np.int64]:
    return np.arange(place.start, place.stop)


def _read(file: str) -> bytes:
    system, inner = filesystem(file)
    with system.open(inner, "rb") as stream:
        return bytes(stream.read())
