"""Stage build-features: the features table, fitted on training movies only."""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.files import file_digest
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.sampling.splitting import split_inputs, split_movies
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.sampling.splits import SPLIT, TRAIN
from genre_spark.schemas import FEATURES, MOVIE_ID, REASON
from genre_spark.tables import Table
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.features import (
    EMBEDDING,
    fit_feature_pipeline,
    prepare_columns,
    summarise_posters,
)
from genre_spark.transforms.metadata import metadata_files, read_metadata
from genre_spark.transforms.metadata_rejects import rejected_metadata


def _depends_on(config: Config) -> list[object]:
    files = metadata_files(config.paths.metadata) if config.features.metadata else {}
    catalogue = Catalogue(config)
    tables = [catalogue.genres.manifest().fingerprint]
    if config.features.of_posters:
        tables.append(catalogue.posters.manifest().fingerprint)
    network: list[object] = []
    if config.features.embeddings:
        # torch, seconds
        from genre_spark.pipelines.features.network_features import features_depend_on  # noqa: PLC0415

        network = features_depend_on(config)
    return [
        config.features.model_dump(mode="json"),
        config.split.model_dump(mode="json"),
        config.sampling.require_poster,
        {name: file_digest(path) for name, path in files.items()},
        tables,
        network,
        split_inputs(
            config
        ),  # features are fitted on training movies, so they change with the split
    ]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.features, *([tables.rejects("metadata")] if config.features.metadata else [])]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Join what is known of every movie that has genres into one vector.

    Counts: movies, training movies, the length of the feature vector, rejected rows of the
    metadata by reason.
    """
    tracked.log_params({"features": config.features.model_dump(mode="json")})
    outputs = {"features": config.paths.features, "model": config.paths.model("features")}
    rejected: dict[str, int] = {}
    if config.features.metadata:
        rejected = _write_rejects(spark, config, tracked.digest)
        outputs["rejects"] = config.paths.rejects("metadata")
    movies = _describe(spark, config).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        train = split_movies(spark, config, movies).where(F.col(SPLIT) == TRAIN)
        training = train.count()
        if training == 0:
            raise InvalidInputError(
                f"build-features: no training movie among {movies.count()}, expected at least one"
            )
        model = fit_feature_pipeline(train, config.features)
        model.write().overwrite().save(config.paths.model("features"))
        vectors = model.transform(movies).select(MOVIE_ID, FEATURES)
        # there is at least one training movie
        length = int(vectors.first()[FEATURES].size)  # type: ignore[index]
        manifest = Catalogue(config).features.write(
            vectors, fingerprint=tracked.digest, details={"length": length}
        )
    finally:
        movies.unpersist()
    return StageResult(
        outputs=outputs,
        counts={
            "movies": manifest.rows,
            "training_movies": training,
            "features": length,
            **{f"rejected/{reason}": count for reason, count in rejected.items()},
        },
        notes=_notes(rejected),
    )


def _write_rejects(spark: SparkSession, config: Config, fingerprint: str) -> dict[str, int]:
    """Write the rejects table of the metadata; return its rows by reason."""
    table = Catalogue(config).rejects("metadata")
    table.write(rejected_metadata(spark, config.paths.metadata), fingerprint=fingerprint)
    counted = table.read(spark).groupBy(REASON).count().orderBy(REASON).collect()
    return {row[REASON]: row["count"] for row in counted}


def _notes(rejected: dict[str, int]) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in rejected.items())
    return (f"flawed rows of the metadata: {reasons}",) if rejected else ()


def _describe(spark: SparkSession, config: Config) -> DataFrame:
    tables = Catalogue(config)
    movies = tables.genres.read(spark).select(MOVIE_ID)
    posters = None
    if config.features.of_posters:
        posters = tables.posters.read(spark).join(movies, MOVIE_ID, "left_semi")
        movies = posters.select(MOVIE_ID)
    if config.features.metadata:
        movies = prepare_columns(read_metadata(spark, config.paths.metadata, movies))
    if config.features.posters and posters is not None:
        settings = config.features
        summaries = summarise_posters(
            posters, thumbnail=settings.thumbnail, bins=settings.histogram_bins
        )
        movies = movies.join(summaries, MOVIE_ID)
    if config.features.embeddings:
        movies = movies.join(_embeddings(spark, config), MOVIE_ID)
    return movies


def _embeddings(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and `embedding`, a vector, of every poster.

    Those that are missing are computed first.
    """
    # torch, seconds
    from genre_spark.pipelines.features.network_features import embed_posters_table  # noqa: PLC0415

    embed_posters_table(spark, config)
    embeddings = Catalogue(config).embeddings.read(spark)
    return embeddings.select(MOVIE_ID, array_to_vector(F.col(FEATURES)).alias(EMBEDDING))
