"""From rows of (movie, genre) to one row per movie, in one shuffle, with sparse label ids."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from genre_spark.schemas import GENRES, LABEL_IDS, MOVIE_ID
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.transforms.genre_rows import GENRE

__all__ = ["group_bits", "group_labels", "observe_groups", "unmark_labels"]

ROWS = "rows"
LABELSET = "labelset"
BIT = "bit"
MASK_LABELS = 62  # labels that a bigint holds as bits, its sign left alone
_CHUNK_BITS = 8


def group_labels(pairs: DataFrame, *, vocabulary: Sequence[str]) -> DataFrame:
    """Group rows of (movie_id, genre) to one row per movie; repeated pairs merge.

    Up to 62 genres travel as bits of one number, which Spark aggregates in place; more of them as
    sets.

    Args:
        pairs: movie_id bigint, genre string; every genre is in the vocabulary.
        vocabulary: the genres by label id.

    Returns:
        movie_id, genres (sorted by name), label_ids (ascending), rows (how many rows the movie
        had).
    """
    if len(vocabulary) > MASK_LABELS:
        return _group_as_sets(pairs, vocabulary)
    marked = pairs.select(MOVIE_ID, bit_of_genre(vocabulary).alias(BIT))
    return unmark_labels(group_bits(marked), vocabulary=vocabulary)


def group_bits(marked: DataFrame) -> DataFrame:
    """Group (movie_id, bit) to movie_id, labelset (its bits together) and rows (their number)."""
    return marked.groupBy(MOVIE_ID).agg(
        F.bit_or(BIT).alias(LABELSET), F.count(F.lit(1)).alias(ROWS)
    )


def unmark_labels(grouped: DataFrame, *, vocabulary: Sequence[str]) -> DataFrame:
    """Turn the labelset of `group_bits` into genres (sorted by name) and label_ids (ascending).

    Rows stays.
    """
    names = sorted(vocabulary)
    label_ids = [list(vocabulary).index(name) for name in names]
    ids = _decode_mask(LABELSET, label_ids, "int")
    in_order = label_ids == sorted(label_ids)
    return grouped.select(
        MOVIE_ID,
        _decode_mask(LABELSET, names, "string").alias(GENRES),
        (ids if in_order else F.array_sort(ids)).alias(LABEL_IDS),
        ROWS,
    )


def observe_groups(grouped: DataFrame, totals: Observation) -> DataFrame:
    """Count rows `used`, pairs `kept` and `movies` of `group_labels` while they are computed."""
    return grouped.observe(
        totals,
        F.sum(ROWS).alias("used"),
        F.sum(F.size(LABEL_IDS)).alias("kept"),
        F.count(F.lit(1)).alias("movies"),
    )


def bit_of_genre(vocabulary: Sequence[str]) -> Column:
    """Return the bit of the column `genre`, null where it is not in the vocabulary."""
    bits = json.dumps({name: 1 << i for i, name in enumerate(sorted(vocabulary))})
    return F.try_element_at(F.from_json(F.lit(bits), "map<string,bigint>"), F.col(GENRE))


def _decode_mask(mask: str, values: Sequence[object], kind: str) -> Column:
    """Return the values at the set bits of a mask, in order: one table lookup per eight bits."""
    parts = []
    for start in range(0, len(values), _CHUNK_BITS):
        chunk = values[start : start + _CHUNK_BITS]
        table = [
            [value for i, value in enumerate(chunk) if number >> i & 1]
            for number in range(2 ** len(chunk))
        ]
        literal = F.from_json(F.lit(json.dumps(table)), f"array<array<{kind}>>")
        number = F.shiftrightunsigned(mask, start).bitwiseAND(2 ** len(chunk) - 1).cast("int")
        parts.append(F.get(literal, number))
    return F.concat(*parts)


def _group_as_sets(pairs: DataFrame, vocabulary: Sequence[str]) -> DataFrame:
    names = sorted(vocabulary)
    position = {name: i for i, name in enumerate(vocabulary)}
    ranks = frame_of_rows(pairs.sparkSession, list(enumerate(names)), f"rank int, {GENRE} string")
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
