"""Ids of any kind as stable numbers.

A number is itself, an IMDb id its digits (tt0111161 is 111161), and any other text a 64-bit hash of
it between 2^62 and 2^63, where no ids of data sets are. Two texts with the same number are found
when rows are ranked by number (`movies.rank_rows`).
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from genre_spark.transforms.raw_columns import read_id, strip_blanks

__all__ = ["id_reason", "id_text", "imdb_id", "number_id", "source_id"]

_HASHED = 1 << 62
_IMDB = "^tt([0-9]{1,18})$"


def id_text(cell: Column, pattern: str | None) -> Column:
    """Return what a cell of ids holds, or what a pattern finds in it."""
    return strip_blanks(cell) if pattern is None else F.regexp_extract(cell, pattern, 1)


def source_id(text: Column) -> Column:
    """Return an id as text: 7.0 is 7; null where there is none."""
    return F.coalesce(read_id(text).cast("string"), F.when(text != "", text))


def number_id(source: Column, kind: str) -> Column:
    """Return the number of an id, null where it is none of its kind.

    Args:
        source: of `source_id`.
        kind: number, imdb (digits with or without tt), text (any), auto (the first that fits).
    """
    number = read_id(source)
    digits = F.regexp_extract(source, _IMDB, 1)
    imdb = F.when(digits != "", digits.cast("bigint"))
    hashed = F.xxhash64(source).bitwiseAND(_HASHED - 1).bitwiseOR(F.lit(_HASHED))
    text = F.when(source.isNotNull(), hashed)
    found = {
        "number": number,
        "imdb": F.coalesce(imdb, number),
        "text": text,
        "auto": F.coalesce(number, imdb, text),
    }[kind]
    return F.when(found >= 0, found)


def id_reason(source: Column, movie: Column, kind: str) -> Column:
    """Return why an id has no number, or null."""
    wanted = {"imdb": "id is not an IMDb id"}.get(kind, "id is not a number")
    return F.when(source.isNull(), "empty id").when(
        movie.isNull(), F.when(read_id(source) < 0, "negative id").otherwise(wanted)
    )


def imdb_id(cell: Column) -> Column:
    """Return the IMDb id in a cell (a link, tt0111161, 111161), or null."""
    marked = F.regexp_extract(cell, "(tt[0-9]+)", 1)
    digits = F.regexp_extract(F.trim(cell), r"^([0-9]{1,12})(\.0*)?$", 1)
    padded = F.concat(F.lit("tt"), F.lpad(digits, 7, "0"))
    # lpad also cuts what is longer
    whole = F.when(F.length(digits) > 7, F.concat(F.lit("tt"), digits)).otherwise(padded)
    return F.when(marked != "", marked).when(digits != "", whole)
