"""The CSV files of the Letterboxd layout as one row per movie: texts and lists of categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import LIST_CSVS, METADATA_CSVS, MOVIE_ID, NUMBERS_CSV
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
    "find_csv",
    "is_imported",
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
_KIND, _CATEGORY, _TEXTS, _NUMBERS = "kind", "category", "texts", "numbers"


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
    fields = NUMBERS_CSV[1:] if "numbers" in files else ()
    # before texts are compared, numbers read and categories cleaned: Spark does not move the join
    rows = _rows_of_files(spark, files).join(ids, MOVIE_ID, "left_semi")
    clean = rows.withColumn(_CATEGORY, strip_blanks(F.col(_CATEGORY)))
    known = clean.groupBy(MOVIE_ID).agg(*_facts_of_movies(files))
    unknown, empty = F.lit(None).cast("string"), F.array().cast("array<string>")
    texts = [F.col(f"{_TEXTS}.{name}") if "movies" in files else unknown for name in TEXTS]
    return ids.join(known, MOVIE_ID, "left").select(
        MOVIE_ID,
        *[text.alias(name) for text, name in zip(texts, TEXTS, strict=True)],
        *[F.col(f"{_NUMBERS}.{name}") for name in fields],
        *[F.coalesce(name, empty).alias(name) for name in LISTS],
    )


def _rows_of_files(spark: SparkSession, files: dict[str, str]) -> DataFrame:
    """Return the rows of all files in one table, so that one shuffle does for all.

    Returns:
        movie_id, kind ("movies", "numbers" or one of LISTS), category (of lists, else null); where
        their files are there, texts and numbers: structs of what movies.csv and numbers.csv hold,
        null in all other rows.
    """
    parts, none = [], F.lit(None).cast("string")
    for file, fields, name in (
        ("movies", TEXTS, _TEXTS),
        ("numbers", NUMBERS_CSV[1:], _NUMBERS),
    ):
        if file in files:
            rows = read_text_csv(spark, files[file], ("id", *fields))
            parts.append(_of_kind(rows, file, none, F.struct(*fields).alias(name)))
    for name in LISTS:
        for rows, category in _list_rows(spark, files, name):
            parts.append(_of_kind(rows, name, category))
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), parts)


def _of_kind(rows: DataFrame, kind: str, category: Column, *values: Column) -> DataFrame:
    return rows.select(movie_id(), F.lit(kind).alias(_KIND), category.alias(_CATEGORY), *values)


def _facts_of_movies(files: dict[str, str]) -> list[Column]:
    """Return what the rows of a movie say together: texts, numbers and LISTS.

    A movie that appears twice in movies.csv keeps one of its rows: that of the greatest year, then
    minutes, rating and texts; in numbers.csv that of the greatest numbers. Categories are distinct
    and sorted; a row without one counts for nothing.
    """
    facts = []
    if "movies" in files:
        order = {
            name: read(F.col(f"{_TEXTS}.{source}")) for name, (source, read) in READ_NUMBERS.items()
        }
        order["text"] = F.concat_ws(" ", f"{_TEXTS}.tagline", f"{_TEXTS}.description")
        facts.append(_greatest(_TEXTS, order))
    if "numbers" in files:
        order = {name: read_number(F.col(f"{_NUMBERS}.{name}")) for name in NUMBERS_CSV[1:]}
        facts.append(_greatest(_NUMBERS, order))
    for name in LISTS:
        category = F.when((F.col(_KIND) == name) & (F.col(_CATEGORY) != ""), F.col(_CATEGORY))
        facts.append(F.sort_array(F.collect_set(category)).alias(name))  # array_sort: in Scala
    return facts


def _greatest(name: str, order: dict[str, Column]) -> Column:
    """Return the struct `name` of the row of a movie that is the greatest by an order."""
    keys = F.struct(*[value.alias(key) for key, value in order.items()])
    row = F.struct(keys.alias("order"), F.col(name).alias("row"))
    return F.max(F.when(F.col(name).isNotNull(), row))["row"].alias(name)


def _list_rows(
    spark: SparkSession, files: dict[str, str], name: str
) -> list[tuple[DataFrame, Column]]:
    """Return the rows of each file of a kind of category that is there, and their category."""
    if name == "people":
        categories = {
            "actors": F.concat(F.lit("actor "), "name"),
            "crew": F.concat_ws(" ", F.lower("role"), "name"),
        }
    else:
        categories = {name: F.concat_ws(" ", *LIST_CSVS[name][1:])}
    return [
        (read_text_csv(spark, files[file], LIST_CSVS[file]), category)
        for file, category in categories.items()
        if file in files
    ]
