"""Stage text-embeddings: one vector per movie from its name, tagline and description."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import MOVIE_ID, MOVIES_CSV
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import file_digest, filesystem
from genre_spark.storage.ownership import claimed
from genre_spark.text.embedding_table import TEXT, EmbeddedTexts, embed_texts
from genre_spark.text.sources import find_source
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.metadata import metadata_files, movie_id, read_text_csv

__all__ = ["embed_texts_table", "run", "texts_depend_on"]


def texts_depend_on(config: Config) -> list[object]:
    """Return what a text's vector depends on beside the genres table.

    Raises:
        MissingExtraError: the encoder's package is not installed.
        InvalidInputError: there is no movies.csv, or no such encoder.
    """
    settings = config.text_embeddings
    source = find_source(settings.model)
    return [
        file_digest(_movies_csv(config)),
        [source.kind, source.digest, settings.max_tokens, settings.fields],
    ]


@stage(
    depends_on=lambda config: [
        Catalogue(config).genres.manifest().fingerprint,
        texts_depend_on(config),
    ],
    outputs=lambda config: [Catalogue(config).text_embeddings],
    always=True,
)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Compute the vectors of the movies with genres whose text is new or has changed.

    A killed run goes on where it stopped.

    Counts: texts, those of this run, the length of a vector, texts that were cut, empty texts.
    """
    tracked.set_tags({"method": config.text_embeddings.model})
    tracked.log_params({"text_embeddings": config.text_embeddings.model_dump(mode="json")})
    table = Catalogue(config).text_embeddings.path
    if tracked.force:
        system, inner = filesystem(table)
        if system.exists(inner):
            system.rm(inner, recursive=True)
    found = embed_texts_table(spark, config)
    rows = found.manifest.rows
    notes = []
    if found.truncated:
        notes.append(
            f"{found.truncated:,} of {rows:,} texts are longer than {config.text_embeddings.model} "
            "reads, and were cut"
        )
    if found.empty:
        notes.append(f"{found.empty:,} of {rows:,} texts are empty: their vectors are zeros")
    return StageResult(
        outputs={"text_embeddings": table},
        counts={
            "texts": rows,
            "computed": found.computed,
            "features": found.manifest.details["features"],
            "truncated": found.truncated,
            "empty": found.empty,
        },
        notes=tuple(notes),
        reused=found.computed == 0,
    )


def embed_texts_table(spark: SparkSession, config: Config) -> EmbeddedTexts:
    """Compute the vectors of all texts that have none yet."""
    source, table = find_source(config.text_embeddings.model), Catalogue(config).text_embeddings
    with (
        claimed([table.path], "text-embeddings", otherwise=config.second_writer),
        job_progress(spark, f"text embeddings of {config.text_embeddings.model}"),
    ):
        return embed_texts(
            _texts(spark, config),
            table.path,
            source,
            config=config.text_embeddings,
        )


def _texts(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and text of every movie with genres; null texts are empty."""
    parts = [F.when(F.trim(name) != "", F.trim(name)) for name in config.text_embeddings.fields]
    movies = read_text_csv(spark, _movies_csv(config, config.paths.imported_metadata), MOVIES_CSV)
    texts = (
        movies.select(movie_id(), F.concat_ws(". ", *parts).alias(TEXT))
        .groupBy(MOVIE_ID)
        .agg(F.max(TEXT).alias(TEXT))
    )
    wanted = Catalogue(config).genres.read(spark).select(MOVIE_ID)
    if config.sampling.require_poster and Catalogue(config).posters.is_whole():
        wanted = wanted.join(Catalogue(config).posters.read(spark), MOVIE_ID, "left_semi")
    return texts.join(wanted, MOVIE_ID, "left_semi")


def _movies_csv(config: Config, imported: str | None = None) -> str:
    files = metadata_files(config.paths.metadata, imported)
    if "movies" not in files:
        raise InvalidInputError(
            f"paths.metadata: {config.paths.metadata} has no movies.csv (nor .csv.gz), expected "
            "the texts of movies in it"
        )
    return files["movies"]
