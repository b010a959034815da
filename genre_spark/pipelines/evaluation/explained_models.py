"""Trained models as what explanations need: named inputs, groups of them, rows, and a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from genre_spark.explanations.scores import (
    CalibratedScore,
    FusedScore,
    LinearScore,
    MultilabelScore,
    StackScore,
)
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import ScaledBlocks
from genre_spark.fusion.calibration.calibrators import Calibrator
from genre_spark.fusion.linear.model import LinearModel
from genre_spark.fusion.stacks.stacking import StackedModel, log_odds
from genre_spark.fusion.vectors import decode_lists, decode_vectors
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.models.transform_spark import needs_spark
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.models.stack_inputs import StackInputs
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID
from genre_spark.serving.packaging import stored_class
from genre_spark.storage.files import filesystem, is_local, join

__all__ = ["FAMILIES", "Explainable", "ModelOpener", "NothingToExplain"]

FAMILIES = ("multilabel", "linear", "fused", "stack")
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
        calibration: of the evaluation; `none` for the models' own probabilities.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        settings: ExplanationsConfig,
        *,
        calibration: str = "none",
    ) -> None:
        self._spark, self._config, self._settings = spark, config, settings
        self._calibration = calibration
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
        openers = (self._open_multilabel, self._open_linear, self._open_fused, self._open_stack)
        found = dict(zip(FAMILIES, openers, strict=True))[family](name)
        count = found.rows.labels.shape[1]
        if count != len(found.labels):
            raise InvalidInputError(
                f"{name}: predicts {len(found.labels)} genres, expected the {count} of the "
                "validation sample: train it again"
            )
        if self._calibration == "none":
            return found
        curves = Calibrator.from_json(_read(self._tables.calibration_file(name)))
        return replace(found, score=CalibratedScore(found.score, curves))

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
        return self._on_blocks(name, model.blocks, LinearScore(model))

    def _open_fused(self, name: str) -> Explainable:
        from genre_spark.fusion.network.model import FusedModel  # noqa: PLC0415 - torch, seconds

        model = FusedModel.load(join(self._config.paths.model(name), "fused.pt"))
        score = FusedScore(model, self._specification)
        return self._on_blocks(name, model.inputs.blocks, score)

    def _on_blocks(self, name: str, read: ScaledBlocks, score: Score) -> Explainable:
        blocks = self._specification.blocks
        for scale in read.scales:
            if blocks.get(scale.name) != slice(scale.start, scale.stop):
                raise InvalidInputError(
                    f"{name}: block {scale.name} of other features, expected those of the "
                    "features table: train it again"
                )
        return Explainable(
            name,
            self._labels(name),
            self._feature_names,
            {scale.name: _positions(blocks[scale.name]) for scale in read.scales},
            self._feature_rows,
            score,
            None,
        )

    def _open_stack(self, name: str) -> Explainable:
        model = StackedModel.from_bytes(_read(join(self._config.paths.model(name), "stack.npz")))
        labels, count = self._labels(name), len(model.models)
        joined = StackInputs(self._spark, self._config, model.models).joined("validation")
        judged = joined.dropna(subset=[f"m{number}" for number in range(count)])
        drawn = draw_movies(judged, seed=self._config.seed, most=self._settings.rows)
        drawn = drawn.select(MOVIE_ID, LABELS, *(f"m{number}" for number in range(count)))

        def decode(columns: list[pa.Array]) -> sparse.csr_matrix:
            return sparse.csr_matrix(log_odds([decode_lists(column) for column in columns]))

        return Explainable(
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


def _positions(place: slice) -> NDArray[np.int64]:
    return np.arange(place.start, place.stop)


def _read(file: str) -> bytes:
    system, inner = filesystem(file)
    with system.open(inner, "rb") as stream:
        return bytes(stream.read())
