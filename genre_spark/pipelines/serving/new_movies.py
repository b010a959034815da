"""Movies without genres: a folder in the Letterboxd layout, or a table of raw fields."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    NullType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from genre_spark.errors import InvalidInputError, text_of
from genre_spark.posters.names import (
    DUPLICATE_ID,
    EXTENSIONS,
    ID_OUT_OF_RANGE,
    NOT_AN_ID,
    WRONG_EXTENSION,
)
from genre_spark.schemas import CONTENT, MOVIE_ID, REASON, SOURCE
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
from genre_spark.transforms.metadata_rejects import (
    FLAW,
    NO_NUMBER_AS_ID,
    flaw_where,
    rejected_metadata,
    repeated_ids,
)
from genre_spark.transforms.raw_columns import read_id, read_number, read_year, strip_blanks

__all__ = ["IMAGE_FILE", "ROW_HASH", "new_movies", "rejected_movies"]

IMAGE_FILE = "image_file"
ROW_HASH = "row_hash"
_POSTERS = "posters"
_KINDS = {
    "text": StringType(),
    "number": DoubleType(),
    "list of text": ArrayType(StringType()),
    "bytes of an image file": BinaryType(),
}
_TIMES = (TimestampType, TimestampNTZType)
_TAKEN: dict[str, tuple[type[DataType], ...]] = {  # what columns of a table may be, by their kind
    "text": (NumericType, StringType, BooleanType, DateType, *_TIMES, NullType),
    "number": (NumericType, StringType, NullType),
    "list of text": (ArrayType, NullType),
    "bytes of an image file": (BinaryType, NullType),
}
_POSTER_NAME = r"^([0-9]+)\.([A-Za-z0-9]+)$"


def new_movies(spark: SparkSession, place: str) -> DataFrame:
    """Return one row per movie: movie_id, the raw fields that are there, and `row_hash`.

    Args:
        spark: the session.
        place: a folder with any of movies.csv, countries.csv, ... and a folder `posters` of
            ID.jpg, either may be missing; or a folder of Parquet with movie_id and raw fields.

    Raises:
        InvalidInputError: there is nothing to read, no movie in it, or a column is of another type.
    """
    movies = _read_table(spark, place) if _is_table(place) else _read_folder(spark, place)
    described = [F.col(f"`{name}`") for name in sorted(movies.columns) if name != MOVIE_ID]
    return movies.withColumn(ROW_HASH, F.xxhash64(*described) if described else F.lit(0))


def rejected_movies(spark: SparkSession, place: str) -> DataFrame:
    """Return source, reason and content of what `new_movies` leaves out.

    Raises:
        InvalidInputError: there is nothing to read, or a column is of another type.
    """
    if _is_table(place):
        return _rejected_rows(_open_table(spark, place), place.rstrip("/").rsplit("/", 1)[-1])
    files, has_posters = _find_sources(place)
    parts = [rejected_metadata(spark, place)] if files else []
    if has_posters:
        parts.append(_rejected_posters(_list_posters(spark, join(place, _POSTERS))))
    return reduce(DataFrame.unionAll, parts)


def _is_table(place: str) -> bool:
    system, inner = filesystem(place)
    if not system.isdir(inner):
        raise InvalidInputError(f"paths.new: {place}: no such folder, expected one with movies")
    names = map(str, system.ls(inner, detail=False))
    return read_manifest(place) is not None or any(name.endswith(".parquet") for name in names)


def _open_table(spark: SparkSession, place: str) -> DataFrame:
    """Return a table's own columns: movie_id and those of `INPUTS`; the types are checked."""
    manifest = read_manifest(place)
    paths = [place] if manifest is None else [join(place, path) for path in manifest.paths]
    if not paths:
        raise _no_movies(place)
    table = spark.read.parquet(*map(literal_path, paths))
    if MOVIE_ID not in table.columns:
        raise InvalidInputError(f"paths.new: {place}: no column movie_id, it has {table.columns}")
    for name, kind in {MOVIE_ID: "number", **INPUTS}.items():
        if name in table.columns and not isinstance(table.schema[name].dataType, _TAKEN[kind]):
            raise InvalidInputError(
                f"paths.new: column {name}: {table.schema[name].dataType.simpleString()}, "
                f"expected {kind}"
            )
    return table.select(MOVIE_ID, *[name for name in INPUTS if name in table.columns])


def _read_table(spark: SparkSession, place: str) -> DataFrame:
    table = _open_table(spark, place)
    kept = [_as_input(table, name, kind) for name, kind in INPUTS.items() if name in table.columns]
    movies = table.select(_read_id(table).alias(MOVIE_ID), *kept)
    movies = movies.where(F.col(MOVIE_ID).isNotNull())
    if not movies.select(MOVIE_ID).take(1):
        raise _no_movies(place)
    return movies.dropDuplicates([MOVIE_ID])


def _no_movies(place: str) -> InvalidInputError:
    return InvalidInputError(
        f"paths.new: {place}: no movies in it, expected at least one; rows that cannot be read are "
        "in rejects/new of the work folder, with their reasons"
    )


def _read_id(table: DataFrame) -> Column:
    """Return a table's ids as whole numbers, null where they are none: 7, 7.0, or text of them."""
    found, kind = F.col(MOVIE_ID), table.schema[MOVIE_ID].dataType
    if isinstance(kind, StringType):
        return read_id(found)
    if isinstance(kind, DecimalType):
        whole = found.between(-(2**63), 2**63 - 1) & (F.floor(found) == found)
    elif isinstance(kind, FractionalType):
        whole = (F.abs(found) < float(2**63)) & (F.rint(found) == found)
    else:
        whole = F.lit(True)
    return F.when(whole, found.cast("long"))  # where Spark is strict a cast of others ends the job


def _as_input(table: DataFrame, name: str, kind: str) -> Column:
    """Return a column as models take it; they read numbers in texts, and say what they cannot."""
    if kind == "number" and isinstance(table.schema[name].dataType, StringType):
        return F.col(name)
    return F.col(name).cast(_KINDS[kind]).alias(name)


def _rejected_rows(table: DataFrame, source: str) -> DataFrame:
    """Return the flaws that the same rows would have in CSV files."""
    kinds = {name: table.schema[name].dataType for name in table.columns}
    texts = [name for name, kind in kinds.items() if not isinstance(kind, ArrayType | BinaryType)]
    line = F.concat_ws(",", *[F.coalesce(F.col(name).cast("string"), F.lit("")) for name in texts])
    flaws = [flaw_where(_read_id(table).isNull(), NO_NUMBER_AS_ID, line)]
    for name, kind in kinds.items():
        found, known, read = F.col(name), name, read_number
        if name == "date":
            known, read = "year", read_year
        elif INPUTS.get(name) != "number":
            continue
        if isinstance(kind, StringType):
            is_flaw = (strip_blanks(found) != "") & read(found).isNull()
        elif isinstance(kind, FloatType | DoubleType) and name != "date":
            is_flaw = F.abs(found) == float("inf")
        else:
            continue
        flaws.append(flaw_where(is_flaw, f"{known} is not a number", line))
    place = F.lit(source).alias(SOURCE)
    rows = table.select(F.explode(F.array_compact(F.array(*flaws))).alias(FLAW))
    repeated = repeated_ids(table.select(_read_id(table).alias(MOVIE_ID)))
    return rows.select(place, f"{FLAW}.*").unionAll(repeated.select(place, REASON, CONTENT))


def _find_sources(place: str) -> tuple[dict[str, str], bool]:
    """Return the CSV files of a folder by name, and whether it has posters."""
    system, inner = filesystem(join(place, _POSTERS))
    has_posters = bool(system.isdir(inner))
    try:
        files = metadata_files(place)
    except InvalidInputError:
        files = {}
    if not files and not has_posters:
        raise InvalidInputError(
            f"paths.new: {place}: neither movies.csv nor a folder of posters, expected one of them"
        )
    return files, has_posters


def _read_folder(spark: SparkSession, place: str) -> DataFrame:
    files, has_posters = _find_sources(place)
    posters = None
    if has_posters:
        posters = _first_posters(_list_posters(spark, join(place, _POSTERS)))
    parts = [] if posters is None else [posters.select(MOVIE_ID)]
    parts += [read_text_csv(spark, path, ("id",)).select(movie_id()) for path in files.values()]
    ids = reduce(DataFrame.union, parts).where(F.col(MOVIE_ID).isNotNull())
    if not ids.take(1):
        raise _no_movies(place)
    movies = ids = ids.distinct()
    if files:
        raw = read_metadata(spark, place, ids)
        movies = raw.select(MOVIE_ID, *[name for name in INPUTS if name in raw.columns])
    return movies if posters is None else movies.join(posters, MOVIE_ID, "left")


def _list_posters(spark: SparkSession, folder: str) -> DataFrame:
    """Return every file: its name, the movie_id in it, REASON where there is none, and where."""
    try:
        files = spark.read.format("binaryFile").load(literal_path(folder))
    except Exception as error:
        raise InvalidInputError(
            f"paths.new: {folder}: cannot be listed ({text_of(error)})"
        ) from None
    name = F.regexp_extract("path", "[^/]*$", 0)
    movie = read_id(F.regexp_extract(name, _POSTER_NAME, 1))
    is_image = F.lower(F.regexp_extract(name, _POSTER_NAME, 2)).isin(*EXTENSIONS)
    reason = (
        F.when(~F.rlike(name, F.lit(_POSTER_NAME)), NOT_AN_ID)
        .when(~is_image, WRONG_EXTENSION)
        .when(movie.isNull(), ID_OUT_OF_RANGE)
    )
    return files.select(
        name.alias("name"),
        F.when(reason.isNull(), movie).alias(MOVIE_ID),
        reason.alias(REASON),
        F.struct("path", "length", "modificationTime").alias(IMAGE_FILE),
    )


def _first_posters(posters: DataFrame) -> DataFrame:
    """Return movie_id and where its poster lies; of several files of a movie the first by name."""
    numbered = posters.where(F.col(MOVIE_ID).isNotNull())
    return numbered.groupBy(MOVIE_ID).agg(F.min(IMAGE_FILE).alias(IMAGE_FILE))


def _rejected_posters(posters: DataFrame) -> DataFrame:
    unnamed = posters.where(F.col(MOVIE_ID).isNull()).select("name", REASON)
    numbered = posters.where(F.col(MOVIE_ID).isNotNull())
    names = numbered.groupBy(MOVIE_ID).agg(F.sort_array(F.collect_list("name")).alias("names"))
    others = F.slice("names", F.lit(2), F.size("names"))
    further = names.select(F.explode(others).alias("name"), F.lit(DUPLICATE_ID).alias(REASON))
    place = F.concat(F.lit(f"{_POSTERS}/"), "name").alias(SOURCE)
    nothing = F.lit(None).cast("string").alias(CONTENT)
    return unnamed.unionAll(further).select(place, REASON, nothing)
