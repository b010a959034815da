"""Stage build-features: the features table, fitted on training movies only."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.features.blocks import POSTER_EMBEDDING, POSTER_SUMMARY, TEXT_EMBEDDING
from genre_spark.features.fitting import configured_columns, fit_specification
from genre_spark.features.spark_columns import prepare_columns
from genre_spark.features.spark_engine import assemble_features
from genre_spark.features.spark_posters import summarise_posters
from genre_spark.features.specification import FeatureSpecification
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.sampling.splitting import eligible_movies, split_inputs, split_movies
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.sampling.splits import SPLIT, TRAIN
from genre_spark.schemas import FEATURES, MOVIE_ID, REASON
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.caching import cached
from genre_spark.storage.files import file_digest
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.metadata import LISTS, TEXTS, metadata_files, read_metadata
from genre_spark.transforms.metadata_rejects import rejected_metadata


def _depends_on(config: Config) -> list[object]:
    files = metadata_files(config.paths.metadata) if config.features.metadata else {}
    catalogue = Catalogue(config)
    tables = [catalogue.genres.manifest().fingerprint]
    if config.features.of_posters:
        tables.append(catalogue.posters.manifest().fingerprint)
    return [
        config.features.model_dump(mode="json"),
        config.split.model_dump(mode="json"),
        config.sampling.require_poster,
        {name: file_digest(path) for name, path in files.items()},
        tables,
        _encoders(config),
        split_inputs(config),  # features are learnt from training movies: they change with it
    ]


def _encoders(config: Config) -> list[object]:
    """Return what embeddings depend on beside posters and texts."""
    # both bring torch, seconds
    found: list[object] = []
    if POSTER_EMBEDDING in config.features.on:
        from genre_spark.pipelines.features.network_features import (  # noqa: PLC0415
            features_depend_on,
        )

        found += features_depend_on(config)
    if TEXT_EMBEDDING in config.features.on:
        from genre_spark.pipelines.features.text_embeddings import (  # noqa: PLC0415
            texts_depend_on,
        )

        found += texts_depend_on(config)
    return found


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.features, *([tables.rejects("metadata")] if config.features.metadata else [])]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Make one vector of what is known of each movie that can be drawn.

    Counts: movies, training movies, the length of the feature vector, rejected rows of the
    metadata by reason.
    """
    tracked.log_params({"features": config.features.model_dump(mode="json")})
    outputs = {"features": config.paths.features, "model": config.paths.model("features")}
    rejected: dict[str, int] = {}
    learnt: list[FeatureSpecification] = []

    def write_rejects() -> None:
        rejected.update(_write_rejects(spark, config, tracked.digest))

    work = [lambda: learnt.append(_write_features(spark, config, tracked.digest))]
    if config.features.metadata:
        work.append(write_rejects)
        outputs["rejects"] = config.paths.rejects("metadata")
    run_in_threads(spark, work, parallelism=len(work))
    specification = learnt[0]
    return StageResult(
        outputs=outputs,
        counts={
            "movies": Catalogue(config).features.manifest().rows,
            "training_movies": specification.training_movies,
            "features": specification.size,
            **{f"rejected/{reason}": count for reason, count in rejected.items()},
        },
        notes=(*_notes(rejected), *_notes_on_blocks(config, specification)),
    )


def _write_features(spark: SparkSession, config: Config, fingerprint: str) -> FeatureSpecification:
    """Learn the specification from the training movies, and write it and the features table."""
    with cached(_describe(spark, config)) as movies:
        train = split_movies(spark, config, movies).where(F.col(SPLIT) == TRAIN)
        specification = fit_specification(train, config.features, config.posters)
        specification.save(config.paths.model("features"))
        Catalogue(config).features.write(
            assemble_features(movies, specification).select(MOVIE_ID, FEATURES),
            fingerprint=fingerprint,
            details={"length": specification.size, "specification": specification.digest},
        )
    return specification


def _write_rejects(spark: SparkSession, config: Config, fingerprint: str) -> dict[str, int]:
    """Write the rejects table of the metadata; return its rows by reason."""
    table = Catalogue(config).rejects("metadata")
    found = rejected_metadata(spark, config.paths.metadata, config.paths.imported_metadata)
    table.write(found, fingerprint=fingerprint)
    # an observation would count a task twice that Spark repeats, and Connect 4.0 returns none here
    counted = table.read(spark).groupBy(REASON).count().orderBy(REASON).collect()
    return {row[REASON]: row["count"] for row in counted}


def _notes(rejected: dict[str, int]) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in rejected.items())
    return (f"flawed rows of the metadata: {reasons}",) if rejected else ()


def _notes_on_blocks(config: Config, specification: FeatureSpecification) -> tuple[str, ...]:
    empty = [name for name in config.features.on if name not in specification.blocks]
    if not empty:
        return ()
    return (
        f"no features of {', '.join(empty)}: nothing in there that "
        f"{config.features.min_count:,} training movies have",
    )


def _describe(spark: SparkSession, config: Config) -> DataFrame:
    """Return what the features are learnt and computed from: prepared columns and vectors."""
    settings = config.features
    movies = eligible_movies(spark, config).select(MOVIE_ID)
    described = movies
    if settings.metadata:
        paths = config.paths
        raw = read_metadata(spark, paths.metadata, movies, paths.imported_metadata)
        wanted = configured_columns(settings)
        described = prepare_columns(raw, wanted).drop(*TEXTS, *LISTS)
    if POSTER_SUMMARY in settings.on:
        posters = Catalogue(config).posters.read(spark)
        summaries = summarise_posters(
            posters.join(movies, MOVIE_ID, "left_semi"),
            thumbnail=settings.thumbnail,
            bins=settings.histogram_bins,
        )
        described = described.join(summaries, MOVIE_ID, "left")
    if POSTER_EMBEDDING in settings.on:
        described = described.join(_poster_embeddings(spark, config), MOVIE_ID, "left")
    if TEXT_EMBEDDING in settings.on:
        described = described.join(_text_embeddings(spark, config), MOVIE_ID, "left")
    return described


def _poster_embeddings(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and an array for every poster; those that are missing are computed first."""
    from genre_spark.pipelines.features.network_features import (  # noqa: PLC0415 - torch, seconds
        embed_posters_table,
    )

    embed_posters_table(spark, config)
    embeddings = Catalogue(config).poster_embeddings.read(spark)
    return embeddings.select(MOVIE_ID, F.col(FEATURES).alias(POSTER_EMBEDDING))


def _text_embeddings(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and an array for every text that says something, computed where missing."""
    from genre_spark.pipelines.features.text_embeddings import (  # noqa: PLC0415 - torch, seconds
        embed_texts_table,
    )

    embed_texts_table(spark, config)
    embeddings = Catalogue(config).text_embeddings.read(spark).where("NOT empty")
    return embeddings.select(MOVIE_ID, F.col(FEATURES).alias(TEXT_EMBEDDING))
