"""The CSV files of the Letterboxd layout as one row a movie: numbers, lists of categories, text."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from genre_spark.errors import InvalidInputError
from genre_spark.files import filesystem, join
from genre_spark.schemas import LIST_CSVS, MOVIE_ID, MOVIES_CSV
from genre_spark.transforms.csv import literal_path

NUMBERS = ("year", "minute", "rating")
# the column of movies.csv that a number is in, and how it is read; null where it cannot be
READ_NUMBERS = {
    "year": ("date", "try_cast(regexp_extract(date, '([0-9]{4})', 1) as double)"),
    "minute": ("minute", "try_cast(nullif(trim(minute), '') as double)"),
    "rating": ("rating", "try_cast(nullif(trim(rating), '') as double)"),
}
LISTS = ("countries", "languages", "studios", "themes", "people")
TEXT = "text"


def find_csv(folder: str, name: str) -> str | None:
    """Return the path of NAME.csv or NAME.csv.gz in a folder, or None when neither is there."""
    for suffix in (".csv", ".csv.gz"):
        path = join(folder, name + suffix)
        system, inner = filesystem(path)
        if system.exists(inner):
            return path
    return None


def metadata_files(folder: str) -> dict[str, str]:
    """Return the CSV files that are there, by name.

    Raises:
        InvalidInputError: the folder has none of them.
    """
    names = ("movies", *LIST_CSVS)
    found = {name: path for name in names if (path := find_csv(folder, name)) is not None}
    if not found:
        raise InvalidInputError(
            f"paths.metadata: {folder} has none of {', '.join(f'{name}.csv' for name in names)} "
            "(nor .csv.gz)"
        )
    return found


def read_text_csv(
    spark: SparkSession, path: str, columns: Sequence[str], *, raw: str | None = None
) -> DataFrame:
    """Read columns of a CSV by their names in the header, all as text; other columns are ignored.

    Quoted fields may span lines and hold doubled quotes, as in the Letterboxd files.

    Args:
        spark: the session.
        path: of the file.
        columns: wanted.
        raw: name of a further column, with the text of rows that have too few or too many fields,
            else null.

    Raises:
        InvalidInputError: a column is missing.
    """
    reader = spark.read.options(
        header=True, multiLine=True, quote='"', escape='"', encoding="UTF-8"
    )
    frame = reader.csv(literal_path(path))
    names = {name.strip().lstrip("\ufeff").lower(): name for name in frame.columns}
    missing = [column for column in columns if column not in names]
    if missing:
        raise InvalidInputError(
            f"{path}: no column {', '.join(missing)}, expected {', '.join(columns)}; found "
            f"{', '.join(frame.columns)}"
        )
    kept = [F.col(f"`{names[column]}`").alias(column) for column in columns]
    if raw is None:
        return frame.select(*kept)
    schema = StructType([*frame.schema, StructField(raw, StringType())])
    whole = reader.options(
        columnNameOfCorruptRecord=raw, columnPruning=False
    )  # pruned rows are not counted
    return whole.schema(schema).csv(literal_path(path)).select(*kept, raw)


def movie_id(column: str = "id") -> Column:
    """Return an id column as a number; text that is no number becomes null."""
    return F.expr(f"try_cast(trim({column}) as bigint)").alias(MOVIE_ID)


def describe_movies(movies: DataFrame) -> DataFrame:
    """Turn movies.csv into movie_id, year, minute, rating (double, null where unknown) and text (never null).

    `date` and `minute` may come as 2023.0; a movie that appears twice keeps the row that sorts
    last.
    """
    text = F.concat_ws(" ", "tagline", "description")
    return (
        movies.select(
            movie_id(),
            *[F.expr(number).alias(name) for name, (_, number) in READ_NUMBERS.items()],
            text.alias(TEXT),
        )
        .where(F.col(MOVIE_ID).isNotNull())
        .groupBy(MOVIE_ID)
        .agg(F.max(F.struct(*NUMBERS, TEXT)).alias("m"))
        .select(MOVIE_ID, "m.*")
    )


def list_categories(rows: DataFrame, column: str, *, name: str) -> DataFrame:
    """Turn rows of (id, category) into movie_id and a sorted array of its distinct categories."""
    return (
        rows.select(movie_id(), F.trim(column).alias("category"))
        .where(F.col(MOVIE_ID).isNotNull() & (F.col("category") != ""))
        .groupBy(MOVIE_ID)
        .agg(F.array_sort(F.collect_set("category")).alias(name))
    )


def read_metadata(spark: SparkSession, folder: str, movies: DataFrame) -> DataFrame:
    """Join everything known about some movies: movie_id, NUMBERS, LISTS (arrays, empty where unknown) and text.

    Args:
        spark: the session.
        folder: of movies.csv, countries.csv, languages.csv, studios.csv, themes.csv, actors.csv,
            crew.csv, each plain or .gz; files that are not there leave their columns empty.
        movies: the movies wanted, with a column movie_id.
    """
    files = metadata_files(folder)
    ids = movies.select(MOVIE_ID)
    result = ids
    if "movies" in files:
        described = describe_movies(read_text_csv(spark, files["movies"], MOVIES_CSV))
        result = result.join(described.join(ids, MOVIE_ID, "left_semi"), MOVIE_ID, "left")
    else:
        result = result.select(
            MOVIE_ID,
            *[F.lit(None).cast("double").alias(name) for name in NUMBERS],
            F.lit("").alias(TEXT),
        )
    for name in LISTS:
        rows = _list_rows(spark, files, name)
        if rows is None:
            result = result.withColumn(name, F.array().cast("array<string>"))
            continue
        wanted = rows.withColumn(MOVIE_ID, movie_id()).join(ids, MOVIE_ID, "left_semi")
        lists = list_categories(wanted, "c", name=name)
        result = result.join(lists, MOVIE_ID, "left")
    empty = F.array().cast("array<string>")
    return result.select(
        MOVIE_ID,
        *NUMBERS,
        *[F.coalesce(name, empty).alias(name) for name in LISTS],
        F.coalesce(TEXT, F.lit("")).alias(TEXT),
    )


def _list_rows(spark: SparkSession, files: dict[str, str], name: str) -> DataFrame | None:
    """Return (id, c) rows of one kind of category, or None when its files are not there."""
    if name == "people":
        parts = []
        if "actors" in files:
            actors = read_text_csv(spark, files["actors"], LIST_CSVS["actors"])
            parts.append(actors.select("id", F.concat(F.lit("actor "), "name").alias("c")))
        if "crew" in files:
            crew = read_text_csv(spark, files["crew"], LIST_CSVS["crew"])
            parts.append(crew.select("id", F.concat_ws(" ", F.lower("role"), "name").alias("c")))
        return (
            None if not parts else parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
        )
    if name not in files:
        return None
    columns = LIST_CSVS[name]
    rows = read_text_csv(spark, files[name], columns)
    return rows.select("id", F.concat_ws(" ", *columns[1:]).alias("c"))
