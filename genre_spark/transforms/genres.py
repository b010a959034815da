"""From rows of (movie, genre) to one row a movie, in one shuffle, with sparse label ids."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.schemas import CONTENT, GENRES, LABEL_IDS, MOVIE_ID, REASON
from genre_spark.transforms.csv import LINE, CsvLayout, split_fields

__all__ = ["GENRE", "IS_LAST", "REPEATED_HEADER", "ROWS", "check_rows", "group_labels", "reject_unknown"]

GENRE = "genre"
ROWS = "rows"
IS_LAST = "is_last"
REPEATED_HEADER = "repeated header"
UNKNOWN_GENRE = "unknown genre"
CONTENT_CHARS = 200
MASK_LABELS = 62  # labels that a bigint holds as bits, its sign left alone
_CHUNK_BITS = 8


def check_rows(lines: DataFrame, layout: CsvLayout) -> DataFrame:
    """Turn lines of genres.csv into (movie_id, genre), or a reason why a line cannot be used and its content.

    Args:
        lines: with the column `value`, as `spark.read.text` gives them, the header among them.
        layout: of the file.

    Returns:
        One row a line: movie_id, genre, reason (null where the row is good), content (null where the row is good, else
        the line's first 200 characters), is_last (the line is the file's last and not ended by a line break).
    """
    split = split_fields(lines, layout, columns=("id", GENRE))
    number = r"[0-9]+"
    reason = (
        # The reader of text files drops a byte order mark, on file systems that go through Hadoop.
        F.when(F.col(LINE).isin(layout.header, layout.header.lstrip("\ufeff")), REPEATED_HEADER)
        .when(F.btrim(LINE) == "", "empty line")
        .when(F.col(GENRE).isNull(), "malformed row")
        .when(F.col(MOVIE_ID).isNull() & (F.col("id") == ""), "empty id")
        .when(F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(f"^{number}$")), "id above 2^63-1")
        .when(
            (F.col(MOVIE_ID) < 0) | (F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^-{number}(\.[0-9]*)?$"))),
            "negative id",
        )
        .when(F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^{number}\.[0-9]*$")), "decimal id")
        .when(F.col(MOVIE_ID).isNull(), "id is not a number")
        .when(F.col(GENRE) == "", "empty genre")
        # Spark keeps invalid bytes; its regular expressions see them as the replacement character.
        .when(F.rlike(GENRE, F.lit("\ufffd")), "invalid UTF-8")
    )
    checked = split.withColumn(MOVIE_ID, F.expr("try_cast(id AS bigint)")).withColumn(REASON, reason)
    return checked.select(
        MOVIE_ID,
        GENRE,
        REASON,
        F.when(F.col(REASON).isNotNull(), F.substring(LINE, 1, CONTENT_CHARS)).alias(CONTENT),
        (F.lit(False) if layout.last_line is None else F.col(LINE) == layout.last_line).alias(IS_LAST),
    )


def reject_unknown(rows: DataFrame, *, vocabulary: Sequence[str]) -> DataFrame:
    """Give the rows of `check_rows` whose genre is not in the vocabulary a reason."""
    unknown = F.col(REASON).isNull() & ~F.col(GENRE).isin(list(vocabulary))
    line = F.substring(F.concat_ws(",", MOVIE_ID, GENRE), 1, CONTENT_CHARS)
    return rows.withColumns(
        {
            REASON: F.when(unknown, UNKNOWN_GENRE).otherwise(F.col(REASON)),
            CONTENT: F.when(unknown, line).otherwise(F.col(CONTENT)),
        }
    )


def group_labels(pairs: DataFrame, *, vocabulary: Sequence[str]) -> DataFrame:
    """Group rows of (movie_id, genre) to one row a movie; repeated pairs merge.

    Up to 62 genres travel as bits of one number, which Spark aggregates in place; more of them as sets.

    Args:
        pairs: movie_id bigint, genre string; every genre is in the vocabulary.
        vocabulary: the genres by label id.

    Returns:
        movie_id, genres (sorted by name), label_ids (ascending), rows (how many rows the movie had).
    """
    if len(vocabulary) <= MASK_LABELS:
        return _group_as_bits(pairs, vocabulary)
    return _group_as_sets(pairs, vocabulary)


def _group_as_bits(pairs: DataFrame, vocabulary: Sequence[str]) -> DataFrame:
    names = sorted(vocabulary)
    label_ids = [list(vocabulary).index(name) for name in names]
    bits = F.from_json(F.lit(json.dumps({name: 1 << i for i, name in enumerate(names)})), "map<string,bigint>")
    marked = pairs.select(MOVIE_ID, F.try_element_at(bits, F.col(GENRE)).alias("bit"))
    grouped = marked.groupBy(MOVIE_ID).agg(F.bit_or("bit").alias("mask"), F.count(F.lit(1)).alias(ROWS))
    ids = _decode_mask("mask", label_ids, "int")
    in_order = label_ids == sorted(label_ids)
    return grouped.select(
        MOVIE_ID,
        _decode_mask("mask", names, "string").alias(GENRES),
        (ids if in_order else F.array_sort(ids)).alias(LABEL_IDS),
        ROWS,
    )


def _decode_mask(mask: str, values: Sequence[object], kind: str) -> Column:
    """Return the values at the set bits of a mask, in their order: one table lookup for each eight bits."""
    parts = []
    for start in range(0, len(values), _CHUNK_BITS):
        chunk = values[start : start + _CHUNK_BITS]
        table = [[value for i, value in enumerate(chunk) if number >> i & 1] for number in range(2 ** len(chunk))]
        literal = F.from_json(F.lit(json.dumps(table)), f"array<array<{kind}>>")
        number = F.shiftrightunsigned(mask, start).bitwiseAND(2 ** len(chunk) - 1).cast("int")
        parts.append(F.get(literal, number))
    return F.concat(*parts)


def _group_as_sets(pairs: DataFrame, vocabulary: Sequence[str]) -> DataFrame:
    names = sorted(vocabulary)
    position = {name: i for i, name in enumerate(vocabulary)}
    ranks = pairs.sparkSession.createDataFrame(list(enumerate(names)), f"rank int, {GENRE} string")
    ranked = pairs.join(F.broadcast(ranks), GENRE).select(MOVIE_ID, "rank")
    grouped = ranked.groupBy(MOVIE_ID).agg(
        F.array_sort(F.collect_set("rank")).alias("ranks"), F.count(F.lit(1)).alias(ROWS)
    )
    all_names = F.from_json(F.lit(json.dumps(names)), "array<string>")
    all_ids = F.from_json(F.lit(json.dumps([position[name] for name in names])), "array<int>")
    return grouped.select(
        MOVIE_ID,
        F.transform("ranks", lambda rank: F.get(all_names, rank)).alias(GENRES),
        F.array_sort(F.transform("ranks", lambda rank: F.get(all_ids, rank))).alias(LABEL_IDS),
        ROWS,
    )
