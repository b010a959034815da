"""The tables of a work folder: each one's place, schema and producer, written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from genre_spark.adapters.layout_tables import TABLES
from genre_spark.config import Config
from genre_spark.config.multilabel import Method
from genre_spark.schemas import (
    DOWNLOADS_SCHEMA,
    EMBEDDINGS_SCHEMA,
    EVALUATION_SCHEMA,
    FEATURES_SCHEMA,
    FUSED_INPUTS_SCHEMA,
    GENRES_SCHEMA,
    HEAT_MAPS_SCHEMA,
    IMDB_SCHEMA,
    IMPORTANCES_SCHEMA,
    MOVIE_PREDICTIONS_SCHEMA,
    POSTERS_SCHEMA,
    PREDICTIONS_SCHEMA,
    REJECTS_SCHEMA,
    SAMPLES_SCHEMA,
    SAMPLES_WITHOUT_POSTERS_SCHEMA,
    TEXT_EMBEDDINGS_SCHEMA,
)
from genre_spark.storage.files import join
from genre_spark.storage.tables import Table

__all__ = ["Catalogue"]

REJECTS_OF = {
    "genres": "group-genres",
    "posters": "prepare-posters",
    "metadata": "build-features",
    "tmdb": "collect-tmdb",
    "downloads": "download-posters",
    "imdb": "collect-imdb",
    "import": "import-data",
    "csv": "import-metadata",
    "new": "predict",
}


@dataclass(frozen=True)
class Catalogue:
    """The tables of a recipe: `Catalogue(config).genres.read(spark)`.

    Attributes:
        config: the recipe.
    """

    config: Config

    @property
    def genres(self) -> Table:
        """One row per movie: its genres and their positions in the vocabulary."""
        return Table(self.config.paths.genres, GENRES_SCHEMA, "group-genres")

    def vocabulary(self) -> list[str]:
        """Return the names of the genres by label id.

        Raises:
            MissingTableError: the genres table has not been written yet.
        """
        return list(self.genres.manifest().details["vocabulary"])

    @property
    def posters(self) -> Table:
        """One row per readable poster."""
        return Table(self.config.paths.posters_table, POSTERS_SCHEMA, "prepare-posters")

    @property
    def imdb(self) -> Table:
        """One row per movie that IMDb knows: its numbers and people there."""
        return Table(self.config.paths.shared_table("imdb"), IMDB_SCHEMA, "collect-imdb")

    @property
    def downloads(self) -> Table:
        """One row per link: what became of it when it was last asked for."""
        return Table(
            self.config.paths.shared_table("downloads"), DOWNLOADS_SCHEMA, "download-posters"
        )

    def imported(self, name: str) -> Table:
        """A table of the Letterboxd layout that import-data made of another one."""
        return Table(join(self.config.paths.metadata, name), TABLES[name], "import-data")

    def imported_csv(self, name: str) -> Table:
        """A CSV file of the Letterboxd layout that import-metadata made a table of."""
        folder = join(self.config.paths.imported_metadata, name)
        return Table(folder, TABLES[name], "import-metadata")

    def rejects(self, of: str) -> Table:
        """One row per input that could not be used, of genres, posters, metadata, ...."""
        return Table(self.config.paths.rejects(of), REJECTS_SCHEMA, REJECTS_OF[of])

    @property
    def features(self) -> Table:
        """One feature vector per movie."""
        return Table(self.config.paths.features, FEATURES_SCHEMA, "build-features")

    @property
    def embeddings(self) -> Table:
        """One feature vector per poster, by the pretrained network that a head is trained on."""
        folder = self.config.paths.shared_table("embeddings", self.config.cnn.architecture)
        return Table(folder, EMBEDDINGS_SCHEMA, "poster-embeddings")

    @property
    def poster_embeddings(self) -> Table:
        """One vector per poster, by the networks of the block poster_embedding; often the same."""
        settings = self.config.embeddings
        names = settings.networks or (self.config.cnn.architecture,)
        name = "+".join(names) + ("+depths" if settings.depths else "")
        name += "" if settings.precision == "auto" else f"+{settings.precision}"
        return Table(
            self.config.paths.shared_table("embeddings", name),
            EMBEDDINGS_SCHEMA,
            "poster-embeddings",
        )

    @property
    def text_embeddings(self) -> Table:
        """One vector per movie with a text, by the encoder of the recipe."""
        folder = self.config.paths.shared_table("text_embeddings")
        return Table(folder, TEXT_EMBEDDINGS_SCHEMA, "text-embeddings")

    def samples(self, split: str) -> Table:
        """One row per sampled movie of a split: train, validation or test."""
        with_posters = self.config.sampling.require_poster
        schema = SAMPLES_SCHEMA if with_posters else SAMPLES_WITHOUT_POSTERS_SCHEMA
        return Table(self.config.paths.samples(split), schema, "sample")

    def fused_inputs(self, split: str) -> Table:
        """One row per movie of training or validation, as the fused network reads it."""
        return Table(
            self.config.paths.table("fused_inputs", split), FUSED_INPUTS_SCHEMA, "train-fused"
        )

    def predictions(self, model: str, split: str) -> Table:
        """One row per movie that a model predicted: of validation, test, or all posters."""
        producer = "predict-posters" if split == "posters" else self._trained_by(model)
        return Table(self.config.paths.predictions(model, split), PREDICTIONS_SCHEMA, producer)

    def calibration_file(self, model: str) -> str:
        """Return the file with the curves of a model's calibration, written by `evaluate`."""
        return self.config.paths.table("calibration", f"{model}.json")

    @property
    def movie_predictions(self) -> Table:
        """One row per new movie: its genres by a packaged model."""
        return Table(
            self.config.paths.table("movie_predictions"), MOVIE_PREDICTIONS_SCHEMA, "predict"
        )

    def importances(self, model: str) -> Table:
        """One row per number that says what a model looks at."""
        folder = self.config.paths.table("importances", model)
        return Table(folder, IMPORTANCES_SCHEMA, "explain-models")

    def heat_maps(self, model: str) -> Table:
        """One row per test poster and genre: where a network looks."""
        folder = self.config.paths.table("heat_maps", model)
        return Table(folder, HEAT_MAPS_SCHEMA, "explain-models")

    @property
    def evaluation(self) -> Table:
        """One row per metric of a model on a split under a decision rule."""
        return Table(self.config.paths.table("evaluation"), EVALUATION_SCHEMA, "evaluate")

    def _trained_by(self, model: str) -> str:
        """Return the stage that trains a model and predicts validation and test."""
        if model.removesuffix("_without_themes") in get_args(Method):
            return "train-multilabel"
        if self.config.linear is not None and model in self.config.linear.models:
            return "train-linear"
        fused = self.config.fused_network
        if fused is not None and model == fused.name:
            return "train-fused"
        if self.config.stack is not None and model in self.config.stack.models:
            return "train-stack"
        return "train-cnn"
