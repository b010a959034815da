"""Tables of (id, link) as one link per movie, and what of them cannot be used."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.schemas import CONTENT, CONTENT_CHARS, MOVIE_ID, REASON, SOURCE
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import read_manifest
from genre_spark.transforms.metadata import read_text_csv

__all__ = ["read_ids", "read_links", "rejected_links", "usable_links"]

ID, LINK = "id", "link"
NOT_AN_ID = "id is not a number"
NO_LINK = "no link"
ANOTHER_LINK = "another link of the movie is used"


def read_links(spark: SparkSession, path: str) -> DataFrame:
    """Return `id` and `link` as text, from a CSV (plain or .gz), a folder of Parquet or a table.

    Raises:
        InvalidInputError: there is no such input, or a column is missing.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        raise InvalidInputError(
            f"collect.downloads.links: {path}: no such file or folder, expected a CSV of id,link "
            "or Parquet with these columns"
        )
    if path.lower().endswith((".csv", ".csv.gz")):
        return read_text_csv(spark, path, (ID, LINK))
    manifest = read_manifest(path)
    paths = [path] if manifest is None else [join(path, part) for part in manifest.paths]
    frame = spark.read.parquet(*map(literal_path, paths))
    found = next((name for name in (MOVIE_ID, ID) if name in frame.columns), None)
    if found is None or LINK not in frame.columns:
        raise InvalidInputError(
            f"collect.downloads.links: {path}: columns {', '.join(frame.columns)[:200]}, expected "
            f"{MOVIE_ID} or {ID}, and {LINK}"
        )
    return frame.select(F.col(found).cast("string").alias(ID), F.col(LINK).cast("string"))


def read_ids(spark: SparkSession, path: str) -> DataFrame:
    """Return the distinct movie_id of a CSV with a column `id`."""
    ids = read_text_csv(spark, path, (ID,)).select(_movie_id())
    return ids.where(F.col(MOVIE_ID).isNotNull()).distinct()


def usable_links(rows: DataFrame, *, base_url: str) -> DataFrame:
    """Return movie_id and link, one row per movie; of several links the first by name counts.

    Args:
        rows: id and link, text.
        base_url: of links that are TMDb's paths (`/abc.jpg`).
    """
    return (
        _parsed(rows, base_url)
        .where(F.col(REASON).isNull())
        .groupBy(MOVIE_ID)
        .agg(F.min(LINK).alias(LINK))
    )


def rejected_links(rows: DataFrame, *, base_url: str) -> DataFrame:
    """Return rows that are not used, as rows of REJECTS_SCHEMA; arguments as of `usable_links`."""
    parsed = _parsed(rows, base_url)
    flawed = parsed.where(F.col(REASON).isNotNull())
    more = (
        parsed.where(F.col(REASON).isNull())
        .groupBy(MOVIE_ID)
        .agg(F.sort_array(F.collect_set(LINK)).alias("links"))
        .where(F.size("links") > 1)
        .select(
            F.col(MOVIE_ID).cast("string").alias(ID),
            F.lit(ANOTHER_LINK).alias(REASON),
            F.explode(F.slice("links", 2, 1_000_000)).alias(LINK),
        )
    )
    columns = (
        F.coalesce(ID, F.lit("")).alias(SOURCE),
        F.col(REASON),
        F.substring(LINK, 1, CONTENT_CHARS).alias(CONTENT),
    )
    return flawed.select(*columns).unionByName(more.select(*columns))


def _parsed(rows: DataFrame, base_url: str) -> DataFrame:
    link = F.trim(LINK)
    whole = F.when(link.startswith("/"), F.concat(F.lit(base_url.rstrip("/")), link)).otherwise(
        link
    )
    reason = (
        F.when(F.col(MOVIE_ID).isNull(), NOT_AN_ID)
        .when(F.coalesce(link, F.lit("")) == "", NO_LINK)
        .otherwise(F.lit(None))
    )
    return rows.select(ID, _movie_id(), LINK).select(
        ID, MOVIE_ID, whole.alias(LINK), reason.alias(REASON)
    )


def _movie_id() -> Column:
    """Return the id as a number from 0; some tables have it as 1000001.0."""
    digits = f"regexp_extract(trim({ID}), '^([0-9]{{1,19}})([.]0*)?$', 1)"
    return F.expr(f"try_cast(nullif({digits}, '') as bigint)").alias(MOVIE_ID)
