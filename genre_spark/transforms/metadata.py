"""The CSV files of the Letterboxd layout as one row per movie: texts and lists of categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import LIST_CSVS, METADATA_CSVS, MOVIE_ID, MOVIES_CSV, NUMBERS_CSV
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import file_digest, filesystem, join
from genre_spark.storage.tables import TableManifest, read_manifest, table_damage
from genre_spark.transforms.csv import read_header
from genre_spark.transforms.raw_columns import (
    correct,
    read_id,
    read_number,
    read_year,
    strip_blanks,
)

__all__ = [
    "IMPORTED_FROM",
    "LISTS",
    "READ_NUMBERS",
    "SCHEMA",
    "TEXTS",
    "describe_movies",
    "find_csv",
    "is_imported",
    "list_categories",
    "metadata_files",
    "movie_id",
    "read_metadata",
    "read_text_csv",
    "spans_lines",
]

IMPORTED_FROM = "imported_from"
"""In the manifest of a table that import-metadata made, the digest of its CSV file."""
SCHEMA = "schema"
"""The same, its columns and their types, so that Spark need not ask a file for them."""

TEXTS = ("name", "date", "minute", "rating", "tagline", "description")
# number -> the column of movies.csv that it is in, and how it is read; null where it cannot be
READ_NUMBERS: dict[str, tuple[str, Callable[[Column], Column]]] = {
    "year": ("date", read_year),
    "minute": ("minute", read_number),
    "rating": ("rating", read_number),
}
LISTS = ("countries", "languages", "studios", "themes", "people")


def find_csv(folder: str, name: str, imported: str | None = None) -> str | None:
    """Return the path of NAME.csv, NAME.csv.gz or the table NAME in a folder, or None.

    Args:
        folder: of the data set.
        name: of the file, without ending.
        imported: folder of tables that import-metadata made of such files; the one that was made
            of the file as it is now stands for it.
    """
    if read_manifest(join(folder, name)) is not None:
        return join(folder, name)
    for suffix in (".csv", ".csv.gz"):
        path = join(folder, name + suffix)
        system, inner = filesystem(path)
        if system.exists(inner):
            table = None if imported is None else join(imported, name)
            return table if table is not None and is_imported(path, table) else path
    return None


def is_imported(path: str, table: str) -> bool:
    """Return whether a table is whole and was made of a CSV file as it is now."""
    manifest = read_manifest(table)
    if manifest is None or manifest.details.get(IMPORTED_FROM) != file_digest(path):
        return False
    return not table_damage(table, manifest)


def metadata_files(folder: str, imported: str | None = None) -> dict[str, str]:
    """Return the CSV files that are there, by name; see `find_csv`.

    Raises:
        InvalidInputError: the folder has none of them.
    """
    places = {name: find_csv(folder, name, imported) for name in METADATA_CSVS}
    found = {name: path for name, path in places.items() if path is not None}
    if not found:
        raise InvalidInputError(
            f"paths.metadata: {folder} has none of "
            f"{', '.join(f'{name}.csv' for name in METADATA_CSVS)} "
            "(nor .csv.gz)"
        )
    return found


def read_text_csv(
    spark: SparkSession, path: str, columns: Sequence[str], *, raw: str | None = None
) -> DataFrame:
    """Read columns of a CSV by their names in the header, all as text; other columns are ignored.

    The path may also be that of a table with these columns, as import-data writes it.

    Fields of movies.csv may span lines where they are quoted. All other files are read line by
    line, so that a row that is not whole spoils no other. Lines may end in LF, CRLF or both.

    Args:
        spark: the session.
        path: of the file.
        columns: wanted.
        raw: name of a further column, with the text of rows that have too few or too many fields,
            else null.

    Raises:
        InvalidInputError: a column is missing or there twice, or the header cannot be read.
    """
    manifest = read_manifest(path)
    if manifest is not None:
        return _read_table(spark, path, manifest, columns, raw)
    names, line_break, form = read_header(path, columns)
    reader = spark.read.options(
        header=True, quote='"', escape='"', encoding=form.spark_encoding, sep=form.delimiter
    )
    if spans_lines(path) or form.spark_encoding.startswith(("UTF-16", "UTF-32")):
        reader = reader.options(multiLine=True, lineSep=line_break)
    placed = [f"_{position}" for position in range(len(names))]
    schema = StructType([StructField(name, StringType()) for name in placed])
    found = [F.col(placed[names.index(column)]) for column in columns]
    texts = [correct(text, form) for text in found]
    kept = [text.alias(column) for text, column in zip(texts, columns, strict=True)]
    if raw is None:
        return reader.schema(schema).csv(literal_path(path)).select(*kept)
    # pruned rows are not counted
    whole = reader.options(columnNameOfCorruptRecord=raw, columnPruning=False)
    frame = whole.schema(schema.add(raw, StringType())).csv(literal_path(path))
    return frame.select(*kept, F.regexp_replace(correct(F.col(raw), form), r"\r$", "").alias(raw))


def _read_table(
    spark: SparkSession, path: str, manifest: TableManifest, columns: Sequence[str], raw: str | None
) -> DataFrame:
    paths = [join(path, part) for part in manifest.paths]
    kept = [F.col(column).cast("string").alias(column) for column in columns]
    if raw is not None:
        kept.append(F.lit(None).cast("string").alias(raw))
    if not paths:
        return frame_of_rows(spark, [], ", ".join(f"{name} string" for name in columns)).select(
            *columns, *kept[len(columns) :]
        )
    schema = manifest.details.get(SCHEMA)
    reader = spark.read if schema is None else spark.read.schema(schema)
    return reader.parquet(*map(literal_path, paths)).select(*kept)


def spans_lines(path: str) -> bool:
    """Return whether quoted fields of a file may hold line breaks."""
    return path.rsplit("/", 1)[-1].startswith("movies.")


def movie_id(column: str = "id") -> Column:
    """Return an id column as a number; text that is no whole number becomes null."""
    return read_id(F.col(column)).alias(MOVIE_ID)


def describe_movies(movies: DataFrame) -> DataFrame:
    """Turn movies.csv into movie_id and the texts name, date, minute, rating, tagline, description.

    A movie that appears twice keeps one of its rows: that of the greatest year, then minutes,
    rating and texts.
    """
    order = [read(F.col(source)).alias(name) for name, (source, read) in READ_NUMBERS.items()]
    text = F.concat_ws(" ", "tagline", "description")
    row = F.struct(F.struct(*order, text).alias("order"), *TEXTS).alias("row")
    return (
        movies.select(_known_id(movies), row)
        .where(F.col(MOVIE_ID).isNotNull())
        .groupBy(MOVIE_ID)
        .agg(F.max("row").alias("row"))
        .select(MOVIE_ID, *[F.col(f"row.{name}") for name in TEXTS])
    )


def _known_id(rows: DataFrame) -> Column:
    """Return the number of each row's id: a column that is there keeps its partitions."""
    return F.col(MOVIE_ID) if MOVIE_ID in rows.columns else movie_id()


def list_categories(rows: DataFrame, column: str, *, name: str) -> DataFrame:
    """Turn rows of (id, category) into movie_id and a sorted array of its distinct categories."""
    return (
        rows.select(_known_id(rows), strip_blanks(F.col(column)).alias("category"))
        .where(F.col(MOVIE_ID).isNotNull() & (F.col("category") != ""))
        .groupBy(MOVIE_ID)
        .agg(F.sort_array(F.collect_set("category")).alias(name))  # array_sort compares in Scala
    )


def read_metadata(
    spark: SparkSession, folder: str, movies: DataFrame, imported: str | None = None
) -> DataFrame:
    """Join what is known of some movies: movie_id, TEXTS (or null), LISTS (arrays, never null).

    Where there is a numbers.csv, also its budget, revenue, votes and popularity (text or null).

    Args:
        spark: the session.
        folder: of movies.csv, countries.csv, languages.csv, studios.csv, themes.csv, actors.csv,
            crew.csv, each plain or .gz; files that are not there leave their columns empty.
        movies: the movies wanted, with a column movie_id.
        imported: folder of tables that import-metadata made of such files; see `find_csv`.
    """
    files = metadata_files(folder, imported)
    ids = movies.select(MOVIE_ID)
    result = ids
    if "movies" in files:
        films = read_text_csv(spark, files["movies"], MOVIES_CSV).withColumn(MOVIE_ID, movie_id())
        # before texts are compared and numbers read: Spark does not move the join there
        described = describe_movies(films.join(ids, MOVIE_ID, "left_semi"))
        result = result.join(described, MOVIE_ID, "left")
    else:
        unknown = [F.lit(None).cast("string").alias(name) for name in TEXTS]
        result = result.select(MOVIE_ID, *unknown)
    for name in LISTS:
        rows = _list_rows(spark, files, name)
        if rows is None:
            result = result.withColumn(name, F.array().cast("array<string>"))
            continue
        wanted = rows.withColumn(MOVIE_ID, movie_id()).join(ids, MOVIE_ID, "left_semi")
        lists = list_categories(wanted, "c", name=name)
        result = result.join(lists, MOVIE_ID, "left")
    empty = F.array().cast("array<string>")
    known = [F.coalesce(name, empty).alias(name) for name in LISTS]
    if "numbers" not in files:
        return result.select(MOVIE_ID, *TEXTS, *known)
    fields = NUMBERS_CSV[1:]
    rows = read_text_csv(spark, files["numbers"], NUMBERS_CSV).withColumn(MOVIE_ID, movie_id())
    order = F.struct(*[read_number(F.col(name)).alias(name) for name in fields]).alias("order")
    one = rows.groupBy(MOVIE_ID).agg(F.max(F.struct(order, *fields)).alias("row"))
    numbers = one.select(MOVIE_ID, *[F.col(f"row.{name}") for name in fields])
    result = result.join(numbers.join(ids, MOVIE_ID, "left_semi"), MOVIE_ID, "left")
    return result.select(MOVIE_ID, *TEXTS, *fields, *known)


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
