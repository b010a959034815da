"""Where the inputs and every table lie, how inputs are read, and synthetic data in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from genre_spark.config.section import Section

__all__ = [
    "ImportConfig",
    "ImportMetadataConfig",
    "Layout",
    "PathsConfig",
    "SampleDataConfig",
    "TableColumns",
]


Layout = Literal[
    "letterboxd",
    "tmdb5000",
    "movies_dataset",
    "imdb5000",
    "omdb",
    "movielens",
    "imdb_tsv",
    "table",
]
_LISTS = ("genres", "countries", "languages", "studios", "themes", "actors", "directors")


class PathsConfig(Section):
    """Inputs, and the work folder.

    All are local paths or URLs (hdfs, s3a, gs, abfss; dbfs:/Volumes). With a layout other than
    letterboxd the stage import-data reads `source`, and `genres_csv` and `metadata` are tables that
    it writes.
    """

    layout: Layout = Field("letterboxd", description="of the data set; see docs/your-data.md")
    source: str | None = Field(
        None, description="file or folder of a data set in a layout other than letterboxd"
    )

    genres_csv: str = Field(description="CSV file of id,genre; plain or .gz")
    posters: str = Field(
        description="folder of ID.jpg, a zip or tar archive of them, or Parquet files with "
        "movie_id and image (bytes) or uri"
    )
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
        None,
        description="folder that `predict` writes its answers to as CSV: one that is not there, is "
        "empty or has earlier answers; null: no CSV",
    )

    tables: str | None = Field(
        None,
        description="catalog.schema (Unity Catalog), or a schema, that publish-tables writes to",
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

    @field_validator("*", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        """Write what Spark alone understands so that Python does too: dbfs:/Volumes and file:/."""
        if not isinstance(value, str):
            return value
        if value.startswith("file:/") and not value.startswith("file://"):
            return value.replace("file:", "file://", 1)
        if not value.startswith("dbfs:/"):
            return value
        inner = "/" + value.removeprefix("dbfs:").lstrip("/")
        if not inner.startswith("/Volumes/"):
            raise ValueError("dbfs:/Volumes/..., or /dbfs/... on a cluster with that mount")
        return inner

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
    def imported_metadata(self) -> str:
        """Folder of the tables that import-metadata makes of CSV files."""
        return self.shared_table("metadata")

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


class ImportMetadataConfig(Section):
    """How `import-metadata` makes typed Parquet of the CSV files in `paths.metadata`."""

    smallest_mib: float = Field(
        64,
        ge=0,
        description="MiB of a CSV file from which on it is imported; reading a smaller one as it "
        "is takes less time than the job that imports it",
    )
    block_mib: int = Field(
        16, ge=1, le=128, description="MiB of a file that a task reads and parses at a time"
    )


class TableColumns(Section):
    """Which column of a table is what; names as in its header, in any case."""

    id: str = Field(description="number, IMDb id (tt0111161), or any text")
    genres: str = Field(description="one or several genres; a list, or separated")
    name: str | None = Field(None, description="title; a year in parentheses at its end counts")
    date: str | None = Field(None, description="date or year of release")
    tagline: str | None = None
    description: str | None = None
    minute: str | None = Field(None, description="minutes: 142, also written 142 min")
    rating: str | None = None
    budget: str | None = Field(None, description="0 counts as unknown, here and for revenue")
    revenue: str | None = None
    votes: str | None = None
    popularity: str | None = None
    countries: str | None = None
    languages: str | None = None
    studios: str | None = None
    themes: str | None = Field(None, description="keywords")
    actors: str | None = None
    directors: str | None = None
    poster: str | None = Field(None, description="link to the poster, for download-posters")
    imdb_id: str | None = Field(None, description="for collect-imdb")


class ImportConfig(Section):
    """How `paths.source` is read; only for layouts other than letterboxd."""

    columns: TableColumns | None = Field(None, description="of layout `table`")
    separators: dict[str, str] = Field(
        default_factory=dict,
        description="between the entries of a column of lists, such as {genres: '|'}; others are "
        "recognised: a list of JSON or Python, |, ;, comma",
    )
    encoding: str | None = Field(None, description="such as utf-16 or latin-1; null: recognised")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="between fields; null: recognised"
    )
    quote: str | None = Field(
        None, max_length=1, description="around fields; '': quotes mean nothing; null: by layout"
    )
    multiline: bool | None = Field(
        None,
        description="whether quoted fields hold line breaks, which takes one task per file; null: "
        "true up to 1 GiB, above it if the beginning of the file has one",
    )
    ids: Literal["auto", "number", "imdb", "text"] | None = Field(
        None, description="what ids may be; auto: numbers, IMDb ids, else any text; null: by layout"
    )
    repeated_ids: Literal["reject", "merge"] = Field(
        "reject",
        description="several rows of one id; reject: the one that says most is used; merge: its "
        "lists get the entries of the others (a table with one row per movie and genre)",
    )
    max_malformed: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of malformed rows above which the file is taken for misread",
    )

    @field_validator("separators")
    @classmethod
    def _of_lists(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in _LISTS:
                raise ValueError(f"columns of lists ({', '.join(_LISTS)}), not {name!r}")
        return value
