"""Predictions of registered versions: each is loaded from MLflow and predicts from raw fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from pyspark.sql import DataFrame

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION
from genre_spark.serving.movie_model import MovieModel
from genre_spark.serving.package_description import ModelDescription
from genre_spark.tracking.movie_models import fetch_package
from genre_spark.tracking.registry import RegisteredVersion
from genre_spark.tracking.runs import TrackedRun
from genre_spark.workers.tasks import short_task

__all__ = ["RegisteredModel", "open_registered"]

_ROWS = 256  # movies whose posters a worker holds at once
_loaded: dict[str, MovieModel] = {}  # of this worker


class RegisteredModel:
    """The movie model behind a registered version, whatever kind it is of.

    Attributes:
        version: the registered version.
        description: of the packaged model.
    """

    def __init__(
        self, version: RegisteredVersion, description: ModelDescription, store: str
    ) -> None:
        self.version, self.description, self._store = version, description, store

    def predict(self, movies: DataFrame, genres: Sequence[str]) -> DataFrame:
        """Return what the model predicts under its own decision rule.

        On a cluster, executors have to reach the tracking server.

        Args:
            movies: movie ids, labels, and what is known of the movies in the raw.
            genres: names of the labels, L.

        Returns:
            movie_id, labels, prediction (0 or 1, (L,) per row).

        Raises:
            InvalidInputError: the model predicts other genres.
        """
        mine, version = list(self.description.vocabulary), self.version
        if mine != list(genres):
            raise InvalidInputError(
                f"{version.name} version {version.version}: it predicts {len(mine)} genres "
                f"({', '.join(mine)}), expected those of the validation sample "
                f"({', '.join(genres)})"
            )
        store = self._store

        def predict(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            model = _loaded.get(version.uri)
            if model is None:
                _loaded.clear()
                model = _loaded[version.uri] = MovieModel(fetch_package(version.uri, store))
            for batch in batches:
                for start in range(0, len(batch), _ROWS):
                    rows = batch.iloc[start : start + _ROWS].reset_index(drop=True)
                    decided = model.predict(rows.drop(columns=[MOVIE_ID, LABELS])).decided
                    answers = {PREDICTION: list(decided.astype("float32"))}
                    yield rows[[MOVIE_ID, LABELS]].assign(**answers)

        schema = f"{MOVIE_ID} long, {LABELS} array<float>, {PREDICTION} array<float>"
        return movies.mapInPandas(short_task(predict), schema)


def open_registered(run: TrackedRun, version: RegisteredVersion) -> RegisteredModel:
    """Return the movie model of a registered version.

    Args:
        run: any run of the store.
        version: version to load.

    Raises:
        InvalidInputError: it cannot be loaded, or takes no movies.
    """
    folder = fetch_package(version.uri, run.tracking_uri)
    return RegisteredModel(version, ModelDescription.load(folder), run.tracking_uri)
