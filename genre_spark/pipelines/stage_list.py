"""The stages in the order of a whole run. Their modules are imported when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genre_spark.pipelines.stage import Stage  # with Spark and MLflow, seconds

__all__ = ["STAGES", "StageEntry"]


@dataclass(frozen=True)
class StageEntry:
    """A stage as the command line knows it.

    Attributes:
        place: its module below `genre_spark.pipelines`, for example `ingestion.group_genres`.
        summary: one line for the help text.
        in_run: whether a whole run includes it.
        ingests: whether the command runs the ingestion stages of the recipe before it.
        needs_spark: whether the stage gets a Spark session.
        imports: packages that the stage imports when it has work, which takes seconds.
        trains_apart: whether it trains a network, in a process of its own or in several.
    """

    place: str
    summary: str
    in_run: bool = True
    ingests: bool = False
    needs_spark: bool = True
    imports: tuple[str, ...] = ()
    trains_apart: bool = False

    @property
    def name(self) -> str:
        """The stage's name, for example `group-genres`."""
        return self.place.rpartition(".")[2].replace("_", "-")

    @property
    def module(self) -> str:
        """The full name of the stage's module."""
        return f"genre_spark.pipelines.{self.place}"

    def load(self) -> Stage:
        """Import the stage's module and return its `run`."""
        loaded: Stage = import_module(self.module).run
        return loaded


STAGES = {
    entry.name: entry
    for entry in (
        StageEntry(
            "ingestion.make_sample",
            "write generated data in the Letterboxd layout",
            needs_spark=False,
        ),
        StageEntry(
            "ingestion.collect_tmdb",
            "movies from TMDb, in the Letterboxd layout",
            needs_spark=False,
        ),
        StageEntry("ingestion.collect_imdb", "IMDb's ratings and people of the movies"),
        StageEntry("ingestion.download_posters", "posters from a table of links"),
        StageEntry("ingestion.import_data", "a data set in another layout, as tables"),
        StageEntry("ingestion.import_metadata", "large CSV files of metadata, as typed tables"),
        StageEntry("ingestion.group_genres", "genres.csv -> one row per movie, and the vocabulary"),
        StageEntry("ingestion.prepare_posters", "decode, resize and store posters"),
        StageEntry(
            "exploration.explore",
            "a page about the data: genres, numbers, words, posters, duplicates, leaks",
            in_run=False,
            ingests=True,
        ),
        StageEntry(
            "features.build_features",
            "metadata and simple poster features, fitted on training movies",
        ),
        StageEntry("sampling.sample", "split and draw the balanced samples"),
        StageEntry(
            "models.train_multilabel",
            "train the multi-label models on the features, and predict",
            imports=("sklearn",),
        ),
        StageEntry(
            "models.train_linear", "train linear models on blocks of the features, and predict"
        ),
        StageEntry("models.train_cnn", "train the poster network, and predict", trains_apart=True),
        StageEntry(
            "models.train_fused",
            "train the network over posters, texts and metadata, and predict",
            trains_apart=True,
        ),
        StageEntry("models.train_stack", "train stacks of models, and predict"),
        StageEntry("evaluation.evaluate", "metrics of every model that has predictions"),
        StageEntry("serving.package_models", "each model as a folder that takes movies"),
        StageEntry("evaluation.explain_models", "what each model looks at"),
        StageEntry("evaluation.compare", "all models side by side", needs_spark=False),
        StageEntry(
            "evaluation.promote", "the challenger becomes the champion if it is better", in_run=True
        ),
        StageEntry("evaluation.ablate", "what each block of the features is worth", in_run=False),
        StageEntry(
            "evaluation.publish_tables",
            "predictions and evaluation as tables of a catalog (Unity Catalog, Hive)",
            in_run=False,
        ),
        StageEntry("serving.predict", "genres of new movies, by a packaged model", in_run=False),
        StageEntry(
            "features.poster_embeddings",
            "features of all posters from a pretrained network",
            in_run=False,
        ),
        StageEntry(
            "features.text_embeddings",
            "vectors of all texts from a sentence transformer or word vectors",
            in_run=False,
        ),
        StageEntry(
            "models.search_cnn", "search learning rate and dropout of the network", in_run=False
        ),
        StageEntry(
            "models.predict_posters", "genres of all posters, by the trained network", in_run=False
        ),
    )
}
