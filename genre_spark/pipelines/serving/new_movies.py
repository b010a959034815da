"""Movies without genres: a folder in the Letterboxd layout, or a table of raw fields."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DoubleType, StringType, StructType

from genre_spark.errors import InvalidInputError, text_of
from genre_spark.posters.names import EXTENSIONS
from genre_spark.schemas import MOVIE_ID
from genre_spark.serving.movie_model import INPUTS
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import read_manifest
from genre_spark.transforms.metadata import (
    metadata_files,
    movie_id,
    read_metadata,
    read_text_csv,
)

__all__ = ["IMAGE_FILE", "ROW_HASH", "new_movies"]

IMAGE_FILE = "image_file"
ROW_HASH = "row_hash"
_KINDS = {
    "text": StringType(),
    "number": DoubleType(),
    "list of text": ArrayType(StringType()),
    "bytes of an image file": BinaryType(),
}
_POSTER = rf"/0*(\d{{1,18}})\.(?i:{'|'.join(EXTENSIONS)})$"


def new_movies(spark: SparkSession, place: str) -> DataFrame:
    """Return one row per movie: movie_id, the raw fields that are there, and `row_hash`.

    Args:
        spark: the session.
        place: a folder with any of movies.csv, countries.csv, ... and a folder `posters` of
            ID.jpg, either may be missing; or a folder of Parquet with movie_id and raw fields.

    Raises:
        InvalidInputError: there is nothing to read, or a column is of another type.
    """
    system, inner = filesystem(place)
    if not system.isdir(inner):
        raise InvalidInputError(f"paths.new: {place}: no such folder, expected one with movies")
    names = [str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in system.ls(inner, detail=False)]
    if read_manifest(place) is not None or any(name.endswith(".parquet") for name in names):
        movies = _read_table(spark, place)
    else:
        movies = _read_folder(spark, place, has_posters="posters" in names)
    described = [F.col(f"`{name}`") for name in sorted(movies.columns) if name != MOVIE_ID]
    return movies.withColumn(ROW_HASH, F.xxhash64(*described) if described else F.lit(0))


def _read_table(spark: SparkSession, place: str) -> DataFrame:
    manifest = read_manifest(place)
    paths = [place] if manifest is None else [join(place, path) for path in manifest.paths]
    table = spark.read.parquet(*map(literal_path, paths))
    if MOVIE_ID not in table.columns:
        raise InvalidInputError(f"paths.new: {place}: no column movie_id, it has {table.columns}")
    kept = [F.col(MOVIE_ID).cast("long").alias(MOVIE_ID)]
    for name, kind in INPUTS.items():
        if name in table.columns:
            kept.append(_typed(table, name, kind))
    return table.select(*kept).where(F.col(MOVIE_ID).isNotNull()).dropDuplicates([MOVIE_ID])


def _typed(table: DataFrame, name: str, kind: str) -> Column:
    found, wanted = table.schema[name].dataType, _KINDS[kind]
    nested = isinstance(found, ArrayType | StructType | BinaryType)
    if nested and type(found) is not type(wanted):
        raise InvalidInputError(
            f"paths.new: column {name}: {found.simpleString()}, expected {wanted.simpleString()}"
        )
    return F.col(name).cast(wanted).alias(name)


def _read_folder(spark: SparkSession, place: str, *, has_posters: bool) -> DataFrame:
    posters = _list_posters(spark, join(place, "posters")) if has_posters else None
    try:
        files = metadata_files(place)
    except InvalidInputError:
        files = {}
    if not files and posters is None:
        raise InvalidInputError(
            f"paths.new: {place}: neither movies.csv nor a folder of posters, expected one of them"
        )
    ids = None if posters is None else posters.select(MOVIE_ID)
    for path in files.values():
        found = read_text_csv(spark, path, ("id",)).select(movie_id())
        ids = found if ids is None else ids.union(found)
    if ids is None:
        raise InvalidInputError(f"paths.new: {place}: no movie")
    ids = ids.where(F.col(MOVIE_ID).isNotNull()).distinct()
    movies = ids
    if files:
        raw = read_metadata(spark, place, ids)
        movies = raw.select(MOVIE_ID, *[name for name in INPUTS if name in raw.columns])
    return movies if posters is None else movies.join(posters, MOVIE_ID, "left")


def _list_posters(spark: SparkSession, folder: str) -> DataFrame:
    """Return movie_id and where its poster lies; of two files of a movie the first by name."""
    try:
        files = spark.read.format("binaryFile").load(literal_path(folder))
    except Exception as error:
        raise InvalidInputError(
            f"paths.new: {folder}: cannot be listed ({text_of(error)})"
        ) from None
    found = files.select(
        F.regexp_extract("path", _POSTER, 1).alias("digits"),
        F.struct("path", "length", "modificationTime").alias(IMAGE_FILE),
    )
    numbered = found.where("digits != ''").select(
        F.col("digits").cast("long").alias(MOVIE_ID), IMAGE_FILE
    )
    return numbered.groupBy(MOVIE_ID).agg(F.min(IMAGE_FILE).alias(IMAGE_FILE))
