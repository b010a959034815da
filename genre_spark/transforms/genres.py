"""From rows of (movie, genre) to one row a movie, in one shuffle, with sparse label ids."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.schemas import CONTENT, GENRES, LABEL_IDS, MOVIE_ID, REASON
from genre_spark.transforms.csv import FIELDS, LINE, CsvLayout, split_fields

__all__ = [
    "CONTENT_CHARS",
    "GENRE",
    "IS_LAST",
    "LABELSET",
    "MASK_LABELS",
    "REPEATED_HEADER",
    "ROWS",
    "check_rows",
    "group_bits",
    "group_labels",
    "guess_vocabulary",
    "mark_plain_lines",
    "unmark_labels",
]

GENRE = "genre"
ROWS = "rows"
IS_LAST = "is_last"
LABELSET = "labelset"
REPEATED_HEADER = "repeated header"
UNKNOWN_GENRE = "unknown genre"
CONTENT_CHARS = 200
MASK_LABELS = 62  # labels that a bigint holds as bits, its sign left alone
_CHUNK_BITS = 8
_INVALID = "\ufffd"  # what invalid UTF-8 is read as
_BIT = "bit"


def check_rows(
    lines: DataFrame, layout: CsvLayout, *, known: Sequence[str] | None = None
) -> DataFrame:
    """Turn lines of genres.csv into (movie_id, genre), or a reason why a line cannot be used and its content.

    Args:
        lines: with the column `value`, as `spark.read.text` gives them, the header among them.
        layout: of the file.
        known: the genres that a row may have; None allows any.

    Returns:
        One row a line: movie_id, genre, reason (null where the row is good), content (null where
            the row is good, else
        the line's first 200 characters), is_last (the line is the file's last and not ended by a
        line break).
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
            (F.col(MOVIE_ID) < 0)
            | (F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^-{number}(\.[0-9]*)?$"))),
            "negative id",
        )
        .when(F.col(MOVIE_ID).isNull() & F.rlike("id", F.lit(rf"^{number}\.[0-9]*$")), "decimal id")
        .when(F.col(MOVIE_ID).isNull(), "id is not a number")
        .when(F.col(GENRE) == "", "empty genre")
        # Spark keeps invalid bytes; its regular expressions see them as the replacement character.
        .when(F.rlike(GENRE, F.lit(_INVALID)), "invalid UTF-8")
    )
    if known is not None:
        reason = reason.when(~F.col(GENRE).isin(list(known)), UNKNOWN_GENRE)
    checked = split.withColumn(MOVIE_ID, F.expr("try_cast(id AS bigint)")).withColumn(
        REASON, reason
    )
    # Replaced by itself, the replacement character takes the place of invalid bytes, which other
    # readers of Parquet refuse.
    content = F.regexp_replace(F.substring(LINE, 1, CONTENT_CHARS), _INVALID, _INVALID)
    return checked.select(
        MOVIE_ID,
        GENRE,
        REASON,
        F.when(F.col(REASON).isNotNull(), content).alias(CONTENT),
        (F.lit(False) if layout.last_line is None else F.col(LINE) == layout.last_line).alias(
            IS_LAST
        ),
    )


def guess_vocabulary(layout: CsvLayout) -> list[str] | None:
    """Return the genres of the file's first lines, sorted; None where few of these lines are plain.

    A plain line has an id and a genre as they are meant, with neither quotes nor blanks. Only
    genres that come with a good id count, and none from a last line that may have been cut off.
    """
    place, position = layout.columns.index("id"), layout.columns.index(GENRE)
    found: set[str] = set()
    plain = 0
    for line in layout.first_lines:
        fields = line.split(",")
        if len(fields) != len(layout.columns) or '"' in line:
            continue
        number, genre = fields[place], fields[position]
        good_id = number.isascii() and number.isdigit() and len(number) < 20 and int(number) < 2**63
        if good_id and genre and genre == genre.strip() and _INVALID not in genre:
            plain += 1
            found.add(genre)
    if not found or len(found) > MASK_LABELS or 2 * plain < len(layout.first_lines):
        return None
    return sorted(found)


def mark_plain_lines(
    lines: DataFrame, layout: CsvLayout, *, vocabulary: Sequence[str]
) -> DataFrame:
    """Turn plain lines, an id and a known genre without quotes or blanks, into (movie_id, bit) for `group_bits`.

    `check_rows` finds such lines good too, at several times the cost.

    Args:
        lines: with the column `value`.
        layout: of the file.
        vocabulary: at most 62 genres; the sorted ones have ascending bits. None has a quote or a
            comma.

    Returns:
        One row a line: value, movie_id and bit; null and 0 for a line that is not plain, the header
            among them.
    """
    columns = layout.columns
    whole = F.size(FIELDS) == len(columns)
    if len(columns) > 2:  # of two fields, neither an id nor a known genre can have a quote
        whole &= ~F.contains(LINE, F.lit('"'))
    split = lines.select(LINE, F.split(LINE, ",", -1).alias(FIELDS)).select(
        LINE,
        F.when(whole, F.get(FIELDS, F.lit(columns.index("id")))).alias("id"),
        F.get(FIELDS, F.lit(columns.index(GENRE))).alias(GENRE),
    )
    marked = split.select(
        LINE,
        F.expr("try_cast(id AS bigint)").alias(MOVIE_ID),
        _bit_of_genre(vocabulary).alias(_BIT),
    )
    plain = (F.col(MOVIE_ID) >= 0) & F.col(_BIT).isNotNull()
    return marked.select(
        LINE,
        F.when(plain, F.col(MOVIE_ID)).alias(MOVIE_ID),
        F.when(plain, F.col(_BIT)).otherwise(F.lit(0)).alias(_BIT),
    )


def group_bits(marked: DataFrame) -> DataFrame:
    """Group rows of (movie_id, bit) to movie_id, labelset (the bits together) and rows (how many there were)."""
    return marked.groupBy(MOVIE_ID).agg(
        F.bit_or(_BIT).alias(LABELSET), F.count(F.lit(1)).alias(ROWS)
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


def group_labels(pairs: DataFrame, *, vocabulary: Sequence[str]) -> DataFrame:
    """Group rows of (movie_id, genre) to one row a movie; repeated pairs merge.

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
    marked = pairs.select(MOVIE_ID, _bit_of_genre(vocabulary).alias(_BIT))
    return unmark_labels(group_bits(marked), vocabulary=vocabulary)


def _bit_of_genre(vocabulary: Sequence[str]) -> Column:
    """Return the bit of the column `genre`, null where it is not in the vocabulary."""
    bits = json.dumps({name: 1 << i for i, name in enumerate(sorted(vocabulary))})
    return F.try_element_at(F.from_json(F.lit(bits), "map<string,bigint>"), F.col(GENRE))


def _decode_mask(mask: str, values: Sequence[object], kind: str) -> Column:
    """Return the values at the set bits of a mask, in their order: one table lookup for each eight bits."""
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
