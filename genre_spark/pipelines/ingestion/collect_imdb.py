"""Stage collect-imdb: what the user's files of IMDb say of the movies, as a table."""

from __future__ import annotations

import logging
import uuid

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.config.collect import ImdbConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import file_digest, filesystem, join
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.metadata import find_csv, movie_id, read_text_csv

logger = logging.getLogger("genre_spark")


def imdb_section(config: Config) -> ImdbConfig:
    """Return the stage's section.

    Raises:
        InvalidConfigError: the recipe has none.
    """
    if config.collect.imdb is None:
        raise InvalidConfigError(
            "collect.imdb: missing, expected a section such as collect.imdb={source: FOLDER}"
        )
    return config.collect.imdb


def _ids_path(config: Config) -> str:
    path = imdb_section(config).ids or find_csv(config.paths.metadata, "ids")
    if path is None:
        raise InvalidInputError(
            f"paths.metadata: {config.paths.metadata} has no ids.csv of id,imdb_id, expected one "
            "(collect-tmdb writes it), or collect.imdb.ids"
        )
    return path


def _depends_on(config: Config) -> list[object]:
    from genre_spark.collect import imdb_files as files  # noqa: PLC0415 - an extra

    section = imdb_section(config)
    digests: list[object] = [section.model_dump(mode="json"), file_digest(_ids_path(config))]
    if not files.is_mirror(section.source):
        for name in files.needed_files(akas=section.akas):
            path = files.find_file(section.source, name)
            files.check_header(path, name)
            digests.append(file_digest(path))
    return digests


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    return [tables.imdb, tables.rejects("imdb")]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Join IMDb's files by IMDb id."""
    from genre_spark.collect import imdb  # noqa: PLC0415 - an extra
    from genre_spark.collect.politeness import IMDB_NOTICE  # noqa: PLC0415

    logger.info("%s: %s", run.name, IMDB_NOTICE)
    paths = _paths(config)
    tracked.log_params({"collect.imdb": imdb_section(config).model_dump(mode="json")})
    table, rejects = _outputs(config)
    ids = _read_ids(spark, _ids_path(config))
    # a name that no reader knows, and that the commit of the table removes
    stage_folder = join(table.path, f"data-stage-{uuid.uuid4().hex[:8]}")
    with job_progress(spark, run.name):
        kept = imdb.filter_files(spark, paths, ids, stage=stage_folder)
        rejected = rejects.write(imdb.rejected_rows(ids, kept), fingerprint=tracked.digest)
        written = table.write(imdb.join_imdb(ids, kept), fingerprint=tracked.digest)
    return StageResult(
        outputs={"imdb": table.path, "rejects": rejects.path},
        counts={
            "movies": written.rows,
            "rejected": rejected.rows,
            **{f"lines/{name}": file.lines for name, file in kept.items()},
        },
        notes=_compare_genres(spark, config, table),
    )


def _paths(config: Config) -> dict[str, str]:
    from genre_spark.collect import imdb_files as files  # noqa: PLC0415 - an extra

    section, names = imdb_section(config), files.needed_files(akas=imdb_section(config).akas)
    folder = section.source
    if files.is_mirror(section.source):
        folder = config.paths.table("imdb_files")
        files.download_mirror(section.source, folder, names)
    paths = {name: files.find_file(folder, name) for name in names}
    for name, path in paths.items():
        files.check_header(path, name)
    return paths


def _read_ids(spark: SparkSession, path: str) -> DataFrame:
    """Return movie_id and imdb_id, one row per movie that has one."""
    rows = read_text_csv(spark, path, ("id", "imdb_id"))
    known = rows.select(movie_id(), F.trim("imdb_id").alias("imdb_id")).where(
        "movie_id is not null and imdb_id rlike '^tt[0-9]+$'"
    )
    return known.groupBy("movie_id").agg(F.min("imdb_id").alias("imdb_id"))


def _compare_genres(spark: SparkSession, config: Config, table: Table) -> tuple[str, ...]:
    """Say how IMDb's genres agree with ours: a second opinion, and never a feature."""
    path = config.paths.genres_csv
    system, inner = filesystem(path)
    if not system.exists(inner):
        return ()
    genres = read_text_csv(spark, path, ("id", "genre")).select(movie_id(), "genre")
    lists = genres.groupBy("movie_id").agg(F.collect_set("genre").alias("genres"))
    both = table.read(spark).where(F.size("imdb_genres") > 0).join(lists, "movie_id")
    theirs = F.transform(
        "imdb_genres",
        lambda genre: (
            F.when(genre == "Sci-Fi", "Science Fiction")
            .when(genre == "Musical", "Music")
            .otherwise(genre)
        ),
    )
    shared = F.arrays_overlap("genres", theirs)
    counts = both.agg(F.count(F.lit(1)).alias("n"), F.count_if(shared).alias("shared")).first()
    if counts is None or not counts["n"]:
        return ()
    share = counts["shared"] / counts["n"]
    return (f"IMDb and genres.csv share a genre for {share:.1%} of {counts['n']:,} movies",)
