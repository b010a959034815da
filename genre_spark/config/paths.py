"""Paths of the inputs and of every table, and the synthetic data that can be written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from genre_spark.config.import_data import Layout
from genre_spark.config.section import Section

__all__ = ["PathsConfig", "SampleDataConfig"]


class PathsConfig(Section):
    """Inputs, and the work folder.

    All are local paths or URLs (hdfs, s3a, gs, abfss). With a layout other than letterboxd the
    stage import-data reads `source`, and `genres_csv` and `metadata` are tables that it writes.
    """

    layout: Layout = Field("letterboxd", description="of the data set; see docs/your-data.md")
    source: str | None = Field(
        None, description="file or folder of a data set in a layout other than letterboxd"
    )

    genres_csv: str = Field(description="CSV file of id,genre; plain or .gz")
    posters: str = Field(description="folder of ID.jpg, or a zip or tar archive of them")
    metadata: str = Field(
        description="folder of movies.csv, countries.csv, ... (each plain or .gz)"
    )
    work: str = Field(description="folder that all tables, models and the MLflow store go to")
    predicted_posters: str | None = Field(
        None,
        description="posters that predict-posters reads: a posters or samples table of any work "
        "folder, or a folder of Parquet with its columns; null: the work folder's posters table",
    )

    new: str | None = Field(
        None,
        description="movies that `predict` reads: a folder in the same layout without genres, its "
        "posters in a folder `posters`, either may be missing; or a folder of Parquet with "
        "movie_id and raw fields",
    )
    new_csv: str | None = Field(
        None, description="folder that `predict` writes its answers to as CSV; null: no CSV"
    )

    shared: str | None = Field(
        None,
        description="work folder of the tables that no seed changes (genres, posters, embeddings); "
        "null: paths.work",
    )

    @model_validator(mode="before")
    @classmethod
    def _imported(cls, values: Any) -> Any:
        """Put what import-data writes in the place of files in the Letterboxd layout."""
        if not isinstance(values, Mapping) or values.get("layout", "letterboxd") == "letterboxd":
            return values
        if not values.get("source"):
            raise ValueError(f"source, the file or folder in layout {values['layout']}")
        work = values.get("shared") or values.get("work")
        if not isinstance(work, str):
            return values
        folder = f"{work.rstrip('/')}/imported"
        posters = {"posters": f"{folder}/downloaded_posters", **values}
        return {**posters, "genres_csv": f"{folder}/genres", "metadata": folder}

    def table(self, *names: str) -> str:
        """Return the folder of a table under the work folder."""
        return "/".join([self.work.rstrip("/"), *names])

    def shared_table(self, *names: str) -> str:
        """Return the folder of a table that no seed changes."""
        return "/".join([(self.shared or self.work).rstrip("/"), *names])

    @property
    def genres(self) -> str:
        """Folder of the genres table."""
        return self.shared_table("genres")

    @property
    def posters_table(self) -> str:
        """Folder of the posters table."""
        return self.shared_table("posters")

    @property
    def features(self) -> str:
        """Folder of the features table."""
        return self.table("features")

    def rejects(self, stage: str) -> str:
        """Folder of the rejects table of a stage."""
        return self.table("rejects", stage)

    def samples(self, split: str) -> str:
        """Folder of a samples table; split is train, validation or test."""
        return self.table("samples", split)

    def predictions(self, model: str, split: str) -> str:
        """Folder of a model's predictions for a split."""
        return self.table("predictions", model, split)

    def model(self, model: str) -> str:
        """Folder of a trained model."""
        return self.table("models", model)


class SampleDataConfig(Section):
    """The synthetic data set in the Letterboxd layout, written to the places that `paths` names."""

    movies: int = Field(1500, ge=20, le=10_000_000, description="number of movies")
    flaws: bool = Field(True, description="plant a few of each flaw that real data has")
