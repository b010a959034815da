"""Which movies can be drawn, and the split of each: the same answer in every stage."""

from __future__ import annotations

from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.sampling.priorities import priority
from genre_spark.sampling.splits import SPLIT, SPLITS, assign_split
from genre_spark.sampling.stratification import stratify
from genre_spark.schemas import IMAGE, LABEL_IDS, MOVIE_ID
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.storage.files import file_digest
from genre_spark.transforms.metadata import find_csv, movie_id, read_text_csv

__all__ = ["eligible_movies", "split_inputs", "split_movies"]

_KEY = "split_key"


def split_inputs(config: Config) -> list[object]:
    """Return fingerprints of what splits depend on beside the genres table and the settings.

    Raises:
        MissingTableError: the posters table is needed and has not been written yet.
        InvalidInputError: movies with the same title are to be kept together, but there are no
            titles.
    """
    inputs: list[object] = []
    if config.sampling.require_poster or config.split.group_by == "poster":
        inputs.append(Catalogue(config).posters.manifest().fingerprint)
    if config.split.group_by == "title":
        inputs.append(file_digest(_titles_file(config)))
    return inputs


def eligible_movies(spark: SparkSession, config: Config) -> DataFrame:
    """Return movie_id and label_ids of the movies with genres and, where required, a poster.

    Raises:
        MissingTableError: the genres or the posters table has not been written yet.
    """
    tables = Catalogue(config)
    movies = tables.genres.read(spark).select(MOVIE_ID, LABEL_IDS)
    if not config.sampling.require_poster:
        return movies
    return movies.join(tables.posters.read(spark).select(MOVIE_ID), MOVIE_ID, "left_semi")


def split_movies(spark: SparkSession, config: Config, movies: DataFrame) -> DataFrame:
    """Add the column `split` to movies, by the configured method.

    With method iterative, ineligible movies drop out.

    Args:
        spark: reads what the method needs: posters, titles or genres.
        config: the recipe.
        movies: with movie_id, and whatever else.

    Raises:
        InvalidConfigError: method iterative with more movies than it takes on.
        InvalidInputError: movies with the same title are to be kept together, but there are no
            titles.
    """
    settings = config.split
    if settings.method == "iterative":
        return movies.join(_stratified(spark, config), MOVIE_ID)
    assign = partial(
        assign_split, test=settings.test, validation=settings.validation, seed=config.seed
    )
    if settings.group_by is None:
        return assign(movies)
    keys = (
        _poster_keys(spark, config) if settings.group_by == "poster" else _title_keys(spark, config)
    )
    # A movie without a poster or a title goes by itself.
    keyed = movies.join(keys, MOVIE_ID, "left").withColumn(
        _KEY, F.coalesce(_KEY, F.xxhash64(MOVIE_ID))
    )
    return assign(keyed, key=_KEY).drop(_KEY)


def _poster_keys(spark: SparkSession, config: Config) -> DataFrame:
    posters = Catalogue(config).posters.read(spark)
    return posters.select(MOVIE_ID, F.xxhash64(IMAGE).alias(_KEY))


def _title_keys(spark: SparkSession, config: Config) -> DataFrame:
    path = _titles_file(config, config.paths.imported_metadata)
    rows = read_text_csv(spark, path, ("id", "name", "date"))
    title, year = F.lower(F.btrim("name")), F.substring("date", 1, 4)
    return (
        rows.where(title != "")
        .select(movie_id(), F.xxhash64(title, year).alias(_KEY))
        .where(F.col(MOVIE_ID).isNotNull())
        .groupBy(MOVIE_ID)
        .agg(F.min(_KEY).alias(_KEY))
    )


def _titles_file(config: Config, imported: str | None = None) -> str:
    path = find_csv(config.paths.metadata, "movies", imported)
    if path is None:
        raise InvalidInputError(
            f"paths.metadata: {config.paths.metadata} has no movies.csv (nor .csv.gz), expected "
            "one since split.group_by is title"
        )
    return path


def _stratified(spark: SparkSession, config: Config) -> DataFrame:
    settings = config.split
    movies = eligible_movies(spark, config)
    count = movies.count()
    if count > settings.max_iterative:
        raise InvalidConfigError(
            f"split.method: iterative with {count:,} movies, expected at most split.max_iterative "
            f"({settings.max_iterative:,}) since it runs on the driver; hash takes any number"
        )
    labels = len(Catalogue(config).vocabulary())
    rows = movies.orderBy(priority(config.seed, SPLIT)).collect()
    rest = 1 - settings.test
    shares = (rest * (1 - settings.validation), rest * settings.validation, settings.test)
    parts = stratify([row[LABEL_IDS] for row in rows], shares, labels=labels)
    dealt = [(row[MOVIE_ID], SPLITS[part]) for row, part in zip(rows, parts, strict=True)]
    return frame_of_rows(spark, dealt, f"{MOVIE_ID} bigint, {SPLIT} string")
