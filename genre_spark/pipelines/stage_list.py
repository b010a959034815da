"""The stages in the order of a whole run. Their modules are imported when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from genre_spark.pipelines.stage import Stage

__all__ = ["STAGES", "StageEntry"]


@dataclass(frozen=True)
class StageEntry:
    """A stage as the command line knows it.

    Attributes:
        name: for example `group-genres`; its module is `group_genres`.
        summary: one line for the help text.
        in_run: whether a whole run includes it.
    """

    name: str
    summary: str
    in_run: bool = True

    def load(self) -> Stage:
        """Import the stage's module and return its `run`."""
        module = import_module(f"genre_spark.pipelines.{self.name.replace('-', '_')}")
        loaded: Stage = module.run
        return loaded


STAGES = {
    entry.name: entry
    for entry in (
        StageEntry("make-sample", "write generated data in the Letterboxd layout"),
        StageEntry("group-genres", "genres.csv -> one row per movie, and the vocabulary"),
        StageEntry("prepare-posters", "decode, resize and store posters"),
        StageEntry(
            "build-features", "metadata and simple poster features, fitted on training movies"
        ),
        StageEntry("sample", "split and draw the balanced samples"),
        StageEntry("train-multilabel", "train the multi-label models on the features, and predict"),
        StageEntry("train-cnn", "train the poster network, and predict"),
        StageEntry("evaluate", "metrics of every model that has predictions"),
        StageEntry("compare", "all models side by side"),
        StageEntry(
            "poster-embeddings", "features of all posters from a pretrained network", in_run=False
        ),
        StageEntry("search-cnn", "search learning rate and dropout of the network", in_run=False),
        StageEntry(
            "predict-posters", "genres of all posters, by the trained network", in_run=False
        ),
    )
}
