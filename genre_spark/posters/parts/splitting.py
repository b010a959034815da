"""A listing dealt out to parts, with what is true of all of it and no part can know.

Those are ids that are listed more than once, and sizes that so many posters share that they may be
placeholders. Spark counts both; a part then reads one file of its own rows.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.posters.listing_schema import LISTING_SCHEMA
from genre_spark.schemas import MOVIE_ID, REASON, SOURCE
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem, join

__all__ = ["PART_ROWS", "read_part", "split_listing"]

PART_ROWS = pa.schema(
    [
        *LISTING_SCHEMA,
        pa.field(REASON, pa.string(), False),  # why it is no poster, or ""
        pa.field("detail", pa.string(), False),
        pa.field("twice", pa.bool_(), False),  # another file has its id, and comes first
        pa.field("suspect", pa.bool_(), False),  # so many posters have its size
    ]
)


def split_listing(listing: DataFrame, folder: str, *, parts: int, shared_by_more_than: int) -> None:
    """Write each part's rows, of PART_ROWS, into a folder of its own.

    Args:
        listing: rows of LISTED.
        folder: empty folder (path or URL).
        parts: number of parts.
        shared_by_more_than: posters of one size from which on they are suspects.
    """
    posters, place = listing.filter(F.col(REASON) == ""), F.struct(SOURCE, "offset")
    ids = posters.groupBy(MOVIE_ID).count().filter("count > 1").select(MOVIE_ID)
    ids = _stored(ids, join(folder, "ids"))  # mostly none: then the joins below are broadcasts
    first = posters.join(ids, MOVIE_ID).groupBy(MOVIE_ID).agg(F.min(place).alias("first"))
    first = _stored(first, join(folder, "first"))
    marked = listing.join(first, MOVIE_ID, "left").withColumn(
        "twice", F.coalesce((F.col(REASON) == "") & (F.col("first") != place), F.lit(False))
    )
    sizes = (
        marked.filter((F.col(REASON) == "") & ~F.col("twice"))
        .groupBy("size")
        .count()
        .filter(F.col("count") > shared_by_more_than)
        .select("size", F.lit(True).alias("often"))
    )
    sizes = _stored(sizes, join(folder, "sizes"))
    marked = marked.join(sizes, "size", "left").withColumn(
        "suspect",
        (F.col(REASON) == "") & ~F.col("twice") & F.coalesce(F.col("often"), F.lit(False)),
    )
    rows = marked.select(*PART_ROWS.names, F.pmod("slot", F.lit(parts)).cast("int").alias("part"))
    rows.repartition(parts, "part").write.partitionBy("part").parquet(join(folder, "parts"))


def _stored(rows: DataFrame, place: str) -> DataFrame:
    """Write rows and read them again: Spark then knows how few there are."""
    rows.write.parquet(place)
    return rows.sparkSession.read.schema(rows.schema).parquet(literal_path(place))


def read_part(folder: str, part: int) -> pa.Table:
    """Return a part's rows, of PART_ROWS, in the same order each time."""
    system, inner = filesystem(join(folder, "parts", f"part={part}"))
    if not system.exists(inner):
        return PART_ROWS.empty_table()
    names = sorted(
        str(name) for name in system.ls(inner, detail=False) if str(name).endswith(".parquet")
    )
    tables = []
    for name in names:
        with system.open(name, "rb") as file:
            table = pq.read_table(file, columns=PART_ROWS.names, use_threads=False)
            tables.append(table.select(PART_ROWS.names).cast(PART_ROWS))
    found = pa.concat_tables(tables).combine_chunks() if tables else PART_ROWS.empty_table()
    return found.take(pc.sort_indices(found, [(SOURCE, "ascending"), ("offset", "ascending")]))
