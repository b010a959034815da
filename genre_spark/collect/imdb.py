"""What IMDb's files say of movies, joined by IMDb id with Spark.

A gzipped file is one task and principals have 4 GB, so every file is read once: its lines are
split, counted and filtered by the ids that are wanted, and what is left goes to a Parquet file that
no reader of the table knows. Only when every file was read to its end and had lines of its kind
does the table appear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from genre_spark.collect.imdb_files import COLUMNS
from genre_spark.errors import InvalidInputError, text_of
from genre_spark.schemas import CONTENT, CONTENT_CHARS, IMDB_SCHEMA, MOVIE_ID, REASON, SOURCE
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import join

__all__ = ["FilteredFile", "filter_files", "join_imdb", "rejected_rows"]

IMDB_ID = "imdb_id"
WRONG_WIDTH = "not as many fields as columns"
NOT_IN_IMDB = "not in title.basics"
_NULL = r"\N"
_LINE = "value"
_BROADCAST_ROWS = 3_000_000  # ids; more are joined by a shuffle
_MOST_BAD = 0.001  # of a file's rows; more, and it is another file
_NOT_WHOLE = (
    "Unexpected end of input stream",
    "EOFException",
    "not a gzip file",
    "ZipException",
    "incorrect data check",
    "invalid stored block",
    "invalid distance",
    "invalid block type",
    "DataFormatException",
)


@dataclass(frozen=True)
class FilteredFile:
    """The rows of a file that are wanted.

    Attributes:
        rows: the columns of the file, text, null for IMDb's null.
        bad: lines that have not as many fields as the file has columns.
        lines: how many lines the file has.
    """

    rows: DataFrame
    bad: DataFrame
    lines: int


def filter_files(
    spark: SparkSession, paths: Mapping[str, str], ids: DataFrame, *, stage: str
) -> dict[str, FilteredFile]:
    """Read every file once and keep what belongs to some movies.

    Args:
        spark: the session.
        paths: name -> file.
        ids: with a column imdb_id.
        stage: a new folder for the rows that are kept.

    Raises:
        InvalidInputError: a file is not whole, or has too many lines that are not of its kind.
    """
    wanted = ids.select(F.col(IMDB_ID).alias("key")).distinct()
    few = wanted.count() <= _BROADCAST_ROWS
    kept = {
        name: _filter(spark, path, name, F.broadcast(wanted) if few else wanted, stage)
        for name, path in paths.items()
        if name != "name.basics"
    }
    people = _people(kept).select(F.col("nconst").alias("key")).distinct()
    kept["name.basics"] = _filter(spark, paths["name.basics"], "name.basics", people, stage)
    return kept


def _filter(
    spark: SparkSession, path: str, name: str, wanted: DataFrame, stage: str
) -> FilteredFile:
    columns = COLUMNS[name]
    fields = F.split(_LINE, "\t", -1)
    lines = (
        spark.read.option("lineSep", "\n")
        .text(literal_path(path))
        .where(F.col(_LINE) != "\t".join(columns))
        .select(fields.alias("fields"), (F.size(fields) != len(columns)).alias("bad"), _LINE)
    )
    seen = Observation()
    counted = lines.observe(seen, F.count(F.lit(1)).alias("lines"), F.count_if("bad").alias("bad"))
    marked = counted.withColumn("key", F.get("fields", F.lit(0))).join(
        wanted.withColumn("wanted", F.lit(True)), "key", "left"
    )
    values = [_text(F.get("fields", F.lit(i))).alias(column) for i, column in enumerate(columns)]
    line = F.when(F.col("bad"), F.substring(_LINE, 1, CONTENT_CHARS)).alias(_LINE)
    folder = join(stage, name)
    try:
        marked.where("wanted or bad").select(*values, "bad", line).write.parquet(folder)
    except Exception as error:  # of Spark or Py4J, by the version
        if any(sign in text_of(error) for sign in _NOT_WHOLE):
            raise InvalidInputError(
                f"{path}: not a whole gzip file, expected a complete .tsv.gz; download it again"
            ) from None
        raise
    counts = seen.get
    rows, bad = int(counts["lines"]), int(counts["bad"])
    if rows == 0:
        raise InvalidInputError(f"{path}: a header and no rows, expected IMDb's {name}")
    if bad > max(1, _MOST_BAD * rows):
        raise InvalidInputError(
            f"{path}: {bad:,} of {rows:,} rows have not {len(columns)} fields between tabs, "
            f"expected IMDb's {name}"
        )
    stored = spark.read.parquet(literal_path(folder))
    return FilteredFile(
        stored.where(~F.col("bad")).select(*columns), stored.where("bad").select(_LINE), rows
    )


def _text(field: Column) -> Column:
    return F.when(F.trim(field).isin("", _NULL), None).otherwise(F.trim(field))


def _people(kept: Mapping[str, FilteredFile]) -> DataFrame:
    """Return tconst, nconst, role and place of everybody in principals and crew."""
    principals = kept["title.principals"].rows.select(
        "tconst",
        "nconst",
        F.lit("principal").alias("role"),
        F.expr("coalesce(try_cast(ordering as int), 0)").alias("place"),
    )
    crew = kept["title.crew"].rows
    for role in ("directors", "writers"):
        people = crew.select(
            "tconst", F.posexplode(F.split(role, ",")).alias("place", "nconst")
        ).select("tconst", F.trim("nconst").alias("nconst"), F.lit(role).alias("role"), "place")
        principals = principals.unionByName(people)
    return principals


def join_imdb(ids: DataFrame, kept: Mapping[str, FilteredFile]) -> DataFrame:
    """Return rows of IMDB_SCHEMA, one per movie that title.basics has.

    Args:
        ids: movie_id and imdb_id.
        kept: what `filter_files` returns.
    """
    basics = _one_per_key(kept["title.basics"].rows, "tconst").select(
        F.col("tconst").alias(IMDB_ID),
        F.col("titleType").alias("title_type"),
        F.col("primaryTitle").alias("title"),
        F.col("originalTitle").alias("original_title"),
        F.expr("try_cast(startYear as int)").alias("year"),
        F.expr("try_cast(runtimeMinutes as double)").alias("minute"),
        _list("genres").alias("imdb_genres"),
    )
    ratings = _one_per_key(kept["title.ratings"].rows, "tconst").select(
        F.col("tconst").alias(IMDB_ID),
        F.expr("try_cast(averageRating as double)").alias("rating"),
        F.expr("try_cast(numVotes as bigint)").alias("votes"),
    )
    joined = ids.join(basics, IMDB_ID).join(ratings, IMDB_ID, "left")
    for part in (_crew(kept), _principals(kept), _titles(kept)):
        joined = joined.join(part, IMDB_ID, "left")
    empty = {
        field.name: F.coalesce(field.name, F.array().cast(field.dataType)).alias(field.name)
        for field in IMDB_SCHEMA
        if field.dataType.typeName() == "array"
    }
    return joined.select(*[empty.get(name, F.col(name)) for name in IMDB_SCHEMA.names])


def _one_per_key(rows: DataFrame, key: str) -> DataFrame:
    """Keep one row per key, the same one on every run."""
    others = [F.col(name) for name in rows.columns if name != key]
    place = F.row_number().over(Window.partitionBy(key).orderBy(*others))
    return rows.withColumn("place", place).where("place = 1").drop("place")


def _list(column: str) -> Column:
    return F.filter(F.split(column, ","), lambda value: value != "")


def _names(kept: Mapping[str, FilteredFile]) -> DataFrame:
    names = _one_per_key(kept["name.basics"].rows, "nconst")
    return names.select("nconst", F.col("primaryName").alias("name")).where("name is not null")


def _crew(kept: Mapping[str, FilteredFile]) -> DataFrame:
    people = _people(kept).where("role != 'principal'").join(_names(kept), "nconst")

    def names(role: str) -> Column:
        placed = F.collect_set(F.when(F.col("role") == role, F.struct("place", "name")))
        return F.transform(F.array_sort(placed), lambda each: each["name"]).alias(role)

    return people.groupBy(F.col("tconst").alias(IMDB_ID)).agg(names("directors"), names("writers"))


def _principals(kept: Mapping[str, FilteredFile]) -> DataFrame:
    rows = (
        kept["title.principals"]
        .rows.join(_names(kept), "nconst")
        .select(
            F.col("tconst").alias(IMDB_ID),
            F.struct(
                F.expr("try_cast(ordering as int)").alias("ordering"),
                "name",
                "category",
                "job",
                F.from_json("characters", "array<string>").alias("characters"),
            ).alias("person"),
        )
    )
    people = F.array_sort(F.collect_set("person"))
    return rows.groupBy(IMDB_ID).agg(people.alias("principals"))


def _titles(kept: Mapping[str, FilteredFile]) -> DataFrame:
    if "title.akas" not in kept:
        principals = kept["title.crew"].rows  # any rows: none of them is taken
        empty = F.array().cast(IMDB_SCHEMA["titles"].dataType).alias("titles")
        return principals.where("false").select(F.col("tconst").alias(IMDB_ID), empty)
    rows = kept["title.akas"].rows.where("title is not null")
    title = F.struct("title", "region", "language")
    titles = F.array_sort(F.collect_set(title)).alias("titles")
    return rows.groupBy(F.col("titleId").alias(IMDB_ID)).agg(titles)


def rejected_rows(ids: DataFrame, kept: Mapping[str, FilteredFile]) -> DataFrame:
    """Return lines of the wrong width, and movies that IMDb does not have, as REJECTS_SCHEMA."""
    known = kept["title.basics"].rows.select(F.col("tconst").alias(IMDB_ID))
    rejects = ids.join(known, IMDB_ID, "left_anti").select(
        F.col(MOVIE_ID).cast("string").alias(SOURCE),
        F.lit(NOT_IN_IMDB).alias(REASON),
        F.col(IMDB_ID).alias(CONTENT),
    )
    for name, file in kept.items():
        bad = file.bad.select(
            F.lit(name).alias(SOURCE), F.lit(WRONG_WIDTH).alias(REASON), F.col(_LINE).alias(CONTENT)
        )
        rejects = rejects.unionByName(bad)
    return rejects
